/** For tests: DNS messages written and read in full, by code that shares nothing with the stack's. */

export interface Rr {
  /** "@": a pointer to the question's name. */
  readonly name: string;
  readonly type: number;
  readonly cls?: number;
  readonly ttl?: number;
  readonly data: Uint8Array;
}

export interface Edns {
  readonly size?: number;
  readonly dnssecOk?: boolean;
  readonly version?: number;
  /** Upper bits of the RCODE. */
  readonly rcode?: number;
  readonly options?: Uint8Array;
}

export interface DnsMessage {
  readonly id?: number;
  readonly flags?: number;
  readonly name?: string;
  readonly type?: number;
  readonly cls?: number;
  readonly answers?: readonly Rr[];
  readonly authority?: readonly Rr[];
  readonly additional?: readonly Rr[];
  readonly edns?: Edns | undefined;
}

export const A = 1;
export const NS = 2;
export const CNAME = 5;
export const SOA = 6;
export const PTR = 12;
export const TXT = 16;
export const AAAA = 28;
export const RRSIG = 46;
export const HTTPS = 65;
const OPT = 41;

export const QR = 0x8000;
export const AA = 0x0400;
export const TC = 0x0200;
export const RD = 0x0100;
export const RA = 0x0080;
export const AD = 0x0020;
export const CD = 0x0010;

export const u16 = (n: number): number[] => [(n >> 8) & 255, n & 255];
export const u32 = (n: number): number[] => [...u16(n >>> 16), ...u16(n & 0xffff)];

export function nameBytes(name: string): number[] {
  if (name === "@") return [0xc0, 12];
  const labels = name.split(".").filter((label) => label !== "");
  return [...labels.flatMap((label) => [label.length, ...[...label].map((c) => c.charCodeAt(0))]), 0];
}

const rrBytes = ({ name, type, cls = 1, ttl = 300, data }: Rr): number[] => [
  ...nameBytes(name),
  ...u16(type),
  ...u16(cls),
  ...u32(ttl),
  ...u16(data.length),
  ...data,
];

export function encodeDns(m: DnsMessage): Uint8Array {
  const { answers = [], authority = [], additional = [], edns } = m;
  const question = m.name === undefined ? [] : [...nameBytes(m.name), ...u16(m.type ?? A), ...u16(m.cls ?? 1)];
  const header = [
    ...u16(m.id ?? 0x1234),
    ...u16(m.flags ?? RD),
    ...u16(m.name === undefined ? 0 : 1),
    ...u16(answers.length),
    ...u16(authority.length),
    ...u16(additional.length + (edns === undefined ? 0 : 1)),
  ];
  const options = edns?.options ?? new Uint8Array(0);
  const opt = edns && [
    ...[0, ...u16(OPT), ...u16(edns.size ?? 1232)],
    ...[edns.rcode ?? 0, edns.version ?? 0, edns.dnssecOk ? 0x80 : 0, 0],
    ...u16(options.length),
    ...options,
  ];
  return Uint8Array.from([
    ...header,
    ...question,
    ...[...answers, ...authority, ...additional].flatMap(rrBytes),
    ...(opt ?? []),
  ]);
}

export const ipv4 = (text: string): Uint8Array => Uint8Array.from(text.split(".").map(Number));

/** Eight groups, all written. */
export const ipv6 = (text: string): Uint8Array =>
  Uint8Array.from(text.split(":").flatMap((group) => u16(Number.parseInt(group, 16))));

export const soaData = (minimum: number): Uint8Array =>
  Uint8Array.from([...nameBytes("ns.example"), ...nameBytes("root.example"), ...[1, 2, 3, 4, minimum].flatMap(u32)]);

export interface DecodedRr {
  readonly name: string;
  readonly type: number;
  readonly cls: number;
  readonly ttl: number;
  readonly data: Uint8Array;
}

export interface DecodedDns {
  readonly id: number;
  readonly flags: number;
  readonly rcode: number;
  readonly name: string;
  readonly type: number;
  readonly questions: number;
  readonly answers: readonly DecodedRr[];
  readonly authority: readonly DecodedRr[];
  readonly additional: readonly DecodedRr[];
  readonly edns:
    | { readonly size: number; readonly dnssecOk: boolean; readonly extendedError: number | undefined }
    | undefined;
  readonly length: number;
}

/** Throws on anything that is not a whole message without a byte too many. */
export function decodeDns(bytes: Uint8Array): DecodedDns {
  const d = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let p = 12;
  const readName = (at: number): [string, number] => {
    const labels: string[] = [];
    let end = -1;
    let q = at;
    for (let hops = 0; hops < 100; hops++) {
      const len = d.getUint8(q);
      if (len === 0) return [labels.join("."), end < 0 ? q + 1 : end];
      if (len >= 0xc0) {
        if (end < 0) end = q + 2;
        q = d.getUint16(q) & 0x3fff;
        continue;
      }
      labels.push(String.fromCharCode(...bytes.subarray(q + 1, q + 1 + len)));
      q += len + 1;
    }
    throw new Error("a name without end");
  };
  let name = "";
  let type = 0;
  const questions = d.getUint16(4);
  if (questions > 0) {
    [name, p] = readName(p);
    type = d.getUint16(p);
    p += 4;
  }
  let edns: DecodedDns["edns"];
  let upper = 0;
  const section = (count: number): DecodedRr[] => {
    const rrs: DecodedRr[] = [];
    for (let i = 0; i < count; i++) {
      const [owner, at] = readName(p);
      const dataAt = at + 10;
      const len = d.getUint16(at + 8);
      if (dataAt + len > bytes.length) throw new Error("a record that is cut off");
      const rr = {
        name: owner,
        type: d.getUint16(at),
        cls: d.getUint16(at + 2),
        ttl: d.getUint32(at + 4),
        data: bytes.slice(dataAt, dataAt + len),
      };
      p = dataAt + len;
      if (rr.type === OPT) {
        upper = rr.ttl >>> 24;
        const hasError = len >= 6 && d.getUint16(dataAt) === 15;
        edns = {
          size: rr.cls,
          dnssecOk: (rr.ttl & 0x8000) !== 0,
          extendedError: hasError ? d.getUint16(dataAt + 4) : undefined,
        };
      } else rrs.push(rr);
    }
    return rrs;
  };
  const answers = section(d.getUint16(6));
  const authority = section(d.getUint16(8));
  const additional = section(d.getUint16(10));
  if (p !== bytes.length) throw new Error(`${bytes.length - p} bytes behind the message`);
  const flags = d.getUint16(2);
  return {
    id: d.getUint16(0),
    flags,
    rcode: (flags & 15) | (upper << 4),
    name,
    type,
    questions,
    answers,
    authority,
    additional,
    edns,
    length: bytes.length,
  };
}
