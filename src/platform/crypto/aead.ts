/**
 * The data channel's AEAD on OpenSSL. A packet costs five calls and no allocation (bench/aead.bench.ts). Everything that C sees is native
 * memory.
 *
 * A cipher context with its key schedule has 900 bytes of memory in several places. A server of a thousand clients would fetch another one
 * for each packet, which takes longer than to make the schedule anew (0.2 us). So keys share a few contexts, and have but a cell of 64
 * bytes of their own; the schedule is made where another key used the context last. Whoever has few keys has a context for each.
 */
import { assert } from "../../lib/assert.ts";
import type { Slab } from "../../lib/slab.ts";
import { AEAD_KEY_LEN } from "../../protocol/data/aead-key.ts";
import type { AeadFactory, AeadKey, AeadName } from "../../protocol/ports.ts";
import { NativeMemory } from "../sys/memory.ts";
import { KeyMemory } from "./key-memory.ts";
import type { Libcrypto } from "./libcrypto.ts";

/** include/openssl/evp.h */
const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;
const TAG_BYTES = 16;
/** Places in what all keys of a factory share. */
const NONCE = 0;
const LENGTH = 16;
const NO_KEY = 32;
const SHARED_BYTES = 64;
/** Places in the cell of a key. */
const KEY = 0;
const IV = 32;
const CELL_BYTES = 64;
const CELLS = 1024;
/** Our choice: contexts of each cipher and direction. All of them stay in the processor's own cache. A power of two. */
const CONTEXTS = 32;
const NOBODY = -1;

/** The cell of a key. */
interface Cell {
  readonly memory: NativeMemory;
  readonly at: number;
}

export class LibcryptoAead implements AeadFactory {
  readonly #memory: KeyMemory;
  readonly #free: Cell[] = [];
  readonly #contexts = new Map<string, SharedContexts>();
  #made = 0;

  /**
   * @param slab the memory that offsets refer to; it must be native memory
   * @param pointer address of the slab's byte 0
   * @throws Error when libcrypto.so.3 is not there
   */
  constructor(slab: Slab, pointer: number) {
    this.#memory = new KeyMemory(slab, pointer, SHARED_BYTES);
  }

  create(name: AeadName, key: Uint8Array, iv: Uint8Array, use: "seal" | "open"): AeadKey {
    assert(key.length === AEAD_KEY_LEN[name], `${name} does not take a key of ${key.length} bytes`);
    assert(iv.length === 12, `${name} does not take an IV of ${iv.length} bytes`);
    const kind = `${name} ${use}`;
    const contexts = this.#contexts.get(kind) ?? new SharedContexts(this.#memory, name, use);
    this.#contexts.set(kind, contexts);
    const cell = this.#free.pop() ?? this.#moreCells();
    cell.memory.bytes.set(key, cell.at + KEY);
    cell.memory.bytes.set(iv, cell.at + IV);
    return new LibcryptoKey(contexts, this.#made++, cell, (closed) => this.#free.push(closed));
  }

  #moreCells(): Cell {
    const memory = new NativeMemory(CELLS * CELL_BYTES);
    for (let n = CELLS - 1; n > 0; n--) this.#free.push({ memory, at: n * CELL_BYTES });
    return { memory, at: 0 };
  }
}

/** The contexts of a cipher and direction, and what all keys share. */
class SharedContexts {
  readonly lib: Libcrypto;
  readonly base: number;
  readonly size: number;
  readonly nonce: DataView;
  readonly noncePointer: number;
  readonly lengthPointer: number;
  /** Addresses. */
  readonly pointers = new Float64Array(CONTEXTS);
  /** Address of the key whose schedule each has; NOBODY: that of zeros. */
  readonly owners = new Float64Array(CONTEXTS).fill(NOBODY);
  readonly #noKey: number;
  readonly #encrypt: number;
  readonly #cipher: number;

  constructor({ lib, base, size, cell }: KeyMemory, name: AeadName, use: "seal" | "open") {
    this.lib = lib;
    this.base = base;
    this.size = size;
    this.nonce = cell.view;
    this.noncePointer = cell.pointer + NONCE;
    this.lengthPointer = cell.pointer + LENGTH;
    this.#noKey = cell.pointer + NO_KEY;
    this.#encrypt = use === "seal" ? 1 : 0;
    this.#cipher = cipher(lib, name);
  }

