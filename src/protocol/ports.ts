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
  /**
   * Reads what the next call needs, so that it is in the processor's cache by then.
   * @returns a number that means nothing
   */
  touch(): number;
  /** Ends the use of the key and wipes what it holds. */
  close(): void;
}

export const AEAD_NAMES = ["AES-256-GCM", "AES-192-GCM", "AES-128-GCM", "CHACHA20-POLY1305"] as const;
export type AeadName = (typeof AEAD_NAMES)[number];

export interface AeadFactory {
  /** @param key 32, 24 or 16 bytes @param iv 12 bytes; both are copied. `use` says which of seal and open will be called. */
  create(name: AeadName, key: Uint8Array, iv: Uint8Array, use: "seal" | "open"): AeadKey;
}

export const CBC_NAMES = ["AES-256-CBC", "AES-192-CBC", "AES-128-CBC"] as const;
export type CbcName = (typeof CBC_NAMES)[number];

/** One direction of one key of CBC with HMAC. Offsets are absolute in the slab that the factory was made for. */
export interface CbcKey {
  /**
   * Encrypts [at, at + len), whole blocks, in place under the IV (16 bytes) at ivAt, and writes the HMAC over [ivAt, at + len) to
   * macAt.
   */
  seal(ivAt: number, at: number, len: number, macAt: number): void;
  /**
   * Checks the HMAC at macAt over [ivAt, at + len), in a time that does not depend on where it differs, and only then decrypts
   * [at, at + len) in place. False: it is wrong, and nothing was changed.
   */
  open(ivAt: number, at: number, len: number, macAt: number): boolean;
  /** Ends the use of the key and wipes what it holds. */
  close(): void;
}

/** Keys as long as cipher and digest want them. */
export interface CbcKeys {
  readonly cipher: CbcName;
  readonly key: Uint8Array;
  readonly digest: DigestName;
  readonly macKey: Uint8Array;
}

export interface CbcFactory {
  /** @param keys both are copied @param use which of seal and open will be called */
  create(keys: CbcKeys, use: "seal" | "open"): CbcKey;
}

/** Ciphers of the data channel. */
export type CipherName = AeadName | CbcName;
export const CIPHER_NAMES: readonly CipherName[] = Object.freeze([...AEAD_NAMES, ...CBC_NAMES]);
/** Those of OpenVPN 2.6 where data-ciphers does not say otherwise. */
export const DEFAULT_CIPHERS: readonly CipherName[] = Object.freeze([
  "AES-256-GCM",
  "AES-128-GCM",
  "CHACHA20-POLY1305",
]);

export const isAead = (name: CipherName): name is AeadName => (AEAD_NAMES as readonly string[]).includes(name);

/** The cipher that a person or a peer names, in any case. */
export const cipherNamed = (name: string | undefined): CipherName | undefined =>
  CIPHER_NAMES.find((cipher) => cipher === name?.toUpperCase());

/** Undoes one algorithm of compression, whatever the bytes are: nothing else is read, and nothing beyond `room` written. */
export interface Decompress {
  /**
   * @param at,len what is compressed @param to,room where the result goes; absolute in the slab that it was made for
   * @returns bytes of the result; 0 or less: not of this algorithm, or more than `room`
   */
  decompress(at: number, len: number, to: number, room: number): number;
}

/** undefined: that algorithm's library is not there. */
export interface Decompressors {
  readonly lzo: Decompress | undefined;
  readonly lz4: Decompress | undefined;
}

export const NO_DECOMPRESSORS: Decompressors = Object.freeze({ lzo: undefined, lz4: undefined });

/**
 * What tls-auth and tls-crypt are made of. Whoever can send packets decides how often these run, before anything is known
 * about the sender. Neither keeps what it is given, and both return memory of their own.
 */
