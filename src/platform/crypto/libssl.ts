/**
 * OpenSSL's TLS by FFI: the functions of libssl.so.3 and of libcrypto.so.3 (certificates, BIOs, PEM, PKCS #12) that the TLS
 * engine calls. Pointers are plain numbers, 0 is NULL.
 *
 * The library keeps no pointer to anything of ours: bytes pass through one piece of native memory and are copied by the call.
 */
import { CString, FFIType } from "bun:ffi";
import { pointer } from "../sys/library.ts";
import { NativeMemory } from "../sys/memory.ts";
import { libcrypto } from "./libcrypto.ts";
import { openLibrary } from "./library.ts";

const { i32, ptr, i64_fast, u64_fast } = FFIType;
const nothing = FFIType.void;

interface Ssl {
  TLS_method(): number;
  SSL_CTX_new(method: number): number;
  SSL_CTX_free(context: number): void;
  SSL_CTX_ctrl(context: number, command: number, number: number, pointer: number): number;
  SSL_CTX_set_options(context: number, options: number): number;
  SSL_CTX_set_num_tickets(context: number, count: number): number;
  SSL_CTX_set_security_level(context: number, level: number): void;
  SSL_CTX_get_security_level(context: number): number;
  SSL_CTX_get_security_callback(context: number): number;
  SSL_CTX_set_security_callback(context: number, callback: number): void;
  SSL_CTX_set_cipher_list(context: number, text: number): number;
  SSL_CTX_set_ciphersuites(context: number, text: number): number;
  SSL_CTX_get_ciphers(context: number): number;
  SSL_CIPHER_get_name(cipher: number): number;
  SSL_CIPHER_standard_name(cipher: number): number;
  SSL_CTX_set_verify(context: number, mode: number, callback: number): void;
  SSL_CTX_get_cert_store(context: number): number;
  SSL_CTX_use_certificate(context: number, certificate: number): number;
  SSL_CTX_use_PrivateKey(context: number, key: number): number;
  SSL_CTX_add_client_CA(context: number, certificate: number): number;
  SSL_new(context: number): number;
  SSL_free(ssl: number): void;
  SSL_set_bio(ssl: number, input: number, output: number): void;
  SSL_set_accept_state(ssl: number): void;
  SSL_set_connect_state(ssl: number): void;
  SSL_set_hostflags(ssl: number, flags: number): void;
  SSL_set1_host(ssl: number, name: number): number;
  SSL_ctrl(ssl: number, command: number, number: number, pointer: number): number;
  SSL_do_handshake(ssl: number): number;
  SSL_read(ssl: number, buffer: number, length: number): number;
  SSL_write(ssl: number, buffer: number, length: number): number;
  SSL_get_error(ssl: number, result: number): number;
  SSL_get_version(ssl: number): number;
  SSL_get_current_cipher(ssl: number): number;
  SSL_get0_verified_chain(ssl: number): number;
  SSL_get0_peer_certificate(ssl: number): number;
  SSL_export_keying_material(
    ssl: number,
    out: number,
    length: number,
    label: number,
    labelLength: number,
    context: number,
    contextLength: number,
    useContext: number,
  ): number;
}

