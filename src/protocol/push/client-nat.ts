/** client-nat: networks that this side and the far end know by different addresses (man openvpn). */
import { parseIpv4 } from "../../lib/ip.ts";

/** Addresses and masks as int32 words. */
export interface ClientNatRule {
  readonly kind: "snat" | "dnat";
  /** As this side knows it. */
  readonly network: number;
  readonly mask: number;
  /** As the far end knows it. */
  readonly alias: number;
}

/** OpenVPN's bound (clinat.h). */
export const MAX_CLIENT_NAT = 64;

/** `client-nat snat|dnat NETWORK NETMASK ALIAS`. @returns what is wrong with it, as a sentence */
export function clientNatRule([, kind, ...addresses]: readonly string[]): ClientNatRule | string {
  if (kind !== "snat" && kind !== "dnat") return "neither snat nor dnat";
  const [network, mask, alias] = addresses.map((text) => parseIpv4(text)?.w3);
  if (network === undefined || mask === undefined || alias === undefined)
    return "a network, a netmask and a network are wanted";
  if (((network | alias) & ~mask) !== 0) return "a network has bits beyond the netmask, and no address is of it";
  return { kind, network, mask, alias };
}
