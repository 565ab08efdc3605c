/**
 * The neighbours of an Ethernet interface, of one family: address -> MAC (RFC 826, RFC 1122 2.3.2; the states are those of
 * RFC 4861 7.3.2), requests with retries and a rate limit, and bounded queues of packets that wait for an answer. An address
 * is `stride` words: 1 for IPv4, 4 for IPv6. A neighbour is an index; index 0 is everybody.
 *
 * What is believed: an answer to a request that is under way, and, for an address that nothing is known of, a request to us
 * (as a guess that everybody is asked about at its first use). Anything else that contradicts an entry makes us ask
 * everybody again. An entry is confirmed by unicast after REACHABLE_MS of use.
 *
 *   incomplete --answer--> reachable --30 s of use--> probing --answer--> reachable
 *        |                   |   ^                       | no answer to 2 requests, or a different claim
 *        | 3 requests        |   |                       v
 *        v                   |   +---- an answer ---- contested --- no answer to 2 requests --> incomplete
 *     failed --1 s--> asked  +------ a different claim -->
 *
 * *Contested*: everybody was asked, and the known MAC is used meanwhile. When the time for answers is over, a MAC that was
 * confirmed stays if it is among those that answered, else the one that did is taken. A guess has no such right: the first
 * answer replaces it at once. Two that answered are a conflict, which is told.
 *
 * Every operation costs the same whatever the table holds: entries are in a list of their last use (those that have answered
 * apart from those that have not), whose head gives way or is forgotten, and in a list of what is waited for.
 */
import { Buckets } from "../../lib/buckets.ts";
import { Chains } from "../../lib/chains.ts";
import { copyAddress, mixAddress, type Stride, sameAddress } from "../../lib/words.ts";
import { type Parked, ParkedPackets } from "./parked.ts";

/** What the table needs from its link. The address of neighbour `n` is at {@link NeighborTable.wordsAt}. */
export interface NeighborPort {
  /** Asks for the address of `n`, of that MAC or of everybody (0xffff, -1). */
  solicit(n: number, macHi: number, macLo: number): void;
  /** The MAC of `n` is known now: sends what waited for it. */
  release(n: number, parked: readonly Parked[]): void;
  /** What waited for `n` is lost. @param now where it was asked in vain; undefined: it was forgotten before */
  abandon(n: number, parked: readonly Parked[], now: number | undefined): void;
  /** `n` does not answer any more; told once for each time that it was asked in vain. */
  failed?(now: number, n: number): void;
  /** Two answered for the address of `n`: the MAC that it has, and another one. */
  conflict(now: number, n: number, otherHi: number, otherLo: number): void;
}

/** Our choice: confirm an entry in use this long after its last confirmation (RFC 4861 10). */
export const REACHABLE_MS = 30_000;
/** Our choice: forget what nobody used for this long. */
export const IDLE_MS = 300_000;
/** Requests for one address at most this often (RFC 1122 2.3.2.1: one a second). */
const REQUEST_MS = 1000;
const REQUEST_TRIES = 3;
/** How long an answer about a known MAC may take. */
const PROBE_MS = 500;
const PROBE_TRIES = 2;
/** After a failure the answer is "unreachable" for this long, then it is tried again. */
const FAILED_MS = 1000;
/** A different claim makes us ask again at most this often. */
const CLAIM_MS = 2000;
/** A use less than this after the last one keeps the place in the list: saves the work for most packets. */
const USE_GRAIN_MS = 1000;

const MAX_ENTRIES = 1024;

/** The neighbour that is everybody on the link, by the broadcast MAC. */
export const EVERYBODY = 0;
/** The neighbour that {@link NeighborTable.station} gives. */
const STATION = MAX_ENTRIES + 1;
const PLACES = MAX_ENTRIES + 2;

const FREE = 0;
const INCOMPLETE = 1;
const REACHABLE = 2;
const PROBING = 3;
const CONTESTED = 4;
const FAILED = 5;

/** Lists of last use. */
const UNCONFIRMED = 0;
const CONFIRMED = 1;
/** Lists of what is waited for; each has one length of time, so the first is due first. */
const ANSWER = 0;
const CONFIRMATION = 1;

export type Claim = "learnt" | "confirmed" | "unsolicited" | "conflicting" | "full";

export class NeighborTable {
  readonly stride: Stride;
  /** Words of the addresses. */
  readonly words: Int32Array;
  /** By neighbour: first two octets, last four. */
  readonly macHi = new Int32Array(PLACES);
  readonly macLo = new Int32Array(PLACES);
  size = 0;

