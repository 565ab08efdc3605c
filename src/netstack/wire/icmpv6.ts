/**
 * ICMPv6 (RFC 4443):  0 type | 1 code | 2 checksum (2), with the pseudo-header | 4 rest of header (4) | 8 data
 *   echo: 4 identifier (2), 6 sequence (2)      packet too big: 4 MTU (4)      parameter problem: 4 pointer (4)
 *   errors have types below 128; 8 the quoted packet, as much of it as fits 1280 bytes in all
 */
import { Drop, type DropCode } from "../drop.ts";
import { sumBytes } from "./checksum.ts";

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
const ECHO_ID = 4;
const ECHO_SEQ = 6;

export const ICMPV6_HEADER_LEN = 8;

export const ICMPV6_UNREACHABLE = 1;
export const ICMPV6_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
/** Multicast listeners (RFC 3810). */
export const ICMPV6_MLD_QUERY = 130;
export const ICMPV6_MLD2_REPORT = 143;
const ICMPV6_REDIRECT = 137;

/** Codes of ICMPV6_UNREACHABLE (RFC 4443 3.1). */
export const UNREACHABLE6_NO_ROUTE = 0;
export const UNREACHABLE6_PROHIBITED = 1;
export const UNREACHABLE6_ADDRESS = 3;
export const UNREACHABLE6_PORT = 4;

/** Codes of ICMPV6_TIME_EXCEEDED. */
export const TIME_EXCEEDED6_HOP_LIMIT = 0;
export const TIME_EXCEEDED6_REASSEMBLY = 1;

/** Codes of ICMPV6_PARAMETER_PROBLEM; RFC 7112 5 for the last. */
export const PROBLEM_FIELD = 0;
export const PROBLEM_NEXT_HEADER = 1;
export const PROBLEM_OPTION = 2;
export const PROBLEM_FIRST_FRAGMENT = 3;

/** Length, and where `verify` the checksum over all `len` bytes. @param pseudo of the packet */
export function icmpv6Check(d: DataView, at: number, len: number, pseudo: number, verify: boolean): DropCode {
  if (len < ICMPV6_HEADER_LEN) return Drop.IcmpTruncated;
  return verify && sumBytes(d, at, len, pseudo + len) !== 0xffff ? Drop.IcmpBadChecksum : Drop.None;
}

/** Whether a type is an error, which quotes a packet and must not be answered by another error; nor is a redirect (RFC 4443 2.4 (e)). */
export const icmpv6IsError = (type: number): boolean => type < 128 || type === ICMPV6_REDIRECT;

export const icmpv6Type = (d: DataView, at: number): number => d.getUint8(at + TYPE);
export const icmpv6Code = (d: DataView, at: number): number => d.getUint8(at + CODE);
export const icmpv6EchoId = (d: DataView, at: number): number => d.getUint16(at + ECHO_ID);
export const icmpv6EchoSeq = (d: DataView, at: number): number => d.getUint16(at + ECHO_SEQ);
/** MTU of "packet too big", pointer of a parameter problem. */
export const icmpv6Rest = (d: DataView, at: number): number => d.getUint32(at + REST);

/**
 * Writes the header over `len` bytes of message whose data is there already, with the checksum. `rest` is 32 bits.
 * @param pseudo sum of the addresses and the protocol
 */
export function icmpv6Emit(
  d: DataView,
  at: number,
  len: number,
  type: number,
  code: number,
  rest: number,
  pseudo: number,
): void {
  d.setUint8(at + TYPE, type);
  d.setUint8(at + CODE, code);
  d.setInt32(at + REST, rest);
  icmpv6SetChecksum(d, at, len, pseudo);
}

/** Computes the checksum over the message. */
export function icmpv6SetChecksum(d: DataView, at: number, len: number, pseudo: number): void {
  d.setUint16(at + CHECKSUM, 0);
  d.setUint16(at + CHECKSUM, ~sumBytes(d, at, len, pseudo + len) & 0xffff);
}
