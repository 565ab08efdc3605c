/**
 * Links, addresses and routes of the kernel by rtnetlink(7): what there is, and changes of it.
 *
 * struct ifinfomsg { u8 family, pad; u16 type; s32 index; u32 flags, change }
 * struct ifaddrmsg { u8 family, prefix, flags, scope; u32 index }
 * struct rtmsg { u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags }
 */
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import {
  attribute,
  attributes,
  Netlink,
  type NetlinkMessage,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  textOf,
} from "../dev/netlink.ts";
import { AF_INET, AF_INET6, IFF_UP } from "../sys/constants.ts";
import { ENODEV, SysError } from "../sys/errno.ts";

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const IFINFOMSG = 16;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;

const IFADDRMSG = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
/** linux/if_addr.h: it is taken at once, nobody is asked whether they have it; it is one of those that change (RFC 8981). */
const IFA_F_NODAD = 2;
const IFA_F_TEMPORARY = 1;

const RTMSG = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTM_F_CLONED = 0x200;
/** rtm_flags: its device is down, or has no carrier (RTNH_F_DEAD, RTNH_F_LINKDOWN). */
const RTNH_F_NO_WAY = 1 | 16;
/** rtm_flags: the gateway is a neighbour although no address of the device says so (RTNH_F_ONLINK). */
const RTNH_F_ONLINK = 4;
const RTNEXTHOP = 8;

export const MAIN_TABLE = 254;
/** How our routes are told from those of others (rtm_protocol; names of programs begin at 186, iproute2's rt_protos). */
export const OUR_PROTOCOL = 109;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;

/** Kinds of routes (rtm_type) that matter here. */
const TYPES = { unicast: 1, blackhole: 6, unreachable: 7 } as const;
export type RouteType = keyof typeof TYPES;

export interface KernelRoute {
  readonly network: Cidr;
  readonly type: RouteType;
  /** Index of the device; 0 where the type has none. */
  readonly device: number;
  readonly gateway: IpAddress | undefined;
  /** The gateway is a neighbour on the device, whatever the addresses of that are (ip-route(8), onlink). */
  readonly isOnLink?: boolean | undefined;
  readonly metric: number;
  readonly table: number;
  readonly protocol: number;
}

export interface KernelLink {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
}

export interface KernelAddress {
  readonly index: number;
  readonly address: Cidr;
  /** The far end of a point-to-point address. */
  readonly peer: IpAddress | undefined;
  /** One of those that hosts change every few hours (RFC 8981). */
  readonly isTemporary: boolean;
}

/** @returns undefined where there is no such device @throws SysError */
export function linkOf(index: number): KernelLink | undefined {
  const body = new Uint8Array(IFINFOMSG);
  new DataView(body.buffer).setInt32(4, index, true);
  try {
    const [answer] = Netlink.with((netlink) => netlink.request(RTM_GETLINK, 0, body, `interface ${index}`));
    if (answer === undefined) return undefined;
    const found = attributes(answer.body, IFINFOMSG);
    const name = found.get(IFLA_IFNAME);
    return {
      index,
      name: name === undefined ? "" : textOf(name),
      mtu: found.get(IFLA_MTU)?.getUint32(0, true) ?? 0,
      up: (answer.body.getUint32(8, true) & IFF_UP) !== 0,
    };
  } catch (error) {
    if (error instanceof SysError && error.errno === ENODEV) return undefined;
    throw error;
  }
}

/** Sets the MTU, and brings a device up or down. @throws SysError */
export function setLink(index: number, { mtu, up }: { readonly mtu: number; readonly up: boolean }): void {
  const head = new Uint8Array(IFINFOMSG);
  const view = new DataView(head.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, up ? IFF_UP : 0, true);
  view.setUint32(12, IFF_UP, true);
  request(RTM_NEWLINK, 0, `interface ${index}`, head, attribute(IFLA_MTU, word(mtu)));
}

