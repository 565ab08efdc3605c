/** OpenSSL's error queue and verification results -> failures with stable codes. */
import type { TlsFailure } from "../../protocol/ports.ts";
import type { OpenSsl } from "./libssl.ts";

/** include/openssl/err.h: the library that an error comes from, and its reason. */
const LIB_SHIFT = 23;
const LIB_MASK = 0xff;
const REASON_MASK = 0x7fffff;
export const ERR_LIB_EVP = 6;
const ERR_LIB_SSL = 20;
const SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE = 199;
/** SSL_AD_REASON_OFFSET: reasons from here on are alerts that the peer sent. */
const ALERT = 1000;

export interface OpenSslError {
  readonly lib: number;
  readonly reason: number;
  /** The library's words for the reason. */
  readonly text: string;
}

/** Takes all errors out of the queue, the first cause first. */
export function takeErrors(openssl: OpenSsl): OpenSslError[] {
  const { lib } = openssl;
  const errors: OpenSslError[] = [];
  for (let code = lib.ERR_get_error(); code !== 0; code = lib.ERR_get_error()) {
    const text = openssl.string(lib.ERR_reason_error_string(code));
    errors.push({ lib: (code >>> LIB_SHIFT) & LIB_MASK, reason: code & REASON_MASK, text });
  }
  return errors;
}

/** The library's words for the first cause. */
export const errorText = (errors: readonly OpenSslError[]): string =>
  errors.find((e) => e.text !== "")?.text ?? "no reason given";

/** Why a call of the record or handshake layer failed. */
export function failureOf(errors: readonly OpenSslError[]): TlsFailure {
  const error = errors.find((e) => e.lib === ERR_LIB_SSL) ?? errors[0];
  if (error === undefined) return { kind: "closed", code: "eof", message: "the TLS session broke off" };
  const alert = error.lib === ERR_LIB_SSL ? ALERTS.get(error.reason - ALERT) : undefined;
  if (alert !== undefined) return { kind: "alert", code: alert, message: error.text };
  if (error.lib === ERR_LIB_SSL && error.reason === SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    return { kind: "certificate", code: NO_CERTIFICATE, message: error.text };
  const code = error.text === "" ? `${error.lib}:${error.reason}` : error.text.replaceAll(" ", "_");
  return { kind: "protocol", code, message: error.text };
}

/** The peer showed no certificate although one is asked for. */
export const NO_CERTIFICATE = "NO_CERTIFICATE";

/** RFC 8446 6, and those of TLS 1.2 and before (RFC 5246 7.2). */
const ALERTS: ReadonlyMap<number, string> = new Map([
  [0, "close_notify"],
  [10, "unexpected_message"],
  [20, "bad_record_mac"],
  [21, "decryption_failed"],
  [22, "record_overflow"],
  [30, "decompression_failure"],
  [40, "handshake_failure"],
  [41, "no_certificate"],
  [42, "bad_certificate"],
  [43, "unsupported_certificate"],
  [44, "certificate_revoked"],
  [45, "certificate_expired"],
  [46, "certificate_unknown"],
  [47, "illegal_parameter"],
  [48, "unknown_ca"],
  [49, "access_denied"],
  [50, "decode_error"],
  [51, "decrypt_error"],
  [60, "export_restriction"],
  [70, "protocol_version"],
  [71, "insufficient_security"],
  [80, "internal_error"],
  [86, "inappropriate_fallback"],
  [90, "user_canceled"],
  [100, "no_renegotiation"],
  [109, "missing_extension"],
  [110, "unsupported_extension"],
  [112, "unrecognized_name"],
  [113, "bad_certificate_status_response"],
  [115, "unknown_psk_identity"],
  [116, "certificate_required"],
  [120, "no_application_protocol"],
]);

/** include/openssl/x509_vfy.h. */
export const X509_V_ERR_UNABLE_TO_GET_CRL = 3;
export const X509_V_ERR_CERT_CHAIN_TOO_LONG = 22;
export const X509_V_ERR_CERT_REJECTED = 28;

/** Names of the verification results that are put into words; the others go by the library's own text. */
const VERIFY_CODES: ReadonlyMap<number, string> = new Map([
  [2, "UNABLE_TO_GET_ISSUER_CERT"],
  [6, "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY"],
  [7, "CERT_SIGNATURE_FAILURE"],
  [8, "CRL_SIGNATURE_FAILURE"],
  [9, "CERT_NOT_YET_VALID"],
  [10, "CERT_HAS_EXPIRED"],
  [11, "CRL_NOT_YET_VALID"],
  [12, "CRL_HAS_EXPIRED"],
  [13, "ERROR_IN_CERT_NOT_BEFORE_FIELD"],
  [14, "ERROR_IN_CERT_NOT_AFTER_FIELD"],
  [15, "ERROR_IN_CRL_LAST_UPDATE_FIELD"],
  [16, "ERROR_IN_CRL_NEXT_UPDATE_FIELD"],
  [18, "DEPTH_ZERO_SELF_SIGNED_CERT"],
  [19, "SELF_SIGNED_CERT_IN_CHAIN"],
  [20, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
  [21, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  [X509_V_ERR_CERT_CHAIN_TOO_LONG, "CERT_CHAIN_TOO_LONG"],
  [23, "CERT_REVOKED"],
  [24, "INVALID_CA"],
  [25, "PATH_LENGTH_EXCEEDED"],
  [26, "INVALID_PURPOSE"],
  [27, "CERT_UNTRUSTED"],
  [X509_V_ERR_CERT_REJECTED, "CERT_REJECTED"],
  [32, "KEYUSAGE_NO_CERTSIGN"],
  [34, "UNHANDLED_CRITICAL_EXTENSION"],
  [35, "KEYUSAGE_NO_CRL_SIGN"],
  [62, "HOSTNAME_MISMATCH"],
  [64, "IP_ADDRESS_MISMATCH"],
  [66, "EE_KEY_TOO_SMALL"],
  [67, "CA_KEY_TOO_SMALL"],
  [68, "CA_MD_TOO_WEAK"],
  [79, "INVALID_CA"],
  [94, "EC_KEY_EXPLICIT_PARAMS"],
]);

export const verifyCode = (code: number): string => VERIFY_CODES.get(code) ?? `X509_V_ERR_${code}`;
