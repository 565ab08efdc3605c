/** Where a transport protocol reaches somebody: an address and a port. */
import type { IpAddress } from "./ip.ts";

export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

/** "192.0.2.1:1194", "[2001:db8::1]:1194" (RFC 5952 6). */
export const formatEndpoint = ({ address, port }: Endpoint): string =>
  address.isIpv4 ? `${address}:${port}` : `[${address}]:${port}`;
