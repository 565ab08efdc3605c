/** What is said of hosts that use an address which is another's (RFC 5227). */
import type { IpAddress } from "../lib/ip.ts";
import { formatMac, type Mac } from "../lib/mac.ts";

export const lanConflict = (address: IpAddress, mac: Mac): string =>
  `another host (${formatMac(mac)}) uses our LAN address ${address}; give one of the two another one ([lan] address in appliance.toml)`;

/** What is done about it follows, after a semicolon. */
export const wanConflict = (address: IpAddress | undefined, mac: Mac): string =>
  `another host (${formatMac(mac)}) uses our WAN address ${address}`;

/** Two hosts answer for one address: one of them may be reading what is meant for the other. */
export const neighborConflict = (address: IpAddress, kept: Mac, other: Mac): string =>
  `two hosts (${formatMac(kept)}, ${formatMac(other)}) answer for ${address}; packets go on to the first; find out whose the other is`;
