/**
 * Those who have not logged in yet, oldest first, and who of them goes when there are too many: of those who share a network with
 * most others the oldest. So whoever floods crowds itself out first.
 */
import { mix } from "../../lib/hash.ts";
import type { IpAddress } from "../../lib/ip.ts";

/** Networks are told apart by a hash; two that share a place share a fate. */
const PLACES = 1024;

export class Newcomers {
  readonly #seed: number;
  /** In the order in which they came. */
  readonly #places = new Map<number, number>();
  readonly #crowd = new Int32Array(PLACES);

  /** @param seed int32, random */
  constructor(seed: number) {
    this.#seed = seed;
  }

  get count(): number {
    return this.#places.size;
  }

  add(peer: number, { isIpv4, w0, w1, w3 }: IpAddress): void {
    // Of IPv6 a host has a network of 64 bits of its own.
    const place = (isIpv4 ? mix(this.#seed, w3) : mix(mix(this.#seed, w0), w1)) & (PLACES - 1);
    this.#places.set(peer, place);
    this.#crowd[place]!++;
  }

  remove(peer: number): void {
    const place = this.#places.get(peer);
    if (place === undefined) return;
    this.#places.delete(peer);
    this.#crowd[place]!--;
  }

  /** Who goes first; -1: nobody is there. */
  first(): number {
    let first = -1;
    let most = 0;
    for (const [peer, place] of this.#places) {
      if (this.#crowd[place]! <= most) continue;
      most = this.#crowd[place]!;
      first = peer;
    }
    return first;
  }
}