/** Addresses of a device, or of all; of both families. @throws SysError */
export function addressesOf(index?: number): KernelAddress[] {
  const found: KernelAddress[] = [];
  for (const { body } of dump(RTM_GETADDR, new Uint8Array(IFADDRMSG))) {
    const own = body.getUint32(4, true);
    if (index !== undefined && own !== index) continue;
    const values = attributes(body, IFADDRMSG);
    // Of IPv4 IFA_LOCAL is ours, and IFA_ADDRESS the far end's where there is one; of IPv6 mostly the latter alone is there.
    const address = ipOf(values.get(IFA_ADDRESS));
    const local = ipOf(values.get(IFA_LOCAL)) ?? address;
    if (local === undefined) continue;
    const flags = values.get(IFA_FLAGS)?.getUint32(0, true) ?? body.getUint8(2);
    found.push({
      index: own,
      address: new Cidr(local, body.getUint8(1)),
      peer: address === undefined || address.equals(local) ? undefined : address,
      isTemporary: (flags & IFA_F_TEMPORARY) !== 0,
    });
  }
  return found;
}

/** @throws SysError, EEXIST where the device has it */
export function addAddress(index: number, address: Cidr, peer: IpAddress | undefined): void {
  changeAddress(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address, peer);
}

/** @throws SysError, EADDRNOTAVAIL where the device does not have it */
export function deleteAddress(index: number, address: Cidr, peer: IpAddress | undefined): void {
  changeAddress(RTM_DELADDR, 0, index, address, peer);
}

function changeAddress(type: number, flags: number, index: number, address: Cidr, peer: IpAddress | undefined): void {
  const head = new Uint8Array(IFADDRMSG);
  const view = new DataView(head.buffer);
  view.setUint8(0, familyOf(address.address));
  view.setUint8(1, address.prefix);
  view.setUint32(4, index, true);
  const values = [
    attribute(IFA_LOCAL, ipBytes(address.address)),
    attribute(IFA_ADDRESS, ipBytes(peer ?? address.address)),
  ];
  if (!address.isIpv4) values.push(attribute(IFA_FLAGS, word(IFA_F_NODAD)));
  request(type, flags, `${address}`, head, ...values);
}

/** Adds a route, in front of one to the same network with the same metric. @throws SysError, EEXIST where there is this very one */
export function addRoute(route: KernelRoute): void {
  // Of IPv6 the flag makes it another route beside those of other devices, where none would mean an error.
  changeRoute(RTM_NEWROUTE, route.network.isIpv4 ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_APPEND, route);
}

/** @throws SysError, ESRCH where there is no such route */
export function deleteRoute(route: KernelRoute): void {
  changeRoute(RTM_DELROUTE, 0, route);
}

