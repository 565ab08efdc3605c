/** The LAN's DHCP server between the LAN interface, which it asks for conflicts by ARP, and the log, which its events are put into words for. */
import { BoundedLog } from "../lib/bounded-log.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { Counters } from "../lib/counters.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { formatMac, type Mac } from "../lib/mac.ts";
import type { Random } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { ASIDE_MS, type Binding, type LeaseNames } from "../netstack/dhcp4/pool.ts";
import { DhcpServer, type DhcpServerEvent } from "../netstack/dhcp4/server.ts";
import type { EthernetInterface } from "../netstack/interface.ts";
import type { StateStore } from "../platform/state/store.ts";
import { ServiceHost } from "./service-host.ts";
import type { DhcpSettings } from "./settings/dhcp.ts";
import { keptLeases, leasesToKeep } from "./state/leases.ts";

/** Lines about leases: a minute, and at once (a network that comes back after a power cut). */
const LEASE_LINES = { perMinute: 60, burst: 100 };

/** Who answers the LAN's questions for names. */
export interface NameService {
  readonly server: IpAddress;
  readonly domain: string;
}

export interface LanDhcpOptions {
  readonly lan: EthernetInterface;
  readonly mac: Mac;
  /** Our address and its subnet. */
  readonly address: Cidr;
  readonly hostname: string;
  readonly settings: DhcpSettings;
  /** Largest packet that passes the tunnel; as large as can be while there is none. */
  readonly tunnelMtu: () => number;
  /** undefined: the LAN has none from us. */
  readonly nameService: NameService | undefined;
  readonly slab: Pick<Slab, "bytes">;
  readonly log: Log;
  readonly random: Random;
  /** What outlives a restart; undefined: nothing does. */
  readonly state: StateStore | undefined;
  /** Of what is kept, the clock: ms. */
  readonly unixMs: () => number;
}

/** What the leases are kept under. */
const LEASES = "leases";

export class LanDhcp {
  readonly #options: LanDhcpOptions;
  readonly #server: DhcpServer;
  readonly #host: ServiceHost;
  readonly #heard: BoundedLog;
  readonly #leases: BoundedLog;
  /** The server that this one is silent for. */
  #saidOff = "";
  #saidNameless = false;

