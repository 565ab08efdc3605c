/**
 * Forwarding between sides (RFC 1812 5, RFC 8200): one table a family says where a destination is, one matrix what may pass from where to
 * where, and a translator stands between the LAN and the tunnel. A side that is not given to the router, the client role's WAN,
 * cannot be reached through it: there is no entry that could lead there.
 *
 * What a LAN host sends to the tunnel's own address for another one of the LAN, through a forward, goes through the translator
 * in both directions, and back.
 *
 * The way of a packet, whichever side it comes from and whatever its size: source (of every packet that an interface of a side
 * receives, also for this host), TTL, route and matrix, the form (checksums that the sender's kernel left partial are
 * completed, headers of a super-frame are checked), fragments put together for the translator, size (all refusals quote the
 * packet as it was sent), translation, TTL - 1, MSS clamp; then in place, in fragments, or a super-frame in segments.
 *
 * By side, in packets (a super-frame is one): received = what was sent to another side + sent back + held + the sum of its drops.
 */
import { GSO_ECN, GSO_NONE, GSO_UDP, GSO_UDP_L4, MAX_SEGMENTS, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { Cidr } from "../lib/cidr.ts";
import { Counters } from "../lib/counters.ts";
import { IpAddress, wordsOf } from "../lib/ip.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import { type Family, type IcmpError, IPV4, IPV6 } from "./family.ts";
import type { Forwarder } from "./forwarder.ts";
import type { EthernetInterface, Interface, TunnelInterface } from "./interface.ts";
import type { Ip4 } from "./ip4/deliver.ts";
import type { Ip6 } from "./ip6/deliver.ts";
import type { Nat } from "./nat/nat.ts";
import { clampMss } from "./offload/mss.ts";
import { completeChecksum } from "./offload/partial.ts";
import { segmentCount, tcpSuperHeaderLen, udpSuperHeaderLen } from "./offload/split.ts";
import type { Packet } from "./packet.ts";
import { RouteTable, type RouteTarget } from "./route.ts";
import { PROTO_TCP, PROTO_UDP } from "./wire/ipv4.ts";
import { tcpCheck } from "./wire/tcp.ts";
import { udpCheck } from "./wire/udp.ts";

export interface RouterOptions {
  readonly slab: Slab;
  readonly lan: EthernetInterface;
  readonly tunnel: TunnelInterface;
  /** From the LAN into the tunnel, of each family. */
  readonly nat: Nat | undefined;
  readonly nat6?: Nat | undefined;
  readonly random: Random;
}

/** A network behind the tunnel. */
export interface RouterTunnelRoute {
  readonly network: Cidr;
  readonly metric: number;
  /** Which peer has it, 0 where there is but one. */
  readonly peer?: number;
}

export interface RouterTunnel {
  /** Our own IPv4 address, with the prefix of the tunnel's subnet; 32 where there is only a peer. Undefined: the tunnel has none. */
  readonly address: Cidr | undefined;
  /** Our own IPv6 address, with the prefix of the tunnel's subnet; undefined: no IPv6 goes through the tunnel. */
  readonly address6?: Cidr | undefined;
  /** Largest IP packet into the tunnel, at least 68, and 1280 with IPv6. */
  readonly mtu: number;
  /** Largest TCP payload by configuration (mssfix), 0: what follows from the MTU. */
  readonly mssClamp: number;
  readonly routes: readonly RouterTunnelRoute[];
  /** Peers may send from those addresses only that are routed to them; else from any that is not of another side. */
  readonly ownSourcesOnly?: boolean;
  /** Peers reach each other. */
  readonly peerToPeer?: boolean;
}

const LAN = 0;
const TUNNEL = 1;
const SIDES = 2;
/** The side of routes that lead nowhere. */
const NOWHERE = -1;

const RECEIVED = 0;
const HELD = 1;
const SENT = 2;
const BACK = 3;

/** RFC 3927 2.7: link-local stays on its link. That of IPv6 never comes as far as a router. */
const LINK_LOCAL = new Cidr(IpAddress.fromIpv4(0xa9fe0000), 16);
const EVERYWHERE = new Cidr(IpAddress.fromIpv4(0), 0);
const EVERYWHERE6 = new Cidr(new IpAddress(0, 0, 0, 0), 0);
/** Bytes of IP and TCP headers: what an MSS leaves out of an MTU. */
const HEADERS = 40;
const HEADERS6 = 60;

/** A side of the router: an interface, and what became of the packets that came from it. */
export class Side implements Forwarder {
  readonly index: number;
  readonly face: Interface;
  /** Received from there; of those kept until the rest of their packet comes, and sent back to where they came from; sent there by others. */
  readonly counters: Counters;
  readonly drops: Counters<DropName> = dropCounters();
  /** Senders must be in a network that is routed back to them; else not in one of another side. */
  ownSourcesOnly = false;
  /** The code of those that are not. */
  readonly foreignSource: DropCode;
  /** The code of a packet from there whose destination nobody has. */
  readonly noRoute: DropCode;
  readonly #router: Router;

  constructor(router: Router, index: number, face: Interface, foreignSource: DropCode, noRoute: DropCode) {
    const { name } = face;
    this.#router = router;
    this.index = index;
    this.face = face;
    this.foreignSource = foreignSource;
    this.noRoute = noRoute;
    const to = `to${name[0]?.toUpperCase()}${name.slice(1)}`;
    this.counters = new Counters([`${name}Received`, `${name}Held`, to, `${name}Back`]);
    face.v4.forwarder = this;
    face.v6.forwarder = this;
  }

  checkSource(p: Packet): DropCode {
    return this.#router.sourceAllowed(this, p) ? Drop.None : this.foreignSource;
  }

  isForwarded(p: Packet): boolean {
    return this.#router.leadsBack(this, p);
  }

  forward(now: number, p: Packet): void {
    this.counters.bump(RECEIVED);
    const drop = this.#router.pass(now, this, p);
    if (drop !== Drop.None) this.drops.bump(drop);
  }
}

export class Router {
  readonly lan: Side;
  readonly tunnel: Side;

  readonly #slab: Slab;
  readonly #lan: EthernetInterface;
  readonly #tunnel: TunnelInterface;
  readonly #ipv4: Half;
  readonly #ipv6: Half;
  readonly #sides: readonly Side[];
  #open: RouterTunnel | undefined = undefined;

  /** Becomes the forwarder of both interfaces. */
  constructor({ slab, lan, tunnel, nat, nat6, random }: RouterOptions) {
    this.#ipv4 = new Half(IPV4, nat, randomBelow(random, 2 ** 32) | 0);
    this.#ipv6 = new Half(IPV6, nat6, randomBelow(random, 2 ** 32) | 0);
    this.#slab = slab;
    this.#lan = lan;
    this.#tunnel = tunnel;
    this.lan = new Side(this, LAN, lan, Drop.ForeignSource, Drop.NoRoute);
    this.lan.ownSourcesOnly = true;
    this.tunnel = new Side(this, TUNNEL, tunnel, Drop.TunnelForeignSource, Drop.TunnelNotForLan);
    this.#sides = [this.lan, this.tunnel];
    tunnel.v4.isTranslated = nat !== undefined;
    tunnel.v4.udp.owners = [nat, nat6].filter((translator) => translator !== undefined);
    tunnel.v6.isTranslated = nat6 !== undefined;
    tunnel.link.peerOf = (hop) => this.#peerOf(hop);
    lan.link.onUndeliverable = (now, packet, isV6) => this.#undeliverable(now, packet, isV6);
    lan.onAddress = () => this.#rebuild();
    this.#rebuild();
  }

  /** From now on packets go into the tunnel. A new address makes the translator forget, an unchanged one does not. */
  openTunnel(now: number, config: RouterTunnel): void {
    this.#open = config;
    const { address, address6, mtu, mssClamp } = config;
    const tunnel = this.#tunnel;
    tunnel.link.isOpen = true;
    // Every peer is a neighbour.
    if (address === undefined) tunnel.unconfigure();
    else tunnel.configure({ address, mtu, routes: [{ network: EVERYWHERE, gateway: undefined }] });
    tunnel.link.limitMtu(mtu);
    const routes = [{ network: EVERYWHERE6, gateway: undefined }];
    if (address6 === undefined) tunnel.unconfigure6();
    else tunnel.configure6(now, { addresses: [{ address: address6 }], routes, mtu });
    // mssfix is about IPv4; the header of IPv6 is longer (OpenVPN's mss.c, mss_fixup_ipv6).
    const most = mssClamp > 0 ? Math.min(mssClamp + HEADERS, mtu) : mtu;
    this.#ipv4.mss = most - HEADERS;
    this.#ipv6.mss = most - HEADERS6;
    this.tunnel.ownSourcesOnly = config.ownSourcesOnly === true;
    for (const { policy } of [this.#ipv4, this.#ipv6])
      policy[TUNNEL * SIDES + TUNNEL] = config.peerToPeer === true ? Drop.None : Drop.TunnelNotForLan;
    if (address !== undefined) this.#ipv4.nat?.setAddress(address.address);
    if (address6 !== undefined) this.#ipv6.nat?.setAddress(address6.address);
    this.#rebuild();
  }

  /** From now on LAN senders are told that there is no way. Mappings stay, for the case that the address does. */
  closeTunnel(): void {
    this.#open = undefined;
    this.#tunnel.link.isOpen = false;
    this.#tunnel.unconfigure();
    this.#tunnel.unconfigure6();
    this.#rebuild();
  }

  /** Of the translators; the interfaces have their own. */
  pollAt(): number {
    return Math.min(this.#ipv4.pollAt(), this.#ipv6.pollAt());
  }

  handleTimeout(now: number): void {
    this.#ipv4.nat?.handleTimeout(now);
    this.#ipv6.nat?.handleTimeout(now);
  }

  /** Sends on a packet that came from a side: None, or why not. */
  pass(now: number, from: Side, p: Packet): DropCode {
    const d = this.#slab.view;
    const half = p.isV6 ? this.#ipv6 : this.#ipv4;
    const { routes, family, nat } = half;
    const dst = p.at + family.dstAt;
    const isInbound = nat?.isOutside(d, dst) === true && (from.index === TUNNEL || half.isHairpin);
    if (family.hopLimit(d, p.at) <= 1) {
      this.#tell(now, from, family.errors.expired, p, isInbound && nat.isExpected(now, p));
      return family.expired;
    }
    let route = -1;
    let to = this.lan;
    if (!isInbound) {
      route = routes.lookup(d, dst);
      const refusal = this.#refusal(from, half, route);
      if (refusal !== Drop.None) {
        if (refusal === Drop.NoRoute || refusal === Drop.TunnelClosed)
          this.#tell(now, from, family.errors.noRoute, p, false);
        return refusal;
      }
      to = this.#sides[routes.side[route]!]!;
    }
    const isOutbound = nat !== undefined && from.index === LAN && (isInbound || to.index === TUNNEL);
    const gsoType = p.gsoType & ~GSO_ECN;
    const isTcpSuper = gsoType === family.tcpSuper;
    const isSuper = isTcpSuper || gsoType === GSO_UDP_L4;
    if (!isSuper && gsoType !== GSO_NONE && gsoType !== GSO_UDP) return Drop.GsoMalformed;
    const headerLen = isSuper ? this.#superHeaderLen(p, isTcpSuper) : this.#complete(p);
    if (headerLen < 0) return -headerLen as DropCode;
    if (isOutbound && p.isFragment) {
      const drop = ipOf(from.face, p).reassemble(now, p);
      if (drop !== Drop.None) return drop;
      if (p.isFragment) {
        from.counters.bump(HELD);
        return Drop.None;
      }
    }
    const { output } = ipOf(to.face, p);
    const whole = output.mtuFor(p);
    let size = isSuper ? Math.max(1, Math.min(p.gsoSize, p.len - headerLen)) : p.len;
    if (headerLen + size > whole) {
      const { mtu } = output;
      if (!family.mayFragment(d, p, mtu)) return this.#tooBig(now, from, family, mtu, p);
      if (isTcpSuper) size = mtu - headerLen; // smaller segments do what fragments would
      if (size <= 0) return Drop.GsoMalformed;
    }
    if (isSuper && segmentCount(p.len, headerLen, size) > MAX_SEGMENTS) return Drop.GsoTooManySegments;
    if (isOutbound) {
      const refused = nat.outbound(now, p);
      if (refused !== Drop.None) return refused;
    }
    if (isInbound) {
      const refused = nat.inbound(now, p);
      if (refused !== Drop.None) return refused;
      route = routes.lookup(d, p.at + family.dstAt);
      if (route < 0 || routes.side[route] !== LAN || routes.refusal[route] !== Drop.None) return Drop.TunnelNotForLan;
    }
    family.countHop(d, p.at);
    this.#clamp(p, half);
    // What lies in a scratch is gone before the frame is sent; fragments are copied anyway.
    if (p.isReassembled && p.len <= whole) this.#copyTo(p, output.link.frame(p.len));
    let neighbour = routes.neighbour[route]!;
    if (neighbour < 0) neighbour = output.onLink(now, p.at + family.dstAt);
    let drop: DropCode;
    if (neighbour < 0) drop = -neighbour as DropCode;
    else if (isSuper) drop = output.sendSegments(p, headerLen, size, neighbour);
    else drop = output.send(p, neighbour);
    if (drop === Drop.NeighborUnreachable) {
      // Its sender knows it by the addresses that it came with.
      if (isInbound) nat.undoInbound(p);
      if (isOutbound) nat.undoOutbound(p);
      this.#tell(now, from, family.errors.unreachable, p, isInbound);
    } else if (drop === Drop.None) {
      to.counters.bump(to === from ? BACK : SENT);
    }
    return drop;
  }

  /** An ordinary packet gets what its sender's kernel left to a device: 0, or minus a drop code. */
  #complete(p: Packet): number {
    if ((p.flags & VNET_NEEDS_CSUM) !== 0) {
      const bad = completeChecksum(this.#slab.view, p);
      if (bad !== Drop.None) return -bad;
    }
    p.setPlain();
    return 0;
  }

  /**
   * Bytes in front of the payload of a super-frame, of a local sender or one that the device coalesced, whose headers fit what
   * it says of itself; or minus a drop code. It is split while it is copied to the link.
   */
  #superHeaderLen(p: Packet, isTcp: boolean): number {
    const d = this.#slab.view;
    if (p.isFragment || p.gsoSize === 0) return -Drop.GsoMalformed;
    if (p.proto !== (isTcp ? PROTO_TCP : PROTO_UDP)) return -Drop.GsoEncapsulated;
    const avail = p.at + p.len - p.l4;
    if ((isTcp ? tcpCheck(d, p.l4, avail) : udpCheck(d, p.l4, avail)) !== Drop.None) return -Drop.GsoMalformed;
    return isTcp ? tcpSuperHeaderLen(d, p) : udpSuperHeaderLen(p);
  }

  /** Whether the source of a packet is where its side's answers to it would go. */
  sourceAllowed(from: Side, p: Packet): boolean {
    const { routes, family } = p.isV6 ? this.#ipv6 : this.#ipv4;
    const back = routes.lookup(this.#slab.view, p.at + family.srcAt);
    if (back < 0) return !from.ownSourcesOnly;
    const side = routes.side[back]!;
    if (!from.ownSourcesOnly) return side === from.index || side === NOWHERE;
    const neighbour = routes.neighbour[back]!;
    return side === from.index && (neighbour < 0 || neighbour === p.neighbour);
  }

  /** Whether a packet to an address of this host on another side leads to a host of the side that it came from. */
  leadsBack(from: Side, p: Packet): boolean {
    const { isHairpin, nat, family } = p.isV6 ? this.#ipv6 : this.#ipv4;
    if (!isHairpin || nat === undefined || from.index !== LAN) return false;
    return nat.isOutside(this.#slab.view, p.at + family.dstAt) && nat.isForLan(p);
  }

  /** Why a packet from that side may not take the route (-1: there is none), or None. */
  #refusal(from: Side, { routes, policy }: Half, route: number): DropCode {
    if (route < 0) return from.noRoute;
    const refusal = routes.refusal[route]!;
    if (refusal !== Drop.None) return refusal as DropCode;
    return policy[from.index * SIDES + routes.side[route]!]! as DropCode;
  }

  /**
   * Tells the sender. Outside of the translator only what belongs to a mapping is answered: nobody there is to learn more of us.
   * @param isMapped whether it does
   */
  #tell(now: number, from: Side, [type, code]: IcmpError, p: Packet, isMapped: boolean): void {
    const source = ipOf(from.face, p);
    if (isMapped || !source.isTranslated) source.sendError(now, type, code, 0, p);
  }

  /** A packet has waited for a LAN host that does not answer: its sender is told (RFC 1812 4.3.3.1, RFC 4861 7.2.2), unless that was this host. */
  #undeliverable(now: number, packet: Uint8Array, isV6: boolean): void {
    const { nat, routes, family } = isV6 ? this.#ipv6 : this.#ipv4;
    (isV6 ? this.#lan.v6 : this.#lan.v4).withKept(packet, (p) => {
      const d = this.#slab.view;
      const isMapped = family.hasTransport(d, p) && nat?.undoKept(now, p) === true;
      const back = routes.lookup(d, p.at + family.srcAt);
      const from = back < 0 || routes.refusal[back] !== Drop.None ? undefined : this.#sides[routes.side[back]!];
      if (from === undefined) return;
      p.neighbour = ipOf(from.face, p).output.onLink(now, p.at + family.srcAt);
      this.#tell(now, from, family.errors.unreachable, p, isMapped);
    });
  }

  #tooBig(now: number, from: Side, { errors }: Family, mtu: number, p: Packet): DropCode {
    const [type, code] = errors.tooBig;
    ipOf(from.face, p).sendError(now, type, code, mtu, p);
    return Drop.TooBig;
  }

  #clamp(p: Packet, { family, mss }: Half): void {
    const d = this.#slab.view;
    if (p.proto !== PROTO_TCP || !family.hasTransport(d, p)) return;
    if (tcpCheck(d, p.l4, p.at + p.len - p.l4) === Drop.None) clampMss(d, p.l4, mss);
  }

  #copyTo(p: Packet, to: number): void {
    this.#slab.bytes.copyWithin(to, p.at, p.at + p.len);
    p.l4 += to - p.at;
    p.at = to;
  }

  #peerOf(hop: Int32Array): number {
    const { routes } = hop.length === 1 ? this.#ipv4 : this.#ipv6;
    const route = routes.find(hop, 0);
    return route >= 0 && routes.side[route] === TUNNEL ? routes.neighbour[route]! : -1;
  }

  /** Makes the tables anew: an address or the tunnel has changed. */
  #rebuild(): void {
    const lan = this.#lan.address;
    const { prefix, broadcast } = this.#lan.v4.addressing;
    const lans = lan === undefined ? [] : [lan];
    // Neither the gateway itself nor everybody at once can be sent to from elsewhere.
    const notForwarded = lan === undefined ? [] : [lan.address];
    if (lan !== undefined && prefix < 31) notForwarded.push(lan.network.address, IpAddress.fromIpv4(broadcast));
    this.#ipv4.routes.clear();
    this.#ipv4.routes.add(LINK_LOCAL, -1, target(NOWHERE, -1, Drop.Ipv4MartianDestination));
    this.#fill(this.#ipv4, lans, notForwarded, this.#open?.address, EVERYWHERE);

    const { addresses } = this.#lan.v6.addressing;
    const own6 = addresses.filter(({ value }) => !value.isLinkLocal);
    const lans6 = own6.map(({ value, prefix: bits }) => new Cidr(value, bits));
    // The network's own address is any router on it (RFC 4291 2.6.1).
    const notForwarded6 = own6.map(({ value }) => value).concat(lans6.map(({ network }) => network.address));
    this.#ipv6.routes.clear();
    this.#fill(this.#ipv6, lans6, notForwarded6, this.#open?.address6, EVERYWHERE6);

    // This host answers on each side for its address on the other; behind the translator the LAN's is not known, and the LAN wins.
    const own = this.#open?.address?.address;
    const isOfLan = own !== undefined && lan?.contains(own) === true;
    this.#ipv4.isHairpin = own !== undefined && !isOfLan;
    this.#lan.v4.addressing.others = own === undefined || isOfLan ? [] : [own.w3];
    this.#tunnel.v4.addressing.others = lan === undefined || this.#ipv4.nat !== undefined ? [] : [lan.address.w3];
    const inTunnel = this.#open?.address6?.address;
    const isOfLan6 = inTunnel !== undefined && lans6.some((network) => network.contains(inTunnel));
    this.#ipv6.isHairpin = inTunnel !== undefined && !isOfLan6;
    this.#lan.v6.addressing.others = inTunnel === undefined || isOfLan6 ? [] : [wordsOf(inTunnel)];
    this.#tunnel.v6.addressing.others = this.#ipv6.nat !== undefined ? [] : own6.map(({ words }) => words);
  }

  /** @param own the tunnel's address of the family; undefined: nothing of it goes through the tunnel */
  #fill(
    { routes }: Half,
    lans: readonly Cidr[],
    notForwarded: readonly IpAddress[],
    own: Cidr | undefined,
    everywhere: Cidr,
  ): void {
    // Of a network that both sides claim to have the LAN's is first.
    for (const { network } of lans) routes.add(network, -1, target(LAN, -1));
    for (const host of notForwarded) routes.add(new Cidr(host, host.bits), -1, target(LAN, -1, Drop.TunnelNotForLan));
    const open = this.#open;
    if (open === undefined) routes.add(everywhere, 0, target(NOWHERE, -1, Drop.TunnelClosed));
    else if (own !== undefined) {
      for (const { network, metric, peer = 0 } of open.routes) {
        if (network.isIpv4 !== everywhere.isIpv4) continue;
        const isOfLan = lans.some((lan) => lan.prefix <= network.prefix && lan.overlaps(network));
        if (!isOfLan) routes.add(network, metric, target(TUNNEL, peer));
      }
    }
  }
}

