/** What a DHCP ACK or OFFER promises, checked and with defaults (RFC 2131 4.3.1, RFC 2132, RFC 3442). */
import { Cidr, maskPrefix } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { InterfaceConfig } from "../ip4/addressing.ts";
import {
  type DhcpMessage,
  type DhcpRoute,
  dhcpAddresses,
  dhcpClasslessRoutes,
  dhcpNumber,
  OPTION_DNS,
  OPTION_LEASE_TIME,
  OPTION_MTU,
  OPTION_ROUTER,
  OPTION_SERVER_ID,
  OPTION_SUBNET_MASK,
  OPTION_T1,
  OPTION_T2,
} from "../wire/dhcpv4.ts";

export interface Lease {
  /** int32 */
  readonly address: number;
  readonly prefix: number;
  /** The default route's next hop, int32. */
  readonly gateway: number | undefined;
  /** All routes but the subnet's own: option 121 where given (it then replaces option 3), else the default route. */
  readonly routes: readonly DhcpRoute[];
  readonly dns: readonly number[];
  /** Option 26; undefined where it is not given, or less than what every host must take (576, RFC 1122 3.3.3). */
  readonly mtu: number | undefined;
  readonly serverId: number;
  /** Routers and resolvers that were named and cannot be, because they are of the LAN: int32. */
  readonly leftOut: readonly number[];
  /** Absolute times in ms when renewing, rebinding and the end are due; Infinity for a lease without end. */
  readonly t1: number;
  readonly t2: number;
  readonly expires: number;
}

export type LeaseRefusal = "no-server-id" | "bad-address" | "lan-address" | "lan-gateway";

const INFINITE = 0xffffffff;
/** Our choices: a lease without a time, the shortest that is believed (a lease of 0 s would make us ask without pause). */
const DEFAULT_LEASE_S = 3600;
const MIN_LEASE_S = 4;
/** Part of the lease by which T1 and T2 may come early, so that not all who lost power at once ask at once. */
const FUZZ = 0.05;
const MIN_MTU = 576;
const MAX_DNS = 8;
const MAX_ROUTES = 64;

/**
 * @param from when the request was sent: the lease counts from there (RFC 2131 4.4.1)
 * @param fuzz 0 to 1: how much of {@link FUZZ} times that we choose ourselves come earlier
 * @param lan our address and network on the other side, of which neither our address here nor a gateway can be
 */
export function leaseFrom(message: DhcpMessage, from: number, fuzz = 0, lan?: Cidr): Lease | LeaseRefusal {
  const serverId = dhcpAddresses(message, OPTION_SERVER_ID)?.[0];
  if (serverId === undefined || !isHost(serverId)) return "no-server-id";
  const address = message.yiaddr;
  if (!isHost(address)) return "bad-address";
  const prefix = prefixOf(message, address);
  const subnet = new Cidr(IpAddress.fromIpv4(address), prefix);
  if (subnet.isNetworkOrBroadcast(subnet.address)) return "bad-address";
  const isOfLan = (a: number): boolean => lan?.contains(IpAddress.fromIpv4(a)) === true;
  if (isOfLan(address)) return "lan-address";
  /** Whether it can be another host's. */
  const isOther = (a: number): boolean =>
    isHost(a) && a !== address && !subnet.isNetworkOrBroadcast(IpAddress.fromIpv4(a));
  const named = routesOf(message, isOther);
  const usable = named.filter((r) => !isOfLan(r.gateway));
  const routes = usable.filter(
    (r, i) => usable.findIndex((o) => o.network === r.network && o.prefix === r.prefix) === i,
  );
  // Without a gateway the lease would be of no use, and one that prolongs another would take its gateway away.
  if (usable.length < named.length && defaultOf(routes) === undefined) return "lan-gateway";
  const resolvers = [...new Set(dhcpAddresses(message, OPTION_DNS) ?? [])].filter(isOther);
  const isOwn = (a: number): boolean => a === lan?.address.w3;
  return {
    address,
    prefix,
    gateway: defaultOf(routes),
    routes,
    dns: resolvers.filter((a) => !isOwn(a)).slice(0, MAX_DNS),
    mtu: mtuOf(message),
    serverId,
    leftOut: [...named.map((r) => r.gateway).filter(isOfLan), ...resolvers.filter(isOwn)],
    ...times(message, from, fuzz),
  };
}

