/**
 * Forwarding between sides (RFC 1812 5, RFC 8200): one table a family says where a destination is, one matrix what may pass from where to
 * where. A side that is not given to the router, the client role's WAN, cannot be reached through it: there is no entry that could lead there.
 *
 *   client:   LAN --translated to the tunnel's address--> tunnel
 *   server:   LAN <--routed | translated to the LAN's address | closed--> peers --translated to the WAN's address--> WAN
 *
 * Nor has the server's table an entry for the WAN: it is the tunnel's *exit*, where its peers' packets go that no route takes. So
 * nothing leads from the LAN to the WAN, and from there nothing but answers comes in. The WAN is told nothing but
 * errors about what belongs to a mapping.
 *
 * What a client's LAN host sends to the tunnel's own address for another one of the LAN, through a forward, goes through the translator
 * in both directions, and back. A server does not do that: its outside addresses are no way from peer to peer.
 *
 * The way of a packet, whichever side it comes from and whatever its size: source (of every packet that an interface of a side
 * receives, also for this host), TTL, route and matrix, the form (checksums that the sender's kernel left partial are
 * completed, headers of a super-frame are checked), fragments put together for the translator, size (all refusals quote the
 * packet as it was sent), translation, TTL - 1, MSS clamp; then in place, in fragments, or a super-frame in segments.
 *
 * By side, in packets (a super-frame is one): received = sent to another side + sent back + held + the sum of its drops.
 */
import { GSO_ECN, GSO_NONE, GSO_UDP, GSO_UDP_L4, MAX_SEGMENTS } from "../lib/batch.ts";
import { Cidr } from "../lib/cidr.ts";
import { IpAddress, wordsOf } from "../lib/ip.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { Drop, type DropCode } from "./drop.ts";
import { IPV4, IPV6 } from "./family.ts";
import type { EthernetInterface, TunnelInterface } from "./interface.ts";
import type { Nat } from "./nat/nat.ts";
import { clampTo, complete, isSyn, largestTcp, superHeaderLen } from "./offload/form.ts";
import { segmentCount } from "./offload/split.ts";
import type { Packet } from "./packet.ts";
import { Peers } from "./peers.ts";
import { RouterErrors } from "./router/errors.ts";
import { Half, Translation } from "./router/half.ts";
import { outsideAddress } from "./router/outside-address.ts";
import { HELD, ipOf, LAN, NOWHERE, type Passage, SIDES, Side, TUNNEL, WAN } from "./router/side.ts";
import type { RefusedNetwork, RouterPeer, RouterTunnel } from "./router/tunnel.ts";

export type { Side } from "./router/side.ts";
export type { RefusedNetwork, RouterPeer, RouterTunnel, RouterTunnelRoute, ServedPeers } from "./router/tunnel.ts";

/** The translators of two sides, of each family; undefined: that family goes untranslated, or, to the internet, not at all. */
export interface Translators {
  readonly nat: Nat | undefined;
  readonly nat6: Nat | undefined;
}

export interface RouterOptions {
  readonly slab: Slab;
  /** Undefined: there are only the peers of the tunnel, and the internet. */
  readonly lan: EthernetInterface | undefined;
  readonly tunnel: TunnelInterface;
  /** A client's: from the LAN into the tunnel, of each family. */
  readonly nat?: Nat | undefined;
  readonly nat6?: Nat | undefined;
  /**
   * A server's: how its peers and the LAN reach each other: by their own addresses, which is the default; not at all; or, with
   * translators, the peers by the LAN's address, and the LAN the peers by theirs.
   */
  readonly lanAccess?: "routed" | "closed" | Translators | undefined;
  /** A server's: the way of its peers to the internet, and to the hosts of the WAN's own network. */
  readonly internet?: (Translators & { readonly wan: EthernetInterface }) | undefined;
  readonly random: Random;
}

const EVERYWHERE = new Cidr(IpAddress.fromIpv4(0), 0);
const EVERYWHERE6 = new Cidr(new IpAddress(0, 0, 0, 0), 0);
/** Of a SYN that crosses the tunnel before it was ever open. */
const LEAST_MTU = 1280;

export class Router implements Passage {
  readonly lan: Side | undefined;
  readonly tunnel: Side;
  /** Undefined: the internet is out of reach. */
  readonly wan: Side | undefined;

