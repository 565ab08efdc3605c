/** AeadFactory in pure TypeScript over @noble/ciphers: the library's default, and what tests use. Slow, allocates. */
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import type { Slab } from "../../lib/slab.ts";
import type { AeadFactory, AeadKey, AeadName } from "../ports.ts";
import { TAG_LEN } from "./packet.ts";

export const AEAD_KEY_LEN: Readonly<Record<AeadName, number>> = Object.freeze({
  "AES-256-GCM": 32,
  "AES-128-GCM": 16,
  "CHACHA20-POLY1305": 32,
});

export const NONCE_LEN = 12;

export function nobleAead(slab: Slab): AeadFactory {
  return { create: (name, key) => new NobleKey(slab.bytes, name, key.slice()) };
}

class NobleKey implements AeadKey {
  readonly nonce = new DataView(new ArrayBuffer(NONCE_LEN));
  readonly #bytes: Uint8Array;
  readonly #name: AeadName;
  readonly #key: Uint8Array;

  constructor(bytes: Uint8Array, name: AeadName, key: Uint8Array) {
    this.#bytes = bytes;
    this.#name = name;
    this.#key = key;
  }

  seal(aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void {
    const sealed = this.#cipher(aadAt, aadLen).encrypt(this.#bytes.slice(at, at + len));
    this.#bytes.set(sealed.subarray(0, len), at);
    this.#bytes.set(sealed.subarray(len), tagAt);
  }

  open(aadAt: number, aadLen: number, at: number, len: number, tagAt: number): boolean {
    const sealed = new Uint8Array(len + TAG_LEN);
    sealed.set(this.#bytes.subarray(at, at + len));
    sealed.set(this.#bytes.subarray(tagAt, tagAt + TAG_LEN), len);
    try {
      this.#bytes.set(this.#cipher(aadAt, aadLen).decrypt(sealed), at);
      return true;
    } catch {
      return false; // noble throws for a wrong tag, and for nothing else here
    }
  }

  close(): void {
    this.#key.fill(0);
  }

  #cipher(aadAt: number, aadLen: number) {
    const nonce = new Uint8Array(this.nonce.buffer, 0, NONCE_LEN).slice();
    const aad = this.#bytes.slice(aadAt, aadAt + aadLen);
    const make = this.#name === "CHACHA20-POLY1305" ? chacha20poly1305 : gcm;
    return make(this.#key, nonce, aad);
  }
}