interface Crypto {
  ERR_clear_error(): void;
  ERR_get_error(): number;
  ERR_reason_error_string(code: number): number;
  BIO_new(method: number): number;
  BIO_s_mem(): number;
  BIO_free(bio: number): number;
  BIO_write(bio: number, data: number, length: number): number;
  BIO_read(bio: number, data: number, length: number): number;
  BIO_ctrl(bio: number, command: number, number: number, pointer: number): number;
  OPENSSL_sk_num(stack: number): number;
  OPENSSL_sk_value(stack: number, index: number): number;
  OPENSSL_sk_free(stack: number): void;
  d2i_X509_bio(bio: number, into: number): number;
  d2i_X509_CRL_bio(bio: number, into: number): number;
  d2i_X509_AUX(into: number, dataAt: number, length: number): number;
  d2i_PKCS12_bio(bio: number, into: number): number;
  i2d_X509_bio(bio: number, certificate: number): number;
  PEM_read_bio_PrivateKey(bio: number, into: number, callback: number, passphrase: number): number;
  PKCS12_parse(p12: number, passphrase: number, keyAt: number, certificateAt: number, othersAt: number): number;
  PKCS12_free(p12: number): void;
  EVP_PKEY_free(key: number): void;
  X509_up_ref(certificate: number): number;
  X509_free(certificate: number): void;
  X509_CRL_free(list: number): void;
  X509_get_subject_name(certificate: number): number;
  X509_get0_notBefore(certificate: number): number;
  X509_get0_pubkey(certificate: number): number;
  X509_get_signature_info(certificate: number, md: number, pk: number, bits: number, flags: number): number;
  X509_check_issued(issuer: number, subject: number): number;
  EVP_PKEY_get_security_bits(key: number): number;
  X509_get0_notAfter(certificate: number): number;
  X509_CRL_get_issuer(list: number): number;
  X509_CRL_get0_lastUpdate(list: number): number;
  X509_CRL_get0_nextUpdate(list: number): number;
  X509_NAME_print_ex(bio: number, name: number, indent: number, flags: number): number;
  ASN1_TIME_to_tm(time: number, tm: number): number;
  X509_STORE_add_cert(store: number, certificate: number): number;
  X509_STORE_add_crl(store: number, list: number): number;
  X509_STORE_set_flags(store: number, flags: number): number;
  X509_STORE_CTX_get_error(context: number): number;
  X509_STORE_CTX_set_error(context: number, code: number): void;
  X509_STORE_CTX_get_error_depth(context: number): number;
  X509_STORE_CTX_get_current_cert(context: number): number;
  X509_STORE_CTX_get0_chain(context: number): number;
  X509_verify_cert_error_string(code: number): number;
}

const BIO_CTRL_PENDING = 10;
/** XN_FLAG_SEP_CPLUS_SPC | ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_ESC_CTRL: names as OpenVPN prints them (x509_get_subject). */
const NAME_FLAGS = (2 << 16) | 0x10 | 2;
/** Bytes that one call moves; TLS records have 16 KiB at most. */
const CHUNK = 16384;
/** Behind the chunk: cells for what a call returns through a pointer. */
const CELLS = CHUNK;

export type Libssl = Ssl & Crypto;

/** The library with the memory that calls pass their arguments through, and what is needed everywhere around it. */
export class OpenSsl {
  readonly lib: Libssl;
  readonly memory = new NativeMemory(CHUNK + 4096);

  constructor(lib: Libssl) {
    this.lib = lib;
  }

  /** Address of a cell of 8 bytes. */
  cell(index: number): number {
    return this.memory.pointer + CELLS + 8 * index;
  }

  /** A pointer that a call wrote into a cell. */
  pointerAt(index: number): number {
    return Number(this.memory.view.getBigUint64(CELLS + 8 * index, true));
  }

  setPointer(index: number, value: number): void {
    this.memory.view.setBigUint64(CELLS + 8 * index, BigInt(value), true);
  }

  /** The text with a NUL behind it, good until the next use of the memory. @throws RangeError when it is too long */
  text(text: string): number {
    const bytes = new TextEncoder().encode(`${text}\0`);
    if (bytes.length > CHUNK) throw new RangeError(`a text of ${bytes.length} bytes`);
    this.memory.bytes.set(bytes);
    return this.memory.pointer;
  }

  /** Overwrites what the last calls passed through: it may have been a pass phrase or a key. */
  wipe(length = CHUNK): void {
    this.memory.bytes.fill(0, 0, length);
  }

  /** A new memory BIO. The caller owns it. */
  bio(content?: Uint8Array): number {
    const bio = this.lib.BIO_new(this.lib.BIO_s_mem());
    if (bio === 0) throw new Error("OpenSSL is out of memory");
    if (content !== undefined) this.write(bio, content);
    return bio;
  }

  /** Hands a BIO of these bytes to `use` and frees it. */
  withBio<T>(content: Uint8Array | undefined, use: (bio: number) => T): T {
    const bio = this.bio(content);
    try {
      return use(bio);
    } finally {
      this.lib.BIO_free(bio);
    }
  }

