/** Elements of DER as certificates are made of them (X.690 8.1, 10.1): tags of one byte, definite lengths of up to four bytes. */

export const DER_INTEGER = 0x02;
export const DER_BIT_STRING = 0x03;
export const DER_OCTET_STRING = 0x04;
export const DER_OID = 0x06;
export const DER_BOOLEAN = 0x01;
export const DER_SEQUENCE = 0x30;
export const DER_SET = 0x31;

/** The low bits of a tag whose number stands in further bytes. */
const LONG_TAG = 0x1f;
/** Longer object identifiers occur nowhere; reading them would take a time that grows with the square of their length. */
const MAX_OID_BYTES = 64;

/** What should be DER is not, or not what should stand there. */
export class MalformedDer extends Error {}

export interface DerElement {
  readonly tag: number;
  /** A view of what was read. */
  readonly content: Uint8Array;
}

/** Reads the elements of a content one after the other. Everything throws {@link MalformedDer} where they are not what is asked for. */
export class DerElements {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  next(): DerElement {
    const bytes = this.#bytes;
    const tag = bytes[this.#at];
    const first = bytes[this.#at + 1];
    if (tag === undefined || first === undefined || (tag & LONG_TAG) === LONG_TAG) throw new MalformedDer("no element");
    let start = this.#at + 2;
    let length = first;
    if (first >= 0x80) {
      const count = first & 0x7f;
      if (count === 0 || count > 4) throw new MalformedDer("no definite length");
      length = 0;
      for (let i = 0; i < count; i++) length = 256 * length + (bytes[start++] ?? Number.POSITIVE_INFINITY);
    }
    const end = start + length;
    if (end > bytes.length) throw new MalformedDer("an element beyond the end");
    this.#at = end;
    return { tag, content: bytes.subarray(start, end) };
  }

  /** The content of the next element, which has this tag. */
  take(tag: number): Uint8Array {
    const element = this.next();
    if (element.tag !== tag) throw new MalformedDer(`tag ${element.tag} in the place of ${tag}`);
    return element.content;
  }

  /** The content of the next element if it has this tag; otherwise nothing is read. */
  takeIf(tag: number): Uint8Array | undefined {
    return this.#bytes[this.#at] === tag ? this.next().content : undefined;
  }

  /** The elements that are left. */
  *rest(): IterableIterator<DerElement> {
    while (!this.isAtEnd) yield this.next();
  }
}

/** The content of an object identifier in dotted numbers (X.690 8.19). @throws MalformedDer */
export function oidText(content: Uint8Array): string {
  if (content.length > MAX_OID_BYTES || (content.at(-1) ?? 0x80) >= 0x80)
    throw new MalformedDer("no object identifier");
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const byte of content) {
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    if (byte >= 0x80) continue;
    if (arcs.length > 0) arcs.push(arc);
    else if (arc < 80n) arcs.push(arc / 40n, arc % 40n);
    else arcs.push(2n, arc - 80n);
    arc = 0n;
  }
  return arcs.join(".");
}

/** The content of a bit string, with the bits that do not count as zeros (X.690 8.6). @throws MalformedDer */
export function bitsOf(content: Uint8Array): Uint8Array {
  const unused = content[0] ?? 8;
  if (unused > 7 || (unused > 0 && content.length === 1)) throw new MalformedDer("no bit string");
  const bits = content.slice(1);
  if (bits.length > 0) bits[bits.length - 1]! &= 0xff << unused;
  return bits;
}