function changeRoute(type: number, flags: number, route: KernelRoute): void {
  const { network, device, gateway, metric, table, protocol } = route;
  const head = new Uint8Array(RTMSG);
  const view = new DataView(head.buffer);
  view.setUint8(0, familyOf(network.address));
  view.setUint8(1, network.prefix);
  view.setUint8(4, table < 256 ? table : 0);
  view.setUint8(5, protocol);
  const isDirect = network.isIpv4 && route.type === "unicast" && gateway === undefined;
  view.setUint8(6, isDirect ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
  view.setUint8(7, TYPES[route.type]);
  const values = [attribute(RTA_DST, ipBytes(network.network.address)), attribute(RTA_TABLE, word(table))];
  if (route.isOnLink) view.setUint32(8, RTNH_F_ONLINK, true);
  if (device !== 0) values.push(attribute(RTA_OIF, word(device)));
  if (gateway !== undefined) values.push(attribute(RTA_GATEWAY, ipBytes(gateway)));
  if (metric !== 0) values.push(attribute(RTA_PRIORITY, word(metric)));
  request(type, flags, `route ${network}`, head, ...values);
}

/** The routes of one table and family that lead somewhere now. @throws SysError */
export function routesOf(family: "ipv4" | "ipv6", table = MAIN_TABLE): KernelRoute[] {
  const head = new Uint8Array(RTMSG);
  head[0] = family === "ipv4" ? AF_INET : AF_INET6;
  const found: KernelRoute[] = [];
  for (const { body } of dump(RTM_GETROUTE, head)) {
    const route = readRoute(body);
    if (route?.table === table && (body.getUint32(8, true) & (RTM_F_CLONED | RTNH_F_NO_WAY)) === 0) found.push(route);
  }
  return found;
}

/** How the kernel would send to an address through a device. */
export interface KernelPath {
  readonly gateway: IpAddress | undefined;
  /** The address that it would send from. */
  readonly source: IpAddress | undefined;
}

/** @returns undefined where there is no way @throws SysError */
export function pathTo(address: IpAddress, device: number): KernelPath | undefined {
  const head = new Uint8Array(RTMSG);
  head[0] = familyOf(address);
  head[1] = address.bits;
  const body = joined(head, attribute(RTA_DST, ipBytes(address)), attribute(RTA_OIF, word(device)));
  try {
    const [answer] = Netlink.with((netlink) => netlink.request(RTM_GETROUTE, 0, body, `route to ${address}`));
    if (answer === undefined) return undefined;
    const values = attributes(answer.body, RTMSG);
    return { gateway: ipOf(values.get(RTA_GATEWAY)), source: ipOf(values.get(RTA_PREFSRC)) };
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

function readRoute(body: DataView): KernelRoute | undefined {
  const values = attributes(body, RTMSG);
  const bits = body.getUint8(0) === AF_INET ? 32 : 128;
  const number = body.getUint8(7);
  const type = (Object.keys(TYPES) as RouteType[]).find((name) => TYPES[name] === number);
  if (type === undefined) return undefined;
  const nowhere = bits === 32 ? IpAddress.fromIpv4(0) : new IpAddress(0, 0, 0, 0);
  const hop = firstHop(values.get(RTA_MULTIPATH));
  return {
    network: new Cidr(ipOf(values.get(RTA_DST)) ?? nowhere, body.getUint8(1)),
    type,
    device: values.get(RTA_OIF)?.getUint32(0, true) ?? hop?.device ?? 0,
    gateway: ipOf(values.get(RTA_GATEWAY)) ?? hop?.gateway,
    isOnLink: ((hop?.flags ?? body.getUint32(8, true)) & RTNH_F_ONLINK) !== 0,
    metric: values.get(RTA_PRIORITY)?.getUint32(0, true) ?? 0,
    table: values.get(RTA_TABLE)?.getUint32(0, true) ?? body.getUint8(4),
    protocol: body.getUint8(5),
  };
}

interface Hop {
  readonly device: number;
  readonly flags: number;
  readonly gateway: IpAddress | undefined;
}

/** Of a route with several: struct rtnexthop { u16 length; u8 flags, hops; s32 index }, and attributes. */
function firstHop(hops: DataView | undefined): Hop | undefined {
  if (hops === undefined || hops.byteLength < RTNEXTHOP) return undefined;
  const length = Math.min(hops.getUint16(0, true), hops.byteLength);
  const values = attributes(new DataView(hops.buffer, hops.byteOffset, length), RTNEXTHOP);
  return { device: hops.getInt32(4, true), flags: hops.getUint8(2), gateway: ipOf(values.get(RTA_GATEWAY)) };
}

function request(type: number, flags: number, detail: string, ...parts: readonly Uint8Array[]): void {
  Netlink.with((netlink) => netlink.request(type, flags, joined(...parts), detail));
}

const dump = (type: number, head: Uint8Array): NetlinkMessage[] =>
  Netlink.with((netlink) => netlink.request(type, NLM_F_DUMP, head, "a list"));

const familyOf = (address: IpAddress): number => (address.isIpv4 ? AF_INET : AF_INET6);

const ipOf = (value: DataView | undefined): IpAddress | undefined =>
  value === undefined || (value.byteLength !== 4 && value.byteLength !== 16)
    ? undefined
    : IpAddress.fromBytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));

/** 4 or 16 bytes in network order. */
export function ipBytes({ isIpv4, w0, w1, w2, w3 }: IpAddress): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  [w0, w1, w2, w3].forEach((w, i) => {
    view.setInt32(4 * i, w);
  });
  return isIpv4 ? bytes.subarray(12) : bytes;
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
