/**
 * The default router list and the routes of routers (RFC 4861 6.3.4, 6.3.6; RFC 4191), bounded. A router that does not answer
 * any more is the last choice for a while; whether it answers is what neighbour unreachability detection says.
 */
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { NextHopRoute } from "../ip4/addressing.ts";
import { PREFERENCE_LOW, type Preference, type RouterAdvert } from "../wire/router-advert.ts";

// Our choices.
const MAX_ROUTERS = 8;
const MAX_ROUTES = 32;
/** After that a router that did not answer is taken as one that may, at its next advertisement. */
const RETRY_AFTER_MS = 60_000;
const NEVER = Number.POSITIVE_INFINITY;
const DEFAULT = new Cidr(new IpAddress(0, 0, 0, 0), 0);

interface Entry {
  readonly prefix: Cidr;
  readonly router: IpAddress;
  preference: Preference;
  until: number;
}

export class Routers {
  /** Default routes and others, in the order in which they became known. */
  readonly #entries: Entry[] = [];
  /** When a router did not answer, by its address; only of those that have entries. */
  readonly #failed = new Map<string, number>();
  #gateway: IpAddress | undefined;

  /** The default router to use. */
  get gateway(): IpAddress | undefined {
    return this.#gateway;
  }

  /** Whether the gateway is only the least bad: none of the default routers answers. */
  get isLost(): boolean {
    return this.#gateway === undefined || this.#failed.has(this.#gateway.toString());
  }

  /** The best router of each prefix but the default. */
  get routes(): NextHopRoute[] {
    const best = new Map<string, Entry>();
    for (const entry of this.#entries) {
      if (entry.prefix.prefix === 0) continue;
      const key = entry.prefix.toString();
      const other = best.get(key);
      if (other === undefined || this.#isBetter(entry, other)) best.set(key, entry);
    }
    return [...best.values()].map(({ prefix, router }) => ({ network: prefix, gateway: router }));
  }

  clear(): void {
    this.#entries.length = 0;
    this.#failed.clear();
    this.#gateway = undefined;
  }

  /** A router's advertisement. */
  update(now: number, router: IpAddress, advert: RouterAdvert): void {
    const failedAt = this.#failed.get(router.toString());
    // That it sends is no proof that it hears (RFC 4861 7.3.1).
    if (failedAt !== undefined && now - failedAt >= RETRY_AFTER_MS) this.#failed.delete(router.toString());
    // An option for ::/0 counts before what the header says (RFC 4191 3.1).
    const own = advert.routes.findLast(({ prefix }) => prefix.prefix === 0) ?? advert;
    this.#set(now, router, DEFAULT, own.preference, own.lifetime);
    for (const { prefix, preference, lifetime } of advert.routes)
      if (prefix.prefix > 0 && isRoutable(prefix)) this.#set(now, router, prefix, preference, lifetime);
    this.#choose();
  }

  /** A router does not answer (NUD): another one is chosen; where none answers, each has its turn (RFC 4861 6.3.6). */
  unreachable(now: number, router: IpAddress): void {
    if (!this.#entries.some((entry) => entry.router.equals(router))) return;
    this.#failed.set(router.toString(), now);
    this.#choose();
  }

  pollAt(): number {
    return this.#entries.reduce((at, { until }) => Math.min(at, until), NEVER);
  }

  handleTimeout(now: number): void {
    if (this.pollAt() > now) return;
    for (const entry of this.#entries.filter(({ until }) => until <= now)) this.#remove(entry);
    this.#choose();
  }

  #set(now: number, router: IpAddress, prefix: Cidr, preference: Preference, lifetime: number): void {
    const known = this.#entries.find((entry) => entry.router.equals(router) && entry.prefix.equals(prefix));
    if (lifetime === 0) {
      if (known !== undefined) this.#remove(known);
      return;
    }
    const until = now + lifetime * 1000;
    if (known !== undefined) {
      known.preference = preference;
      known.until = until;
      return;
    }
    const isDefault = prefix.prefix === 0;
    const rivals = this.#entries.filter((entry) => (entry.prefix.prefix === 0) === isDefault);
    if (rivals.length >= (isDefault ? MAX_ROUTERS : MAX_ROUTES)) {
      // The worst gives way to one that is better, the one in use never: nobody talks us out of a router by inventing others.
      const others = rivals.filter((r) => !isDefault || r.router !== this.#gateway);
      const worst = others.reduce((a, b) => (this.#isBetter(a, b) ? b : a));
      if (this.#rank(worst) >= preference) return;
      this.#remove(worst);
    }
    this.#entries.push({ prefix, router, preference, until });
  }

  #remove(entry: Entry): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1);
    if (!this.#entries.some(({ router }) => router.equals(entry.router))) this.#failed.delete(entry.router.toString());
  }

  #choose(): void {
    const defaults = this.#entries.filter(({ prefix }) => prefix.prefix === 0);
    const current = defaults.find(({ router }) => router === this.#gateway);
    let best = current;
    for (const entry of defaults) if (best === undefined || this.#isBetter(entry, best)) best = entry;
    this.#gateway = best?.router;
  }

  #isBetter(a: Entry, b: Entry): boolean {
    return this.#order(a, b) < 0;
  }

  /** Negative where `a` is the better one: one that answers before one that does not, then by preference (RFC 4191 3.2). */
  #order(a: Entry, b: Entry): number {
    const failedA = this.#failedAt(a);
    const failedB = this.#failedAt(b);
    if (failedA !== undefined && failedB !== undefined) return failedA - failedB;
    return this.#rank(b) - this.#rank(a);
  }

  #rank(entry: Entry): number {
    return this.#failedAt(entry) === undefined ? entry.preference : PREFERENCE_LOW - 1;
  }

  #failedAt({ router }: Entry): number | undefined {
    return this.#failed.size === 0 ? undefined : this.#failed.get(router.toString());
  }
}

const isRoutable = ({ address }: Cidr): boolean =>
  !address.isIpv4 && !address.isMulticast && !address.isLoopback && !address.isLinkLocal;
