/**
 * DNS messages as bytes (RFC 1035 4, RFC 6891), for who passes them on: nothing is made of a message but places in it.
 *   0 id (2) | 2 QR opcode AA TC RD | 3 RA Z AD CD RCODE | 4 QDCOUNT | 6 ANCOUNT | 8 NSCOUNT | 10 ARCOUNT | 12 questions, records
 * A message begins at 0 of its view and has `len` bytes. Names and records are checked where they are walked over
 * ({@link dnsNameEnd}, {@link DnsRecordView.read}); what has a fixed place is read once `len` is known to reach it.
 */

const ID = 0;
const FLAGS = 2;
const QDCOUNT = 4;
const ANCOUNT = 6;
const NSCOUNT = 8;
const ARCOUNT = 10;
export const DNS_HEADER_LEN = 12;
/** A message over UDP without EDNS0 (RFC 1035 2.3.4), and over TCP (RFC 1035 4.2.2). */
export const DNS_UDP_LEN = 512;
export const DNS_MAX_LEN = 65_535;
/** RFC 1035 2.3.4: a label, and a name with its length bytes. */
const MAX_LABEL = 63;
const DNS_MAX_NAME = 255;
/** A pointer may lead to a pointer; each leads back, but a kilobyte of them is nobody's name. */
const MAX_POINTERS = 64;

export const DNS_QR = 0x8000;
export const DNS_OPCODE = 0x7800;
export const DNS_AA = 0x0400;
export const DNS_TC = 0x0200;
export const DNS_RD = 0x0100;
export const DNS_RA = 0x0080;
export const DNS_AD = 0x0020;
export const DNS_CD = 0x0010;
export const DNS_RCODE = 0x000f;
/** In the TTL field of OPT (RFC 3225 3). */
export const DNS_DO = 0x8000;

export const DnsType = Object.freeze({
  A: 1,
  SOA: 6,
  PTR: 12,
  AAAA: 28,
  OPT: 41,
  SVCB: 64,
  HTTPS: 65,
} as const);
export const DNS_CLASS_IN = 1;

export const DnsRcode = Object.freeze({
  NoError: 0,
  FormErr: 1,
  ServFail: 2,
  NxDomain: 3,
  NotImp: 4,
  Refused: 5,
  /** RFC 6891 9; its upper bits are in OPT. */
  BadVers: 16,
} as const);

export const dnsId = (d: DataView): number => d.getUint16(ID);
export const dnsFlags = (d: DataView): number => d.getUint16(FLAGS);
export const dnsQuestions = (d: DataView): number => d.getUint16(QDCOUNT);
export const dnsAnswers = (d: DataView): number => d.getUint16(ANCOUNT);
export const dnsAuthorities = (d: DataView): number => d.getUint16(NSCOUNT);
export const dnsAdditionals = (d: DataView): number => d.getUint16(ARCOUNT);
export const dnsSetId = (d: DataView, id: number): void => d.setUint16(ID, id);
export const dnsSetFlags = (d: DataView, flags: number): void => d.setUint16(FLAGS, flags);
export const dnsSetAdditionals = (d: DataView, n: number): void => d.setUint16(ARCOUNT, n);

/** Writes a header with one question. */
export function dnsEmitHeader(d: DataView, id: number, flags: number, an: number, ns: number, ar: number): void {
  d.setUint16(ID, id);
  d.setUint16(FLAGS, flags);
  d.setUint16(QDCOUNT, 1);
  d.setUint16(ANCOUNT, an);
  d.setUint16(NSCOUNT, ns);
  d.setUint16(ARCOUNT, ar);
}

/** Where the name of a question that begins at `at` ends; -1: it is cut off, too long, or has a pointer, which could lead nowhere. */
export function dnsQuestionNameEnd(d: DataView, at: number, len: number): number {
  let p = at;
  while (p < len) {
    const label = d.getUint8(p);
    p += label + 1;
    if (label === 0) return p - at > DNS_MAX_NAME ? -1 : p;
    if (label > MAX_LABEL || p - at >= DNS_MAX_NAME) return -1;
  }
  return -1;
}

/**
 * Where the name at `at` ends in its place; -1: it is cut off, longer than 255 bytes when it is put together, or has a pointer
 * that does not lead back (RFC 1035 4.1.4: "a prior occurrence"), so that the walk always ends.
 */
export function dnsNameEnd(d: DataView, at: number, len: number): number {
  let p = at;
  let start = at;
  let end = -1;
  let total = 1;
  for (let pointers = 0; p < len; ) {
    const label = d.getUint8(p);
    if (label === 0) return end < 0 ? p + 1 : end;
    if (label >= 0xc0) {
      if (p + 2 > len) return -1;
      const target = d.getUint16(p) & 0x3fff;
      if (target >= start || target < DNS_HEADER_LEN || ++pointers > MAX_POINTERS) return -1;
      if (end < 0) end = p + 2;
      start = target;
      p = target;
      continue;
    }
    total += label + 1;
    if (label > MAX_LABEL || total > DNS_MAX_NAME) return -1;
    p += label + 1;
  }
  return -1;
}

