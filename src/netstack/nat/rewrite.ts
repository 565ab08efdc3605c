/**
 * Changes of one endpoint of a packet in place, with incremental checksums (RFC 1624; RFC 3022 4.2): wrong checksums
 * stay wrong. Bounds are the caller's.
 */
import { checksumUpdate16, checksumUpdate32 } from "../wire/checksum.ts";
import { ipv4Dst, ipv4RewriteDst, ipv4RewriteSrc, ipv4Src, PROTO_ICMP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_CHECKSUM_OFFSET } from "../wire/tcp.ts";
import { UDP_CHECKSUM_OFFSET } from "../wire/udp.ts";

const SRC_PORT = 0;
const DST_PORT = 2;
const ICMP_CHECKSUM = 2;
const ICMP_ECHO_ID = 4;

/**
 * Gives the packet at `at` another source, or another destination: address, and port or echo identifier.
 * @param l4 offset of the transport header
 */
export function rewriteEndpoint(
  d: DataView,
  at: number,
  l4: number,
  protocol: number,
  source: boolean,
  address: number,
  port: number,
): void {
  const before = source ? ipv4Src(d, at) : ipv4Dst(d, at);
  if (source) ipv4RewriteSrc(d, at, address);
  else ipv4RewriteDst(d, at, address);
  if (protocol === PROTO_ICMP) rewriteEchoId(d, l4, port);
  else rewritePort(d, l4, protocol, source ? SRC_PORT : DST_PORT, before, address, port);
}

function rewritePort(
  d: DataView,
  l4: number,
  protocol: number,
  field: number,
  before: number,
  after: number,
  port: number,
): void {
  const checksumAt = l4 + (protocol === PROTO_UDP ? UDP_CHECKSUM_OFFSET : TCP_CHECKSUM_OFFSET);
  const portBefore = d.getUint16(l4 + field);
  d.setUint16(l4 + field, port);
  const check = d.getUint16(checksumAt);
  if (protocol === PROTO_UDP && check === 0) return; // the sender made none (RFC 768)
  const updated = checksumUpdate16(checksumUpdate32(check, before, after), portBefore, port);
  d.setUint16(checksumAt, protocol === PROTO_UDP && updated === 0 ? 0xffff : updated);
}

/** The identifier of an echo; ICMP has no pseudo-header. */
function rewriteEchoId(d: DataView, l4: number, id: number): void {
  const before = d.getUint16(l4 + ICMP_ECHO_ID);
  d.setUint16(l4 + ICMP_ECHO_ID, id);
  d.setUint16(l4 + ICMP_CHECKSUM, checksumUpdate16(d.getUint16(l4 + ICMP_CHECKSUM), before, id));
}
