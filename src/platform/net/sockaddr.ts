/** Addresses of sockets as the kernel has them: struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)). */
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress } from "../../lib/ip.ts";
import { AF_INET, AF_INET6 } from "../sys/constants.ts";

/** Room for either. */
export const SOCKADDR_BYTES = 28;
/** Of IPv4. */
export const SOCKADDR_IN_BYTES = 16;
const PORT = 2;
const IPV4_ADDRESS = 4;
const IPV6_ADDRESS = 8;

export type Family = "ipv4" | "ipv6";

export const familyNumber = (family: Family): number => (family === "ipv4" ? AF_INET : AF_INET6);

/** What a socket is bound to that takes what is for any address of this host. */
export const everyAddress = (family: Family): IpAddress =>
  family === "ipv4" ? IpAddress.fromIpv4(0) : new IpAddress(0, 0, 0, 0);

/** Writes the address at `at`, over SOCKADDR_BYTES. @returns its length */
export function writeSockaddr(view: DataView, at: number, { address, port }: Endpoint): number {
  for (let i = 0; i < SOCKADDR_BYTES; i += 4) view.setUint32(at + i, 0);
  view.setUint16(at + PORT, port);
  if (address.isIpv4) {
    view.setUint16(at, AF_INET, true);
    view.setInt32(at + IPV4_ADDRESS, address.w3);
    return SOCKADDR_IN_BYTES;
  }
  view.setUint16(at, AF_INET6, true);
  const { w0, w1, w2, w3 } = address;
  view.setInt32(at + IPV6_ADDRESS, w0);
  view.setInt32(at + IPV6_ADDRESS + 4, w1);
  view.setInt32(at + IPV6_ADDRESS + 8, w2);
  view.setInt32(at + IPV6_ADDRESS + 12, w3);
  return SOCKADDR_BYTES;
}

export function sockaddr(endpoint: Endpoint): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  return bytes.subarray(0, writeSockaddr(new DataView(bytes.buffer), 0, endpoint));
}

/** The four words of an IpAddress into `words` at 4 * row. @returns the port */
export function readSockaddr(view: DataView, at: number, words: Int32Array, row: number): number {
  const w = 4 * row;
  if (view.getUint16(at, true) === AF_INET) {
    words[w] = 0;
    words[w + 1] = 0;
    words[w + 2] = 0xffff;
    words[w + 3] = view.getInt32(at + IPV4_ADDRESS);
  } else for (let i = 0; i < 4; i++) words[w + i] = view.getInt32(at + IPV6_ADDRESS + 4 * i);
  return view.getUint16(at + PORT);
}
