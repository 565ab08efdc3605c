/**
 * Ethernet II (RFC 894):  0 destination MAC (6) | 6 source MAC (6) | 12 type (2) | 14 payload.
 * A MAC is two numbers: its first two octets, and its last four as int32.
 */
import { Drop, type DropCode } from "../drop.ts";

const DST = 0;
const SRC = 6;
const TYPE = 12;

export const ETHERNET_HEADER_LEN = 14;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;

export const etherCheck = (_d: DataView, _at: number, avail: number): DropCode =>
  avail < ETHERNET_HEADER_LEN ? Drop.EtherTruncated : Drop.None;

export const etherDstHi = (d: DataView, at: number): number => d.getUint16(at + DST);
export const etherDstLo = (d: DataView, at: number): number => d.getInt32(at + DST + 2);
export const etherSrcHi = (d: DataView, at: number): number => d.getUint16(at + SRC);
export const etherSrcLo = (d: DataView, at: number): number => d.getInt32(at + SRC + 2);
export const etherType = (d: DataView, at: number): number => d.getUint16(at + TYPE);

/** Whether a MAC (its first two octets) is a group address: multicast or broadcast. */
export const isGroupMac = (hi: number): boolean => (hi & 0x0100) !== 0;
export const isBroadcastMac = (hi: number, lo: number): boolean => hi === 0xffff && lo === -1;

export function etherEmit(
  d: DataView,
  at: number,
  dstHi: number,
  dstLo: number,
  srcHi: number,
  srcLo: number,
  type: number,
): void {
  d.setUint16(at + DST, dstHi);
  d.setInt32(at + DST + 2, dstLo);
  d.setUint16(at + SRC, srcHi);
  d.setInt32(at + SRC + 2, srcLo);
  d.setUint16(at + TYPE, type);
}
