/**
 * One data-channel key: sealing and opening packets in place. The data path: no allocation, offsets into the slab.
 * Nonce = packet id (4) | implicit IV (8, from the HMAC part of the key block). Source: OpenVPN's crypto.c (openvpn_encrypt_aead).
 */
import type { Slab } from "../../lib/slab.ts";
import { cipherPart, hmacPart } from "../control/static-key.ts";
import { DROP_DATA_AUTHENTICATION, DROP_DATA_REPLAY, DROP_SEAL_EXHAUSTED } from "../drop.ts";
import type { AeadFactory, AeadKey, AeadName } from "../ports.ts";
import { AEAD_KEY_LEN, NONCE_LEN } from "./noble-aead.ts";
import { DATA_V1_OVERHEAD, DATA_V2_OVERHEAD, dataEmitV1, dataEmitV2, PEER_ID_NONE, TAG_LEN } from "./packet.ts";
import { ReplayWindow } from "./replay.ts";

const IMPLICIT_IV_LEN = NONCE_LEN - 4;
/** From here on a renegotiation is wanted; ids do not wrap. */
export const PACKET_ID_RENEGOTIATE = 0xff000000;
const PACKET_ID_LAST = 0xffffffff;
/** AES-GCM: packets and 16-byte blocks under one key, RFC 9147's kind of margin as OpenVPN counts it (its crypto.c: 2^36 - 1). */
const GCM_USAGE_LIMIT = 2 ** 36 - 1;
/** Share of the limit from which a renegotiation is wanted. */
const GCM_RENEGOTIATE = (GCM_USAGE_LIMIT / 8) * 7;

const SENT_ID = 0;
const SENT_USAGE = 1;
const SENT_BYTES = 2;
const RECEIVED_USAGE = 3;
const RECEIVED_BYTES = 4;
const RECEIVED_PACKETS = 5;

export interface DataKeyOptions {
  readonly slab: Slab;
  readonly aead: AeadFactory;
  readonly cipher: AeadName;
  readonly keyId: number;
  /** PEER_ID_NONE: packets are sent as DATA_V1. */
  readonly peerId: number;
  readonly replayWindow: { readonly packets: number; readonly seconds: number };
  readonly isServer?: boolean;
  /** Tests start near the end. */
  readonly firstPacketId?: number;
}

export class DataKey {
  readonly keyId: number;
  readonly cipher: AeadName;
  readonly peerId: number;
  /** What sealing puts in front of a packet. */
  readonly overhead: number;
  readonly #view: DataView;
  readonly #seal: AeadKey;
  readonly #open: AeadKey;
  readonly #replay: ReplayWindow;
  readonly #limited: boolean;
  readonly #count = new Float64Array(6);

  /** @param block 256 bytes of key material (key-derive.ts) */
  constructor(block: Uint8Array, options: DataKeyOptions) {
    const { aead, cipher } = options;
    const sendKey = options.isServer === true ? 1 : 0;
    const receiveKey = options.isServer === true ? 0 : 1;
    this.keyId = options.keyId;
    this.cipher = cipher;
    this.peerId = options.peerId;
    this.overhead = options.peerId === PEER_ID_NONE ? DATA_V1_OVERHEAD : DATA_V2_OVERHEAD;
    this.#view = options.slab.view;
    this.#seal = aead.create(cipher, cipherPart(block, sendKey, AEAD_KEY_LEN[cipher]), "seal");
    this.#open = aead.create(cipher, cipherPart(block, receiveKey, AEAD_KEY_LEN[cipher]), "open");
    setImplicitIv(this.#seal.nonce, hmacPart(block, sendKey, IMPLICIT_IV_LEN));
    setImplicitIv(this.#open.nonce, hmacPart(block, receiveKey, IMPLICIT_IV_LEN));
    this.#replay = new ReplayWindow(options.replayWindow.packets, options.replayWindow.seconds);
    this.#limited = cipher !== "CHACHA20-POLY1305";
    this.#count[SENT_ID] = (options.firstPacketId ?? 1) - 1;
  }

  /**
   * Encrypts the payload [at, at + len) where it stands and writes header and tag in front of it.
   * @returns the offset of the whole packet, or the drop code when the packet ids are used up
   */
  seal(at: number, len: number): number {
    const count = this.#count;
    const id = count[SENT_ID]! + 1;
    if (id > PACKET_ID_LAST) return DROP_SEAL_EXHAUSTED;
    count[SENT_ID] = id;
    count[SENT_USAGE] = count[SENT_USAGE]! + 1 + ((len + 15) >>> 4);
    count[SENT_BYTES] = count[SENT_BYTES]! + len;
    const key = this.#seal;
    key.nonce.setUint32(0, id);
    const start = at - this.overhead;
    if (this.peerId === PEER_ID_NONE) {
      dataEmitV1(this.#view, at, this.keyId, id);
      key.seal(start + 1, 4, at, len, at - TAG_LEN);
    } else {
      dataEmitV2(this.#view, at, this.keyId, this.peerId, id);
      key.seal(start, 8, at, len, at - TAG_LEN);
    }
    return start;
  }

  /**
   * Opens the packet [at, at + len), whose length was checked, where it stands.
   * @returns the offset of the payload, or the drop code
   */
  open(now: number, at: number, len: number, isV2: boolean): number {
    const head = isV2 ? DATA_V2_OVERHEAD : DATA_V1_OVERHEAD;
    const payloadAt = at + head;
    const id = this.#view.getUint32(payloadAt - TAG_LEN - 4);
    if (!this.#replay.check(id, now)) return DROP_DATA_REPLAY;
    const key = this.#open;
    key.nonce.setUint32(0, id);
    const ok = isV2
      ? key.open(at, 8, payloadAt, len - head, payloadAt - TAG_LEN)
      : key.open(at + 1, 4, payloadAt, len - head, payloadAt - TAG_LEN);
    if (!ok) return DROP_DATA_AUTHENTICATION;
    this.#replay.mark(id, now);
    const count = this.#count;
    count[RECEIVED_USAGE] = count[RECEIVED_USAGE]! + 1 + ((len - head + 15) >>> 4);
    count[RECEIVED_BYTES] = count[RECEIVED_BYTES]! + len - head;
    count[RECEIVED_PACKETS] = count[RECEIVED_PACKETS]! + 1;
    return payloadAt;
  }

  /** Payload bytes and packets in both directions, for reneg-bytes and reneg-pkts. */
  get bytes(): number {
    return this.#count[SENT_BYTES]! + this.#count[RECEIVED_BYTES]!;
  }
  get packets(): number {
    return this.#count[SENT_ID]! + this.#count[RECEIVED_PACKETS]!;
  }

  /** The key nears the end of its packet ids or of what AES-GCM may encrypt. */
  get isWorn(): boolean {
    const count = this.#count;
    if (count[SENT_ID]! >= PACKET_ID_RENEGOTIATE || this.#replay.highest >= PACKET_ID_RENEGOTIATE) return true;
    return this.#limited && (count[SENT_USAGE]! >= GCM_RENEGOTIATE || count[RECEIVED_USAGE]! >= GCM_RENEGOTIATE);
  }

  close(): void {
    this.#seal.close();
    this.#open.close();
  }
}

function setImplicitIv(nonce: DataView, iv: Uint8Array): void {
  for (let i = 0; i < IMPLICIT_IV_LEN; i++) nonce.setUint8(4 + i, iv[i]!);
}
