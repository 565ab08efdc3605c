/**
 * IPv4 (RFC 791 3.1):
 *   0 version | IHL   1 TOS   2 total length (2)   4 identification (2)   6 flags (3 bits) | fragment offset (13 bits)
 *   8 TTL   9 protocol   10 header checksum (2)   12 source (4)   16 destination (4)   20 options up to IHL * 4
 */
import { Drop, type DropCode } from "../drop.ts";
import { checksum, checksumUpdate16, checksumUpdate32, pseudoSum, sumBytes, sumHeader } from "./checksum.ts";

const VERSION_IHL = 0;
const TOTAL_LEN = 2;
const ID = 4;
const FRAGMENT = 6;
const TTL = 8;
const PROTOCOL = 9;
const CHECKSUM = 10;

/** Offsets of the addresses. */
export const IPV4_SRC = 12;
export const IPV4_DST = 16;

/** Offset of DSCP (6 bits) and ECN (2 bits). */
export const IPV4_TOS = 1;

export const IPV4_HEADER_LEN = 20;
export const IPV4_MAX_LEN = 65535;

export const PROTO_ICMP = 1;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;

/** Bits of the fragment field. */
export const IPV4_DF = 0x4000;
export const IPV4_MF = 0x2000;
export const IPV4_OFFSET_MASK = 0x1fff;

/** Version, header length, total length against what there is, header checksum. Options: {@link ipv4OptionsCheck}. */
export function ipv4Check(d: DataView, at: number, avail: number): DropCode {
  if (avail < IPV4_HEADER_LEN) return Drop.Ipv4Truncated;
  const versionIhl = d.getUint8(at + VERSION_IHL);
  if (versionIhl >> 4 !== 4) return Drop.Ipv4BadVersion;
  const headerLen = (versionIhl & 15) << 2;
  if (headerLen < IPV4_HEADER_LEN || headerLen > avail) return Drop.Ipv4BadHeaderLength;
  const totalLen = d.getUint16(at + TOTAL_LEN);
  if (totalLen < headerLen || totalLen > avail) return Drop.Ipv4BadTotalLength;
  const sum = headerLen === IPV4_HEADER_LEN ? sumHeader(d, at) : sumBytes(d, at, headerLen);
  return sum === 0xffff ? Drop.None : Drop.Ipv4BadChecksum;
}

export const ipv4HeaderLen = (d: DataView, at: number): number => (d.getUint8(at + VERSION_IHL) & 15) << 2;
/** RFC 3168 5: 0 not capable, 1 and 2 capable, 3 congestion experienced. */
export const ipv4Ecn = (d: DataView, at: number): number => d.getUint8(at + IPV4_TOS) & 3;
export const ECN_NOT_ECT = 0;
export const ECN_CE = 3;
export const ipv4TotalLen = (d: DataView, at: number): number => d.getUint16(at + TOTAL_LEN);
export const ipv4Id = (d: DataView, at: number): number => d.getUint16(at + ID);
/** Flags and offset as they stand on the wire. */
export const ipv4FragmentField = (d: DataView, at: number): number => d.getUint16(at + FRAGMENT);
export const ipv4DontFragment = (d: DataView, at: number): boolean => (d.getUint16(at + FRAGMENT) & IPV4_DF) !== 0;
export const ipv4MoreFragments = (d: DataView, at: number): boolean => (d.getUint16(at + FRAGMENT) & IPV4_MF) !== 0;
/** In bytes. */
export const ipv4FragmentOffset = (d: DataView, at: number): number =>
  (d.getUint16(at + FRAGMENT) & IPV4_OFFSET_MASK) << 3;
