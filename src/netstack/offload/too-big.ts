/**
 * "Packet too big" to whoever sent a packet into a tunnel whose way takes less (RFC 1191 4; RFC 4443 3.2), where no interface of ours could say it.
 * It comes from the address that the packet was for: a host drops what seems to come in from an address of its own (RFC 1812 5.3.8), and so Linux
 * does it for its own tunnels (net/ipv4/ip_tunnel_core.c, iptunnel_pmtud_build_icmp).
 */
import type { Slab } from "../../lib/slab.ts";
import { icmpErrorAllowed, icmpErrorEmit, icmpErrorLen } from "../ip4/icmp.ts";
import { icmp6ErrorAllowed, icmp6ErrorEmit, icmp6ErrorLen } from "../ip6/icmp.ts";
import type { Packet } from "../packet.ts";
import { ICMP_UNREACHABLE, UNREACHABLE_FRAGMENTATION_NEEDED } from "../wire/icmpv4.ts";
import { ICMPV6_TOO_BIG } from "../wire/icmpv6.ts";
import { ipv4DontFragment, ipv4Dst } from "../wire/ipv4.ts";
import { IPV6_DST, IPV6_MIN_MTU, ipv6IsMulticast } from "../wire/ipv6.ts";

/** Room that {@link writeTooBig} needs at most. */
export const TOO_BIG_MAX = IPV6_MIN_MTU;

/** Whether nobody on the way may fragment the checked packet (RFC 791 3.2, RFC 8200 5). */
export const mustFit = (d: DataView, p: Packet): boolean => p.isV6 || ipv4DontFragment(d, p.at);

/**
 * Writes to `to` that the way to where the checked packet goes takes no more than `mtu` bytes.
 * @returns its length; 0: nobody is told about such a packet (RFC 1122 3.2.2, RFC 4443 2.4 (e))
 */
export function writeTooBig(slab: Slab, p: Packet, mtu: number, to: number): number {
  const d = slab.view;
  if (p.isV6) {
    const dst = p.at + IPV6_DST;
    if (ipv6IsMulticast(d, dst) || !icmp6ErrorAllowed(d, p, ICMPV6_TOO_BIG, 0)) return 0;
    icmp6ErrorEmit(slab, to, dst, 64, ICMPV6_TOO_BIG, 0, mtu, p);
    return icmp6ErrorLen(p);
  }
  if (!icmpErrorAllowed(d, p)) return 0;
  icmpErrorEmit(slab, to, ipv4Dst(d, p.at), 0, ICMP_UNREACHABLE, UNREACHABLE_FRAGMENTATION_NEEDED, mtu, p);
  return icmpErrorLen(p);
}
