/**
 * Translation of IPv4: endpoints of packets, and those of the packets that ICMP errors quote, so that the host recognises its
 * packet (path MTU discovery, port unreachable, traceroute; RFC 5508 4, RFC 3022 4.3).
 *
 * An error:  0 ICMP header (8) | 8 quoted IPv4 header (ihl * 4) | quoted transport header, perhaps cut.
 */
import { Drop, type DropCode } from "../drop.ts";
import { change32, checksumChanged, checksumUpdate16, checksumUpdate32, fold } from "../wire/checksum.ts";
import {
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HEADER_LEN,
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
} from "../wire/icmpv4.ts";
import {
  IPV4_DST,
  IPV4_HEADER_LEN,
  IPV4_OFFSET_MASK,
  IPV4_SRC,
  ipv4FragmentField,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4RewriteDst,
  ipv4RewriteSrc,
  PROTO_ICMP,
} from "../wire/ipv4.ts";
import type { NatFamily, Quote } from "./family.ts";
import { ICMP_CHECKSUM, putQuotedPort, readTransport, rewritePort } from "./l4.ts";

const IPV4_CHECKSUM = 10;
/** RFC 792: 64 bits of the quoted packet's data. */
const MIN_QUOTED = 8;

export const NAT_IPV4: NatFamily = {
  stride: 1,
  srcAt: IPV4_SRC,
  dstAt: IPV4_DST,
  icmp: PROTO_ICMP,
  echoRequest: ICMP_ECHO_REQUEST,
  echoReply: ICMP_ECHO_REPLY,
  isTranslatedError: (type) =>
    type === ICMP_UNREACHABLE || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM,
  rewriteEndpoint,
  rewriteAddress: (d, at, _l4, isSource, words, i) => rewriteAddress(d, at, isSource, words[i]!),
  readQuote,
  rewriteQuote,
};

function rewriteAddress(d: DataView, at: number, isSource: boolean, address: number): void {
  if (isSource) ipv4RewriteSrc(d, at, address);
  else ipv4RewriteDst(d, at, address);
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
  const addressAt = at + (isSource ? IPV4_SRC : IPV4_DST);
  const after = words[i]!;
  const change = change32(d.getInt32(addressAt), after);
  d.setInt32(addressAt, after);
  d.setUint16(at + IPV4_CHECKSUM, checksumChanged(d.getUint16(at + IPV4_CHECKSUM), change));
  // ICMP has no pseudo-header.
  rewritePort(d, l4, proto, isSource, port, proto === PROTO_ICMP ? 0 : change);
}

function readQuote(d: DataView, icmp: number, len: number, echo: number, quote: Quote): DropCode {
  if (len < ICMP_HEADER_LEN + IPV4_HEADER_LEN + MIN_QUOTED) return Drop.IcmpBadQuote;
  const at = icmp + ICMP_HEADER_LEN;
  if (d.getUint8(at) >> 4 !== 4) return Drop.IcmpBadQuote;
  const headerLen = ipv4HeaderLen(d, at);
  if (headerLen < IPV4_HEADER_LEN || len < ICMP_HEADER_LEN + headerLen + MIN_QUOTED) return Drop.IcmpBadQuote;
  if ((ipv4FragmentField(d, at) & IPV4_OFFSET_MASK) !== 0) return Drop.IcmpBadQuote;
  return readTransport(d, quote, ipv4Protocol(d, at), at, at + headerLen, PROTO_ICMP, echo);
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
  const { at } = quote;
  const after = words[i]!;
  const before = d.getInt32(at + (isSource ? IPV4_SRC : IPV4_DST));
  const header = d.getUint16(at + IPV4_CHECKSUM);
  rewriteAddress(d, at, isSource, after);
  let check = checksumUpdate32(d.getUint16(icmp + ICMP_CHECKSUM), before, after);
  check = checksumUpdate16(check, header, d.getUint16(at + IPV4_CHECKSUM));
  const hasPseudo = quote.proto !== PROTO_ICMP;
  check = putQuotedPort(
    d,
    icmp + len,
    quote,
    isSource,
    port,
    check,
    hasPseudo ? sum(before) : 0,
    hasPseudo ? sum(after) : 0,
  );
  d.setUint16(icmp + ICMP_CHECKSUM, check);
}

/** Of the two halves of an address. */
const sum = (address: number): number => fold((address >>> 16) + (address & 0xffff));
