/**
 * TCP header (RFC 9293 3.1). `pseudo` is what the checksum knows of IP: the sum of both addresses and the protocol.
 *   0 source port (2) | 2 destination port (2) | 4 sequence number (4) | 8 acknowledgement (4)
 *   12 data offset (4 bits) | 13 flags | 14 window (2) | 16 checksum (2) | 18 urgent pointer (2) | 20 options
 */
import { Drop, type DropCode } from "../drop.ts";
import { fold, sumBytes } from "./checksum.ts";

const SRC_PORT = 0;
const DST_PORT = 2;
const SEQ = 4;
const ACK = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const WINDOW = 14;
const CHECKSUM = 16;
const URGENT = 18;

export const TCP_HEADER_LEN = 20;
/** Where the checksum field is, for csumOffset of a vnet header. */
export const TCP_CHECKSUM_OFFSET = CHECKSUM;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;

/** Header length against what there is; options: wire/tcp-options.ts. */
export function tcpCheck(d: DataView, at: number, avail: number): DropCode {
  if (avail < TCP_HEADER_LEN) return Drop.TcpTruncated;
  const headerLen = (d.getUint8(at + DATA_OFFSET) >> 4) << 2;
  return headerLen < TCP_HEADER_LEN || headerLen > avail ? Drop.TcpBadHeaderLength : Drop.None;
}

export const tcpSrcPort = (d: DataView, at: number): number => d.getUint16(at + SRC_PORT);
export const tcpDstPort = (d: DataView, at: number): number => d.getUint16(at + DST_PORT);
export const tcpSeq = (d: DataView, at: number): number => d.getInt32(at + SEQ);
export const tcpAck = (d: DataView, at: number): number => d.getInt32(at + ACK);
export const tcpHeaderLen = (d: DataView, at: number): number => (d.getUint8(at + DATA_OFFSET) >> 4) << 2;
export const tcpFlags = (d: DataView, at: number): number => d.getUint8(at + FLAGS);
export const tcpWindow = (d: DataView, at: number): number => d.getUint16(at + WINDOW);

/** Whether the checksum of `len` bytes of segment holds. */
export const tcpChecksumValid = (d: DataView, at: number, len: number, pseudo: number): boolean =>
  sumBytes(d, at, len, pseudo + len) === 0xffff;

/** Writes a header of `headerLen` bytes (its options are the caller's) with checksum 0 and urgent pointer 0. */
export function tcpEmit(
  d: DataView,
  at: number,
  srcPort: number,
  dstPort: number,
  seq: number,
  ack: number,
  headerLen: number,
  flags: number,
  window: number,
): void {
  d.setUint16(at + SRC_PORT, srcPort);
  d.setUint16(at + DST_PORT, dstPort);
  d.setInt32(at + SEQ, seq);
  d.setInt32(at + ACK, ack);
  d.setUint8(at + DATA_OFFSET, (headerLen >> 2) << 4);
  d.setUint8(at + FLAGS, flags);
  d.setUint16(at + WINDOW, window);
  d.setUint16(at + CHECKSUM, 0);
  d.setUint16(at + URGENT, 0);
}

export const tcpSetSeq = (d: DataView, at: number, seq: number): void => d.setInt32(at + SEQ, seq);
export const tcpSetFlags = (d: DataView, at: number, flags: number): void => d.setUint8(at + FLAGS, flags);

/**
 * Whether two segments are of one flow and differ in nothing but sequence number, PSH and checksum, options included.
 * Both headers were checked.
 */
export function tcpSameFlow(d: DataView, a: number, b: number): boolean {
  if (
    d.getInt32(a + SRC_PORT) !== d.getInt32(b + SRC_PORT) ||
    d.getInt32(a + ACK) !== d.getInt32(b + ACK) ||
    ((d.getInt32(a + DATA_OFFSET) ^ d.getInt32(b + DATA_OFFSET)) & ~(TCP_PSH << 16)) !== 0 ||
    d.getUint16(a + URGENT) !== d.getUint16(b + URGENT)
  )
    return false;
  const headerLen = tcpHeaderLen(d, a);
  for (let i = TCP_HEADER_LEN; i < headerLen; i += 4) if (d.getInt32(a + i) !== d.getInt32(b + i)) return false;
  return true;
}

/** Leaves the pseudo-header's sum in the checksum field of `len` bytes of segment for the device (VNET_NEEDS_CSUM). */
export const tcpSetPartialChecksum = (d: DataView, at: number, len: number, pseudo: number): void =>
  d.setUint16(at + CHECKSUM, fold(pseudo + len));

/** Computes the checksum of `len` bytes of segment whose checksum field may hold anything. */
export function tcpSetChecksum(d: DataView, at: number, len: number, pseudo: number): void {
  d.setUint16(at + CHECKSUM, 0);
  d.setUint16(at + CHECKSUM, ~sumBytes(d, at, len, pseudo + len) & 0xffff);
}
