/**
 * What a host learns of an IPv6 network from its routers (RFC 4861 6.3, RFC 4862, RFC 4191, RFC 8106), as a pure machine. Read
 * first: routers.ts, prefixes.ts, resolvers.ts, solicitor.ts.
 *
 *   start() -> link-local address, tentative --usable()--> solicitations --handleAdvertisement()--> routers, prefixes, DNS servers
 *
 * Commands: start() when the link is up, stop(). The interface that owns the addresses asks for each that is new whether another
 * host has it (duplicate address detection) and says what came out: usable(), taken(); and it says when a router does not answer
 * any more: unreachable(). Times are monotonic ms; after each call there may be something in pollTransmit() and pollEvent().
 * What is known lies in `config`, which is to be read again after the event "changed".
 *
 * Not followed: an advertised reachable time and retransmission timer (neighbours have times of their own, link/neighbor.ts), and
 * redirects (the gateway is always asked).
 */
import type { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import type { Random } from "../../lib/random.ts";
import type { NextHopRoute } from "../ip4/addressing.ts";
import {
  type RouterAdvert,
  type RouterDiscoveryRefusal,
  routerAdvertParse,
  routerSolicitBuild,
} from "../wire/router-advert.ts";
import { type HostAddress, Prefixes } from "./prefixes.ts";
import { Resolvers } from "./resolvers.ts";
import { Routers } from "./routers.ts";
import { Solicitor } from "./solicitor.ts";
import { type AddressPrf, stableAddress } from "./stable-address.ts";

export interface RouterDiscoveryOptions {
  readonly mac: Mac;
  readonly prf: AddressPrf;
  readonly random: Random;
  /** The largest MTU that the link takes. */
  readonly mtu: number;
}

/** What the interface is to be configured with. */
export interface HostConfig {
  /** The link-local one first; those that are not usable yet are to be asked for. */
  readonly addresses: readonly HostAddress[];
  /** Prefixes whose hosts are neighbours. */
  readonly onLink: readonly Cidr[];
  readonly gateway: IpAddress | undefined;
  readonly routes: readonly NextHopRoute[];
  /** Undefined: the link's. */
  readonly mtu: number | undefined;
  /** Undefined: not said. */
  readonly hopLimit: number | undefined;
  readonly dns: readonly IpAddress[];
}

/** What DHCPv6 is for (RFC 4861 4.2): nothing, DNS servers, or addresses as well. */
export type Dhcp6Mode = "off" | "stateless" | "stateful";

export type RouterDiscoveryEvent =
  | { readonly kind: "changed" }
  | { readonly kind: "dhcp"; readonly mode: Dhcp6Mode }
  /** Another host has the address; `next` takes its place, undefined: none does for a while. */
  | { readonly kind: "taken"; readonly address: IpAddress; readonly next: IpAddress | undefined };

/** Why an advertisement was ignored. */
export type RouterDiscoveryDrop = RouterDiscoveryRefusal | "stopped" | "own";

/** A message to send: ICMPv6 with hop limit 255, checksum 0. */
export interface NdMessage {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly message: Uint8Array;
}

const ALL_ROUTERS = new IpAddress(0xff02_0000, 0, 0, 2);
/** RFC 8200 5: every link takes that. */
const MIN_MTU = 1280;
const MODES: readonly Dhcp6Mode[] = ["off", "stateless", "stateful"];

export class RouterDiscovery {
  readonly #options: RouterDiscoveryOptions;
  readonly #routers = new Routers();
  readonly #prefixes: Prefixes;
  readonly #resolvers = new Resolvers();
  readonly #solicitor: Solicitor;
  #isRunning = false;
  #mtu: number | undefined;
  #hopLimit: number | undefined;
  #mode: Dhcp6Mode = "off";
  /** Up to when `config` says what is so. */
  #now = 0;
  /** What `config` was when "changed" was told last. */
  #told = "";
  readonly #transmits: NdMessage[] = [];
  readonly #events: RouterDiscoveryEvent[] = [];

  constructor(options: RouterDiscoveryOptions) {
    this.#options = options;
    this.#solicitor = new Solicitor(options.random);
    this.#prefixes = new Prefixes((prefix, counter) => stableAddress(options.prf, prefix, options.mac, counter));
  }

  get config(): HostConfig {
    return {
      addresses: this.#prefixes.addresses(this.#now),
      onLink: this.#prefixes.onLink,
      gateway: this.#routers.gateway,
      routes: this.#routers.routes,
      mtu: this.#mtu,
      hopLimit: this.#hopLimit,
      dns: this.#resolvers.servers,
    };
  }

  /** The link is up: nothing is known yet. */
  start(now: number): void {
    this.#forget();
    this.#isRunning = true;
    this.#prefixes.start();
    this.#tell(now);
  }

  /** The link is down: nothing that was learnt holds any more. */
  stop(now: number): void {
    this.#forget();
    this.#isRunning = false;
    this.#tell(now);
  }

  /** An address was asked for, and nobody has it. */
  usable(now: number, address: IpAddress): void {
    const had = this.#prefixes.linkLocal;
    this.#prefixes.usable(address);
    if (had === undefined && this.#prefixes.linkLocal !== undefined) this.#solicitor.start(now);
    this.#tell(now);
  }

  /** Another host has the address. */
  taken(now: number, address: IpAddress): void {
    const next = this.#prefixes.taken(now, address);
    if (next === undefined) return;
    this.#events.push({ kind: "taken", address, next: next === "none" ? undefined : next });
    if (this.#prefixes.linkLocal === undefined) this.#solicitor.stop();
    this.#tell(now);
  }

  /** A router does not answer neighbour solicitations any more. */
  unreachable(now: number, router: IpAddress): void {
    this.#routers.unreachable(now, router);
    this.#seek(now);
    this.#tell(now);
  }

  /**
   * A router advertisement that ndpCheck (wire/ndp.ts) has passed: it is of this link (hop limit 255) and from a router (link-local
   * source), as RFC 4861 6.1.2 wants.
   * @param message ICMPv6 from its type on
   */
  handleAdvertisement(now: number, source: IpAddress, message: Uint8Array): RouterDiscoveryDrop | undefined {
    if (!this.#isRunning) return "stopped";
    if (this.#prefixes.linkLocal?.equals(source) === true) return "own";
    const advert = routerAdvertParse(message);
    if (typeof advert === "string") return advert;
    this.#take(now, source, advert);
    return undefined;
  }

  pollAt(): number {
    if (!this.#isRunning) return Number.POSITIVE_INFINITY;
    const lists = Math.min(this.#routers.pollAt(), this.#prefixes.pollAt(this.#now), this.#resolvers.pollAt());
    return Math.min(lists, this.#solicitor.at);
  }

  handleTimeout(now: number): void {
    if (!this.#isRunning) return;
    this.#routers.handleTimeout(now);
    this.#prefixes.handleTimeout(now);
    this.#resolvers.handleTimeout(now);
    this.#seek(now);
    if (this.#solicitor.at <= now) this.#solicit(now);
    this.#tell(now);
  }

  pollTransmit(): NdMessage | undefined {
    return this.#transmits.shift();
  }

  pollEvent(): RouterDiscoveryEvent | undefined {
    return this.#events.shift();
  }

  #take(now: number, router: IpAddress, advert: RouterAdvert): void {
    this.#routers.update(now, router, advert);
    const { gateway } = this.#routers;
    for (const prefix of advert.prefixes) this.#prefixes.update(now, router, gateway, prefix);
    this.#resolvers.update(now, router, gateway, advert);
    const { mtu } = advert;
    if (mtu !== undefined && mtu >= MIN_MTU && mtu <= this.#options.mtu) this.#mtu = mtu;
    if (advert.hopLimit !== 0) this.#hopLimit = advert.hopLimit;
    // Until the link starts anew what a router said once holds: two routers that differ would start and stop DHCPv6 for ever.
    const mode = advert.managed ? "stateful" : advert.other ? "stateless" : "off";
    if (MODES.indexOf(mode) > MODES.indexOf(this.#mode)) {
      this.#mode = mode;
      this.#events.push({ kind: "dhcp", mode });
    }
    if (this.#routers.isLost) this.#seek(now);
    else this.#solicitor.stop(); // RFC 7559 2: only once there is a default router
    this.#tell(now);
  }

  /** Asks for routers where none is there that answers. RFC 4861 6.3.7 asks at the start only; a router has nothing better to do. */
  #seek(now: number): void {
    if (this.#routers.isLost && this.#prefixes.linkLocal !== undefined) this.#solicitor.start(now);
  }

  #solicit(now: number): void {
    const source = this.#prefixes.linkLocal;
    if (source === undefined) return this.#solicitor.stop();
    this.#transmits.push({ source, destination: ALL_ROUTERS, message: routerSolicitBuild(this.#options.mac) });
    this.#solicitor.sent(now);
  }

  #forget(): void {
    this.#routers.clear();
    this.#prefixes.clear();
    this.#resolvers.clear();
    this.#solicitor.stop();
    this.#mtu = undefined;
    this.#hopLimit = undefined;
    this.#transmits.length = 0;
    if (this.#mode === "off") return;
    this.#mode = "off";
    this.#events.push({ kind: "dhcp", mode: "off" });
  }

  /** Says once that `config` is another one. */
  #tell(now: number): void {
    this.#now = now;
    const { addresses, onLink, gateway, routes, mtu, hopLimit, dns } = this.config;
    const words = [
      ...addresses.map((a) => `${a.address} ${a.isUsable} ${a.isDeprecated}`),
      ...onLink,
      gateway,
      ...routes.flatMap((r) => [r.network, r.gateway]),
      mtu,
      hopLimit,
      ...dns,
    ];
    const told = words.map((word) => `${word}`).join();
    if (told === this.#told) return;
    this.#told = told;
    if (!this.#events.some(({ kind }) => kind === "changed")) this.#events.push({ kind: "changed" });
  }
}
