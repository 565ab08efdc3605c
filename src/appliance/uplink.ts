/**
 * The WAN's address: static, or by DHCP; says when there is one, when it changes and when it is gone. A leased address that
 * another host turns out to have is declined.
 *
 * Whoever answers DHCP on the WAN decides what address we have, but not how often everything above starts anew: after a few
 * changes in a row a lease is looked at again only every {@link REST_MS}.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import { brief } from "../lib/brief.ts";
import type { Counters } from "../lib/counters.ts";
import { formatIpv4, IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { formatMac, type Mac } from "../lib/mac.ts";
import type { Random } from "../lib/random.ts";
import { RateLimit } from "../lib/rate-limit.ts";
import { DhcpClient, type DhcpTrouble, type Lease } from "../netstack/dhcp4/client.ts";
import { leaseConfig } from "../netstack/dhcp4/lease.ts";
import type { EthernetInterface } from "../netstack/interface.ts";
import type { InterfaceConfig } from "../netstack/ip4/addressing.ts";
import { wanConflict } from "./conflicts.ts";
import { ServiceHost } from "./service-host.ts";
import type { Settings } from "./settings/settings.ts";

/** A host that has the leased address already may take this long to say so (RFC 5227 ANNOUNCE_WAIT). */
const CHECK_MS = 2000;
const SAY_WAITING_AFTER_MS = 10_000;
/** A lease may change this often in a row, then once in this time. */
const CHANGES = 5;
const REST_MS = 15_000;
const NEVER = Number.POSITIVE_INFINITY;

const NO_ANSWER =
  "no DHCP server answers on the WAN; check the cable or the first NIC, or set [wan] address in appliance.toml";
const OTHER_LAN = "is of the LAN's network; give the LAN another one ([lan] address in appliance.toml)";
/** What is the matter with a server that answers. */
const TROUBLE: Readonly<Record<DhcpTrouble, string>> = {
  "no-server-id": "its offer does not say whose it is (option 54), and is not taken",
  "bad-address": "the address that it offers cannot be a host's",
  "lan-address": `the address that it offers ${OTHER_LAN}`,
  "lan-gateway": `the gateway that it offers ${OTHER_LAN}`,
  refuses: "it refuses (DHCPNAK) what it is asked for, or what it has offered itself",
  silent: "after its offer it says nothing more",
};
/** Answers that a person should hear of at once. */
const REFUSED: Readonly<Record<string, string>> = {
  "lan-address": `the address that a DHCP server gives ${OTHER_LAN}; refused`,
  "lan-gateway": `the gateway that a DHCP server gives ${OTHER_LAN}; refused`,
  "other-address":
    "asked to prolong the lease, a DHCP server gives another address (RFC 2131 4.4.5); refused, the lease goes on",
};

/** What the owner does about the WAN. */
export interface UplinkEvents {
  /** There is an address (again), or it, its gateway or its MTU changed: everything that used the old one starts anew. */
  up(now: number, dns: readonly IpAddress[]): void;
  /** Same address, other resolvers. */
  resolvers(dns: readonly IpAddress[]): void;
  down(now: number, reason: string): void;
}

export interface UplinkOptions {
  readonly wan: EthernetInterface;
  readonly settings: Pick<Settings, "hostname" | "wan"> & { readonly lan: Pick<Settings["lan"], "address"> };
  readonly slab: { readonly bytes: Uint8Array };
  readonly mac: Mac;
  readonly log: Log;
  readonly random: Random;
  readonly events: UplinkEvents;
}

interface Dhcp {
  readonly client: DhcpClient;
  readonly host: ServiceHost;
}

export class Uplink {
  readonly #wan: EthernetInterface;
  readonly #settings: Settings["wan"];
  readonly #log: Log;
  /** For warnings that neighbours can cause as often as they like: it bounds them. */
  readonly #heard: BoundedLog;
  readonly #events: UplinkEvents;
  /** Where the address comes by DHCP. */
  readonly #dhcp: Dhcp | undefined;
  readonly #changes = new RateLimit(1000 / REST_MS, CHANGES);
  /** When a lease is asked for again, after it had changed too often. */
  #resumeAt = NEVER;
  #saidWaiting = false;
  #startedAt = 0;
  /** Until then a conflict means that the other host was there first. */
  #checkUntil = Number.NEGATIVE_INFINITY;
  /** MAC of the host that the lease before this one was declined for. */
  #declinedFor = "";

  constructor(options: UplinkOptions) {
    const { wan, slab, log, settings } = options;
    this.#wan = wan;
    this.#settings = settings.wan;
    this.#log = log;
    this.#heard = new BoundedLog(log);
    this.#events = options.events;
    wan.link.arp.onConflict = (now, mac) => this.#conflict(now, mac);
    if (settings.wan.address !== "dhcp") return;
    const { hostname, lan } = settings;
    const client = new DhcpClient({ mac: options.mac, hostname, lan: lan.address, random: options.random });
    const host = new ServiceHost({
      iface: wan,
      slab,
      service: client,
      onEvents: (now) => this.#handleEvents(now, client),
      onIgnored: (now, { peer }, reason) => {
        const server = `${peer.address}`;
        const text = REFUSED[reason];
        if (text === undefined) this.#heard.write(now, "debug", "dhcp.ignored", reason, { server });
        else this.#heard.write(now, "warn", "dhcp.refused", text, { server });
      },
    });
    this.#dhcp = { client, host };
  }

