/**
 * The routes of the router, of one family: destination -> side and neighbour, by longest prefix (RFC 1812 5.2.4.3). An address
 * is `stride` words: 1 for IPv4, 4 for IPv6. A route is an index; -1 is none.
 *
 * One hash over (network, prefix length) holds all routes; a look-up asks it once for each length that occurs, the longest
 * first. Routes to one network stand in its bucket in the order in which they count, so that the first one found is the one that
 * does, and the next takes its place when it is removed. What was looked up last is kept, by a hash of the address, since packets of
 * one flow follow each other.
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
  /** Rows that were used, and of those the ones that are free again: the first, which has the next in #next. */
  #used = 0;
  #free = -1;
  /** Routes of each prefix length. */
  readonly #ofLength = new Int32Array(129);
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

  /** Adds a route of the table's family. Of several to one network the one with the lowest metric counts, of equal ones the first. */
  add(network: Cidr, metric: number, to: RouteTarget): void {
    const { prefix } = network;
    this.#setKey(network);
    const route = this.#take();
    this.#words.set(this.#key, route * this.stride);
    this.#prefix[route] = prefix;
    this.#metric[route] = metric;
    this.side[route] = to.side;
    this.neighbour[route] = to.neighbour;
    this.refusal[route] = to.refusal;
    this.#link(route);
    this.size++;
    if (this.#ofLength[prefix]!++ === 0) this.#noteLengths();
    this.#keptRoute.fill(NOT_KEPT);
  }

  /** Removes the route to exactly this network that leads to the side's neighbour, the first of them. @returns whether there was one */
  remove(network: Cidr, side: number, neighbour: number): boolean {
    const { prefix } = network;
    this.#setKey(network);
    const bucket = this.#bucket(this.#key, 0, prefix);
    let before = -1;
    let route = this.#buckets[bucket]!;
    while (
      route >= 0 &&
      !(this.#isTo(route, prefix) && this.side[route] === side && this.neighbour[route] === neighbour)
    ) {
      before = route;
      route = this.#next[route]!;
    }
    if (route < 0) return false;
    if (before < 0) this.#buckets[bucket] = this.#next[route]!;
    else this.#next[before] = this.#next[route]!;
    this.#next[route] = this.#free;
    this.#free = route;
    this.size--;
    if (--this.#ofLength[prefix]! === 0) this.#noteLengths();
    this.#keptRoute.fill(NOT_KEPT);
    return true;
  }

  /** The route to exactly this network that counts, or -1. */
  exact(network: Cidr): number {
    this.#setKey(network);
    let route = this.#buckets[this.#bucket(this.#key, 0, network.prefix)]!;
    while (route >= 0 && !this.#isTo(route, network.prefix)) route = this.#next[route]!;
    return route;
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
    this.#used = 0;
    this.#free = -1;
    this.#ofLength.fill(0);
    this.#lengths = [];
    this.#buckets.fill(-1);
    this.#keptRoute.fill(NOT_KEPT);
  }

  #covers(route: number, words: Int32Array, i: number, mask: number): boolean {
    for (let k = 0; k < this.stride; k++)
      if (this.#words[route * this.stride + k] !== (words[i + k]! & this.#masks[mask + k]!)) return false;
    return true;
  }

  #setKey({ network }: Cidr): void {
    const { w0, w1, w2, w3 } = network.address;
    const key = this.#key;
    if (this.stride === 1) key[0] = w3;
    else {
      key[0] = w0;
      key[1] = w1;
      key[2] = w2;
      key[3] = w3;
    }
  }

  /** Whether a route is to the network of the key with this prefix length. */
  #isTo(route: number, prefix: number): boolean {
    return this.#prefix[route] === prefix && sameAddress(this.#words, route * this.stride, this.#key, 0, this.stride);
  }

  /** Puts the route to the key's network into its bucket: in front of the first one to that network that is worse. */
  #link(route: number): void {
    const prefix = this.#prefix[route]!;
    const bucket = this.#bucket(this.#key, 0, prefix);
    let before = -1;
    let after = this.#buckets[bucket]!;
    while (after >= 0 && !(this.#isTo(after, prefix) && this.#metric[after]! > this.#metric[route]!)) {
      before = after;
      after = this.#next[after]!;
    }
    this.#next[route] = after;
    if (before < 0) this.#buckets[bucket] = route;
    else this.#next[before] = route;
  }

  #bucket(words: Int32Array, i: number, prefix: number): number {
    return mixAddress(this.#seed ^ prefix, words, i, this.stride) & (this.#buckets.length - 1);
  }

  #bucketMasked(words: Int32Array, i: number, mask: number, prefix: number): number {
    let h = this.#seed ^ prefix;
    for (let k = 0; k < this.stride; k++) h = mix(h, words[i + k]! & this.#masks[mask + k]!);
    return h & (this.#buckets.length - 1);
  }

  /** Notes the prefix lengths that occur. */
  #noteLengths(): void {
    const lengths: number[] = [];
    for (let n = 32 * this.stride; n >= 0; n--) if (this.#ofLength[n]! > 0) lengths.push(n);
    this.#lengths = lengths;
    this.#masks = Int32Array.from(
      lengths.flatMap((n) => Array.from({ length: this.stride }, (_, k) => wordMask(n, k))),
    );
  }

  /** A row for a route more. */
  #take(): number {
    const free = this.#free;
    if (free >= 0) {
      this.#free = this.#next[free]!;
      return free;
    }
    if (this.#used === this.side.length) this.#grow();
    return this.#used++;
  }

  /** Twice as many rows; all of them are in use. */
  #grow(): void {
    const more = Math.max(16, 2 * this.side.length);
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
    const [buckets, next] = [this.#buckets, this.#next];
    this.#next = new Int32Array(more);
    this.#buckets = new Int32Array(2 * more).fill(-1);
    // Those to one network keep their order.
    const tails = new Int32Array(2 * more);
    for (const first of buckets) {
      for (let route = first; route >= 0; route = next[route]!) {
        const bucket = this.#bucket(this.#words, route * this.stride, this.#prefix[route]!);
        if (this.#buckets[bucket]! < 0) this.#buckets[bucket] = route;
        else this.#next[tails[bucket]!] = route;
        this.#next[route] = -1;
        tails[bucket] = route;
      }
    }
  }
}
