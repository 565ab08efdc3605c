/**
 * A data-channel key of an AEAD cipher, classic format (tag first). The data path: no allocation, offsets into the slab.
 *
 *     V1: opcode|key id (1)               packet id (4)  tag (16)  ciphertext      additional data: the packet id
 *     V2: opcode|key id (1)  peer id (3)  packet id (4)  tag (16)  ciphertext      additional data: all 8 bytes before the tag
 *     nonce: packet id (4)  implicit IV (8, from the HMAC part of the key block)
 *
 * Source: OpenVPN's crypto.c (openvpn_encrypt_aead) and crypto.h.
 */
import type { Slab } from "../../lib/slab.ts";
import { cipherPart, hmacPart } from "../control/static-key.ts";
import { DROP_DATA_AUTHENTICATION, DROP_DATA_REPLAY, DROP_DATA_TRUNCATED, DROP_SEAL_EXHAUSTED } from "../drop.ts";
import type { AeadFactory, AeadKey, AeadName } from "../ports.ts";
import type { KeyNumber } from "../side.ts";
import type { DataKey } from "./key.ts";
import {
  DATA_V1_HEADER_LEN,
  DATA_V2_HEADER_LEN,
  dataEmitV1,
  dataEmitV2,
  dataHeaderLen,
  PEER_ID_NONE,
} from "./packet.ts";
import { ReplayWindow } from "./replay.ts";

const PACKET_ID_LEN = 4;
const TAG_LEN = 16;
const IMPLICIT_IV_LEN = 8;
/** Packet id and tag, between the header and the ciphertext. */
const AEAD_LEN = PACKET_ID_LEN + TAG_LEN;
/** Bytes that sealing adds. */
export const DATA_V1_OVERHEAD = DATA_V1_HEADER_LEN + AEAD_LEN;
export const DATA_V2_OVERHEAD = DATA_V2_HEADER_LEN + AEAD_LEN;
/** From here on a renegotiation is wanted; ids do not wrap (OpenVPN's packet_id.h, PACKET_ID_WRAP_TRIGGER). */
export const PACKET_ID_RENEGOTIATE = 0xff000000;
export const PACKET_ID_LAST = 0xffffffff;
/** AES-GCM: packets and 16-byte blocks under one key, RFC 9147's kind of margin as OpenVPN counts it (its crypto.c: 2^36 - 1). */
const GCM_USAGE_LIMIT = 2 ** 36 - 1;
/** Share of the limit from which a renegotiation is wanted. */
export const GCM_RENEGOTIATE = Math.floor((GCM_USAGE_LIMIT / 8) * 7);

/** Bytes of the cipher's key. */
export const AEAD_KEY_LEN: Readonly<Record<AeadName, number>> = Object.freeze({
  "AES-256-GCM": 32,
  "AES-192-GCM": 24,
  "AES-128-GCM": 16,
  "CHACHA20-POLY1305": 32,
});

/** What a key was used for already: packet id of its next packet, packets and blocks encrypted and decrypted. */
export interface AeadKeyUse {
  readonly packetId?: number;
  /** Of the epoch format: the key material is that of this epoch, both ways. */
  readonly epoch?: number;
  readonly sent?: number;
  readonly received?: number;
}

export interface AeadDataKeyOptions {
  readonly slab: Slab;
  readonly aead: AeadFactory;
  readonly cipher: AeadName;
  readonly keyId: number;
  /** Which half of the key block this side sends with. */
  readonly sendKey: KeyNumber;
  /** PEER_ID_NONE: packets are sent as DATA_V1. */
  readonly peerId: number;
  readonly replayWindow: { readonly packets: number; readonly seconds: number };
  /** Tests start near the end. */
  readonly used?: AeadKeyUse | undefined;
}

export class AeadDataKey implements DataKey {
  readonly keyId: number;
  readonly cipher: AeadName;
  readonly overhead: number;
  sealedLen = 0;
  openedLen = 0;
  readonly #peerId: number;
  readonly #view: DataView;
  readonly #seal: AeadKey;
  readonly #open: AeadKey;
  readonly #replay: ReplayWindow;
  readonly #limited: boolean;
  #sentId: number;
  #sentBytes = 0;
  #receivedPackets = 0;
  #receivedBytes = 0;
  /** Packets and blocks under the key of each direction. */
  #sentUsage: number;
  #receivedUsage: number;