/** One record of a message: a reused view, filled by read(). */
export class DnsRecordView {
  type = 0;
  cls = 0;
  /** Where its name, its TTL and its data begin. */
  at = 0;
  ttlAt = 0;
  dataAt = 0;
  /** Where the data ends, and with it the record. */
  end = 0;

  /** Reads the record at `at`; false: its name or its length is wrong. */
  read(d: DataView, at: number, len: number): boolean {
    const p = dnsNameEnd(d, at, len);
    if (p < 0 || p + 10 > len) return false;
    this.at = at;
    this.type = d.getUint16(p);
    this.cls = d.getUint16(p + 2);
    this.ttlAt = p + 4;
    this.dataAt = p + 10;
    this.end = this.dataAt + d.getUint16(p + 8);
    return this.end <= len;
  }
}

/** The TTL at `at`, s: one with the top bit set counts as 0 (RFC 2181 8). */
export function dnsTtl(d: DataView, at: number): number {
  const ttl = d.getUint32(at);
  return ttl > 0x7fff_ffff ? 0 : ttl;
}

/** Bytes of an OPT record without options. */
export const DNS_OPT_LEN = 11;

/**
 * Writes OPT (RFC 6891 6.1.2) at `at`: the size that its sender takes, the upper bits of the RCODE, DO as it was asked for.
 * @returns where it ends
 */
export function dnsEmitOpt(d: DataView, at: number, size: number, rcode: number, dnssecOk: boolean): number {
  d.setUint8(at, 0);
  d.setUint16(at + 1, DnsType.OPT);
  d.setUint16(at + 3, size);
  d.setUint8(at + 5, rcode >> 4);
  d.setUint8(at + 6, 0);
  d.setUint16(at + 7, dnssecOk ? DNS_DO : 0);
  d.setUint16(at + 9, 0);
  return at + DNS_OPT_LEN;
}

/** Adds an extended error without text (RFC 8914 2) to the OPT that was just written up to `end`. @returns where it ends now */
export function dnsEmitExtendedError(d: DataView, end: number, code: number): number {
  d.setUint16(end - 2, 6);
  d.setUint16(end, 15);
  d.setUint16(end + 2, 2);
  d.setUint16(end + 4, code);
  return end + 6;
}

/** A message with padding behind an OPT that ends at `optEnd` has a multiple of this (RFC 8467 4.1). */
const PADDING_BLOCK = 128;
const OPTION_HEADER = 4;

/** Bytes of a message that is padded, and ends with an OPT without options up to `optEnd`. */
export const dnsPaddedLen = (optEnd: number): number =>
  Math.ceil((optEnd + OPTION_HEADER) / PADDING_BLOCK) * PADDING_BLOCK;

/** Adds padding (RFC 7830 3) to the OPT that was just written up to `optEnd`, as far as {@link dnsPaddedLen}. */
export function dnsEmitPadding(d: DataView, optEnd: number): void {
  const end = dnsPaddedLen(optEnd);
  d.setUint16(optEnd - 2, end - optEnd);
  d.setUint16(optEnd, 12);
  d.setUint16(optEnd + 2, end - optEnd - OPTION_HEADER);
  for (let i = optEnd + OPTION_HEADER; i < end; i++) d.setUint8(i, 0);
}

export const isLetter = (byte: number): boolean => (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;

/** A byte of a name in lower case (RFC 4343: ASCII only); the length bytes of labels are below "A". */
export const lowerByte = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);

/** Names, and questions, that are the same without case: `len` bytes at `at` of `a` and at `to` of `b`. */
export function dnsSameName(a: Uint8Array, at: number, b: Uint8Array, to: number, len: number): boolean {
  for (let i = 0; i < len; i++) {
    const x = a[at + i]!;
    const y = b[to + i]!;
    if (x !== y && lowerByte(x) !== lowerByte(y)) return false;
  }
  return true;
}

/** A name's labels in lower case, from the leftmost to the top; "." and every byte that no host name has as \ddd. */
export function dnsLabels(bytes: Uint8Array, at: number): string[] {
  const labels: string[] = [];
  for (let p = at; bytes[p]! !== 0; p += bytes[p]! + 1) {
    let label = "";
    for (let i = 1; i <= bytes[p]!; i++) label += printable(lowerByte(bytes[p + i]!));
    labels.push(label);
  }
  return labels;
}

function printable(byte: number): string {
  const isPlain = (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2d || byte === 0x5f;
  return isPlain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
}

/** A name such as "www.example.com" (letters, digits, "-", "_"; valid by {@link dnsNameValid}) as bytes, with the root. */
export function dnsNameBytes(name: string): Uint8Array {
  const labels = name === "" ? [] : name.split(".");
  const out = new Uint8Array(labels.reduce((sum, label) => sum + 1 + label.length, 1));
  let p = 0;
  for (const label of labels) {
    out[p++] = label.length;
    for (let i = 0; i < label.length; i++) out[p++] = label.charCodeAt(i);
  }
  return out;
}
