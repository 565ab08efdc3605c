/**
 * IPv6 (RFC 8200 3):
 *   0 version (4 bits) | traffic class (8 bits) | flow label (20 bits)   4 payload length (2)   6 next header   7 hop limit
 *   8 source (16)   24 destination (16)   40 extension headers (ipv6-ext.ts), or the transport header
 *
 * An address is a place: four words in a header, or in an Int32Array. As a value it is an IpAddress (lib/ip.ts).
 */
import { IpAddress } from "../../lib/ip.ts";
import { Drop, type DropCode } from "../drop.ts";
import { fold, sumBytes } from "./checksum.ts";

const VERSION_CLASS_LABEL = 0;
const PAYLOAD_LEN = 4;

/** Offset of the field that names what follows the header. */
export const IPV6_NEXT_HEADER = 6;
const HOP_LIMIT = 7;

/** Offsets of the addresses. */
export const IPV6_SRC = 8;
export const IPV6_DST = 24;

export const IPV6_HEADER_LEN = 40;
export const IPV6_MAX_PAYLOAD = 65535;
/** What every link takes (RFC 8200 5). */
export const IPV6_MIN_MTU = 1280;

export const PROTO_ICMPV6 = 58;

/** Version, and the payload length against what there is. The chain of headers behind: {@link ExtensionChain}. */
export function ipv6Check(d: DataView, at: number, avail: number): DropCode {
  if (avail < IPV6_HEADER_LEN) return Drop.Ipv6Truncated;
  if (d.getUint8(at) >> 4 !== 6) return Drop.Ipv6BadVersion;
  return d.getUint16(at + PAYLOAD_LEN) > avail - IPV6_HEADER_LEN ? Drop.Ipv6BadLength : Drop.None;
}

export const ipv6PayloadLen = (d: DataView, at: number): number => d.getUint16(at + PAYLOAD_LEN);
export const ipv6TotalLen = (d: DataView, at: number): number => IPV6_HEADER_LEN + d.getUint16(at + PAYLOAD_LEN);
export const ipv6NextHeader = (d: DataView, at: number): number => d.getUint8(at + IPV6_NEXT_HEADER);
export const ipv6HopLimit = (d: DataView, at: number): number => d.getUint8(at + HOP_LIMIT);
/** DSCP (6 bits) and ECN (2 bits). */
export const ipv6TrafficClass = (d: DataView, at: number): number =>
  (d.getUint16(at + VERSION_CLASS_LABEL) >> 4) & 0xff;
export const ipv6Ecn = (d: DataView, at: number): number => (d.getUint8(at + 1) >> 4) & 3;
export const ipv6FlowLabel = (d: DataView, at: number): number => d.getInt32(at + VERSION_CLASS_LABEL) & 0xfffff;

/** What a transport checksum knows of the header (RFC 8200 8.1), but for the length: sum of addresses and protocol. */
export const ipv6PseudoSum = (d: DataView, at: number, proto: number): number => sumBytes(d, at + IPV6_SRC, 32, proto);

/** The same of addresses that are words, for packets that are yet to be written. */
export function ipv6WordsPseudoSum(src: Int32Array, s: number, dst: Int32Array, t: number, proto: number): number {
  let sum = proto;
  for (let k = 0; k < 4; k++) {
    const a = src[s + k]!;
    const b = dst[t + k]!;
    sum += (a >>> 16) + (a & 0xffff) + (b >>> 16) + (b & 0xffff);
  }
  return fold(sum);
}

/** Writes the header but for the addresses: {@link ipv6PutWords}, {@link ipv6Copy}. */
export function ipv6Emit(
  d: DataView,
  at: number,
  payloadLen: number,
  nextHeader: number,
  hopLimit: number,
  trafficClass = 0,
  flowLabel = 0,
): void {
  d.setInt32(at + VERSION_CLASS_LABEL, 0x60000000 | (trafficClass << 20) | flowLabel);
  d.setUint16(at + PAYLOAD_LEN, payloadLen);
  d.setUint8(at + IPV6_NEXT_HEADER, nextHeader);
  d.setUint8(at + HOP_LIMIT, hopLimit);
}

export const ipv6SetPayloadLen = (d: DataView, at: number, len: number): void => d.setUint16(at + PAYLOAD_LEN, len);

