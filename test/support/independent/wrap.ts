/**
 * tls-auth and tls-crypt with node:crypto. A key file's 256 bytes are cipher 0, HMAC 0, cipher 1, HMAC 1, 64 bytes each.
 *
 *     tls-auth:  opcode and session id (9)   HMAC   replay id (4)   time (4)   rest
 *                HMAC over replay id, time, opcode and session id, rest
 *     tls-crypt: opcode and session id (9)   replay id (4)   time (4)   tag (32)   AES-256-CTR of the rest, IV: tag[0..16]
 *                tag = HMAC-SHA256 over opcode and session id, replay id, time, rest in clear
 */
import { createCipheriv, createHmac, timingSafeEqual } from "node:crypto";
import { uint32 } from "./wire.ts";

export type Wrap =
  | { readonly kind: "none" }
  /** `direction` is this side's: 0 sends with HMAC 0, 1 with HMAC 1, undefined uses HMAC 0 both ways. */
  | {
      readonly kind: "tls-auth";
      readonly key: Uint8Array;
      readonly direction: 0 | 1 | undefined;
      readonly digest: string;
    }
  | { readonly kind: "tls-crypt"; readonly key: Uint8Array };

/**
 * tls-crypt-v2 of a server: 128 bytes, 64 of the cipher's key and 64 of the HMAC's, of which the first 32 are used. `cookie`:
 * nothing is kept of a client's first packet.
 */
export interface ServerWrap {
  readonly kind: "tls-crypt-v2";
  readonly serverKey: Uint8Array;
  readonly cookie: boolean;
}

/** tag (32)  AES-256-CTR of key (256) and metadata  length of all (2);  tag = HMAC-SHA256 over length, key, metadata */
export function wrapClientKey(serverKey: Uint8Array, key: Uint8Array, metadata: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(290 + metadata.length);
  const plain = Buffer.concat([key, metadata]);
  const tag = createHmac("sha256", serverKey.subarray(64, 96)).update(length).update(plain).digest();
  return Buffer.concat([tag, ctr(serverKey.subarray(0, 32), tag, plain), length]);
}

/** Parts a packet from the wrapped key at its end. Throws where it has none of this server's. */
export function takeClientKey(serverKey: Uint8Array, packet: Buffer): { packet: Buffer; key: Buffer } {
  const at = packet.length - packet.readUInt16BE(packet.length - 2);
  const wrapped = packet.subarray(at);
  const plain = ctr(serverKey.subarray(0, 32), wrapped.subarray(0, 32), wrapped.subarray(32, -2));
  const again = wrapClientKey(serverKey, plain.subarray(0, 256), plain.subarray(256));
  if (!again.equals(wrapped)) throw new Error("the wrapped key is not of this server");
  return { packet: packet.subarray(0, at), key: plain.subarray(0, 256) };
}

export interface Opened {
  readonly plain: Buffer;
  /** undefined without a wrap. */
  readonly replay: { readonly id: number; readonly time: number } | undefined;
}

/** @param side who wraps: with tls-crypt the server sends with the first half of the key, the client with the second */
export function wrap(how: Wrap, side: "server" | "client", id: number, time: number, plain: Buffer): Buffer {
  if (how.kind === "none") return plain;
  const head = plain.subarray(0, 9);
  const rest = plain.subarray(9);
  const replay = Buffer.concat([uint32(id), uint32(time)]);
  if (how.kind === "tls-auth") {
    return Buffer.concat([head, mac(how, how.direction ?? 0, replay, head, rest), replay, rest]);
  }
  const half = side === "server" ? 0 : 128;
  const tag = createHmac("sha256", how.key.subarray(half + 64, half + 96))
    .update(Buffer.concat([head, replay, rest]))
    .digest();
  return Buffer.concat([head, replay, tag, ctr(how.key.subarray(half, half + 32), tag, rest)]);
}

/** Undoes what the other side did. Throws where it does not fit. @param side who opens */
export function unwrap(how: Wrap, side: "server" | "client", packet: Buffer): Opened {
  if (how.kind === "none") return { plain: packet, replay: undefined };
  const head = packet.subarray(0, 9);
  if (how.kind === "tls-auth") {
    const length = createHmac(how.digest, "").digest().length;
    const sent = packet.subarray(9, 9 + length);
    const replay = packet.subarray(9 + length, 17 + length);
    const rest = packet.subarray(17 + length);
    const theirs = how.direction === undefined ? 0 : 1 - how.direction;
    if (sent.length < length || !timingSafeEqual(sent, mac(how, theirs, replay, head, rest)))
      throw new Error("the HMAC of tls-auth is wrong");
    return { plain: Buffer.concat([head, rest]), replay: replayOf(replay) };
  }
  const half = side === "server" ? 128 : 0;
  const replay = packet.subarray(9, 17);
  const tag = packet.subarray(17, 49);
  const rest = ctr(how.key.subarray(half, half + 32), tag, packet.subarray(49));
  const wanted = createHmac("sha256", how.key.subarray(half + 64, half + 96))
    .update(Buffer.concat([head, replay, rest]))
    .digest();
  if (tag.length < 32 || !timingSafeEqual(tag, wanted)) throw new Error("the tag of tls-crypt is wrong");
  return { plain: Buffer.concat([head, rest]), replay: replayOf(replay) };
}

const replayOf = (bytes: Buffer) => ({ id: bytes.readUInt32BE(0), time: bytes.readUInt32BE(4) });

function mac(how: Wrap & { kind: "tls-auth" }, half: number, replay: Buffer, head: Buffer, rest: Buffer): Buffer {
  const length = createHmac(how.digest, "").digest().length;
  const key = how.key.subarray(64 + 128 * half, 64 + 128 * half + length);
  return createHmac(how.digest, key)
    .update(Buffer.concat([replay, head, rest]))
    .digest();
}

function ctr(key: Uint8Array, tag: Buffer, bytes: Buffer): Buffer {
  const cipher = createCipheriv("aes-256-ctr", key, tag.subarray(0, 16));
  return Buffer.concat([cipher.update(bytes), cipher.final()]);
}
