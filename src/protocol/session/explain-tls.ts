/** Why TLS with the server failed: which certificate, list or setting, and what to do. */
import { utc } from "../../lib/utc.ts";
import { printable } from "../config/lexer.ts";
import type { TlsConfig } from "../config/types.ts";
import type { TlsFailure } from "../ports.ts";
import { alertMeaning, certificateMeaning, protocolMeaning } from "./tls-meaning.ts";

export function explainTls(failure: TlsFailure, tls: TlsConfig, unixSeconds: number): string {
  switch (failure.kind) {
    case "certificate":
      return certificate(failure, tls, unixSeconds);
    case "alert":
      return alert(failure.code, tls);
    case "closed":
      return "the server closed the TLS session";
    case "protocol":
      return protocol(failure, tls);
  }
  failure.kind satisfies never;
  return failure.message;
}

/** The server said nothing to our first TLS record: what it has nothing in common with it leaves unanswered (OpenVPN before 2.7). */
export function explainNoHello(tls: TlsConfig): string {
  return `the likeliest cause is that client and server share no TLS version, cipher or group (${offer(tls)})`;
}

/** What this client offers, by the lines that a person can change. */
function offer(tls: TlsConfig): string {
  const lists = [
    `tls-version-min ${tls.minVersion}`,
    `tls-version-max ${tls.maxVersion}`,
    ...[
      ["tls-cipher", tls.cipherList] as const,
      ["tls-ciphersuites", tls.cipherSuites] as const,
      ["tls-groups", tls.groups] as const,
    ].flatMap(([name, list]) => (list === undefined ? [] : [`${name} ${printable(list)}`])),
  ];
  return `here: ${lists.join(", ")}`;
}

const ANOTHER_SERVER = "this is not the server that it claims to be, or";

/** What each verification result means, by OpenSSL's name. */
function certificate(failure: TlsFailure, tls: TlsConfig, unixSeconds: number): string {
  const ca = tls.ca?.label ?? tls.pkcs12?.label ?? "ca";
  const list = tls.crl?.label ?? "crl-verify";
  const clock = `the clock here says ${utc(unixSeconds)}`;
  const { subject, depth } = failure.certificate ?? { subject: "", depth: 0 };
  const name = subject === "" ? "" : printable(subject);
  const whose =
    depth === 0 ? `the server's certificate${name === "" ? "" : ` (${name})`}` : `the CA certificate of ${name}`;
  const owner = depth === 0 ? "the server" : "the CA";
  switch (certificateMeaning(failure.code)) {
    case "not-yet-valid":
      return `${whose} is not yet valid; ${clock}: set it right, or wait`;
    case "expired":
      return `${whose} has expired; ${clock}: if that is right, ${owner} needs a new one${depth === 0 ? "" : `, which then belongs into ${ca}`}`;
    case "revoked":
      return `${whose} is revoked by the list in ${list}; do not trust this server`;
    case "list-expired":
      return `the revocation list in ${list} that is about ${whose} has expired; ${clock}: if that is right, get a new list`;
    case "list-not-yet-valid":
      return `the revocation list in ${list} that is about ${whose} is not yet valid; ${clock}: set it right, or wait`;
    case "list-undated":
      return `the revocation list in ${list} that is about ${whose} has a date that cannot be read; get a new list`;
    case "list-unsigned":
      return `the revocation list in ${list} that is about ${whose} is not signed by the CA that it names (${failure.message}); get a new list`;
    case "purpose":
      return (
        `${whose} may not be used for this (its extended key usage or key usage says otherwise); ` +
        `${ANOTHER_SERVER} it needs a server certificate (what remote-cert-tls server asks for)`
      );
    case "unknown-issuer":
      return (
        `${whose} does not verify: no CA in ${ca} signed it; take the CA that belongs to this server, ` +
        `${ANOTHER_SERVER} it does not send an intermediate certificate`
      );
    case "unknown-root":
      return (
        `the server's certificate does not verify: its chain ends at ${name === "" ? "a CA" : name}, which is not in ${ca}; ` +
        "take the CA that belongs to this server, or this is not the server that it claims to be"
      );
    case "signature":
      return (
        `${whose} does not verify: a CA in ${ca} has the right name but another key; take the CA that belongs to this ` +
        "server, or this is not the server that it claims to be"
      );
    case "no-ca":
      return `${whose} may not vouch for the server's (${failure.message}); take the CA that belongs to this server`;
    case "untrusted":
      return `${whose} may not be trusted for servers, as its TRUSTED CERTIFICATE block in ${ca} says`;
    case "small-key":
      return `${whose} has a key that is too small: others may have broken it; ${owner} needs a new certificate ${weak(tls)}`;
    case "weak-digest":
      return `${whose} is signed with a digest that is too weak (SHA-1 or MD5): others may have forged it; ${owner} needs a new certificate ${weak(tls)}`;
    case "absent":
      return "the server showed no certificate";
    case undefined:
      return `${whose} does not verify (${failure.code}: ${failure.message})`;
  }
}

/** How what is too weak can be taken all the same. @param whose settings would have to */
export const weak = (tls: TlsConfig, whose = "profile"): string =>
  tls.certProfile === "preferred" || tls.certProfile === "suiteb"
    ? `(tls-cert-profile ${tls.certProfile} asks for more than legacy)`
    : `(or the ${whose} accepts weak ones: tls-cipher "DEFAULT:@SECLEVEL=0")`;

/** The server's own words about us, by TLS alert (RFC 8446 6.2). */
const alert = (code: string, tls: TlsConfig): string => `${causeOfAlert(code, tls)} (alert ${code})`;

function causeOfAlert(code: string, tls: TlsConfig): string {
  const own = tls.cert?.label ?? tls.pkcs12?.label ?? "cert";
  switch (alertMeaning(code)) {
    case "refused":
      return `the server does not accept the client certificate (${own}): another CA signed it, or it does not match`;
    case "expired":
      return `the server says that the client certificate (${own}) has expired; get a new one, or set the server's clock`;
    case "revoked":
      return `the server says that the client certificate (${own}) is revoked; get a new one`;
    case "wanted":
      return "the server demands a client certificate, and the profile has none (cert and key)";
    case "version":
      return `client and server share no TLS version (${offer(tls)})`;
    case "cipher":
      return `client and server share no TLS cipher or group, or the server wants a client certificate (${offer(tls)})`;
    default:
      return "the server refuses the TLS handshake";
  }
}

/** What the library refuses in the server's messages, or in our own settings. */
function protocol({ code, message }: TlsFailure, tls: TlsConfig): string {
  switch (protocolMeaning(code)) {
    case "version":
      return `client and server share no TLS version (${offer(tls)})`;
    case "cipher":
      return `client and server share no TLS cipher or group (${message}; ${offer(tls)})`;
    case "small-dh":
      return 'the Diffie-Hellman parameters of the server are too small; give it new ones (dh), or accept them: tls-cipher "DEFAULT:@SECLEVEL=0"';
    case "old-library":
      return "the TLS library of the server is too old (no secure renegotiation, RFC 5746); it needs an update";
    case "no-tls":
      return "what answers there is no TLS of an OpenVPN server";
    default:
      return `the TLS handshake failed (${printable(message)})`;
  }
}
