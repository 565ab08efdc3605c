/**
 * The WAN's IPv6: gives the interface what its source says (source6.ts), and says when there is an address with a way out, when it
 * is another one, and when it is gone. A network without IPv6 is no fault and is not complained about.
 *
 * Whoever speaks on the WAN decides what addresses we have, but not how often everything above starts anew: after a few changes in a
 * row the network is looked at again only every {@link REST_MS}.
 */
import type { BoundedLog } from "../lib/bounded-log.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import type { Mac } from "../lib/mac.ts";
import { RateLimit } from "../lib/rate-limit.ts";
import type { EthernetInterface } from "../netstack/interface.ts";
import { neighborConflict, wanConflict } from "./conflicts.ts";
import type { Source6 } from "./source6.ts";

/** What is used may change this often in a row, then once in this time. */
const CHANGES = 5;
const REST_MS = 15_000;
const NEVER = Number.POSITIVE_INFINITY;
/** An address of the internet: what is sent there comes from the address that counts. */
const ELSEWHERE = Int32Array.of(0x2000_0000, 0, 0, 0);

/** What the owner does about it. */
export interface Uplink6Events {
  /** There is an address with a way out (again), or another one, or its MTU changed. */
  up(now: number): void;
  /** Other DNS servers, with an address or without. */
  resolvers(servers: readonly IpAddress[]): void;
  down(now: number, reason: string): void;
}

export interface Uplink6Options {
  readonly wan: EthernetInterface;
  readonly source: Source6;
  readonly log: Log;
  /** For warnings that neighbours can cause as often as they like. */
  readonly heard: BoundedLog;
  readonly events: Uplink6Events;
}

/** What the tunnel's packets have that leave by IPv6. */
interface Used {
  readonly address: IpAddress;
  readonly mtu: number;
}

export class Uplink6 {
  readonly #wan: EthernetInterface;
  readonly #source: Source6;
  readonly #log: Log;
  readonly #heard: BoundedLog;
  readonly #events: Uplink6Events;
  readonly #changes = new RateLimit(1000 / REST_MS, CHANGES);
  /** What was told by up(), undefined after down(). */
  #used: Used | undefined;
  /** What the interface was given, and what the log said last. */
  #configured = "";
  #said = "";
  #dns = "";
  /** When the network is looked at again, after it had changed too often. */
  #resumeAt = NEVER;
  #isFresh = false;

  constructor({ wan, source, log, heard, events }: Uplink6Options) {
    this.#wan = wan;
    this.#source = source;
    this.#log = log;
    this.#heard = heard;
    this.#events = events;
    const { nd } = wan.link;
    nd.events = {
      onUsable: (now, address) => {
        source.usable(now, address.value);
        this.#isFresh = true;
      },
      onTaken: (now, address, mac) => this.#taken(now, address.value, mac),
      onConflict: (now, address, mac) =>
        heard.write(
          now,
          "warn",
          "wan.conflict",
          `${wanConflict(address.value, mac)}; one of the two has to get another one`,
        ),
      onNeighborConflict: (now, address, kept, other) =>
        heard.write(now, "warn", "wan.neighbor-conflict", neighborConflict(address, kept, other)),
      onUnreachable: (now, address) => source.unreachable(now, address),
    };
  }

  /** Whether there is an address with a way out. */
  get isUp(): boolean {
    return this.#used !== undefined;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#source.counters;
  }

  /** The link is there. */
  start(now: number): void {
    this.#resumeAt = NEVER;
    this.#source.start(now);
    this.#poll(now);
  }

  /** The link is gone; start() follows when it is back. */
  stop(now: number, reason: string): void {
    this.#resumeAt = NEVER;
    this.#source.stop(now);
    this.#source.poll(now);
    this.#wan.unconfigure6();
    this.#configured = "";
    this.#withdraw(now, reason);
    this.#tellResolvers();
  }

  /** The end: a leased address is given back. */
  leave(now: number): void {
    this.#source.leave(now);
  }

  pollAt(): number {
    return this.#isFresh ? Number.NEGATIVE_INFINITY : Math.min(this.#source.pollAt(), this.#resumeAt);
  }

  handleTimeout(now: number): void {
    if (now >= this.#resumeAt) this.start(now);
    else this.#poll(now);
  }

  #poll(now: number): void {
    this.#isFresh = false;
    this.#source.poll(now);
    const { config } = this.#source;
    const text = JSON.stringify(config);
    if (text !== this.#configured) {
      this.#configured = text;
      this.#wan.configure6(now, config);
    }
    this.#tellResolvers();
    this.#settle(now);
  }

  /** Looks at what there is now, and tells what is new about it. */
  #settle(now: number): void {
    const { addressing } = this.#wan.v6;
    const address = addressing.source(ELSEWHERE)?.value;
    if (address === undefined || addressing.gateway === undefined || address.isLinkLocal) {
      const what = addressing.gateway === undefined ? "no IPv6 router is left on the WAN" : "the IPv6 address ended";
      return this.#withdraw(now, what);
    }
    const mtu = Math.min(addressing.mtu, this.#wan.link.mtu);
    const isOther = this.#used?.address.equals(address) !== true || this.#used.mtu !== mtu;
    if (isOther && !this.#changes.take(now)) return this.#rest(now);
    const dns = this.#dns === "" ? undefined : this.#dns;
    const fields = { address: `${address}`, gateway: `${addressing.gateway}`, mtu, dns, by: this.#source.by };
    const said = JSON.stringify(fields);
    // A router can name another gateway or DNS server with every advertisement.
    if (isOther) this.#log.write("info", "wan.configured", "", fields);
    else if (said !== this.#said) this.#heard.write(now, "info", "wan.configured", "", fields);
    this.#said = said;
    if (!isOther) return;
    this.#used = { address, mtu };
    this.#events.up(now);
  }

  /** The addresses change all the time: they are left alone for a while. */
  #rest(now: number): void {
    const text = `the WAN's IPv6 changes again and again; it is looked at again in ${REST_MS / 1000} s`;
    if (this.#used === undefined) this.#heard.write(now, "warn", "wan.restless", text);
    this.stop(now, text);
    this.#resumeAt = now + REST_MS;
  }

  #taken(now: number, address: IpAddress, mac: Mac): void {
    this.#heard.write(now, "warn", "wan.conflict", `${wanConflict(address, mac)}; ${this.#source.taken(now, address)}`);
    this.#isFresh = true;
  }

  #withdraw(now: number, reason: string): void {
    if (this.#used === undefined) return;
    this.#used = undefined;
    this.#events.down(now, reason);
  }

  #tellResolvers(): void {
    const { dns } = this.#source;
    if (dns.join() === this.#dns) return;
    this.#dns = dns.join();
    this.#events.resolvers(dns);
  }
}