/** Hop limit - 1 (RFC 8200 3). It must not be 0. */
export const ipv6DecrementHopLimit = (d: DataView, at: number): void =>
  d.setUint8(at + HOP_LIMIT, d.getUint8(at + HOP_LIMIT) - 1);

/** Marks the packet: congestion experienced (RFC 3168 5). */
export const ipv6SetCongestion = (d: DataView, at: number): void => d.setUint8(at + 1, d.getUint8(at + 1) | 0x30);

/** Whether two packets differ in nothing but the payload length, as far as the 40 bytes of header go. */
export function ipv6SameKind(d: DataView, a: number, b: number): boolean {
  if (d.getInt32(a) !== d.getInt32(b) || d.getUint16(a + IPV6_NEXT_HEADER) !== d.getUint16(b + IPV6_NEXT_HEADER))
    return false;
  return ipv6Same(d, a + IPV6_SRC, b + IPV6_SRC) && ipv6Same(d, a + IPV6_DST, b + IPV6_DST);
}

/** Whether the addresses at two places are the same. */
export const ipv6Same = (d: DataView, a: number, b: number): boolean =>
  d.getInt32(a + 12) === d.getInt32(b + 12) &&
  d.getInt32(a + 8) === d.getInt32(b + 8) &&
  d.getInt32(a + 4) === d.getInt32(b + 4) &&
  d.getInt32(a) === d.getInt32(b);

/** Whether the address at `at` is that of `words[i]` and the three behind. */
export const ipv6IsWords = (d: DataView, at: number, words: Int32Array, i: number): boolean =>
  d.getInt32(at + 12) === words[i + 3] &&
  d.getInt32(at + 8) === words[i + 2] &&
  d.getInt32(at + 4) === words[i + 1] &&
  d.getInt32(at) === words[i];

/** Reads the address at `at` into `words[i]` and the three behind. */
export function ipv6ReadWords(d: DataView, at: number, words: Int32Array, i: number): void {
  for (let k = 0; k < 4; k++) words[i + k] = d.getInt32(at + 4 * k);
}

/** Writes the address of `words[i]` and the three behind to `at`. */
export function ipv6PutWords(d: DataView, at: number, words: Int32Array, i: number): void {
  for (let k = 0; k < 4; k++) d.setInt32(at + 4 * k, words[i + k]!);
}

/** Writes the address at `from` to `to`. */
export function ipv6Copy(d: DataView, from: number, to: number): void {
  for (let k = 0; k < 16; k += 4) d.setInt32(to + k, d.getInt32(from + k));
}

/** The address at `at` as a value: for code that decides and logs. */
export const ipv6Address = (d: DataView, at: number): IpAddress =>
  new IpAddress(d.getInt32(at), d.getInt32(at + 4), d.getInt32(at + 8), d.getInt32(at + 12));

/** The kinds of addresses at a place (RFC 4291 2.4). */
export const ipv6IsMulticast = (d: DataView, at: number): boolean => d.getUint8(at) === 0xff;
/** Scope of a multicast address (RFC 4291 2.7): 1 interface, 2 link, 5 site, 14 global. */
export const ipv6MulticastScope = (d: DataView, at: number): number => d.getUint8(at + 1) & 15;
export const ipv6IsLinkLocal = (d: DataView, at: number): boolean => (d.getUint16(at) & 0xffc0) === 0xfe80;
export const ipv6IsUnspecified = (d: DataView, at: number): boolean => isLowWord(d, at, 0);
export const ipv6IsLoopback = (d: DataView, at: number): boolean => isLowWord(d, at, 1);
/** ::ffff:a.b.c.d: an IPv4 address, which never stands in an IPv6 header (RFC 4291 2.5.5.2, RFC 6890). */
export const ipv6IsMapped = (d: DataView, at: number): boolean =>
  d.getInt32(at + 8) === 0xffff && d.getInt32(at + 4) === 0 && d.getInt32(at) === 0;

const isLowWord = (d: DataView, at: number, word: number): boolean =>
  d.getInt32(at + 12) === word && d.getInt32(at + 8) === 0 && d.getInt32(at + 4) === 0 && d.getInt32(at) === 0;
