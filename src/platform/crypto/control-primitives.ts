/**
 * What tls-auth and tls-crypt are made of, on OpenSSL: an HMAC or CTR call copies its input into native memory and the
 * result out of it, and leaves nothing behind in OpenSSL (bench/control.bench.ts).
 */
import { assert } from "../../lib/assert.ts";
import type { DigestName } from "../../protocol/config/types.ts";
import type { ControlPrimitives } from "../../protocol/ports.ts";
import { NativeMemory } from "../sys/memory.ts";
import { digests, type Libcrypto, libcrypto } from "./libcrypto.ts";

/** Places in the native memory. */
const KEY = 0;
const IV = 64;
const LENGTH = 80;
const MAC = 128;
const DATA = 192;
const MAX_KEY_BYTES = 64;
/** A multiple of what a control packet may have. */
const MEMORY_BYTES = 16_384;

export class LibcryptoPrimitives implements ControlPrimitives {
  readonly #lib: Libcrypto;
  readonly #memory: NativeMemory;
  readonly #digests: Readonly<Record<DigestName, number>>;
  readonly #aes256ctr: number;
  readonly #context: number;

  /** @throws Error when libcrypto.so.3 is not there */
  constructor() {
    const lib = libcrypto();
    this.#lib = lib;
    this.#memory = new NativeMemory(MEMORY_BYTES);
    this.#digests = digests(lib);
    this.#aes256ctr = lib.EVP_aes_256_ctr();
    this.#context = lib.EVP_CIPHER_CTX_new();
    assert(this.#context !== 0, "EVP_CIPHER_CTX_new: out of memory");
  }

  hmac(digest: DigestName, key: Uint8Array, data: Uint8Array): Uint8Array {
    const { pointer, bytes, view } = this.#put(key, data);
    const type = this.#digests[digest];
    const mac = this.#lib.HMAC(
      type,
      pointer + KEY,
      key.length,
      pointer + DATA,
      data.length,
      pointer + MAC,
      pointer + LENGTH,
    );
    assert(mac !== 0, `libcrypto refuses HMAC-${digest}`);
    return bytes.slice(MAC, MAC + view.getUint32(LENGTH, true));
  }

  ctr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
    assert(key.length === 32 && iv.length === 16, "AES-256-CTR takes a key of 32 bytes and an IV of 16");
    const { pointer, bytes } = this.#put(key, data);
    bytes.set(iv, IV);
    const at = pointer + DATA;
    const ok =
      this.#lib.EVP_CipherInit_ex(this.#context, this.#aes256ctr, 0, pointer + KEY, pointer + IV, 1) &
      this.#lib.EVP_CipherUpdate(this.#context, at, pointer + LENGTH, at, data.length);
    assert(ok === 1, "libcrypto failed in AES-256-CTR");
    return bytes.slice(DATA, DATA + data.length);
  }

  #put(key: Uint8Array, data: Uint8Array): NativeMemory {
    const memory = this.#memory;
    assert(key.length <= MAX_KEY_BYTES && DATA + data.length <= MEMORY_BYTES, "more than a control packet");
    memory.bytes.set(key, KEY);
    memory.bytes.set(data, DATA);
    return memory;
  }
}
