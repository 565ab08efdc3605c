/**
 * Data packets with an AEAD:
 *
 *     V1: opcode (1)               packet id (4)  tag (16)  ciphertext     additional data: packet id
 *     V2: opcode (1)  peer id (3)  packet id (4)  tag (16)  ciphertext     additional data: opcode, peer id, packet id
 *
 * Nonce: packet id, implicit IV (8).
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { DATA_V1, DATA_V2, opcode, uint32 } from "./wire.ts";

export type CipherName = "AES-256-GCM" | "AES-192-GCM" | "AES-128-GCM" | "CHACHA20-POLY1305";

export const NO_PEER_ID = 0xffffff;

/** One direction of one key. */
export interface Direction {
  readonly cipher: CipherName;
  readonly key: Buffer;
  readonly iv: Buffer;
}

/** @param half 0: client to server, 1: server to client */
export function direction(cipher: CipherName, block: Uint8Array, half: 0 | 1): Direction {
  const part = Buffer.from(block).subarray(128 * half, 128 * half + 128);
  return { cipher, key: part.subarray(0, keyLength(cipher)), iv: part.subarray(64, 72) };
}

export function sealPacket(to: Direction, keyId: number, peerId: number, id: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(peerId === NO_PEER_ID ? 1 : 4);
  if (peerId === NO_PEER_ID) head[0] = (DATA_V1 << 3) | keyId;
  else head.writeUInt32BE(((((DATA_V2 << 3) | keyId) << 24) | peerId) >>> 0);
  const aad = peerId === NO_PEER_ID ? uint32(id) : Buffer.concat([head, uint32(id)]);
  const { tag, text } = encrypt(to, Buffer.concat([uint32(id), to.iv]), aad, payload);
  return Buffer.concat([head, uint32(id), tag, text]);
}

/** The payload. Throws where the tag is wrong. @param peerId what a V2 packet must carry */
export function openPacket(from: Direction, peerId: number, packet: Buffer): { id: number; payload: Buffer } {
  const isV2 = opcode(packet) === DATA_V2;
  if (isV2 && (packet.readUInt32BE(0) & 0xffffff) !== peerId) throw new Error("a data packet with another peer id");
  const at = isV2 ? 4 : 1;
  const id = packet.readUInt32BE(at);
  const aad = isV2 ? packet.subarray(0, 8) : packet.subarray(1, 5);
  const nonce = Buffer.concat([uint32(id), from.iv]);
  return { id, payload: decrypt(from, nonce, aad, packet.subarray(at + 4, at + 20), packet.subarray(at + 20)) };
}

const keyLength = (cipher: CipherName): number => Number(/AES-(\d+)/.exec(cipher)?.[1] ?? 256) / 8;

const gcm = (cipher: CipherName): "aes-256-gcm" | "aes-192-gcm" | "aes-128-gcm" =>
  `aes-${(8 * keyLength(cipher)) as 256 | 192 | 128}-gcm`;

/** AEAD with the nonce and additional data given. */
export function encrypt(to: Direction, nonce: Buffer, aad: Buffer, plain: Uint8Array): { tag: Buffer; text: Buffer } {
  if (to.cipher === "CHACHA20-POLY1305") {
    const out = Buffer.from(chacha20poly1305(to.key, nonce, aad).encrypt(Uint8Array.from(plain)));
    return { tag: out.subarray(out.length - 16), text: out.subarray(0, out.length - 16) };
  }
  const cipher = createCipheriv(gcm(to.cipher), to.key, nonce);
  cipher.setAAD(aad);
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { tag: cipher.getAuthTag(), text };
}

function decrypt(from: Direction, nonce: Buffer, aad: Buffer, tag: Buffer, text: Buffer): Buffer {
  if (from.cipher === "CHACHA20-POLY1305")
    return Buffer.from(chacha20poly1305(from.key, nonce, aad).decrypt(Buffer.concat([text, tag])));
  const cipher = createDecipheriv(gcm(from.cipher), from.key, nonce);
  cipher.setAAD(aad);
  cipher.setAuthTag(tag);
  return Buffer.concat([cipher.update(text), cipher.final()]);
}
