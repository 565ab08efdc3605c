/**
 * What a profile demands of the peer's certificate beside a chain to its CA (man openvpn: remote-cert-tls,
 * verify-x509-name, peer-fingerprint, ...). The chain itself is the TLS library's work.
 */
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ExtendedKeyUsageExtension, KeyUsageFlags, KeyUsagesExtension, type X509Certificate } from "@peculiar/x509";
import { printable } from "../config/lexer.ts";
import type { VerifyConfig } from "../config/types.ts";
import { opensslSubject, userName } from "./certificate-name.ts";
import type { CertificateProblem } from "./failure.ts";
import { readCertificate } from "./read-certificate.ts";

const NS_CERT_TYPE = "2.16.840.1.113730.1.1";
const EKU_SERVER = "1.3.6.1.5.5.7.3.1";
const EKU_CLIENT = "1.3.6.1.5.5.7.3.2";
/** As OpenSSL's configuration has them, for messages. */
const EKU_SHORT: ReadonlyMap<string, string> = new Map([
  [EKU_SERVER, "serverAuth"],
  [EKU_CLIENT, "clientAuth"],
]);
const shortUsage = (oid: string): string => EKU_SHORT.get(oid) ?? oid;
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
    const leaf = readCertificate(der);
    return (
      checkFingerprint(verify, der) ??
      checkHash(verify, chain[1]) ??
      checkUsage(verify, leaf) ??
      checkNsCertType(verify, leaf) ??
      checkName(verify, leaf)
    );
  } catch {
    // The parser throws at what it does not understand, in part only when an extension or a name is asked for. A certificate
    // that cannot be checked is refused.
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

function checkUsage(verify: VerifyConfig, leaf: X509Certificate): CertificateProblem | undefined {
  const tls = verify.remoteCertTls;
  if (tls !== undefined || verify.remoteCertKu !== undefined) {
    const usage = leaf.getExtension(KeyUsagesExtension);
    const directive = tls === undefined ? "remote-cert-ku" : "remote-cert-tls";
    if (usage === null) return { directive, problem: "the peer's certificate has no key usage extension" };
    const wanted = verify.remoteCertKu ?? [];
    // As OpenVPN writes them: digitalSignature is 0x80, decipherOnly 0x8000.
    const bits = reverseByte(usage.usages & 0xff) | ((usage.usages & 0x100) << 7);
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
    const found = leaf.getExtension(ExtendedKeyUsageExtension)?.usages.map(String) ?? [];
    if (found.includes(want.oid)) continue;
    const has = found.length === 0 ? "no extended key usage" : `extended key usage ${found.map(shortUsage).join(", ")}`;
    const whose = `the peer's certificate (${printable(opensslSubject(leaf))})`;
    return { directive: want.directive, problem: `${whose} has ${has}, not ${shortUsage(want.oid)}` };
  }
  return undefined;
}

/**
 * As OpenVPN 2.6 (X509_check_purpose): certificates of today carry the purpose as extended key usage, and only old ones the
 * Netscape extension (a bit string with client 0x80 and server 0x40); its bit alone is enough. Stricter than OpenVPN
 * in one case: a certificate that has neither says nothing about its purpose and is refused.
 */
function checkNsCertType({ nsCertType }: VerifyConfig, leaf: X509Certificate): CertificateProblem | undefined {
  if (nsCertType === undefined) return undefined;
  const server = nsCertType === "server";
  const extension = leaf.extensions.find((e) => e.type === NS_CERT_TYPE);
  const value = extension === undefined ? undefined : new Uint8Array(extension.value);
  const bits = value !== undefined && value.length >= 4 && value[0] === 3 ? (value[3] as number) : 0;
  if ((bits & (server ? 0x40 : 0x80)) !== 0) return undefined;
  const extended = leaf.getExtension(ExtendedKeyUsageExtension)?.usages.map(String) ?? [];
  const usage = leaf.getExtension(KeyUsagesExtension)?.usages;
  const may =
    KeyUsageFlags.digitalSignature | KeyUsageFlags.keyAgreement | (server ? KeyUsageFlags.keyEncipherment : 0);
  const fits = usage === undefined || (usage & may) !== 0;
  if (extension === undefined && fits && extended.includes(server ? EKU_SERVER : EKU_CLIENT)) return undefined;
  return { directive: "ns-cert-type", problem: `the peer's certificate is not of nsCertType ${nsCertType}` };
}

function checkName({ x509Name, usernameFields }: VerifyConfig, leaf: X509Certificate): CertificateProblem | undefined {
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

function reverseByte(x: number): number {
  let out = 0;
  for (let i = 0; i < 8; i++) if ((x & (1 << i)) !== 0) out |= 0x80 >> i;
  return out;
}
