/**
 * The chain of secrets of the epoch format, one direction of one key: each epoch has a secret, of which its key and implicit IV
 * are made, and the secret of the epoch behind it. Nothing leads back.
 *
 *     E(n + 1) = Expand-Label(E(n), "datakey upd", 32)
 *     key(n) = Expand-Label(E(n), "data_key", key length)      implicit IV(n) = Expand-Label(E(n), "data_iv", 12)
 *
 * Source: OpenVPN's crypto_epoch.c; RFC 8446 7.1 with the prefix "ovpn " in place of "tls13 ".
 */
import { expand } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";

export const EPOCH_SECRET_LEN = 32;
export const EPOCH_FIRST = 1;
const IV_LEN = 12;
const PREFIX = "ovpn ";

/** HKDF-Expand-Label of SHA-256 without context. @param label 1 to 250 characters of ASCII @param length bytes, 65535 at most */
export function expandLabel(secret: Uint8Array, label: string, length: number): Uint8Array {
  const name = PREFIX + label;
  const info = new Uint8Array(name.length + 4);
  info.set([length >> 8, length & 0xff, name.length]);
  for (let i = 0; i < name.length; i++) info[3 + i] = name.charCodeAt(i);
  return expand(sha256, secret, info, length);
}

export class EpochSecret {
  #secret: Uint8Array;
  #epoch: number;

  /** @param secret of this epoch, 32 bytes, which are copied */
  constructor(secret: Uint8Array, epoch = EPOCH_FIRST) {
    this.#secret = secret.slice();
    this.#epoch = epoch;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Moves on to a later epoch. */
  advance(epoch: number): void {
    while (this.#epoch < epoch) {
      const next = expandLabel(this.#secret, "datakey upd", EPOCH_SECRET_LEN);
      this.#secret.fill(0);
      this.#secret = next;
      this.#epoch++;
    }
  }

  dataKey(length: number): Uint8Array {
    return expandLabel(this.#secret, "data_key", length);
  }

  implicitIv(): Uint8Array {
    return expandLabel(this.#secret, "data_iv", IV_LEN);
  }

  wipe(): void {
    this.#secret.fill(0);
  }
}
