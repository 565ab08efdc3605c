/** What the protocol needs from outside: AEAD, TLS, random bytes. The appliance implements them; tests may fake TLS. */
import type { DigestName, Material } from "./config/types.ts";

export type { Random } from "../lib/random.ts";

/**
 * One direction of one data-channel key. Offsets are absolute in the slab that the factory was made for. The nonce of a
 * packet is the key's implicit IV with the packet's 64-bit id XORed into the first 8 bytes; no id may be sealed with twice.
 */
export interface AeadKey {
  /**
   * Encrypts [at, at + len) in place and writes the 16-byte tag at tagAt. The additional data is [aadAt, aadAt + aadLen).
   * @param high,low the packet's id, 32 bits each
   */
  seal(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): void;
  /** Checks the tag at tagAt and decrypts [at, at + len) in place; false (contents undefined) when it is wrong. */
  open(high: number, low: number, aadAt: number, aadLen: number, at: number, len: number, tagAt: number): boolean;
  /** Ends the use of the key and wipes what it holds. */
  close(): void;
}

export type AeadName = "AES-256-GCM" | "AES-128-GCM" | "CHACHA20-POLY1305";

export interface AeadFactory {
  /** @param key 32 or 16 bytes @param iv 12 bytes; both are copied. `use` says which of seal and open will be called. */
  create(name: AeadName, key: Uint8Array, iv: Uint8Array, use: "seal" | "open"): AeadKey;
}

/**
 * What tls-auth and tls-crypt are made of. Whoever can send packets decides how often these run, before anything is known
 * about the sender. Neither keeps what it is given, and both return memory of their own.
 */
export interface ControlPrimitives {
  hmac(digest: DigestName, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** AES-256 in counter mode with a 128-bit counter; it decrypts as it encrypts. @param key 32 bytes @param iv 16 bytes */
  ctr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
}

export interface TlsParameters {
  readonly isServer: boolean;
  readonly ca: Material | undefined;
  readonly cert: Material | undefined;
  readonly key: Material | undefined;
  readonly extraCerts: Material | undefined;
  readonly pkcs12: Material | undefined;
  readonly passphrase: string | undefined;
  readonly crl: Material | undefined;
  readonly minVersion: "1.2" | "1.3";
  readonly maxVersion: "1.2" | "1.3";
  readonly cipherList: string | undefined;
  readonly cipherSuites: string | undefined;
  readonly groups: string | undefined;
  /** false only with peer-fingerprint and no ca: the chain is then not checked, the fingerprint is. */
  readonly verifyChain: boolean;
}

/** Why a TLS session ended; `code` is the library's (CERT_HAS_EXPIRED, ...), or an alert's name. */
export interface TlsFailure {
  readonly kind: "certificate" | "own-certificate" | "alert" | "protocol" | "closed";
  readonly code: string;
  readonly message: string;
}

/**
 * A TLS session without a socket. It may work asynchronously: after receive()/send() results can appear in a later
 * turn; `onActivity` (given at creation) is called then, and the owner polls again.
 */
export interface TlsEngine {
  readonly state: "handshake" | "established" | "failed" | "closed";
  readonly failure: TlsFailure | undefined;
  /** Work is under way in the event loop: the owner must yield to it instead of sleeping in poll(). */
  readonly busy: boolean;
  /** TLS records from the peer (copied). */
  receive(ciphertext: Uint8Array): void;
  /** TLS records for the peer, or undefined when there are none now. */
  pull(): Uint8Array | undefined;
  /** Plaintext for the peer (copied); allowed once established. */
  send(plaintext: Uint8Array): void;
  /** Plaintext from the peer, or undefined when there is none now. */
  read(): Uint8Array | undefined;
  /** RFC 5705 / RFC 8446 7.5 exporter without context. Only once established. */
  exportKeyingMaterial(label: string, length: number): Uint8Array;
  /** DER certificates of the peer, leaf first, as far as known. Only once established. */
  peerCertificates(): readonly Uint8Array[];
  /** "TLSv1.3" and the cipher suite's name, for the log. */
  describe(): string;
  close(): void;
}

export interface TlsEngineFactory {
  /** Throws when own material is unusable (bad PEM, wrong pass phrase, key does not match): message for a person. */
  create(parameters: TlsParameters, onActivity: () => void): TlsEngine;
}
