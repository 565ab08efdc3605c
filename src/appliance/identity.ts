/**
 * What an appliance is known by to itself, the same after every start without anything being kept: its addresses of IPv6 follow from
 * it. Whoever knows both MACs and the name can compute them too; whoever sees an address learns none of these.
 */
import { createHmac } from "node:crypto";
import { formatMac, type Mac } from "../lib/mac.ts";
import type { AddressPrf } from "../netstack/ra/stable-address.ts";

/** @param macs of all NICs */
export function ownPrf(macs: readonly Mac[], hostname: string): AddressPrf {
  const key = ["morgana", ...macs.map(formatMac), hostname].join("\n");
  return (input) => createHmac("sha256", key).update(input).digest();
}