  readonly #slab: Slab;
  readonly #lan: EthernetInterface | undefined;
  readonly #tunnel: TunnelInterface;
  readonly #wan: EthernetInterface | undefined;
  readonly #isClosedToLan: boolean;
  readonly #ipv4: Half;
  readonly #ipv6: Half;
  /** Those that there are. */
  readonly sides: readonly Side[];
  /** By index. */
  readonly #sides: readonly (Side | undefined)[];
  readonly #peers = new Peers<RouterPeer>();
  readonly #errors: RouterErrors;
  #open: RouterTunnel | undefined = undefined;
  /** Bytes of the largest TCP packet over IPv4 that crosses the tunnel. */
  #most = LEAST_MTU;

  /** Becomes the forwarder of all the interfaces. */
  constructor(options: RouterOptions) {
    const { slab, lan, tunnel, nat, nat6, lanAccess, internet, random } = options;
    this.#ipv4 = new Half(IPV4, randomBelow(random, 2 ** 32) | 0);
    this.#ipv6 = new Half(IPV6, randomBelow(random, 2 ** 32) | 0);
    this.#slab = slab;
    this.#lan = lan;
    this.#tunnel = tunnel;
    this.#wan = internet?.wan;
    this.#isClosedToLan = lanAccess === "closed";
    this.tunnel = new Side(this, TUNNEL, tunnel, Drop.TunnelForeignSource, Drop.TunnelNotForLan);
    tunnel.v4.isTranslated = nat !== undefined;
    tunnel.v6.isTranslated = nat6 !== undefined;
    tunnel.link.peerOf = (hop) => this.#peerOf(hop);
    if (lan !== undefined) {
      this.lan = new Side(this, LAN, lan, Drop.ForeignSource, Drop.NoRoute);
      this.lan.ownSourcesOnly = true;
      this.#translate({ nat, nat6 }, this.lan, this.tunnel);
      if (typeof lanAccess === "object") this.#translate(lanAccess, this.tunnel, this.lan);
      lan.link.onUndeliverable = (now, packet, isV6) => this.#errors.undeliverable(now, LAN, packet, isV6);
      lan.onAddress = () => this.#rebuild();
    }
    if (internet !== undefined) {
      const { wan } = internet;
      this.wan = new Side(this, WAN, wan, Drop.WanForeignSource, Drop.WanNotAsked);
      this.tunnel.exit = this.wan;
      this.#translate(internet, this.tunnel, this.wan);
      wan.link.onUndeliverable = (now, packet, isV6) => this.#errors.undeliverable(now, WAN, packet, isV6);
      wan.onAddress = () => this.#takeAddresses(WAN);
    }
    this.#sides = [this.lan, this.tunnel, this.wan];
    this.#errors = new RouterErrors(slab, this.#ipv4, this.#ipv6, this.#sides);
    this.sides = this.#sides.filter((side) => side !== undefined);
    this.#takeAddresses(WAN);
    this.#rebuild();
  }

