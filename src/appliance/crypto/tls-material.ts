/** Own TLS material -> a secure context, with failures in words that name the block or file. */
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Material } from "../../protocol/config/types.ts";
import type { TlsParameters } from "../../protocol/ports.ts";
import { checkTls13Suites, tls12Ciphers, tlsGroups } from "./tls-ciphers.ts";

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

/** @throws Error in words for a person: bad PEM, wrong pass phrase, key of another certificate, no usable cipher, no ca */
export function secureContext(p: TlsParameters): SecureContext {
  if (p.verifyChain && p.ca === undefined && p.pkcs12 === undefined) {
    throw new Error("ca: no certificate authority to check the peer with; add a <ca> block");
  }
  const secret = p.passphrase === undefined ? {} : { passphrase: p.passphrase };
  const ca =
    p.ca === undefined ? NO_AUTHORITY : pem(p.ca, "certificate", /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/);
  if (p.ca !== undefined) attempt(() => createSecureContext({ ca }), p.ca, "certificate");

  const options: SecureContextOptions = {
    ca,
    minVersion: `TLSv${p.minVersion}`,
    maxVersion: `TLSv${p.maxVersion}`,
    ciphers: tls12Ciphers(p.cipherList),
  };
  checkTls13Suites(p.cipherSuites);
  const groups = tlsGroups(p.groups);
  if (groups !== undefined) options.ecdhCurve = groups;

  if (p.crl !== undefined) {
    const crl = pem(p.crl, "revocation list", /-----BEGIN X509 CRL-----/);
    attempt(() => createSecureContext({ crl }), p.crl, "revocation list");
    options.crl = crl;
  }
  if (p.pkcs12 !== undefined) {
    const pfx = Buffer.from(p.pkcs12.bytes);
    attempt(() => createSecureContext({ pfx, ...secret }), p.pkcs12, "PKCS #12 file");
    Object.assign(options, { pfx, ...secret });
  }
  if (p.cert !== undefined) {
    const own = pem(p.cert, "certificate", /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/);
    attempt(() => createSecureContext({ cert: own }), p.cert, "certificate");
    const extra =
      p.extraCerts === undefined ? "" : `\n${pem(p.extraCerts, "certificate", /-----BEGIN CERTIFICATE-----/)}`;
    options.cert = `${own}${extra}\n`;
    if (p.key === undefined && p.pkcs12 === undefined) {
      throw new Error(`the certificate in ${p.cert.label} has no key; add a <key> block`);
    }
  }
  if (p.key !== undefined) {
    const key = pem(p.key, "private key", /-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/);
    attempt(() => createSecureContext({ key, ...secret }), p.key, "private key", p.passphrase !== undefined);
    if (p.cert === undefined && p.pkcs12 === undefined) {
      throw new Error(`the key in ${p.key.label} has no certificate; add a <cert> block`);
    }
    Object.assign(options, { key, ...secret });
  }
  try {
    return createSecureContext(options);
  } catch (error) {
    if (p.key !== undefined && /KEY_VALUES_MISMATCH|KEY_TYPE_MISMATCH/.test(words(error))) {
      throw new Error(
        `the key in ${p.key.label} does not belong to the certificate in ${(p.cert ?? p.pkcs12)?.label ?? "the profile"}`,
      );
    }
    throw new Error(`the TLS settings cannot be used: ${words(error)}`);
  }
}

/** The PEM text of a material. Only what looks like it can be given to the library: its own messages name nothing. */
function pem(material: Material, what: string, begin: RegExp): string {
  const text = new TextDecoder("latin1").decode(material.bytes);
  if (!begin.test(text)) throw new Error(`there is no ${what} (PEM, -----BEGIN ...-----) in ${material.label}`);
  return text;
}

function attempt(make: () => unknown, material: Material, what: string, passphrase = false): void {
  try {
    make();
  } catch (error) {
    const text = words(error);
    if (/BAD_DECRYPT|BAD_PASSWORD|PASSWORD_READ|MAC verification|passphrase/i.test(text)) {
      const remedy =
        passphrase || what.startsWith("PKCS")
          ? "the pass phrase (askpass) is wrong or the file is damaged"
          : "it needs a pass phrase (askpass FILE)";
      throw new Error(`the ${what} in ${material.label} cannot be opened: ${remedy}`);
    }
    throw new Error(`the ${what} in ${material.label} cannot be read: ${text}`);
  }
}

function words(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // "error:0900006e:PEM routines:OPENSSL_internal:NO_START_LINE" -> the part that says something
  return text.replace(/^error:[0-9a-f]+:([^:]*):OPENSSL_internal:/i, "$1: ");
}
