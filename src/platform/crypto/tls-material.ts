/** Own TLS material -> a secure context, with failures in words that name the block or file. */
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { printable } from "../../protocol/config/lexer.ts";
import type { Material } from "../../protocol/config/types.ts";
import type { TlsParameters } from "../../protocol/ports.ts";
import { checkTls13Suites, tls12Ciphers, tlsGroups } from "./tls-ciphers.ts";
import { UnusableTls } from "./tls-unusable.ts";

/**
 * A certificate whose key exists nowhere. It stands in where a profile names no `ca`: without any, or with an empty
 * list, Bun trusts the public authorities and NODE_EXTRA_CA_CERTS, which must never vouch for a VPN peer.
 */
const NO_AUTHORITY = `-----BEGIN CERTIFICATE-----
MIIBhDCCASugAwIBAgIUeXXzWUGlSEdlJfH9mprkp4GdexIwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMbm8gYXV0aG9yaXR5MCAXDTI2MTEyNDE1NDI0MloYDzIxMjYx
MDMxMTU0MjQyWjAXMRUwEwYDVQQDDAxubyBhdXRob3JpdHkwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAARxr9Cpv9rYVQJonR6+aRD8e4K09cIpbdin+JD6FFGuiHNq
rxRDLjQomGZXFoPDCQzJdHdb8XsY4PtzlQayBJgLo1MwUTAdBgNVHQ4EFgQUUS0H
O1qYcdOZU6QZi53NHohOMDEwHwYDVR0jBBgwFoAUUS0HO1qYcdOZU6QZi53NHohO
MDEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiA4UhtWC6RfXI4f
Tx3pd/t0N9H3P0h0wF+4qwlSD8H9rAIgYnREh502KPvPmX8UhpQCn3WMbNjCVfc/
7Ut1q5HU67k=
-----END CERTIFICATE-----
`;

/** @throws UnusableTls: bad PEM, wrong pass phrase, key of another certificate, no usable cipher, no ca */
export function secureContext(p: TlsParameters): SecureContext {
  if (p.verifyChain && p.ca === undefined && p.pkcs12 === undefined) {
    throw new UnusableTls("ca", "no certificate authority to check the peer with; add a <ca> block");
  }
  const secret = p.passphrase === undefined ? {} : { passphrase: p.passphrase };
  const ca =
    p.ca === undefined ? NO_AUTHORITY : pem("ca", p.ca, "certificate", /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/);
  if (p.ca !== undefined) attempt("ca", () => createSecureContext({ ca }), p.ca, "certificate");

  const ciphers = tls12Ciphers(p.cipherList);
  if (ciphers === undefined && p.maxVersion === "1.2") {
    throw new UnusableTls(
      "tls-cipher",
      `no usable cipher in "${printable(p.cipherList ?? "")}"; for example TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384 would be`,
    );
  }
  const options: SecureContextOptions = {
    ca,
    // tls-cipher says nothing about TLS 1.3, which remains where the list leaves nothing else.
    minVersion: ciphers === undefined ? "TLSv1.3" : `TLSv${p.minVersion}`,
    maxVersion: `TLSv${p.maxVersion}`,
    ...(ciphers === undefined ? {} : { ciphers }),
  };
  checkTls13Suites(p.cipherSuites);
  const groups = tlsGroups(p.groups);
  if (groups !== undefined) options.ecdhCurve = groups;

  if (p.crl !== undefined) {
    const crl = pem("crl-verify", p.crl, "revocation list", /-----BEGIN X509 CRL-----/);
    attempt("crl-verify", () => createSecureContext({ crl }), p.crl, "revocation list");
    options.crl = crl;
  }
  if (p.pkcs12 !== undefined) {
    const pfx = Buffer.from(p.pkcs12.bytes);
    // As OpenVPN: one without a pass phrase opens whatever askpass says.
    const opener = opensWithout(pfx) ? {} : secret;
    attempt(
      "pkcs12",
      () => createSecureContext({ pfx, ...opener }),
      p.pkcs12,
      "PKCS #12 file",
      p.passphrase !== undefined,
    );
    Object.assign(options, { pfx, ...opener });
  }
  if (p.cert !== undefined) {
    const own = pem("cert", p.cert, "certificate", /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/);
    attempt("cert", () => createSecureContext({ cert: own }), p.cert, "certificate");
    const extra =
      p.extraCerts === undefined
        ? ""
        : `\n${pem("extra-certs", p.extraCerts, "certificate", /-----BEGIN CERTIFICATE-----/)}`;
    options.cert = `${own}${extra}\n`;
    if (p.key === undefined && p.pkcs12 === undefined) {
      throw new UnusableTls("cert", `the certificate in ${p.cert.label} has no key; add a <key> block`, p.cert);
    }
  }
  if (p.key !== undefined) {
    const key = pem("key", p.key, "private key", /-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/);
    attempt("key", () => createSecureContext({ key, ...secret }), p.key, "private key", p.passphrase !== undefined);
    if (p.cert === undefined && p.pkcs12 === undefined) {
      throw new UnusableTls("key", `the key in ${p.key.label} has no certificate; add a <cert> block`, p.key);
    }
    Object.assign(options, { key, ...secret });
  }
  try {
    return createSecureContext(options);
  } catch (error) {
    if (p.key !== undefined && /KEY_VALUES_MISMATCH|KEY_TYPE_MISMATCH/.test(words(error))) {
      throw new UnusableTls(
        "key",
        `the key in ${p.key.label} does not belong to the certificate in ${(p.cert ?? p.pkcs12)?.label ?? "the profile"}`,
        p.key,
      );
    }
    throw new UnusableTls("tls", `the settings cannot be used: ${words(error)}`);
  }
}

/** The PEM text of a material. Only what looks like it can be given to the library: its own messages name nothing. */
function pem(directive: string, material: Material, what: string, begin: RegExp): string {
  const text = new TextDecoder("latin1").decode(material.bytes);
  if (!begin.test(text)) {
    throw new UnusableTls(directive, `there is no ${what} (PEM, -----BEGIN ...-----) in ${material.label}`, material);
  }
  return text;
}

function opensWithout(pfx: Buffer): boolean {
  try {
    createSecureContext({ pfx });
    return true;
  } catch {
    return false;
  }
}

function attempt(directive: string, make: () => unknown, material: Material, what: string, passphrase = false): void {
  try {
    make();
  } catch (error) {
    const text = words(error);
    // One wrong pass phrase in some 200 decrypts to what passes for padding, and only then there is no key in it.
    const isGarbled = passphrase && text.includes("DECODE_ERROR");
    if (isGarbled || /BAD_DECRYPT|BAD_PASSWORD|PASSWORD_READ|MAC verification|passphrase/i.test(text)) {
      const remedy = passphrase
        ? "the pass phrase (askpass) is wrong or the file is damaged"
        : "it needs a pass phrase (askpass FILE)";
      throw new UnusableTls(directive, `the ${what} in ${material.label} cannot be opened: ${remedy}`, material);
    }
    throw new UnusableTls(directive, `the ${what} in ${material.label} cannot be read: ${text}`, material);
  }
}

function words(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // "error:0900006e:PEM routines:OPENSSL_internal:NO_START_LINE" -> the part that says something
  return text.replace(/^error:[0-9a-f]+:([^:]*):OPENSSL_internal:/i, "$1: ");
}