  readonly #port: NeighborPort;
  readonly #seed: number;
  readonly #state = new Uint8Array(PLACES);
  /** When a request was unanswered for long enough, a failure is over, or (reachable) a use confirms. */
  readonly #at = new Float64Array(MAX_ENTRIES + 1);
  readonly #tries = new Uint8Array(MAX_ENTRIES + 1);
  readonly #usedAt = new Float64Array(MAX_ENTRIES + 1);
  readonly #claimAt = new Float64Array(MAX_ENTRIES + 1);
  /** CONFIRMED: it has answered, and not failed to since. */
  readonly #rank = new Uint8Array(MAX_ENTRIES + 1);
  /** While contested: whether the known MAC has answered, and another one that has. */
  readonly #kept = new Uint8Array(MAX_ENTRIES + 1);
  readonly #other = new Uint8Array(MAX_ENTRIES + 1);
  readonly #otherHi = new Int32Array(MAX_ENTRIES + 1);
  readonly #otherLo = new Int32Array(MAX_ENTRIES + 1);
  readonly #parked = new ParkedPackets(MAX_ENTRIES);
  readonly #uses = new Chains(MAX_ENTRIES, 2);
  readonly #waits = new Chains(MAX_ENTRIES, 2);
  /** The list of #waits that an entry is in, plus 1; 0: in none. */
  readonly #waiting = new Uint8Array(MAX_ENTRIES + 1);
  readonly #rows = new Buckets(MAX_ENTRIES);
  /** Of the last lookup. */
  #last = 0;

  /** @param seed keeps senders from choosing addresses that fall into one bucket */
  constructor(stride: Stride, seed: number, port: NeighborPort) {
    this.stride = stride;
    this.words = new Int32Array(stride * (MAX_ENTRIES + 1));
    this.#seed = seed;
    this.#port = port;
    this.#reset();
  }

  /** Where in `words` the address of a neighbour is. */
  wordsAt(n: number): number {
    return n * this.stride;
  }

  /** Whether packets can be sent to it now; else they are parked. */
  isKnown(n: number): boolean {
    const state = this.#state[n]!;
    return state === REACHABLE || state === PROBING || state === CONTESTED;
  }

  /** A neighbour by its MAC alone, which nothing is remembered of: good until the next call. */
  station(macHi: number, macLo: number): number {
    this.macHi[STATION] = macHi;
    this.macLo[STATION] = macLo;
    return STATION;
  }

