/** ControlPrimitives in pure TypeScript over noble: the library's default, and what tests use. */
import { ctr } from "@noble/ciphers/aes.js";
import { hmac } from "@noble/hashes/hmac.js";
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha224, sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import type { ControlPrimitives } from "../ports.ts";

const HASHES = { MD5: md5, SHA1: sha1, SHA224: sha224, SHA256: sha256, SHA384: sha384, SHA512: sha512 } as const;

export const noblePrimitives: ControlPrimitives = {
  hmac: (digest, key, data) => hmac(HASHES[digest], key, data),
  ctr: (key, iv, data) => ctr(key, iv.slice()).encrypt(data.slice()),
};
