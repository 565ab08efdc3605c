/**
 * Forwarding between sides (RFC 1812 5): one table says where a destination is, one matrix what may pass from where to
 * where, and a translator stands between the LAN and the tunnel. A side that is not given to the router, the client role's WAN,
 * cannot be reached through it: there is no entry that could lead there.
 *
 * The way of a packet, whichever side it comes from and whatever its size: source (of every packet that an interface of a side
 * receives, also for this host), TTL, route and matrix, the form (checksums that the sender's kernel left partial are
 * completed, headers of a super-frame are checked), fragments put together for the translator, size (all refusals quote the
 * packet as it was sent), translation, TTL - 1, MSS clamp; then in place, in fragments, or a super-frame in segments.
 *
 * By side, in packets (a super-frame is one): received = what was sent to another side + held + the sum of its drops.
 */
import { GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_UDP_L4, MAX_SEGMENTS, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { Cidr } from "../lib/cidr.ts";
import { Counters } from "../lib/counters.ts";
import { IpAddress } from "../lib/ip.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import type { Forwarder } from "./forwarder.ts";
import type { EthernetInterface, Interface, TunnelInterface } from "./interface.ts";
import type { Nat } from "./nat/nat.ts";
import { clampMss } from "./offload/mss.ts";
import { completeChecksum } from "./offload/partial.ts";
import { segmentCount, tcpSuperHeaderLen, udpSuperHeaderLen } from "./offload/split.ts";
import type { Packet } from "./packet.ts";
import { RouteTable, type RouteTarget } from "./route.ts";
import {
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  TIME_EXCEEDED_TTL,
  UNREACHABLE_FRAGMENTATION_NEEDED,
  UNREACHABLE_HOST,
  UNREACHABLE_NET,
} from "./wire/icmpv4.ts";
import {
  IPV4_DST,
  IPV4_SRC,
  ipv4DecrementTtl,
  ipv4DontFragment,
  ipv4Dst,
  ipv4FragmentOffset,
  ipv4Ttl,
  PROTO_TCP,
  PROTO_UDP,
} from "./wire/ipv4.ts";
import { tcpCheck } from "./wire/tcp.ts";
import { udpCheck } from "./wire/udp.ts";

export interface RouterOptions {
  readonly slab: Slab;
  readonly lan: EthernetInterface;
  readonly tunnel: TunnelInterface;
  /** From the LAN into the tunnel. */
  readonly nat: Nat | undefined;
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
  /** Our own, with the prefix of the tunnel's subnet; 32 where there is only a peer. */
  readonly address: Cidr;
  /** Largest IP packet into the tunnel, at least 68. */
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

/** RFC 3927 2.7: link-local stays on its link. */
const LINK_LOCAL = new Cidr(IpAddress.fromIpv4(0xa9fe0000), 16);
const EVERYWHERE = new Cidr(IpAddress.fromIpv4(0), 0);

/** A side of the router: an interface, and what became of the packets that came from it. */
export class Side implements Forwarder {
  readonly index: number;
  readonly face: Interface;
  /** Received from there, kept until the rest of their packet comes, and sent there. */
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
    this.counters = new Counters([`${name}Received`, `${name}Held`, `to${name[0]?.toUpperCase()}${name.slice(1)}`]);
    face.v4.forwarder = this;
  }

  checkSource(p: Packet): DropCode {
    return this.#router.sourceAllowed(this, p) ? Drop.None : this.foreignSource;
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
  readonly #nat: Nat | undefined;
  readonly #sides: readonly Side[];
  readonly #routes: RouteTable;
  /** What may pass: [from * SIDES + to] is 0 or the code it is refused with. */
  readonly #policy = new Uint8Array(SIDES * SIDES);
  #open: RouterTunnel | undefined = undefined;
  #mss = 1460;

  /** Becomes the forwarder of both interfaces. */
  constructor({ slab, lan, tunnel, nat, random }: RouterOptions) {
    this.#routes = new RouteTable(1, randomBelow(random, 2 ** 32) | 0);
    this.#slab = slab;
    this.#lan = lan;
    this.#tunnel = tunnel;
    this.#nat = nat;
    this.lan = new Side(this, LAN, lan, Drop.ForeignSource, Drop.NoRoute);
    this.lan.ownSourcesOnly = true;
    this.tunnel = new Side(this, TUNNEL, tunnel, Drop.TunnelForeignSource, Drop.TunnelNotForLan);
    this.#sides = [this.lan, this.tunnel];
    this.#policy[LAN * SIDES + LAN] = Drop.LanToLan;
    // Behind the translator the LAN has no addresses that the tunnel could know; what belongs to a mapping is not asked here.
    this.#policy[TUNNEL * SIDES + LAN] = nat === undefined ? Drop.None : Drop.TunnelNotForLan;
    tunnel.v4.isTranslated = nat !== undefined;
    tunnel.v4.udp.owner = nat;
    tunnel.link.peerOf = (hop) => this.#peerOf(hop);
    lan.onAddress = () => this.#rebuild();
    this.#rebuild();
  }

  /** From now on packets go into the tunnel. A new address makes the translator forget, an unchanged one does not. */
  openTunnel(config: RouterTunnel): void {
    this.#open = config;
    const { address, mtu, mssClamp } = config;
    this.#tunnel.link.isOpen = true;
    // Every peer is a neighbour.
    this.#tunnel.configure({ address, mtu, routes: [{ network: EVERYWHERE, gateway: undefined }] });
    const fits = mtu - 40;
    this.#mss = mssClamp > 0 ? Math.min(mssClamp, fits) : fits;
    this.tunnel.ownSourcesOnly = config.ownSourcesOnly === true;
    this.#policy[TUNNEL * SIDES + TUNNEL] = config.peerToPeer === true ? Drop.None : Drop.TunnelNotForLan;
    this.#nat?.setAddress(address.address.w3);
    this.#rebuild();
  }

  /** From now on LAN senders are told that there is no way. Mappings stay, for the case that the address does. */
  closeTunnel(): void {
    this.#open = undefined;
    this.#tunnel.link.isOpen = false;
    this.#tunnel.unconfigure();
    this.#rebuild();
  }

  /** Of the translator; the interfaces have their own. */
  pollAt(): number {
    return this.#nat?.pollAt() ?? Number.POSITIVE_INFINITY;
  }

  handleTimeout(now: number): void {
    this.#nat?.handleTimeout(now);
  }

  /** Sends on a packet that came from a side: None, or why not. */
  pass(now: number, from: Side, p: Packet): DropCode {
    const d = this.#slab.view;
    const routes = this.#routes;
    if (ipv4Ttl(d, p.at) <= 1) {
      this.#tell(now, from, ICMP_TIME_EXCEEDED, TIME_EXCEEDED_TTL, p);
      return Drop.Ipv4TtlExpired;
    }
    const nat = this.#nat;
    const isInbound = nat !== undefined && from.index === TUNNEL && ipv4Dst(d, p.at) === nat.address;
    let route = -1;
    let to = this.lan;
    if (!isInbound) {
      route = routes.lookup(d, p.at + IPV4_DST);
      const refusal = this.#refusal(from, route);
      if (refusal !== Drop.None) {
        if (refusal === Drop.NoRoute || refusal === Drop.TunnelClosed)
          this.#tell(now, from, ICMP_UNREACHABLE, UNREACHABLE_NET, p);
        return refusal;
      }
      to = this.#sides[routes.side[route]!]!;
    }
    const isOutbound = nat !== undefined && from.index === LAN && to.index === TUNNEL;
    const gsoType = p.gsoType & ~GSO_ECN;
    const isTcpSuper = gsoType === GSO_TCPV4;
    const isSuper = isTcpSuper || gsoType === GSO_UDP_L4;
    if (!isSuper && gsoType !== GSO_NONE && gsoType !== GSO_UDP) return Drop.GsoMalformed;
    const headerLen = isSuper ? this.#superHeaderLen(p, isTcpSuper) : this.#complete(p);
    if (headerLen < 0) return -headerLen as DropCode;
    if (isOutbound && p.isFragment) {
      const drop = from.face.v4.reassemble(now, p);
      if (drop !== Drop.None) return drop;
      if (p.isFragment) {
        from.counters.bump(HELD);
        return Drop.None;
      }
    }
    const { mtu } = to.face;
    let size = isSuper ? Math.max(1, Math.min(p.gsoSize, p.len - headerLen)) : p.len;
    if (headerLen + size > mtu) {
      if (ipv4DontFragment(d, p.at)) return this.#tooBig(now, from, to, p);
      if (isTcpSuper) size = mtu - headerLen; // smaller segments do what fragments would
      if (size <= 0) return Drop.GsoMalformed;
    }
    if (isSuper && segmentCount(p.len, headerLen, size) > MAX_SEGMENTS) return Drop.GsoTooManySegments;
    if (isInbound) {
      const refused = nat.inbound(now, p);
      if (refused !== Drop.None) return refused;
      route = routes.lookup(d, p.at + IPV4_DST);
      if (route < 0 || routes.side[route] !== LAN || routes.refusal[route] !== Drop.None) return Drop.TunnelNotForLan;
    } else if (isOutbound) {
      const refused = nat.outbound(now, p);
      if (refused !== Drop.None) return refused;
    }
    ipv4DecrementTtl(d, p.at);
    this.#clamp(p);
    const { output } = to.face.v4;
    // What lies in a scratch is gone before the frame is sent; fragments are copied anyway.
    if (p.isReassembled && p.len <= mtu) this.#copyTo(p, output.link.frame(p.len));
    let neighbour = routes.neighbour[route]!;
    if (neighbour < 0) neighbour = output.onLink(now, ipv4Dst(d, p.at));
    let drop: DropCode;
    if (neighbour < 0) drop = -neighbour as DropCode;
    else if (isSuper) drop = output.sendSegments(p, headerLen, size, neighbour);
    else drop = output.send(p, neighbour);
    if (drop === Drop.NeighborUnreachable) this.#tell(now, from, ICMP_UNREACHABLE, UNREACHABLE_HOST, p);
    else if (drop === Drop.None) to.counters.bump(SENT);
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
    const routes = this.#routes;
    const back = routes.lookup(this.#slab.view, p.at + IPV4_SRC);
    if (back < 0) return !from.ownSourcesOnly;
    const side = routes.side[back]!;
    if (!from.ownSourcesOnly) return side === from.index || side === NOWHERE;
    const neighbour = routes.neighbour[back]!;
    return side === from.index && (neighbour < 0 || neighbour === p.neighbour);
  }

  /** Why a packet from that side may not take the route (-1: there is none), or None. */
  #refusal(from: Side, route: number): DropCode {
    if (route < 0) return from.noRoute;
    const refusal = this.#routes.refusal[route]!;
    if (refusal !== Drop.None) return refusal as DropCode;
    return this.#policy[from.index * SIDES + this.#routes.side[route]!]! as DropCode;
  }

  /** Tells the sender, where it is known: behind the translator it is not. */
  #tell(now: number, from: Side, type: number, code: number, p: Packet): void {
    if (!from.face.v4.isTranslated) from.face.v4.sendError(now, type, code, 0, p);
  }

  #tooBig(now: number, from: Side, to: Side, p: Packet): DropCode {
    from.face.v4.sendError(now, ICMP_UNREACHABLE, UNREACHABLE_FRAGMENTATION_NEEDED, to.face.mtu, p);
    return Drop.TooBig;
  }

  #clamp(p: Packet): void {
    const d = this.#slab.view;
    if (p.proto !== PROTO_TCP || ipv4FragmentOffset(d, p.at) !== 0) return;
    if (tcpCheck(d, p.l4, p.at + p.len - p.l4) === Drop.None) clampMss(d, p.l4, this.#mss);
  }

  #copyTo(p: Packet, to: number): void {
    this.#slab.bytes.copyWithin(to, p.at, p.at + p.len);
    p.l4 += to - p.at;
    p.at = to;
  }

  #peerOf(hop: Int32Array): number {
    const route = this.#routes.find(hop, 0);
    return route >= 0 && this.#routes.side[route] === TUNNEL ? this.#routes.neighbour[route]! : -1;
  }

  /** Makes the table anew: an address or the tunnel has changed. */
  #rebuild(): void {
    const routes = this.#routes;
    const lan = this.#lan.address;
    const open = this.#open;
    const own = open?.address.address;
    const to = (side: number, neighbour: number, refusal: DropCode = Drop.None): RouteTarget => ({
      side,
      neighbour,
      refusal,
    });
    routes.clear();
    if (lan !== undefined) {
      // Of a network that both sides claim to have the LAN's is first.
      routes.add(lan.network, -1, to(LAN, -1));
      // Neither the gateway itself nor everybody at once can be sent to from elsewhere.
      const { prefix } = this.#lan.v4.addressing;
      const host = (word: number): Cidr => new Cidr(IpAddress.fromIpv4(word), 32);
      const notForwarded = [lan.address.w3];
      if (prefix < 31) notForwarded.push(lan.network.address.w3, this.#lan.v4.addressing.broadcast);
      for (const word of notForwarded) routes.add(host(word), -1, to(LAN, -1, Drop.TunnelNotForLan));
    }
    routes.add(LINK_LOCAL, -1, to(NOWHERE, -1, Drop.Ipv4MartianDestination));
    if (open === undefined) routes.add(EVERYWHERE, 0, to(NOWHERE, -1, Drop.TunnelClosed));
    else {
      for (const { network, metric, peer = 0 } of open.routes) {
        const isOfLan = lan !== undefined && lan.prefix <= network.prefix && lan.overlaps(network);
        if (!isOfLan) routes.add(network, metric, to(TUNNEL, peer));
      }
    }
    // This host answers on each side for its address on the other; behind the translator the LAN's is not known, and the LAN wins.
    const isOfLan = own !== undefined && lan?.contains(own) === true;
    this.#lan.v4.addressing.others = own === undefined || isOfLan ? [] : [own.w3];
    this.#tunnel.v4.addressing.others = lan === undefined || this.#nat !== undefined ? [] : [lan.address.w3];
  }
}
