/** What mssfix means for the TCP payload of packets in the tunnel (man openvpn, --mssfix; OpenVPN's mss.c). */
import type { MssFix } from "../config/types.ts";

const IPV4_TCP_HEADERS = 40;

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
