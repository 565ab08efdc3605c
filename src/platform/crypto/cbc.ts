/**
 * CBC with HMAC on OpenSSL: one cipher and one HMAC context for each key and direction; a packet costs seven calls and no allocation
 * of ours. Everything that C sees is native memory.
 */
import { assert } from "../../lib/assert.ts";
import type { Slab } from "../../lib/slab.ts";
import type { CbcFactory, CbcKey, CbcKeys, CbcName } from "../../protocol/ports.ts";
import { KeyMemory } from "./key-memory.ts";
import { digests, type Libcrypto } from "./libcrypto.ts";

/** Places in the cell. */
const LENGTH = 0;
const KEY = 64;
const MAC = 128;
const CELL_BYTES = 192;
const IV_BYTES = 16;

export class LibcryptoCbc implements CbcFactory {
  readonly #memory: KeyMemory;

  /**
   * @param slab the memory that offsets refer to; it must be native memory
   * @param pointer address of the slab's byte 0
   * @throws Error when libcrypto.so.3 is not there
   */
  constructor(slab: Slab, pointer: number) {
    this.#memory = new KeyMemory(slab, pointer, CELL_BYTES);
  }

  create(keys: CbcKeys, use: "seal" | "open"): CbcKey {
    return new LibcryptoCbcKey(this.#memory, keys, use);
  }
}

class LibcryptoCbcKey implements CbcKey {
  readonly #lib: Libcrypto;
  readonly #base: number;
  readonly #size: number;
  readonly #lengthPointer: number;
  readonly #macPointer: number;
  readonly #macLen: number;
  #cipher: number;
  #hmac: number;

  constructor({ lib, base, size, cell }: KeyMemory, { cipher, key, digest, macKey }: CbcKeys, use: "seal" | "open") {
    this.#lib = lib;
    this.#base = base;
    this.#size = size;
    this.#lengthPointer = cell.pointer + LENGTH;
    this.#macPointer = cell.pointer + MAC;
    this.#macLen = macKey.length;
    this.#cipher = lib.EVP_CIPHER_CTX_new();
    this.#hmac = lib.HMAC_CTX_new();
    assert(this.#cipher !== 0 && this.#hmac !== 0, "EVP_CIPHER_CTX_new or HMAC_CTX_new: out of memory");
    // The keys pass through the cell and are wiped there; the contexts keep their own schedules.
    const keyPointer = cell.pointer + KEY;
    cell.bytes.set(key, KEY);
    const made =
      lib.EVP_CipherInit_ex(this.#cipher, cipherOf(lib, cipher), 0, keyPointer, 0, use === "seal" ? 1 : 0) &
      lib.EVP_CIPHER_CTX_set_padding(this.#cipher, 0);
    cell.bytes.set(macKey, KEY);
    const keyed = lib.HMAC_Init_ex(this.#hmac, keyPointer, macKey.length, digests(lib)[digest], 0);
    cell.bytes.fill(0, KEY, MAC);
    assert((made & keyed) === 1, `libcrypto refuses ${cipher} with ${digest}`);
  }

  seal(ivAt: number, at: number, len: number, macAt: number): void {
    this.#bounds(ivAt, at, len, macAt);
    assert(
      this.#crypt(ivAt, at, len, 1) && this.#mac(ivAt, at + len - ivAt, this.#base + macAt),
      "libcrypto failed to seal",
    );
  }

  open(ivAt: number, at: number, len: number, macAt: number): boolean {
    this.#bounds(ivAt, at, len, macAt);
    if (!this.#mac(ivAt, at + len - ivAt, this.#macPointer)) return false;
    if (this.#lib.CRYPTO_memcmp(this.#macPointer, this.#base + macAt, this.#macLen) !== 0) return false;
    return this.#crypt(ivAt, at, len, 0);
  }

  close(): void {
    if (this.#cipher === 0) return;
    // both wipe what they hold
    this.#lib.EVP_CIPHER_CTX_free(this.#cipher);
    this.#lib.HMAC_CTX_free(this.#hmac);
    this.#cipher = 0;
    this.#hmac = 0;
  }

  #crypt(ivAt: number, at: number, len: number, encrypt: number): boolean {
    const lib = this.#lib;
    const data = this.#base + at;
    return (
      (lib.EVP_CipherInit_ex(this.#cipher, 0, 0, 0, this.#base + ivAt, encrypt) &
        lib.EVP_CipherUpdate(this.#cipher, data, this.#lengthPointer, data, len)) ===
      1
    );
  }

  #mac(at: number, len: number, to: number): boolean {
    const lib = this.#lib;
    return (
      (lib.HMAC_Init_ex(this.#hmac, 0, 0, 0, 0) &
        lib.HMAC_Update(this.#hmac, this.#base + at, len) &
        lib.HMAC_Final(this.#hmac, to, this.#lengthPointer)) ===
      1
    );
  }

  /** C has no bounds: a wrong offset of ours would write over anything. Also catches a use after close. */
  #bounds(ivAt: number, at: number, len: number, macAt: number): void {
    const size = this.#size;
    if (
      (ivAt | at | len | macAt) < 0 ||
      ivAt + IV_BYTES > size ||
      ivAt > at ||
      at + len > size ||
      macAt + this.#macLen > size ||
      this.#cipher === 0
    )
      throw new RangeError("CBC outside the slab or after close");
  }
}

function cipherOf(lib: Libcrypto, name: CbcName): number {
  switch (name) {
    case "AES-256-CBC":
      return lib.EVP_aes_256_cbc();
    case "AES-192-CBC":
      return lib.EVP_aes_192_cbc();
    case "AES-128-CBC":
      return lib.EVP_aes_128_cbc();
  }
}
