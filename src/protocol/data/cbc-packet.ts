/**
 * What packets of CBC with HMAC have in common, whether their keys come of TLS (cbc-key.ts) or of a file (static-data-key.ts):
 *
 *     HMAC  IV (16)  CBC of { body  padding }
 *
 * The HMAC is over IV and ciphertext, and is checked before anything is decrypted. Padding is PKCS #7: 1 to 16 bytes. The data path:
 * no allocation, offsets into the slab. Source: OpenVPN's crypto.c (openvpn_encrypt_v1, openvpn_decrypt_v1).
 */
import type { Random } from "../../lib/random.ts";
import type { Slab } from "../../lib/slab.ts";
import type { DigestName } from "../config/types.ts";
import { cipherPart, hmacPart } from "../control/static-key.ts";
import { DIGEST_LEN } from "../control/tls-auth.ts";
import { DROP_DATA_AUTHENTICATION, DROP_DATA_PADDING, DROP_DATA_TRUNCATED } from "../drop.ts";
import type { CbcFactory, CbcKey, CbcName } from "../ports.ts";
import type { KeyNumber } from "../side.ts";

const BLOCK = 16;
const IV_LEN = 16;
/** IVs that are drawn at once. */
const IVS = 64;

const KEY_LEN: Readonly<Record<CbcName, number>> = Object.freeze({
  "AES-256-CBC": 32,
  "AES-192-CBC": 24,
  "AES-128-CBC": 16,
});

export interface CbcOptions {
  readonly slab: Slab;
  readonly cbc: CbcFactory;
  readonly random: Random;
  readonly cipher: CbcName;
  readonly digest: DigestName;
  /** Which half of the key block this side sends with, and which one it opens with. */
  readonly sendKey: KeyNumber;
  readonly openKey: KeyNumber;
}

export class CbcPackets {
  /** Bytes that sealing adds to a body at most. */
  readonly overhead: number;
  /** Bytes of what the last call made. */
  len = 0;
  readonly #bytes: Uint8Array;
  readonly #seal: CbcKey;
  readonly #open: CbcKey;
  readonly #macLen: number;
  readonly #random: Random;
  readonly #ivs = new Uint8Array(IVS * IV_LEN);
  #nextIv = IVS * IV_LEN;

  /** @param block 256 bytes of key material */
  constructor(block: Uint8Array, { slab, cbc, random, cipher, digest, sendKey, openKey }: CbcOptions) {
    const macLen = DIGEST_LEN[digest];
    const create = (half: KeyNumber, use: "seal" | "open"): CbcKey => {
      const key = cipherPart(block, half, KEY_LEN[cipher]);
      return cbc.create({ cipher, key, digest, macKey: hmacPart(block, half, macLen) }, use);
    };
    this.#bytes = slab.bytes;
    this.#macLen = macLen;
    this.#random = random;
    this.#seal = create(sendKey, "seal");
    this.#open = create(openKey, "open");
    this.overhead = macLen + IV_LEN + BLOCK;
  }

  /** The largest body that becomes at most `size` bytes. */
  bodyMax(size: number): number {
    const room = size - this.#macLen - IV_LEN;
    return room - (room % BLOCK) - 1;
  }

  /** Encrypts the body [at, at + len) where it stands. @returns where it starts now, with `this.len` bytes */
  seal(at: number, len: number): number {
    const bytes = this.#bytes;
    const padding = BLOCK - (len % BLOCK);
    for (let i = 0; i < padding; i++) bytes[at + len + i] = padding;
    const ivAt = at - IV_LEN;
    const macAt = ivAt - this.#macLen;
    this.#putIv(ivAt);
    this.#seal.seal(ivAt, at, len + padding, macAt);
    this.len = this.#macLen + IV_LEN + len + padding;
    return macAt;
  }

  /** Opens [at, at + len) where it stands. @returns where the body is, with `this.len` bytes, or the drop code */
  open(at: number, len: number): number {
    const ivAt = at + this.#macLen;
    const bodyAt = ivAt + IV_LEN;
    const bodyLen = at + len - bodyAt;
    if (bodyLen < BLOCK || bodyLen % BLOCK !== 0) return DROP_DATA_TRUNCATED;
    if (!this.#open.open(ivAt, bodyAt, bodyLen, at)) return DROP_DATA_AUTHENTICATION;
    const bytes = this.#bytes;
    const end = bodyAt + bodyLen;
    const padding = bytes[end - 1]!;
    if (padding === 0 || padding > BLOCK) return DROP_DATA_PADDING;
    for (let i = end - padding; i < end; i++) if (bytes[i] !== padding) return DROP_DATA_PADDING;
    this.len = bodyLen - padding;
    return bodyAt;
  }

  close(): void {
    this.#seal.close();
    this.#open.close();
  }

  /** An IV that nobody can foresee, as CBC needs it. */
  #putIv(at: number): void {
    const ivs = this.#ivs;
    if (this.#nextIv === ivs.length) {
      this.#random.fill(ivs);
      this.#nextIv = 0;
    }
    for (let i = 0; i < IV_LEN; i++) this.#bytes[at + i] = ivs[this.#nextIv + i]!;
    this.#nextIv += IV_LEN;
  }
}