  write(bio: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const part = bytes.subarray(at, at + CHUNK);
      this.memory.bytes.set(part);
      if (this.lib.BIO_write(bio, this.memory.pointer, part.length) !== part.length)
        throw new Error("OpenSSL is out of memory");
    }
  }

  /** Everything that is in the BIO; undefined when it is empty. */
  take(bio: number): Uint8Array | undefined {
    const length = this.lib.BIO_ctrl(bio, BIO_CTRL_PENDING, 0, 0);
    if (length <= 0) return undefined;
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const n = this.lib.BIO_read(bio, this.memory.pointer, Math.min(CHUNK, length - at));
      if (n <= 0) return bytes.subarray(0, at);
      bytes.set(this.memory.bytes.subarray(0, n), at);
      at += n;
    }
    return bytes;
  }

  /** A NUL-terminated text of the library. */
  string(pointer: number): string {
    return pointer === 0 ? "" : new CString(pointer as never).toString();
  }

  /** X509_NAME as OpenVPN prints it: "C=DE, O=Example, CN=server". */
  name(name: number): string {
    return this.withBio(undefined, (bio) => {
      this.lib.X509_NAME_print_ex(bio, name, 0, NAME_FLAGS);
      return new TextDecoder().decode(this.take(bio));
    });
  }

  subject(certificate: number): string {
    return this.name(this.lib.X509_get_subject_name(certificate));
  }

  der(certificate: number): Uint8Array {
    return this.withBio(undefined, (bio) => {
      this.lib.i2d_X509_bio(bio, certificate);
      return this.take(bio) ?? new Uint8Array(0);
    });
  }

  /** The entries of a stack that somebody else owns; none for NULL. */
  stack(stack: number): number[] {
    const count = stack === 0 ? 0 : this.lib.OPENSSL_sk_num(stack);
    return Array.from({ length: Math.max(0, count) }, (_, i) => this.lib.OPENSSL_sk_value(stack, i));
  }
}

let loaded: OpenSsl | undefined;

