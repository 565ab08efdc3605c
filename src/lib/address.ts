/**
 * IPv4 and MAC addresses as values. On the data path an IPv4 address is an int32 (DataView.getInt32) and a MAC is two
 * numbers (high 16 bits, low int32); elsewhere these helpers parse and print them.
 */

/** "192.0.2.1" -> int32, or undefined when it is not exactly four decimal octets (no leading zeros but "0"). */
export function parseIpv4(text: string): number | undefined {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!m) return undefined;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = m[i] as string;
    const octet = Number(part);
    if (octet > 255 || (part.length > 1 && part[0] === "0")) return undefined;
    value = (value << 8) | octet;
  }
  return value;
}

export function formatIpv4(a: number): string {
  return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
}

/** Netmask of a prefix length 0..32, as int32. */
export const prefixMask = (prefix: number): number => (prefix === 0 ? 0 : -1 << (32 - prefix));

/** Prefix length of a contiguous netmask, or undefined. */
export function maskPrefix(mask: number): number | undefined {
  const prefix = Math.clz32(~mask);
  return prefixMask(prefix) === mask ? prefix : undefined;
}

export interface Ipv4Cidr {
  readonly address: number;
  readonly prefix: number;
}

/** "192.168.1.1/24" -> address and prefix (host bits kept), or undefined. */
export function parseIpv4Cidr(text: string): Ipv4Cidr | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseIpv4(text.slice(0, slash));
  const tail = text.slice(slash + 1);
  if (address === undefined || !/^\d{1,2}$/.test(tail) || Number(tail) > 32) return undefined;
  return { address, prefix: Number(tail) };
}

export const inSubnet = (a: number, network: number, prefix: number): boolean =>
  ((a ^ network) & prefixMask(prefix)) === 0;
export const isMulticast = (a: number): boolean => a >>> 28 === 14;
export const isLoopback = (a: number): boolean => a >>> 24 === 127;

/** A MAC address: first two octets, last four as int32. */
export interface Mac {
  readonly hi: number;
  readonly lo: number;
}

/** "52:54:00:12:34:56" (or with dashes) -> Mac, or undefined. */
export function parseMac(text: string): Mac | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined;
  const hex = text.replace(/[:-]/g, "");
  return { hi: Number.parseInt(hex.slice(0, 4), 16), lo: Number.parseInt(hex.slice(4), 16) | 0 };
}

export function formatMac(mac: Mac): string {
  const hex = (mac.hi & 0xffff).toString(16).padStart(4, "0") + (mac.lo >>> 0).toString(16).padStart(8, "0");
  return (hex.match(/../g) as string[]).join(":");
}
