/** The string types of names in certificates, as OpenSSL reads them (a_strex.c, tag2nbyte; a_mbstr.c). */
import { decodeUtf8, encodeUtf8 } from "../config/utf8.ts";
import { type DerElement, MalformedDer } from "./der.ts";

const UTF8_STRING = 12;
/** Bytes of a character by the tag: NumericString, PrintableString, TeletexString, IA5String, both times, VisibleString; UniversalString; BMPString. */
const WIDTHS: ReadonlyMap<number, number> = new Map([
  ...[18, 19, 20, 22, 23, 24, 26].map((tag): [number, number] => [tag, 1]),
  [28, 4],
  [30, 2],
]);

/** Whether OpenSSL takes it for a text; another one it prints byte by byte (ISO 8859-1). */
export const isText = ({ tag }: DerElement): boolean => tag === UTF8_STRING || WIDTHS.has(tag);

/** @throws MalformedDer where the bytes are no text of that type */
export function textOf({ tag, content }: DerElement): string {
  if (tag === UTF8_STRING) {
    const text = decodeUtf8(content);
    // What is malformed becomes characters of three bytes for one of its own.
    if (encodeUtf8(text).length !== content.length) throw new MalformedDer("no UTF-8");
    return text;
  }
  const width = WIDTHS.get(tag) ?? 1;
  if (content.length % width !== 0) throw new MalformedDer("half a character");
  let text = "";
  for (let at = 0; at < content.length; at += width) {
    let code = 0;
    for (let i = 0; i < width; i++) code = 256 * code + content[at + i]!;
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw new MalformedDer("no character");
    text += String.fromCodePoint(code);
  }
  return text;
}
