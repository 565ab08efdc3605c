/**
 * The data path of a session: batches of IP packets to sealed datagrams and back, in place, without allocation. Drops
 * are counted by code.
 */
import { Batch } from "../../lib/batch.ts";
import type { Slab } from "../../lib/slab.ts";
import { DATA_V2, keyIdOf, opcodeOf } from "../control/opcode.ts";
import {
  DROP_DATA_EARLY,
  DROP_DATA_KEY_ID,
  DROP_DATA_NO_ROOM,
  DROP_DATA_PEER_ID,
  DROP_NONE,
  DROP_SEAL_NO_KEY,
  type SessionDrops,
} from "../drop.ts";
import { COMPRESSION, type CompressionForm } from "./compression.ts";
import { FRAGMENT_HEADER_LEN, type Fragments, PIECE_KEPT } from "./fragment.ts";
import { createFraming, FRAMING_MOST, type Framing, type FramingMemory } from "./framing.ts";
import type { DataKey } from "./key.ts";
import type { KeySlots } from "./key-slots.ts";
import { PAYLOAD_EXIT, PAYLOAD_OCC, PAYLOAD_PACKET, PAYLOAD_PING, payloadKind } from "./magic.ts";
import { dataCheck, dataPeerId, PEER_ID_NONE } from "./packet.ts";

/**
 * Packets of the tunnel and their bytes, as they are inside of it. What is counted for each packet that comes stands first: six fields are
 * within the object, in one line of the cache.
 */
export class Traffic {
  opened = 0;
  openedBytes = 0;
  /** Opened packets that are not the tunnel's: pings and messages of OpenVPN itself. */
  pings = 0;
  /** Time of the last authentic data packet, pings included. */
  openedAt = Number.NEGATIVE_INFINITY;
  /** Packets of any kind that came from the peer, whatever became of them. */
  datagrams = 0;
  sealed = 0;
  sealedBytes = 0;
}

/** What a person is told of it. */
export type TunnelTraffic = Readonly<Pick<Traffic, "sealed" | "sealedBytes" | "opened" | "openedBytes" | "pings">>;

export class DataChannel {
  readonly traffic = new Traffic();
  /** An authentic OCC exit message arrived. */
  exitReceived = false;
  /** Time of the last sealed packet. */
  sealedAt = Number.NEGATIVE_INFINITY;
  /** What the server may put into DATA_V2 as our peer id. */
  peerId = PEER_ID_NONE;
  readonly #slab: Slab;
  readonly #memory: FramingMemory;
  readonly #slots: KeySlots;
  readonly #drops: SessionDrops;
  #compression: CompressionForm = "none";
  #framing: Framing | undefined;
  readonly #fragments: Fragments | undefined;

  /** @param memory where what cannot be opened in place is made @param fragments where `fragment` is in use */
  constructor(memory: FramingMemory, slots: KeySlots, drops: SessionDrops, fragments?: Fragments) {
    this.#slab = memory.scratch.slab;
    this.#memory = memory;
    this.#slots = slots;
    this.#drops = drops;
    this.#fragments = fragments;
  }

