/** TLS, and who the peer must be: lines -> values. */
import { usernameField } from "../exchange/attribute-names.ts";
import type { TlsVersion } from "../ports.ts";
import type { Line } from "./lexer.ts";
import { printable } from "./lexer.ts";
import { content, firstRows, materialLine, pem, pkcs12 } from "./material.ts";
import type { Reader } from "./reader.ts";
import type { Role, TlsConfig, VerifyConfig } from "./types.ts";
import { decodeUtf8 } from "./utf8.ts";

const CERTIFICATE = /^(X509 )?CERTIFICATE$/;
const AUTHORITY = /^(TRUSTED |X509 )?CERTIFICATE$/;
const PRIVATE_KEY = /^((RSA|EC|DSA|ENCRYPTED) )?PRIVATE KEY$/;

/** @param typed a pass phrase that serves where askpass names no file */
export function resolveTls(reader: Reader, role: Role, typed?: string): TlsConfig {
  const { report } = reader;
  const ca = pem(reader, "ca", AUTHORITY, "certificate");
  const cert = pem(reader, "cert", CERTIFICATE, "certificate");
  const key = pem(reader, "key", PRIVATE_KEY, "private key");
  const extraCerts = pem(reader, "extra-certs", CERTIFICATE, "certificate");
  const p12 = pkcs12(reader);
  const passphrase = readPassphrase(reader, typed);
  let crl: TlsConfig["crl"];
  const crlLine = reader.last("crl-verify");
  if (crlLine?.words[2] !== undefined)
    reader.problem(crlLine, "a directory of serial numbers is not available; give a CRL file");
  else crl = pem(reader, "crl-verify", /^X509 CRL$/, "certificate revocation list");

  const isToldOtherwise = report.problems.has("capath");
  if (!isToldOtherwise && !reader.has("ca") && !reader.has("peer-fingerprint") && !reader.has("pkcs12")) {
    report.missing("ca", `nothing says which ${PEER[role]} to trust; give ca (file or <ca> block) or peer-fingerprint`);
  }
  for (const [one, other] of [
    ["cert", "key"],
    ["key", "cert"],
  ] as const) {
    const line = reader.last(one);
    if (line && !reader.has(other) && !reader.has("pkcs12"))
      reader.problem(line, `${other} is missing: cert and key go together`);
  }
  for (const name of ["ca", "cert", "key"]) {
    const line = reader.last(name);
    // OpenVPN takes a ca beside pkcs12, cert and key not.
    if (line && name !== "ca" && reader.has("pkcs12")) reader.problem(line, "cannot stand beside pkcs12");
  }
  if ((role === "server" || role === "p2p") && !reader.has("cert") && !reader.has("key") && !reader.has("pkcs12"))
    report.missing("cert", `the TLS server shows its ${PEER[role]} a certificate; give cert and key, or pkcs12`);
  const keyLine = materialLine(reader, "key");
  if (key && keyLine && passphrase === undefined && !reader.has("askpass") && isEncrypted(key.bytes)) {
    reader.problem(keyLine, "the private key is encrypted; add askpass FILE with its pass phrase in the first row");
  }

  const [minVersion, maxVersion] = versions(reader);
  const lists = { cipherList: list(reader, "tls-cipher"), cipherSuites: list(reader, "tls-ciphersuites") };
  for (const line of reader.all("tls-cipher")) {
    if (/@SECLEVEL=0/.test(line.words[1] ?? "")) reader.warn(line, WEAK_ACCEPTED);
  }
  return {
    ca,
    cert,
    key,
    extraCerts,
    pkcs12: p12,
    passphrase,
    passphraseFile: reader.last("askpass")?.words[1],
    crl,
    minVersion,
    maxVersion,
    ...lists,
    groups: list(reader, "tls-groups"),
    certProfile: certProfile(reader),
    origins: Object.fromEntries(
      SETTINGS.flatMap((name) => {
        const line = reader.last(name)?.line;
        return line === undefined ? [] : [[name, report.origin(line)]];
      }),
    ),
  };
}

const PEER: Readonly<Record<Role, string>> = { client: "server", server: "clients", p2p: "peer", static: "peer" };

const SETTINGS = ["tls-cipher", "tls-ciphersuites", "tls-groups", "tls-cert-profile"].concat([
  "tls-version-min",
  "tls-version-max",
]);

