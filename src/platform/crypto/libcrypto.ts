/** OpenSSL's ciphers by FFI, for the data channel. Pointers are plain numbers. */
import { FFIType } from "bun:ffi";
import type { DigestName } from "../../protocol/config/types.ts";
import { pointer } from "../sys/library.ts";
import { openLibrary } from "./library.ts";

const { i32, ptr, u64, u64_fast } = FFIType;

/** OPENSSL_INIT_NO_LOAD_CONFIG: what a machine's openssl.cnf or OPENSSL_CONF says changes nothing here. */
const NO_LOAD_CONFIG = 0x80;

export interface Libcrypto {
  EVP_aes_256_gcm(): number;
  EVP_aes_192_gcm(): number;
  EVP_aes_128_gcm(): number;
  EVP_aes_256_cbc(): number;
  EVP_aes_192_cbc(): number;
  EVP_aes_128_cbc(): number;
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
  EVP_CIPHER_CTX_set_padding(context: number, padding: number): number;
  HMAC_CTX_new(): number;
  HMAC_CTX_free(context: number): void;
  HMAC_Init_ex(context: number, key: number, keyLength: number, digest: number, engine: number): number;
  HMAC_Update(context: number, data: number, length: number): number;
  HMAC_Final(context: number, mac: number, macLengthAt: number): number;
  CRYPTO_memcmp(a: number, b: number, length: number): number;
  OpenSSL_version(type: number): number;
  OPENSSL_init_crypto(options: number, settings: number): number;
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

let loaded: Libcrypto | undefined;

/** @throws Error in words when the library is in none of the usual places */
export function libcrypto(): Libcrypto {
  if (loaded !== undefined) return loaded;
  loaded = openLibrary<Libcrypto>("libcrypto.so.3", "the data channel", {
    EVP_aes_256_gcm: { args: [], returns: pointer },
    EVP_aes_192_gcm: { args: [], returns: pointer },
    EVP_aes_128_gcm: { args: [], returns: pointer },
    EVP_aes_256_cbc: { args: [], returns: pointer },
    EVP_aes_192_cbc: { args: [], returns: pointer },
    EVP_aes_128_cbc: { args: [], returns: pointer },
    EVP_chacha20_poly1305: { args: [], returns: pointer },
    EVP_CIPHER_CTX_new: { args: [], returns: pointer },
    EVP_CIPHER_CTX_free: { args: [ptr], returns: FFIType.void },
    EVP_CIPHER_CTX_ctrl: { args: [ptr, i32, i32, ptr], returns: i32 },
    EVP_CipherInit_ex: { args: [ptr, ptr, ptr, ptr, ptr, i32], returns: i32 },
    EVP_CipherUpdate: { args: [ptr, ptr, ptr, ptr, i32], returns: i32 },
    EVP_CipherFinal_ex: { args: [ptr, ptr, ptr], returns: i32 },
    EVP_aes_256_ctr: { args: [], returns: pointer },
    EVP_md5: { args: [], returns: pointer },
    EVP_sha1: { args: [], returns: pointer },
    EVP_sha224: { args: [], returns: pointer },
    EVP_sha256: { args: [], returns: pointer },
    EVP_sha384: { args: [], returns: pointer },
    EVP_sha512: { args: [], returns: pointer },
    HMAC: { args: [ptr, ptr, i32, ptr, u64, ptr, ptr], returns: pointer },
    EVP_CIPHER_CTX_set_padding: { args: [ptr, i32], returns: i32 },
    HMAC_CTX_new: { args: [], returns: pointer },
    HMAC_CTX_free: { args: [ptr], returns: FFIType.void },
    HMAC_Init_ex: { args: [ptr, ptr, i32, ptr, ptr], returns: i32 },
    HMAC_Update: { args: [ptr, ptr, u64_fast], returns: i32 },
    HMAC_Final: { args: [ptr, ptr, ptr], returns: i32 },
    CRYPTO_memcmp: { args: [ptr, ptr, u64_fast], returns: i32 },
    OpenSSL_version: { args: [i32], returns: pointer },
    OPENSSL_init_crypto: { args: [u64_fast, ptr], returns: i32 },
  });
  // Before anything else is called: later calls would read the configuration file.
  loaded.OPENSSL_init_crypto(NO_LOAD_CONFIG, 0);
  return loaded;
}

/** The EVP_MD of each digest, which OpenSSL keeps for as long as the process runs. */
export const digests = (lib: Libcrypto): Readonly<Record<DigestName, number>> => ({
  MD5: lib.EVP_md5(),
  SHA1: lib.EVP_sha1(),
  SHA224: lib.EVP_sha224(),
  SHA256: lib.EVP_sha256(),
  SHA384: lib.EVP_sha384(),
  SHA512: lib.EVP_sha512(),
});
