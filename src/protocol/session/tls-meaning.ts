/**
 * What the codes of a TLS failure mean, by OpenSSL's names (x509_vfy.h, sslerr.h) and those of alerts (RFC 8446 6.2). Who explains them,
 * to a client or to a server, has the words: explain-tls.ts, server/explain-client-tls.ts.
 */

/** Of a certificate or list that was refused here. */
export type CertificateMeaning =
  | "not-yet-valid"
  | "expired"
  | "revoked"
  | "list-expired"
  | "list-not-yet-valid"
  /** Its date cannot be read. */
  | "list-undated"
  | "list-unsigned"
  /** It is not for this use. */
  | "purpose"
  /** Nobody that is known has signed it. */
  | "unknown-issuer"
  /** Its chain ends at a CA that is not known. */
  | "unknown-root"
  /** The known issuer has not signed it. */
  | "signature"
  /** Its issuer may not sign certificates, or not this far down. */
  | "no-ca"
  /** The trust of a TRUSTED CERTIFICATE says otherwise. */
  | "untrusted"
  | "small-key"
  | "weak-digest"
  /** There is none. */
  | "absent";

/** Of the other end's words. */
export type AlertMeaning = "refused" | "expired" | "revoked" | "wanted" | "version" | "cipher";

/** Of what the library refuses in the other end's messages, or in our own settings. */
export type ProtocolMeaning = "version" | "cipher" | "no-certificate" | "small-dh" | "old-library" | "no-tls";

const CERTIFICATES: Readonly<Record<string, CertificateMeaning>> = {
  CERT_NOT_YET_VALID: "not-yet-valid",
  CERT_HAS_EXPIRED: "expired",
  CERT_REVOKED: "revoked",
  CRL_HAS_EXPIRED: "list-expired",
  CRL_NOT_YET_VALID: "list-not-yet-valid",
  ERROR_IN_CRL_LAST_UPDATE_FIELD: "list-undated",
  ERROR_IN_CRL_NEXT_UPDATE_FIELD: "list-undated",
  CRL_SIGNATURE_FAILURE: "list-unsigned",
  KEYUSAGE_NO_CRL_SIGN: "list-unsigned",
  INVALID_PURPOSE: "purpose",
  UNABLE_TO_GET_ISSUER_CERT: "unknown-issuer",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown-issuer",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown-issuer",
  DEPTH_ZERO_SELF_SIGNED_CERT: "unknown-issuer",
  SELF_SIGNED_CERT_IN_CHAIN: "unknown-root",
  CERT_SIGNATURE_FAILURE: "signature",
  INVALID_CA: "no-ca",
  KEYUSAGE_NO_CERTSIGN: "no-ca",
  PATH_LENGTH_EXCEEDED: "no-ca",
  CERT_CHAIN_TOO_LONG: "no-ca",
  CERT_UNTRUSTED: "untrusted",
  EE_KEY_TOO_SMALL: "small-key",
  CA_KEY_TOO_SMALL: "small-key",
  CA_MD_TOO_WEAK: "weak-digest",
  NO_CERTIFICATE: "absent",
};

const ALERTS: Readonly<Record<string, AlertMeaning>> = {
  unknown_ca: "refused",
  bad_certificate: "refused",
  unsupported_certificate: "refused",
  certificate_unknown: "refused",
  decrypt_error: "refused",
  certificate_expired: "expired",
  certificate_revoked: "revoked",
  certificate_required: "wanted",
  protocol_version: "version",
  handshake_failure: "cipher",
  insufficient_security: "cipher",
};

const PROTOCOL: Readonly<Record<string, ProtocolMeaning>> = {
  unsupported_protocol: "version",
  no_protocols_available: "version",
  no_ciphers_available: "cipher",
  no_shared_cipher: "cipher",
  no_suitable_key_share: "cipher",
  no_suitable_groups: "cipher",
  no_suitable_signature_algorithm: "cipher",
  wrong_cipher_returned: "cipher",
  wrong_curve: "cipher",
  peer_did_not_return_a_certificate: "no-certificate",
  dh_key_too_small: "small-dh",
  unsafe_legacy_renegotiation_disabled: "old-library",
  wrong_version_number: "no-tls",
  http_request: "no-tls",
};

/** @returns undefined: none that is known, as of the two below */
export const certificateMeaning = (code: string): CertificateMeaning | undefined => meaning(CERTIFICATES, code);
export const alertMeaning = (code: string): AlertMeaning | undefined => meaning(ALERTS, code);
export const protocolMeaning = (code: string): ProtocolMeaning | undefined => meaning(PROTOCOL, code);

const meaning = <M>(table: Readonly<Record<string, M>>, code: string): M | undefined =>
  Object.hasOwn(table, code) ? table[code] : undefined;
