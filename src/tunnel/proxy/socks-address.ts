/** Addresses as SOCKS 5 writes them (RFC 1928 5): kind, address, port. */
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress, wordsOf } from "../../lib/ip.ts";

export const ATYP_IPV4 = 1;
export const ATYP_IPV6 = 4;

/** Bytes of the address alone. */
export const addressLen = (kind: number): number => (kind === ATYP_IPV4 ? 4 : 16);

export function writeAddress({ address, port }: Endpoint): number[] {
  const words = address.isIpv4 ? [address.w3] : [...wordsOf(address)];
  const bytes = words.flatMap((word) => [word >>> 24, (word >> 16) & 255, (word >> 8) & 255, word & 255]);
  return [address.isIpv4 ? ATYP_IPV4 : ATYP_IPV6, ...bytes, port >> 8, port & 255];
}

/** The address whose kind, one of the two, stands at `at`; all of it is there. */
export function addressAt(bytes: Uint8Array, at: number): Endpoint {
  const kind = bytes[at]!;
  const word = (i: number): number =>
    (bytes[at + 1 + i]! << 24) | (bytes[at + 2 + i]! << 16) | (bytes[at + 3 + i]! << 8) | bytes[at + 4 + i]!;
  const end = at + 1 + addressLen(kind);
  const address = kind === ATYP_IPV4 ? IpAddress.fromIpv4(word(0)) : new IpAddress(word(0), word(4), word(8), word(12));
  return { address, port: (bytes[end]! << 8) | bytes[end + 1]! };
}
