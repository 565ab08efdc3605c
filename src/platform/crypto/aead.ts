/**
 * The data channel's AEAD on OpenSSL: one cipher context for each key, with the key schedule made once; a packet costs
 * five calls and no allocation (bench/aead.bench.ts). Everything that C sees is native memory.
 */
import { assert } from "../../lib/assert.ts";
import type { Slab } from "../../lib/slab.ts";
import type { AeadFactory, AeadKey, AeadName } from "../../protocol/ports.ts";
import { NativeMemory } from "../sys/memory.ts";
import { type Libcrypto, libcrypto } from "./libcrypto.ts";

/** include/openssl/evp.h */
const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;
const TAG_BYTES = 16;
/** Native memory of one key: the nonce, and the length that EVP writes, on a cache line of their own. */
const CELL_BYTES = 64;
const LENGTH_OFFSET = 16;
const CELLS = 4096;

export class LibcryptoAead implements AeadFactory {
  readonly #base: number;
  readonly #size: number;
  readonly #lib: Libcrypto;
  readonly #cells: NativeMemory;
  readonly #free: number[] = [];
  #used = 0;

  /**
   * @param slab the memory that offsets refer to; it must be native memory
   * @param pointer address of the slab's byte 0
   * @throws Error when libcrypto.so.3 is not there
   */
  constructor(slab: Slab, pointer: number) {
    this.#base = pointer;
    this.#size = slab.bytes.length;
    this.#lib = libcrypto();
    this.#cells = new NativeMemory(CELLS * CELL_BYTES);
  }

  create(name: AeadName, key: Uint8Array, use: "seal" | "open"): AeadKey {
    assert(key.length === (name === "AES-128-GCM" ? 16 : 32), `${name} does not take a key of ${key.length} bytes`);
    const cell = this.#free.pop() ?? this.#used++ * CELL_BYTES;
    assert(cell < CELLS * CELL_BYTES, "too many keys at once");
    return new LibcryptoKey(this.#lib, this.#base, this.#size, this.#cells, cell, name, key, use, this.#free);
  }
}

class LibcryptoKey implements AeadKey {
  readonly nonce: DataView;
  readonly #lib: Libcrypto;
  readonly #base: number;
  readonly #size: number;
  readonly #noncePointer: number;
  readonly #lengthPointer: number;
  readonly #release: () => void;
  #context: number;

  constructor(
    lib: Libcrypto,
    base: number,
    size: number,
    cells: NativeMemory,
    cell: number,
    name: AeadName,
    key: Uint8Array,
    use: "seal" | "open",
    free: number[],
  ) {
    this.#lib = lib;
    this.#base = base;
    this.#size = size;
    this.#noncePointer = cells.pointer + cell;
    this.#lengthPointer = cells.pointer + cell + LENGTH_OFFSET;
    cells.bytes.fill(0, cell, cell + CELL_BYTES);
    this.nonce = new DataView(cells.buffer, cell, 12);
    this.#release = () => {
      cells.bytes.fill(0, cell, cell + CELL_BYTES);
      free.push(cell);
    };
    this.#context = lib.EVP_CIPHER_CTX_new();
    assert(this.#context !== 0, "EVP_CIPHER_CTX_new: out of memory");
    // the key passes through the second half of the cell and is wiped there; the context keeps its own schedule
    cells.bytes.set(key, cell + 32);
    const encrypt = use === "seal" ? 1 : 0;
    const made = lib.EVP_CipherInit_ex(this.#context, cipher(lib, name), 0, this.#noncePointer + 32, 0, encrypt);
    cells.bytes.fill(0, cell + 32, cell + 64);
    assert(made === 1, `libcrypto refuses ${name}`);
  }

  seal(aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void {
    const lib = this.#lib;
    const context = this.#context;
    const data = this.#base + at;
    const out = this.#lengthPointer;
    this.#bounds(aadAt, aadLen, at, len, tagAt);
    const ok =
      lib.EVP_CipherInit_ex(context, 0, 0, 0, this.#noncePointer, 1) &
      (aadLen === 0 ? 1 : lib.EVP_CipherUpdate(context, 0, out, this.#base + aadAt, aadLen)) &
      (len === 0 ? 1 : lib.EVP_CipherUpdate(context, data, out, data, len)) &
      lib.EVP_CipherFinal_ex(context, data, out) &
      lib.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, this.#base + tagAt);
    assert(ok === 1, "libcrypto failed to seal");
  }

  open(aadAt: number, aadLen: number, at: number, len: number, tagAt: number): boolean {
    const lib = this.#lib;
    const context = this.#context;
    const data = this.#base + at;
    const out = this.#lengthPointer;
    this.#bounds(aadAt, aadLen, at, len, tagAt);
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
    this.#release();
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
    case "AES-128-GCM":
      return lib.EVP_aes_128_gcm();
    case "CHACHA20-POLY1305":
      return lib.EVP_chacha20_poly1305();
  }
}
