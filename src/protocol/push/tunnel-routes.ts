/**
 * What is routed into the tunnel: `route`, `route-ipv6` and redirect-gateway, of the profile and pushed (man openvpn, "route";
 * OpenVPN's route.c). On a router there is no way around the tunnel, so that a gateway outside of it is a reason to leave a route
 * out; a host has its own networks beside it, and takes the route.
 */
import { Cidr, maskPrefix, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import { printable } from "../config/lexer.ts";

/** A network that goes into the tunnel; its host bits are zero. */
export interface TunnelRoute {
  readonly network: Cidr;
  readonly metric: number;
  /** Of a tunnel of frames: the gateway at its other end that the packets go to. */
  readonly via?: IpAddress | undefined;
}

/** A network that goes by a gateway of the host, and not into the tunnel. */
export interface AroundRoute extends TunnelRoute {
  /** undefined: net_gateway, whichever the host had before. */
  readonly around: IpAddress | undefined;
}

export const isAround = (route: TunnelRoute): route is AroundRoute => "around" in route;

/** What the words of a route may stand for. */
export interface RouteContext {
  /** vpn_gateway. */
  readonly gateway: IpAddress | undefined;
  /** The same of IPv6, which a tunnel of frames has use for. */
  readonly gateway6: IpAddress | undefined;
  /** Frames go through the tunnel: each is for somebody there. */
  readonly isEthernet: boolean;
  /** remote_host. */
  readonly serverAddress: IpAddress | undefined;
  /** Networks of this side: a gateway there is not in the tunnel. */
  readonly lan: readonly Cidr[];
  /** route-metric. */
  readonly metric: number;
  /** This end's address in the tunnel. */
  readonly address: Cidr | undefined;
  readonly isHost: boolean;
}

const MAX_METRIC = 0x7fff_ffff;

export const metricOf = (word: string | undefined): number | undefined =>
  word !== undefined && /^\d{1,10}$/.test(word) && Number(word) <= MAX_METRIC ? Number(word) : undefined;

/** route NETWORK [MASK [GATEWAY [METRIC]]]; "default" stands for a value left out. @returns the route, or why there is none */
export function routeOf(words: readonly string[], context: RouteContext): TunnelRoute | string {
  const [, network, mask, gateway] = words.map((w) => (w === "default" ? "" : w));
  let target: IpAddress | undefined;
  if (network === "net_gateway") return "net_gateway is outside the tunnel";
  if (network === "vpn_gateway") {
    if (context.gateway === undefined) return "the tunnel has no gateway (route-gateway)";
    target = context.gateway;
  } else if (network === "remote_host") {
    if (context.serverAddress?.isIpv4 !== true) return "the server's IPv4 address is not known";
    target = context.serverAddress;
  } else {
    // Word 1 may be "default" only in the sense of the default route nowhere in OpenVPN: it must be an address.
    target = parseIpv4(network ?? "");
    if (target === undefined) return "not an IPv4 network (names are not looked up)";
  }
  let prefix: number | undefined = 32;
  let by: IpAddress | undefined;
  if (mask !== undefined && mask !== "") {
    const value = parseIpv4(mask);
    prefix = value === undefined ? undefined : maskPrefix(value.w3);
    if (prefix === undefined) return `${printable(mask)} is not a netmask`;
  }
  if (gateway === "net_gateway" && context.isHost)
    return around(new Cidr(target, prefix), words[4], context, undefined);
  if (gateway === "net_gateway" || gateway === "remote_host") {
    return `${gateway} is outside the tunnel, and nothing of the LAN goes there`;
  }
  if (gateway !== undefined && gateway !== "" && gateway !== "vpn_gateway") {
    const address = parseIpv4(gateway);
    if (address?.isHost !== true) return `${printable(gateway)} is not a gateway`;
    if (context.lan.some((lan) => lan.contains(address))) return `the gateway ${gateway} is in the LAN`;
    const isOurs = context.gateway?.equals(address) === true || context.address?.contains(address) === true;
    if (context.isHost && !isOurs) return around(new Cidr(target, prefix), words[4], context, address);
    by = address;
  }
  return throughGateway(routeTo(new Cidr(target, prefix), words[4], context), by, context);
}

/** Of a tunnel of frames: the route by the gateway that it names, or by the tunnel's. @returns why there is none */
function throughGateway(
  route: TunnelRoute | string,
  named: IpAddress | undefined,
  { isEthernet, gateway, gateway6 }: RouteContext,
): TunnelRoute | string {
  if (typeof route === "string" || !isEthernet) return route;
  const { isIpv4 } = route.network;
  const via = named ?? (isIpv4 ? gateway : gateway6);
  if (via !== undefined) return { ...route, via };
  return `frames (dev tap) need a gateway to go to, and the tunnel has none (${isIpv4 ? "route-gateway" : "route-ipv6-gateway"})`;
}

/** redirect-gateway. @returns the route, or why there is none */
export const defaultRoute = (network: Cidr, context: RouteContext): TunnelRoute | string =>
  throughGateway({ network, metric: context.metric }, undefined, context);

function around(
  target: Cidr,
  metricWord: string | undefined,
  context: RouteContext,
  gateway: IpAddress | undefined,
): AroundRoute | string {
  const route = routeTo(target, metricWord, context);
  return typeof route === "string" ? route : { ...route, around: gateway };
}

/** route-ipv6 NETWORK/BITS [GATEWAY [METRIC]]; without bits one host. @returns the route, or why there is none */
export function routeIpv6Of(words: readonly string[], context: RouteContext): TunnelRoute | string {
  const [, network = "", gateway = "default", metric] = words;
  const host = parseIpv6(network);
  const target = host === undefined ? parseCidr(network) : new Cidr(host, 128);
  if (target === undefined || target.isIpv4) return "not an IPv6 network (names are not looked up)";
  // Which gateway it is makes no difference: behind a tunnel there is one (man openvpn, --route-ipv6).
  if (gateway !== "default" && parseIpv6(gateway)?.isHost !== true)
    return `${printable(gateway)} is not an IPv6 gateway`;
  return throughGateway(routeTo(target, metric, context), parseIpv6(gateway), context);
}

function routeTo(target: Cidr, metricWord: string | undefined, context: RouteContext): TunnelRoute | string {
  const metric = metricWord === undefined || metricWord === "default" ? context.metric : metricOf(metricWord);
  if (metric === undefined) return `${printable(metricWord ?? "")} is not a metric`;
  const { address, prefix } = target;
  if (address.isMulticast || (address.isLoopback && prefix >= 8)) return "not a network that can be routed";
  if (!address.isIpv4 && address.isLinkLocal && prefix >= 10) return "link-local addresses stay on their link";
  return { network: target.network, metric };
}

/** More routes than this are left out, with a warning. */
const MAX_ROUTES = 4096;

/** The routes so far: a network that comes again keeps its place and the lower metric. */
export class Routes {
  readonly #lan: readonly Cidr[];
  readonly #warn: (text: string) => void;
  readonly #index = new Map<string, number>();
  readonly list: TunnelRoute[] = [];
  #tooMany = false;

  constructor(lan: readonly Cidr[], warn: (text: string) => void) {
    this.#lan = lan;
    this.#warn = warn;
  }

  add(route: Cidr, metric: number, text: string, via?: IpAddress): void {
    const { network } = route;
    const key = `${network}`;
    const at = this.#index.get(key);
    if (at !== undefined) {
      if (metric < this.list[at]!.metric) this.list[at] = routed(network, metric, via);
      return;
    }
    if (this.list.length === MAX_ROUTES) {
      if (!this.#tooMany) this.#warn(`more than ${MAX_ROUTES} routes: ${text} and those behind it are ignored`);
      this.#tooMany = true;
      return;
    }
    // A default route (or half of it) covers every LAN and surprises nobody.
    const lan = network.prefix > 1 ? this.#lan.find((own) => network.overlaps(own)) : undefined;
    if (lan !== undefined) this.#warn(`${text}: ${network} overlaps the LAN ${lan.network}; the LAN wins`);
    this.#index.set(key, this.list.length);
    this.list.push(routed(network, metric, via));
  }
}

const routed = (network: Cidr, metric: number, via: IpAddress | undefined): TunnelRoute =>
  via === undefined ? { network, metric } : { network, metric, via };
