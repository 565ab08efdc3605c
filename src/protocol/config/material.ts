/** Contents of blocks and of files that a profile names: PEM, static keys, user and password. */
import { baseName, isAbsolutePath } from "./beside.ts";
import { INLINE, type Line, printable } from "./lexer.ts";
import { withLineFeeds } from "./line-ends.ts";
import type { Reader } from "./reader.ts";
import type { Material } from "./types.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

export interface Content {
  readonly label: string;
  readonly bytes: Uint8Array;
}

/** The content behind one line: its block, or the file that its first parameter names. Reports a missing file. */
export function content(reader: Reader, line: Line): Content | undefined {
  if (line.block !== undefined) {
    return { label: `<${line.words[0]}> block`, bytes: encodeUtf8(line.block) };
  }
  const name = line.words[1] as string;
  const file = reader.file(line, name);
  if (file === undefined) {
    const wanted =
      isAbsolutePath(name) && baseName(name) !== "" ? ` (as ${JSON.stringify(printable(baseName(name)))})` : "";
    return reader.problem(
      line,
      `the file "${printable(name)}" is not there; put it beside the profile${wanted}, or give it as block`,
    );
  }
  if (typeof file.content === "string") return reader.problem(line, `the file "${printable(name)}" ${file.content}`);
  return { label: file.name, bytes: file.content };
}

/** The line of a material directive that counts: the last one that is not the placeholder "[inline]". */
export const materialLine = (reader: Reader, name: string): Line | undefined =>
  reader.all(name).findLast((line) => line.block !== undefined || line.words[1] !== INLINE);

/**
 * PEM blocks of `line` whose names match `wanted`, in canonical form (LF, nothing between the blocks); reports
 * content that holds none. Other blocks are dropped; what a person may have meant to count is named.
 */
export function pem(reader: Reader, name: string, wanted: RegExp, what: string): Material | undefined {
  const line = materialLine(reader, name);
  if (line === undefined) {
    const placeholder = reader.last(name);
    if (placeholder) reader.problem(placeholder, `${INLINE} stands for a <${name}> block, which is missing`);
    return undefined;
  }
  const found = content(reader, line);
  if (found === undefined) return undefined;
  const text = decodeUtf8(found.bytes).replace(/\r\n?/g, "\n");
  const blocks: string[] = [];
  for (const match of text.matchAll(/^[ \t]*-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\n/gm)) {
    const kind = match[1] as string;
    if (!wanted.test(kind)) {
      if (isMeant(kind))
        reader.warn(
          line,
          `${found.label} also holds a ${kind}, which does not count here${kind === "X509 CRL" ? ": crl-verify names lists" : ""}`,
        );
      continue;
    }
    const start = match.index + match[0].length;
    const end = text.indexOf("-----", start);
    const rows = text
      .slice(start, Math.max(end, start))
      .split("\n")
      .map((row) => row.trim());
    const isIntact = text.startsWith(`-----END ${kind}-----`, end) && rows.every((row) => PEM_ROW.test(row));
    if (end < 0 || !isIntact || !rows.some((row) => row !== "")) {
      return reader.problem(line, `${found.label}: the ${kind} in it is damaged or incomplete`);
    }
    blocks.push(`-----BEGIN ${kind}-----\n${rows.join("\n").trim()}\n-----END ${kind}-----\n`);
  }
  if (blocks.length === 0) return reader.problem(line, `${found.label} holds no ${what} in PEM form`);
  return { label: found.label, origin: reader.report.origin(line.line), bytes: encodeUtf8(blocks.join("")) };
}

/** One file may hold certificate and key, and a key its curve; other things of certificates seem to be meant. */
const isMeant = (kind: string): boolean => /TRUSTED CERTIFICATE|CRL|PKCS7/.test(kind);

/** Base64, or a header such as "Proc-Type: 4,ENCRYPTED" (RFC 1421), or nothing. */
const PEM_ROW = /^([A-Za-z0-9+/]+={0,2}|[A-Za-z-]+: [ -~]+|)$/;

/** PKCS #12: binary as file, base64 as block. */
export function pkcs12(reader: Reader): Material | undefined {
  const line = materialLine(reader, "pkcs12");
  const found = line && content(reader, line);
  if (!line || !found) return undefined;
  let bytes: Uint8Array | undefined = found.bytes;
  if (line.block !== undefined) bytes = decodeBase64(line.block.replace(/\s+/g, ""));
  if (bytes === undefined || bytes[0] !== 0x30) return reader.problem(line, `${found.label} is not a PKCS #12 file`);
  return { label: found.label, origin: reader.report.origin(line.line), bytes };
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const digits = text.replace(/=+$/, "");
  const bytes = new Uint8Array((digits.length * 3) >> 2);
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const digit of digits) {
    bits = ((bits << 6) | BASE64.indexOf(digit)) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = bits >> count;
  }
  return bytes;
}

