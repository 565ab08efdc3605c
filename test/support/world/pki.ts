/**
 * The certificates and keys of one world, made when it starts: a CA with a server and a client, and every kind of wrong one.
 * Files: NAME.crt and NAME.key in `dir`, static keys NAME.key.
 */
import "reflect-metadata";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { OPENVPN, openvpnIsAtLeast } from "./openvpn-binary.ts";

const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY = 86_400_000;
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** Files with the keys of tls-crypt-v2. */
export const V2_SERVER_KEY = "v2-server.key";
export const V2_CLIENT_KEY = "v2-client.key";

/**
 * Name of a certificate: `ca` signed all but `ca-other`; `server-as-client` has the client's extended key usage, `resolver` is for the host
 * RESOLVER.
 */
export type CertificateName =
  | "ca"
  | "ca-other"
  | "server"
  | "server-expired"
  | "server-future"
  | "server-as-client"
  | "resolver"
  | "client"
  | "client-expired"
  | "client-other"
  | "client-revoked";

export const RESOLVER = "ns.example";

interface Authority {
  readonly name: string;
  readonly keys: CryptoKeyPair;
  readonly certificate: x509.X509Certificate;
}

/** Writes all of it into `dir`, and `crl.pem`, which revokes `client-revoked`. */
export async function makePki(dir: string): Promise<void> {
  x509.cryptoProvider.set(crypto);
  const ca = await authority(dir, "ca");
  const other = await authority(dir, "ca-other");
  await leaf(dir, ca, "server", SERVER_AUTH, -1, 30);
  await leaf(dir, ca, "server-expired", SERVER_AUTH, -30, -2);
  await leaf(dir, ca, "server-future", SERVER_AUTH, 2, 30);
  await leaf(dir, ca, "server-as-client", CLIENT_AUTH, -1, 30);
  await leaf(dir, ca, "resolver", SERVER_AUTH, -1, 30, RESOLVER);
  await leaf(dir, ca, "client", CLIENT_AUTH, -1, 30);
  await leaf(dir, ca, "client-expired", CLIENT_AUTH, -30, -2);
  await leaf(dir, other, "client-other", CLIENT_AUTH, -1, 30);
  await revoke(dir, ca, [await leaf(dir, ca, "client-revoked", CLIENT_AUTH, -1, 30)]);
  staticKeys(dir);
}

/** The same of a server: `client-a` and so on, which is a file's name and its CN; and a second `crl.pem`, `crl-b.pem`, which revokes `client-b` too. */
export async function makeServerPki(dir: string, clients: readonly string[]): Promise<void> {
  x509.cryptoProvider.set(crypto);
  const ca = await authority(dir, "ca");
  const other = await authority(dir, "ca-other");
  await leaf(dir, ca, "server", SERVER_AUTH, -1, 30);
  const certificates = new Map<string, x509.X509Certificate>();
  for (const name of clients) certificates.set(name, await leaf(dir, ca, `client-${name}`, CLIENT_AUTH, -1, 30));
  await leaf(dir, ca, "client-expired", CLIENT_AUTH, -30, -2);
  await leaf(dir, other, "client-other", CLIENT_AUTH, -1, 30);
  const revoked = await leaf(dir, ca, "client-revoked", CLIENT_AUTH, -1, 30);
  await revoke(dir, ca, [revoked]);
  await revoke(dir, ca, [revoked, certificates.get("b") ?? revoked], "crl-b.pem");
  staticKeys(dir);
}

async function revoke(
  dir: string,
  ca: Authority,
  certificates: readonly x509.X509Certificate[],
  file = "crl.pem",
): Promise<void> {
  const revocationDate = new Date(Date.now() - DAY);
  const crl = await x509.X509CrlGenerator.create({
    issuer: ca.certificate.subject,
    thisUpdate: revocationDate,
    nextUpdate: new Date(Date.now() + 30 * DAY),
    signingAlgorithm: EC,
    signingKey: ca.keys.privateKey,
    entries: certificates.map(({ serialNumber }) => ({ serialNumber, revocationDate })),
  });
  writeFileSync(join(dir, file), `${x509.PemConverter.encode(crl.rawData, "X509 CRL")}\n`);
}

function staticKeys(dir: string): void {
  for (const name of ["static", "static-other"]) writeFileSync(join(dir, `${name}.key`), staticKey(), { mode: 0o600 });
  if (openvpnIsAtLeast(2, 5)) makeV2Keys(dir);
}

function makeV2Keys(cwd: string): void {
  const openvpn = (...args: string[]) => {
    const result = Bun.spawnSync([OPENVPN, ...args], { cwd });
    if (!result.success) throw new Error(`openvpn ${args.join(" ")}: ${result.stdout}`);
  };
  openvpn("--genkey", "tls-crypt-v2-server", V2_SERVER_KEY);
  openvpn("--tls-crypt-v2", V2_SERVER_KEY, "--genkey", "tls-crypt-v2-client", V2_CLIENT_KEY);
}

async function authority(dir: string, name: string): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - 60 * DAY),
    notAfter: new Date(Date.now() + 60 * DAY),
    signingAlgorithm: EC,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await write(dir, name, certificate, keys);
  return { name, keys, certificate };
}

/** @param from @param to validity in days from now @param host that it is for, by subjectAltName */
async function leaf(
  dir: string,
  issuer: Authority,
  name: string,
  usage: string,
  from: number,
  to: number,
  host?: string,
): Promise<x509.X509Certificate> {
  const keys = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${name}`,
    issuer: issuer.certificate.subject,
    notBefore: new Date(Date.now() + from * DAY),
    notAfter: new Date(Date.now() + to * DAY),
    signingAlgorithm: EC,
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(host === undefined ? [] : [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }])]),
    ],
  });
  await write(dir, name, certificate, keys);
  return certificate;
}

async function write(dir: string, name: string, certificate: x509.X509Certificate, keys: CryptoKeyPair): Promise<void> {
  const der = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  writeFileSync(join(dir, `${name}.crt`), `${certificate.toString("pem")}\n`);
  writeFileSync(join(dir, `${name}.key`), `${x509.PemConverter.encode(der, "PRIVATE KEY")}\n`, { mode: 0o600 });
}

/** Positive and at most 16 octets (RFC 5280 4.1.2.2). */
function serial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  bytes[0] = (bytes[0]! & 0x7f) | 1;
  return bytes.toHex();
}

/** 2,048 random bits in the form that `openvpn --genkey secret` writes. */
function staticKey(): string {
  const hex = crypto.getRandomValues(new Uint8Array(256)).toHex();
  const lines = hex.match(/.{32}/g)!;
  return ["-----BEGIN OpenVPN Static key V1-----", ...lines, "-----END OpenVPN Static key V1-----", ""].join("\n");
}