  /** What both ends frame their packets as, whatever the key. */
  set compression(form: CompressionForm) {
    if (form === this.#compression) return;
    this.#compression = form;
    this.#framing = createFraming(COMPRESSION[form].framing, this.#memory);
  }

  /** Time of the last authentic data packet, pings included. */
  get openedAt(): number {
    return this.traffic.openedAt;
  }

  /** The key that all packets are opened with, where nothing else is done with them, and no other key waits. */
  get directKey(): DataKey | undefined {
    return this.#framing === undefined && this.#fragments === undefined ? this.#slots.settled : undefined;
  }

  /** Bytes that sealing adds to a packet at most, where there is no `fragment`; 0 while there is no key. */
  get overhead(): number {
    return (this.#slots.sending?.overhead ?? 0) + (this.#framing === undefined ? 0 : FRAMING_MOST);
  }

  /** The largest packet of the tunnel that becomes one packet of at most `size` bytes. Once there is a key. */
  payloadMax(size: number): number {
    const headers = (this.#framing?.overhead ?? 0) + (this.#fragments === undefined ? 0 : FRAGMENT_HEADER_LEN);
    return (this.#slots.sending?.payloadMax(size) ?? size) - headers;
  }

  /** Seals every packet of `plain` where it stands; the rows of `sealed` start in its headroom. */
  sealBatch(now: number, plain: Batch, sealed: Batch): void {
    const drops = this.#drops;
    const key = this.#slots.sending;
    if (key === undefined) {
      drops.drop(DROP_SEAL_NO_KEY, plain.count);
      return;
    }
    const { traffic } = this;
    for (let i = 0; i < plain.count; i++) {
      const len = plain.len[i]!;
      if (sealed.count === sealed.capacity) {
        drops.drop(DROP_DATA_NO_ROOM, plain.count - i);
        break;
      }
      const drop = this.seal(key, plain.at[i]!, len, sealed);
      if (drop !== DROP_NONE) {
        drops.drop(drop);
        continue;
      }
      traffic.sealed++;
      traffic.sealedBytes += len;
      this.sealedAt = now;
    }
  }

  /** Seals the payload [at, at + len) where it stands into a row of `sealed`, which has room. @returns the drop code */
  seal(key: DataKey, at: number, len: number, sealed: Batch): number {
    if (this.#framing !== undefined || this.#fragments !== undefined) return this.#sealFramed(key, at, len, sealed);
    const start = key.seal(at, len);
    if (start < 0) return start;
    sealed.push(start, key.sealedLen);
    return DROP_NONE;
  }

  #sealFramed(key: DataKey, at: number, len: number, sealed: Batch): number {
    const framing = this.#framing;
    const framedAt = framing === undefined ? at : framing.frame(at, len);
    const framedLen = framing === undefined ? len : framing.len;
    if (this.#fragments !== undefined) return this.#fragments.seal(key, framedAt, framedLen, sealed);
    const start = key.seal(framedAt, framedLen);
    if (start < 0) return start;
    sealed.push(start, key.sealedLen);
    return DROP_NONE;
  }

  /** Opens one data packet [at, at + len), len > 0, into a row of `plain`. @returns the drop code, which is counted, or DROP_NONE */
  open(now: number, at: number, len: number, plain: Batch): number {
    const code = this.#open(now, at, len, plain);
    if (code !== DROP_NONE) this.#drops.drop(code);
    return code;
  }

  /** Opens a packet without a header, len > 0, with the key that is sent with, into a row of `plain`. @returns why it was dropped, which is counted, or DROP_NONE */
  openBare(now: number, at: number, len: number, plain: Batch): number {
    const key = this.#slots.sending;
    const code = key === undefined ? DROP_DATA_EARLY : this.#openWith(now, key, at, len, false, plain);
    if (code !== DROP_NONE) this.#drops.drop(code);
    return code;
  }

  /** A packet of our own making, sealed and copied out of the slab; undefined while there is no key. */
  sealSmall(len: number, emit: (bytes: Uint8Array, at: number) => void): Uint8Array | undefined {
    const { scratch } = this.#memory;
    const { bytes } = this.#slab;
    const key = this.#slots.sending;
    const { mark } = scratch;
    const at = scratch.take(len);
    if (key === undefined || at < 0) return undefined;
    emit(bytes, at);
    const sealed = new Batch(1);
    const drop = this.seal(key, at, len, sealed);
    scratch.reset(mark);
    return drop === DROP_NONE ? bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!) : undefined;
  }

  #open(now: number, at: number, len: number, plain: Batch): number {
    const { bytes, view } = this.#slab;
    const first = bytes[at]!;
    const isV2 = opcodeOf(first) === DATA_V2;
    const drop = dataCheck(len, isV2);
    if (drop !== DROP_NONE) return drop;
    const key = this.#slots.opener(keyIdOf(first));
    if (key === undefined) return this.#slots.sending === undefined ? DROP_DATA_EARLY : DROP_DATA_KEY_ID;
    if (isV2) {
      const peerId = dataPeerId(view, at);
      // the server's packets carry our id or none
      if (peerId !== this.peerId && peerId !== PEER_ID_NONE) return DROP_DATA_PEER_ID;
    }
    return this.#openWith(now, key, at, len, isV2, plain);
  }

  #openWith(now: number, key: DataKey, at: number, len: number, isV2: boolean, plain: Batch): number {
    const { bytes } = this.#slab;
    let payloadAt = key.open(now, at, len, isV2);
    if (payloadAt < 0) return payloadAt;
    this.#slots.opened(key, now);
    const { traffic } = this;
    traffic.openedAt = now;
    let payloadLen = key.openedLen;
    const fragments = this.#fragments;
    if (fragments !== undefined) {
      payloadAt = fragments.open(now, payloadAt, payloadLen);
      if (payloadAt === PIECE_KEPT) return DROP_NONE;
      if (payloadAt < 0) return payloadAt;
      payloadLen = fragments.len;
    }
    const framing = this.#framing;
    if (framing !== undefined) {
      payloadAt = framing.strip(payloadAt, payloadLen);
      if (payloadAt < 0) return payloadAt;
      payloadLen = framing.len;
    }
    const kind = payloadKind(bytes, payloadAt, payloadLen);
    if (kind === PAYLOAD_PACKET) {
      if (plain.push(payloadAt, payloadLen) < 0) return DROP_DATA_NO_ROOM;
      traffic.opened++;
      traffic.openedBytes += payloadLen;
    } else if (kind === PAYLOAD_PING || kind === PAYLOAD_OCC) {
      traffic.pings++;
    } else if (kind === PAYLOAD_EXIT) {
      traffic.pings++;
      this.exitReceived = true;
    }
    return DROP_NONE;
  }
}
