/**
 * What a router tells the hosts of its link (RFC 4861 6.2, RFC 8106, RFC 9096 for the lifetimes), as a pure machine: the prefix that
 * they make their addresses of, the DNS server, the MTU, and whether there is a way out.
 *
 *   stopped --start()--> burst of 3 --> at intervals --update() with news--> burst of 3 --> ... --stop()--> one goodbye
 *
 * A solicitation brings the next advertisement forward. All of them go to all nodes, at least 3 s apart (RFC 4861 6.2.6), so that
 * there is nothing to amplify and no host to remember.
 */
import type { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import {
  PREFERENCE_MEDIUM,
  type RouterAdvert,
  type RouterDiscoveryRefusal,
  routerAdvertBuild,
  routerSolicitParse,
} from "../wire/router-advert.ts";
import type { NdMessage } from "./host.ts";

/** What is told. */
export interface AdvertisedLink {
  /** Of 64 bits; undefined: hosts get no address. */
  readonly prefix: Cidr | undefined;
  /** Whether packets for elsewhere may be sent here. */
  readonly isDefaultRouter: boolean;
  readonly dns: readonly IpAddress[];
  /** For names without a dot. */
  readonly domains: readonly string[];
  /** Undefined: the link's own. */
  readonly mtu: number | undefined;
}

export interface RouterAdvertiserOptions {
  readonly mac: Mac;
  readonly random: Random;
}

/** Why a solicitation was ignored. */
export type SolicitationDrop = RouterDiscoveryRefusal | "stopped";

// RFC 4861 6.2.1, 10: MaxRtrAdvInterval, MinRtrAdvInterval, MAX_INITIAL_RTR_ADVERT_INTERVAL, MAX_INITIAL_RTR_ADVERTISEMENTS,
// MIN_DELAY_BETWEEN_RAS, MAX_RA_DELAY_TIME.
const INTERVAL_MAX = 600_000;
const INTERVAL_MIN = 198_000;
const BURST_INTERVAL = 16_000;
const BURST = 3;
const APART = 3000;
const ANSWER_DELAY = 500;
/** Seconds; AdvDefaultLifetime of RFC 4861 6.2.1 and the lifetime of RFC 8106 5.1: three intervals. */
const ROUTER_LIFETIME = 1800;
/** Seconds; RFC 9096 3.2. A host that has left forgets the prefix soon, and one that stays hears it all the time. */
const PREFERRED_LIFETIME = 2700;
const VALID_LIFETIME = 5400;
const HOP_LIMIT = 64;
const ALL_NODES = new IpAddress(0xff02_0000, 0, 0, 1);
const NEVER = Number.POSITIVE_INFINITY;

type State =
  | { readonly kind: "stopped" }
  | {
      readonly kind: "running";
      readonly source: IpAddress;
      readonly link: AdvertisedLink;
      /** Of a burst that are still to come. */
      readonly burst: number;
      readonly sentAt: number;
      readonly nextAt: number;
    };

export class RouterAdvertiser {
  readonly #mac: Mac;
  readonly #random: Random;
  #state: State = { kind: "stopped" };
  readonly #transmits: NdMessage[] = [];

  constructor({ mac, random }: RouterAdvertiserOptions) {
    this.#mac = mac;
    this.#random = random;
  }

  /** @param source our link-local address, which nobody else has */
  start(now: number, source: IpAddress, link: AdvertisedLink): void {
    this.#state = { kind: "running", source, link, burst: BURST, sentAt: Number.NEGATIVE_INFINITY, nextAt: now };
  }

  /** What is told may be something else now; then it is told at once. */
  update(now: number, link: AdvertisedLink): void {
    const state = this.#state;
    if (state.kind !== "running" || isSame(state.link, link)) return;
    this.#state = { ...state, link, burst: BURST, nextAt: Math.max(now, state.sentAt + APART) };
  }

  /** The end: one message is left for pollTransmit, so that nobody sends here any more (RFC 4861 6.2.5). */
  stop(): void {
    const state = this.#state;
    this.#state = { kind: "stopped" };
    this.#transmits.length = 0;
    if (state.kind === "running" && state.sentAt !== Number.NEGATIVE_INFINITY)
      this.#push(state.source, state.link, true);
  }

  /**
   * A router solicitation that ndpCheck (wire/ndp.ts) has passed (RFC 4861 6.1.1).
   * @param message ICMPv6 from its type on
   */
  handleSolicitation(now: number, message: Uint8Array): SolicitationDrop | undefined {
    const state = this.#state;
    if (state.kind !== "running") return "stopped";
    const solicit = routerSolicitParse(message);
    if (typeof solicit === "string") return solicit;
    const delay = randomBelow(this.#random, ANSWER_DELAY + 1);
    const answerAt = Math.max(now, state.sentAt + APART) + delay;
    if (answerAt < state.nextAt) this.#state = { ...state, nextAt: answerAt };
    return undefined;
  }

  pollAt(): number {
    return this.#state.kind === "running" ? this.#state.nextAt : NEVER;
  }

  handleTimeout(now: number): void {
    const state = this.#state;
    if (state.kind !== "running" || now < state.nextAt) return;
    this.#push(state.source, state.link, false);
    const interval = INTERVAL_MIN + randomBelow(this.#random, INTERVAL_MAX - INTERVAL_MIN + 1);
    const burst = Math.max(0, state.burst - 1);
    const nextAt = now + (burst > 0 ? Math.min(interval, BURST_INTERVAL) : interval);
    this.#state = { ...state, burst, sentAt: now, nextAt };
  }

  pollTransmit(): NdMessage | undefined {
    return this.#transmits.shift();
  }

  #push(source: IpAddress, link: AdvertisedLink, isGoodbye: boolean): void {
    this.#transmits.push({ source, destination: ALL_NODES, message: routerAdvertBuild(this.#advert(link, isGoodbye)) });
  }

  #advert({ prefix, isDefaultRouter, dns, domains, mtu }: AdvertisedLink, isGoodbye: boolean): RouterAdvert {
    const lifetime = isGoodbye ? 0 : ROUTER_LIFETIME;
    const times = { valid: VALID_LIFETIME, preferred: PREFERRED_LIFETIME };
    return {
      hopLimit: HOP_LIMIT,
      managed: false,
      other: false,
      preference: PREFERENCE_MEDIUM,
      lifetime: isDefaultRouter ? lifetime : 0,
      reachableTime: 0,
      retransTimer: 0,
      mac: this.#mac,
      mtu,
      // Also with the goodbye: the same prefix comes back with the router, and the hosts reach each other meanwhile.
      prefixes: prefix === undefined ? [] : [{ prefix, onLink: true, autonomous: true, ...times }],
      routes: [],
      rdnss: dns.length === 0 ? [] : [{ servers: dns, lifetime }],
      dnssl: domains.length === 0 ? [] : [{ domains, lifetime }],
    };
  }
}

function isSame(a: AdvertisedLink, b: AdvertisedLink): boolean {
  const text = ({ prefix, isDefaultRouter, dns, domains, mtu }: AdvertisedLink): string =>
    [prefix, isDefaultRouter, mtu, ...dns, "", ...domains].join();
  return text(a) === text(b);
}