  /** What the DHCP client ignored; undefined: the address is static. */
  get drops(): Counters | undefined {
    return this.#dhcp?.client.drops;
  }

  /** The link is there. */
  start(now: number): void {
    this.#startedAt = now;
    const { address, gateway, dns } = this.#settings;
    if (address === "none") return;
    if (address === "dhcp") {
      this.#dhcp?.client.start(now);
      this.#dhcp?.host.poll(now);
      return;
    }
    this.#wan.configure({ address, gateway });
    this.#wan.link.probe();
    this.#say({ address, gateway }, dns, "static");
    this.#events.up(now, dns);
  }

  /** The link is gone; start() follows when it is back. */
  stop(now: number, reason: string): void {
    this.#resumeAt = NEVER;
    this.#dhcp?.client.stop();
    this.#withdraw(now, reason);
  }

  /** The end: a leased address is given back, so that others can have it. */
  leave(now: number): void {
    this.#dhcp?.client.release();
    this.#dhcp?.host.poll(now);
  }

  pollAt(): number {
    if (this.#dhcp === undefined) return NEVER;
    return Math.min(this.#dhcp.host.pollAt(), this.#resumeAt, this.#sayWaitingAt);
  }

  handleTimeout(now: number): void {
    if (now >= this.#resumeAt) {
      this.#resumeAt = NEVER;
      this.#dhcp?.client.start(now);
    }
    this.#dhcp?.host.poll(now);
    if (now < this.#sayWaitingAt) return;
    this.#saidWaiting = true;
    const trouble = this.#dhcp?.client.trouble;
    const text = trouble === undefined ? NO_ANSWER : `a DHCP server answers on the WAN, but ${TROUBLE[trouble]}`;
    this.#log.write("warn", "wan.waiting", text);
  }

  get #sayWaitingAt(): number {
    return this.#saidWaiting || this.#wan.configured ? NEVER : this.#startedAt + SAY_WAITING_AFTER_MS;
  }

  #handleEvents(now: number, client: DhcpClient): void {
    for (let event = client.pollEvent(); event !== undefined; event = client.pollEvent()) {
      if (event.kind === "expired" || event.kind === "nak") {
        this.#withdraw(now, event.kind === "nak" ? "the DHCP server withdrew the address" : "the DHCP lease expired");
      } else if (event.kind !== "renewed") {
        this.#adopt(now, event.lease, client);
      }
    }
  }

  #adopt(now: number, lease: Lease, client: DhcpClient): void {
    if (!this.#changes.take(now)) return this.#rest(now, client);
    const wan = this.#wan;
    const before = [wan.address?.toString(), wan.gateway?.toString(), wan.mtu];
    const config = leaseConfig(lease);
    wan.configure(config);
    const after = [wan.address?.toString(), wan.gateway?.toString(), wan.mtu];
    const dns = this.#settings.dns.length > 0 ? this.#settings.dns : lease.dns.map(IpAddress.fromIpv4);
    this.#say(config, dns, "dhcp");
    if (lease.leftOut.length > 0) {
      const named = brief(lease.leftOut.map(formatIpv4));
      const text = `the DHCP server names ${named} as router or resolver, which is of the LAN's network; it is left out`;
      this.#heard.write(now, "warn", "wan.left-out", text);
    }
    this.#saidWaiting = false;
    if (String(before) === String(after)) return this.#events.resolvers(dns);
    // RFC 2131 4.4.1 has an address checked before it is used. Here it is used while it is checked, because it is rarely taken,
    // and where it is, nothing worse happens than that the tunnel begins anew.
    wan.link.probe();
    this.#checkUntil = now + CHECK_MS;
    this.#events.up(now, dns);
  }

  /** The lease changes all the time: it is left alone for a while. */
  #rest(now: number, client: DhcpClient): void {
    const text = `the DHCP server changes the lease again and again; it is asked again in ${REST_MS / 1000} s`;
    client.stop();
    this.#resumeAt = now + REST_MS;
    if (this.#wan.configured) this.#withdraw(now, text);
    else this.#heard.write(now, "warn", "wan.restless", text);
  }

  #conflict(now: number, mac: Mac): void {
    const host = formatMac(mac);
    const other = wanConflict(this.#wan.address?.address, mac);
    // A host that claims this address and the declined one too claims every address, as a badly set ARP proxy does. The next
    // address would be declined as well, without end, so this one is kept.
    if (this.#dhcp !== undefined && now < this.#checkUntil && host !== this.#declinedFor) {
      this.#declinedFor = host;
      this.#dhcp.client.decline(now);
      this.#dhcp.host.wake();
      this.#withdraw(now, `${other}; the DHCP server is asked for another one`);
    } else {
      this.#heard.write(now, "warn", "wan.conflict", `${other}; one of the two has to get another one`);
    }
  }

  #withdraw(now: number, reason: string): void {
    if (!this.#wan.configured) return;
    this.#wan.unconfigure();
    this.#startedAt = now;
    this.#events.down(now, reason);
  }

  #say({ address, gateway }: InterfaceConfig, dns: readonly IpAddress[], by: string): void {
    this.#log.write("info", "wan.configured", "", {
      address: `${address}`,
      gateway: gateway?.toString(),
      mtu: this.#wan.mtu,
      dns: dns.length === 0 ? undefined : dns.join(","),
      by,
    });
  }
}