  /** @param block 256 bytes of key material (key-derive.ts) */
  constructor(block: Uint8Array, options: AeadDataKeyOptions) {
    const { aead, cipher, sendKey, used } = options;
    const create = (key: KeyNumber, use: "seal" | "open"): AeadKey => {
      const iv = new Uint8Array(PACKET_ID_LEN + IMPLICIT_IV_LEN);
      iv.set(hmacPart(block, key, IMPLICIT_IV_LEN), PACKET_ID_LEN);
      return aead.create(cipher, cipherPart(block, key, AEAD_KEY_LEN[cipher]), iv, use);
    };
    this.keyId = options.keyId;
    this.cipher = cipher;
    this.#peerId = options.peerId;
    this.overhead = options.peerId === PEER_ID_NONE ? DATA_V1_OVERHEAD : DATA_V2_OVERHEAD;
    this.#view = options.slab.view;
    this.#seal = create(sendKey, "seal");
    this.#open = create(sendKey === 0 ? 1 : 0, "open");
    this.#replay = new ReplayWindow(options.replayWindow.packets, options.replayWindow.seconds);
    this.#limited = cipher !== "CHACHA20-POLY1305";
    this.#sentId = (used?.packetId ?? 1) - 1;
    this.#sentUsage = used?.sent ?? 0;
    this.#receivedUsage = used?.received ?? 0;
  }

  payloadMax(size: number): number {
    return size - this.overhead;
  }

  seal(at: number, len: number): number {
    if (this.#sentId === PACKET_ID_LAST) return DROP_SEAL_EXHAUSTED;
    const id = ++this.#sentId;
    this.#sentUsage += aeadUsage(len);
    this.#sentBytes += len;
    const start = at - this.overhead;
    this.sealedLen = len + this.overhead;
    const tagAt = at - TAG_LEN;
    const idAt = tagAt - PACKET_ID_LEN;
    this.#view.setUint32(idAt, id);
    if (this.#peerId === PEER_ID_NONE) {
      dataEmitV1(this.#view, start, this.keyId);
      this.#seal.seal(id, 0, idAt, PACKET_ID_LEN, at, len, tagAt);
    } else {
      dataEmitV2(this.#view, start, this.keyId, this.#peerId);
      this.#seal.seal(id, 0, start, DATA_V2_HEADER_LEN + PACKET_ID_LEN, at, len, tagAt);
    }
    return start;
  }

  open(now: number, at: number, len: number, isV2: boolean): number {
    const idAt = at + dataHeaderLen(isV2);
    const tagAt = idAt + PACKET_ID_LEN;
    const payloadAt = tagAt + TAG_LEN;
    const payloadLen = at + len - payloadAt;
    if (payloadLen < 0) return DROP_DATA_TRUNCATED;
    const id = this.#view.getUint32(idAt);
    if (!this.#replay.check(id, now)) return DROP_DATA_REPLAY;
    const isAuthentic = isV2
      ? this.#open.open(id, 0, at, DATA_V2_HEADER_LEN + PACKET_ID_LEN, payloadAt, payloadLen, tagAt)
      : this.#open.open(id, 0, idAt, PACKET_ID_LEN, payloadAt, payloadLen, tagAt);
    if (!isAuthentic) return DROP_DATA_AUTHENTICATION;
    this.#replay.mark(id, now);
    this.#receivedUsage += aeadUsage(payloadLen);
    this.#receivedBytes += payloadLen;
    this.#receivedPackets++;
    this.openedLen = payloadLen;
    return payloadAt;
  }

  get bytes(): number {
    return this.#sentBytes + this.#receivedBytes;
  }

  get packets(): number {
    return this.#sentId + this.#receivedPackets;
  }

  get isWorn(): boolean {
    if (this.#sentId >= PACKET_ID_RENEGOTIATE || this.#replay.highest >= PACKET_ID_RENEGOTIATE) return true;
    return this.#limited && (this.#sentUsage >= GCM_RENEGOTIATE || this.#receivedUsage >= GCM_RENEGOTIATE);
  }

  touch(): number {
    return this.#replay.touch() + this.#open.touch() + this.#receivedBytes;
  }

  close(): void {
    this.#seal.close();
    this.#open.close();
  }
}

/** What a packet counts for the limit: itself, and its 16-byte blocks (OpenVPN's crypto.c, aead_usage_limit_reached). */
export const aeadUsage = (len: number): number => 1 + ((len + 15) >>> 4);