  /** The neighbour with the address at `words[i]`, or -1: it does not answer. Asks where it has to. */
  lookup(now: number, words: Int32Array, i: number): number {
    let n = this.#last;
    if (n === 0 || !this.#has(n, words, i)) {
      n = this.find(words, i);
      if (n === 0) {
        n = this.#add(now, words, i, true);
        if (n === 0) return -1;
        this.#ask(n, now);
        return n;
      }
      this.#last = n;
    }
    if (now - this.#usedAt[n]! >= USE_GRAIN_MS) this.#use(n, now, this.#rank[n]!);
    const state = this.#state[n]!;
    if (state === REACHABLE) {
      // What was never confirmed is a guess.
      if (now >= this.#at[n]!) this.#verify(n, now, this.#rank[n] === CONFIRMED ? PROBING : CONTESTED);
    } else if (state === FAILED) {
      if (now < this.#at[n]!) return -1;
      this.#ask(n, now);
    }
    return n;
  }

  /** Keeps a packet (the bytes become the table's own) for a neighbour that is not known yet; false when there is no room. */
  park(n: number, packet: Parked): boolean {
    if (!this.hasRoomFor(n, packet.bytes.length)) return false;
    this.#parked.add(n, packet);
    return true;
  }

  /** Whether so many bytes can be parked: to be asked before they are copied. */
  hasRoomFor(n: number, size: number): boolean {
    return this.#state[n] === INCOMPLETE && this.#parked.hasRoomFor(n, size);
  }

  /** An answer to us: the address at `words[i]` is said to be at that MAC. The caller has checked that both can be. */
  onReply(now: number, words: Int32Array, i: number, macHi: number, macLo: number): Claim {
    const n = this.find(words, i);
    if (n === 0) return "unsolicited";
    const same = this.macHi[n] === macHi && this.macLo[n] === macLo;
    switch (this.#state[n]) {
      case INCOMPLETE:
        this.#confirm(n, now, macHi, macLo);
        return "learnt";
      case PROBING:
        if (!same) return this.#contradict(n, now);
        this.#confirm(n, now, macHi, macLo);
        return "confirmed";
      case CONTESTED:
        if (same) {
          this.#kept[n] = 1;
          return "confirmed";
        }
        if (this.#rank[n] === UNCONFIRMED && this.#kept[n] === 0) {
          // Of a guess nobody answered before: who merely asked us has no right over who is asked.
          this.macHi[n] = macHi;
          this.macLo[n] = macLo;
          this.#kept[n] = 1;
          return "learnt";
        }
        if (this.#other[n] === 0) {
          this.#other[n] = 1;
          this.#otherHi[n] = macHi;
          this.#otherLo[n] = macLo;
        }
        return "conflicting";
      case REACHABLE:
        return same ? "unsolicited" : this.#contradict(n, now);
      default:
        return "unsolicited";
    }
  }

  /** A request to us from the address at `words[i]`. */
  onRequest(now: number, words: Int32Array, i: number, macHi: number, macLo: number): Claim {
    let n = this.find(words, i);
    if (n === 0) {
      n = this.#add(now, words, i, false);
      if (n === 0) return "full";
    } else if (this.isKnown(n)) {
      if (this.macHi[n] === macHi && this.macLo[n] === macLo) return "confirmed";
      return this.#contradict(n, now);
    }
    // A guess, whatever was known before.
    this.#use(n, now, UNCONFIRMED);
    this.#settle(n, macHi, macLo, now);
    return "learnt";
  }

  /**
   * What is not for us says that the address is at that MAC: nothing is learnt, but a known address that it contradicts is
   * asked for (an announcement after a failover or a move, RFC 5227 3).
   */
  onClaim(now: number, words: Int32Array, i: number, macHi: number, macLo: number): void {
    const n = this.find(words, i);
    if (n !== 0 && this.isKnown(n) && (this.macHi[n] !== macHi || this.macLo[n] !== macLo)) this.#contradict(n, now);
  }

  pollAt(): number {
    return Math.min(this.#dueAt(ANSWER), this.#dueAt(CONFIRMATION), this.#idleAt(UNCONFIRMED), this.#idleAt(CONFIRMED));
  }

  handleTimeout(now: number): void {
    for (const list of [ANSWER, CONFIRMATION])
      while (this.#dueAt(list) <= now) this.#unanswered(this.#waits.first(list), now);
    for (const list of [UNCONFIRMED, CONFIRMED]) while (this.#idleAt(list) <= now) this.#remove(this.#uses.first(list));
  }

  /** Forgets everything, as after a change of address or link. */
  clear(): void {
    for (const list of [UNCONFIRMED, CONFIRMED]) {
      for (let n = this.#uses.first(list); n !== 0; n = this.#uses.first(list)) {
        this.#uses.remove(list, n);
        this.#abandon(n);
      }
    }
    this.#reset();
  }

  #reset(): void {
    this.size = 0;
    this.#last = 0;
    this.#state.fill(FREE);
    this.#state[EVERYBODY] = REACHABLE;
    this.#state[STATION] = REACHABLE;
    this.macHi[EVERYBODY] = 0xffff;
    this.macLo[EVERYBODY] = -1;
    this.#uses.clear();
    this.#waits.clear();
    this.#rows.clear();
  }

  #dueAt(list: number): number {
    const n = this.#waits.first(list);
    return n === 0 ? Number.POSITIVE_INFINITY : this.#at[n]!;
  }

  #idleAt(list: number): number {
    const n = this.#uses.first(list);
    return n === 0 ? Number.POSITIVE_INFINITY : this.#usedAt[n]! + IDLE_MS;
  }

  #unanswered(n: number, now: number): void {
    const state = this.#state[n]!;
    if (state === INCOMPLETE) {
      if (this.#tries[n]! < REQUEST_TRIES) this.#request(n, now, 0xffff, -1);
      else this.#fail(n, now);
      return;
    }
    const answered = this.#kept[n] === 1 || this.#other[n] === 1;
    if (state === CONTESTED && answered) this.#decide(n, now);
    else if (this.#tries[n]! >= PROBE_TRIES) this.#ask(n, now);
    else if (state === PROBING) this.#request(n, now, this.macHi[n]!, this.macLo[n]!);
    else this.#request(n, now, 0xffff, -1);
  }

  /** The time for answers of everybody is over. */
  #decide(n: number, now: number): void {
    const [otherHi, otherLo] = [this.#otherHi[n]!, this.#otherLo[n]!];
    const isConflict = this.#kept[n] === 1 && this.#other[n] === 1;
    if (this.#kept[n] === 1) this.#confirm(n, now, this.macHi[n]!, this.macLo[n]!);
    else this.#confirm(n, now, otherHi, otherLo);
    if (isConflict) this.#port.conflict(now, n, otherHi, otherLo);
  }

  #fail(n: number, now: number): void {
    this.#enter(n, FAILED);
    this.#at[n] = now + FAILED_MS;
    this.#use(n, now, UNCONFIRMED);
    this.#abandon(n, now);
    this.#port.failed?.(now, n);
  }

  /** The neighbour with the address at `words[i]`, 0: nothing is known of it. */
  find(words: Int32Array, i: number): number {
    let n = this.#rows.first(this.#hash(words, i));
    while (n !== 0 && !this.#has(n, words, i)) n = this.#rows.next(n);
    return n;
  }

  #has(n: number, words: Int32Array, i: number): boolean {
    return sameAddress(this.words, n * this.stride, words, i, this.stride);
  }

  #hash(words: Int32Array, i: number): number {
    return mixAddress(this.#seed, words, i, this.stride);
  }

  /** A new entry, 0 when there is no room. @param wanted for a packet; else a mere guess, for which nothing in use gives way */
  #add(now: number, words: Int32Array, i: number, wanted: boolean): number {
    if (this.#rows.isFull) {
      // Of those that never answered, so that a scan pushes out itself, else of all: the one that was unused the longest.
      const victim = this.#uses.first(UNCONFIRMED) || this.#uses.first(CONFIRMED);
      if (!wanted && now - this.#usedAt[victim]! < REACHABLE_MS) return 0;
      this.#remove(victim);
    }
    const n = this.#rows.add(this.#hash(words, i));
    copyAddress(words, i, this.words, n * this.stride, this.stride);
    this.#claimAt[n] = Number.NEGATIVE_INFINITY;
    this.#usedAt[n] = now;
    this.#rank[n] = UNCONFIRMED;
    this.#uses.append(UNCONFIRMED, n);
    this.size++;
    return n;
  }

  #remove(n: number): void {
    this.#abandon(n);
    this.#enter(n, FREE);
    this.#uses.remove(this.#rank[n]!, n);
    this.#rows.remove(this.#hash(this.words, n * this.stride), n);
    this.size--;
    if (this.#last === n) this.#last = 0;
  }

  /** Notes a use now, in the list of that rank. */
  #use(n: number, now: number, rank: number): void {
    this.#uses.remove(this.#rank[n]!, n);
    this.#usedAt[n] = now;
    this.#rank[n] = rank;
    this.#uses.append(rank, n);
  }

  #abandon(n: number, now?: number): void {
    if (this.#parked.has(n)) this.#port.abandon(n, this.#parked.take(n), now);
  }

  #confirm(n: number, now: number, macHi: number, macLo: number): void {
    this.#use(n, now, CONFIRMED);
    this.#settle(n, macHi, macLo, now + REACHABLE_MS);
  }

  /** @param at from when on a use makes it be verified */
  #settle(n: number, macHi: number, macLo: number, at: number): void {
    this.#enter(n, REACHABLE);
    this.macHi[n] = macHi;
    this.macLo[n] = macLo;
    this.#at[n] = at;
    if (this.#parked.has(n)) this.#port.release(n, this.#parked.take(n));
  }

  #contradict(n: number, now: number): Claim {
    if (this.#state[n] !== CONTESTED && now >= this.#claimAt[n]! + CLAIM_MS) {
      this.#claimAt[n] = now;
      this.#verify(n, now, CONTESTED);
    }
    return "conflicting";
  }

  /** Asks whether the known MAC is right: of its owner (PROBING), or of everybody (CONTESTED). */
  #verify(n: number, now: number, state: number): void {
    this.#enter(n, state);
    this.#tries[n] = 0;
    this.#kept[n] = 0;
    this.#other[n] = 0;
    if (state === PROBING) this.#request(n, now, this.macHi[n]!, this.macLo[n]!);
    else this.#request(n, now, 0xffff, -1);
  }

  #ask(n: number, now: number): void {
    this.#enter(n, INCOMPLETE);
    this.#tries[n] = 0;
    this.#request(n, now, 0xffff, -1);
  }

  #request(n: number, now: number, macHi: number, macLo: number): void {
    this.#tries[n]!++;
    const list = this.#state[n] === INCOMPLETE ? ANSWER : CONFIRMATION;
    this.#at[n] = now + (list === ANSWER ? REQUEST_MS : PROBE_MS);
    this.#leaveWait(n);
    this.#waits.append(list, n);
    this.#waiting[n] = list + 1;
    this.#port.solicit(n, macHi, macLo);
  }

  #leaveWait(n: number): void {
    const list = this.#waiting[n]!;
    if (list === 0) return;
    this.#waits.remove(list - 1, n);
    this.#waiting[n] = 0;
  }

  #enter(n: number, state: number): void {
    this.#leaveWait(n);
    this.#state[n] = state;
  }
}
