/**
 * The routes of the router, of one family: destination -> side and neighbour, by longest prefix (RFC 1812 5.2.4.3). An address
 * is `stride` words: 1 for IPv4, 4 for IPv6. A route is an index; -1 is none.
 *
 * One hash over (network, prefix length) holds all routes; a look-up asks it once for each length that occurs, the longest
 * first. What was looked up last is kept, by a hash of the address, since packets of one flow follow each other.
 */
import { type Cidr, wordMask } from "../lib/cidr.ts";
import { mix } from "../lib/hash.ts";
import { isAddressAt, mixAddress, mixAddressAt, readAddress, type Stride, sameAddress } from "../lib/words.ts";
import type { DropCode } from "./drop.ts";

/** Where a route leads. */
export interface RouteTarget {
  /** Index of the router's side. */
  readonly side: number;
  /** The neighbour on the side's link, -1: the destination itself, which the link has to find. */
  readonly neighbour: number;
  /** Nothing goes there: the code it is refused with, else 0. */
  readonly refusal: DropCode;
}

const KEPT = 256;
const NOT_KEPT = -2;

export class RouteTable {
  readonly stride: Stride;
  size = 0;
  /** By route. */
  side = new Int16Array(0);
  neighbour = new Int32Array(0);
  refusal = new Uint8Array(0);

  #words = new Int32Array(0);
  #prefix = new Uint8Array(0);
  #metric = new Float64Array(0);
  #next = new Int32Array(0);
  #buckets = new Int32Array(1).fill(-1);
  /** The prefix lengths that occur, longest first, and the masks of their words. */
  #lengths: number[] = [];
  #masks = new Int32Array(0);
  readonly #key: Int32Array;
  readonly #seed: number;
  readonly #keptWords: Int32Array;
  readonly #keptRoute = new Int32Array(KEPT).fill(NOT_KEPT);

  /** @param seed int32, random: senders choose the addresses that are looked up */
  constructor(stride: Stride, seed: number) {
    this.stride = stride;
    this.#seed = seed;
    this.#key = new Int32Array(stride);
    this.#keptWords = new Int32Array(KEPT * stride);
  }

  /** Adds a route of the table's family. Of two routes to one network the one with the lower metric stays, of equal ones the first. */
  add(network: Cidr, metric: number, to: RouteTarget): void {
    this.#grow();
    const { prefix } = network;
    const { w0, w1, w2, w3 } = network.network.address;
    this.#key.set(this.stride === 1 ? [w3] : [w0, w1, w2, w3]);
    let route = this.#find(this.#key, 0, prefix);
    if (route < 0) {
      route = this.size++;
      this.#words.set(this.#key, route * this.stride);
      this.#prefix[route] = prefix;
      const bucket = this.#bucket(this.#key, 0, prefix);
      this.#next[route] = this.#buckets[bucket]!;
      this.#buckets[bucket] = route;
      this.#note(prefix);
    } else if (this.#metric[route]! <= metric) return;
    this.#metric[route] = metric;
    this.side[route] = to.side;
    this.neighbour[route] = to.neighbour;
    this.refusal[route] = to.refusal;
    this.#keptRoute.fill(NOT_KEPT);
  }

  /** The route to the address at `at` of a header, or -1. */
  lookup(d: DataView, at: number): number {
    const { stride } = this;
    const slot = mixAddressAt(this.#seed, d, at, stride) & (KEPT - 1);
    const kept = this.#keptRoute[slot]!;
    if (kept !== NOT_KEPT && isAddressAt(d, at, this.#keptWords, slot * stride, stride)) return kept;
    readAddress(d, at, this.#keptWords, slot * stride, stride);
    const route = this.find(this.#keptWords, slot * stride);
    this.#keptRoute[slot] = route;
    return route;
  }

  /** The route to the address at `words[i]`, or -1. */
  find(words: Int32Array, i: number): number {
    for (let n = 0; n < this.#lengths.length; n++) {
      const prefix = this.#lengths[n]!;
      const mask = n * this.stride;
      let route = this.#buckets[this.#bucketMasked(words, i, mask, prefix)]!;
      while (route >= 0 && !(this.#prefix[route] === prefix && this.#covers(route, words, i, mask)))
        route = this.#next[route]!;
      if (route >= 0) return route;
    }
    return -1;
  }

  clear(): void {
    this.size = 0;
    this.#lengths = [];
    this.#buckets.fill(-1);
    this.#keptRoute.fill(NOT_KEPT);
  }

  #covers(route: number, words: Int32Array, i: number, mask: number): boolean {
    for (let k = 0; k < this.stride; k++)
      if (this.#words[route * this.stride + k] !== (words[i + k]! & this.#masks[mask + k]!)) return false;
    return true;
  }

  /** The route to exactly this network. */
  #find(words: Int32Array, i: number, prefix: number): number {
    let route = this.#buckets[this.#bucket(words, i, prefix)]!;
    for (; route >= 0; route = this.#next[route]!) {
      const at = route * this.stride;
      if (this.#prefix[route] === prefix && sameAddress(this.#words, at, words, i, this.stride)) return route;
    }
    return -1;
  }

  #bucket(words: Int32Array, i: number, prefix: number): number {
    return mixAddress(this.#seed ^ prefix, words, i, this.stride) & (this.#buckets.length - 1);
  }

  #bucketMasked(words: Int32Array, i: number, mask: number, prefix: number): number {
    let h = this.#seed ^ prefix;
    for (let k = 0; k < this.stride; k++) h = mix(h, words[i + k]! & this.#masks[mask + k]!);
    return h & (this.#buckets.length - 1);
  }

  /** Notes a prefix length that occurs. */
  #note(prefix: number): void {
    if (this.#lengths.includes(prefix)) return;
    this.#lengths = [...this.#lengths, prefix].sort((a, b) => b - a);
    this.#masks = Int32Array.from(
      this.#lengths.flatMap((n) => Array.from({ length: this.stride }, (_, k) => wordMask(n, k))),
    );
  }

  /** Makes room for one route more. */
  #grow(): void {
    const capacity = this.side.length;
    if (this.size < capacity) return;
    const more = Math.max(16, 2 * capacity);
    const grown = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.side = grown(new Int16Array(more), this.side);
    this.neighbour = grown(new Int32Array(more), this.neighbour);
    this.refusal = grown(new Uint8Array(more), this.refusal);
    this.#words = grown(new Int32Array(more * this.stride), this.#words);
    this.#prefix = grown(new Uint8Array(more), this.#prefix);
    this.#metric = grown(new Float64Array(more), this.#metric);
    this.#next = new Int32Array(more);
    this.#buckets = new Int32Array(2 * more).fill(-1);
    for (let route = 0; route < this.size; route++) {
      const bucket = this.#bucket(this.#words, route * this.stride, this.#prefix[route]!);
      this.#next[route] = this.#buckets[bucket]!;
      this.#buckets[bucket] = route;
    }
  }
}
