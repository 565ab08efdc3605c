/** PEM text (RFC 7468) -> its blocks. The TLS library reads the content; what is there is counted here, so that nothing is passed over. */
import type { Material } from "../../protocol/config/types.ts";
import { UnusableTls } from "./tls-unusable.ts";

export interface PemBlock {
  /** "CERTIFICATE", "X509 CRL", ... */
  readonly kind: string;
  /** The whole block, for a reader of PEM. */
  readonly text: string;
  readonly der: Uint8Array;
}

/** Each block of the kinds wanted, in order. @throws UnusableTls where there is none, or one of them is damaged */
export function pemBlocks(directive: string, material: Material, wanted: RegExp, what: string): PemBlock[] {
  const text = new TextDecoder("latin1").decode(material.bytes);
  const blocks: PemBlock[] = [];
  for (const begin of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/g)) {
    const kind = begin[1] as string;
    if (!wanted.test(kind)) continue;
    const bodyAt = begin.index + begin[0].length;
    const end = text.indexOf("-----", bodyAt);
    const mark = `-----END ${kind}-----`;
    const der = end >= 0 && text.startsWith(mark, end) ? base64(text.slice(bodyAt, end)) : undefined;
    if (der === undefined)
      throw new UnusableTls(directive, `${nth(blocks.length, what)} in ${material.label} is damaged`, material);
    blocks.push({ kind, text: `${text.slice(begin.index, end)}${mark}\n`, der });
  }
  if (blocks.length > 0) return blocks;
  throw new UnusableTls(directive, `there is no ${what} (PEM, -----BEGIN ...-----) in ${material.label}`, material);
}

/** "the certificate", "the 2nd certificate": one alone needs no number. */
export function nth(index: number, what: string): string {
  if (index === 0) return `the ${what}`;
  return `the ${index + 1}${["nd", "rd"][index - 1] ?? "th"} ${what}`;
}

/** Without the headers of an encrypted key (RFC 1421). */
function base64(body: string): Uint8Array | undefined {
  const rows = body.replace(/^\s*([A-Za-z-]+: .*\r?\n)+\s*/, "");
  try {
    return Uint8Array.fromBase64(rows.replace(/\s+/g, ""));
  } catch {
    return undefined; // not base64
  }
}
