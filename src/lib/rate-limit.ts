import { mix } from "./hash.ts";

/** Token buckets: `perSecond` on average, `burst` at once. */
export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** @param n how many, at most the burst */
  take(now: number, n = 1): boolean {
    if (this.#at > Number.NEGATIVE_INFINITY)
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < n) return false;
    this.#tokens -= n;
    return true;
  }
}

const HOSTS = 256;

/**
 * A limit in all of which no host gets more than its share: a host that asks for too much uses up its own, and is refused
 * without touching what is there for the others. Hosts are told apart by a hash of their address; two that share a place share
 * a share.
 */
export class FairLimit {
  readonly #all: RateLimit;
  readonly #perMs: number;
  readonly #burst: number;
  readonly #seed: number;
  readonly #tokens = new Float64Array(HOSTS);
  readonly #at = new Float64Array(HOSTS);

  /**
   * @param share what one host gets of both, as a fraction
   * @param seed int32, random: so that nobody knows who shares a place with whom
   */
  constructor(perSecond: number, burst: number, share: number, seed: number) {
    this.#all = new RateLimit(perSecond, burst);
    this.#perMs = (perSecond * share) / 1000;
    this.#burst = burst * share;
    this.#seed = seed;
    this.#tokens.fill(this.#burst);
  }

  /** @param host a word of its address @param n how many, at most its share of the burst */
  take(now: number, host: number, n = 1): boolean {
    const i = mix(this.#seed, host) & (HOSTS - 1);
    const tokens = Math.min(this.#burst, this.#tokens[i]! + (now - this.#at[i]!) * this.#perMs);
    this.#at[i] = now;
    this.#tokens[i] = tokens;
    if (tokens < n || !this.#all.take(now, n)) return false;
    this.#tokens[i] = tokens - n;
    return true;
  }
}
