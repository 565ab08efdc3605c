/** What a DHCPv6 server promises, checked and with defaults (RFC 8415 18.2.10.1, 21.4, 21.6; RFC 3646). */
import type { IpAddress } from "../../lib/ip.ts";
import {
  type Dhcp6Address,
  type Dhcp6Options,
  dhcp6Addresses,
  dhcp6Domains,
  dhcp6IaNa,
  type IaNa,
  OPTION6_DNS,
  STATUS6_SUCCESS,
} from "../wire/dhcpv6.ts";

/** What is given with an address and without. */
export interface Dhcp6Info {
  readonly dns: readonly IpAddress[];
  readonly domains: readonly string[];
}

export interface Lease6 extends Dhcp6Info {
  readonly address: IpAddress;
  readonly serverId: Uint8Array;
  /** Absolute times in ms, Infinity: never. Renewing and rebinding are due; the address is for what uses it already; it ends. */
  readonly t1: number;
  readonly t2: number;
  readonly preferredUntil: number;
  readonly expires: number;
}

export type LeaseRefusal6 = "no-address" | "bad-times";

/** Our choice: the shortest lease that is believed (one of 0 s would make us ask without pause). */
const MIN_LEASE_S = 4;
const MAX_DNS = 8;
const MAX_DOMAINS = 8;

/** The identity association that is ours; undefined when it is not there. */
export const ownIa = (options: Dhcp6Options, iaid: number): IaNa | undefined =>
  dhcp6IaNa(options).find((ia) => ia.iaid === iaid);

/**
 * @param from when the message was sent that asked for it: the times count from there, which errs to the safe side
 * @param wish the address that we have: of several it is the one that is kept
 */
export function leaseFrom6(
  ia: IaNa,
  options: Dhcp6Options,
  serverId: Uint8Array,
  from: number,
  wish: IpAddress | undefined,
): Lease6 | LeaseRefusal6 {
  if (ia.t1 > 0 && ia.t2 > 0 && ia.t1 > ia.t2) return "bad-times"; // RFC 8415 21.4
  const good = ia.addresses.filter(isGood);
  const given = good.find(({ address }) => wish?.equals(address)) ?? good[0];
  if (given === undefined) return "no-address";
  const valid = Math.max(given.valid, MIN_LEASE_S);
  const preferred = Math.min(given.preferred, valid);
  // RFC 8415 21.4: T1 and T2 of 0 are ours to choose; it recommends 0.5 and 0.8 of the preferred lifetime.
  const basis = preferred >= MIN_LEASE_S ? preferred : valid;
  let { t1, t2 } = ia;
  if (t2 === 0 || (t2 >= valid && valid !== Number.POSITIVE_INFINITY)) t2 = basis * 0.8;
  if (t1 === 0 || t1 > t2) t1 = t2 * 0.625;
  t1 = Math.max(t1, MIN_LEASE_S / 2);
  return {
    address: given.address,
    serverId,
    t1: from + t1 * 1000,
    t2: from + Math.max(t2, t1) * 1000,
    preferredUntil: from + preferred * 1000,
    expires: from + valid * 1000,
    ...infoFrom(options),
  };
}

export function infoFrom(options: Dhcp6Options): Dhcp6Info {
  const dns: IpAddress[] = [];
  for (const server of dhcp6Addresses(options, OPTION6_DNS) ?? [])
    if (!server.isIpv4 && server.isHost && !dns.some((other) => other.equals(server))) dns.push(server);
  return { dns: dns.slice(0, MAX_DNS), domains: (dhcp6Domains(options) ?? []).slice(0, MAX_DOMAINS) };
}

/** Whether anything changed that the interface or the resolver must be told. */
export function leaseDiffers6(a: Lease6, b: Lease6): boolean {
  const text = (l: Lease6): string => [l.address, ...l.dns, "", ...l.domains].join();
  return text(a) !== text(b);
}

/** An address that can be given: not for one link alone, with times that make sense (RFC 8415 21.6). */
const isGood = ({ address, preferred, valid, status }: Dhcp6Address): boolean =>
  status === STATUS6_SUCCESS &&
  valid > 0 &&
  preferred <= valid &&
  !address.isIpv4 &&
  address.isHost &&
  !address.isLinkLocal;
