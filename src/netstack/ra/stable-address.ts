/**
 * Addresses that a host gives itself in a prefix: the same in the same network after every start, another one in another
 * network, and no one can tell the MAC from them (RFC 7217).
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";

/** A pseudorandom function of at least 8 bytes that is keyed with the host's secret, such as HMAC-SHA-256 (RFC 7217 5). */
export type AddressPrf = (input: Uint8Array) => Uint8Array;

/**
 * The address in a prefix of 64 bits.
 * @param counter how many addresses of this prefix turned out to be taken (DAD_Counter)
 */
export function stableAddress(prf: AddressPrf, prefix: IpAddress, mac: Mac, counter: number): IpAddress {
  // F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key): the interface is known by its MAC, the network has no name.
  const input = new Uint8Array(18);
  const d = new DataView(input.buffer);
  d.setInt32(0, prefix.w0);
  d.setInt32(4, prefix.w1);
  d.setUint16(8, mac.hi);
  d.setInt32(10, mac.lo);
  for (let turn = 0; ; turn++) {
    d.setUint16(14, counter);
    d.setUint16(16, turn);
    const id = prf(input).subarray(-8); // the least significant bits
    const { w0, w1 } = new IpAddress(prefix.w0, prefix.w1, 0, 0);
    const [hi, lo] = [word(id, 0), word(id, 4)];
    if (!isReserved(hi, lo)) return new IpAddress(w0, w1, hi, lo);
  }
}

const word = (b: Uint8Array, p: number): number => new DataView(b.buffer, b.byteOffset, b.length).getInt32(p);

/** Interface identifiers that are anycast addresses or somebody else's (RFC 5453 3, as IANA has them). */
function isReserved(hi: number, lo: number): boolean {
  if (hi === 0 && lo === 0) return true; // the subnet's routers (RFC 4291 2.6.1)
  if (hi === 0x02005eff && lo >>> 24 === 0xfe) return true; // IANA's own MACs (RFC 9542 2.2)
  return hi >>> 0 === 0xfdffffff && lo >>> 0 >= 0xffffff80; // the reserved anycast addresses (RFC 2526)
}