export const ipv4IsFragment = (d: DataView, at: number): boolean =>
  (d.getUint16(at + FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0;
export const ipv4Ttl = (d: DataView, at: number): number => d.getUint8(at + TTL);
export const ipv4Protocol = (d: DataView, at: number): number => d.getUint8(at + PROTOCOL);
export const ipv4Src = (d: DataView, at: number): number => d.getInt32(at + IPV4_SRC);
export const ipv4Dst = (d: DataView, at: number): number => d.getInt32(at + IPV4_DST);
/** What a transport checksum knows of the header (RFC 768, RFC 9293 3.1), but for the length: sum of addresses and protocol. */
export const ipv4PseudoSum = (d: DataView, at: number): number =>
  pseudoSum(d.getInt32(at + IPV4_SRC), d.getInt32(at + IPV4_DST), d.getUint8(at + PROTOCOL), 0);

export const IPV4_OPTION_END = 0;
export const IPV4_OPTION_NOP = 1;
const IPV4_OPTION_LSRR = 131;
const IPV4_OPTION_SSRR = 137;

/** Walks the options of a checked header: None, Ipv4BadOptions, or Ipv4SourceRoute (RFC 7126 4.3, 4.4: drop those). */
export function ipv4OptionsCheck(d: DataView, at: number): DropCode {
  const end = at + ipv4HeaderLen(d, at);
  for (let p = at + IPV4_HEADER_LEN; p < end; ) {
    const kind = d.getUint8(p);
    if (kind === IPV4_OPTION_END) return Drop.None;
    if (kind === IPV4_OPTION_NOP) {
      p++;
      continue;
    }
    if (p + 2 > end) return Drop.Ipv4BadOptions;
    const len = d.getUint8(p + 1);
    if (len < 2 || p + len > end) return Drop.Ipv4BadOptions;
    if (kind === IPV4_OPTION_LSRR || kind === IPV4_OPTION_SSRR) return Drop.Ipv4SourceRoute;
    p += len;
  }
  return Drop.None;
}

/** Writes a 20-byte header with its checksum. `fragment` is the field with flags (IPV4_DF). */
export function ipv4Emit(
  d: DataView,
  at: number,
  totalLen: number,
  id: number,
  fragment: number,
  ttl: number,
  protocol: number,
  src: number,
  dst: number,
  tos = 0,
): void {
  d.setUint8(at + VERSION_IHL, 0x45);
  d.setUint8(at + IPV4_TOS, tos);
  d.setUint16(at + TOTAL_LEN, totalLen);
  d.setUint16(at + ID, id);
  d.setUint16(at + FRAGMENT, fragment);
  d.setUint8(at + TTL, ttl);
  d.setUint8(at + PROTOCOL, protocol);
  d.setUint16(at + CHECKSUM, 0);
  d.setInt32(at + IPV4_SRC, src);
  d.setInt32(at + IPV4_DST, dst);
  d.setUint16(at + CHECKSUM, checksum(d, at, IPV4_HEADER_LEN));
}

/** Recomputes the header checksum from nothing. */
export function ipv4RefreshChecksum(d: DataView, at: number): void {
  d.setUint16(at + CHECKSUM, 0);
  d.setUint16(at + CHECKSUM, checksum(d, at, ipv4HeaderLen(d, at)));
}

/** Another total length, checksum kept right. */
export function ipv4SetTotalLen(d: DataView, at: number, totalLen: number): void {
  d.setUint16(at + CHECKSUM, checksumUpdate16(d.getUint16(at + CHECKSUM), d.getUint16(at + TOTAL_LEN), totalLen));
  d.setUint16(at + TOTAL_LEN, totalLen);
}

/** Whether two packets differ in nothing but length, identification and checksum, as far as the 20 bytes of header go. */
export const ipv4SameKind = (d: DataView, a: number, b: number): boolean =>
  d.getUint16(a) === d.getUint16(b) &&
  d.getUint16(a + FRAGMENT) === d.getUint16(b + FRAGMENT) &&
  d.getUint16(a + TTL) === d.getUint16(b + TTL) &&
  d.getInt32(a + IPV4_SRC) === d.getInt32(b + IPV4_SRC) &&
  d.getInt32(a + IPV4_DST) === d.getInt32(b + IPV4_DST);

/** TTL - 1, checksum kept right (RFC 1812 5.3.1, RFC 1624). The TTL must not be 0. */
export function ipv4DecrementTtl(d: DataView, at: number): void {
  const before = d.getUint16(at + TTL);
  d.setUint16(at + TTL, before - 0x100);
  d.setUint16(at + CHECKSUM, checksumUpdate16(d.getUint16(at + CHECKSUM), before, before - 0x100));
}

export function ipv4RewriteSrc(d: DataView, at: number, src: number): void {
  d.setUint16(at + CHECKSUM, checksumUpdate32(d.getUint16(at + CHECKSUM), d.getInt32(at + IPV4_SRC), src));
  d.setInt32(at + IPV4_SRC, src);
}

export function ipv4RewriteDst(d: DataView, at: number, dst: number): void {
  d.setUint16(at + CHECKSUM, checksumUpdate32(d.getUint16(at + CHECKSUM), d.getInt32(at + IPV4_DST), dst));
  d.setInt32(at + IPV4_DST, dst);
}
