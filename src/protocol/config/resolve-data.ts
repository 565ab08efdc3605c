/** Ciphers, digests, sizes and compression: lines -> values. */
import { printable } from "./lexer.ts";
import type { Reader } from "./reader.ts";
import type { DataCipher, DigestName, MssFix } from "./types.ts";

const AEAD: readonly DataCipher[] = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"];
/** Ciphers of OpenVPN with OpenSSL that are not built: known, so that a mistyped name is told from them. */
const OTHER_CIPHERS =
  /^(AES-192-GCM|AES-(128|192|256)-(CBC|CFB|CFB1|CFB8|OFB)|BF-(CBC|CFB|OFB)|CAST5-(CBC|CFB|OFB)|DES(-EDE3?|X)?-(CBC|CFB|CFB1|CFB8|OFB)|RC2(-40|-64)?-(CBC|CFB|OFB)|(CAMELLIA|ARIA)-(128|192|256)-(CBC|CFB|CFB1|CFB8|OFB|GCM)|(SEED|SM4)-(CBC|CFB|OFB))$/;
const DIGESTS: readonly DigestName[] = ["SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "MD5"];

const isAead = (name: string): name is DataCipher => (AEAD as readonly string[]).includes(name);

export function resolveCiphers(reader: Reader): { dataCiphers: DataCipher[]; fallbackCipher: string | undefined } {
  let dataCiphers: DataCipher[] = [...AEAD];
  const lines = [...reader.all("data-ciphers"), ...reader.all("ncp-ciphers")].sort((a, b) => a.line - b.line);
  for (const line of lines) {
    const chosen: DataCipher[] = [];
    const left: string[] = [];
    for (const word of (line.words[1] as string).split(":")) {
      const optional = word.startsWith("?");
      const name = (optional ? word.slice(1) : word).toUpperCase();
      if (name === "DEFAULT") chosen.push(...AEAD);
      else if (isAead(name)) chosen.push(name);
      else if (OTHER_CIPHERS.test(name)) left.push(name);
      else if (!optional) reader.problem(line, `"${printable(word)}" is no cipher that OpenVPN knows`);
    }
    if (chosen.length === 0) {
      reader.problem(line, `none of ${AEAD.join(", ")} is in the list, and only these are available`);
    } else {
      if (left.length > 0) reader.warn(line, `left out: ${left.join(", ")}; only AEAD ciphers are available`);
      dataCiphers = [...new Set(chosen)];
    }
  }
  // The only one there is since OpenVPN 2.5, and what old profiles ask for.
  reader.oneOf("key-method", ["2"]);
  const ncpDisable = reader.last("ncp-disable");
  const fallbackCipher = cipherName(reader, "data-ciphers-fallback") ?? cipherName(reader, "cipher");
  if (ncpDisable) {
    if (fallbackCipher !== undefined && !isAead(fallbackCipher)) {
      reader.problem(
        ncpDisable,
        `${fallbackCipher} without negotiation is not available; remove the line if the server is 2.4 or newer`,
      );
    } else reader.warn(ncpDisable, "ignored, as OpenVPN 2.6 does: the cipher is negotiated");
  }
  return { dataCiphers, fallbackCipher };
}

function cipherName(reader: Reader, directive: string): string | undefined {
  let name: string | undefined;
  for (const line of reader.all(directive)) {
    const word = (line.words[1] as string).toUpperCase();
    if (word === "NONE") reader.problem(line, "none: data without encryption is not available");
    else if (isAead(word) || OTHER_CIPHERS.test(word)) name = word;
    else reader.problem(line, `"${printable(line.words[1] as string)}" is no cipher that OpenVPN knows`);
  }
  return name;
}

export function resolveAuth(reader: Reader): DigestName | "none" {
  let auth: DigestName | "none" = "SHA1";
  for (const line of reader.all("auth")) {
    const word = line.words[1] as string;
    const name = word.toUpperCase().replace(/^RSA-/, "").replace(/^SHA-/, "SHA");
    if (name === "NONE") auth = "none";
    else if ((DIGESTS as readonly string[]).includes(name)) auth = name as DigestName;
    else if (
      /^(SHA512-(224|256)|SHA3-(224|256|384|512)|BLAKE2[BS](512|256)|RIPEMD160|MD4|WHIRLPOOL|SM3|MD5-SHA1)$/.test(name)
    ) {
      reader.problem(line, `${name} is not available; ${DIGESTS.join(", ")} are`);
    } else reader.problem(line, `"${printable(word)}" is no digest that OpenVPN knows`);
  }
  return auth;
}

/**
 * comp-lzo in any form, `no` included, and compress with an algorithm put a byte before each packet (notes: 0xfa none,
 * 0xfb swapped), and the peer's framing cannot be negotiated away: a packet without it would be misread by a server that
 * has the same line. So they are errors until that framing is built. `compress migrate` has no framing of its own, and
 * `compress stub-v2` adds a byte only to packets that begin with 0x50, which no IP packet does.
 */
export function checkCompression(reader: Reader): void {
  for (const line of reader.all("comp-lzo")) {
    if (reader.choice(line, 1, ["yes", "no", "adaptive"]) === undefined && line.words[1] !== undefined) continue;
    reader.problem(
      line,
      `the framing of comp-lzo${line.words[1] === "no" ? " (also of comp-lzo no)" : ""} is not available yet`,
    );
  }
  for (const line of reader.all("compress")) {
    const mode = reader.choice(line, 1, ["lzo", "lz4", "lz4-v2", "stub", "stub-v2", "migrate"]);
    if (mode === undefined && line.words[1] !== undefined) continue;
    if (mode !== "stub-v2" && mode !== "migrate")
      reader.problem(line, "the framing of compressed packets is not available yet");
  }
  // Not negotiable: both ends must have it (notes 4.2). 0 turns it off.
  for (const line of reader.all("fragment")) {
    const size = reader.number(line, 1, { min: 0, max: 65535 });
    if (line.words[2] !== undefined) reader.choice(line, 2, ["mtu"]);
    if (size !== undefined && size > 0)
      reader.problem(line, "fragmentation inside the tunnel is not available yet; the server must have it too");
  }
}

const MTU = { min: 100, max: 65535 };
/** From the man page of OpenVPN 2.6. */
const DEFAULT_MTU = 1500;
const DEFAULT_MAX_MTU = 1600;
const DEFAULT_MSSFIX = 1492;

export function resolveSizes(reader: Reader): { tunMtu: number; tunMtuMax: number; mssFix: MssFix } {
  for (const line of reader.all("tun-mtu")) reader.number(line, 2, MTU);
  const tunMtu = reader.int("tun-mtu", DEFAULT_MTU, MTU);
  const tunMtuMax = Math.max(tunMtu, reader.int("tun-mtu-max", DEFAULT_MAX_MTU, { min: 68, max: 65536 }));
  let mssFix: MssFix = tunMtu === DEFAULT_MTU ? { size: DEFAULT_MSSFIX, mode: "mtu" } : { size: tunMtu, mode: "fixed" };
  for (const line of reader.all("mssfix")) {
    const size = line.words[1] === undefined ? DEFAULT_MSSFIX : reader.number(line, 1, { min: 0, max: 65535 });
    const mode =
      line.words[1] === undefined
        ? "mtu"
        : line.words[2] === undefined
          ? "payload"
          : reader.choice(line, 2, ["mtu", "fixed"]);
    if (size !== undefined && mode !== undefined) mssFix = size === 0 ? { size, mode: "payload" } : { size, mode };
  }
  return { tunMtu, tunMtuMax, mssFix };
}
