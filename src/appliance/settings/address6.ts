/** `[wan] address6`, `[wan] gateway6` and `[lan] address6` of appliance.toml. */
import { type Cidr, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIpv6 } from "../../lib/ip.ts";
import { Bad, shown } from "./values.ts";

/** auto: as the network says, or of a network of our own; off: no IPv6 on that side. */
export type Address6 = "auto" | "off" | Cidr;

/** What hosts make their addresses of (RFC 4862 5.5.3). */
const LAN_PREFIX = 64;

export function wanAddress6(text: string): Address6 {
  if (text === "auto" || text === "off") return text;
  return hostCidr6(text, "2001:db8::5/64");
}

export function lanAddress6(text: string): Address6 {
  if (text === "auto" || text === "off") return text;
  const cidr = hostCidr6(text, "fd12:3456:789a:1::1/64");
  if (cidr.prefix !== LAN_PREFIX) throw new Bad(`the prefix is /${cidr.prefix}; hosts need one of /${LAN_PREFIX}`);
  return cidr;
}

export function gateway6(text: string): IpAddress {
  const value = parseIpv6(text);
  if (value === undefined || value.isIpv4 || !value.isHost)
    throw new Bad(`"${shown(text)}" is no IPv6 address of a host`);
  return value;
}

/** What is wrong with a gateway beside the address that it is for; undefined: nothing. */
export function gateway6Problem(address: Address6, gateway: IpAddress | undefined): string | undefined {
  if (typeof address === "string") {
    if (gateway === undefined) return undefined;
    return address === "off"
      ? "is of no use with address6 off"
      : "belongs to a static address6; with auto routers name themselves";
  }
  if (gateway === undefined) return "missing: a static address6 needs it";
  if (gateway.equals(address.address)) return "is the appliance's own address";
  if (gateway.isLinkLocal || address.prefix === 128 || address.contains(gateway)) return undefined;
  return `${gateway} is neither in the subnet of wan.address6 nor link-local; where the provider really gives such a one, the address is ${address.address}/128`;
}

function hostCidr6(text: string, example: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined || cidr.isIpv4)
    throw new Bad(`"${shown(text)}" is none of "auto", "off", and an address with prefix such as ${example}`);
  const { address, prefix } = cidr;
  if (prefix < 3) throw new Bad(`the prefix /${prefix} is not between /3 and /128`);
  if (!address.isHost || address.isLinkLocal) throw new Bad(`${address} is no address of a host that others can reach`);
  // The address of all routers of the subnet (RFC 4291 2.6.1); a /127 has none (RFC 6164).
  if (prefix < 127 && cidr.network.address.equals(address))
    throw new Bad(`${address} is the network's own address; a host has another one`);
  return cidr;
}