const list = (reader: Reader, name: string): string | undefined => reader.last(name)?.words[1];

const isEncrypted = (bytes: Uint8Array): boolean => /BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(decodeUtf8(bytes));

/** OpenVPN's limit (its misc.h, USER_PASS_LEN). */
const MAX_PASSPHRASE = 4095;

function readPassphrase(reader: Reader, typed: string | undefined): string | undefined {
  const line = reader.last("askpass");
  if (line === undefined) return typed;
  if (line.words[1] === undefined || line.words[1] === "stdin") {
    if (typed !== undefined) return typed;
    return reader.problem(
      line,
      "nobody can be asked for the pass phrase; write askpass FILE with the pass phrase in its first row",
    );
  }
  const found = content(reader, line);
  if (found === undefined) return undefined;
  const [passphrase] = firstRows(found.bytes);
  if (passphrase === undefined) return reader.problem(line, `${found.label} is empty`);
  if (passphrase.length > MAX_PASSPHRASE) return reader.problem(line, `${found.label}: the pass phrase is too long`);
  return passphrase;
}

const VERSIONS: readonly TlsVersion[] = ["1.0", "1.1", "1.2", "1.3"];

/** As OpenVPN: at least 1.2 where nothing is said, or exactly the version of a lower tls-version-max. */
function versions(reader: Reader): [TlsVersion, TlsVersion] {
  const value: { "tls-version-min"?: TlsVersion; "tls-version-max"?: TlsVersion } = {};
  for (const name of ["tls-version-min", "tls-version-max"] as const) {
    for (const line of reader.all(name)) {
      const word = line.words[1];
      if (line.words[2] !== undefined && line.words[2] !== "or-highest")
        reader.problem(line, `"${printable(line.words[2])}" is not "or-highest"`);
      const version = VERSIONS.find((v) => v === word);
      if (version !== undefined) value[name] = version;
      else if (name === "tls-version-min" && line.words[2] === "or-highest") value[name] = "1.3";
      else reader.problem(line, `"${printable(word ?? "")}" is none of ${VERSIONS.join(", ")}`);
      if (version === "1.0" || version === "1.1") reader.warn(line, OLD_TLS(version));
    }
  }
  const max = value["tls-version-max"] ?? "1.3";
  const min = value["tls-version-min"] ?? (max < "1.2" ? max : "1.2");
  const line = reader.last("tls-version-min");
  if (min > max && line) reader.problem(line, `${min} is above tls-version-max ${max}`);
  return [min, max];
}

const OLD_TLS = (version: string): string =>
  `TLS ${version} is broken, and OpenSSL uses it only where tls-cipher holds @SECLEVEL=0; better let the server use 1.2 or later`;

function certProfile(reader: Reader): TlsConfig["certProfile"] {
  const profile = reader.oneOf("tls-cert-profile", ["legacy", "preferred", "suiteb", "insecure"]) ?? "legacy";
  const line = reader.last("tls-cert-profile");
  if (line && profile === "insecure") reader.warn(line, WEAK_ACCEPTED);
  return profile;
}

const WEAK_ACCEPTED =
  "weak certificates and keys of the server, which others may have broken, are accepted; better give the server new ones";

