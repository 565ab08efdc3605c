/** What the router does differently in each family. Addresses are places in a header, or words. */
import { GSO_TCPV4, GSO_TCPV6 } from "../lib/batch.ts";
import type { Stride } from "../lib/words.ts";
import { Drop, type DropCode } from "./drop.ts";
import type { Packet } from "./packet.ts";
import {
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  TIME_EXCEEDED_TTL,
  UNREACHABLE_FRAGMENTATION_NEEDED,
  UNREACHABLE_HOST,
  UNREACHABLE_NET,
  UNREACHABLE_PROHIBITED,
} from "./wire/icmpv4.ts";
import {
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_TOO_BIG,
  ICMPV6_UNREACHABLE,
  TIME_EXCEEDED6_HOP_LIMIT,
  UNREACHABLE6_ADDRESS,
  UNREACHABLE6_NO_ROUTE,
  UNREACHABLE6_PROHIBITED,
} from "./wire/icmpv6.ts";
import {
  IPV4_DST,
  IPV4_SRC,
  ipv4DecrementTtl,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4Ttl,
  PROTO_ICMP,
} from "./wire/ipv4.ts";
import { IPV6_DST, IPV6_SRC, ipv6DecrementHopLimit, ipv6HopLimit, PROTO_ICMPV6 } from "./wire/ipv6.ts";
import { fragmentOffset } from "./wire/ipv6-ext.ts";

/** Type and code of an error. */
export type IcmpError = readonly [type: number, code: number];

export interface Family {
  readonly stride: Stride;
  /** Offsets of the addresses in a header. */
  readonly srcAt: number;
  readonly dstAt: number;
  /** Protocol number of its ICMP. */
  readonly icmp: number;
  /** Bytes of IP and TCP headers: what an MSS leaves out of an MTU. */
  readonly headers: number;
  /** gsoType of a TCP super-frame. */
  readonly tcpSuper: number;
  /** The code of a packet whose TTL or hop limit ends here. */
  readonly expired: DropCode;
  readonly errors: {
    readonly expired: IcmpError;
    readonly noRoute: IcmpError;
    /** Policy forbids it (RFC 1812 5.3.9). */
    readonly prohibited: IcmpError;
    /** The next host does not answer. */
    readonly unreachable: IcmpError;
    /** Its third word is the MTU. */
    readonly tooBig: IcmpError;
  };
  hopLimit(d: DataView, at: number): number;
  /** One hop less; it must not be 0. */
  countHop(d: DataView, at: number): void;
  /** Whether a router may make fragments of it that fit the MTU. */
  mayFragment(d: DataView, p: Packet, mtu: number): boolean;
  /** Whether the transport header is there: it is whole, or the first fragment. */
  hasTransport(d: DataView, p: Packet): boolean;
}

export const IPV4: Family = {
  stride: 1,
  srcAt: IPV4_SRC,
  dstAt: IPV4_DST,
  icmp: PROTO_ICMP,
  headers: 40,
  tcpSuper: GSO_TCPV4,
  expired: Drop.Ipv4TtlExpired,
  errors: {
    expired: [ICMP_TIME_EXCEEDED, TIME_EXCEEDED_TTL],
    noRoute: [ICMP_UNREACHABLE, UNREACHABLE_NET],
    prohibited: [ICMP_UNREACHABLE, UNREACHABLE_PROHIBITED],
    unreachable: [ICMP_UNREACHABLE, UNREACHABLE_HOST],
    tooBig: [ICMP_UNREACHABLE, UNREACHABLE_FRAGMENTATION_NEEDED],
  },
  hopLimit: ipv4Ttl,
  countHop: ipv4DecrementTtl,
  mayFragment: (d, p) => !ipv4DontFragment(d, p.at),
  hasTransport: (d, p) => ipv4FragmentOffset(d, p.at) === 0,
};

export const IPV6: Family = {
  stride: 4,
  srcAt: IPV6_SRC,
  dstAt: IPV6_DST,
  icmp: PROTO_ICMPV6,
  headers: 60,
  tcpSuper: GSO_TCPV6,
  expired: Drop.Ipv6HopLimitExpired,
  errors: {
    expired: [ICMPV6_TIME_EXCEEDED, TIME_EXCEEDED6_HOP_LIMIT],
    noRoute: [ICMPV6_UNREACHABLE, UNREACHABLE6_NO_ROUTE],
    prohibited: [ICMPV6_UNREACHABLE, UNREACHABLE6_PROHIBITED],
    unreachable: [ICMPV6_UNREACHABLE, UNREACHABLE6_ADDRESS],
    tooBig: [ICMPV6_TOO_BIG, 0],
  },
  hopLimit: ipv6HopLimit,
  countHop: ipv6DecrementHopLimit,
  // RFC 8200 5: its sender alone, and where it did, what it made passes in the same form.
  mayFragment: (_d, p, mtu) => p.isReassembled && p.fragmentLen <= mtu,
  hasTransport: (d, p) => p.fragmentAt === 0 || fragmentOffset(d, p.fragmentAt) === 0,
};
