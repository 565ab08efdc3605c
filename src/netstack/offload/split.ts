/**
 * Super-frames into packets: what a NIC does for TSO and UDP segmentation offload (Linux: tcp_gso_segment,
 * __udp_gso_segment), here while the packets are copied to where they are sent from.
 */
import type { Slab } from "../../lib/slab.ts";
import { type Packet, pseudoOf } from "../packet.ts";
import { ipv4Id, ipv4RefreshChecksum } from "../wire/ipv4.ts";
import { IPV6_HEADER_LEN, ipv6SetPayloadLen } from "../wire/ipv6.ts";
import {
  TCP_CWR,
  TCP_FIN,
  TCP_PSH,
  tcpFlags,
  tcpHeaderLen,
  tcpSeq,
  tcpSetChecksum,
  tcpSetFlags,
  tcpSetSeq,
} from "../wire/tcp.ts";
import { UDP_HEADER_LEN, udpSetChecksum } from "../wire/udp.ts";

/** Headers of a checked TCP super-packet: IP and TCP. */
export const tcpSuperHeaderLen = (d: DataView, p: Packet): number => p.l4 - p.at + tcpHeaderLen(d, p.l4);

/** Headers of a UDP super-packet. */
export const udpSuperHeaderLen = (p: Packet): number => p.l4 - p.at + UDP_HEADER_LEN;

/** Number of packets that a super-packet of `len` bytes makes. */
export const segmentCount = (len: number, headerLen: number, size: number): number =>
  Math.max(1, Math.ceil((len - headerLen) / size));

/** Copies segment `index` (of `size` payload bytes, the last fewer) of the TCP super-packet to `to`; returns its length. */
export function tcpSegmentCopy(
  slab: Slab,
  p: Packet,
  headerLen: number,
  size: number,
  index: number,
  to: number,
): number {
  const d = slab.view;
  const start = index * size;
  const len = payloadCopy(slab, p, headerLen, size, index, to);
  const last = headerLen + start + len === p.len;
  const tcp = to + p.l4 - p.at;
  let flags = tcpFlags(d, tcp);
  if (index > 0) flags &= ~TCP_CWR; // RFC 3168 6.1.2: once
  if (!last) flags &= ~(TCP_FIN | TCP_PSH);
  tcpSetFlags(d, tcp, flags);
  tcpSetSeq(d, tcp, (tcpSeq(d, tcp) + start) | 0);
  finishIp(d, p.isV6, to, headerLen + len, index);
  tcpSetChecksum(d, tcp, headerLen + len - (p.l4 - p.at), pseudoOf(d, p));
  return headerLen + len;
}

/** The same for a UDP super-packet; every datagram gets a header of its own. */
export function udpSegmentCopy(
  slab: Slab,
  p: Packet,
  headerLen: number,
  size: number,
  index: number,
  to: number,
): number {
  const d = slab.view;
  const len = payloadCopy(slab, p, headerLen, size, index, to);
  const udp = to + p.l4 - p.at;
  d.setUint16(udp + 4, UDP_HEADER_LEN + len);
  finishIp(d, p.isV6, to, headerLen + len, index);
  udpSetChecksum(d, udp, pseudoOf(d, p));
  return headerLen + len;
}

/** Copies the headers and one piece of the payload; returns the bytes of that piece. */
function payloadCopy(slab: Slab, p: Packet, headerLen: number, size: number, index: number, to: number): number {
  const from = p.at + headerLen + index * size;
  const len = Math.min(size, p.at + p.len - from);
  slab.bytes.copyWithin(to, p.at, p.at + headerLen);
  slab.bytes.copyWithin(to + headerLen, from, from + len);
  return len;
}

/** Length of one segment, and what tells it from the others. */
function finishIp(d: DataView, isV6: boolean, to: number, totalLen: number, index: number): void {
  if (isV6) return ipv6SetPayloadLen(d, to, totalLen - IPV6_HEADER_LEN);
  d.setUint16(to + 2, totalLen);
  d.setUint16(to + 4, (ipv4Id(d, to) + index) & 0xffff);
  ipv4RefreshChecksum(d, to);
}
