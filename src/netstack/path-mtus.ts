/**
 * The path MTUs that routers told us of (RFC 1191, RFC 8201), for packets of our own: a small table, the oldest entry gives way. Who
 * enters something has seen that the error quotes a packet that we may have sent, and that was larger than what it says. Addresses are the
 * four words of an IpAddress.
 */
import { leastMtu, PATH_MTU_MS } from "../lib/path-mtu.ts";

/** Our choice: a router talks to few hosts by itself. */
const MAX_ENTRIES = 64;

interface Entry {
  readonly words: Int32Array;
  mtu: number;
  until: number;
}

export class PathMtus {
  /** The one that was entered last is the last. */
  readonly #entries: Entry[] = [];

  /** Largest packet to the address of `words`; Infinity: nothing is known. */
  get(now: number, words: Int32Array): number {
    for (const entry of this.#entries)
      if (same(entry.words, words)) return now < entry.until ? entry.mtu : Number.POSITIVE_INFINITY;
    return Number.POSITIVE_INFINITY;
  }

  /** Enters what is less than what is known: a path's MTU only shrinks by what routers say (RFC 8201 4). */
  lower(now: number, words: Int32Array, said: number): void {
    const mtu = Math.max(said, leastMtu(isMapped(words)));
    if (mtu >= this.get(now, words)) return;
    const known = this.#entries.findIndex((entry) => same(entry.words, words));
    if (known >= 0) this.#entries.splice(known, 1);
    else if (this.#entries.length === MAX_ENTRIES) this.#entries.shift();
    this.#entries.push({ words: words.slice(0, 4), mtu, until: now + PATH_MTU_MS });
  }

  clear(): void {
    this.#entries.length = 0;
  }
}

const isMapped = (words: Int32Array): boolean => words[2] === 0xffff && words[1] === 0 && words[0] === 0;

const same = (a: Int32Array, b: Int32Array): boolean =>
  a[3] === b[3] && a[2] === b[2] && a[1] === b[1] && a[0] === b[0];
