/** Ciphers, digests, sizes and compression: lines -> values. */
import {
  COMP_LZO_WORDS,
  COMPRESS_WORDS,
  COMPRESSION,
  type CompressionForm,
  compressionForm,
} from "../data/compression.ts";
import { CIPHER_NAMES, type CipherName, cipherNamed, DEFAULT_CIPHERS } from "../ports.ts";
import { type Line, printable } from "./lexer.ts";
import type { Reader } from "./reader.ts";
import type { DataConfig, DigestName, MssFix, ReplayWindowConfig, TunnelSizes } from "./types.ts";

/** Ciphers of OpenVPN with OpenSSL that are not built: known, so that a mistyped name is told from them. */
const OTHER_CIPHERS =
  /^(AES-(128|192|256)-(CFB|CFB1|CFB8|OFB)|BF-(CBC|CFB|OFB)|CAST5-(CBC|CFB|OFB)|DES(-EDE3?|X)?-(CBC|CFB|CFB1|CFB8|OFB)|RC2(-40|-64)?-(CBC|CFB|OFB)|(CAMELLIA|ARIA)-(128|192|256)-(CBC|CFB|CFB1|CFB8|OFB|GCM)|(SEED|SM4)-(CBC|CFB|OFB))$/;
const DIGESTS: readonly DigestName[] = ["SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "MD5"];

/** The data channel. */
export function resolveData(reader: Reader): DataConfig {
  return {
    ...resolveCiphers(reader),
    auth: resolveAuth(reader),
    ...resolveCompression(reader),
    fragment: resolveFragment(reader),
    replayWindow: resolveReplayWindow(reader),
  };
}

function resolveCiphers(reader: Reader): Pick<DataConfig, "ciphers" | "fallbackCipher"> {
  let ciphers: CipherName[] = [...DEFAULT_CIPHERS];
  const lines = inOrder(reader.all("data-ciphers"), reader.all("ncp-ciphers"));
  for (const line of lines) {
    const chosen: CipherName[] = [];
    const left: string[] = [];
    // As OpenVPN, nothing between two colons, or behind the last one, is no cipher.
    for (const word of (line.words[1] as string).split(":").filter((w) => w !== "")) {
      const optional = word.startsWith("?");
      const name = (optional ? word.slice(1) : word).toUpperCase();
      const cipher = cipherNamed(name);
      if (name === "DEFAULT") chosen.push(...DEFAULT_CIPHERS);
      else if (cipher !== undefined) chosen.push(cipher);
      else if (OTHER_CIPHERS.test(name)) left.push(name);
      else if (!optional) reader.problem(line, `"${printable(word)}" is no cipher that OpenVPN knows`);
    }
    if (chosen.length === 0) {
      reader.problem(
        line,
        `none of ${CIPHER_NAMES.join(", ")} is in the list, and only these are available; remove the line if the server is 2.4 or newer`,
      );
    } else {
      if (left.length > 0) reader.warn(line, `left out: ${left.join(", ")}; these are not available`);
      ciphers = [...new Set(chosen)];
    }
  }
  // The only one there is since OpenVPN 2.5, and what old profiles ask for.
  reader.oneOf("key-method", ["2"]);
  const ncpDisable = reader.last("ncp-disable");
  const fallbackCipher = cipherName(reader, "data-ciphers-fallback") ?? cipherName(reader, "cipher");
  if (ncpDisable) {
    if (fallbackCipher !== undefined && cipherNamed(fallbackCipher) === undefined) {
      reader.problem(
        ncpDisable,
        `${fallbackCipher} without negotiation is not available; remove the line if the server is 2.4 or newer`,
      );
    } else reader.warn(ncpDisable, "ignored, as OpenVPN 2.6 does: the cipher is negotiated");
  }
  return { ciphers, fallbackCipher };
}

function cipherName(reader: Reader, directive: string): string | undefined {
  let name: string | undefined;
  for (const line of reader.all(directive)) {
    const word = (line.words[1] as string).toUpperCase();
    // With a server that negotiates (2.4 and newer) it never comes to it.
    if (word === "NONE") reader.warn(line, "none is ignored: data are always encrypted");
    else if (cipherNamed(word) !== undefined || OTHER_CIPHERS.test(word)) name = word;
    else reader.problem(line, `"${printable(line.words[1] as string)}" is no cipher that OpenVPN knows`);
  }
  return name;
}

function resolveAuth(reader: Reader): DigestName | "none" {
  let auth: DigestName | "none" = "SHA1";
  for (const line of reader.all("auth")) {
    const word = line.words[1] as string;
    const name = word
      .toUpperCase()
      .replace(/^RSA-/, "")
      .replace(/^SHA2?-/, "SHA");
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
 * Both ends must have the same form, since it cannot be negotiated away: a packet without its byte is misread by a server that has
 * the same line. The later line wins.
 */
function resolveCompression(reader: Reader): Pick<DataConfig, "compression" | "allowCompression"> {
  let compression: CompressionForm = "none";
  let line: Line | undefined;
  for (const each of inOrder(reader.all("comp-lzo"), reader.all("compress"))) {
    const directive = each.words[0] === "compress" ? "compress" : "comp-lzo";
    const words: readonly string[] = directive === "compress" ? COMPRESS_WORDS : COMP_LZO_WORDS;
    const form = compressionForm(directive, each.words[1]);
    if (form === undefined) reader.choice(each, 1, words);
    else [compression, line] = [form, each];
  }
  const allowCompression = resolveAllowCompression(reader);
  if (line !== undefined && COMPRESSION[compression].algorithm !== undefined) {
    if (allowCompression === "no") reader.problem(line, "allow-compression no forbids it; remove one of the two lines");
    else reader.warn(line, COMPRESSION_IS_READ);
  }
  return { compression, allowCompression };
}

const COMPRESSION_IS_READ =
  "what the other end compresses is read, and nothing is sent compressed, because compression can give away what is encrypted";

/** As openvpn (options.c): nothing comes behind a no. */
function resolveAllowCompression(reader: Reader): DataConfig["allowCompression"] {
  let value: DataConfig["allowCompression"];
  for (const line of reader.all("allow-compression")) {
    const word = reader.choice(line, 1, ["asym", "no", "yes"]);
    if (word === undefined) continue;
    if (word !== "no" && value === "no") reader.problem(line, `no stands before it, and ${word} cannot take its place`);
    else value = word === "no" ? "no" : "asym";
    if (word === "yes") reader.warn(line, "as asym: what the other end compresses is read, nothing is sent compressed");
  }
  return value;
}

/** Not negotiable: both ends must have it (man openvpn, --fragment). 0 turns it off. */
export function resolveFragment(reader: Reader): DataConfig["fragment"] {
  let fragment: DataConfig["fragment"];
  for (const line of reader.all("fragment")) {
    const size = reader.number(line, 1, { min: 0, max: 65535 });
    const isOuter = reader.choice(line, 2, ["mtu"]) === "mtu";
    if (size === undefined) continue;
    if (size > 0 && size < LEAST_FRAGMENT) reader.problem(line, `${size} is less than ${LEAST_FRAGMENT}`);
    else fragment = size === 0 ? undefined : { size, isOuter };
  }
  return fragment;
}

/** Lines of two directives as they stand in the file. */
const inOrder = (one: readonly Line[], other: readonly Line[]): Line[] =>
  [...one, ...other].sort((a, b) => a.line - b.line);

const MTU = { min: 100, max: 65535 };
/** From the man page of OpenVPN 2.6. */
const DEFAULT_MTU = 1500;
const DEFAULT_MAX_MTU = 1600;
const DEFAULT_MSSFIX = 1492;
const LEAST_FRAGMENT = 68;

/** Without mssfix the segments of TCP are what fragment would not cut, or what fits an ordinary link (options.c). */
export function resolveSizes(reader: Reader, fragment: DataConfig["fragment"]): TunnelSizes {
  for (const line of reader.all("tun-mtu")) reader.number(line, 2, MTU);
  const mtu = reader.int("tun-mtu", DEFAULT_MTU, MTU);
  const mtuMax = Math.max(mtu, reader.int("tun-mtu-max", DEFAULT_MAX_MTU, { min: 68, max: 65536 }));
  const byMtu: MssFix = mtu === DEFAULT_MTU ? { size: DEFAULT_MSSFIX, mode: "mtu" } : { size: mtu, mode: "fixed" };
  const byDefault: MssFix = fragment === undefined ? byMtu : { size: fragment.size, mode: "mtu" };
  let mssFix = byDefault;
  for (const line of reader.all("mssfix")) {
    if (line.words[1] === undefined) {
      mssFix = byDefault;
      continue;
    }
    const size = reader.number(line, 1, { min: 0, max: 65535 });
    const mode = line.words[2] === undefined ? "payload" : reader.choice(line, 2, ["mtu", "fixed"]);
    if (size !== undefined && mode !== undefined) mssFix = size === 0 ? { size, mode: "payload" } : { size, mode };
  }
  return { mtu, mtuMax, mssFix };
}

function resolveReplayWindow(reader: Reader): ReplayWindowConfig {
  let value = { packets: 64, seconds: 15 };
  for (const line of reader.all("replay-window")) {
    const packets = reader.number(line, 1, { min: 0, max: 65536 });
    const seconds = reader.number(line, 2, { min: 0, max: 600 });
    value = { packets: packets ?? value.packets, seconds: seconds ?? value.seconds };
    if (packets === 0) reader.problem(line, "a window of 0 packets turns replay protection down; use 1 or more");
  }
  return value;
}
