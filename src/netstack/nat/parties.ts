/**
 * Which session gives way when the translator's table is full.
 *
 * Each session has a *rank*: 1 when the other side has confirmed it, else 0. The sessions of one host (inside address), one
 * direction (begun by the host, or let in to it by a forward) and one rank are a *party*:
 *
 *   party P    head (gives way next) -> session -> session -> tail (used last)        P = 2 * host and direction + rank
 *   rank R     byCount[R][1] -> party -> party           parties with 1 session
 *              byCount[R][2] -> party                    ... with 2, and so on
 *              byCount[R][most[R]] -> party              the busiest of that rank
 *
 * An unconfirmed session gives way before any confirmed one, and of either rank the longest idle one of the party that has most:
 * whoever sends from many addresses that nobody answers pushes out his own, and who floods a forward what came in by it. A small share of
 * the table ({@link UNCONFIRMED_SHARE}) is left to unconfirmed sessions, or whoever fills it with answered ones could keep
 * everybody else from beginning any.
 */

import { Buckets } from "../../lib/buckets.ts";
import { Chains } from "../../lib/chains.ts";
import { type Stride, sameAddress } from "../../lib/words.ts";
import { endpointHash } from "./hash.ts";

/** One in so many sessions may be unconfirmed although others are confirmed: that many can always be about to begin. */
const UNCONFIRMED_SHARE = 16;

const RANKS = 2;

export class Parties {
  readonly #stride: Stride;
  readonly #seed: number;
  /** Sessions that may be unconfirmed although others are confirmed. */
  readonly #share: number;
  /** A host in one direction; while it has sessions. */
  readonly #hosts: Buckets;
  readonly #address: Int32Array;
  readonly #inbound: Uint8Array;
  readonly #sessions: Chains;
  readonly #count: Int32Array;
  /** Parties by their number of sessions, of each rank; the most sessions that one has; sessions of each rank. */
  readonly #byCount: readonly [Chains, Chains];
  readonly #most = new Int32Array(RANKS);
  readonly #ofRank = new Int32Array(RANKS);

  /** @param sessions at most @param seed of the hashes */
  constructor(stride: Stride, sessions: number, seed: number) {
    this.#stride = stride;
    this.#seed = seed;
    this.#share = Math.floor(sessions / UNCONFIRMED_SHARE);
    const parties = RANKS * (sessions + 1);
    this.#hosts = new Buckets(sessions);
    this.#address = new Int32Array((sessions + 1) * stride);
    this.#inbound = new Uint8Array(sessions + 1);
    this.#sessions = new Chains(sessions, parties);
    this.#count = new Int32Array(parties);
    this.#byCount = [new Chains(parties, sessions + 1), new Chains(parties, sessions + 1)];
  }

  /** The index of a host in one direction: made when there is none, and gone with its last session. */
  hostOf(inside: Int32Array, inbound: 0 | 1): number {
    const found = this.#find(inside, inbound);
    if (found !== 0) return found;
    const h = this.#hosts.add(this.#hash(inside, 0, inbound));
    const stride = this.#stride;
    for (let k = 0; k < stride; k++) this.#address[h * stride + k] = inside[k]!;
    this.#inbound[h] = inbound;
    return h;
  }

  /** Session `i`, which was used now, becomes one of that host and rank. */
  add(i: number, host: number, rank: number): void {
    const party = RANKS * host + rank;
    this.#sessions.append(party, i);
    this.#recount(party, rank, 1);
  }

  /** Takes session `i` out of those of its host and rank. */
  remove(i: number, host: number, rank: number): void {
    const party = RANKS * host + rank;
    this.#sessions.remove(party, i);
    this.#recount(party, rank, -1);
  }

  /** Forgets the host if it has no session any more. */
  release(h: number): void {
    if (this.#count[RANKS * h] !== 0 || this.#count[RANKS * h + 1] !== 0) return;
    this.#hosts.remove(this.#hash(this.#address, h * this.#stride, this.#inbound[h]!), h);
  }

  /** The session that gives way next; there is one. */
  next(): number {
    const rank = this.#ofRank[0]! <= this.#share && this.#ofRank[1]! > 0 ? 1 : 0;
    const busiest = this.#byCount[rank]!.first(this.#most[rank]!);
    return this.#sessions.first(busiest);
  }

  /** Sessions of an inside address. */
  sessionsOf(inside: Int32Array): number {
    let sum = 0;
    for (const inbound of [0, 1]) {
      const h = this.#find(inside, inbound);
      if (h !== 0) sum += this.#count[RANKS * h]! + this.#count[RANKS * h + 1]!;
    }
    return sum;
  }

  clear(): void {
    this.#hosts.clear();
    this.#sessions.clear();
    this.#count.fill(0);
    for (const chains of this.#byCount) chains.clear();
    this.#most.fill(0);
    this.#ofRank.fill(0);
  }

  #hash(words: Int32Array, at: number, inbound: number): number {
    return endpointHash(this.#seed, inbound, words, at, this.#stride, 0);
  }

  #find(inside: Int32Array, inbound: number): number {
    const hosts = this.#hosts;
    let h = hosts.first(this.#hash(inside, 0, inbound));
    while (
      h !== 0 &&
      !(this.#inbound[h] === inbound && sameAddress(this.#address, h * this.#stride, inside, 0, this.#stride))
    )
      h = hosts.next(h);
    return h;
  }

  /** Moves a party to the list of its new number of sessions; without any it is in none. */
  #recount(party: number, rank: number, by: 1 | -1): void {
    const chains = this.#byCount[rank]!;
    const before = this.#count[party]!;
    const after = before + by;
    this.#count[party] = after;
    this.#ofRank[rank] = this.#ofRank[rank]! + by;
    if (before > 0) chains.remove(before, party);
    if (after > 0) chains.append(after, party);
    const most = this.#most[rank]!;
    if (after > most || (before === most && chains.first(before) === 0)) this.#most[rank] = after;
  }
}
