/**
 * The peers of a server by their numbers, and who of them is to be looked at: each that something was done with, once, and each whose
 * time is up. What that costs does not depend on how many there are.
 */
import { DeadlineHeap } from "../../lib/deadline-heap.ts";
import { Newcomers } from "./newcomers.ts";
import { Peer } from "./peer.ts";
import { PeerIds } from "./peer-ids.ts";
import type { PeerLink } from "./peer-link.ts";

/** Our choice: so many may be in the midst of a handshake, or connected without having said anything. */
export const MAX_NEWCOMERS = 256;
/** What the side behind the server can tell apart (server-side.ts in src/tunnel). */
const MOST_PEERS = 65_536;
const NEVER = Number.POSITIVE_INFINITY;

export class Roster {
  /** Numbers are less than that. */
  readonly capacity: number;
  readonly #peers: (Peer | undefined)[];
  readonly #ids: PeerIds;
  readonly #newcomers: Newcomers;
  /** By number + 1. */
  readonly #deadlines: DeadlineHeap;
  /** Numbers of those that something was done with; each once. */
  readonly #touched: number[] = [];
  readonly #isTouched: Uint8Array;

  /** @param maxClients that have logged in @param seed int32, random */
  constructor(maxClients: number, seed: number) {
    this.capacity = Math.min(MOST_PEERS, maxClients + MAX_NEWCOMERS);
    this.#peers = new Array(this.capacity).fill(undefined);
    this.#ids = new PeerIds(this.capacity);
    this.#newcomers = new Newcomers(seed);
    this.#deadlines = new DeadlineHeap(this.capacity);
    this.#isTouched = new Uint8Array(this.capacity);
  }

  /** The one with a number; undefined: there is none, or it is no number. */
  at(id: number): Peer | undefined {
    return this.#peers[id];
  }

  /** It has not left. */
  has(peer: Peer): boolean {
    return this.#peers[peer.id] === peer;
  }

  /** Also those that have not logged in yet. */
  *[Symbol.iterator](): IterableIterator<Peer> {
    for (const peer of this.#peers) if (peer !== undefined) yield peer;
  }

  /** Who has to leave before somebody comes, because too many have not logged in. */
  get surplus(): Peer | undefined {
    return this.#newcomers.count < MAX_NEWCOMERS ? undefined : this.#peers[this.#newcomers.first()];
  }

  /** Somebody comes. @param socket its number, or STREAM @returns undefined: no number is free */
  enter(now: number, socket: number, link: PeerLink): Peer | undefined {
    const id = this.#ids.take();
    if (id < 0) return undefined;
    const peer = new Peer(id, socket, link, now);
    this.#peers[id] = peer;
    this.#newcomers.add(id, link.endpoint.address);
    return peer;
  }

  /** It has logged in. */
  admit(peer: Peer): void {
    this.#newcomers.remove(peer.id);
  }

  leave({ id }: Peer): void {
    this.#peers[id] = undefined;
    this.#newcomers.remove(id);
    this.#deadlines.set(id + 1, NEVER);
    this.#ids.put(id);
  }

  /** It is to be looked at. */
  touch({ id }: Peer): void {
    if (this.#isTouched[id] === 1) return;
    this.#isTouched[id] = 1;
    this.#touched.push(id);
  }

  /** It is to be looked at then; Infinity: never. */
  touchAt({ id }: Peer, at: number): void {
    this.#deadlines.set(id + 1, at);
  }

  /** Those whose time is up are to be looked at: each once, so that one whose time is up again at once waits for the next call. */
  touchDue(now: number): void {
    for (let left = this.capacity; left > 0 && this.#deadlines.firstAt <= now; left--) {
      const id = this.#deadlines.first - 1;
      this.#deadlines.set(id + 1, NEVER);
      const peer = this.#peers[id];
      if (peer !== undefined) this.touch(peer);
    }
  }

  /** The next one that is to be looked at; undefined: there is no more. */
  take(): Peer | undefined {
    for (let id = this.#touched.pop(); id !== undefined; id = this.#touched.pop()) {
      this.#isTouched[id] = 0;
      const peer = this.#peers[id];
      if (peer !== undefined) return peer;
    }
    return undefined;
  }

  /** When somebody is to be looked at; in the past when at once, Infinity when never. */
  pollAt(): number {
    return this.#touched.length > 0 ? Number.NEGATIVE_INFINITY : this.#deadlines.firstAt;
  }
}