/** What the router has for one family. */
class Half {
  readonly family: Family;
  readonly routes: RouteTable;
  readonly nat: Nat | undefined;
  /** What may pass: [from * SIDES + to] is 0 or the code it is refused with. */
  readonly policy = new Uint8Array(SIDES * SIDES);
  /** The LAN knows this host by its address in the tunnel too: there the outside address of the translator. */
  isHairpin = false;
  /** What a SYN that crosses the tunnel may announce at most. */
  mss = 1220;

  constructor(family: Family, nat: Nat | undefined, seed: number) {
    this.family = family;
    this.routes = new RouteTable(family.stride, seed);
    this.nat = nat;
    this.policy[LAN * SIDES + LAN] = Drop.LanToLan;
    // Behind the translator the LAN has no addresses that the tunnel could know; what belongs to a mapping is not asked here.
    this.policy[TUNNEL * SIDES + LAN] = nat === undefined ? Drop.None : Drop.TunnelNotForLan;
    this.policy[TUNNEL * SIDES + TUNNEL] = Drop.TunnelNotForLan;
  }

  pollAt(): number {
    return this.nat?.pollAt() ?? Number.POSITIVE_INFINITY;
  }
}

/** What an interface has for the packet's family. */
const ipOf = ({ v4, v6 }: Interface, p: Packet): Ip4 | Ip6 => (p.isV6 ? v6 : v4);

const target = (side: number, neighbour: number, refusal: DropCode = Drop.None): RouteTarget => ({
  side,
  neighbour,
  refusal,
});
