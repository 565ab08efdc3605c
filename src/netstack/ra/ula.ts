/** Unique local addresses (RFC 4193): a prefix of one's own that is unlikely to be anybody else's. */
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";

/**
 * The /64 of subnet 0 of the network with a global ID (RFC 4193 3.1).
 * @param id at least 5 bytes that nobody else is likely to have, such as a hash of what tells this router from others (RFC 4193 3.2)
 */
export const ulaPrefix = (id: Uint8Array): Cidr =>
  new Cidr(IpAddress.fromBytes(Uint8Array.of(0xfd, ...id.subarray(0, 5), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), 64);

/** The first address of a network, which is the router's by custom. */
export const firstHost = ({ address: { w0, w1 } }: Cidr): IpAddress => new IpAddress(w0, w1, 0, 1);