/** @throws Error in words when a library is in none of the usual places */
export function openSsl(): OpenSsl {
  if (loaded !== undefined) return loaded;
  libcrypto(); // it starts OpenSSL
  const crypto = openLibrary<Crypto>("libcrypto.so.3", "TLS", {
    ERR_clear_error: { args: [], returns: nothing },
    ERR_get_error: { args: [], returns: u64_fast },
    ERR_reason_error_string: { args: [u64_fast], returns: pointer },
    BIO_new: { args: [ptr], returns: pointer },
    BIO_s_mem: { args: [], returns: pointer },
    BIO_free: { args: [ptr], returns: i32 },
    BIO_write: { args: [ptr, ptr, i32], returns: i32 },
    BIO_read: { args: [ptr, ptr, i32], returns: i32 },
    BIO_ctrl: { args: [ptr, i32, i64_fast, ptr], returns: i64_fast },
    OPENSSL_sk_num: { args: [ptr], returns: i32 },
    OPENSSL_sk_value: { args: [ptr, i32], returns: pointer },
    OPENSSL_sk_free: { args: [ptr], returns: nothing },
    d2i_X509_bio: { args: [ptr, ptr], returns: pointer },
    d2i_X509_CRL_bio: { args: [ptr, ptr], returns: pointer },
    d2i_X509_AUX: { args: [ptr, ptr, i64_fast], returns: pointer },
    d2i_PKCS12_bio: { args: [ptr, ptr], returns: pointer },
    i2d_X509_bio: { args: [ptr, ptr], returns: i32 },
    PEM_read_bio_PrivateKey: { args: [ptr, ptr, ptr, ptr], returns: pointer },
    PKCS12_parse: { args: [ptr, ptr, ptr, ptr, ptr], returns: i32 },
    PKCS12_free: { args: [ptr], returns: nothing },
    EVP_PKEY_free: { args: [ptr], returns: nothing },
    X509_up_ref: { args: [ptr], returns: i32 },
    X509_free: { args: [ptr], returns: nothing },
    X509_CRL_free: { args: [ptr], returns: nothing },
    X509_get_subject_name: { args: [ptr], returns: pointer },
    X509_get0_pubkey: { args: [ptr], returns: pointer },
    X509_get_signature_info: { args: [ptr, ptr, ptr, ptr, ptr], returns: i32 },
    X509_check_issued: { args: [ptr, ptr], returns: i32 },
    EVP_PKEY_get_security_bits: { args: [ptr], returns: i32 },
    X509_get0_notBefore: { args: [ptr], returns: pointer },
    X509_get0_notAfter: { args: [ptr], returns: pointer },
    X509_CRL_get_issuer: { args: [ptr], returns: pointer },
    X509_CRL_get0_lastUpdate: { args: [ptr], returns: pointer },
    X509_CRL_get0_nextUpdate: { args: [ptr], returns: pointer },
    X509_NAME_print_ex: { args: [ptr, ptr, i32, u64_fast], returns: i32 },
    ASN1_TIME_to_tm: { args: [ptr, ptr], returns: i32 },
    X509_STORE_add_cert: { args: [ptr, ptr], returns: i32 },
    X509_STORE_add_crl: { args: [ptr, ptr], returns: i32 },
    X509_STORE_set_flags: { args: [ptr, u64_fast], returns: i32 },
    X509_STORE_CTX_get_error: { args: [ptr], returns: i32 },
    X509_STORE_CTX_set_error: { args: [ptr, i32], returns: nothing },
    X509_STORE_CTX_get_error_depth: { args: [ptr], returns: i32 },
    X509_STORE_CTX_get_current_cert: { args: [ptr], returns: pointer },
    X509_STORE_CTX_get0_chain: { args: [ptr], returns: pointer },
    X509_verify_cert_error_string: { args: [i64_fast], returns: pointer },
  });
  const ssl = openLibrary<Ssl>("libssl.so.3", "TLS", {
    TLS_method: { args: [], returns: pointer },
    SSL_CTX_new: { args: [ptr], returns: pointer },
    SSL_CTX_free: { args: [ptr], returns: nothing },
    SSL_CTX_ctrl: { args: [ptr, i32, i64_fast, ptr], returns: i64_fast },
    SSL_CTX_set_options: { args: [ptr, u64_fast], returns: u64_fast },
    SSL_CTX_set_num_tickets: { args: [ptr, u64_fast], returns: i32 },
    SSL_CTX_set_security_level: { args: [ptr, i32], returns: nothing },
    SSL_CTX_get_security_level: { args: [ptr], returns: i32 },
    SSL_CTX_get_security_callback: { args: [ptr], returns: pointer },
    SSL_CTX_set_security_callback: { args: [ptr, ptr], returns: nothing },
    SSL_CTX_set_cipher_list: { args: [ptr, ptr], returns: i32 },
    SSL_CTX_set_ciphersuites: { args: [ptr, ptr], returns: i32 },
    SSL_CTX_get_ciphers: { args: [ptr], returns: pointer },
    SSL_CIPHER_get_name: { args: [ptr], returns: pointer },
    SSL_CIPHER_standard_name: { args: [ptr], returns: pointer },
    SSL_CTX_set_verify: { args: [ptr, i32, ptr], returns: nothing },
    SSL_CTX_get_cert_store: { args: [ptr], returns: pointer },
    SSL_CTX_use_certificate: { args: [ptr, ptr], returns: i32 },
    SSL_CTX_use_PrivateKey: { args: [ptr, ptr], returns: i32 },
    SSL_CTX_add_client_CA: { args: [ptr, ptr], returns: i32 },
    SSL_new: { args: [ptr], returns: pointer },
    SSL_free: { args: [ptr], returns: nothing },
    SSL_set_bio: { args: [ptr, ptr, ptr], returns: nothing },
    SSL_set_accept_state: { args: [ptr], returns: nothing },
    SSL_set_connect_state: { args: [ptr], returns: nothing },
    SSL_set_hostflags: { args: [ptr, i32], returns: nothing },
    SSL_set1_host: { args: [ptr, ptr], returns: i32 },
    SSL_ctrl: { args: [ptr, i32, i64_fast, ptr], returns: i64_fast },
    SSL_do_handshake: { args: [ptr], returns: i32 },
    SSL_read: { args: [ptr, ptr, i32], returns: i32 },
    SSL_write: { args: [ptr, ptr, i32], returns: i32 },
    SSL_get_error: { args: [ptr, i32], returns: i32 },
    SSL_get_version: { args: [ptr], returns: pointer },
    SSL_get_current_cipher: { args: [ptr], returns: pointer },
    SSL_get0_verified_chain: { args: [ptr], returns: pointer },
    SSL_get0_peer_certificate: { args: [ptr], returns: pointer },
    SSL_export_keying_material: { args: [ptr, ptr, u64_fast, ptr, u64_fast, ptr, u64_fast, i32], returns: i32 },
  });
  loaded = new OpenSsl({ ...crypto, ...ssl });
  return loaded;
}