  /** From now on packets go into the tunnel. A new address makes a client's translator forget, an unchanged one does not. */
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
    this.#most = largestTcp(mssClamp, mtu);
    for (const [peer, config] of this.#peers) this.#setPeer(peer, config);
    const isServer = config.served !== undefined;
    this.tunnel.ownSourcesOnly = isServer;
    this.tunnel.noRoute = isServer ? Drop.NoRoute : Drop.TunnelNotForLan;
    if (address !== undefined) this.#ipv4.translations[TUNNEL]?.nat.setAddress(address.address);
    if (address6 !== undefined) this.#ipv6.translations[TUNNEL]?.nat.setAddress(address6.address);
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

  /**
   * A peer of a server's tunnel is there from now on, or is another one than before under that number. What the LAN or another
   * peer has stays theirs: the networks are told that it does not get.
   * @param peer from 0 on: what the tunnel's rows say
   */
  join(peer: number, config: RouterPeer): readonly RefusedNetwork[] {
    this.leave(peer);
    this.#setPeer(peer, config);
    return this.#open === undefined ? [] : this.#addPeer(peer, config);
  }

  /** The peer is not there any more; its networks are nobody's. */
  leave(peer: number): void {
    const config = this.#peers.get(peer);
    if (config === undefined) return;
    for (const network of config.networks)
      (network.isIpv4 ? this.#ipv4 : this.#ipv6).routes.remove(network, TUNNEL, peer);
    this.#peers.delete(peer);
  }

  /** Of the translators; the interfaces have their own. */
  pollAt(): number {
    return Math.min(this.#ipv4.pollAt(), this.#ipv6.pollAt());
  }

  handleTimeout(now: number): void {
    this.#ipv4.handleTimeout(now);
    this.#ipv6.handleTimeout(now);
  }

  pass(now: number, from: Side, p: Packet): DropCode {
    const d = this.#slab.view;
    const half = p.isV6 ? this.#ipv6 : this.#ipv4;
    const { routes, family } = half;
    const dst = p.at + family.dstAt;
    const inward = this.#inward(half, from, dst);
    if (from.index === WAN) {
      if (inward === undefined) return Drop.WanNotAsked;
      // What has a mapping comes from where a peer has sent to; an error may come from anywhere else.
      if (p.proto === family.icmp && routes.lookup(d, p.at + family.srcAt) >= 0) return Drop.WanForeignSource;
    }
    if (family.hopLimit(d, p.at) <= 1) {
      this.#errors.tell(now, from, family.errors.expired, 0, p, inward);
      return family.expired;
    }
    let route = -1;
    let neighbour = -1;
    let to: Side;
    if (inward !== undefined) {
      to = inward.inside;
    } else {
      route = routes.lookup(d, dst);
      const { exit } = from;
      if (route < 0 && exit !== undefined && half.translations[exit.index]?.nat.hasAddress === true) {
        to = exit;
        neighbour = ipOf(to, p).output.onward(now, dst);
        if (neighbour < 0) return this.#errors.refuse(now, from, half, -neighbour as DropCode, p);
      } else {
        const refusal = this.#refusal(from, half, route);
        if (refusal !== Drop.None) return this.#errors.refuse(now, from, half, refusal, p);
        to = this.#sides[routes.side[route]!]!;
        neighbour = routes.neighbour[route]!;
        if (to === from && neighbour === p.neighbour) return Drop.PeerToItself;
      }
    }
    const outward = this.#outward(half, from, to, inward);
    // From the outside of a translator to an inside address itself: only a server's LAN may.
    const beside = inward === undefined && to.index === TUNNEL && half.translations[from.index]?.inside === to;
    const gsoType = p.gsoType & ~GSO_ECN;
    const isTcpSuper = gsoType === family.tcpSuper;
    const isSuper = isTcpSuper || gsoType === GSO_UDP_L4;
    if (!isSuper && gsoType !== GSO_NONE && gsoType !== GSO_UDP) return Drop.GsoMalformed;
    const headerLen = isSuper ? superHeaderLen(d, p, isTcpSuper) : complete(d, p);
    if (headerLen < 0) return -headerLen as DropCode;
    if ((outward !== undefined || beside) && p.isFragment) {
      const drop = ipOf(from, p).reassemble(now, p);
      if (drop !== Drop.None) return drop;
      if (p.isFragment) {
        from.counters.bump(HELD);
        return Drop.None;
      }
    }
    const { output } = ipOf(to, p);
    const whole = output.mtuFor(p);
    let size = isSuper ? Math.max(1, Math.min(p.gsoSize, p.len - headerLen)) : p.len;
    if (headerLen + size > whole) {
      const { mtu } = output;
      if (!family.mayFragment(d, p, mtu)) return this.#errors.tooBig(now, from, half, mtu, p, inward);
      if (isTcpSuper) size = mtu - headerLen; // smaller segments do what fragments would
      if (size <= 0) return Drop.GsoMalformed;
    }
    const narrow = to.index === TUNNEL && inward === undefined ? this.#peers.mtu(neighbour) : 0;
    if (narrow > 0 && headerLen + size > narrow && !family.mayFragment(d, p, narrow))
      return this.#errors.tooBig(now, from, half, narrow, p, inward);
    if (isSuper && segmentCount(p.len, headerLen, size) > MAX_SEGMENTS) return Drop.GsoTooManySegments;
    if (outward !== undefined) {
      const refused = outward.nat.outbound(now, p);
      if (refused !== Drop.None) return refused;
    } else if (beside) {
      const refused = half.translations[from.index]!.nat.direct(now, p);
      if (refused !== Drop.None) return refused;
    }
    if (inward !== undefined) {
      const refused = inward.nat.inbound(now, p);
      if (refused !== Drop.None) return refused;
      route = routes.lookup(d, p.at + family.dstAt);
      if (route < 0 || routes.side[route] !== to.index || routes.refusal[route] !== Drop.None)
        return to.index === TUNNEL ? Drop.PeerGone : Drop.TunnelNotForLan;
      neighbour = routes.neighbour[route]!;
      const least = to.index === TUNNEL ? this.#peers.mtu(neighbour) : 0;
      if (least > 0 && headerLen + size > least && !family.mayFragment(d, p, least)) {
        inward.nat.undoInbound(p);
        outward?.nat.undoOutbound(p);
        return this.#errors.tooBig(now, from, half, least, p, inward);
      }
    }
    family.countHop(d, p.at);
    if (isSyn(d, family, p)) clampTo(d, family, p, this.#mostBetween(from, to, p.neighbour, neighbour));
    // What lies in a scratch is gone before the frame is sent; fragments are copied anyway.
    if (p.isReassembled && p.len <= whole) this.#copyTo(p, output.link.frame(p.len));
    if (neighbour < 0) neighbour = output.onLink(now, p.at + family.dstAt);
    let drop: DropCode;
    if (neighbour < 0) drop = -neighbour as DropCode;
    else if (isSuper) drop = output.sendSegments(p, headerLen, size, neighbour);
    else drop = output.send(p, neighbour);
    if (drop === Drop.NeighborUnreachable) {
      // Its sender knows it by the addresses that it came with.
      if (inward !== undefined) inward.nat.undoInbound(p);
      if (outward !== undefined) outward.nat.undoOutbound(p);
      this.#errors.tell(now, from, family.errors.unreachable, 0, p, inward);
    } else if (drop === Drop.None) {
      from.countSent(to);
    }
    return drop;
  }

  sourceAllowed(from: Side, p: Packet): boolean {
    const { routes, family } = p.isV6 ? this.#ipv6 : this.#ipv4;
    const back = routes.lookup(this.#slab.view, p.at + family.srcAt);
    if (back < 0) return !from.ownSourcesOnly;
    const side = routes.side[back]!;
    if (!from.ownSourcesOnly) return side === from.index || side === NOWHERE;
    const neighbour = routes.neighbour[back]!;
    return side === from.index && (neighbour < 0 || neighbour === p.neighbour);
  }

  leadsInside(from: Side, p: Packet): boolean {
    const half = p.isV6 ? this.#ipv6 : this.#ipv4;
    return this.#inward(half, from, p.at + half.family.dstAt)?.nat.isForInside(p) === true;
  }

  /** The translator that a packet to its outside address comes in by: from its outside, or, in a hairpin, from its inside. */
  #inward({ translations }: Half, from: Side, dst: number): Translation | undefined {
    const d = this.#slab.view;
    const own = translations[from.index];
    if (own?.nat.isOutside(d, dst) === true) return own;
    const hairpin = translations[TUNNEL];
    return hairpin?.isHairpin === true && hairpin.inside === from && hairpin.nat.isOutside(d, dst)
      ? hairpin
      : undefined;
  }

  /** The translator that a packet goes out by. */
  #outward({ translations }: Half, from: Side, to: Side, inward: Translation | undefined): Translation | undefined {
    if (inward !== undefined) return inward.inside === from ? inward : undefined;
    const translation = translations[to.index];
    return translation?.inside === from ? translation : undefined;
  }

  /** Why a packet from that side may not take the route (-1: there is none), or None. */
  #refusal(from: Side, { routes, policy }: Half, route: number): DropCode {
    if (route < 0) return from.noRoute;
    const refusal = routes.refusal[route]!;
    if (refusal !== Drop.None) return refusal as DropCode;
    return policy[from.index * SIDES + routes.side[route]!]! as DropCode;
  }

  /** Bytes of the largest TCP packet over IPv4 between two sides, and between the peers of those that are the tunnel. */
  #mostBetween(from: Side, to: Side, source: number, destination: number): number {
    let most = this.#most;
    if (this.#peers.count === 0) return most;
    if (from.index === TUNNEL) most = this.#peers.limit(source, most);
    if (to.index === TUNNEL) most = this.#peers.limit(destination, most);
    return most;
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

  #translate({ nat, nat6 }: Translators, inside: Side, outside: Side): void {
    if (nat !== undefined) this.#ipv4.translations[outside.index] = new Translation(nat, inside, outside);
    if (nat6 !== undefined) this.#ipv6.translations[outside.index] = new Translation(nat6, inside, outside);
    outside.face.setPortOwners([nat, nat6].filter((translator) => translator !== undefined));
  }

  /** The translators of a side have its addresses. While it has none they keep what they know: it may be the same one again. */
  #takeAddresses(index: typeof LAN | typeof WAN): void {
    const face = index === LAN ? this.#lan : this.#wan;
    const address = face?.address?.address;
    if (address !== undefined) this.#ipv4.translations[index]?.nat.setAddress(address);
    const nat6 = this.#ipv6.translations[index]?.nat;
    if (face === undefined || nat6 === undefined) return;
    const address6 = outsideAddress(face.v6.addressing.addresses, nat6.address);
    if (address6 !== undefined) nat6.setAddress(address6);
  }

  /** Makes the tables anew: an address or the tunnel has changed. */
  #rebuild(): void {
    const open = this.#open;
    const lan = this.#lan?.address;
    const own6 = (this.#lan?.v6.addressing.addresses ?? []).filter(({ value }) => !value.isLinkLocal);
    const lans6 = own6.map(({ value, prefix }) => new Cidr(value, prefix));
    // Neither the gateway itself nor everybody at once can be sent to from elsewhere.
    const notForwarded = lan === undefined ? [] : [lan.address];
    if (this.#lan !== undefined && lan !== undefined && lan.prefix < 31)
      notForwarded.push(lan.network.address, IpAddress.fromIpv4(this.#lan.v4.addressing.broadcast));
    // The network's own address is any router on it (RFC 4291 2.6.1).
    const notForwarded6 = own6.map(({ value }) => value).concat(lans6.map(({ network }) => network.address));
    this.#ipv4.fill(lan === undefined ? [] : [lan], notForwarded, open, open?.address);
    this.#ipv6.fill(lans6, notForwarded6, open, open?.address6);
    const isLanTranslated = (half: Half): boolean => half.translations[TUNNEL] !== undefined;
    for (const half of [this.#ipv4, this.#ipv6])
      half.setPolicy(isLanTranslated(half), this.#isClosedToLan, open?.served);
    if (open !== undefined) for (const [peer, config] of this.#peers) this.#addPeer(peer, config);

    // This host answers on each side for its address on the other; behind the translator the LAN's is not known, and the LAN wins.
    const own = open?.address?.address;
    const inTunnel = open?.address6?.address;
    const isOther = own !== undefined && lan?.contains(own) !== true;
    const isOther6 = inTunnel !== undefined && !lans6.some((network) => network.contains(inTunnel));
    this.#ipv4.setHairpin(isOther);
    this.#ipv6.setHairpin(isOther6);
    if (this.#lan !== undefined) {
      this.#lan.v4.addressing.others = isOther ? [own.w3] : [];
      this.#lan.v6.addressing.others = isOther6 ? [wordsOf(inTunnel)] : [];
    }
    const { v4, v6 } = this.#tunnel;
    const isHidden = (half: Half): boolean => this.#isClosedToLan || isLanTranslated(half);
    v4.addressing.others = lan === undefined || isHidden(this.#ipv4) ? [] : [lan.address.w3];
    v6.addressing.others = isHidden(this.#ipv6) ? [] : own6.map(({ words }) => words);
    this.#takeAddresses(LAN);
  }

  #setPeer(peer: number, config: RouterPeer): void {
    const whole = this.#open?.mtu ?? LEAST_MTU;
    const { mtu = whole, mssClamp } = config;
    this.#peers.set(peer, config, largestTcp(mssClamp, Math.min(mtu, whole)), mtu < whole ? mtu : 0);
  }

  /** @returns the networks that it does not get */
  #addPeer(peer: number, { networks }: RouterPeer): RefusedNetwork[] {
    const refused: RefusedNetwork[] = [];
    for (const network of networks) {
      const of = (network.isIpv4 ? this.#ipv4 : this.#ipv6).addPeer(network, peer);
      if (of !== undefined) refused.push({ network, of });
    }
    return refused;
  }
}
