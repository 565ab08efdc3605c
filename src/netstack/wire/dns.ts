/**
 * DNS messages (RFC 1035 4, RFC 3596, EDNS0 of RFC 6891), as far as a stub resolver needs them:
 *   0 id (2) | 2 QR opcode AA TC RD | 3 RA Z RCODE | 4 QDCOUNT | 6 ANCOUNT | 8 NSCOUNT | 10 ARCOUNT | 12 questions, records
 * Control plane: parsed into objects.
 */

const ID = 0;
const FLAGS = 2;
const QDCOUNT = 4;
const ANCOUNT = 6;
const ARCOUNT = 10;
const DNS_HEADER_LEN = 12;
export const DNS_PORT = 53;

const FLAG_RESPONSE = 0x8000;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const OPCODE_MASK = 0x7800;

export const DNS_A = 1;
const DNS_CNAME = 5;
export const DNS_AAAA = 28;
const DNS_OPT = 41;
const DNS_IN = 1;

export const RCODE_OK = 0;
export const RCODE_NAME_ERROR = 3;
export const RCODE_REFUSED = 5;

const MAX_NAME = 255;
const MAX_CHAIN = 16;
/** RFC 6891 6.2.5 and the DNS flag day of 2020: fits every path without fragments. */
const EDNS_SIZE = 1232;

/** Host names that can be asked for (RFC 1123 2.1, and "_"): labels of 1-63, up to 253 in all; a last dot is allowed. */
export function dnsNameValid(name: string): boolean {
  const bare = name.endsWith(".") ? name.slice(0, -1) : name;
  return (
    bare.length > 0 &&
    bare.length <= 253 &&
    bare.split(".").every((l) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(l))
  );
}

/** A query with one question and recursion desired. `name` is valid ({@link dnsNameValid}). */
export function dnsQuery(id: number, name: string, type: number, edns: boolean): Uint8Array {
  const labels = (name.endsWith(".") ? name.slice(0, -1) : name).split(".");
  const nameLen = labels.reduce((sum, l) => sum + 1 + l.length, 1);
  const out = new Uint8Array(DNS_HEADER_LEN + nameLen + 4 + (edns ? 11 : 0));
  const d = new DataView(out.buffer);
  d.setUint16(ID, id);
  d.setUint16(FLAGS, FLAG_RECURSION_DESIRED);
  d.setUint16(QDCOUNT, 1);
  d.setUint16(ARCOUNT, edns ? 1 : 0);
  let p = DNS_HEADER_LEN;
  for (const label of labels) {
    out[p++] = label.length;
    for (let i = 0; i < label.length; i++) out[p++] = label.charCodeAt(i);
  }
  p++; // the root label
  d.setUint16(p, type);
  d.setUint16(p + 2, DNS_IN);
  p += 4;
  if (edns) {
    d.setUint16(p + 1, DNS_OPT); // root name, type, payload size; no extended flags, no data
    d.setUint16(p + 3, EDNS_SIZE);
  }
  return out;
}

export interface DnsRecord {
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  readonly ttl: number;
  /** 4 or 16 bytes for A and AAAA, undefined else. */
  readonly address: Uint8Array | undefined;
  /** For CNAME. */
  readonly target: string | undefined;
}

export interface DnsResponse {
  readonly id: number;
  readonly rcode: number;
  readonly truncated: boolean;
  readonly question: { readonly name: string; readonly type: number };
  /** Records of class IN in the answer section; of a truncated message those that are whole. */
  readonly answers: readonly DnsRecord[];
}

export type DnsRefusal = "truncated" | "too-long" | "not-a-response" | "bad-question" | "bad-name" | "bad-record";

/** Parses a response to one question; a string names why it was refused. Authority and additional sections are not read. */
export function dnsParse(message: Uint8Array): DnsResponse | DnsRefusal {
  if (message.length < DNS_HEADER_LEN) return "truncated";
  if (message.length > EDNS_SIZE) return "too-long"; // than any that we offered room for: the work is bounded
  const d = new DataView(message.buffer, message.byteOffset, message.length);
  const flags = d.getUint16(FLAGS);
  if ((flags & FLAG_RESPONSE) === 0 || (flags & OPCODE_MASK) !== 0) return "not-a-response";
  if (d.getUint16(QDCOUNT) !== 1) return "bad-question";
  const question = readName(d, DNS_HEADER_LEN);
  if (!question) return "bad-name";
  let p = question.end;
  if (p + 4 > message.length || d.getUint16(p + 2) !== DNS_IN) return "bad-question";
  const type = d.getUint16(p);
  p += 4;
  const truncated = (flags & FLAG_TRUNCATED) !== 0;
  const answers: DnsRecord[] = [];
  for (let n = d.getUint16(ANCOUNT); n > 0; n--) {
    const record = readRecord(d, p);
    if (!record) {
      if (truncated) break;
      return "bad-record";
    }
    if (record.value) answers.push(record.value);
    p = record.end;
  }
  return { id: d.getUint16(ID), rcode: flags & 15, truncated, question: { name: question.name, type }, answers };
}