  constructor(options: LanDhcpOptions) {
    this.#options = options;
    const { lan, mac, address, hostname, settings, tunnelMtu, nameService, slab, log, random } = options;
    this.#heard = new BoundedLog(log);
    this.#leases = new BoundedLog(log, LEASE_LINES.perMinute, LEASE_LINES.burst);
    this.#server = new DhcpServer({
      mac,
      lan: address,
      hostname,
      first: settings.first.w3,
      last: settings.last.w3,
      leaseSeconds: settings.leaseSeconds,
      reservations: settings.reservations.map((r) => ({ mac: r.mac, address: r.address.w3 })),
      facts: () => ({
        dns: nameService === undefined ? [] : [nameService.server.w3],
        domain: nameService?.domain,
        mtu: tunnelMtu() < lan.mtu ? tunnelMtu() : undefined,
      }),
      random,
    });
    this.#host = new ServiceHost({
      iface: lan,
      slab,
      service: this.#server,
      station: ({ hi, lo }) => lan.link.neighbors.station(hi, lo),
      onEvents: (now) => this.#handleEvents(now),
      onIgnored: (now, { peer }, reason) =>
        this.#heard.write(now, "debug", "lan.dhcp-ignored", reason, { host: `${peer.address}` }),
    });
    lan.link.arp.onHeard = (now, word, hi, lo) => {
      if (this.#server.heard(now, word, hi, lo)) this.#host.wake();
    };
  }

  /** Names of the hosts that have a lease. */
  get names(): LeaseNames {
    return this.#server.names;
  }

  /** What was ignored, by reason. */
  get drops(): Counters {
    return this.#server.drops;
  }

  get leased(): Iterable<Binding> {
    return this.#server.leased;
  }

  get use(): DhcpServer["use"] {
    return this.#server.use;
  }

  /** Takes up the leases that were kept; before the first start. */
  restore(now: number): void {
    const { state, unixMs, log } = this.#options;
    const kept = state?.read(now, LEASES, (data) => keptLeases(data, unixMs()));
    if (kept === undefined) return;
    this.#server.restore(now, kept);
    log.write("info", "lease.restored", "", { leases: this.#server.use.leases });
  }

  start(now: number): void {
    this.#server.start(now);
    this.#host.poll(now);
  }

  pollAt(): number {
    return this.#host.pollAt();
  }

  handleTimeout(now: number): void {
    this.#host.poll(now);
  }

  #handleEvents(now: number): void {
    const { link } = this.#options.lan;
    for (let event = this.#server.pollEvent(); event !== undefined; event = this.#server.pollEvent()) {
      if ("lease" in event || "address" in event) this.#keep(now);
      this.#say(now, event);
    }
    for (let word = this.#server.pollProbe(); word !== undefined; word = this.#server.pollProbe()) link.probe(word);
  }

  #keep(now: number): void {
    const { state, unixMs } = this.#options;
    state?.keep(now, LEASES, (at) => leasesToKeep(this.#server.leased, at, unixMs()));
  }

  #say(now: number, event: DhcpServerEvent): void {
    const { log } = this.#options;
    switch (event.kind) {
      case "serving":
        this.#saidOff = "";
        this.#sayServing();
        return;
      case "off":
        if (this.#saidOff === `${event.server}`) return;
        this.#saidOff = `${event.server}`;
        log.write(
          "warn",
          "lan.dhcp-off",
          `another DHCP server (${event.server}) answers on the LAN, so ours is silent, and looks again every minute; turn that one off, or write dhcp = false below [lan] in appliance.toml`,
        );
        return;
      case "rival":
        this.#heard.write(
          now,
          "warn",
          "lan.dhcp-rival",
          `another DHCP server (${event.server}) answers on the LAN beside ours: hosts may get from it a gateway that leads past the tunnel; turn one of the two off`,
        );
        return;
      case "leased":
        this.#leases.write(now, "info", "lease.given", "", leaseFields(event.lease));
        return;
      case "renewed":
        this.#leases.write(now, "debug", "lease.renewed", "", leaseFields(event.lease));
        return;
      case "released":
        this.#leases.write(now, "info", "lease.released", "", leaseFields(event.lease));
        return;
      case "unused":
        this.#leases.write(
          now,
          "info",
          "lease.unused",
          "the pool is full, so a lease that no host uses was taken back",
          leaseFields(event.lease),
        );
        return;
      case "conflict":
      case "declined":
        this.#heard.write(now, "warn", "lease.conflict", conflictText(event), {
          address: `${event.address}`,
          mac: formatMac(event.mac),
        });
        return;
      case "full":
        this.#heard.write(
          now,
          "warn",
          "lease.pool-full",
          "a host got no address, as all of the pool are in use; make the pool larger or the leases shorter (dhcp = { first, last, lease } below [lan] in appliance.toml)",
        );
        return;
    }
    event satisfies never;
  }

  #sayServing(): void {
    const { log, settings, nameService } = this.#options;
    log.write("info", "lan.dhcp", "", {
      first: `${settings.first}`,
      last: `${settings.last}`,
      lease: settings.leaseSeconds,
    });
    if (nameService !== undefined || this.#saidNameless) return;
    this.#saidNameless = true;
    log.write(
      "info",
      "lan.dhcp-without-dns",
      "DHCP clients are told of no DNS server, because the router answers no names on the LAN; set one on them by hand",
    );
  }
}

const leaseFields = ({ address, client, name }: Binding) => ({
  address: `${IpAddress.fromIpv4(address)}`,
  mac: formatMac(client.mac),
  name,
});

function conflictText(event: { readonly kind: "conflict" | "declined"; readonly address: IpAddress }): string {
  const aside = `it is set aside for ${ASIDE_MS / 60_000} minutes; give that host an address outside of the pool`;
  return event.kind === "conflict"
    ? `a host without a lease uses ${event.address}; ${aside}`
    : `a client found that another host uses ${event.address}; ${aside}`;
}
