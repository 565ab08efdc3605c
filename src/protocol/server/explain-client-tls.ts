/** Why TLS with a client failed: which certificate, list or setting, and what to do. Of a server's it is session/explain-tls.ts. */
import { utc } from "../../lib/utc.ts";
import { printable } from "../config/lexer.ts";
import type { TlsConfig } from "../config/types.ts";
import type { TlsFailure } from "../ports.ts";
import { weak } from "../session/explain-tls.ts";
import { alertMeaning, certificateMeaning, protocolMeaning } from "../session/tls-meaning.ts";

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
  switch (certificateMeaning(failure.code)) {
    case "not-yet-valid":
      return `${whose} is not yet valid; ${clock}: set it right, or wait`;
    case "expired":
      return `${whose} has expired; ${clock}: if that is right, it needs a new one`;
    case "revoked":
      return `${whose} is revoked by the list in ${list}`;
    case "list-expired":
      return `the revocation list in ${list} has expired, so nobody is let in; ${clock}: if that is right, make a new list`;
    case "list-not-yet-valid":
      return `the revocation list in ${list} is not yet valid, so nobody is let in; ${clock}: set it right, or wait`;
    case "list-undated":
      return `the revocation list in ${list} has a date that cannot be read, so nobody is let in; make a new list`;
    case "list-unsigned":
      return `the revocation list in ${list} is not signed by the CA that it names (${failure.message}); make a new list`;
    case "purpose":
      return `${whose} may not be used for this (its extended key usage or key usage says otherwise); it needs one for clients`;
    case "unknown-issuer":
      return `${whose} was issued by nobody known here: no CA in ${ca} signed it, or it does not send an intermediate certificate`;
    case "unknown-root":
      return `the client's certificate was issued by nobody known here: its chain ends at ${name === "" ? "a CA" : name}, which is not in ${ca}`;
    case "signature":
      return `${whose} does not verify: the issuer in ${ca} has the right name but another key`;
    case "no-ca":
      return `${whose} may not vouch for the client's (${failure.message})`;
    case "untrusted":
      return `${whose} may not be trusted for clients, as its TRUSTED CERTIFICATE block in ${ca} says`;
    case "small-key":
      return `${whose} has a key that is too small: others may have broken it; it needs a new certificate ${weak(tls, "server")}`;
    case "weak-digest":
      return `${whose} is signed with a digest that is too weak (SHA-1 or MD5): others may have forged it; it needs a new certificate ${weak(tls, "server")}`;
    case "absent":
      return "the client showed no certificate, and verify-client-cert wants one";
    case undefined:
      return `${whose} does not verify (${failure.code}: ${failure.message})`;
  }
}

/** The client's own words about us, by TLS alert (RFC 8446 6.2). */
function alert(code: string, tls: TlsConfig): string {
  const own = tls.cert?.label ?? tls.pkcs12?.label ?? "cert";
  switch (alertMeaning(code)) {
    case "refused":
    case "expired":
    case "revoked":
      return `the client does not accept the server's certificate (${own}): alert ${code}`;
    case "version":
    case "cipher":
      return `client and server share no TLS version, cipher or group (alert ${code})`;
    default:
      return `the client refuses the TLS handshake (alert ${code})`;
  }
}

/** What the library refuses in the client's messages. */
function protocol({ code, message }: TlsFailure, tls: TlsConfig): string {
  switch (protocolMeaning(code)) {
    case "version":
      return `client and server share no TLS version (here: tls-version-min ${tls.minVersion}, tls-version-max ${tls.maxVersion})`;
    case "cipher":
      return `client and server share no TLS cipher or group (${message})`;
    case "no-certificate":
      return "the client showed no certificate, and verify-client-cert wants one";
    case "no-tls":
      return "what it sends is no TLS";
    default:
      return `the TLS handshake failed (${printable(message)})`;
  }
}
