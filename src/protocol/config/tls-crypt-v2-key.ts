/** A client's tls-crypt-v2 key as a file: base64 of its key (256 bytes) and of the wrapped one, between two marks. */

import { STATIC_KEY_LEN } from "../control/static-key.ts";
import { MAX_WRAPPED_LEN, MIN_WRAPPED_LEN } from "../control/wrapped-key.ts";
import type { Line } from "./lexer.ts";
import { content, decodeBase64, encodeBase64 } from "./material.ts";
import type { Reader } from "./reader.ts";
import type { ControlWrap } from "./types.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

const mark = (word: "BEGIN" | "END", whose: string): string => `-----${word} OpenVPN tls-crypt-v2 ${whose} key-----`;
const BEGIN = mark("BEGIN", "client");
const END = mark("END", "client");

export type TlsCryptV2 = ControlWrap & { readonly kind: "tls-crypt-v2" };

/** What a line of tls-crypt-v2 in a client's profile names. */
export function tlsCryptV2Key(reader: Reader, line: Line): TlsCryptV2 | undefined {
  const found = content(reader, line);
  if (found === undefined) return undefined;
  const text = decodeUtf8(found.bytes);
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END, begin);
  if (begin < 0 || end < 0) return reader.problem(line, `${found.label} holds no "${BEGIN}" ... "${END}"${hint(text)}`);
  const bytes = decodeBase64(text.slice(begin + BEGIN.length, end).replace(/\s+/g, ""));
  const length = (bytes?.length ?? 0) - STATIC_KEY_LEN;
  if (bytes === undefined || length < MIN_WRAPPED_LEN || length > MAX_WRAPPED_LEN)
    return reader.problem(line, `${found.label}: the key in it is damaged or incomplete`);
  const [key, wrapped] = [bytes.slice(0, STATIC_KEY_LEN), bytes.slice(STATIC_KEY_LEN)];
  const material = {
    label: found.label,
    origin: reader.report.origin(line.line),
    bytes: encodeUtf8(formatTlsCryptV2Key({ key, wrapped })),
  };
  return { kind: "tls-crypt-v2", key, wrapped, material };
}

/** The text of a key file, 64 characters a row. */
export function formatTlsCryptV2Key({ key, wrapped }: Pick<TlsCryptV2, "key" | "wrapped">): string {
  const text = encodeBase64(Uint8Array.from([...key, ...wrapped]));
  return `${BEGIN}\n${(text.match(/.{1,64}/g) ?? []).join("\n")}\n${END}\n`;
}

function hint(text: string): string {
  if (text.includes(mark("BEGIN", "server")))
    return " (it is the server's key, which no client should have: ask for a key of its own)";
  return text.includes("-----BEGIN OpenVPN Static key") ? " (it is a key for tls-auth or tls-crypt)" : "";
}
