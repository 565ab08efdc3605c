/**
 * Questions that servers are asked, and who waits for what becomes of each. Equal ones are joined: a question is asked once, however many
 * want to know, which also keeps a forger from trying many ids at once (RFC 5452 5) and ends a loop. Bounded in all and by host.
 */
import { mix } from "../../lib/hash.ts";
import type { IpAddress } from "../../lib/ip.ts";
import { DNS_HEADER_LEN, dnsSameName } from "../wire/dns-message.ts";
import type { Asked } from "./reply.ts";
import type { Upstream } from "./upstreams.ts";

/** Our choices: all of it stays under a few MiB, and a host that asks without end has a quarter. */
const MAX_FLIGHTS = 1024;
const MAX_FLIGHTS_OF_HOST = 256;
const MAX_WAITERS = 64;
const HOSTS = 256;

/** Somebody who waits. */
export interface Waiter extends Asked {
  readonly from: IpAddress;
  readonly port: number;
  /** The TCP connection, 0: UDP. */
  readonly stream: number;
  /** Its message up to the end of the question. */
  readonly message: Uint8Array;
}

/** A question that was put to a server, through a socket of its own. */
export interface Attempt {
  readonly flight: Flight;
  readonly socket: number;
  readonly upstream: Upstream;
  readonly id: number;
  /** As it was sent, header and all: an answer repeats its question to the letter. */
  readonly sent: Uint8Array;
  readonly sentAt: number;
  readonly hasEdns: boolean;
  readonly mixesCase: boolean;
  /** By TCP: `socket` is the number of the dial. */
  readonly isDialed: boolean;
  /** Answers with the wrong id or question that came to its socket. */
  wrong: number;
}

export class Flight {
  readonly hash: number;
  readonly type: number;
  readonly key: number;
  readonly nameEnd: number;
  /** A header and the question as it was asked first. */
  readonly message: Uint8Array;
  readonly labels: readonly string[];
  readonly owner: number;
  /** A word of the address of whoever asked first. */
  readonly host: number;
  readonly waiters: Waiter[] = [];
  readonly attempts: Attempt[] = [];
  readonly upstreams: readonly Upstream[];
  /** In this round, and for good: those do not know the answer. */
  asked: Upstream[] = [];
  readonly failed: Upstream[] = [];
  readonly endsAt: number;
  attemptEndsAt = Number.POSITIVE_INFINITY;
  /** What a server said that could not answer. */
  failure: Uint8Array | undefined = undefined;
  next: Flight | undefined = undefined;

  constructor(
    hash: number,
    waiter: Waiter,
    key: number,
    labels: readonly string[],
    owner: number,
    host: number,
    upstreams: readonly Upstream[],
    endsAt: number,
  ) {
    this.hash = hash;
    this.type = waiter.type;
    this.key = key;
    this.nameEnd = waiter.nameEnd;
    this.message = waiter.message;
    this.labels = labels;
    this.owner = owner;
    this.host = host;
    this.upstreams = upstreams;
    this.endsAt = endsAt;
    this.waiters.push(waiter);
  }

  /** Adds somebody who waits. @returns false: there are too many */
  join(waiter: Waiter): boolean {
    const same = this.waiters.findIndex(
      (w) => w.id === waiter.id && w.port === waiter.port && w.stream === waiter.stream && w.from.equals(waiter.from),
    );
    // Who repeats a question waits for one answer.
    if (same >= 0) this.waiters[same] = waiter;
    else if (this.waiters.length >= MAX_WAITERS) return false;
    else this.waiters.push(waiter);
    return true;
  }
}

export class InFlight {
  readonly #seed: number;
  readonly #byHash = new Map<number, Flight>();
  /** The oldest first. */
  readonly #all = new Set<Flight>();
  readonly #ofHost = new Uint16Array(HOSTS);

  constructor(seed: number) {
    this.#seed = seed;
  }

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): IterableIterator<Flight> {
    return this.#all.values();
  }

  /** Which place a host has in the counts by host. */
  ownerOf(host: number): number {
    return mix(this.#seed, host) & (HOSTS - 1);
  }

  find(hash: number, bytes: Uint8Array, nameEnd: number, type: number, key: number): Flight | undefined {
    let flight = this.#byHash.get(hash);
    while (flight !== undefined && !isSame(flight, bytes, nameEnd, type, key)) flight = flight.next;
    return flight;
  }

  /** Whether a host may have one more; undefined: it may, `victim`: that one has to end for it. */
  roomFor(owner: number): "yes" | "no" | Flight {
    const own = this.#ofHost[owner]!;
    if (own >= MAX_FLIGHTS_OF_HOST) return "no";
    if (this.#all.size < MAX_FLIGHTS) return "yes";
    let most = 0;
    for (let i = 1; i < HOSTS; i++) if (this.#ofHost[i]! > this.#ofHost[most]!) most = i;
    if (this.#ofHost[most]! <= own + 1) return "no";
    for (const flight of this.#all) if (flight.owner === most) return flight;
    return "no";
  }

  add(flight: Flight): void {
    flight.next = this.#byHash.get(flight.hash);
    this.#byHash.set(flight.hash, flight);
    this.#all.add(flight);
    this.#ofHost[flight.owner]!++;
  }

  /** @returns false: it has ended already */
  remove(flight: Flight): boolean {
    if (!this.#all.delete(flight)) return false;
    this.#ofHost[flight.owner]!--;
    let before = this.#byHash.get(flight.hash);
    if (before === flight) {
      if (flight.next === undefined) this.#byHash.delete(flight.hash);
      else this.#byHash.set(flight.hash, flight.next);
      return true;
    }
    while (before !== undefined && before.next !== flight) before = before.next;
    if (before !== undefined) before.next = flight.next;
    return true;
  }
}

const isSame = (flight: Flight, bytes: Uint8Array, nameEnd: number, type: number, key: number): boolean =>
  flight.type === type &&
  flight.key === key &&
  flight.nameEnd === nameEnd &&
  dnsSameName(flight.message, DNS_HEADER_LEN, bytes, DNS_HEADER_LEN, nameEnd - DNS_HEADER_LEN);