export function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let k = 0; k < 4; k++) text += i + k > bytes.length ? "=" : BASE64[(group >> (18 - 6 * k)) & 63];
  }
  return text;
}

const KEY_BEGIN = "-----BEGIN OpenVPN Static key V1-----";
const KEY_END = "-----END OpenVPN Static key V1-----";
const KEY_BYTES = 256;

/** A static key file: 256 bytes in hexadecimal between its two marks. */
export function staticKey(reader: Reader, line: Line): { key: Uint8Array; material: Material } | undefined {
  const found = content(reader, line);
  if (found === undefined) return undefined;
  const text = decodeUtf8(found.bytes);
  const begin = text.indexOf(KEY_BEGIN);
  const end = text.indexOf(KEY_END, begin);
  if (begin < 0 || end < 0) {
    const other = /-----BEGIN OpenVPN tls-crypt-v2 ([a-z]+) key-----/.exec(text);
    const hint = other ? ` (it is a tls-crypt-v2 ${other[1]} key)` : "";
    return reader.problem(line, `${found.label} holds no "${KEY_BEGIN}" ... "${KEY_END}"${hint}`);
  }
  const hex = text.slice(begin + KEY_BEGIN.length, end).replace(/\s+/g, "");
  if (!/^[0-9a-f]*$/i.test(hex)) return reader.problem(line, `${found.label}: the key is not hexadecimal`);
  if (hex.length !== 2 * KEY_BYTES) {
    return reader.problem(
      line,
      `${found.label}: the key has ${hex.length} hexadecimal digits instead of ${2 * KEY_BYTES}`,
    );
  }
  const key = Uint8Array.from(hex.match(/../g) as string[], (pair) => Number.parseInt(pair, 16));
  const material = {
    label: found.label,
    origin: reader.report.origin(line.line),
    bytes: encodeUtf8(formatStaticKey(key)),
  };
  return { key, material };
}

/** The text of a static key file, 16 bytes a row. */
export function formatStaticKey(key: Uint8Array): string {
  const hex = Array.from(key, (b) => b.toString(16).padStart(2, "0")).join("");
  return `${KEY_BEGIN}\n${(hex.match(/.{1,32}/g) ?? []).join("\n")}\n${KEY_END}\n`;
}

/** A key of OpenVPN in base64 between two marks, as `openvpn --genkey` writes it for `name`. */
export interface PemKey {
  /** As in `-----BEGIN OpenVPN NAME key-----`. */
  readonly name: string;
  readonly length: number;
}

/** What a line names as such a key. */
export function pemKey(
  reader: Reader,
  line: Line,
  { name, length }: PemKey,
): { bytes: Uint8Array; material: Material } | undefined {
  const found = content(reader, line);
  if (found === undefined) return undefined;
  const text = decodeUtf8(found.bytes);
  const [beginMark, endMark] = keyMarks(name);
  const begin = text.indexOf(beginMark);
  const end = text.indexOf(endMark, begin);
  if (begin < 0 || end < 0) {
    const other = /-----BEGIN (OpenVPN [A-Za-z0-9 -]{1,40}?)-----/.exec(text)?.[1];
    const hint = other === undefined ? "" : ` (it is ${other})`;
    return reader.problem(line, `${found.label} holds no "${beginMark}" ... "${endMark}"${hint}`);
  }
  const bytes = decodeBase64(text.slice(begin + beginMark.length, end).replace(/\s+/g, ""));
  if (bytes?.length !== length) return reader.problem(line, `${found.label}: the key in it is damaged or incomplete`);
  const written = encodeUtf8(formatPemKey({ name, length }, bytes));
  return { bytes, material: { label: found.label, origin: reader.report.origin(line.line), bytes: written } };
}

/** The text of such a file, 64 characters a row. */
export function formatPemKey({ name }: PemKey, bytes: Uint8Array): string {
  const [begin, end] = keyMarks(name);
  return `${begin}\n${(encodeBase64(bytes).match(/.{1,64}/g) ?? []).join("\n")}\n${end}\n`;
}

const keyMarks = (name: string): readonly [string, string] => [
  `-----BEGIN OpenVPN ${name} key-----`,
  `-----END OpenVPN ${name} key-----`,
];

/** The first rows of a credentials file, without all CR at their ends (OpenVPN's chomp). A missing row is undefined. */
export function firstRows(bytes: Uint8Array): [string | undefined, string | undefined, string | undefined] {
  const text = withLineFeeds(decodeUtf8(bytes)).replace(/^\ufeff+/, "");
  // One more than wanted: behind the last row there may be an empty one, which is none.
  const rows = text.split("\n", 4).map((row) => row.replace(/\r+$/, ""));
  if (rows.at(-1) === "") rows.pop();
  return [rows[0], rows[1], rows[2]];
}
