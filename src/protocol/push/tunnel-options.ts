/**
 * What the tunnel is: its addresses and what is routed into it. Local lines of the profile and pushed ones have the same
 * meaning (man openvpn, "VPN Tunnel Options" and "Client Options"); a pushed scalar replaces the local one, routes add up.
 *
 * Differs from OpenVPN on purpose: there is no way around the tunnel for the LAN, so net_gateway is refused and the
 * flags local, autolocal, bypass-dhcp, bypass-dns and block-local have nothing to act on.
 */
import { Cidr, maskPrefix } from "../../lib/cidr.ts";
import { IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { printable, splitWords } from "../config/lexer.ts";
import type { LocalOption } from "../config/types.ts";
import { unavailable } from "../config/unavailable.ts";
import { isIpv6 } from "../config/values.ts";

/** A network that goes into the tunnel; its host bits are zero. */
export interface TunnelRoute {
  readonly network: Cidr;
  readonly metric: number;
}

/** Something to tell about an option: "warn" where a person should act, "info" and "debug" where not. */
export interface Note {
  readonly level: "warn" | "info" | "debug";
  readonly text: string;
}

export interface Tunnel {
  /** This end's address, with the prefix of the tunnel's subnet with topology subnet, else 32. */
  readonly address: Cidr;
  /** The far end's address with net30 and p2p. */
  readonly peer: IpAddress | undefined;
  /** route-gateway, or the peer. */
  readonly gateway: IpAddress | undefined;
  /** tun-mtu where pushed. */
  readonly mtu: number | undefined;
  /** The tunnel's own subnet or peer first, then the others in order; none twice. */
  readonly routes: readonly TunnelRoute[];
  /** Resolvers behind the tunnel, in order. */
  readonly dnsServers: readonly IpAddress[];
  readonly notes: readonly Note[];
}

export type TunnelResult =
  | { readonly ok: true; readonly tunnel: Tunnel }
  | { readonly ok: false; readonly problem: string };

export interface TunnelContext {
  /** Where the server is, for remote_host. */
  readonly serverAddress?: IpAddress;
  /** The gateway's address on the LAN, with the LAN's prefix; undefined: this side has no network of its own. */
  readonly lan: Cidr | undefined;
}

/** More routes than this are left out, with a warning. */
const MAX_ROUTES = 4096;
/** Our choice: a server can push thousands of options at each connection, and each note is a line of the log. */
const MAX_NOTES = 64;
const MIN_TUN_MTU = 100;
const MAX_METRIC = 0x7fff_ffff;

/** @param pushed after the pull filters; @param local TunnelConfig.localOptions. Never throws. */
export function parseTunnelOptions(
  pushed: readonly string[],
  local: readonly LocalOption[],
  context: TunnelContext,
): TunnelResult {
  const reading = new TunnelReading(context);
  const lines = local.map(({ words }) => words);
  for (const { words, origin } of local) reading.take(words, `${origin.file}:${origin.line}: `);
  for (const option of pushed) {
    const words = splitWords(option);
    if (typeof words === "string") reading.note("warn", `pushed ${printable(/^\S*/.exec(option)![0])}: ${words}`);
    else if (words[0] !== undefined) {
      reading.take(words, "pushed ");
      lines.push(words);
    }
  }
  // What a line of the profile asks for was told of when the profile was read.
  for (const { index, text } of unavailable(lines))
    if (index >= local.length) reading.note("warn", `pushed ${printable(lines[index]?.[0] ?? "")}: ${text}`);
  return reading.finish();
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
  #topology: "subnet" | "net30" | "p2p" | undefined;
  #gateway: IpAddress | undefined;
  #metric = 0;
  #mtu: number | undefined;
  #redirect = false;
  readonly #servers: IpAddress[] = [];

  constructor(context: TunnelContext) {
    this.#context = context;
  }

  note(level: Note["level"], text: string): void {
    if (this.#notes.length < MAX_NOTES) this.#notes.push({ level, text });
    else this.#unsaid++;
  }

  take(words: readonly string[], from: string): void {
    const [name, first] = words;
    const bad = (why: string) => this.note("warn", `${from}${printable(words.join(" "))}: ${why}; ignored`);
    switch (name) {
      case "ifconfig":
        this.#ifconfig = { words, from };
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
        if (first === undefined) bad("no network");
        else this.#routes.push({ words, from });
        break;
      case "route-gateway": {
        const gateway = parseIpv4(first ?? "");
        if (gateway === undefined) bad("not an IPv4 address");
        else if (!gateway.isHost) bad("not a host's address");
        else this.#gateway = gateway;
        break;
      }
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
      case "dhcp-option":
        this.#takeDhcp(words, bad);
        break;
      case "block-ipv6":
        this.note("debug", `${from}block-ipv6: IPv6 of the LAN never leaves`);
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
      else if (!REDIRECT_FLAGS.has(flag))
        this.note("info", `${from}${words[0]} ${printable(flag)}: unknown flag; ignored`);
      else if (flag !== "def1" && flag !== "ipv6")
        this.note("debug", `${from}${words[0]} ${flag}: nothing of the LAN goes around the tunnel; ignored`);
    }
    if (ipv4) this.#redirect = true;
  }

  #takeDhcp([, type, value]: readonly string[], bad: (why: string) => void): void {
    if (type === undefined) return bad("no type");
    if (!["DNS", "DNS6"].includes(type.toUpperCase())) return;
    const server = parseIpv4(value ?? "");
    if (server === undefined) {
      if (!isIpv6(value ?? "")) bad("not an address");
    } else if (!server.isHost) bad("not a host's address");
    else if (!this.#servers.some((known) => known.equals(server))) this.#servers.push(server);
  }

  finish(): TunnelResult {
    const own = this.#ownAddress();
    if (typeof own === "string") return { ok: false, problem: own };
    const { address, peer } = own;
    const { lan } = this.#context;
    if (peer !== undefined && lan?.contains(address.address))
      this.note(
        "warn",
        `the tunnel's address ${address.address} is of the LAN ${lan.network}; on the LAN, the LAN wins`,
      );
    const gateway = this.#gateway ?? peer;
    const routes = new Routes(this.#context.lan, (text) => this.note("warn", text));
    routes.add(peer === undefined ? address : new Cidr(peer, 32), 0, "the tunnel's own network");
    for (const { words, from } of this.#routes) {
      const text = `${from}${printable(words.join(" "))}`;
      const route = this.#route(words, gateway);
      if (typeof route === "string") this.note("warn", `${text}: ${route}; ignored`);
      else routes.add(route.network, route.metric, text);
    }
    // def1 exists to keep the host's own default route; the table here has no other, so one route says it.
    if (this.#redirect) routes.add(new Cidr(IpAddress.fromIpv4(0), 0), this.#metric, "redirect-gateway");
    if (this.#unsaid > 0)
      this.#notes.push({ level: "info", text: `${this.#unsaid} more notes on options are left out` });
    return {
      ok: true,
      tunnel: {
        address,
        peer,
        gateway,
        mtu: this.#mtu,
        routes: routes.list,
        dnsServers: this.#servers,
        notes: this.#notes,
      },
    };
  }

  #ownAddress(): Pick<Tunnel, "address" | "peer"> | string {
    if (this.#ifconfig === undefined)
      return "no tunnel address: the server pushed no ifconfig and the profile has none";
    const { words, from } = this.#ifconfig;
    const where = `${from}${printable(words.join(" "))}`;
    const address = parseIpv4(words[1] ?? "");
    const second = parseIpv4(words[2] ?? "");
    if (address === undefined || second === undefined) return `${where}: not two IPv4 addresses`;
    if (!address.isHost) return `${where}: ${address} cannot be a host's address`;
    const mask = maskPrefix(second.w3);
    let topology = this.#topology;
    if (topology === undefined) {
      // OpenVPN 2.6 assumes net30 then, 2.7 subnet; a netmask is never a peer's address.
      topology = second.w3 >>> 24 === 255 && mask !== undefined ? "subnet" : "net30";
    }
    if (topology === "subnet") {
      if (mask === undefined || mask === 0) return `${where}: ${second} is not a netmask, which topology subnet needs`;
      return { address: new Cidr(address, mask), peer: undefined };
    }
    if (!second.isHost) return `${where}: ${second} cannot be the peer's address, which topology ${topology} needs`;
    return { address: new Cidr(address, 32), peer: second };
  }

  /** route NETWORK [MASK [GATEWAY [METRIC]]]; "default" stands for a value left out. */
  #route(words: readonly string[], vpnGateway: IpAddress | undefined): TunnelRoute | string {
    const [, network, mask, gateway] = words.map((w) => (w === "default" ? "" : w));
    let target: IpAddress | undefined;
    if (network === "net_gateway") return "net_gateway is outside the tunnel";
    if (network === "vpn_gateway") {
      if (vpnGateway === undefined) return "the tunnel has no gateway (route-gateway)";
      target = vpnGateway;
    } else if (network === "remote_host") {
      if (this.#context.serverAddress === undefined) return "the server's address is not known";
      target = this.#context.serverAddress;
    } else {
      // Word 1 may be "default" only in the sense of the default route nowhere in OpenVPN: it must be an address.
      target = parseIpv4(network ?? "");
      if (target === undefined) return "not an IPv4 network (names are not looked up)";
    }
    let prefix: number | undefined = 32;
    if (mask !== undefined && mask !== "") {
      const value = parseIpv4(mask);
      prefix = value === undefined ? undefined : maskPrefix(value.w3);
      if (prefix === undefined) return `${printable(mask)} is not a netmask`;
    }
    if (gateway === "net_gateway" || gateway === "remote_host") {
      return `${gateway} is outside the tunnel, and nothing of the LAN goes there`;
    }
    if (gateway !== undefined && gateway !== "" && gateway !== "vpn_gateway") {
      const address = parseIpv4(gateway);
      if (address?.isHost !== true) return `${printable(gateway)} is not a gateway`;
      if (this.#context.lan?.contains(address)) return `the gateway ${gateway} is in the LAN`;
    }
    const metric = words[4] === undefined || words[4] === "default" ? this.#metric : metricOf(words[4]);
    if (metric === undefined) return `${printable(words[4] ?? "")} is not a metric`;
    if (target.isMulticast || (target.isLoopback && prefix >= 8)) return "not a network that can be routed";
    return { network: new Cidr(target, prefix).network, metric };
  }
}

/** The routes so far: a network that comes again keeps its place and the lower metric. */
class Routes {
  readonly #lan: TunnelContext["lan"];
  readonly #warn: (text: string) => void;
  readonly #index = new Map<string, number>();
  readonly list: TunnelRoute[] = [];
  #tooMany = false;

  constructor(lan: TunnelContext["lan"], warn: (text: string) => void) {
    this.#lan = lan;
    this.#warn = warn;
  }

  add(route: Cidr, metric: number, text: string): void {
    const { network } = route;
    const key = `${network}`;
    const at = this.#index.get(key);
    if (at !== undefined) {
      if (metric < this.list[at]!.metric) this.list[at] = { network, metric };
      return;
    }
    if (this.list.length === MAX_ROUTES) {
      if (!this.#tooMany) this.#warn(`more than ${MAX_ROUTES} routes: ${text} and those behind it are ignored`);
      this.#tooMany = true;
      return;
    }
    const lan = this.#lan;
    // A default route (or half of it) covers every LAN and surprises nobody.
    if (lan !== undefined && network.prefix > 1 && network.overlaps(lan))
      this.#warn(`${text}: ${network} overlaps the LAN ${lan.network}; the LAN wins`);
    this.#index.set(key, this.list.length);
    this.list.push({ network, metric });
  }
}

const metricOf = (word: string | undefined): number | undefined =>
  word !== undefined && /^\d{1,10}$/.test(word) && Number(word) <= MAX_METRIC ? Number(word) : undefined;

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
  "ifconfig-ipv6",
  "route-ipv6",
  "route-ipv6-gateway",
  "dns",
  "register-dns",
  "ip-win32",
  "socket-flags",
  "txqueuelen",
  "setenv",
  "setenv-safe",
  "echo",
  "verb",
]);
