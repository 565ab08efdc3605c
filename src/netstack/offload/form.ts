/** The form of a packet that goes on: checksums, headers of a super-frame, the MSS of a SYN. */
import { VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { Drop } from "../drop.ts";
import { type Family, IPV4 } from "../family.ts";
import type { Packet } from "../packet.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_SYN, tcpCheck, tcpFlags } from "../wire/tcp.ts";
import { udpCheck } from "../wire/udp.ts";
import { clampMss } from "./mss.ts";
import { completeChecksum } from "./partial.ts";
import { tcpSuperHeaderLen, udpSuperHeaderLen } from "./split.ts";

/** An ordinary packet gets what its sender's kernel left to a device: 0, or minus a drop code. */
export function complete(d: DataView, p: Packet): number {
  if ((p.flags & VNET_NEEDS_CSUM) !== 0) {
    const bad = completeChecksum(d, p);
    if (bad !== Drop.None) return -bad;
  }
  p.setPlain();
  return 0;
}

/**
 * Bytes in front of the payload of a super-frame, of a local sender or one that the device coalesced, whose headers fit what
 * it says of itself; or minus a drop code. It is split while it is copied to the link.
 */
export function superHeaderLen(d: DataView, p: Packet, isTcp: boolean): number {
  if (p.isFragment || p.gsoSize === 0) return -Drop.GsoMalformed;
  if (p.proto !== (isTcp ? PROTO_TCP : PROTO_UDP)) return -Drop.GsoEncapsulated;
  const avail = p.at + p.len - p.l4;
  if ((isTcp ? tcpCheck(d, p.l4, avail) : udpCheck(d, p.l4, avail)) !== Drop.None) return -Drop.GsoMalformed;
  return isTcp ? tcpSuperHeaderLen(d, p) : udpSuperHeaderLen(p);
}

/** Whether a packet is a whole SYN: it says how large the segments are that its sender takes. */
export function isSyn(d: DataView, { hasTransport }: Family, p: Packet): boolean {
  if (p.proto !== PROTO_TCP || !hasTransport(d, p)) return false;
  return tcpCheck(d, p.l4, p.at + p.len - p.l4) === Drop.None && (tcpFlags(d, p.l4) & TCP_SYN) !== 0;
}

/** Lowers the MSS of a SYN to what packets of `most` bytes have room for. */
export const clampTo = (d: DataView, { headers }: Family, p: Packet, most: number): void =>
  clampMss(d, p.l4, most - headers);

/**
 * Bytes of the largest TCP packet over IPv4.
 * @param mssClamp largest TCP payload (mssfix), 0: what follows from the MTU. It is about IPv4; the header of IPv6 is longer
 *   (OpenVPN's mss.c, mss_fixup_ipv6)
 */
export const largestTcp = (mssClamp: number, mtu: number): number =>
  mssClamp > 0 ? Math.min(mssClamp + IPV4.headers, mtu) : mtu;
