/** Syntax of addresses and names in profiles. */
import { parseCidr } from "../../lib/cidr.ts";
import { parseIpv6 } from "../../lib/ip.ts";

/** Prefix lengths of ifconfig-ipv6 that OpenVPN takes (options.c), and the one that it assumes. */
export const IFCONFIG_IPV6_BITS = { least: 64, most: 124, usual: 64 } as const;

export const isIpv6 = (text: string): boolean => parseIpv6(text) !== undefined;

export const isIpv6Cidr = (text: string): boolean => text.includes(":") && parseCidr(text) !== undefined;

/** RFC 1123 2.1, underscores allowed since they occur. A name of digits and dots alone would be a mistyped address. */
export const isHostName = (text: string): boolean =>
  text.length <= 253 &&
  /^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i.test(text) &&
  !/^[\d.]+$/.test(text);
