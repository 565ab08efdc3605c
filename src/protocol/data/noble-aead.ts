/** AeadFactory in pure TypeScript over @noble/ciphers: the library's default, and what tests use. Slow, allocates. */
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import type { Slab } from "../../lib/slab.ts";
import type { AeadFactory, AeadKey, AeadName } from "../ports.ts";

const AEAD_TAG_LEN = 16;

export function nobleAead(slab: Slab): AeadFactory {
  return { create: (name, key, iv) => new NobleKey(slab.bytes, name, key.slice(), iv.slice()) };
}

class NobleKey implements AeadKey {
  readonly #bytes: Uint8Array;
  readonly #name: AeadName;
  readonly #key: Uint8Array;
  readonly #iv: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array, name: AeadName, key: Uint8Array, iv: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#name = name;
    this.#key = key;
    this.#iv = iv;
  }

  seal(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void {
    const sealed = this.#cipher(high, low, aadAt, aadLen).encrypt(this.#bytes.slice(at, at + len));
    this.#bytes.set(sealed.subarray(0, len), at);
    this.#bytes.set(sealed.subarray(len), tagAt);
  }

  open(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): boolean {
    const sealed = new Uint8Array(len + AEAD_TAG_LEN);
    sealed.set(this.#bytes.subarray(at, at + len));
    sealed.set(this.#bytes.subarray(tagAt, tagAt + AEAD_TAG_LEN), len);
    try {
      this.#bytes.set(this.#cipher(high, low, aadAt, aadLen).decrypt(sealed), at);
      return true;
    } catch {
      return false; // noble throws for a wrong tag, and for nothing else here
    }
  }

  touch(): number {
    return 0;
  }

  close(): void {
    this.#key.fill(0);
  }

  #cipher(high: number, low: number, aadAt: number, aadLen: number) {
    const nonce = this.#iv.slice();
    const words = new DataView(nonce.buffer);
    words.setInt32(0, words.getInt32(0) ^ high);
    words.setInt32(4, words.getInt32(4) ^ low);
    const aad = this.#bytes.slice(aadAt, aadAt + aadLen);
    const make = this.#name === "CHACHA20-POLY1305" ? chacha20poly1305 : gcm;
    return make(this.#key, nonce, aad);
  }
}
