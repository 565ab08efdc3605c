/**
 * tls-crypt-v2: each client has a tls-crypt key of its own, and the server none of them. The client sends its key along,
 * wrapped with a key that only the server has:
 *
 *     tag (32)  AES-256-CTR(client key (256)  metadata (0..734))  length of all (2)
 *     tag = HMAC-SHA256(length  client key  metadata);  IV of the cipher = first half of the tag
 *
 * It stands at the end of a packet, outside of what tls-crypt protects, so its length is found from the end: by then nobody
 * has vouched for it. Source: OpenVPN's tls_crypt.c and doc/tls-crypt-v2.txt.
 */
import { concat } from "../../lib/bytes.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import { equalConstantTime } from "../equal.ts";
import type { ControlPrimitives } from "../ports.ts";
import { CONTROL_HEADER_LEN } from "./packet.ts";
import { STATIC_KEY_LEN } from "./static-key.ts";

const TAG_LEN = 32;
const IV_LEN = 16;
const LENGTH_LEN = 2;
const PART_LEN = 32;
/** The server's key: 64 bytes for the cipher and 64 for the HMAC, of which the first 32 are used. */
const SERVER_KEY_LEN = 128;
export const MIN_WRAPPED_LEN = TAG_LEN + STATIC_KEY_LEN + LENGTH_LEN;
/** TLS_CRYPT_V2_MAX_WKC_LEN. */
export const MAX_WRAPPED_LEN = 1024;

export interface UnwrappedKey {
  /** 256 bytes. */
  readonly key: Uint8Array;
  /** What whoever made the key put into it: its type in the first byte; may be empty. */
  readonly metadata: Uint8Array;
}

/** @param serverKey 128 bytes @param key 256 bytes; throws where the metadata is too long */
export function wrapKey(
  serverKey: Uint8Array,
  { key, metadata }: UnwrappedKey,
  primitives: ControlPrimitives,
): Uint8Array {
  const length = uint16(MIN_WRAPPED_LEN + metadata.length);
  if (key.length !== STATIC_KEY_LEN || MIN_WRAPPED_LEN + metadata.length > MAX_WRAPPED_LEN)
    throw new Error("a client key is 256 bytes, and its metadata at most 734");
  const plain = concat(key, metadata);
  const tag = primitives.hmac("SHA256", macKey(serverKey), concat(length, plain));
  return concat(tag, primitives.ctr(cipherKey(serverKey), tag.subarray(0, IV_LEN), plain), length);
}

/** @returns undefined: it was not wrapped with this key, or is damaged */
export function unwrapKey(
  serverKey: Uint8Array,
  wrapped: Uint8Array,
  primitives: ControlPrimitives,
): UnwrappedKey | undefined {
  const end = wrapped.length - LENGTH_LEN;
  if (wrapped.length < MIN_WRAPPED_LEN || wrapped.length > MAX_WRAPPED_LEN) return undefined;
  const length = wrapped.subarray(end);
  if (readUint16(length) !== wrapped.length) return undefined;
  const tag = wrapped.subarray(0, TAG_LEN);
  const plain = primitives.ctr(cipherKey(serverKey), tag.subarray(0, IV_LEN), wrapped.subarray(TAG_LEN, end));
  const mac = primitives.hmac("SHA256", macKey(serverKey), concat(length, plain));
  if (!equalConstantTime(mac, tag)) return undefined;
  return { key: plain.slice(0, STATIC_KEY_LEN), metadata: plain.slice(STATIC_KEY_LEN) };
}

/** Parts a packet from the wrapped key at its end, or says why it has none. Nothing is authenticated. */
export function splitWrappedKey(
  packet: Uint8Array,
): { readonly packet: Uint8Array; readonly wrapped: Uint8Array } | number {
  if (packet.length < CONTROL_HEADER_LEN + MIN_WRAPPED_LEN) return DROP_CONTROL_TRUNCATED;
  const length = readUint16(packet.subarray(packet.length - LENGTH_LEN));
  if (length < MIN_WRAPPED_LEN || length > MAX_WRAPPED_LEN) return DROP_CONTROL_AUTHENTICATION;
  const at = packet.length - length;
  if (at < CONTROL_HEADER_LEN) return DROP_CONTROL_TRUNCATED;
  return { packet: packet.subarray(0, at), wrapped: packet.subarray(at) };
}

const cipherKey = (serverKey: Uint8Array): Uint8Array => serverKey.subarray(0, PART_LEN);
const macKey = (serverKey: Uint8Array): Uint8Array =>
  serverKey.subarray(SERVER_KEY_LEN / 2, SERVER_KEY_LEN / 2 + PART_LEN);

const uint16 = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);
const readUint16 = (bytes: Uint8Array): number => (bytes[0]! << 8) | bytes[1]!;
