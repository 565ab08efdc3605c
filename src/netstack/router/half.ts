/** What the router has for one family: routes, translators, and what may pass from which side to which. */
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Family } from "../family.ts";
import type { Nat } from "../nat/nat.ts";
import { RouteTable, type RouteTarget } from "../route.ts";
import { LAN, NOWHERE, SIDES, type Side, TUNNEL } from "./side.ts";
import type { RouterTunnel, ServedPeers } from "./tunnel.ts";

/** A translator between two sides: what goes from the inside to the outside has the translator's address there. */
export class Translation {
  readonly nat: Nat;
  readonly inside: Side;
  readonly outside: Side;
  /** The inside may reach itself by the outside address (RFC 4787 REQ-9). */
  isHairpin = false;

  constructor(nat: Nat, inside: Side, outside: Side) {
    this.nat = nat;
    this.inside = inside;
    this.outside = outside;
  }
}

/** RFC 3927 2.7: link-local stays on its link. That of IPv6 never comes as far as a router. */
const LINK_LOCAL = new Cidr(IpAddress.fromIpv4(0xa9fe0000), 16);
const EVERYWHERE = new Cidr(IpAddress.fromIpv4(0), 0);
const EVERYWHERE6 = new Cidr(new IpAddress(0, 0, 0, 0), 0);
/** Of a network that both sides claim to have the LAN's is first; and what a peer may have is a peer's before it is nobody's. */
const METRIC_LAN = -1;
const METRIC_PEER = 0;
const METRIC_NOBODY = Number.POSITIVE_INFINITY;

export class Half {
  readonly family: Family;
  readonly routes: RouteTable;
  /** By the side that is their outside. */
  readonly translations: (Translation | undefined)[] = new Array(SIDES).fill(undefined);
  /** What may pass: [from * SIDES + to] is 0 or the code it is refused with. To a side that is not in it no route leads. */
  readonly policy = new Uint8Array(SIDES * SIDES).fill(Drop.WanNotAsked);
  readonly #isIpv4: boolean;
  #lans: readonly Cidr[] = [];

  constructor(family: Family, seed: number) {
    this.family = family;
    this.routes = new RouteTable(family.stride, seed);
    this.#isIpv4 = family.stride === 1;
  }

  /**
   * Makes the table anew, without the peers that join.
   * @param notForwarded what of the LAN cannot be sent to from elsewhere
   * @param open undefined: there is no tunnel
   * @param own the tunnel's address of the family; undefined: nothing of it goes through the tunnel
   */
  fill(
    lans: readonly Cidr[],
    notForwarded: readonly IpAddress[],
    open: RouterTunnel | undefined,
    own: Cidr | undefined,
  ): void {
    const { routes } = this;
    this.#lans = lans;
    routes.clear();
    if (this.#isIpv4) routes.add(LINK_LOCAL, METRIC_LAN, target(NOWHERE, -1, Drop.Ipv4MartianDestination));
    for (const { network } of lans) routes.add(network, METRIC_LAN, target(LAN, -1));
    for (const host of notForwarded)
      routes.add(new Cidr(host, host.bits), METRIC_LAN, target(LAN, -1, Drop.TunnelNotForLan));
    if (open === undefined) {
      routes.add(this.#isIpv4 ? EVERYWHERE : EVERYWHERE6, 0, target(NOWHERE, -1, Drop.TunnelClosed));
      return;
    }
    if (own === undefined) return;
    for (const { network, metric } of open.routes)
      if (this.#isForTunnel(network)) routes.add(network, metric, target(TUNNEL, 0));
    for (const network of open.served === undefined ? [] : [own, ...open.served.networks])
      if (this.#isForTunnel(network)) routes.add(network, METRIC_NOBODY, target(NOWHERE, -1, Drop.NoRoute));
  }

  /** A peer has a network from now on; undefined, or who has it instead. */
  addPeer(network: Cidr, peer: number): "lan" | number | undefined {
    if (!this.#isForTunnel(network)) return "lan";
    const { routes } = this;
    const route = routes.exact(network);
    routes.add(network, METRIC_PEER, target(TUNNEL, peer));
    const isTaken = route >= 0 && routes.side[route] === TUNNEL && routes.neighbour[route] !== peer;
    return isTaken ? routes.neighbour[route] : undefined;
  }

  /** @param isLanTranslated to the tunnel's address, as a client's is @param served the peers of a server */
  setPolicy(isLanTranslated: boolean, isClosedToLan: boolean, served: ServedPeers | undefined): void {
    const { policy } = this;
    const access = isClosedToLan ? Drop.LanClosed : Drop.None;
    policy[LAN * SIDES + LAN] = Drop.LanToLan;
    policy[LAN * SIDES + TUNNEL] = access;
    // Behind the translator the LAN has no addresses that the tunnel could know; what belongs to a mapping is not asked here.
    policy[TUNNEL * SIDES + LAN] = isLanTranslated ? Drop.TunnelNotForLan : access;
    policy[TUNNEL * SIDES + TUNNEL] = peerToPeer(served);
  }

  /** @param isKnown whether the inside knows this host by the outside address too */
  setHairpin(isKnown: boolean): void {
    const translation = this.translations[TUNNEL];
    if (translation !== undefined) translation.isHairpin = isKnown;
  }

  pollAt(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const translation of this.translations)
      if (translation !== undefined) at = Math.min(at, translation.nat.pollAt());
    return at;
  }

  handleTimeout(now: number): void {
    for (const translation of this.translations) translation?.nat.handleTimeout(now);
  }

  /** Whether it is of this family, and not within a network of the LAN. */
  #isForTunnel(network: Cidr): boolean {
    if (network.isIpv4 !== this.#isIpv4) return false;
    return !this.#lans.some((lan) => lan.prefix <= network.prefix && lan.overlaps(network));
  }
}

function peerToPeer(served: ServedPeers | undefined): DropCode {
  if (served === undefined) return Drop.TunnelNotForLan;
  return served.peerToPeer ? Drop.None : Drop.PeerToPeer;
}

const target = (side: number, neighbour: number, refusal: DropCode = Drop.None): RouteTarget => ({
  side,
  neighbour,
  refusal,
});