export function resolveVerify(reader: Reader, role: Role): VerifyConfig {
  const remoteCertTls = reader.oneOf("remote-cert-tls", ["server", "client"]);
  const nsCertType = reader.oneOf("ns-cert-type", ["server", "client"]);
  const wrongSide = reader.last("remote-cert-tls");
  if (wrongSide && role === "client" && remoteCertTls === "client")
    reader.warn(wrongSide, "client: the server must then have a client's certificate");
  if (wrongSide && role === "server" && remoteCertTls === "server")
    reader.warn(
      wrongSide,
      "server: each client must then have a server's certificate; client is what a server asks for",
    );
  let remoteCertKu: number[] | undefined;
  for (const line of reader.all("remote-cert-ku")) {
    remoteCertKu = [];
    for (const word of line.words.slice(1)) {
      if (/^(0x)?[0-9a-f]{1,4}$/i.test(word)) remoteCertKu.push(Number.parseInt(word, 16));
      else reader.problem(line, `"${printable(word)}" is not a hexadecimal key usage such as a0`);
    }
  }
  let x509Name: VerifyConfig["x509Name"];
  for (const line of reader.all("verify-x509-name")) {
    const type = line.words[2] === undefined ? "subject" : reader.choice(line, 2, ["subject", "name", "name-prefix"]);
    if (line.words[1] === "") reader.problem(line, "the name is empty");
    else if (type !== undefined) x509Name = { type, name: line.words[1] as string };
  }
  const demands = ["remote-cert-tls", "remote-cert-eku", "remote-cert-ku", "ns-cert-type", "verify-x509-name"];
  const trust = materialLine(reader, "ca") ?? materialLine(reader, "pkcs12");
  if (role === "client" && trust && ![...demands, "verify-hash", "peer-fingerprint"].some((name) => reader.has(name))) {
    reader.warn(
      trust,
      "whoever has a certificate of this CA, such as another client, can pass for the server; add remote-cert-tls server",
    );
  }
  return {
    remoteCertTls,
    remoteCertEku: reader.last("remote-cert-eku")?.words[1],
    remoteCertKu,
    nsCertType,
    x509Name,
    usernameFields: usernameFields(reader, role, x509Name?.type),
    verifyHash: verifyHash(reader),
    peerFingerprints: fingerprints(reader),
  };
}

const COMMON_NAME: readonly string[] = ["CN"];

/** A server also takes a client's name out of them. */
function usernameFields(reader: Reader, role: Role, nameType: string | undefined): readonly string[] {
  const line = reader.last("x509-username-field");
  if (line === undefined) return COMMON_NAME;
  const fields = line.words.slice(1).flatMap((word) => {
    const field = usernameField(word);
    if (field === undefined) reader.problem(line, `"${printable(word)}" is no attribute of a name that is available`);
    return field ?? [];
  });
  if (role === "server" || nameType === "name" || nameType === "name-prefix") return fields;
  if (fields.join() !== COMMON_NAME.join())
    reader.warn(line, "ignored: only verify-x509-name with name or name-prefix looks at it");
  return COMMON_NAME;
}

/** All of them count: the certificate must have one. */
function verifyHash(reader: Reader): VerifyConfig["verifyHash"] {
  let value: VerifyConfig["verifyHash"];
  for (const line of reader.all("verify-hash")) {
    if (reader.has("peer-fingerprint")) reader.problem(line, "cannot stand beside peer-fingerprint");
    const name = line.words[2]?.toUpperCase() ?? "SHA1";
    if (line.block === undefined && name !== "SHA1" && name !== "SHA256") {
      reader.problem(line, `"${printable(name)}" is neither SHA1 nor SHA256`);
      continue;
    }
    const algorithm = line.block !== undefined || name === "SHA256" ? "SHA256" : "SHA1";
    const digests = digestRows(reader, line, algorithm === "SHA1" ? 20 : 32);
    if (digests === undefined) continue;
    if (value !== undefined && value.algorithm !== algorithm)
      reader.problem(line, `${algorithm} cannot stand beside a verify-hash with ${value.algorithm}`);
    value = { algorithm, digests: [...(value?.digests ?? []), ...digests] };
  }
  return value;
}

/** All of them count: the peer must have one. */
function fingerprints(reader: Reader): string[] | undefined {
  const all = reader.all("peer-fingerprint").flatMap((line) => digestRows(reader, line, 32) ?? []);
  return reader.has("peer-fingerprint") ? all : undefined;
}

function digestRows(reader: Reader, line: Line, bytes: number): string[] | undefined {
  const rows = (line.block ?? (line.words[1] as string)).split("\n").map((row) => row.trim());
  const wanted = rows.filter((row) => row !== "" && !/^[#;]/.test(row));
  const digests: string[] = [];
  for (const row of wanted) {
    if (!/^[0-9a-f]{2}(:[0-9a-f]{2})*$/i.test(row) || row.length !== 3 * bytes - 1) {
      return reader.problem(line, `"${printable(row)}" is not ${bytes} bytes in hexadecimal, written XX:XX:...`);
    }
    digests.push(row.replaceAll(":", "").toLowerCase());
  }
  if (digests.length === 0) return reader.problem(line, "holds no fingerprint");
  return digests;
}
