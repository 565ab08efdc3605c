/**
 * DNS for the LAN: the forwarder between port 53 of the LAN's interface and sockets of the tunnel's. It has no other way out, so no question
 * of the LAN can leave by the WAN. Which servers are asked follows from the settings or from what the tunnel brought; those that the
 * tunnel does not lead to are named and not asked.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import { brief } from "../lib/brief.ts";
import { Cidr } from "../lib/cidr.ts";
import type { Counters } from "../lib/counters.ts";
import { type Endpoint, formatEndpoint } from "../lib/endpoint.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { DnsForwarder, type ForwarderEvent } from "../netstack/dns/forwarder.ts";
import { type HostNames, LocalNames } from "../netstack/dns/names.ts";
import { type DnsServerGroup, type DnsTls, upstreamName } from "../netstack/dns/upstreams.ts";
import type { Interface } from "../netstack/interface.ts";
import type { UdpSocket } from "../netstack/socket/udp-socket.ts";
import type { Tcp } from "../netstack/tcp/tcp.ts";
import { DNS_PORT } from "../netstack/wire/dns.ts";
import type { Material } from "../protocol/config/types.ts";
import type { TlsContextFactory } from "../protocol/ports.ts";
import type { Tunnel } from "../protocol/push/tunnel-options.ts";
import { DnsDials } from "./dns-dials.ts";
import { DnsStreams } from "./dns-streams.ts";
import { DnsTlsContexts } from "./dns-tls.ts";
import { SETTINGS_FILE } from "./profile.ts";
import { ServiceHost } from "./service-host.ts";
import type { DnsSettings } from "./settings/dns.ts";

export interface LanDnsOptions {
  readonly lan: Pick<Interface, "address" | "bindUdp" | "sendUdp">;
  /** Our IPv6 address on the LAN and its network; undefined: there is none. */
  readonly lan6: Cidr | undefined;
  readonly tunnel: Pick<Interface, "address" | "bindUdp" | "closeUdp" | "sendUdp">;
  /** Whoever owns it tells its users (wiring/tcp-users.ts). */
  readonly lanTcp: Tcp;
  readonly tunnelTcp: Tcp;
  readonly slab: Slab;
  readonly random: Random;
  readonly log: Log;
  readonly hostname: string;
  readonly settings: DnsSettings;
  readonly hosts: HostNames;
  readonly tls: TlsContextFactory;
  /** Who may sign the certificates of DNS servers: those that the profile trusts. */
  readonly authorities: () => Material | undefined;
}

/** Our choice: names are asked for in bursts. */
const DIAL_IDLE_MS = 10_000;
/** Our choice: lines of one kind a minute and at once, of what a server pushes, which it may change as often as it likes. */
const SAID = [6, 64] as const;
const LINK_LOCAL = new Cidr(new IpAddress(0xfe80_0000, 0, 0, 0), 10);
const NAME_ONE = `name one in ${SETTINGS_FILE}: [lan] dns = { servers = ["..."] }`;
const NO_TUNNEL =
  "a host of the LAN asks for a name, and there is no tunnel; it is told that there is no answer until there is one";

export class LanDns {
  readonly #options: LanDnsOptions;
  /** For what hosts of the LAN can cause as often as they like. */
  readonly #heard: BoundedLog;
  /** For what the server pushes. */
  readonly #said: BoundedLog;
  readonly #forwarder: DnsForwarder;
  readonly #host: ServiceHost;
  readonly #streams: DnsStreams;
  readonly #dials: DnsDials;
  readonly #tls: DnsTlsContexts;
  readonly #socket: UdpSocket | undefined;
  /** Why there is nobody to ask, and what helps. */
  #remedy = NO_TUNNEL;

