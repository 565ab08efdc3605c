/**
 * The WAN's address: static, or by DHCP; says when there is one, when it changes and when it is gone. A leased address that
 * another host turns out to have is declined.
 */
import type { Cidr } from "../lib/cidr.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { formatMac, type Mac } from "../lib/mac.ts";
import type { Random } from "../lib/random.ts";
import { DhcpClient, type Lease } from "../netstack/dhcp4/client.ts";
import { leaseConfig } from "../netstack/dhcp4/lease.ts";
import type { Interface } from "../netstack/interface.ts";
import type { UdpSocket } from "../netstack/socket/udp-socket.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from "../netstack/wire/dhcpv4.ts";
import type { Settings } from "./settings.ts";

/** How long after a lease was given somebody who has its address may take to say so (RFC 5227 ANNOUNCE_WAIT). */
const CHECK_MS = 2000;
const SAY_CONFLICT_AGAIN_MS = 60_000;

/** What the owner does about the WAN. */
export interface UplinkEvents {
  /** There is an address (again), or it changed: everything that used the old one starts anew. */
  up(now: number, dns: readonly IpAddress[]): void;
  /** Same address, other resolvers. */
  resolvers(dns: readonly IpAddress[]): void;
  down(now: number, reason: string): void;
}

export class Uplink {
  readonly #wan: Interface;
  readonly #settings: Settings["wan"];
  readonly #log: Log;
  readonly #events: UplinkEvents;
  readonly #slab: { readonly bytes: Uint8Array };
  readonly #dhcp: DhcpClient | undefined;
  readonly #socket: UdpSocket | undefined;
  #saidWaiting = false;
  #startedAt = 0;
  /** Until then a conflict means that the other host was there first. */
  #checkUntil = Number.NEGATIVE_INFINITY;
  #sayConflictAt = Number.NEGATIVE_INFINITY;
  /** Because of whom the lease before was declined. */
  #declinedFor = "";

  constructor(options: {
    readonly wan: Interface;
    readonly settings: Settings;
    readonly slab: { readonly bytes: Uint8Array };
    readonly mac: Mac;
    readonly log: Log;
    readonly random: Random;
    readonly events: UplinkEvents;
  }) {
    this.#wan = options.wan;
    this.#settings = options.settings.wan;
    this.#log = options.log;
    this.#events = options.events;
    this.#slab = options.slab;
    this.#wan.onConflict = (now, mac) => this.#conflict(now, mac);
    if (this.#settings.address !== "dhcp") return;
    const dhcp = new DhcpClient({ mac: options.mac, hostname: options.settings.hostname, random: options.random });
    this.#dhcp = dhcp;
    this.#socket = this.#wan.bindUdp(DHCP_CLIENT_PORT, {
      onDatagram: (now, src, srcPort, at, len) => {
        if (srcPort !== DHCP_SERVER_PORT) return;
        const refused = dhcp.handleMessage(now, src.w3, this.#slab.bytes.slice(at, at + len));
        if (refused !== undefined) this.#log.write("debug", "dhcp.ignored", refused, { server: `${src}` });
        this.#drain(now);
      },
    });
  }

  /** The link is there. */
  start(now: number): void {
    this.#startedAt = now;
    if (this.#dhcp) {
      this.#dhcp.start(now);
      this.#drain(now);
      return;
    }
    const { address, gateway, dns } = this.#settings;
    if (address === "dhcp") return;
    this.#wan.configure({ address, gateway }, now);
    this.#wan.probe();
    this.#say(address, gateway, dns, "static");
    this.#events.up(now, dns);
  }

  /** The link is gone; start() follows when it is back. */
  stop(now: number, reason: string): void {
    this.#dhcp?.linkDown(now);
    this.#withdraw(now, reason);
  }

  pollAt(): number {
    const dhcp = this.#dhcp;
    if (!dhcp) return Number.POSITIVE_INFINITY;
    const waiting = this.#saidWaiting || this.#wan.configured ? Number.POSITIVE_INFINITY : this.#startedAt + 10_000;
    return Math.min(dhcp.pollAt(), waiting);
  }

  handleTimeout(now: number): void {
    const dhcp = this.#dhcp;
    if (!dhcp) return;
    if (dhcp.pollAt() <= now) dhcp.handleTimeout(now);
    this.#drain(now);
    if (!this.#saidWaiting && !this.#wan.configured && now >= this.#startedAt + 10_000) {
      this.#saidWaiting = true;
      this.#log.write(
        "warn",
        "wan.waiting",
        "no DHCP server answers on the WAN; check the cable or the first NIC, or set [wan] address in appliance.toml",
      );
    }
  }

  #drain(now: number): void {
    const dhcp = this.#dhcp as DhcpClient;
    for (let event = dhcp.pollEvent(); event !== undefined; event = dhcp.pollEvent()) {
      if (event.kind === "expired" || event.kind === "nak") {
        this.#withdraw(now, event.kind === "nak" ? "the DHCP server withdrew the address" : "the DHCP lease expired");
      } else if (event.kind !== "renewed") {
        this.#adopt(now, event.lease);
      }
    }
    for (let message = dhcp.pollTransmit(now); message !== undefined; message = dhcp.pollTransmit(now)) {
      this.#wan.sendUdp(
        now,
        this.#socket as UdpSocket,
        IpAddress.fromIpv4(message.dst),
        DHCP_SERVER_PORT,
        message.payload,
      );
    }
  }

  #adopt(now: number, lease: Lease): void {
    const wan = this.#wan;
    const config = leaseConfig(lease);
    const { address, gateway } = config;
    const same = wan.address?.equals(address) === true && `${wan.gateway}` === `${gateway}`;
    wan.configure(config, now);
    const dns = this.#settings.dns.length > 0 ? this.#settings.dns : lease.dns.map(IpAddress.fromIpv4);
    this.#say(address, gateway, dns, "dhcp");
    this.#saidWaiting = false;
    if (same) return this.#events.resolvers(dns);
    // The check of RFC 2131 4.4.1, without the wait: hardly any address is in use, and a tunnel that had to begin anew is no harm.
    wan.probe();
    this.#checkUntil = now + CHECK_MS;
    this.#events.up(now, dns);
  }

  #conflict(now: number, mac: Mac): void {
    const host = formatMac(mac);
    const other = `another host (${host}) uses our WAN address ${this.#wan.address?.address}`;
    // Who has each address that we are given answers for all (a careless ARP proxy): declining would never end.
    if (this.#dhcp !== undefined && now < this.#checkUntil && host !== this.#declinedFor) {
      this.#declinedFor = host;
      this.#dhcp.decline(now);
      this.#withdraw(now, `${other}; the DHCP server is asked for another one`);
      this.#drain(now);
    } else if (now >= this.#sayConflictAt) {
      this.#sayConflictAt = now + SAY_CONFLICT_AGAIN_MS;
      this.#log.write("warn", "wan.conflict", `${other}; one of the two has to get another one`);
    }
  }

  #withdraw(now: number, reason: string): void {
    if (!this.#wan.configured) return;
    this.#wan.unconfigure();
    this.#startedAt = now;
    this.#events.down(now, reason);
  }

  #say(address: Cidr, gateway: IpAddress | undefined, dns: readonly IpAddress[], by: string): void {
    this.#log.write("info", "wan.configured", "", {
      address: `${address}`,
      gateway: gateway?.toString(),
      dns: dns.length === 0 ? undefined : dns.join(","),
      by,
    });
  }
}
