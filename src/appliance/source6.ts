/** Where the WAN's IPv6 addresses come from: the file, or the network's routers and DHCPv6 servers. */
import type { BoundedLog } from "../lib/bounded-log.ts";
import { Cidr } from "../lib/cidr.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Mac } from "../lib/mac.ts";
import type { Random } from "../lib/random.ts";
import { Dhcp6Client, type Dhcp6Info, type Lease6 } from "../netstack/dhcp6/client.ts";
import type { EthernetInterface } from "../netstack/interface.ts";
import type { Ip6Config } from "../netstack/ip6/addressing.ts";
import { RouterDiscovery } from "../netstack/ra/host.ts";
import { type AddressPrf, stableAddress } from "../netstack/ra/stable-address.ts";
import { ServiceHost } from "./service-host.ts";

export interface Source6 {
  /** How the log names it. */
  readonly by: "static" | "auto";
  /** What the interface is to have. */
  readonly config: Ip6Config;
  readonly dns: readonly IpAddress[];
  /** Messages of the network by name, for the statistics. */
  readonly counters: Readonly<Record<string, number>>;
  /** The link is there, or gone; the end. */
  start(now: number): void;
  stop(now: number): void;
  leave(now: number): void;
  /** What the interface found out: nobody else has an address, somebody has, a router does not answer. */
  usable(now: number, address: IpAddress): void;
  /** @returns what follows, in words that stand behind a semicolon */
  taken(now: number, address: IpAddress): string;
  unreachable(now: number, router: IpAddress): void;
  pollAt(): number;
  /** Does what is due. */
  poll(now: number): void;
}

const NEVER = Number.POSITIVE_INFINITY;
const LINK_LOCAL = new Cidr(new IpAddress(0xfe80_0000, 0, 0, 0), 64);
/** RFC 7217 6: IDGEN_RETRIES. */
const RETRIES = 3;

/** An address and a gateway of the file, and the link-local one that neighbour discovery needs. */
export class StaticSource6 implements Source6 {
  readonly by = "static";
  readonly dns: readonly IpAddress[] = [];
  readonly counters = {};
  readonly #address: Cidr;
  readonly #gateway: IpAddress;
  readonly #linkLocal: (counter: number) => Cidr;
  #isOn = false;
  /** Link-local addresses that others have. */
  #taken = 0;

  constructor(address: Cidr, gateway: IpAddress, mac: Mac, prf: AddressPrf) {
    this.#address = address;
    this.#gateway = gateway;
    this.#linkLocal = (counter) => new Cidr(stableAddress(prf, LINK_LOCAL.address, mac, counter), LINK_LOCAL.prefix);
  }

