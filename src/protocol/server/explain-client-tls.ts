/** Why TLS with a client failed: which certificate, list or setting, and what to do. Of a server's it is session/explain-tls.ts. */
import { utc } from "../../lib/utc.ts";
import { printable } from "../config/lexer.ts";
import type { TlsConfig } from "../config/types.ts";
import type { TlsFailure } from "../ports.ts";
import { weak } from "../session/explain-tls.ts";

export function explainClientTls(failure: TlsFailure, tls: TlsConfig, unixSeconds: number): string {
  switch (failure.kind) {
    case "certificate":
      return certificate(failure, tls, unixSeconds);
    case "alert":
      return alert(failure.code, tls);
    case "closed":
      return "the client closed the TLS session";
    case "protocol":
      return protocol(failure, tls);
  }
  failure.kind satisfies never;
  return failure.message;
}

/** What each verification result means, by OpenSSL's name. */
function certificate(failure: TlsFailure, tls: TlsConfig, unixSeconds: number): string {
  const ca = tls.ca?.label ?? tls.pkcs12?.label ?? "ca";
  const list = tls.crl?.label ?? "crl-verify";
  const clock = `the clock here says ${utc(unixSeconds)}`;
  const { subject, depth } = failure.certificate ?? { subject: "", depth: 0 };
  const name = subject === "" ? "" : printable(subject);
  const whose =
    depth === 0
      ? `the client's certificate${name === "" ? "" : ` (${name})`}`
      : `the certificate of a CA above the client's (${name})`;
  switch (failure.code) {
    case "CERT_NOT_YET_VALID":
      return `${whose} is not yet valid; ${clock}: set it right, or wait`;
    case "CERT_HAS_EXPIRED":
      return `${whose} has expired; ${clock}: if that is right, it needs a new one`;
    case "CERT_REVOKED":
      return `${whose} is revoked by the list in ${list}`;
    case "CRL_HAS_EXPIRED":
      return `the revocation list in ${list} has expired, so nobody is let in; ${clock}: if that is right, make a new list`;
    case "CRL_NOT_YET_VALID":
      return `the revocation list in ${list} is not yet valid, so nobody is let in; ${clock}: set it right, or wait`;
    case "ERROR_IN_CRL_LAST_UPDATE_FIELD":
    case "ERROR_IN_CRL_NEXT_UPDATE_FIELD":
      return `the revocation list in ${list} has a date that cannot be read, so nobody is let in; make a new list`;
    case "CRL_SIGNATURE_FAILURE":
    case "KEYUSAGE_NO_CRL_SIGN":
      return `the revocation list in ${list} is not signed by the CA that it names (${failure.message}); make a new list`;
    case "INVALID_PURPOSE":
      return `${whose} may not be used for this (its extended key usage or key usage says otherwise); it needs one for clients`;
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
      return `${whose} was issued by nobody known here: no CA in ${ca} signed it, or it does not send an intermediate certificate`;
    case "SELF_SIGNED_CERT_IN_CHAIN":
      return `the client's certificate was issued by nobody known here: its chain ends at ${name === "" ? "a CA" : name}, which is not in ${ca}`;
    case "CERT_SIGNATURE_FAILURE":
      return `${whose} does not verify: the issuer in ${ca} has the right name but another key`;
    case "INVALID_CA":
    case "KEYUSAGE_NO_CERTSIGN":
    case "PATH_LENGTH_EXCEEDED":
    case "CERT_CHAIN_TOO_LONG":
      return `${whose} may not vouch for the client's (${failure.message})`;
    case "CERT_UNTRUSTED":
      return `${whose} may not be trusted for clients, as its TRUSTED CERTIFICATE block in ${ca} says`;
    case "EE_KEY_TOO_SMALL":
    case "CA_KEY_TOO_SMALL":
      return `${whose} has a key that is too small: others may have broken it; it needs a new certificate ${weak(tls, "server")}`;
    case "CA_MD_TOO_WEAK":
      return `${whose} is signed with a digest that is too weak (SHA-1 or MD5): others may have forged it; it needs a new certificate ${weak(tls, "server")}`;
    case "NO_CERTIFICATE":
      return "the client showed no certificate, and verify-client-cert wants one";
    default:
      return `${whose} does not verify (${failure.code}: ${failure.message})`;
  }
}

/** The client's own words about us, by TLS alert (RFC 8446 6.2). */
function alert(code: string, tls: TlsConfig): string {
  const own = tls.cert?.label ?? tls.pkcs12?.label ?? "cert";
  switch (code) {
    case "unknown_ca":
    case "bad_certificate":
    case "unsupported_certificate":
    case "certificate_unknown":
    case "certificate_expired":
    case "certificate_revoked":
    case "decrypt_error":
      return `the client does not accept the server's certificate (${own}): alert ${code}`;
    case "protocol_version":
    case "handshake_failure":
    case "insufficient_security":
      return `client and server share no TLS version, cipher or group (alert ${code})`;
    default:
      return `the client refuses the TLS handshake (alert ${code})`;
  }
}

/** What the library refuses in the client's messages. */
function protocol({ code, message }: TlsFailure, tls: TlsConfig): string {
  switch (code) {
    case "unsupported_protocol":
    case "no_protocols_available":
      return `client and server share no TLS version (here: tls-version-min ${tls.minVersion}, tls-version-max ${tls.maxVersion})`;
    case "no_ciphers_available":
    case "no_shared_cipher":
    case "no_suitable_key_share":
    case "no_suitable_groups":
    case "no_suitable_signature_algorithm":
      return `client and server share no TLS cipher or group (${message})`;
    case "peer_did_not_return_a_certificate":
      return "the client showed no certificate, and verify-client-cert wants one";
    case "wrong_version_number":
    case "http_request":
      return "what it sends is no TLS";
    default:
      return `the TLS handshake failed (${printable(message)})`;
  }
}
