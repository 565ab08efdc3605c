/** An address with the length of its network's prefix (RFC 4632, RFC 4291 2.3), and the masks of prefixes. */
import { IpAddress, parseIp } from "./ip.ts";

/** Mask of the first `prefix` bits (0 to 32) of a word, as int32. */
export const prefixMask = (prefix: number): number => (prefix === 0 ? 0 : -1 << (32 - prefix));

/** Prefix length of a contiguous IPv4 netmask, or undefined. */
export function maskPrefix(mask: number): number | undefined {
  const prefix = Math.clz32(~mask);
  return prefixMask(prefix) === mask ? prefix : undefined;
}

/** Mask of word `i` (0 to 3) of an address of 128 bits. */
export const wordMask = (prefix: number, i: number): number => prefixMask(Math.min(32, Math.max(0, prefix - 32 * i)));

export class Cidr {
  /** Host bits are kept. */
  readonly address: IpAddress;
  /** 0 to 32 for IPv4, to 128 for IPv6. */
  readonly prefix: number;

  constructor(address: IpAddress, prefix: number) {
    this.address = address;
    this.prefix = prefix;
  }

  get isIpv4(): boolean {
    return this.address.isIpv4;
  }

  /** The network: host bits zero. */
  get network(): Cidr {
    const { w0, w1, w2, w3 } = this.address;
    const bits = this.#mappedPrefix;
    const address = new IpAddress(
      w0 & wordMask(bits, 0),
      w1 & wordMask(bits, 1),
      w2 & wordMask(bits, 2),
      w3 & wordMask(bits, 3),
    );
    return new Cidr(address, this.prefix);
  }

  /** Whether an address is of this network; one of the other family never is. */
  contains(other: IpAddress): boolean {
    if (other.isIpv4 !== this.isIpv4) return false;
    const own = this.address;
    const bits = this.#mappedPrefix;
    return (
      ((own.w0 ^ other.w0) & wordMask(bits, 0)) === 0 &&
      ((own.w1 ^ other.w1) & wordMask(bits, 1)) === 0 &&
      ((own.w2 ^ other.w2) & wordMask(bits, 2)) === 0 &&
      ((own.w3 ^ other.w3) & wordMask(bits, 3)) === 0
    );
  }

  /** Whether the two networks have an address in common. */
  overlaps(other: Cidr): boolean {
    return this.prefix <= other.prefix ? this.contains(other.address) : other.contains(this.address);
  }

  /** Whether an address of this IPv4 network is its own name or its broadcast; a /31 and a /32 have neither (RFC 3021). */
  isNetworkOrBroadcast(address: IpAddress): boolean {
    if (!this.isIpv4 || this.prefix >= 31 || !this.contains(address)) return false;
    const host = address.w3 & ~prefixMask(this.prefix);
    return host === 0 || host === ~prefixMask(this.prefix);
  }

  equals(other: Cidr): boolean {
    return this.prefix === other.prefix && this.address.equals(other.address);
  }

  toString(): string {
    return `${this.address}/${this.prefix}`;
  }

  /** The prefix in the 128 bits that every address has. */
  get #mappedPrefix(): number {
    return this.isIpv4 ? 96 + this.prefix : this.prefix;
  }
}

/** "192.168.1.1/24", "fd00::1/64" -> address and prefix, or undefined. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseIp(text.slice(0, slash));
  const tail = text.slice(slash + 1);
  if (address === undefined || !/^\d{1,3}$/.test(tail)) return undefined;
  // What is written with colons counts in 128 bits, also where it is an IPv4-mapped address.
  const mapped = address.isIpv4 && text.includes(":");
  const prefix = mapped ? Number(tail) - 96 : Number(tail);
  return prefix < 0 || prefix > address.bits ? undefined : new Cidr(address, prefix);
}