export interface ControlPrimitives {
  hmac(digest: DigestName, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** AES-256 in counter mode with a 128-bit counter; it decrypts as it encrypts. @param key 32 bytes @param iv 16 bytes */
  ctr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
}

export type TlsVersion = "1.0" | "1.1" | "1.2" | "1.3";

/** What a configuration says of TLS, and a context is made of. */
export interface TlsSettings {
  readonly ca: Material | undefined;
  readonly cert: Material | undefined;
  readonly key: Material | undefined;
  readonly extraCerts: Material | undefined;
  readonly pkcs12: Material | undefined;
  /** Pass phrase of the key or the PKCS #12 file (askpass FILE). */
  readonly passphrase: string | undefined;
  readonly crl: Material | undefined;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** tls-cipher as written (OpenSSL names, or IANA names with dashes), for TLS 1.2. */
  readonly cipherList: string | undefined;
  readonly cipherSuites: string | undefined;
  readonly groups: string | undefined;
  /** What is too weak to be accepted (man openvpn, --tls-cert-profile). */
  readonly certProfile: "insecure" | "legacy" | "preferred" | "suiteb";
}

export interface TlsParameters extends TlsSettings {
  readonly isServer: boolean;
  /** Of a server: whether a client must show a certificate (man openvpn, --verify-client-cert). A client always wants one. */
  readonly clientCert: "require" | "optional" | "none";
  /** false only with peer-fingerprint and no ca: the chain is then not checked, the fingerprint is. */
  readonly verifyChain: boolean;
}

/** Why a TLS session ended. */
export interface TlsFailure {
  readonly kind: "certificate" | "alert" | "protocol" | "closed";
  /** Of a certificate, OpenSSL's name for the verification result (CERT_HAS_EXPIRED, ...); an alert's name (RFC 8446 6.2). */
  readonly code: string;
  /** In the library's words. */
  readonly message: string;
  /** Of a certificate: which one of the chain. Depth 0 is the peer's own, 1 the one that signed it. */
  readonly certificate?: { readonly subject: string; readonly depth: number };
}

/** Judges the peer by its chain: DER, leaf first, each one signed by the next. False refuses it, with an alert. */
export type AcceptPeer = (chain: readonly Uint8Array[]) => boolean;

/**
 * A TLS session without a socket: it is fed and asked. What a call causes is there when the call returns; where it comes later, the
 * session's handleTls() is called when it has come.
 */
export interface TlsEngine {
  readonly state: "handshake" | "established" | "failed" | "closed";
  readonly failure: TlsFailure | undefined;
  /** What was let pass, and a person should know: each a sentence. */
  readonly warnings: readonly string[];
  /** TLS records from the peer (copied). */
  receive(ciphertext: Uint8Array): void;
  /** TLS records for the peer, an alert after a failure too; undefined when there are none now. */
  pull(): Uint8Array | undefined;
  /** Plaintext for the peer (copied); allowed once established. */
  send(plaintext: Uint8Array): void;
  /** Plaintext from the peer, or undefined when there is none now. */
  read(): Uint8Array | undefined;
  /** RFC 5705 / RFC 8446 7.5 exporter without context. Only once established. */
  exportKeyingMaterial(label: string, length: number): Uint8Array;
  /** DER certificates of the peer, leaf first, as far as known; none where it showed none. Only once established. */
  peerCertificates(): readonly Uint8Array[];
  /** "TLSv1.3" and the cipher suite's name, for the log. */
  describe(): string;
  close(): void;
}

/** What all TLS sessions of a configuration have in common: own material, the peer's authority, settings. */
export interface TlsContext {
  /**
   * @param accept asked once for a chain that holds; not for a client that shows no certificate and need not
   * @param name of the server, for a client: it is told who is meant (RFC 6066 3), and its certificate must be for that name or IP address
   * (RFC 9525, by subjectAltName alone); undefined: it is not asked who it is, as OpenVPN does
   */
  engine(accept: AcceptPeer, name?: string): TlsEngine;
  /** Its engines live on. */
  close(): void;
}

export interface TlsContextFactory {
  /** Throws when own material is unusable (bad PEM, wrong pass phrase, key does not match): message for a person. */
  context(parameters: TlsParameters): TlsContext;
}