  get config(): Ip6Config {
    if (!this.#isOn) return { addresses: [] };
    const own = this.#taken > RETRIES ? [] : [{ address: this.#linkLocal(this.#taken) }];
    // A gateway outside of the prefix is reached on the link all the same: so some providers number their machines.
    const onLink = [this.#address.network, new Cidr(this.#gateway, 128)];
    return { addresses: [...own, { address: this.#address }], onLink, gateway: this.#gateway };
  }

  start(): void {
    this.#isOn = true;
    this.#taken = 0;
  }

  stop(): void {
    this.#isOn = false;
  }

  leave(): void {}

  usable(): void {}

  taken(_now: number, address: IpAddress): string {
    if (address.equals(this.#address.address)) return "one of the two has to get another one ([wan] address6)";
    this.#taken++;
    return this.#taken > RETRIES ? "there is no IPv6 on the WAN until it is plugged in again" : "another one is taken";
  }

  unreachable(): void {}

  pollAt(): number {
    return NEVER;
  }

  poll(): void {}
}

export interface AutoSource6Options {
  readonly wan: EthernetInterface;
  readonly slab: { readonly bytes: Uint8Array };
  readonly mac: Mac;
  readonly random: Random;
  readonly prf: AddressPrf;
  readonly heard: BoundedLog;
}

/** What routers advertise, and DHCPv6 where they say so. */
export class AutoSource6 implements Source6 {
  readonly by = "auto";
  readonly counters = { wanAdverts: 0, wanAdvertsIgnored: 0, dhcp6Ignored: 0 };
  readonly #wan: EthernetInterface;
  readonly #heard: BoundedLog;
  readonly #discovery: RouterDiscovery;
  readonly #dhcp: Dhcp6Client;
  readonly #host: ServiceHost;
  #lease: Lease6 | undefined;
  #info: Dhcp6Info | undefined;
  /** Something was heard that poll() has not looked at yet. */
  #isFresh = false;

  constructor({ wan, slab, mac, random, prf, heard }: AutoSource6Options) {
    this.#wan = wan;
    this.#heard = heard;
    this.#discovery = new RouterDiscovery({ mac, prf, random, mtu: wan.link.mtu });
    this.#dhcp = new Dhcp6Client({ mac, random });
    this.#host = new ServiceHost({
      iface: wan,
      slab,
      service: this.#dhcp,
      onEvents: () => this.#handleDhcp(),
      onIgnored: (now, { peer }, reason) => {
        this.counters.dhcp6Ignored++;
        heard.write(now, "debug", "dhcp6.ignored", reason, { server: `${peer.address}` });
      },
    });
    wan.v6.onRouterAdvert = (now, router, message) => this.#advertised(now, router, message);
  }

  get config(): Ip6Config {
    const { addresses, onLink, gateway, routes, mtu, hopLimit } = this.#discovery.config;
    const own = addresses.map(({ address, isDeprecated }) => ({ address, isDeprecated }));
    // The prefix of a leased address says nothing of the link (RFC 5942 4).
    if (this.#lease !== undefined) own.push({ address: new Cidr(this.#lease.address, 128), isDeprecated: false });
    return { addresses: own, onLink, gateway, routes, mtu, hopLimit };
  }

  get dns(): readonly IpAddress[] {
    const servers = [...this.#discovery.config.dns];
    for (const server of this.#lease?.dns ?? this.#info?.dns ?? [])
      if (!servers.some((known) => known.equals(server))) servers.push(server);
    return servers;
  }

  start(now: number): void {
    this.#discovery.start(now);
  }

  stop(now: number): void {
    this.#discovery.stop(now);
    this.#isFresh = true;
  }

  /** A leased address is given back, so that others can have it. */
  leave(now: number): void {
    this.#dhcp.release();
    this.#host.poll(now);
  }

  usable(now: number, address: IpAddress): void {
    this.#discovery.usable(now, address);
    this.#isFresh = true;
  }

  taken(now: number, address: IpAddress): string {
    this.#isFresh = true;
    if (this.#lease?.address.equals(address) === true) {
      this.#lease = undefined;
      this.#dhcp.decline(now);
      this.#host.wake();
      return "the DHCPv6 server is asked for another one";
    }
    this.#discovery.taken(now, address);
    return "another address is made; when three in a row are in use, the next is tried after five minutes";
  }

  unreachable(now: number, router: IpAddress): void {
    this.#discovery.unreachable(now, router);
    this.#isFresh = true;
  }

  pollAt(): number {
    return this.#isFresh ? Number.NEGATIVE_INFINITY : Math.min(this.#discovery.pollAt(), this.#host.pollAt());
  }

  poll(now: number): void {
    this.#isFresh = false;
    if (this.#discovery.pollAt() <= now) this.#discovery.handleTimeout(now);
    for (let event = this.#discovery.pollEvent(); event !== undefined; event = this.#discovery.pollEvent()) {
      if (event.kind !== "dhcp") continue;
      if (event.mode === "off") this.#endDhcp();
      else this.#dhcp.start(now, event.mode);
    }
    for (let sent = this.#discovery.pollTransmit(); sent !== undefined; sent = this.#discovery.pollTransmit())
      this.#wan.v6.sendNd(now, sent.source, sent.destination, sent.message);
    this.#host.poll(now);
  }

  #endDhcp(): void {
    this.#dhcp.stop();
    this.#lease = undefined;
    this.#info = undefined;
  }

  #advertised(now: number, router: IpAddress, message: Uint8Array): void {
    const ignored = this.#discovery.handleAdvertisement(now, router, message);
    this.counters.wanAdverts++;
    this.#isFresh = true;
    if (ignored === undefined) return;
    this.counters.wanAdvertsIgnored++;
    this.#heard.write(now, "debug", "ra.ignored", ignored, { router: `${router}` });
  }

  #handleDhcp(): void {
    for (let event = this.#dhcp.pollEvent(); event !== undefined; event = this.#dhcp.pollEvent()) {
      if (event.kind === "info") this.#info = event.info;
      else this.#lease = event.kind === "expired" ? undefined : event.lease;
    }
  }
}
