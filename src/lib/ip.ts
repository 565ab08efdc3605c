/**
 * IP addresses as values, for code that decides, logs and configures. On the data path an address is never a value: it
 * is a place in a header, and what look-ups give back is a small integer.
 *
 * One class for both families: four words of 32 bits in network order, each an int32 as DataView.getInt32 reads it. An
 * IPv4 address is the IPv4-mapped one, ::ffff:a.b.c.d (RFC 4291 2.5.5.2), whose last word is the IPv4 address.
 */

/** The word before the last of an IPv4-mapped address. */
const MAPPED = 0xffff;

export class IpAddress {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  /** The whole of an IPv4 address. */
  readonly w3: number;

  constructor(w0: number, w1: number, w2: number, w3: number) {
    this.w0 = w0 | 0;
    this.w1 = w1 | 0;
    this.w2 = w2 | 0;
    this.w3 = w3 | 0;
  }

  /** @param word the address as int32, as it is read from an IPv4 header */
  static fromIpv4(word: number): IpAddress {
    return new IpAddress(0, 0, MAPPED, word);
  }

  /** @param bytes 4 or 16 in network order */
  static fromBytes(bytes: Uint8Array): IpAddress {
    const d = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length === 4) return IpAddress.fromIpv4(d.getInt32(0));
    return new IpAddress(d.getInt32(0), d.getInt32(4), d.getInt32(8), d.getInt32(12));
  }

  get isIpv4(): boolean {
    return this.w0 === 0 && this.w1 === 0 && this.w2 === MAPPED;
  }

  /** Bits of an address of its family: 32 or 128. */
  get bits(): number {
    return this.isIpv4 ? 32 : 128;
  }

  /** 0.0.0.0 or ::. */
  get isUnspecified(): boolean {
    return this.w3 === 0 && (this.isIpv4 || (this.w0 === 0 && this.w1 === 0 && this.w2 === 0));
  }

  /** 127.0.0.0/8 (RFC 1122 3.2.1.3) or ::1. */
  get isLoopback(): boolean {
    return this.isIpv4 ? this.w3 >>> 24 === 127 : this.w0 === 0 && this.w1 === 0 && this.w2 === 0 && this.w3 === 1;
  }

  /** 224.0.0.0/4 or ff00::/8. */
  get isMulticast(): boolean {
    return this.isIpv4 ? this.w3 >>> 28 === 14 : this.w0 >>> 24 === 0xff;
  }

  /** 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 2.5.6). */
  get isLinkLocal(): boolean {
    return this.isIpv4 ? this.w3 >>> 16 === 0xa9fe : this.w0 >>> 22 === 0x3fa;
  }

  /**
   * Whether a host can have it: neither unspecified, loopback nor multicast, and of IPv4 neither "this network" nor
   * reserved (0/8 and 240/4, RFC 6890 2.2.2). Whether it is the broadcast address of a subnet only the subnet knows.
   */
  get isHost(): boolean {
    if (this.isLoopback || this.isMulticast || this.isUnspecified) return false;
    return !this.isIpv4 || (this.w3 >>> 24 !== 0 && this.w3 >>> 28 !== 15);
  }

  equals(other: IpAddress): boolean {
    return this.w0 === other.w0 && this.w1 === other.w1 && this.w2 === other.w2 && this.w3 === other.w3;
  }

  /** "192.0.2.1", or IPv6 as RFC 5952 writes it. */
  toString(): string {
    return this.isIpv4 ? formatIpv4(this.w3) : formatIpv6(this);
  }
}

/** The four words, as tables and packets of IPv6 have them. */
export const wordsOf = ({ w0, w1, w2, w3 }: IpAddress): Int32Array => Int32Array.of(w0, w1, w2, w3);

/** Reads "192.0.2.1" (four decimal octets, no leading zeros) or a text form of RFC 4291 2.2, without a zone; else undefined. */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(":")) {
    const word = parseIpv4Word(text);
    return word === undefined ? undefined : IpAddress.fromIpv4(word);
  }
  const groups = parseGroups(text);
  if (groups === undefined) return undefined;
  const word = (i: number): number => ((groups[i] as number) << 16) | (groups[i + 1] as number);
  return new IpAddress(word(0), word(2), word(4), word(6));
}

/** The same for text that has to be IPv4: "::ffff:192.0.2.1" is not written as one. */
export const parseIpv4 = (text: string): IpAddress | undefined => (text.includes(":") ? undefined : parseIp(text));

/** The same for text that has to be IPv6. */
export const parseIpv6 = (text: string): IpAddress | undefined => (text.includes(":") ? parseIp(text) : undefined);

/** An IPv4 address (int32) as text. */
export const formatIpv4 = (word: number): string =>
  `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;

function parseIpv4Word(text: string): number | undefined {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (octets === null) return undefined;
  let word = 0;
  for (let i = 1; i <= 4; i++) {
    const part = octets[i] as string;
    const octet = Number(part);
    if (octet > 255 || (part.length > 1 && part[0] === "0")) return undefined;
    word = (word << 8) | octet;
  }
  return word;
}

/** The eight groups of an IPv6 address (RFC 4291 2.2). */
function parseGroups(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, i) => parseHalf(half, i === halves.length - 1));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  // "::" stands for one group of zeros at least.
  if (tail === undefined || head.length + tail.length > 7) return undefined;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** @param isLast the last group but one may be an IPv4 address */
function parseHalf(text: string, isLast: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    const word = isLast && i === parts.length - 1 ? parseIpv4Word(part) : undefined;
    if (word !== undefined) groups.push(word >>> 16, word & 0xffff);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** RFC 5952 4: lower case, no leading zeros, "::" for the first of the longest runs of two or more groups of zeros. */
function formatIpv6({ w0, w1, w2, w3 }: IpAddress): string {
  const groups = [w0, w1, w2, w3].flatMap((word) => [word >>> 16, word & 0xffff]);
  let start = 0;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    i = Math.max(i, end);
  }
  const hex = groups.map((group) => group.toString(16));
  if (length === 1) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}
