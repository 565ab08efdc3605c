/**
 * What a profile demands of the peer's certificate beside a chain to its CA (man openvpn: remote-cert-tls,
 * verify-x509-name, peer-fingerprint, ...). The chain itself is the TLS library's work.
 */
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { VerifyConfig } from "../config/types.ts";
import { Certificate } from "./certificate.ts";
import { opensslSubject, userName } from "./certificate-name.ts";
import type { CertificateProblem } from "./failure.ts";

const EKU_SERVER = "1.3.6.1.5.5.7.3.1";
const EKU_CLIENT = "1.3.6.1.5.5.7.3.2";
/** Key usages by their bits (RFC 5280 4.2.1.3). */
const DIGITAL_SIGNATURE = 0x80;
const KEY_ENCIPHERMENT = 0x20;
const KEY_AGREEMENT = 0x08;
/** OpenSSL's long names of extended key usages that profiles use. */
const EKU_NAMES: ReadonlyMap<string, string> = new Map([
  ["tls web server authentication", EKU_SERVER],
  ["serverauth", EKU_SERVER],
  ["tls web client authentication", EKU_CLIENT],
  ["clientauth", EKU_CLIENT],
  ["code signing", "1.3.6.1.5.5.7.3.3"],
  ["e-mail protection", "1.3.6.1.5.5.7.3.4"],
  ["time stamping", "1.3.6.1.5.5.7.3.8"],
  ["ocsp signing", "1.3.6.1.5.5.7.3.9"],
  ["any extended key usage", "2.5.29.37.0"],
]);

/**
 * @param chain DER, leaf first
 * @returns the first demand that is not met, or undefined
 */
export function checkPeerCertificate(
  verify: VerifyConfig,
  chain: readonly Uint8Array[],
): CertificateProblem | undefined {
  const der = chain[0];
  if (der === undefined) return { directive: "ca", problem: "the peer showed no certificate" };
  try {
    const leaf = new Certificate(der);
    return (
      checkFingerprint(verify, der) ??
      checkHash(verify, chain[1]) ??
      checkUsage(verify, leaf) ??
      checkNsCertType(verify, leaf) ??
      checkName(verify, leaf)
    );
  } catch {
    // It throws at what cannot be read, in part only when an extension or a name is asked for. A certificate that cannot be checked is
    // refused.
    return { directive: "ca", problem: "the peer's certificate cannot be read" };
  }
}

function checkFingerprint({ peerFingerprints }: VerifyConfig, der: Uint8Array): CertificateProblem | undefined {
  if (peerFingerprints === undefined) return undefined;
  const found = bytesToHex(sha256(der));
  if (peerFingerprints.includes(found)) return undefined;
  return { directive: "peer-fingerprint", problem: `the peer's certificate has the SHA-256 fingerprint ${found}` };
}

/** verify-hash is about the certificate that signed the leaf ("level 1"). */
function checkHash({ verifyHash }: VerifyConfig, issuer: Uint8Array | undefined): CertificateProblem | undefined {
  if (verifyHash === undefined) return undefined;
  const { algorithm, digests } = verifyHash;
  if (issuer === undefined) return { directive: "verify-hash", problem: "the peer's chain has no issuing certificate" };
  const found = bytesToHex(algorithm === "SHA1" ? sha1(issuer) : sha256(issuer));
  if (digests.includes(found)) return undefined;
  return { directive: "verify-hash", problem: `the issuing certificate has the ${algorithm} fingerprint ${found}` };
}

function checkUsage(verify: VerifyConfig, leaf: Certificate): CertificateProblem | undefined {
  const tls = verify.remoteCertTls;
  if (tls !== undefined || verify.remoteCertKu !== undefined) {
    const bits = leaf.keyUsage;
    const directive = tls === undefined ? "remote-cert-ku" : "remote-cert-tls";
    if (bits === undefined) return { directive, problem: "the peer's certificate has no key usage extension" };
    const wanted = verify.remoteCertKu ?? [];
    if (wanted.length > 0 && !wanted.some((ku) => (bits & ku) === ku)) {
      return {
        directive: "remote-cert-ku",
        problem: `the peer's certificate has key usage ${bits.toString(16).padStart(2, "0")}`,
      };
    }
  }
  const names = [
    tls === undefined ? undefined : { directive: "remote-cert-tls", oid: tls === "server" ? EKU_SERVER : EKU_CLIENT },
    verify.remoteCertEku === undefined
      ? undefined
      : {
          directive: "remote-cert-eku",
          oid: EKU_NAMES.get(verify.remoteCertEku.toLowerCase()) ?? verify.remoteCertEku,
        },
  ];
  for (const want of names) {
    if (want === undefined) continue;
    const found = leaf.extendedKeyUsages;
    if (found.includes(want.oid)) continue;
    const has = found.length === 0 ? "no extended key usage" : `extended key usage ${found.join(", ")}`;
    return { directive: want.directive, problem: `the peer's certificate has ${has}, not ${want.oid}` };
  }
  return undefined;
}

/**
 * As OpenVPN 2.6 (X509_check_purpose): certificates of today carry the purpose as extended key usage, and only old ones the
 * Netscape extension (a bit string with client 0x80 and server 0x40); its bit alone is enough. Stricter than OpenVPN
 * in one case: a certificate that has neither says nothing about its purpose and is refused.
 */
function checkNsCertType({ nsCertType }: VerifyConfig, leaf: Certificate): CertificateProblem | undefined {
  if (nsCertType === undefined) return undefined;
  const server = nsCertType === "server";
  const { netscapeType, keyUsage } = leaf;
  if (((netscapeType ?? 0) & (server ? 0x40 : 0x80)) !== 0) return undefined;
  const may = DIGITAL_SIGNATURE | KEY_AGREEMENT | (server ? KEY_ENCIPHERMENT : 0);
  const fits = keyUsage === undefined || (keyUsage & may) !== 0;
  const extended = leaf.extendedKeyUsages;
  if (netscapeType === undefined && fits && extended.includes(server ? EKU_SERVER : EKU_CLIENT)) return undefined;
  return { directive: "ns-cert-type", problem: `the peer's certificate is not of nsCertType ${nsCertType}` };
}

function checkName({ x509Name, usernameFields }: VerifyConfig, leaf: Certificate): CertificateProblem | undefined {
  if (x509Name === undefined) return undefined;
  const { type, name } = x509Name;
  const found = type === "subject" ? opensslSubject(leaf) : userName(leaf, usernameFields);
  if (found === undefined)
    return {
      directive: "verify-x509-name",
      problem: `the peer's certificate has no ${usernameFields.join(" or no ")}`,
    };
  if (type === "name-prefix" ? found.startsWith(name) : found === name) return undefined;
  return { directive: "verify-x509-name", problem: `the peer's certificate is for "${found}", not for "${name}"` };
}
