/** OpenSSL's libcrypto by FFI: the only place that loads it. Pointers are plain numbers. */
import { dlopen, FFIType } from "bun:ffi";

const { i32, ptr, u64 } = FFIType;

export interface Libcrypto {
  EVP_aes_256_gcm(): number;
  EVP_aes_128_gcm(): number;
  EVP_chacha20_poly1305(): number;
  EVP_CIPHER_CTX_new(): number;
  EVP_CIPHER_CTX_free(context: number): void;
  EVP_CIPHER_CTX_ctrl(context: number, type: number, argument: number, pointer: number): number;
  EVP_CipherInit_ex(context: number, cipher: number, engine: number, key: number, iv: number, encrypt: number): number;
  EVP_CipherUpdate(context: number, out: number, outLengthAt: number, input: number, length: number): number;
  EVP_CipherFinal_ex(context: number, out: number, outLengthAt: number): number;
  EVP_aes_256_ctr(): number;
  EVP_md5(): number;
  EVP_sha1(): number;
  EVP_sha224(): number;
  EVP_sha256(): number;
  EVP_sha384(): number;
  EVP_sha512(): number;
  HMAC(
    digest: number,
    key: number,
    keyLength: number,
    data: number,
    length: number,
    mac: number,
    macLengthAt: number,
  ): number;
}

/** By soname first (the loader's own search), then where distributions and the VM image have it. */
const PLACES = [
  "libcrypto.so.3",
  "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
  "/usr/lib/aarch64-linux-gnu/libcrypto.so.3",
  "/usr/lib64/libcrypto.so.3",
  "/usr/lib/libcrypto.so.3",
];

let loaded: Libcrypto | undefined;

/** @throws Error in words when the library is on none of the usual places */
export function libcrypto(): Libcrypto {
  if (loaded !== undefined) return loaded;
  const problems: string[] = [];
  for (const place of PLACES) {
    try {
      loaded = load(place);
      return loaded;
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(
    `OpenSSL's libcrypto.so.3 is needed for the data channel (Debian: apt install libssl3): ${problems[0]}`,
  );
}

function load(path: string): Libcrypto {
  return dlopen(path, {
    EVP_aes_256_gcm: { args: [], returns: ptr },
    EVP_aes_128_gcm: { args: [], returns: ptr },
    EVP_chacha20_poly1305: { args: [], returns: ptr },
    EVP_CIPHER_CTX_new: { args: [], returns: ptr },
    EVP_CIPHER_CTX_free: { args: [ptr], returns: FFIType.void },
    EVP_CIPHER_CTX_ctrl: { args: [ptr, i32, i32, ptr], returns: i32 },
    EVP_CipherInit_ex: { args: [ptr, ptr, ptr, ptr, ptr, i32], returns: i32 },
    EVP_CipherUpdate: { args: [ptr, ptr, ptr, ptr, i32], returns: i32 },
    EVP_CipherFinal_ex: { args: [ptr, ptr, ptr], returns: i32 },
    EVP_aes_256_ctr: { args: [], returns: ptr },
    EVP_md5: { args: [], returns: ptr },
    EVP_sha1: { args: [], returns: ptr },
    EVP_sha224: { args: [], returns: ptr },
    EVP_sha256: { args: [], returns: ptr },
    EVP_sha384: { args: [], returns: ptr },
    EVP_sha512: { args: [], returns: ptr },
    HMAC: { args: [ptr, ptr, i32, ptr, u64, ptr, ptr], returns: ptr },
  }).symbols as unknown as Libcrypto;
}
