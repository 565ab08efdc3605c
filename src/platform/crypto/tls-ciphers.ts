/**
 * `tls-cipher`, `tls-ciphersuites` and `tls-groups` as profiles write them, in the names that BoringSSL takes.
 * Profiles have OpenSSL names, IANA names with dashes (`TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384`) or with underscores, and
 * OpenSSL's list words; BoringSSL refuses a whole list for one name that it does not know, so lists are resolved here.
 */
import { printable } from "../../protocol/config/lexer.ts";
import { UnusableTls } from "./tls-unusable.ts";

interface Suite {
  readonly openssl: string;
  readonly iana: string;
  /** OpenSSL's class words that this suite belongs to, for exclusions. */
  readonly words: string;
}

/** TLS 1.2 suites of BoringSSL with certificates, in the order of preference. */
const SUITES: readonly Suite[] = [
  suite(
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-WITH-AES-256-GCM-SHA384",
    "aECDSA ECDSA kEECDH ECDHE EECDH AESGCM AES AES256",
  ),
  suite(
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-WITH-AES-256-GCM-SHA384",
    "aRSA kEECDH ECDHE EECDH AESGCM AES AES256",
  ),
  suite(
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256",
    "aECDSA ECDSA kEECDH ECDHE EECDH CHACHA20",
  ),
  suite("ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256", "aRSA kEECDH ECDHE EECDH CHACHA20"),
  suite(
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
    "aECDSA ECDSA kEECDH ECDHE EECDH AESGCM AES AES128",
  ),
  suite(
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-WITH-AES-128-GCM-SHA256",
    "aRSA kEECDH ECDHE EECDH AESGCM AES AES128",
  ),
  suite(
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-WITH-AES-256-CBC-SHA",
    "aECDSA ECDSA kEECDH ECDHE EECDH AES AES256 SHA SHA1",
  ),
  suite("ECDHE-RSA-AES256-SHA", "ECDHE-RSA-WITH-AES-256-CBC-SHA", "aRSA kEECDH ECDHE EECDH AES AES256 SHA SHA1"),
  suite(
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-WITH-AES-128-CBC-SHA",
    "aECDSA ECDSA kEECDH ECDHE EECDH AES AES128 SHA SHA1",
  ),
  suite("ECDHE-RSA-AES128-SHA", "ECDHE-RSA-WITH-AES-128-CBC-SHA", "aRSA kEECDH ECDHE EECDH AES AES128 SHA SHA1"),
  suite("AES256-GCM-SHA384", "RSA-WITH-AES-256-GCM-SHA384", "aRSA kRSA RSA AESGCM AES AES256"),
  suite("AES128-GCM-SHA256", "RSA-WITH-AES-128-GCM-SHA256", "aRSA kRSA RSA AESGCM AES AES128"),
  suite("AES256-SHA", "RSA-WITH-AES-256-CBC-SHA", "aRSA kRSA RSA AES AES256 SHA SHA1"),
  suite("AES128-SHA", "RSA-WITH-AES-128-CBC-SHA", "aRSA kRSA RSA AES AES128 SHA SHA1"),
];

/** What is offered without `tls-cipher`: forward secrecy and AEAD only. */
const DEFAULT = SUITES.filter((s) => /GCM|CHACHA/.test(s.openssl) && s.openssl.startsWith("ECDHE"));
/** What the list words DEFAULT, ALL and HIGH stand for: everything with forward secrecy. */
const ALL = SUITES.filter((s) => s.openssl.startsWith("ECDHE"));
const ALL_WORDS = new Set(["DEFAULT", "ALL", "HIGH", "COMPLEMENTOFDEFAULT", "TLSv1.2"]);

const TLS13_SUITES = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];

/** The OpenSSL list for a `tls-cipher` value. Names that BoringSSL does not have are skipped; undefined when none is left. */
export function tls12Ciphers(list: string | undefined): string | undefined {
  if (list === undefined) return DEFAULT.map((s) => s.openssl).join(":");
  const chosen: Suite[] = [];
  const banned = new Set<Suite>();
  for (const token of list.split(/[:, ]+/).filter((t) => t !== "" && !t.startsWith("@"))) {
    const action = /^[!+-]/.test(token) ? token[0] : "";
    const matches = matching(action === "" ? token : token.slice(1));
    for (const s of matches) {
      const at = chosen.indexOf(s);
      if (action === "!") banned.add(s);
      if (action !== "" && at >= 0) chosen.splice(at, 1);
      if ((action === "" && at < 0) || (action === "+" && at >= 0)) chosen.push(s);
    }
  }
  const usable = chosen.filter((s) => !banned.has(s));
  return usable.length === 0 ? undefined : usable.map((s) => s.openssl).join(":");
}

/**
 * Checks a `tls-ciphersuites` value: BoringSSL always offers its three TLS 1.3 suites and lets nobody choose.
 * @throws UnusableTls when none of the named ones is among them
 */
export function checkTls13Suites(list: string | undefined): void {
  if (list === undefined) return;
  const names = list.split(/[:, ]+/).map((n) => n.toUpperCase().replaceAll("-", "_"));
  if (!names.some((n) => TLS13_SUITES.includes(n))) {
    throw new UnusableTls(
      "tls-ciphersuites",
      `no usable suite in "${printable(list)}"; there are ${TLS13_SUITES.join(", ")}`,
    );
  }
}

const GROUPS: Readonly<Record<string, string>> = {
  x25519: "X25519",
  "p-256": "P-256",
  prime256v1: "P-256",
  secp256r1: "P-256",
  "p-384": "P-384",
  secp384r1: "P-384",
  "p-521": "P-521",
  secp521r1: "P-521",
  x25519mlkem768: "X25519MLKEM768",
};

/** The curve list for a `tls-groups` value; unknown names are skipped. @throws UnusableTls when none is left */
export function tlsGroups(list: string | undefined): string | undefined {
  if (list === undefined) return undefined;
  const names = list.split(/[:, ]+/).map((n) => GROUPS[n.replace(/^[?*]/, "").toLowerCase()]);
  const known = [...new Set(names.filter((n) => n !== undefined))];
  if (known.length === 0)
    throw new UnusableTls(
      "tls-groups",
      `no usable group in "${printable(list)}"; for example X25519:secp256r1 would be`,
    );
  return known.join(":");
}

function suite(openssl: string, iana: string, words: string): Suite {
  return { openssl, iana, words: ` ${words} ` };
}

function matching(name: string): readonly Suite[] {
  if (ALL_WORDS.has(name)) return ALL;
  const iana = name.toUpperCase().replaceAll("_", "-").replace(/^TLS-/, "");
  const exact = SUITES.filter((s) => s.openssl === name.toUpperCase() || s.iana === iana);
  if (exact.length > 0) return exact;
  const words = name.split("+");
  return SUITES.filter((s) => words.every((w) => s.words.includes(` ${w} `)));
}