export interface DnsAddresses {
  readonly addresses: readonly Uint8Array[];
  /** The least TTL in s of the records and the aliases on the way to them; 0 when there are none. */
  readonly ttl: number;
}

/** The addresses of `type` that the answer gives for its question, along aliases (CNAME) in any order. */
export function dnsAddresses(response: DnsResponse): DnsAddresses {
  const { type } = response.question;
  let { name } = response.question;
  let ttl = Number.POSITIVE_INFINITY;
  for (let hops = 0; hops < MAX_CHAIN; hops++) {
    const found = response.answers.filter((r) => r.name === name && r.type === type && r.address);
    if (found.length > 0) {
      for (const record of found) ttl = Math.min(ttl, record.ttl);
      return { addresses: found.map((r) => r.address as Uint8Array), ttl };
    }
    const alias = response.answers.find((r) => r.name === name && r.type === DNS_CNAME);
    if (alias?.target === undefined) break;
    ttl = Math.min(ttl, alias.ttl);
    name = alias.target;
  }
  return { addresses: [], ttl: 0 };
}

/** Reads one record: undefined when it does not fit; `value` undefined when it is of no use here. */
function readRecord(d: DataView, at: number): { value: DnsRecord | undefined; end: number } | undefined {
  const owner = readName(d, at);
  if (!owner || owner.end + 10 > d.byteLength) return undefined;
  const type = d.getUint16(owner.end);
  const cls = d.getUint16(owner.end + 2);
  const rawTtl = d.getUint32(owner.end + 4);
  const length = d.getUint16(owner.end + 8);
  const data = owner.end + 10;
  const end = data + length;
  if (end > d.byteLength) return undefined;
  if (cls !== DNS_IN) return { value: undefined, end };
  const ttl = rawTtl > 0x7fffffff ? 0 : rawTtl; // RFC 2181 8
  const base = { name: owner.name, type, ttl };
  if ((type === DNS_A && length === 4) || (type === DNS_AAAA && length === 16)) {
    const address = new Uint8Array(d.buffer, d.byteOffset + data, length).slice();
    return { value: { ...base, address, target: undefined }, end };
  }
  if (type === DNS_CNAME) {
    const target = readName(d, data);
    if (!target || target.end > end) return undefined;
    return { value: { ...base, address: undefined, target: target.name }, end };
  }
  return { value: undefined, end };
}

/**
 * Reads a name: lower case with dots, other bytes as \ddd so that no hostile label equals a host name. A compression
 * pointer must point before the part of the name that it stands in, so that the walk always ends.
 */
function readName(d: DataView, at: number): { name: string; end: number } | undefined {
  const labels: string[] = [];
  let total = 1;
  let end = -1;
  let start = at;
  let p = at;
  while (p < d.byteLength) {
    const len = d.getUint8(p);
    if (len === 0) return { name: labels.join("."), end: end < 0 ? p + 1 : end };
    if (len >= 0xc0) {
      if (p + 2 > d.byteLength) return undefined;
      const target = d.getUint16(p) & 0x3fff;
      if (target >= start || target < DNS_HEADER_LEN) return undefined;
      if (end < 0) end = p + 2;
      start = target;
      p = target;
      continue;
    }
    total += len + 1;
    if (len > 63 || total > MAX_NAME || p + 1 + len > d.byteLength) return undefined;
    let label = "";
    for (let i = p + 1; i <= p + len; i++) label += printable(d.getUint8(i));
    labels.push(label);
    p += len + 1;
  }
  return undefined;
}

function printable(byte: number): string {
  const c = String.fromCharCode(byte).toLowerCase();
  return /^[a-z0-9_-]$/.test(c) ? c : `\\${String(byte).padStart(3, "0")}`;
}
