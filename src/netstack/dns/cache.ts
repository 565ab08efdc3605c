/** Addresses of names that were asked for, for as long as their TTL; kept longer to serve when no server answers (RFC 8767). */
import type { IpAddress } from "../../lib/ip.ts";

export interface CachedName {
  readonly ipv4: readonly IpAddress[];
  readonly ipv6: readonly IpAddress[];
  /** Absolute, ms. */
  readonly freshUntil: number;
}

/** Our choices: a name of a VPN server that moved must not be remembered for days, and a router asks for few names. */
const MAX_TTL_S = 3600;
const STALE_MS = 24 * 3_600_000;
const MAX_NAMES = 64;

export class DnsCache {
  readonly #names = new Map<string, CachedName>();

  /** @returns the TTL in s that holds */
  put(now: number, name: string, ipv4: readonly IpAddress[], ipv6: readonly IpAddress[], ttl: number): number {
    const seconds = Math.min(Math.max(ttl, 0), MAX_TTL_S);
    this.#names.delete(name);
    this.#names.set(name, { ipv4, ipv6, freshUntil: now + seconds * 1000 });
    for (const oldest of this.#names.keys()) {
      if (this.#names.size <= MAX_NAMES) break;
      this.#names.delete(oldest);
    }
    return seconds;
  }

  fresh(now: number, name: string): CachedName | undefined {
    const found = this.#names.get(name);
    return found && now < found.freshUntil ? found : undefined;
  }

  /** Fresh or not, but not older than a day past its TTL. */
  stale(now: number, name: string): CachedName | undefined {
    const found = this.#names.get(name);
    return found && now < found.freshUntil + STALE_MS ? found : undefined;
  }

  remove(name: string): void {
    this.#names.delete(name);
  }

  clear(): void {
    this.#names.clear();
  }
}
