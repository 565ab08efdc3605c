/**
 * What names resolved to last. Each query asks the servers anew, as a program on another machine would: the addresses of a
 * name that moved are of no use, and the servers have caches. What is kept here serves when no server answers (RFC 8767).
 */
import type { IpAddress } from "../../lib/ip.ts";

export interface CachedName {
  readonly ipv4: readonly IpAddress[];
  readonly ipv6: readonly IpAddress[];
  /** Absolute, ms. */
  readonly until: number;
}

/** Our choices. A TTL of days says nothing about whether a VPN server is where it was, and a router asks for few names. */
const MAX_TTL_S = 3600;
const STALE_MS = 24 * 3_600_000;
const MAX_NAMES = 64;

export class DnsCache {
  readonly #names = new Map<string, CachedName>();

  /** @param ttl s */
  put(now: number, name: string, ipv4: readonly IpAddress[], ipv6: readonly IpAddress[], ttl: number): void {
    this.#names.delete(name);
    this.#names.set(name, { ipv4, ipv6, until: now + Math.min(ttl, MAX_TTL_S) * 1000 + STALE_MS });
    for (const oldest of this.#names.keys()) {
      if (this.#names.size <= MAX_NAMES) break;
      this.#names.delete(oldest);
    }
  }

  /** The last answer, unless it is older than a day past its TTL. */
  stale(now: number, name: string): CachedName | undefined {
    const found = this.#names.get(name);
    return found && now < found.until ? found : undefined;
  }
}
