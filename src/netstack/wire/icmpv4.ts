/**
 * ICMP (RFC 792; RFC 1191 for the MTU field):  0 type | 1 code | 2 checksum (2) | 4 rest of header (4) | 8 data
 *   echo: 4 identifier (2), 6 sequence (2)      error: 4 unused, 6 next-hop MTU (2) with "fragmentation needed";
 *   8 the quoted packet: IPv4 header and at least 8 bytes
 */
import { Drop, type DropCode } from "../drop.ts";
import { sumBytes } from "./checksum.ts";

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
const ECHO_ID = 4;
const ECHO_SEQ = 6;
const NEXT_HOP_MTU = 6;

export const ICMP_HEADER_LEN = 8;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
const ICMP_SOURCE_QUENCH = 4;
const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

/** Codes of ICMP_UNREACHABLE. */
export const UNREACHABLE_NET = 0;
export const UNREACHABLE_HOST = 1;
export const UNREACHABLE_PROTOCOL = 2;
export const UNREACHABLE_PORT = 3;
export const UNREACHABLE_FRAGMENTATION_NEEDED = 4;
export const UNREACHABLE_PROHIBITED = 13;

/** Codes of ICMP_TIME_EXCEEDED. */
export const TIME_EXCEEDED_TTL = 0;
export const TIME_EXCEEDED_REASSEMBLY = 1;

/** Length only; `verify` also the checksum over all `len` bytes. */
export function icmpCheck(d: DataView, at: number, len: number, verify: boolean): DropCode {
  if (len < ICMP_HEADER_LEN) return Drop.IcmpTruncated;
  return verify && sumBytes(d, at, len) !== 0xffff ? Drop.IcmpBadChecksum : Drop.None;
}

/** Whether a type is an error, which quotes a packet and must not be answered by another error (RFC 1122 3.2.2). */
export const icmpIsError = (type: number): boolean =>
  type === ICMP_UNREACHABLE ||
  type === ICMP_SOURCE_QUENCH ||
  type === ICMP_REDIRECT ||
  type === ICMP_TIME_EXCEEDED ||
  type === ICMP_PARAMETER_PROBLEM;

export const icmpType = (d: DataView, at: number): number => d.getUint8(at + TYPE);
export const icmpCode = (d: DataView, at: number): number => d.getUint8(at + CODE);
export const icmpEchoId = (d: DataView, at: number): number => d.getUint16(at + ECHO_ID);
export const icmpEchoSeq = (d: DataView, at: number): number => d.getUint16(at + ECHO_SEQ);
export const icmpNextHopMtu = (d: DataView, at: number): number => d.getUint16(at + NEXT_HOP_MTU);

/** Writes the header over `len` bytes of message whose data is there already, with the checksum. `rest` is 32 bits. */
export function icmpEmit(d: DataView, at: number, len: number, type: number, code: number, rest: number): void {
  d.setUint8(at + TYPE, type);
  d.setUint8(at + CODE, code);
  d.setUint16(at + CHECKSUM, 0);
  d.setInt32(at + REST, rest);
  d.setUint16(at + CHECKSUM, ~sumBytes(d, at, len) & 0xffff);
}

/** Recomputes the checksum over the message. */
export function icmpRefreshChecksum(d: DataView, at: number, len: number): void {
  d.setUint16(at + CHECKSUM, 0);
  d.setUint16(at + CHECKSUM, ~sumBytes(d, at, len) & 0xffff);
}
