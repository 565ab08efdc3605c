/**
 * Translation of IPv6 to the tunnel's one address (address and port, as of IPv4; RFC 6296 explains what prefixes would be
 * better for, which a tunnel does not give): endpoints of packets, and those of the packets that ICMPv6 errors quote. Every
 * transport checksum, ICMPv6's too, knows the addresses, and no header has one of its own.
 *
 * An error:  0 ICMPv6 header (8) | 8 quoted IPv6 header (40) | its extension headers | quoted transport header, perhaps cut.
 */
import { Drop, type DropCode } from "../drop.ts";
import { change16, checksumChanged, checksumUpdate16, sumBytes } from "../wire/checksum.ts";
import {
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_HEADER_LEN,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_TOO_BIG,
  ICMPV6_UNREACHABLE,
} from "../wire/icmpv6.ts";
import { IPV6_DST, IPV6_HEADER_LEN, IPV6_SRC, ipv6PutWords, PROTO_ICMPV6 } from "../wire/ipv6.ts";
import { ExtensionChain, fragmentOffset } from "../wire/ipv6-ext.ts";
import type { NatFamily, Quote } from "./family.ts";
import { ICMP_CHECKSUM, putQuotedPort, readTransport, rewritePort } from "./l4.ts";

const ADDRESS_LEN = 16;
/** Ports and identifiers are in the first 8 bytes of every transport header that is translated. */
const MIN_QUOTED = 8;

export const NAT_IPV6: NatFamily = {
  stride: 4,
  srcAt: IPV6_SRC,
  dstAt: IPV6_DST,
  icmp: PROTO_ICMPV6,
  echoRequest: ICMPV6_ECHO_REQUEST,
  echoReply: ICMPV6_ECHO_REPLY,
  isTranslatedError: (type) =>
    type === ICMPV6_UNREACHABLE ||
    type === ICMPV6_TOO_BIG ||
    type === ICMPV6_TIME_EXCEEDED ||
    type === ICMPV6_PARAMETER_PROBLEM,
  rewriteEndpoint,
  rewriteAddress,
  readQuote,
  rewriteQuote,
};

/** Of the quoted packet's headers. */
const chain = new ExtensionChain();

/** Writes the address and returns what every sum gains that covers it. */
function putAddress(d: DataView, at: number, words: Int32Array, i: number): number {
  const before = sumBytes(d, at, ADDRESS_LEN);
  ipv6PutWords(d, at, words, i);
  return change16(before, sumBytes(d, at, ADDRESS_LEN));
}

function rewriteEndpoint(
  d: DataView,
  at: number,
  l4: number,
  proto: number,
  isSource: boolean,
  words: Int32Array,
  i: number,
  port: number,
): void {
  const change = putAddress(d, at + (isSource ? IPV6_SRC : IPV6_DST), words, i);
  rewritePort(d, l4, proto, isSource, port, change);
}

function rewriteAddress(d: DataView, at: number, l4: number, isSource: boolean, words: Int32Array, i: number): void {
  const checksumAt = l4 + ICMP_CHECKSUM;
  const change = putAddress(d, at + (isSource ? IPV6_SRC : IPV6_DST), words, i);
  d.setUint16(checksumAt, checksumChanged(d.getUint16(checksumAt), change));
}

function readQuote(d: DataView, icmp: number, len: number, echo: number, quote: Quote): DropCode {
  const at = icmp + ICMPV6_HEADER_LEN;
  const quoted = len - ICMPV6_HEADER_LEN;
  if (quoted < IPV6_HEADER_LEN + MIN_QUOTED || d.getUint8(at) >> 4 !== 6) return Drop.IcmpBadQuote;
  if (chain.walk(d, at, quoted) !== Drop.None) return Drop.IcmpBadQuote;
  const { l4, fragmentAt } = chain;
  if (l4 + MIN_QUOTED > at + quoted) return Drop.IcmpBadQuote;
  if (fragmentAt !== 0 && fragmentOffset(d, fragmentAt) !== 0) return Drop.IcmpBadQuote;
  return readTransport(d, quote, chain.proto, at, l4, PROTO_ICMPV6, echo);
}

function rewriteQuote(
  d: DataView,
  icmp: number,
  len: number,
  quote: Quote,
  isSource: boolean,
  words: Int32Array,
  i: number,
  port: number,
): void {
  const addressAt = quote.at + (isSource ? IPV6_SRC : IPV6_DST);
  const before = sumBytes(d, addressAt, ADDRESS_LEN);
  ipv6PutWords(d, addressAt, words, i);
  const after = sumBytes(d, addressAt, ADDRESS_LEN);
  const check = checksumUpdate16(d.getUint16(icmp + ICMP_CHECKSUM), before, after);
  d.setUint16(icmp + ICMP_CHECKSUM, putQuotedPort(d, icmp + len, quote, isSource, port, check, before, after));
}
