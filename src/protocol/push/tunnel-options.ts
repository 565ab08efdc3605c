/**
 * What the tunnel is: its addresses and what is routed into it. Local lines of the profile and pushed ones have the same
 * meaning (man openvpn, "VPN Tunnel Options" and "Client Options"); a pushed scalar replaces the local one, routes add up.
 *
 * Differs from OpenVPN on purpose: on a router there is no way around the tunnel for the LAN, so net_gateway is refused and the
 * flags local, autolocal, bypass-dhcp, bypass-dns and block-local have nothing to act on. Where this side is a host with
 * networks of its own (TunnelContext.isHost), they count.
 */

import { Cidr } from "../../lib/cidr.ts";
import { IpAddress, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import { printable, splitWords } from "../config/lexer.ts";
import type { Topology } from "../config/server-types.ts";
import type { LocalOption } from "../config/types.ts";
import { unavailable } from "../config/unavailable.ts";
import { type ClientNatRule, clientNatRule, MAX_CLIENT_NAT } from "./client-nat.ts";
import { DnsReading, type TunnelDns } from "./dns-options.ts";
import { addressIpv6Of, addressOf, type TunnelAddress } from "./tunnel-address.ts";
import {
  type AroundRoute,
  defaultRoute,
  isAround,
  metricOf,
  type RouteContext,
  Routes,
  routeIpv6Of,
  routeOf,
  type TunnelRoute,
} from "./tunnel-routes.ts";

/** Something to tell about an option: "warn" where a person should act, "info" and "debug" where not. */
export interface Note {
  readonly level: "warn" | "info" | "debug";
  readonly text: string;
}

/** What has to do with the networks that a host has beside the tunnel. A router has none of it. */
export interface AroundTunnel {
  /** What does not go through the tunnel. */
  readonly routes: readonly AroundRoute[];
  /** block-ipv6: no IPv6 goes anywhere, where the tunnel takes a default route. */
  readonly blockIpv6: boolean;
  /** redirect-gateway block-local: what is on the host's own network is sent through the tunnel, but for its gateway. */
  readonly blockLocal: boolean;
  /** redirect-gateway bypass-dns: the host's resolvers are reached as before. */
  readonly bypassDns: boolean;
  /** route-table; undefined: the main one. */
  readonly table: number | undefined;
}

export interface Tunnel {
  /** This end's IPv4 address, with the prefix of the tunnel's subnet with topology subnet, else 32; undefined: it has IPv6 alone. */
  readonly address: Cidr | undefined;
  /** This end's IPv6 address, with the prefix of the tunnel's subnet; undefined: no IPv6 goes through the tunnel. */
  readonly address6: Cidr | undefined;
  /** The far end's address with net30 and p2p. */
  readonly peer: IpAddress | undefined;
  /** route-gateway, or the peer. */
  readonly gateway: IpAddress | undefined;
  /** tun-mtu where pushed. */
  readonly mtu: number | undefined;
  /** Of both families: the tunnel's own subnets or peer first, then the others in order; none twice. */
  readonly routes: readonly TunnelRoute[];
  readonly around: AroundTunnel;
  /** client-nat: networks that both ends know by different addresses. */
  readonly clientNat: readonly ClientNatRule[];
  /** Resolvers behind the tunnel, and the domains that names are looked for in. */
  readonly dns: TunnelDns;
  readonly notes: readonly Note[];
}

export type TunnelResult =
  | { readonly ok: true; readonly tunnel: Tunnel }
  | { readonly ok: false; readonly problem: string };

export interface TunnelContext {
  /** Where the server is, for remote_host. */
  readonly serverAddress?: IpAddress;
  /** The networks of this side, of both families, with its addresses there. */
  readonly lan: readonly Cidr[];
  /** This side is a host with networks of its own, to which there is a way around the tunnel. */
  readonly isHost?: boolean | undefined;
  /** Frames go through the tunnel (dev tap): a route needs the gateway that it goes by. */
  readonly isEthernet?: boolean | undefined;
  /** They are those of the hosts of this side: addresses and routes are theirs. */
  readonly isBridged?: boolean | undefined;
}

/** Our choice: a server can push thousands of options at each connection, and each note is a line of the log. */
const MAX_NOTES = 64;
const MIN_TUN_MTU = 100;

/** @param pushed after the pull filters; @param local TunnelConfig.localOptions. Never throws. */
export function parseTunnelOptions(
  pushed: readonly string[],
  local: readonly LocalOption[],
  context: TunnelContext,
): TunnelResult {
  const reading = new TunnelReading(context);
  const lines = local.map(({ words }) => words);
  for (const { words, origin } of local) reading.take(words, `${origin.file}:${origin.line}: `, false);
  for (const option of pushed) {
    const words = splitWords(option);
    if (typeof words === "string") reading.note("warn", `pushed ${printable(/^\S*/.exec(option)![0])}: ${words}`);
    else if (words[0] !== undefined) {
      reading.take(words, "pushed ", true);
      lines.push(words);
    }
  }
  // What a line of the profile asks for was told of when the profile was read.
  const missing = unavailable(lines);
  if (missing !== undefined && missing.index >= local.length) reading.note("warn", `pushed dns: ${missing.text}`);
  return reading.finish();
}

/** The same tunnel for IPv4 alone. The tunnel itself where it has no IPv6. */
export function withoutIpv6(tunnel: Tunnel): Tunnel {
  if (tunnel.address6 === undefined) return tunnel;
  return { ...tunnel, address6: undefined, routes: tunnel.routes.filter(({ network }) => network.isIpv4) };
}

/** Lines that need all others to be read first. */
interface Pending {
  readonly words: readonly string[];
  readonly from: string;
}

class TunnelReading {
  readonly #context: TunnelContext;
  readonly #notes: Note[] = [];
  #unsaid = 0;
  readonly #routes: Pending[] = [];
  #ifconfig: Pending | undefined;
  #ifconfigIpv6: Pending | undefined;
  #topology: Topology | undefined;
  #gateway: IpAddress | undefined;
  /** Matters to frames alone. */
  #gateway6: IpAddress | undefined;
  #metric = 0;
  #mtu: number | undefined;
  #redirect = false;
  #redirectIpv6 = false;
  #blockIpv6 = false;
  #blockLocal = false;
  #bypassDns = false;
  #table: number | undefined;
  readonly #clientNat: ClientNatRule[] = [];
  readonly #dns = new DnsReading();

  constructor(context: TunnelContext) {
    this.#context = context;
  }

  note(level: Note["level"], text: string): void {
    if (this.#notes.length < MAX_NOTES) this.#notes.push({ level, text });
    else this.#unsaid++;
  }

  take(words: readonly string[], from: string, isPushed: boolean): void {
    const [name, first] = words;
    const bad = (why: string) => this.note("warn", `${from}${printable(words.join(" "))}: ${why}; ignored`);
    switch (name) {
      case "ifconfig":
        this.#ifconfig = { words, from };
        break;
      case "ifconfig-ipv6":
        this.#ifconfigIpv6 = { words, from };
        break;
      case "topology":
        if (first === "subnet" || first === "net30" || first === "p2p") this.#topology = first;
        else bad("not subnet, net30 or p2p");
        break;
      case "tun-mtu": {
        const mtu = first !== undefined && /^\d{1,5}$/.test(first) ? Number(first) : 0;
        if (mtu >= MIN_TUN_MTU && mtu <= 65_535) this.#mtu = mtu;
        else bad(`not a size from ${MIN_TUN_MTU} to 65535`);
        break;
      }
      case "route":
      case "route-ipv6":
        if (first === undefined) bad("no network");
        else this.#routes.push({ words, from });
        break;
      case "route-gateway": {
        // With server-bridge the network beyond the tunnel gives it.
        if (first === "dhcp" && this.#context.isEthernet) break;
        const gateway = parseIpv4(first ?? "");
        if (gateway === undefined) bad("not an IPv4 address");
        else if (!gateway.isHost) bad("not a host's address");
        else this.#gateway = gateway;
        break;
      }
      case "route-ipv6-gateway":
        this.#gateway6 = parseIpv6(first ?? "");
        break;
      case "route-metric": {
        const metric = metricOf(first);
        if (metric !== undefined) this.#metric = metric;
        else bad("not a metric");
        break;
      }
      case "redirect-gateway":
      case "redirect-private":
        this.#takeRedirect(words, from);
        break;
      case "route-table":
        if (first !== undefined && /^\d{1,9}$/.test(first)) this.#table = Number(first);
        else bad("not the number of a table");
        break;
      case "client-nat": {
        const rule = clientNatRule(words);
        if (typeof rule === "string") bad(rule);
        else if (this.#clientNat.length >= MAX_CLIENT_NAT) bad(`more than ${MAX_CLIENT_NAT} of them`);
        else this.#clientNat.push(rule);
        break;
      }
      case "dhcp-option":
        this.#dns.takeDhcp(words, bad);
        break;
      case "dns":
        this.#dns.take(words, isPushed, bad);
        break;
      case "block-ipv6":
        this.#blockIpv6 = true;
        break;
      case "block-outside-dns":
        this.note("debug", `${from}block-outside-dns: DNS of the LAN never leaves outside the tunnel`);
        break;
      default:
        if (!KNOWN_ELSEWHERE.has(name ?? "")) this.note("info", `${from}${printable(name ?? "")}: unknown; ignored`);
    }
  }

  #takeRedirect(words: readonly string[], from: string): void {
    let ipv4 = words[0] === "redirect-gateway";
    for (const flag of words.slice(1)) {
      if (flag === "!ipv4") ipv4 = false;
      else if (flag === "ipv6") this.#redirectIpv6 = true;
      else if (!REDIRECT_FLAGS.has(flag))
        this.note("info", `${from}${words[0]} ${printable(flag)}: unknown flag; ignored`);
      else if (flag === "block-local") this.#blockLocal = true;
      else if (flag === "bypass-dns") this.#bypassDns = true;
      if (flag !== "def1" && flag !== "ipv6" && flag !== "!ipv4" && REDIRECT_FLAGS.has(flag) && !this.#context.isHost)
        this.note("debug", `${from}${words[0]} ${flag}: nothing of the LAN goes around the tunnel; ignored`);
    }
    if (ipv4) this.#redirect = true;
  }

  finish(): TunnelResult {
    if (this.#context.isBridged) return { ok: true, tunnel: this.#bridged() };
    const own = this.#ownAddress();
    if (typeof own === "string") return { ok: false, problem: own };
    const address6 = this.#ownAddressIpv6();
    const { address, peer } = own ?? { address: undefined, peer: undefined };
    // A device of Ethernet may have its address by DHCP, or be a port of a bridge.
    if (address === undefined && address6 === undefined && !this.#context.isEthernet)
      return { ok: false, problem: "no tunnel address: the server pushed no ifconfig and the profile has none" };
    const { lan } = this.#context;
    // A subnet that is the LAN's as well is told of as a route.
    const inside = peer === undefined ? undefined : lan.find((own) => own.contains(address!.address));
    if (inside !== undefined)
      this.note(
        "warn",
        `the tunnel's address ${address!.address} is of the LAN ${inside.network}; on the LAN, the LAN wins`,
      );
    if (peer === undefined && address?.isNetworkOrBroadcast(address.address) === true)
      this.note(
        "warn",
        `the tunnel's address ${address.address} is the network's or the broadcast address of /${address.prefix}; others there may not answer it`,
      );
    const gateway = this.#gateway ?? peer;
    const routes = new Routes(lan, (text) => this.note("warn", text));
    if (address !== undefined)
      routes.add(peer === undefined ? address : new Cidr(peer, 32), 0, "the tunnel's own network");
    if (address6 !== undefined) routes.add(address6, 0, "the tunnel's own IPv6 network");
    const around = this.#addRoutes(routes, { gateway, address, hasIpv6: address6 !== undefined });
    if (this.#unsaid > 0)
      this.#notes.push({ level: "info", text: `${this.#unsaid} more notes on options are left out` });
    return {
      ok: true,
      tunnel: {
        address,
        address6,
        peer,
        gateway,
        mtu: this.#mtu,
        routes: routes.list,
        around: {
          routes: around,
          blockIpv6: this.#blockIpv6,
          blockLocal: this.#blockLocal,
          bypassDns: this.#bypassDns,
          table: this.#table,
        },
        clientNat: this.#clientNat,
        dns: this.#dns.finish(),
        notes: this.#notes,
      },
    };
  }

  /** A tunnel of frames: no address is ours, and nothing is routed. */
  #bridged(): Tunnel {
    const unused = [this.#ifconfig, this.#ifconfigIpv6, ...this.#routes].filter((one) => one !== undefined);
    const names = [...new Set(unused.map(({ words }) => words[0]!))];
    if (this.#redirect || this.#redirectIpv6) names.push("redirect-gateway");
    if (this.#clientNat.length > 0) names.push("client-nat");
    if (names.length > 0)
      this.note(
        "info",
        `${names.join(", ")}: not used, as the LAN is bridged (dev tap): its hosts have their addresses and routes from the network beyond the tunnel`,
      );
    const around = { routes: [], blockIpv6: false, blockLocal: false, bypassDns: false, table: undefined };
    const none = { address: undefined, address6: undefined, peer: undefined, gateway: undefined };
    const dns = this.#dns.finish();
    return { ...none, mtu: this.#mtu, routes: [], around, clientNat: [], dns, notes: this.#notes };
  }

  /** Undefined where no line gives one. @returns a sentence where the tunnel cannot be used */
  #ownAddress(): TunnelAddress | string | undefined {
    if (this.#ifconfig === undefined) return undefined;
    const { words, from } = this.#ifconfig;
    const own = addressOf(words, this.#context.isEthernet ? "subnet" : this.#topology);
    return typeof own === "string" ? `${from}${printable(words.join(" "))}: ${own}` : own;
  }

  /** As with openvpn, IPv6 that cannot be used leaves a tunnel of IPv4 alone. */
  #ownAddressIpv6(): Cidr | undefined {
    const pending = this.#ifconfigIpv6;
    if (this.#blockIpv6) {
      this.note("debug", "block-ipv6: no IPv6 goes through the tunnel");
      return undefined;
    }
    if (pending === undefined) return undefined;
    const own = addressIpv6Of(pending.words);
    if (typeof own !== "string") return own;
    this.note("warn", `${pending.from}${printable(pending.words.join(" "))}: ${own}; no IPv6 goes through the tunnel`);
    return undefined;
  }

  /** @returns those that go around the tunnel */
  #addRoutes(
    routes: Routes,
    own: { gateway: IpAddress | undefined; address: Cidr | undefined; hasIpv6: boolean },
  ): readonly AroundRoute[] {
    const { gateway, address, hasIpv6 } = own;
    const hasIpv4 = address !== undefined;
    const { serverAddress, lan, isHost = false, isEthernet = false } = this.#context;
    const gateway6 = this.#gateway6 ?? parseIpv6(this.#ifconfigIpv6?.words[2] ?? "");
    const by = { gateway, gateway6, isEthernet };
    const context: RouteContext = { ...by, serverAddress, lan, metric: this.#metric, address, isHost };
    const around: AroundRoute[] = [];
    let isUnusable = false;
    for (const { words, from } of this.#routes) {
      const isIpv6 = words[0] === "route-ipv6";
      if (isIpv6 && !hasIpv6) {
        isUnusable = true;
        continue;
      }
      const text = `${from}${printable(words.join(" "))}`;
      const route = isIpv6 ? routeIpv6Of(words, context) : hasIpv4 ? routeOf(words, context) : NO_IPV4;
      if (typeof route === "string") this.note("warn", `${text}: ${route}; ignored`);
      else if (isAround(route)) around.push(route);
      else routes.add(route.network, route.metric, text, route.via);
    }
    // def1, and the parts of IPv6's default route, exist to keep the host's own one; the table here has no other.
    const redirect = (network: IpAddress, text: string): void => {
      const route = defaultRoute(new Cidr(network, 0), context);
      if (typeof route === "string") this.note("warn", `${text}: ${route}; ignored`);
      else routes.add(route.network, route.metric, text, route.via);
    };
    if (this.#redirect && hasIpv4) redirect(IpAddress.fromIpv4(0), "redirect-gateway");
    if (this.#redirectIpv6 && hasIpv6) redirect(new IpAddress(0, 0, 0, 0), "redirect-gateway ipv6");
    if ((isUnusable || this.#redirectIpv6) && !hasIpv6 && !this.#blockIpv6)
      this.note(
        "info",
        "IPv6 is routed into the tunnel, but the tunnel has no IPv6 address (ifconfig-ipv6): it is refused",
      );
    return around;
  }
}

const NO_IPV4 = "the tunnel has no IPv4 address";

const REDIRECT_FLAGS: ReadonlySet<string> = new Set([
  "def1",
  "ipv6",
  "local",
  "autolocal",
  "block-local",
  "bypass-dhcp",
  "bypass-dns",
]);

/** Options with a meaning for the session, and those that servers push for other systems. */
const KNOWN_ELSEWHERE: ReadonlySet<string> = new Set([
  "peer-id",
  "cipher",
  "key-derivation",
  "protocol-flags",
  "ping",
  "ping-restart",
  "ping-exit",
  "ping-timer-rem",
  "auth-token",
  "auth-token-user",
  "reneg-sec",
  "explicit-exit-notify",
  "session-timeout",
  "inactive",
  "comp-lzo",
  "compress",
  "sndbuf",
  "rcvbuf",
  "tun-ipv6",
  "persist-key",
  "persist-tun",
  "route-delay",
  "route-method",
  // unavailable.ts
  "register-dns",
  "ip-win32",
  "socket-flags",
  "txqueuelen",
  "setenv",
  "setenv-safe",
  "echo",
  "verb",
]);
