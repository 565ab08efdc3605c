/**
 * Super-frames into packets: what a NIC does for TSO and UDP segmentation offload (Linux: tcp_gso_segment,
 * __udp_gso_segment), here while the packets are copied into the tunnel's arena.
 */
import type { Slab } from "../../lib/slab.ts";
import { ipv4HeaderLen, ipv4Id, ipv4RefreshChecksum, ipv4TotalLen } from "../wire/ipv4.ts";
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

/** Headers of a checked TCP super-packet: IPv4 and TCP. */
export const tcpSuperHeaderLen = (d: DataView, at: number): number => {
  const ip = ipv4HeaderLen(d, at);
  return ip + tcpHeaderLen(d, at + ip);
};

/** Number of packets that a super-packet of `len` bytes makes. */
export const segmentCount = (len: number, headerLen: number, size: number): number =>
  Math.max(1, Math.ceil((len - headerLen) / size));

/** Copies segment `index` (of `size` payload bytes, the last fewer) of the TCP super-packet at `at` to `to`; returns its length. */
export function tcpSegmentCopy(
  slab: Slab,
  at: number,
  headerLen: number,
  size: number,
  index: number,
  to: number,
): number {
  const d = slab.view;
  const ipLen = ipv4HeaderLen(d, at);
  const payload = ipv4TotalLen(d, at) - headerLen;
  const start = index * size;
  const len = Math.min(size, payload - start);
  const from = at + headerLen + start;
  slab.bytes.copyWithin(to, at, at + headerLen);
  slab.bytes.copyWithin(to + headerLen, from, from + len);
  const last = start + len === payload;
  const tcp = to + ipLen;
  let flags = tcpFlags(d, tcp);
  if (index > 0) flags &= ~TCP_CWR; // RFC 3168 6.1.2: once
  if (!last) flags &= ~(TCP_FIN | TCP_PSH);
  tcpSetFlags(d, tcp, flags);
  tcpSetSeq(d, tcp, (tcpSeq(d, tcp) + start) | 0);
  finishIpv4(d, to, headerLen + len, index);
  tcpSetChecksum(d, tcp, headerLen - ipLen + len, d.getInt32(to + 12), d.getInt32(to + 16));
  return headerLen + len;
}

/** The same for a UDP super-packet; every datagram gets a header of its own. */
export function udpSegmentCopy(slab: Slab, at: number, size: number, index: number, to: number): number {
  const d = slab.view;
  const ipLen = ipv4HeaderLen(d, at);
  const headerLen = ipLen + UDP_HEADER_LEN;
  const payload = ipv4TotalLen(d, at) - headerLen;
  const start = index * size;
  const len = Math.min(size, payload - start);
  const from = at + headerLen + start;
  slab.bytes.copyWithin(to, at, at + headerLen);
  slab.bytes.copyWithin(to + headerLen, from, from + len);
  d.setUint16(to + ipLen + 4, UDP_HEADER_LEN + len);
  finishIpv4(d, to, headerLen + len, index);
  udpSetChecksum(d, to + ipLen, d.getInt32(to + 12), d.getInt32(to + 16));
  return headerLen + len;
}

function finishIpv4(d: DataView, to: number, totalLen: number, index: number): void {
  d.setUint16(to + 2, totalLen);
  d.setUint16(to + 4, (ipv4Id(d, to) + index) & 0xffff);
  ipv4RefreshChecksum(d, to);
}
