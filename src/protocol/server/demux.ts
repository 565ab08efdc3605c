/**
 * Whose a datagram is, without a change and without allocation: a data packet is whose number it carries, anything else whose
 * address it comes from, and of a control packet the session id counts too. At one address there may be two: the client, and its
 * rival, who says that it is there now, and takes over only when its login is accepted.
 */
import type { Batch } from "../../lib/batch.ts";
import type { Slab } from "../../lib/slab.ts";
import { DATA_V1, DATA_V2, opcodeOf } from "../control/opcode.ts";
import { CONTROL_HEADER_LEN, SESSION_ID_LEN } from "../control/packet.ts";
import { DATA_V2_HEADER_LEN, dataPeerId, PEER_ID_NONE } from "../data/packet.ts";
import { AddressTable } from "./address-table.ts";
import type { Sources } from "./peer-link.ts";

/** What {@link Demux.match} says beside the number of a peer: a control packet of nobody's; a data packet; a datagram without a byte. */
export const STRANGER = -1;
export const UNKNOWN_PEER = -2;
export const EMPTY = -3;
/** Of peer n, but from another address: FLOAT - n. */
export const FLOAT = -4;

const NOBODY = -1;

export class Demux {
  readonly #slab: Slab;
  readonly #capacity: number;
  readonly #addresses: AddressTable;
  /** By peer: the client's session id; 1: it is here, and its data packets carry its number. */
  readonly #sessionIds: Uint8Array;
  readonly #isHere: Uint8Array;
  /** By peer that is found at its address: who else is there. And back. */
  readonly #rival: Int32Array;
  readonly #owner: Int32Array;

  /** @param capacity peers are less than that @param seed int32, random */
  constructor(slab: Slab, capacity: number, seed: number) {
    this.#slab = slab;
    this.#capacity = capacity;
    this.#addresses = new AddressTable(capacity, seed);
    this.#sessionIds = new Uint8Array(SESSION_ID_LEN * capacity);
    this.#isHere = new Uint8Array(capacity);
    this.#rival = new Int32Array(capacity).fill(NOBODY);
    this.#owner = new Int32Array(capacity).fill(NOBODY);
  }

  /** The peer that a row is of, or one of the constants above. Nothing of it is authenticated. */
  match(rows: Batch, i: number, from: Sources, socket: number): number {
    const { bytes, view } = this.#slab;
    const at = rows.at[i]!;
    const len = rows.len[i]!;
    if (len === 0) return EMPTY;
    const opcode = opcodeOf(bytes[at]!);
    if (opcode === DATA_V2 && len >= DATA_V2_HEADER_LEN) {
      const peer = dataPeerId(view, at);
      if (peer !== PEER_ID_NONE) {
        if (peer >= this.#capacity || this.#isHere[peer] === 0) return UNKNOWN_PEER;
        return this.#addresses.isAt(peer, from.words, 4 * i, from.port[i]!, socket) ? peer : FLOAT - peer;
      }
    }
    const peer = this.find(from, i, socket);
    if (opcode === DATA_V1 || opcode === DATA_V2) return peer < 0 ? UNKNOWN_PEER : peer;
    if (peer < 0 || len < CONTROL_HEADER_LEN) return STRANGER;
    if (this.#isSession(peer, at + 1)) return peer;
    const rival = this.#rival[peer]!;
    return rival >= 0 && this.#isSession(rival, at + 1) ? rival : STRANGER;
  }

  /** Who is found at the address that row `i` came from; negative: nobody. */
  find({ words, port }: Sources, i: number, socket: number): number {
    return this.#addresses.find(words, 4 * i, port[i]!, socket);
  }

  /** Who else is at a peer's address, and has not taken over; negative: nobody. */
  rivalOf(peer: number): number {
    return this.#rival[peer]!;
  }

  /** Whose rival a peer is; negative: it is nobody's. */
  ownerOf(peer: number): number {
    return this.#owner[peer]!;
  }

  /**
   * A peer is where row `i` came from: it is found there, or it is the rival of who is, who has no other one.
   * @param sessionId 8 bytes
   */
  arrive(peer: number, sessionId: Uint8Array, from: Sources, i: number, socket: number): void {
    this.#sessionIds.set(sessionId, SESSION_ID_LEN * peer);
    this.#isHere[peer] = 1;
    const owner = this.find(from, i, socket);
    this.#addresses.place(peer, from.words, 4 * i, from.port[i]!, socket);
    if (owner < 0) return this.#addresses.enter(peer);
    this.#rival[owner] = peer;
    this.#owner[peer] = owner;
  }

  /** A peer without a rival has moved to where row `i` came from, where nobody is. */
  move(peer: number, from: Sources, i: number, socket: number): void {
    this.#addresses.remove(peer);
    this.#addresses.place(peer, from.words, 4 * i, from.port[i]!, socket);
    this.#addresses.enter(peer);
  }

  /** A peer is gone, if it was here. Its rival takes over. */
  leave(peer: number): void {
    if (this.#isHere[peer] === 0) return;
    this.#isHere[peer] = 0;
    const owner = this.#owner[peer]!;
    const rival = this.#rival[peer]!;
    this.#owner[peer] = this.#rival[peer] = NOBODY;
    if (owner >= 0) {
      this.#rival[owner] = NOBODY;
      return;
    }
    this.#addresses.remove(peer);
    if (rival < 0) return;
    this.#owner[rival] = NOBODY;
    this.#addresses.enter(rival);
  }

  #isSession(peer: number, at: number): boolean {
    const own = this.#sessionIds;
    const { bytes } = this.#slab;
    const start = SESSION_ID_LEN * peer;
    for (let k = 0; k < SESSION_ID_LEN; k++) if (own[start + k] !== bytes[at + k]) return false;
    return true;
  }
}
