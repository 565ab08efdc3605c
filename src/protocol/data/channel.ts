/**
 * The data path of a session: batches of IP packets to sealed datagrams and back, in place, without allocation. Drops
 * are counted by code.
 */
import type { Batch } from "../../lib/batch.ts";
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
import {
  COMPRESSION_HEADER_LEN,
  type CompressionFraming,
  compressionCheck,
  compressionEmit,
  compressionStrip,
} from "./compression.ts";
import type { DataKey } from "./key.ts";
import type { KeySlots } from "./key-slots.ts";
import { PAYLOAD_EXIT, PAYLOAD_OCC, PAYLOAD_PACKET, PAYLOAD_PING, payloadKind } from "./magic.ts";
import { dataCheck, dataPeerId, PEER_ID_NONE } from "./packet.ts";

/** Packets of the tunnel and their bytes, as they are inside of it. */
export class Traffic {
  sealed = 0;
  sealedBytes = 0;
  opened = 0;
  openedBytes = 0;
  /** Opened packets that are not the tunnel's: pings and messages of OpenVPN itself. */
  pings = 0;
}

export class DataChannel {
  readonly traffic = new Traffic();
  /** An authentic OCC exit message arrived. */
  exitReceived = false;
  /** Time of the last authentic data packet, pings included. */
  openedAt = Number.NEGATIVE_INFINITY;
  /** Time of the last sealed packet. */
  sealedAt = Number.NEGATIVE_INFINITY;
  /** What the server may put into DATA_V2 as our peer id. */
  peerId = PEER_ID_NONE;
  framing: CompressionFraming = "none";
  readonly #slab: Slab;
  readonly #slots: KeySlots;
  readonly #drops: SessionDrops;

  constructor(slab: Slab, slots: KeySlots, drops: SessionDrops) {
    this.#slab = slab;
    this.#slots = slots;
    this.#drops = drops;
  }

  /** Bytes that sealing adds to a packet; 0 while there is no key. */
  get overhead(): number {
    const key = this.#slots.sending;
    return key === undefined ? 0 : key.overhead + (this.framing === "none" ? 0 : COMPRESSION_HEADER_LEN);
  }

  /** Seals every packet of `plain` where it stands; the rows of `sealed` start in its headroom. */
  sealBatch(now: number, plain: Batch, sealed: Batch): void {
    const drops = this.#drops;
    const key = this.#slots.sending;
    if (key === undefined) {
      drops.drop(DROP_SEAL_NO_KEY, plain.count);
      return;
    }
    const { overhead, traffic } = this;
    for (let i = 0; i < plain.count; i++) {
      const len = plain.len[i]!;
      if (sealed.count === sealed.capacity) {
        drops.drop(DROP_DATA_NO_ROOM, plain.count - i);
        break;
      }
      const start = this.seal(key, plain.at[i]!, len);
      if (start < 0) {
        drops.drop(start);
        continue;
      }
      sealed.push(start, len + overhead);
      traffic.sealed++;
      traffic.sealedBytes += len;
      this.sealedAt = now;
    }
  }

  /**
   * Seals the payload [at, at + len) where it stands; the whole is `overhead` longer.
   * @returns where it starts, or the drop code
   */
  seal(key: DataKey, at: number, len: number): number {
    if (this.framing === "none") return key.seal(at, len);
    return key.seal(compressionEmit(this.#slab.bytes, this.framing, at, len), len + COMPRESSION_HEADER_LEN);
  }

  /** Opens one data packet [at, at + len), len > 0, into a row of `plain`. @returns the drop code, which is counted, or DROP_NONE */
  open(now: number, at: number, len: number, plain: Batch): number {
    const code = this.#open(now, at, len, plain);
    if (code !== DROP_NONE) this.#drops.drop(code);
    return code;
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
    let payloadAt = key.open(now, at, len, isV2);
    if (payloadAt < 0) return payloadAt;
    this.#slots.opened(key, now);
    this.openedAt = now;
    let payloadLen = len - (payloadAt - at);
    if (this.framing !== "none") {
      const unframed = compressionCheck(bytes, this.framing, payloadAt, payloadLen);
      if (unframed !== DROP_NONE) return unframed;
      payloadAt = compressionStrip(bytes, this.framing, payloadAt, payloadLen);
      payloadLen -= COMPRESSION_HEADER_LEN;
    }
    const kind = payloadKind(bytes, payloadAt, payloadLen);
    const { traffic } = this;
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
