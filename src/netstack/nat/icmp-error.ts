/**
 * ICMP errors through the translator (RFC 5508 4; RFC 3022 4.3): an error quotes the IPv4 header and at least 8 bytes of
 * the packet that it is about, as the sender of the error saw it. The quoted endpoint of the inside host is translated
 * like the packet's own, so that the host recognises its packet (path MTU discovery, port unreachable, traceroute).
 *
 * Layout: 0 ICMP header (8) | 8 quoted IPv4 header (ihl * 4) | quoted transport header, perhaps cut.
 */
import { Drop, type DropCode } from "../drop.ts";
import { checksumUpdate16 } from "../wire/checksum.ts";
import { ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, ICMP_HEADER_LEN } from "../wire/icmpv4.ts";
import {
  IPV4_HEADER_LEN,
  IPV4_OFFSET_MASK,
  ipv4FragmentField,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4RewriteDst,
  ipv4RewriteSrc,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { TCP_CHECKSUM_OFFSET } from "../wire/tcp.ts";
import { UDP_CHECKSUM_OFFSET } from "../wire/udp.ts";

const CHECKSUM = 2;
const QUOTE = ICMP_HEADER_LEN;
const IPV4_CHECKSUM = 10;
const IPV4_SRC = 12;
const IPV4_DST = 16;
const SRC_PORT = 0;
const DST_PORT = 2;
const ECHO_ID = 4;
const ICMP_CHECKSUM = 2;
/** RFC 792: 64 bits of the quoted packet's data. */
const MIN_QUOTED = 8;

/**
 * Whether the quote can be read: header, first fragment, 8 bytes of TCP, UDP or echo. The quoted total length may be
 * more than what is there, and its checksum is not believed either way (routers quote what they have already altered).
 * @param echo the ICMP type that a quoted echo must have
 */
export function quoteCheck(d: DataView, icmp: number, len: number, echo: number): DropCode {
  if (len < QUOTE + IPV4_HEADER_LEN + MIN_QUOTED) return Drop.IcmpBadQuote;
  const q = icmp + QUOTE;
  if (d.getUint8(q) >> 4 !== 4) return Drop.IcmpBadQuote;
  const headerLen = ipv4HeaderLen(d, q);
  if (headerLen < IPV4_HEADER_LEN || len < QUOTE + headerLen + MIN_QUOTED) return Drop.IcmpBadQuote;
  if ((ipv4FragmentField(d, q) & IPV4_OFFSET_MASK) !== 0) return Drop.IcmpBadQuote;
  const protocol = ipv4Protocol(d, q);
  if (protocol === PROTO_TCP || protocol === PROTO_UDP) return Drop.None;
  if (protocol !== PROTO_ICMP) return Drop.NatUnsupported;
  return d.getUint8(q + headerLen) === echo ? Drop.None : Drop.IcmpBadQuote;
}

/** What an error that comes in quotes: a packet that went out. An error that goes out quotes one that came in. */
export const QUOTED_ECHO_OUT = ICMP_ECHO_REQUEST;
export const QUOTED_ECHO_IN = ICMP_ECHO_REPLY;

export const quoteProtocol = (d: DataView, icmp: number): number => ipv4Protocol(d, icmp + QUOTE);
export const quoteSrc = (d: DataView, icmp: number): number => d.getInt32(icmp + QUOTE + IPV4_SRC);
export const quoteDst = (d: DataView, icmp: number): number => d.getInt32(icmp + QUOTE + IPV4_DST);

/** Port of the quoted source, or the identifier of a quoted echo. */
export function quoteSrcPort(d: DataView, icmp: number): number {
  const l4 = icmp + QUOTE + ipv4HeaderLen(d, icmp + QUOTE);
  return d.getUint16(l4 + (ipv4Protocol(d, icmp + QUOTE) === PROTO_ICMP ? ECHO_ID : SRC_PORT));
}

/** Port of the quoted destination, or the identifier of a quoted echo. */
export function quoteDstPort(d: DataView, icmp: number): number {
  const l4 = icmp + QUOTE + ipv4HeaderLen(d, icmp + QUOTE);
  return d.getUint16(l4 + (ipv4Protocol(d, icmp + QUOTE) === PROTO_ICMP ? ECHO_ID : DST_PORT));
}

/**
 * Rewrites the quoted source (or destination) and every checksum that covers it: the quoted header's, the quoted
 * transport's where it was not cut off, and the error's own.
 */
export function rewriteQuote(
  d: DataView,
  icmp: number,
  len: number,
  source: boolean,
  address: number,
  port: number,
): void {
  const q = icmp + QUOTE;
  const l4 = q + ipv4HeaderLen(d, q);
  const protocol = ipv4Protocol(d, q);
  const addressAt = q + (source ? IPV4_SRC : IPV4_DST);
  const high = d.getUint16(addressAt);
  const low = d.getUint16(addressAt + 2);
  const header = d.getUint16(q + IPV4_CHECKSUM);
  if (source) ipv4RewriteSrc(d, q, address);
  else ipv4RewriteDst(d, q, address);
  let check = d.getUint16(icmp + CHECKSUM);
  check = checksumUpdate16(check, high, address >>> 16);
  check = checksumUpdate16(check, low, address & 0xffff);
  check = checksumUpdate16(check, header, d.getUint16(q + IPV4_CHECKSUM));

  const portAt = l4 + (protocol === PROTO_ICMP ? ECHO_ID : source ? SRC_PORT : DST_PORT);
  const portBefore = d.getUint16(portAt);
  d.setUint16(portAt, port);
  check = checksumUpdate16(check, portBefore, port);

  const field =
    protocol === PROTO_TCP ? TCP_CHECKSUM_OFFSET : protocol === PROTO_UDP ? UDP_CHECKSUM_OFFSET : ICMP_CHECKSUM;
  const checksumAt = l4 + field;
  if (checksumAt + 2 <= icmp + len) {
    const before = d.getUint16(checksumAt);
    if (protocol !== PROTO_UDP || before !== 0) {
      let after = before;
      if (protocol !== PROTO_ICMP) {
        after = checksumUpdate16(after, high, address >>> 16);
        after = checksumUpdate16(after, low, address & 0xffff);
      }
      after = checksumUpdate16(after, portBefore, port);
      if (protocol === PROTO_UDP && after === 0) after = 0xffff;
      d.setUint16(checksumAt, after);
      check = checksumUpdate16(check, before, after);
    }
  }
  d.setUint16(icmp + CHECKSUM, check);
}
