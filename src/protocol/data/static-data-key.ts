/**
 * The key of a file that both ends have (`secret`), for packets without a header (cbc-packet.ts):
 *
 *     HMAC  IV  CBC of { packet id (4)  time (4)  payload  padding }
 *
 * A packet id is only good with its time: an end that is started anew begins with 1 at a later time. Source: OpenVPN's
 * packet_id.c (the long form).
 */
import type { ReplayGuard } from "../control/replay-guard.ts";
import { DROP_DATA_REPLAY, DROP_DATA_TRUNCATED, DROP_SEAL_EXHAUSTED } from "../drop.ts";
import type { CbcName } from "../ports.ts";
import { PACKET_ID_LAST, PACKET_ID_RENEGOTIATE } from "./aead-key.ts";
import { type CbcOptions, CbcPackets } from "./cbc-packet.ts";
import type { DataKey } from "./key.ts";

const PACKET_ID_LEN = 8;

export interface StaticDataKeyOptions extends Omit<CbcOptions, "sendKey" | "openKey"> {
  /** key-direction: 0 sends with key 0 and opens with key 1, 1 the opposite, undefined has key 0 both ways. */
  readonly direction: 0 | 1 | undefined;
  /** What is known of the peer's ids. The key stays the same, so the guard outlives what opens with it. */
  readonly guard: ReplayGuard;
  /** Wall clock, for the ids. */
  readonly unixSeconds: number;
}

export class StaticDataKey implements DataKey {
  readonly keyId = 0;
  readonly cipher: CbcName;
  readonly overhead: number;
  sealedLen = 0;
  openedLen = 0;
  readonly #view: DataView;
  readonly #packets: CbcPackets;
  readonly #guard: ReplayGuard;
  /** Of the packet at hand. */
  readonly #replayId = { id: 0, time: 0 };
  #time: number;
  #sentId = 0;
  #sent = 0;
  #received = 0;
  #bytes = 0;

  /** @param block the 256 bytes of the file */
  constructor(block: Uint8Array, options: StaticDataKeyOptions) {
    const { direction, guard, unixSeconds } = options;
    this.cipher = options.cipher;
    this.#view = options.slab.view;
    const openKey = direction === 0 ? 1 : 0;
    this.#packets = new CbcPackets(block, { ...options, sendKey: direction ?? 0, openKey });
    this.overhead = this.#packets.overhead + PACKET_ID_LEN;
    this.#guard = guard;
    this.#time = unixSeconds >>> 0;
  }

  payloadMax(size: number): number {
    return this.#packets.bodyMax(size) - PACKET_ID_LEN;
  }

  seal(at: number, len: number): number {
    if (this.#sentId === PACKET_ID_LAST) return DROP_SEAL_EXHAUSTED;
    this.#sent++;
    this.#bytes += len;
    const bodyAt = at - PACKET_ID_LEN;
    this.#view.setUint32(bodyAt, ++this.#sentId);
    this.#view.setUint32(bodyAt + 4, this.#time);
    const start = this.#packets.seal(bodyAt, len + PACKET_ID_LEN);
    this.sealedLen = this.#packets.len;
    return start;
  }

  open(now: number, at: number, len: number): number {
    const bodyAt = this.#packets.open(at, len);
    if (bodyAt < 0) return bodyAt;
    const payloadLen = this.#packets.len - PACKET_ID_LEN;
    if (payloadLen < 0) return DROP_DATA_TRUNCATED;
    const replayId = this.#replayId;
    replayId.id = this.#view.getUint32(bodyAt);
    replayId.time = this.#view.getUint32(bodyAt + 4);
    if (!this.#guard.check(replayId, now)) return DROP_DATA_REPLAY;
    this.#guard.mark(replayId, now);
    this.#received++;
    this.#bytes += payloadLen;
    this.openedLen = payloadLen;
    return bodyAt + PACKET_ID_LEN;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get packets(): number {
    return this.#sent + this.#received;
  }

  get isWorn(): boolean {
    return this.#sentId >= PACKET_ID_RENEGOTIATE;
  }

  /** Begins anew with the ids, at a later time. */
  renew(unixSeconds: number): void {
    if (unixSeconds >>> 0 <= this.#time) return;
    this.#time = unixSeconds >>> 0;
    this.#sentId = 0;
  }

  touch(): number {
    return this.#received;
  }

  close(): void {
    this.#packets.close();
  }
}
