/**
 * The data channel's AEAD on OpenSSL: one cipher context for each key, with the key schedule made once; a packet costs
 * five calls and no allocation (bench/aead.bench.ts). Everything that C sees is native memory.
 */
import { assert } from "../../lib/assert.ts";
import type { Slab } from "../../lib/slab.ts";
import { AEAD_KEY_LEN } from "../../protocol/data/aead-key.ts";
import type { AeadFactory, AeadKey, AeadName } from "../../protocol/ports.ts";
import { KeyMemory } from "./key-memory.ts";
import type { Libcrypto } from "./libcrypto.ts";

/** include/openssl/evp.h */
const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;
const TAG_BYTES = 16;
/** Places in the cell. */
const NONCE = 0;
const LENGTH = 16;
const KEY = 32;
const CELL_BYTES = 64;

export class LibcryptoAead implements AeadFactory {
  readonly #memory: KeyMemory;

  /**
   * @param slab the memory that offsets refer to; it must be native memory
   * @param pointer address of the slab's byte 0
   * @throws Error when libcrypto.so.3 is not there
   */
  constructor(slab: Slab, pointer: number) {
    this.#memory = new KeyMemory(slab, pointer, CELL_BYTES);
  }

  create(name: AeadName, key: Uint8Array, iv: Uint8Array, use: "seal" | "open"): AeadKey {
    assert(key.length === AEAD_KEY_LEN[name], `${name} does not take a key of ${key.length} bytes`);
    assert(iv.length === 12, `${name} does not take an IV of ${iv.length} bytes`);
    return new LibcryptoKey(this.#memory, name, key, iv, use);
  }
}

class LibcryptoKey implements AeadKey {
  readonly #lib: Libcrypto;
  readonly #base: number;
  readonly #size: number;
  readonly #cell: DataView;
  readonly #noncePointer: number;
  readonly #lengthPointer: number;
  readonly #iv0: number;
  readonly #iv1: number;
  readonly #iv2: number;
  #context: number;

  constructor(
    { lib, base, size, cell }: KeyMemory,
    name: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    use: "seal" | "open",
  ) {
    this.#lib = lib;
    this.#base = base;
    this.#size = size;
    this.#cell = cell.view;
    this.#noncePointer = cell.pointer + NONCE;
    this.#lengthPointer = cell.pointer + LENGTH;
    const words = new DataView(iv.buffer, iv.byteOffset, iv.byteLength);
    this.#iv0 = words.getInt32(0);
    this.#iv1 = words.getInt32(4);
    this.#iv2 = words.getInt32(8);
    this.#context = lib.EVP_CIPHER_CTX_new();
    assert(this.#context !== 0, "EVP_CIPHER_CTX_new: out of memory");
    // The key passes through the cell and is wiped there; the context keeps its own schedule.
    cell.bytes.set(key, KEY);
    const encrypt = use === "seal" ? 1 : 0;
    const made = lib.EVP_CipherInit_ex(this.#context, cipher(lib, name), 0, cell.pointer + KEY, 0, encrypt);
    cell.bytes.fill(0, KEY, CELL_BYTES);
    assert(made === 1, `libcrypto refuses ${name}`);
  }

  seal(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void {
    const lib = this.#lib;
    const context = this.#context;
    const data = this.#base + at;
    const out = this.#lengthPointer;
    this.#bounds(aadAt, aadLen, at, len, tagAt);
    this.#setNonce(high, low);
    const ok =
      lib.EVP_CipherInit_ex(context, 0, 0, 0, this.#noncePointer, 1) &
      (aadLen === 0 ? 1 : lib.EVP_CipherUpdate(context, 0, out, this.#base + aadAt, aadLen)) &
      (len === 0 ? 1 : lib.EVP_CipherUpdate(context, data, out, data, len)) &
      lib.EVP_CipherFinal_ex(context, data, out) &
      lib.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, this.#base + tagAt);
    assert(ok === 1, "libcrypto failed to seal");
  }

  open(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): boolean {
    const lib = this.#lib;
    const context = this.#context;
    const data = this.#base + at;
    const out = this.#lengthPointer;
    this.#bounds(aadAt, aadLen, at, len, tagAt);
    this.#setNonce(high, low);
    const ok =
      lib.EVP_CipherInit_ex(context, 0, 0, 0, this.#noncePointer, 0) &
      lib.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, this.#base + tagAt) &
      (aadLen === 0 ? 1 : lib.EVP_CipherUpdate(context, 0, out, this.#base + aadAt, aadLen)) &
      (len === 0 ? 1 : lib.EVP_CipherUpdate(context, data, out, data, len));
    // Final is the verdict on the tag: 0 or less when it is wrong
    return ok === 1 && lib.EVP_CipherFinal_ex(context, data, out) === 1;
  }

  close(): void {
    if (this.#context === 0) return;
    this.#lib.EVP_CIPHER_CTX_free(this.#context); // wipes the key schedule
    this.#context = 0;
  }

  #setNonce(high: number, low: number): void {
    const cell = this.#cell;
    cell.setInt32(NONCE, this.#iv0 ^ high);
    cell.setInt32(NONCE + 4, this.#iv1 ^ low);
    cell.setInt32(NONCE + 8, this.#iv2);
  }

  /** C has no bounds: a wrong offset of ours would write over anything. Also catches a use after close. */
  #bounds(aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void {
    const size = this.#size;
    if (
      (aadAt | aadLen | at | len | tagAt) < 0 ||
      aadAt + aadLen > size ||
      at + len > size ||
      tagAt + TAG_BYTES > size ||
      this.#context === 0
    ) {
      throw new RangeError("AEAD outside the slab or after close");
    }
  }
}

function cipher(lib: Libcrypto, name: AeadName): number {
  switch (name) {
    case "AES-256-GCM":
      return lib.EVP_aes_256_gcm();
    case "AES-192-GCM":
      return lib.EVP_aes_192_gcm();
    case "AES-128-GCM":
      return lib.EVP_aes_128_gcm();
    case "CHACHA20-POLY1305":
      return lib.EVP_chacha20_poly1305();
  }
}
