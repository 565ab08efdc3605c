/** Ports, echo identifiers and checksums of a transport header, where the translator reads and writes them. */
import { Drop, type DropCode } from "../drop.ts";
import { change16, checksumChanged, checksumUpdate16 } from "../wire/checksum.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_CHECKSUM_OFFSET } from "../wire/tcp.ts";
import { UDP_CHECKSUM_OFFSET } from "../wire/udp.ts";
import type { Quote } from "./family.ts";

const SRC_PORT = 0;
const DST_PORT = 2;
/** The same place in ICMP and ICMPv6, as that of their checksums. */
const ECHO_ID = 4;
export const ICMP_CHECKSUM = 2;

/** Offset of the field that is the port of the source or of the destination, or the identifier of an echo. */
const portOffset = (proto: number, isSource: boolean): number =>
  proto === PROTO_TCP || proto === PROTO_UDP ? (isSource ? SRC_PORT : DST_PORT) : ECHO_ID;

const checksumOffset = (proto: number): number =>
  proto === PROTO_TCP ? TCP_CHECKSUM_OFFSET : proto === PROTO_UDP ? UDP_CHECKSUM_OFFSET : ICMP_CHECKSUM;

/** Writes the port into the header at `l4`; `check` is its checksum, with what has changed so far. @returns the checksum */
function putPort(d: DataView, l4: number, proto: number, isSource: boolean, port: number, check: number): number {
  const at = l4 + portOffset(proto, isSource);
  const before = d.getUint16(at);
  d.setUint16(at, port);
  return checksumUpdate16(check, before, port);
}

/** A UDP checksum that comes out as 0 is written as its other form, as 0 means that there is none (RFC 768). */
const wireChecksum = (proto: number, check: number): number => (proto === PROTO_UDP && check === 0 ? 0xffff : check);

/**
 * Writes the port into the header at `l4` and mends its checksum. @param change what the sum of its pseudo-header has gained
 */
export function rewritePort(
  d: DataView,
  l4: number,
  proto: number,
  isSource: boolean,
  port: number,
  change: number,
): void {
  const at = l4 + portOffset(proto, isSource);
  const checksumAt = l4 + checksumOffset(proto);
  const before = d.getUint16(at);
  const check = d.getUint16(checksumAt);
  d.setUint16(at, port);
  if (proto === PROTO_UDP && check === 0) return; // the sender made none (RFC 768)
  d.setUint16(checksumAt, wireChecksum(proto, checksumChanged(check, change + change16(before, port))));
}

/** Mends the checksum of a TCP or UDP header of which `len` bytes are there. @param change what the sum of its pseudo-header has gained */
export function mendChecksum(d: DataView, l4: number, len: number, proto: number, change: number): void {
  const at = checksumOffset(proto);
  if (len < at + 2) return;
  const check = d.getUint16(l4 + at);
  if (proto === PROTO_UDP && check === 0) return; // the sender made none (RFC 768)
  d.setUint16(l4 + at, wireChecksum(proto, checksumChanged(check, change)));
}

/**
 * Reads the transport header at `l4` of the packet at `at` that an error quotes: of TCP, UDP, or of an echo with the type `echo`.
 * Its first 8 bytes are there. @param icmp protocol number of the family's ICMP
 */
export function readTransport(
  d: DataView,
  quote: Quote,
  proto: number,
  at: number,
  l4: number,
  icmp: number,
  echo: number,
): DropCode {
  if (proto === icmp) {
    if (d.getUint8(l4) !== echo) return Drop.IcmpBadQuote;
  } else if (proto !== PROTO_TCP && proto !== PROTO_UDP) return Drop.NatUnsupported;
  quote.proto = proto;
  quote.at = at;
  quote.l4 = l4;
  quote.srcPort = d.getUint16(l4 + portOffset(proto, true));
  quote.dstPort = d.getUint16(l4 + portOffset(proto, false));
  return Drop.None;
}

/**
 * {@link putPort} in a quoted header, perhaps cut at `end`, with its own checksum where that is there. `check` is the error's, with what has
 * changed so far; `before` and `after` are the sums of the address that has changed where the pseudo-header counts, else 0.
 * @returns the error's checksum
 */
export function putQuotedPort(
  d: DataView,
  end: number,
  { proto, l4 }: Quote,
  isSource: boolean,
  port: number,
  check: number,
  before: number,
  after: number,
): number {
  const portBefore = d.getUint16(l4 + portOffset(proto, isSource));
  const withPort = putPort(d, l4, proto, isSource, port, check);
  const at = l4 + checksumOffset(proto);
  if (at + 2 > end) return withPort;
  const quoted = d.getUint16(at);
  if (proto === PROTO_UDP && quoted === 0) return withPort; // the sender made none (RFC 768)
  const updated = wireChecksum(proto, checksumUpdate16(checksumUpdate16(quoted, before, after), portBefore, port));
  d.setUint16(at, updated);
  return checksumUpdate16(withPort, quoted, updated);
}
