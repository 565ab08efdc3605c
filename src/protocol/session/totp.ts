/** Codes that follow from a secret and the time: TOTP (RFC 6238), over HOTP (RFC 4226 5.3). */
import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import type { Totp } from "../config/types.ts";

const HASHES = { SHA1: sha1, SHA256: sha256, SHA512: sha512 } as const;

/** The code of this moment. @param unixSeconds of the wall clock */
export function totpCode({ secret, algorithm, digits, period }: Totp, unixSeconds: number): string {
  const counter = new Uint8Array(8);
  const steps = Math.floor(unixSeconds / period);
  const d = new DataView(counter.buffer);
  d.setUint32(0, Math.floor(steps / 2 ** 32));
  d.setUint32(4, steps >>> 0);
  const mac = hmac(HASHES[algorithm], secret, counter);
  const at = mac.at(-1)! & 0x0f;
  const word = new DataView(mac.buffer, mac.byteOffset).getUint32(at) & 0x7fff_ffff;
  return `${word % 10 ** digits}`.padStart(digits, "0");
}
