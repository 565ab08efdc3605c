/** What mssfix means for the TCP payload of packets in the tunnel (man openvpn, --mssfix; OpenVPN's mss.c). */
import type { DeviceType, MssFix, TunnelSizes } from "../config/types.ts";

const IPV4_TCP_HEADERS = 40;

/** Bytes in front of a packet that tun-mtu does not count: with tap the header of its frame. */
export const FRAME_HEADER_LEN: Readonly<Record<DeviceType, number>> = { tun: 0, tap: 14 };
/** Two tags of VLANs (IEEE 802.1ad), which a frame may have besides. */
const VLAN_TAGS_LEN = 8;

/** What is taken out of a tunnel at most: a packet of tun-mtu-max, with all that can be in front of it. */
export function largestPlain(deviceType: DeviceType, { mtuMax }: Pick<TunnelSizes, "mtuMax">): number {
  return mtuMax + FRAME_HEADER_LEN[deviceType] + (deviceType === "tap" ? VLAN_TAGS_LEN : 0);
}

/**
 * Largest TCP payload, 0 where only the tunnel's MTU limits it.
 *
 * - "mtu": the encapsulated packet, IP and UDP header included, is at most `size`
 * - "payload": the same without IP and UDP header
 * - "fixed": `size` is the packet in the tunnel
 *
 * Of "mtu" and "payload" no more than what the network below takes is used: what is larger would leave in fragments.
 *
 * @param payloadMax the largest packet in the tunnel that becomes one of at most so many bytes
 * @param linkOverhead bytes of IP and UDP header
 * @param linkMtu largest packet that the network below takes
 */
export function tunnelMss(
  fix: MssFix,
  tunMtu: number,
  payloadMax: (size: number) => number,
  linkOverhead: number,
  linkMtu: number,
): number {
  if (fix.size === 0) return 0;
  const outer = fix.mode === "payload" ? fix.size + linkOverhead : fix.size;
  const packet = fix.mode === "fixed" ? fix.size : payloadMax(Math.min(outer, linkMtu) - linkOverhead);
  return Math.max(1, Math.min(packet, tunMtu) - IPV4_TCP_HEADERS);
}