  /** The one of this number is there. */
  prepare(n: number): void {
    if (this.pointers[n] !== 0) return;
    const context = this.lib.EVP_CIPHER_CTX_new();
    assert(context !== 0, "EVP_CIPHER_CTX_new: out of memory");
    const made = this.lib.EVP_CipherInit_ex(context, this.#cipher, 0, this.#noKey, this.noncePointer, this.#encrypt);
    assert(made === 1, "libcrypto refuses an AEAD cipher");
    this.pointers[n] = context;
  }

  /** Nothing of this key is left. @param key its address */
  forget(n: number, key: number): void {
    if (this.owners[n] !== key) return;
    this.owners[n] = NOBODY;
    this.lib.EVP_CipherInit_ex(this.pointers[n]!, 0, 0, this.#noKey, this.noncePointer, this.#encrypt);
  }
}

class LibcryptoKey implements AeadKey {
  readonly #contexts: SharedContexts;
  readonly #number: number;
  readonly #cell: DataView;
  readonly #at: number;
  readonly #free: () => void;
  /** Address of the key; 0: it is closed. */
  #key: number;

  constructor(contexts: SharedContexts, made: number, cell: Cell, free: (cell: Cell) => void) {
    this.#contexts = contexts;
    this.#number = made & (CONTEXTS - 1);
    this.#cell = cell.memory.view;
    this.#at = cell.at;
    this.#key = cell.memory.pointer + cell.at + KEY;
    this.#free = () => {
      cell.memory.bytes.fill(0, cell.at, cell.at + CELL_BYTES);
      free(cell);
    };
    contexts.prepare(this.#number);
  }

  seal(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void {
    const contexts = this.#contexts;
    const { lib, base, lengthPointer } = contexts;
    const data = base + at;
    this.#bounds(aadAt, aadLen, at, len, tagAt);
    const context = contexts.pointers[this.#number]!;
    const ok =
      this.#begin(context, high, low, 1) &
      (aadLen === 0 ? 1 : lib.EVP_CipherUpdate(context, 0, lengthPointer, base + aadAt, aadLen)) &
      (len === 0 ? 1 : lib.EVP_CipherUpdate(context, data, lengthPointer, data, len)) &
      lib.EVP_CipherFinal_ex(context, data, lengthPointer) &
      lib.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, base + tagAt);
    assert(ok === 1, "libcrypto failed to seal");
  }

  open(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): boolean {
    const contexts = this.#contexts;
    const { lib, base, lengthPointer } = contexts;
    const data = base + at;
    this.#bounds(aadAt, aadLen, at, len, tagAt);
    const context = contexts.pointers[this.#number]!;
    const ok =
      this.#begin(context, high, low, 0) &
      lib.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, base + tagAt) &
      (aadLen === 0 ? 1 : lib.EVP_CipherUpdate(context, 0, lengthPointer, base + aadAt, aadLen)) &
      (len === 0 ? 1 : lib.EVP_CipherUpdate(context, data, lengthPointer, data, len));
    // Final is the verdict on the tag: 0 or less when it is wrong
    return ok === 1 && lib.EVP_CipherFinal_ex(context, data, lengthPointer) === 1;
  }

  touch(): number {
    return this.#key === 0 ? 0 : this.#cell.getInt32(this.#at + KEY) ^ this.#cell.getInt32(this.#at + IV);
  }

  close(): void {
    if (this.#key === 0) return;
    this.#contexts.forget(this.#number, this.#key);
    this.#key = 0;
    this.#free();
  }

  /** Sets the nonce, and the key where the context has another one. @returns 1: it went */
  #begin(context: number, high: number, low: number, encrypt: number): number {
    const { lib, nonce, noncePointer, owners } = this.#contexts;
    const cell = this.#cell;
    const iv = this.#at + IV;
    nonce.setInt32(NONCE, cell.getInt32(iv) ^ high);
    nonce.setInt32(NONCE + 4, cell.getInt32(iv + 4) ^ low);
    nonce.setInt32(NONCE + 8, cell.getInt32(iv + 8));
    const key = this.#key;
    if (owners[this.#number] === key) return lib.EVP_CipherInit_ex(context, 0, 0, 0, noncePointer, encrypt);
    owners[this.#number] = NOBODY;
    const ok = lib.EVP_CipherInit_ex(context, 0, 0, key, noncePointer, encrypt);
    assert(ok === 1, "libcrypto refuses a key");
    owners[this.#number] = key;
    return ok;
  }

  /** C has no bounds: a wrong offset of ours would write over anything. Also catches a use after close. */
  #bounds(aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void {
    const { size } = this.#contexts;
    if (
      (aadAt | aadLen | at | len | tagAt) < 0 ||
      aadAt + aadLen > size ||
      at + len > size ||
      tagAt + TAG_BYTES > size ||
      this.#key === 0
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
