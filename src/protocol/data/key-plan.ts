/**
 * What the two ends have agreed on for the data channel, and for the keys that follow: a client reads it out of the push reply,
 * a server decides it.
 */

import type { DigestName } from "../config/types.ts";
import type { KeyDerivation } from "../exchange/key-derive.ts";
import type { CipherName } from "../ports.ts";
import type { CompressionForm } from "./compression.ts";

export interface KeyPlan {
  readonly cipher: CipherName;
  /** Of packets of CBC. */
  readonly digest: DigestName | "none";
  readonly derivation: KeyDerivation;
  /** What packets carry as peer id; PEER_ID_NONE: they are DATA_V1. */
  readonly peerId: number;
  /** Packets of AEAD have the epoch format (epoch-key.ts), else the classic one. */
  readonly epoch: boolean;
  readonly compression: CompressionForm;
  /** Renegotiations have a tls-crypt key of their own (dynamic tls-crypt). */
  readonly dynamicTlsCrypt: boolean;
}
