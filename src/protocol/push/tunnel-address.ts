/** The addresses of this end: `ifconfig` with its topology, and `ifconfig-ipv6` (man openvpn; OpenVPN's options.c, tun.c). */
import { Cidr, maskPrefix, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import type { Topology } from "../config/server-types.ts";
import { IFCONFIG_IPV6_BITS } from "../config/values.ts";

export interface TunnelAddress {
  /** With the prefix of the tunnel's subnet with topology subnet, else 32. */
  readonly address: Cidr;
  /** The far end's address with net30 and p2p. */
  readonly peer: IpAddress | undefined;
}

/** ifconfig LOCAL NETMASK-OR-PEER. @returns the address, or why it cannot be one */
export function addressOf(words: readonly string[], told: Topology | undefined): TunnelAddress | string {
  const address = parseIpv4(words[1] ?? "");
  const second = parseIpv4(words[2] ?? "");
  if (address === undefined || second === undefined) return "not two IPv4 addresses";
  if (!address.isHost) return `${address} cannot be a host's address`;
  const mask = maskPrefix(second.w3);
  // OpenVPN 2.6 assumes net30 where nothing is told, 2.7 subnet; a netmask is never a peer's address.
  const topology = told ?? (second.w3 >>> 24 === 255 && mask !== undefined ? "subnet" : "net30");
  if (topology === "subnet") {
    if (mask === undefined || mask === 0) return `${second} is not a netmask, which topology subnet needs`;
    return { address: new Cidr(address, mask), peer: undefined };
  }
  if (!second.isHost) return `${second} cannot be the peer's address, which topology ${topology} needs`;
  return { address: new Cidr(address, 32), peer: second };
}

/** ifconfig-ipv6 LOCAL[/BITS] REMOTE. @returns the address with its prefix, or why it cannot be one */
export function addressIpv6Of([, local = "", remote = ""]: readonly string[]): Cidr | string {
  const alone = parseIpv6(local);
  const own = alone === undefined ? parseCidr(local) : new Cidr(alone, IFCONFIG_IPV6_BITS.usual);
  if (own === undefined || own.isIpv4) return "not an IPv6 address with its prefix length";
  if (own.prefix < IFCONFIG_IPV6_BITS.least || own.prefix > IFCONFIG_IPV6_BITS.most)
    return `a prefix has ${IFCONFIG_IPV6_BITS.least} to ${IFCONFIG_IPV6_BITS.most} bits, not ${own.prefix}`;
  if (!own.address.isHost || own.address.isLinkLocal) return `${own.address} cannot be a host's address`;
  return parseIpv6(remote) === undefined ? "the far end has no IPv6 address" : own;
}
