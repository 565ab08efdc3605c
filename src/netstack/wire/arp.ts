/**
 * ARP for IPv4 over Ethernet (RFC 826):
 *   0 hardware type = 1 | 2 protocol type = 0x0800 | 4 hardware length = 6 | 5 protocol length = 4 | 6 operation
 *   8 sender MAC (6) | 14 sender IPv4 (4) | 18 target MAC (6) | 24 target IPv4 (4) | 28 end
 */
import { Drop, type DropCode } from "../drop.ts";

const HTYPE = 0;
const PTYPE = 2;
const HLEN = 4;
const PLEN = 5;
const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_IP = 14;
const TARGET_MAC = 18;
const TARGET_IP = 24;

export const ARP_LEN = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

export function arpCheck(d: DataView, at: number, avail: number): DropCode {
  if (avail < ARP_LEN) return Drop.ArpTruncated;
  const good =
    d.getUint16(at + HTYPE) === 1 &&
    d.getUint16(at + PTYPE) === 0x0800 &&
    d.getUint8(at + HLEN) === 6 &&
    d.getUint8(at + PLEN) === 4;
  return good ? Drop.None : Drop.ArpBadFormat;
}

export const arpOperation = (d: DataView, at: number): number => d.getUint16(at + OPERATION);
export const arpSenderMacHi = (d: DataView, at: number): number => d.getUint16(at + SENDER_MAC);
export const arpSenderMacLo = (d: DataView, at: number): number => d.getInt32(at + SENDER_MAC + 2);
export const arpSenderIp = (d: DataView, at: number): number => d.getInt32(at + SENDER_IP);
export const arpTargetIp = (d: DataView, at: number): number => d.getInt32(at + TARGET_IP);

export function arpEmit(
  d: DataView,
  at: number,
  operation: number,
  senderMacHi: number,
  senderMacLo: number,
  senderIp: number,
  targetMacHi: number,
  targetMacLo: number,
  targetIp: number,
): void {
  d.setUint16(at + HTYPE, 1);
  d.setUint16(at + PTYPE, 0x0800);
  d.setUint8(at + HLEN, 6);
  d.setUint8(at + PLEN, 4);
  d.setUint16(at + OPERATION, operation);
  d.setUint16(at + SENDER_MAC, senderMacHi);
  d.setInt32(at + SENDER_MAC + 2, senderMacLo);
  d.setInt32(at + SENDER_IP, senderIp);
  d.setUint16(at + TARGET_MAC, targetMacHi);
  d.setInt32(at + TARGET_MAC + 2, targetMacLo);
  d.setInt32(at + TARGET_IP, targetIp);
}
