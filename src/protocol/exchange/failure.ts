/** Why a key exchange fails. */
import type { TlsFailure } from "../ports.ts";

/** A failed check of the peer's certificate beside the chain (remote-cert-tls, verify-x509-name, peer-fingerprint, ...). */
export interface CertificateProblem {
  /** The directive that was not met. */
  readonly directive: string;
  readonly problem: string;
}

export type ExchangeFailure =
  | { readonly kind: "tls-failed"; readonly failure: TlsFailure }
  | { readonly kind: "certificate-rejected"; readonly problem: CertificateProblem }
  /** Own material or a negotiated value is unusable; trying again does not help. */
  | { readonly kind: "unusable"; readonly directive: string; readonly problem: string };