  constructor(options: LanDnsOptions) {
    const { lan, lan6, tunnel, slab, random, hostname, settings, hosts } = options;
    this.#options = options;
    this.#heard = new BoundedLog(options.log);
    this.#said = new BoundedLog(options.log, ...SAID);
    const networks = (): Cidr[] => [lan.address, lan6].filter((network) => network !== undefined);
    const names = new LocalNames({ hostname, domain: settings.domain, hosts, networks });
    // A link-local source is of the LAN as well: it came by it.
    const isOfLan = (address: IpAddress): boolean =>
      [...networks(), LINK_LOCAL].some((network) => network.contains(address));
    this.#forwarder = new DnsForwarder({ random, names, isOfLan });
    this.#host = new ServiceHost({
      iface: tunnel,
      slab,
      service: this.#forwarder.asking,
      onEvents: (now) => this.#drain(now),
      onIgnored: (now, { peer }, reason) =>
        this.#heard.write(now, "debug", "dns.ignored", reason, { server: formatEndpoint(peer) }),
    });
    this.#streams = new DnsStreams(options.lanTcp, (now, from, port, stream, message) => {
      const answer = this.#forwarder.ask(now, from, port, stream, message, 0, message.length);
      if (this.#forwarder.hasWork) this.#host.wake();
      return answer > 0 ? this.#forwarder.reply.subarray(0, answer) : undefined;
    });
    const tls = new DnsTlsContexts(options.tls, options.authorities);
    this.#tls = tls;
    const { asking } = this.#forwarder;
    const dialEvents = {
      message: (now: number, id: number, message: Uint8Array) => asking.handleMessage(now, id, message),
      ended: (now: number, id: number) => asking.handleDialEnd(now, id),
    };
    this.#dials = new DnsDials(options.tunnelTcp, dialEvents, DIAL_IDLE_MS, {
      engine: (how) => tls.engine(how),
      refused: (now, server, { name }, failure) =>
        void this.#heard.write(
          now,
          "warn",
          "dns.tls-failed",
          `the DNS server ${server} cannot be asked over TLS: ${tls.explain(name, failure)}; it is not asked in the clear either`,
        ),
    });
    this.#socket = lan.bindUdp(DNS_PORT, {
      onDatagram: (now, src, srcPort, at, len) => this.#ask(now, src, srcPort, at, len),
    });
  }

  get counters(): Counters {
    return this.#forwarder.counters;
  }

  get cacheBytes(): number {
    return this.#forwarder.cacheBytes;
  }

  /** A tunnel is open: its servers are asked, or those of the settings. */
  tunnelUp(now: number, tunnel: Tunnel): void {
    const { settings } = this.#options;
    const wanted = settings.servers.length > 0 ? [ofSettings(settings)] : this.#ofTunnel(now, tunnel);
    const groups = wanted
      .map((group) => ({
        ...group,
        servers: group.servers.filter((server) => this.#isUsable(now, server, group.tls, tunnel)),
      }))
      .filter(({ servers }) => servers.length > 0);
    this.#forwarder.setServers(now, groups, [...settings.private, ...tunnel.dns.searchDomains]);
    this.#host.wake();
    if (groups.some(({ domains }) => domains.length === 0)) {
      const text = (group: DnsServerGroup): string =>
        [brief(group.domains, " "), ...group.servers.map((server) => upstreamName(server, group.tls))]
          .join(" ")
          .trimStart();
      const servers = brief(groups.map(text), ", ");
      this.#said.write(now, "info", "dns.configured", "", { servers, domain: settings.domain });
      return;
    }
    this.#remedy =
      wanted.length === 0
        ? `the tunnel brought no DNS server; ${NAME_ONE}`
        : `the tunnel brought no DNS server that can be asked for every name; ${NAME_ONE}`;
    this.#said.write(now, "warn", "dns.no-server", this.#remedy);
  }

  /** There is no tunnel any more. */
  tunnelDown(now: number): void {
    this.#remedy = NO_TUNNEL;
    this.#forwarder.setServers(now, [], []);
    this.#dials.closeAll(now);
    this.#host.wake();
  }

  pollAt(): number {
    return Math.min(this.#host.pollAt(), this.#streams.pollAt(), this.#dials.pollAt());
  }

  poll(now: number): void {
    this.#dials.poll(now);
    this.#streams.poll(now);
    this.#host.poll(now);
  }

  /** What the tunnel brought; of a transport that there is none of, it says so. */
  #ofTunnel(now: number, { dns }: Tunnel): DnsServerGroup[] {
    const groups: DnsServerGroup[] = [];
    for (const { addresses, domains, transport, serverName } of dns.servers) {
      if (transport !== "DoH")
        groups.push({ domains, servers: addresses, tls: transport === "DoT" ? { name: serverName } : undefined });
      else
        for (const { address } of addresses)
          this.#sayUnusable(
            now,
            address,
            "is to be asked over HTTPS (transport DoH), which this router does not speak",
          );
    }
    return groups;
  }

  /** Says of a server why it is not asked, and whether it is. */
  #isUsable(now: number, { address }: Endpoint, tls: DnsTls | undefined, tunnel: Tunnel): boolean {
    const { lan, lan6 } = this.#options;
    const lans = [lan.address, lan6].filter((network) => network !== undefined);
    const own = [tunnel.address, tunnel.address6, ...lans];
    const inside = lans.find((network) => network.contains(address));
    let why: string | undefined;
    if (own.some((ours) => ours?.address.equals(address) === true)) why = "is this gateway itself";
    else if (inside !== undefined) why = `is in the LAN ${inside.network}, and the tunnel cannot lead there`;
    else if (!tunnel.routes.some(({ network }) => network.contains(address)))
      why = "is in no network that the tunnel leads to; the server can push a route to it";
    else if (tls !== undefined) why = this.#tls.problem(tls);
    if (why !== undefined) this.#sayUnusable(now, address, why);
    return why === undefined;
  }

  #sayUnusable(now: number, address: IpAddress, why: string): void {
    this.#said.write(now, "warn", "dns.server-unusable", `the DNS server ${address} ${why}; it is not asked`);
  }

  #ask(now: number, src: IpAddress, srcPort: number, at: number, len: number): void {
    const forwarder = this.#forwarder;
    const answer = forwarder.ask(now, src, srcPort, 0, this.#options.slab.bytes, at, len);
    if (answer > 0) this.#send(now, src, srcPort, forwarder.reply.subarray(0, answer));
    if (forwarder.hasWork) this.#host.wake();
  }

  #send(now: number, to: IpAddress, port: number, message: Uint8Array): void {
    if (this.#socket !== undefined) this.#options.lan.sendUdp(now, this.#socket, to, port, message);
  }

  #drain(now: number): void {
    const forwarder = this.#forwarder;
    const { asking } = forwarder;
    for (let id = asking.pollHangUp(); id !== undefined; id = asking.pollHangUp()) this.#dials.hangUp(now, id);
    for (let dial = asking.pollDial(); dial !== undefined; dial = asking.pollDial()) this.#dials.dial(now, dial);
    for (let answer = forwarder.pollAnswer(); answer !== undefined; answer = forwarder.pollAnswer()) {
      if (answer.stream === 0) this.#send(now, answer.to, answer.port, answer.message);
      else this.#streams.answer(now, answer.stream, answer.message);
    }
    for (let event = forwarder.pollEvent(); event !== undefined; event = forwarder.pollEvent()) this.#say(now, event);
  }

  #say(now: number, event: ForwarderEvent): void {
    const say = (name: string, text: string): void => void this.#heard.write(now, "warn", name, text);
    switch (event.kind) {
      case "no-server":
        return say("dns.no-server", this.#remedy);
      case "server-down":
        return say(
          "dns.server-down",
          `the DNS server ${event.server} behind the tunnel does not answer; another one is asked where there is one`,
        );
      case "server-up":
        return void this.#heard.write(now, "info", "dns.server-up", `the DNS server ${event.server} answers again`);
      case "private-answer":
        return say(
          "dns.private-answer",
          `${event.name} has a private address, says the DNS server ${event.server}; it is refused, because a page of the internet ` +
            `could reach into the LAN by it. If the name is yours: [lan] dns = { private = ["its domain"] } in ${SETTINGS_FILE}`,
        );
      default:
        event satisfies never;
    }
  }
}

const ofSettings = ({ servers }: DnsSettings): DnsServerGroup => ({
  domains: [],
  servers: servers.map((address) => ({ address, port: DNS_PORT })),
});
