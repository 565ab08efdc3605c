/**
 * The 256 bytes of data-channel keys: from the TLS exporter, or from the TLS 1.0 PRF (P_MD5 xor P_SHA1, RFC 2246 5)
 * over what both sides sent in the key-method message, whatever TLS version is in use. Layout: static-key.ts, where
 * key 0 is client to server and key 1 server to client. Source: OpenVPN's ssl.c (generate_key_expansion).
 */

import { hmac } from "@noble/hashes/hmac.js";
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { concat } from "../../lib/bytes.ts";
import { STATIC_KEY_LEN } from "../control/static-key.ts";

export const P2P_PEER_ID_LABEL = "EXPORTER-OpenVPN-p2p-peerid";
export const EXPORTER_LABEL = "EXPORTER-OpenVPN-datakeys";
export const EXPORTER_LENGTH = STATIC_KEY_LEN;
/** Of dynamic tls-crypt: the key of all control packets but those of the first key id (OpenVPN's tls_crypt.c). */
export const DYNAMIC_TLS_CRYPT_LABEL = "EXPORTER-OpenVPN-dynamic-tls-crypt";

/** The random values of one side. Only the client has a pre-master secret. */
export interface KeySource {
  readonly preMaster: Uint8Array;
  readonly random1: Uint8Array;
  readonly random2: Uint8Array;
}

/** What the key block comes from: the TLS exporter, or the PRF. */
export type KeyDerivation = "ekm" | "prf";

/** @param sources,sessionIds the client's first */
export function deriveByPrf(
  [client, server]: readonly [KeySource, Pick<KeySource, "random1" | "random2">],
  [clientSessionId, serverSessionId]: readonly [Uint8Array, Uint8Array],
): Uint8Array {
  const master = tls1Prf(client.preMaster, "OpenVPN master secret", [client.random1, server.random1], 48);
  const seeds = [client.random2, server.random2, clientSessionId, serverSessionId];
  const block = tls1Prf(master, "OpenVPN key expansion", seeds, STATIC_KEY_LEN);
  master.fill(0);
  return block;
}

/** RFC 2246 5; an odd secret's middle byte belongs to both halves. */
export function tls1Prf(secret: Uint8Array, label: string, seeds: readonly Uint8Array[], length: number): Uint8Array {
  const half = Math.ceil(secret.length / 2);
  const seed = concat(ascii(label), ...seeds);
  const out = expand(md5, secret.subarray(0, half), seed, length);
  const other = expand(sha1, secret.subarray(secret.length - half), seed, length);
  for (let i = 0; i < length; i++) out[i] = out[i]! ^ other[i]!;
  return out;
}

/** P_hash of RFC 2246 5. */
function expand(hash: typeof md5 | typeof sha1, secret: Uint8Array, seed: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let a = seed;
  for (let at = 0; at < length; at += hash.outputLen) {
    a = hmac(hash, secret, a);
    const block = hmac(hash, secret, concat(a, seed));
    out.set(block.subarray(0, length - at), at);
  }
  return out;
}

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
