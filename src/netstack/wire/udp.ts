/**
 * UDP (RFC 768):  0 source port (2) | 2 destination port (2) | 4 length with header (2) | 6 checksum (2), 0 = none | 8 data
 *
 * `pseudo` is what the checksum knows of IP: the sum of both addresses and the protocol.
 */
import { Drop, type DropCode } from "../drop.ts";
import { fold, sumBytes } from "./checksum.ts";

const SRC_PORT = 0;
const DST_PORT = 2;
const LEN = 4;
const CHECKSUM = 6;

export const UDP_HEADER_LEN = 8;
/** Where the checksum field is, for csumOffset of a vnet header. */
export const UDP_CHECKSUM_OFFSET = CHECKSUM;

/** Lengths only; the checksum needs the pseudo-header: {@link udpChecksumValid}. */
export function udpCheck(d: DataView, at: number, avail: number): DropCode {
  if (avail < UDP_HEADER_LEN) return Drop.UdpTruncated;
  const len = d.getUint16(at + LEN);
  return len < UDP_HEADER_LEN || len > avail ? Drop.UdpBadLength : Drop.None;
}

export const udpSrcPort = (d: DataView, at: number): number => d.getUint16(at + SRC_PORT);
export const udpDstPort = (d: DataView, at: number): number => d.getUint16(at + DST_PORT);
export const udpLen = (d: DataView, at: number): number => d.getUint16(at + LEN);

/** Whether the sender made a checksum; over IPv6 it must (RFC 8200 8.1). */
export const udpHasChecksum = (d: DataView, at: number): boolean => d.getUint16(at + CHECKSUM) !== 0;

/** Whether the checksum of a checked datagram holds; 0 means that the sender made none. */
export function udpChecksumValid(d: DataView, at: number, pseudo: number): boolean {
  if (d.getUint16(at + CHECKSUM) === 0) return true;
  const len = d.getUint16(at + LEN);
  return sumBytes(d, at, len, pseudo + len) === 0xffff;
}

/** Writes the header in front of `payloadLen` bytes; the checksum field is left 0 for one of the next two. */
export function udpEmit(d: DataView, at: number, srcPort: number, dstPort: number, payloadLen: number): void {
  d.setUint16(at + SRC_PORT, srcPort);
  d.setUint16(at + DST_PORT, dstPort);
  d.setUint16(at + LEN, UDP_HEADER_LEN + payloadLen);
  d.setUint16(at + CHECKSUM, 0);
}

/** Computes the checksum of a datagram whose checksum field may hold anything; a sum of 0 is sent as 0xffff. */
export function udpSetChecksum(d: DataView, at: number, pseudo: number): void {
  const len = d.getUint16(at + LEN);
  d.setUint16(at + CHECKSUM, 0);
  const check = ~sumBytes(d, at, len, pseudo + len) & 0xffff;
  d.setUint16(at + CHECKSUM, check === 0 ? 0xffff : check);
}

/** Leaves the pseudo-header's sum in the checksum field for the device to complete (VNET_NEEDS_CSUM). */
export function udpSetPartialChecksum(d: DataView, at: number, pseudo: number): void {
  d.setUint16(at + CHECKSUM, fold(pseudo + d.getUint16(at + LEN)));
}