/** What an interface with this lease is configured with. */
export function leaseConfig({ address, prefix, gateway, routes, mtu }: Lease): InterfaceConfig {
  const hop = (word: number): IpAddress | undefined => (word === 0 ? undefined : IpAddress.fromIpv4(word));
  return {
    address: new Cidr(IpAddress.fromIpv4(address), prefix),
    gateway: hop(gateway ?? 0),
    routes: routes.map((r) => ({
      network: new Cidr(IpAddress.fromIpv4(r.network), r.prefix),
      gateway: hop(r.gateway),
    })),
    mtu,
  };
}

/** Whether anything changed that the interface, the routes or the resolver must be told. */
export function leaseDiffers(a: Lease, b: Lease): boolean {
  const text = (l: Lease): string => JSON.stringify([l.address, l.prefix, l.gateway, l.routes, l.dns, l.mtu]);
  return text(a) !== text(b);
}

/** An address that a host can have: not zero, loopback, multicast, reserved or broadcast. */
const isHost = (a: number): boolean => IpAddress.fromIpv4(a).isHost;

function prefixOf(message: DhcpMessage, address: number): number {
  const mask = dhcpAddresses(message, OPTION_SUBNET_MASK)?.[0];
  const prefix = mask === undefined ? undefined : maskPrefix(mask);
  if (prefix !== undefined && prefix >= 8) return prefix;
  const first = address >>> 24; // no usable mask: that of the address's class (RFC 950)
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

const defaultOf = (routes: readonly DhcpRoute[]): number | undefined =>
  routes.find((r) => r.prefix === 0 && r.gateway !== 0)?.gateway;

/** With option 3 one for each router, of which the first counts. */
function routesOf(message: DhcpMessage, isOther: (a: number) => boolean): DhcpRoute[] {
  const classless = dhcpClasslessRoutes(message);
  if (classless) return classless.filter((r) => r.gateway === 0 || isOther(r.gateway)).slice(0, MAX_ROUTES);
  const gateways = dhcpAddresses(message, OPTION_ROUTER)?.filter(isOther) ?? [];
  return gateways.slice(0, MAX_ROUTES).map((gateway) => ({ network: 0, prefix: 0, gateway }));
}

function mtuOf(message: DhcpMessage): number | undefined {
  const mtu = dhcpNumber(message, OPTION_MTU, 2);
  return mtu !== undefined && mtu >= MIN_MTU ? mtu : undefined;
}

/** RFC 2131 4.4.5: T1 is half of the lease and T2 7/8 of it, a little earlier each, unless the server gives others that make sense. */
function times(message: DhcpMessage, from: number, fuzz: number): { t1: number; t2: number; expires: number } {
  const given = dhcpNumber(message, OPTION_LEASE_TIME, 4) ?? DEFAULT_LEASE_S;
  if (given === INFINITE) {
    return { t1: Number.POSITIVE_INFINITY, t2: Number.POSITIVE_INFINITY, expires: Number.POSITIVE_INFINITY };
  }
  const lease = Math.max(given, MIN_LEASE_S);
  const early = FUZZ * fuzz;
  let t1 = dhcpNumber(message, OPTION_T1, 4) ?? lease * (0.5 - early);
  let t2 = dhcpNumber(message, OPTION_T2, 4) ?? lease * (0.875 - early);
  if (t1 <= 0 || t1 >= t2 || t2 >= lease) {
    t1 = lease * (0.5 - early);
    t2 = lease * (0.875 - early);
  }
  return { t1: from + t1 * 1000, t2: from + t2 * 1000, expires: from + lease * 1000 };
}
