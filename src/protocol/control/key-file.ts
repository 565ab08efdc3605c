/**
 * Files that hold one key of the control channel: as OpenVPN's `--genkey` writes them (crypto.c: write_key_file and write_pem_key_file,
 * tls_crypt.c: tls_crypt_v2_write_client_key_file). Kinds that a person makes; a client's key is made with its server's.
 */
import { concat } from "../../lib/bytes.ts";
import { decodeBase64, encodeBase64, formatStaticKey } from "../config/material.ts";
import { formatTlsCryptV2Key } from "../config/tls-crypt-v2-key.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import type { ControlPrimitives, Random } from "../ports.ts";
import { STATIC_KEY_LEN } from "./static-key.ts";
import { MAX_WRAPPED_LEN, MIN_WRAPPED_LEN, wrapKey } from "./wrapped-key.ts";

/** Keys that are between two marks in base64: what the marks call them, and their length in bytes. */
const NAMED = {
  "tls-crypt-v2-server": { name: "tls-crypt-v2 server", length: 128 },
  "auth-token": { name: "auth-token server", length: 128 },
} as const;
export type NamedKey = keyof typeof NAMED;

const mark = (word: "BEGIN" | "END", name: string): string => `-----${word} OpenVPN ${name} key-----`;

/** A new key for tls-auth, tls-crypt or secret, as its file's text. */
export const newStaticKey = (random: Random): string => formatStaticKey(randomBytes(random, STATIC_KEY_LEN));

/** A new key of these kinds, as its file's text. */
export const newNamedKey = (random: Random, kind: NamedKey): string =>
  formatNamedKey(kind, randomBytes(random, NAMED[kind].length));

export function formatNamedKey(kind: NamedKey, key: Uint8Array): string {
  const { name } = NAMED[kind];
  return `${mark("BEGIN", name)}\n${encodeBase64(key).replace(/.{1,64}/g, "$&\n")}${mark("END", name)}\n`;
}

/** @returns the bytes; a text: what is wrong with the file, as the end of a sentence that begins with its name */
export function parseNamedKey(kind: NamedKey, text: string): Uint8Array | string {
  const { name, length } = NAMED[kind];
  const begin = text.indexOf(mark("BEGIN", name));
  const end = text.indexOf(mark("END", name), begin);
  if (begin < 0 || end < 0) {
    const other = /-----BEGIN (OpenVPN [ -~]{1,40}?)-----/.exec(text)?.[1];
    return `holds no "${mark("BEGIN", name)}" ... "${mark("END", name)}"${other === undefined ? "" : ` (it is an ${other})`}`;
  }
  const bytes = decodeBase64(text.slice(begin + mark("BEGIN", name).length, end).replace(/\s+/g, ""));
  return bytes?.length === length ? bytes : "is damaged or incomplete";
}

/** What a client's key can carry in its wrapped form, where only the server reads it: a type and what it means (tls_crypt.h). */
const USER = 0;
const TIMESTAMP = 1;
/** Bytes of text that fit. */
export const MAX_METADATA_BYTES = MAX_WRAPPED_LEN - MIN_WRAPPED_LEN - 1;

/** When a key was made, in seconds since 1970: by this a server with tls-crypt-v2-max-age refuses old ones. */
export function timestampMetadata(unixSeconds: number): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = TIMESTAMP;
  new DataView(bytes.buffer).setBigUint64(1, BigInt(unixSeconds));
  return bytes;
}

/** Something of the maker's, for a server's own check; at most MAX_METADATA_BYTES. */
export const userMetadata = (text: string): Uint8Array => concat(Uint8Array.of(USER), encodeUtf8(text));

/** A new tls-crypt-v2 key for one client, as its file's text. @param serverKey 128 bytes */
export function newClientKey(
  random: Random,
  primitives: ControlPrimitives,
  serverKey: Uint8Array,
  metadata: Uint8Array,
): string {
  const key = randomBytes(random, STATIC_KEY_LEN);
  return formatTlsCryptV2Key({ key, wrapped: wrapKey(serverKey, { key, metadata }, primitives) });
}

function randomBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  random.fill(bytes);
  return bytes;
}
