/**
 * A data-channel key of CBC with HMAC whose ends agreed on it by TLS, for peers that know nothing better (cbc-packet.ts):
 *
 *     opcode|key id (1)  [peer id (3)]  HMAC  IV  CBC of { packet id (4)  payload  padding }
 */
import type { ReplayWindowConfig } from "../config/types.ts";
import { DROP_DATA_REPLAY, DROP_DATA_TRUNCATED, DROP_SEAL_EXHAUSTED } from "../drop.ts";
import type { CbcName } from "../ports.ts";
import { PACKET_ID_LAST, PACKET_ID_RENEGOTIATE } from "./aead-key.ts";
import { type CbcOptions, CbcPackets } from "./cbc-packet.ts";
import type { DataKey } from "./key.ts";
import { dataEmitV1, dataEmitV2, dataHeaderLen, PEER_ID_NONE } from "./packet.ts";
import { ReplayWindow } from "./replay.ts";

const PACKET_ID_LEN = 4;

export interface CbcDataKeyOptions extends Omit<CbcOptions, "openKey"> {
  readonly keyId: number;
  /** PEER_ID_NONE: packets are sent as DATA_V1. */
  readonly peerId: number;
  readonly replayWindow: ReplayWindowConfig;
  /** Tests start near the end: the packet id of the next packet. */
  readonly packetId?: number | undefined;
}

export class CbcDataKey implements DataKey {
  readonly keyId: number;
  readonly cipher: CbcName;
  readonly overhead: number;
  sealedLen = 0;
  openedLen = 0;
  readonly #view: DataView;
  readonly #packets: CbcPackets;
  readonly #peerId: number;
  readonly #headerLen: number;
  readonly #replay: ReplayWindow;
  #sentId: number;
  #sentBytes = 0;
  #receivedPackets = 0;
  #receivedBytes = 0;

  /** @param block 256 bytes of key material (key-derive.ts) */
  constructor(block: Uint8Array, options: CbcDataKeyOptions) {
    const { keyId, cipher, peerId, sendKey, replayWindow } = options;
    this.keyId = keyId;
    this.cipher = cipher;
    this.#view = options.slab.view;
    this.#packets = new CbcPackets(block, { ...options, openKey: sendKey === 0 ? 1 : 0 });
    this.#peerId = peerId;
    this.#headerLen = dataHeaderLen(peerId !== PEER_ID_NONE);
    this.overhead = this.#headerLen + this.#packets.overhead + PACKET_ID_LEN;
    this.#replay = new ReplayWindow(replayWindow.packets, replayWindow.seconds);
    this.#sentId = (options.packetId ?? 1) - 1;
  }

  payloadMax(size: number): number {
    return this.#packets.bodyMax(size - this.#headerLen) - PACKET_ID_LEN;
  }

  seal(at: number, len: number): number {
    if (this.#sentId === PACKET_ID_LAST) return DROP_SEAL_EXHAUSTED;
    this.#sentBytes += len;
    const bodyAt = at - PACKET_ID_LEN;
    this.#view.setUint32(bodyAt, ++this.#sentId);
    const start = this.#packets.seal(bodyAt, len + PACKET_ID_LEN) - this.#headerLen;
    if (this.#peerId === PEER_ID_NONE) dataEmitV1(this.#view, start, this.keyId);
    else dataEmitV2(this.#view, start, this.keyId, this.#peerId);
    this.sealedLen = this.#packets.len + this.#headerLen;
    return start;
  }

  open(now: number, at: number, len: number, isV2: boolean): number {
    const headerLen = dataHeaderLen(isV2);
    const bodyAt = this.#packets.open(at + headerLen, len - headerLen);
    if (bodyAt < 0) return bodyAt;
    const payloadLen = this.#packets.len - PACKET_ID_LEN;
    if (payloadLen < 0) return DROP_DATA_TRUNCATED;
    const id = this.#view.getUint32(bodyAt);
    if (!this.#replay.check(id, now)) return DROP_DATA_REPLAY;
    this.#replay.mark(id, now);
    this.#receivedBytes += payloadLen;
    this.#receivedPackets++;
    this.openedLen = payloadLen;
    return bodyAt + PACKET_ID_LEN;
  }

  get bytes(): number {
    return this.#sentBytes + this.#receivedBytes;
  }

  get packets(): number {
    return this.#sentId + this.#receivedPackets;
  }

  get isWorn(): boolean {
    return this.#sentId >= PACKET_ID_RENEGOTIATE || this.#replay.highest >= PACKET_ID_RENEGOTIATE;
  }

  touch(): number {
    return this.#replay.touch() + this.#receivedBytes;
  }

  close(): void {
    this.#packets.close();
  }
}
