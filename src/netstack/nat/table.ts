/**
 * The translator's sessions and bindings as a struct of typed arrays; nothing is allocated after construction, and what a
 * packet costs does not grow with what the table holds. Index 0 of every array is nobody.
 *
 * A *binding* is (protocol, inside address, inside port) <-> outside port (RFC 4787 REQ-1: endpoint-independent
 * mapping). A *session* is a binding and a remote endpoint. Both directions find a session by one hash over (protocol,
 * inside endpoint, remote endpoint): from outside the binding is found first, by its port. So what comes in passes only
 * from a remote endpoint that was spoken to (address- and port-dependent filtering).
 *
 * Each session has a *rank*: 1 when the other side has confirmed it, else 0. The sessions of one host (inside address) and
 * one rank are a *party*. The lists, all of them chains of indexes through the arrays:
 *
 *   state S    head (expires next) -> session -> session -> tail (used last)          one for each of the 9 states
 *   party P    head (gives way next) -> session -> session -> tail (used last)        P = 2 * host + rank
 *   rank R     byCount[R][1] -> party -> party           parties with 1 session
 *              byCount[R][2] -> party                    ... with 2, and so on
 *              byCount[R][most[R]] -> party              the busiest of that rank
 *   buckets    hash -> session -> ...,  hash -> binding -> ...,  hash -> host -> ...
 *   free       free -> unused session -> ...; likewise bindings and hosts
 *
 *   session:  in one state list, one party list, one bucket;   host: in one bucket;   party: in one byCount list
 *
 * When the table is full, an unconfirmed session gives way before any confirmed one, and of either rank the longest idle
 * one of the party that has most: whoever sends from many addresses that nobody answers pushes out his own. A small share of
 * the table ({@link UNCONFIRMED_SHARE}) is left to unconfirmed sessions, or whoever fills it with answered ones could keep
 * everybody else from beginning any.
 */
import { mix, mixWords } from "../../lib/hash.ts";
import type { Random } from "../../lib/random.ts";
import { PORT_NONE, Ports } from "./ports.ts";

/** Session states; the order is that of {@link TIMEOUT_MS}. */
export const STATE_UDP_NEW = 0;
export const STATE_UDP = 1;
export const STATE_ICMP = 2;
export const STATE_TCP_SYN = 3;
export const STATE_TCP_SYN_ACK = 4;
export const STATE_TCP_PICKUP = 5;
export const STATE_TCP_ESTABLISHED = 6;
export const STATE_TCP_CLOSING = 7;
export const STATE_TCP_RESET = 8;
const STATES = 9;

/** Idle time after which a session of each state is forgotten, ms. */
export const TIMEOUT_MS: readonly number[] = Object.freeze([
  30_000, // UDP, no answer yet. Differs from RFC 4787 REQ-5 (2 minutes) because scans would fill the table; as Linux
  300_000, // UDP with answers (RFC 4787 REQ-5: 5 minutes recommended)
  61_000, // ICMP echo (RFC 5508 REQ-2: at least 60 s; the 1 s is TOUCH_GRAIN_MS)
  241_000, // TCP, SYN from inside (RFC 5382 REQ-5: transitory connections at least 4 minutes)
  241_000, // TCP, SYN from both sides
  300_000, // TCP whose start was not seen, until the other side confirms it
  7_450_000, // TCP, open (RFC 5382 REQ-5: 2 hours 4 minutes, and a little)
  241_000, // TCP after FIN of both sides
  30_000, // TCP after RST; a segment from inside opens it again (RFC 7857 2.2), so that a forged RST does no lasting harm
]);
/** 1: confirmed by the other side. */
const RANK: readonly number[] = Object.freeze([0, 1, 0, 0, 0, 0, 1, 0, 0]);

/** One in so many sessions may be unconfirmed although others are confirmed: that many can always be about to begin. */
const UNCONFIRMED_SHARE = 16;

/** A session that was used less than this ago keeps its place in the lists: saves the work for most packets. */
const TOUCH_GRAIN_MS = 1000;

export const TCP_FIN_OUT = 1;
export const TCP_FIN_IN = 2;

/** What a session is looked up by, and made of. Addresses are written into the words. */
export class NatKey {
  protocol = 0;
  readonly inside: Int32Array;
  insidePort = 0;
  readonly remote: Int32Array;
  remotePort = 0;

  constructor(stride: number) {
    this.inside = new Int32Array(stride);
    this.remote = new Int32Array(stride);
  }
}

/** Result of {@link NatTable.create} in the place of a session. */
const CREATE_NO_PORT = -1;

export class NatTable {
  /** Words of an address: 1 for IPv4, 4 for IPv6. */
  readonly stride: number;
  /** Of the next look-up. */
  readonly key: NatKey;
  readonly limit: number;
  size = 0;
  /** Sessions that expired, that gave way to another, bindings whose outside port is not the inside one. */
  expired = 0;
  evicted = 0;
  portsChanged = 0;

  readonly protocol: Uint8Array;
  /** Words of the addresses: `stride` for each session. */
  readonly inside: Int32Array;
  readonly insidePort: Uint16Array;
  readonly remote: Int32Array;
  readonly remotePort: Uint16Array;
  readonly outsidePort: Uint16Array;
  readonly state: Uint8Array;
  /** TCP_FIN_OUT, TCP_FIN_IN. */
  readonly fins: Uint8Array;
  /** ms */
  readonly usedAt: Float64Array;

  readonly #binding: Int32Array;
  readonly #host: Int32Array;
  readonly #hashNext: Int32Array;
  readonly #stateNext: Int32Array;
  readonly #statePrev: Int32Array;
  readonly #partyNext: Int32Array;
  readonly #partyPrev: Int32Array;
  readonly #stateHead = new Int32Array(STATES);
  readonly #stateTail = new Int32Array(STATES);
  #free = 0;

  readonly #ports: Ports;
  readonly #bindProtocol: Uint8Array;
  readonly #bindAddress: Int32Array;
  readonly #bindInside: Uint16Array;
  readonly #bindOutside: Uint16Array;
  readonly #bindCount: Int32Array;
  readonly #bindNext: Int32Array;
  #bindFree = 0;

  readonly #hostAddress: Int32Array;
  readonly #hostHashNext: Int32Array;
  #hostFree = 0;

  /** Sessions of a party: the list, and how many. */
  readonly #partyHead: Int32Array;
  readonly #partyTail: Int32Array;
  readonly #partyCount: Int32Array;
  /** Neighbours among the parties of one rank with the same number of sessions. */
  readonly #peerNext: Int32Array;
  readonly #peerPrev: Int32Array;
  /** First party of each rank and number of sessions; the most sessions that a party of each rank has; sessions of each rank. */
  readonly #byCount: readonly [Int32Array, Int32Array];
  readonly #most = new Int32Array(2);
  readonly #ofRank = new Int32Array(2);

  readonly #mask: number;
  readonly #sessionBuckets: Int32Array;
  readonly #bindBuckets: Int32Array;
  readonly #hostBuckets: Int32Array;
  /** Keeps a sender from choosing addresses and ports that fall into one bucket. */
  readonly #seed: number;

  /** @param sessions at most, 1 or more; bindings and hosts can then not be more */
  constructor(stride: 1 | 4, sessions: number, random: Random) {
    this.stride = stride;
    this.key = new NatKey(stride);
    const limit = Math.max(1, Math.floor(sessions));
    this.limit = limit;
    const n = limit + 1;
    this.protocol = new Uint8Array(n);
    this.inside = new Int32Array(n * stride);
    this.insidePort = new Uint16Array(n);
    this.remote = new Int32Array(n * stride);
    this.remotePort = new Uint16Array(n);
    this.outsidePort = new Uint16Array(n);
    this.state = new Uint8Array(n);
    this.fins = new Uint8Array(n);
    this.usedAt = new Float64Array(n);
    this.#binding = new Int32Array(n);
    this.#host = new Int32Array(n);
    this.#hashNext = new Int32Array(n);
    this.#stateNext = new Int32Array(n);
    this.#statePrev = new Int32Array(n);
    this.#partyNext = new Int32Array(n);
    this.#partyPrev = new Int32Array(n);
    this.#ports = new Ports(random);
    this.#bindProtocol = new Uint8Array(n);
    this.#bindAddress = new Int32Array(n * stride);
    this.#bindInside = new Uint16Array(n);
    this.#bindOutside = new Uint16Array(n);
    this.#bindCount = new Int32Array(n);
    this.#bindNext = new Int32Array(n);
    this.#hostAddress = new Int32Array(n * stride);
    this.#hostHashNext = new Int32Array(n);
    this.#partyHead = new Int32Array(2 * n);
    this.#partyTail = new Int32Array(2 * n);
    this.#partyCount = new Int32Array(2 * n);
    this.#peerNext = new Int32Array(2 * n);
    this.#peerPrev = new Int32Array(2 * n);
    this.#byCount = [new Int32Array(n), new Int32Array(n)];
    const buckets = 2 ** Math.ceil(Math.log2(2 * n));
    this.#mask = buckets - 1;
    this.#sessionBuckets = new Int32Array(buckets);
    this.#bindBuckets = new Int32Array(buckets);
    this.#hostBuckets = new Int32Array(buckets);
    const seed = new Uint8Array(4);
    random.fill(seed);
    this.#seed = new DataView(seed.buffer).getInt32(0);
    this.clear();
  }

  /** Forgets everything. */
  clear(): void {
    this.size = 0;
    this.#ports.clear();
    this.#sessionBuckets.fill(0);
    this.#bindBuckets.fill(0);
    this.#hostBuckets.fill(0);
    this.#stateHead.fill(0);
    this.#stateTail.fill(0);
    this.#partyHead.fill(0);
    this.#partyTail.fill(0);
    this.#partyCount.fill(0);
    for (const heads of this.#byCount) heads.fill(0);
    this.#most.fill(0);
    this.#ofRank.fill(0);
    for (let i = 0; i <= this.limit; i++) {
      const next = i === this.limit ? 0 : i + 1;
      this.#hashNext[i] = next;
      this.#bindNext[i] = next;
      this.#hostHashNext[i] = next;
    }
    this.#free = this.#bindFree = this.#hostFree = this.limit > 0 ? 1 : 0;
  }

  /** The session of the key, or 0. An overdue one is removed and not found. */
  find(now: number): number {
    let i = this.#sessionBuckets[this.#sessionHash()]!;
    while (i !== 0 && !this.#isOfKey(i)) i = this.#hashNext[i]!;
    if (i === 0 || now < this.usedAt[i]! + TIMEOUT_MS[this.state[i]!]!) return i;
    this.expired++;
    this.remove(i);
    return 0;
  }

  /** Keeps an outside port for this host: {@link Ports.reserve}. */
  reserve(protocol: number, port: number): boolean {
    return this.#ports.reserve(protocol, port);
  }

  /** Gives a reserved port back. */
  release(protocol: number, port: number): void {
    this.#ports.put(protocol, port);
  }

  /** The session of an outside port and the key's remote endpoint, or 0; the key's inside endpoint becomes that of the port. */
  findOutside(now: number, outsidePort: number): number {
    const { key } = this;
    const b = this.#ports.binding(key.protocol, outsidePort);
    if (b === PORT_NONE) return 0;
    for (let k = 0; k < this.stride; k++) key.inside[k] = this.#bindAddress[b * this.stride + k]!;
    key.insidePort = this.#bindInside[b]!;
    return this.find(now);
  }

  /**
   * Makes the session of the key, which {@link find} did not find. In a full table another one gives way for it (see above).
   * @returns the session, or CREATE_NO_PORT when every outside port is taken
   */
  create(now: number, state: number): number {
    if (this.#free === 0) this.#evict();
    const { key, stride } = this;
    const b = this.#bind();
    if (b === 0) return CREATE_NO_PORT;
    const i = this.#free;
    this.#free = this.#hashNext[i]!;
    this.protocol[i] = key.protocol;
    for (let k = 0; k < stride; k++) {
      this.inside[i * stride + k] = key.inside[k]!;
      this.remote[i * stride + k] = key.remote[k]!;
    }
    this.insidePort[i] = key.insidePort;
    this.remotePort[i] = key.remotePort;
    this.outsidePort[i] = this.#bindOutside[b]!;
    this.state[i] = state;
    this.fins[i] = 0;
    this.usedAt[i] = now;
    this.#binding[i] = b;
    this.#bindCount[b] = this.#bindCount[b]! + 1;
    const bucket = this.#sessionHash();
    this.#hashNext[i] = this.#sessionBuckets[bucket]!;
    this.#sessionBuckets[bucket] = i;
    this.#host[i] = this.#hostOf(key.inside);
    this.#link(i);
    this.size++;
    return i;
  }

  /** Notes that a session was used and moves it to `state`. */
  touch(now: number, i: number, state: number): void {
    if (this.state[i] === state && now - this.usedAt[i]! < TOUCH_GRAIN_MS) return;
    this.#unlink(i);
    this.state[i] = state;
    this.usedAt[i] = now;
    this.#link(i);
  }

  remove(i: number): void {
    this.#unlink(i);
    const at = i * this.stride;
    const inside = this.#hash(this.protocol[i]!, this.inside, at, this.insidePort[i]!);
    const bucket = this.#hash(inside, this.remote, at, this.remotePort[i]!) & this.#mask;
    chainRemove(this.#sessionBuckets, bucket, this.#hashNext, i);
    this.#hashNext[i] = this.#free;
    this.#free = i;
    this.#unbind(this.#binding[i]!);
    this.#releaseHost(this.#host[i]!);
    this.size--;
  }

  /** Removes up to `most` sessions that are overdue. */
  expire(now: number, most: number): void {
    let left = most;
    for (let s = 0; s < STATES; s++) {
      const timeout = TIMEOUT_MS[s]!; // added, as in nextExpiry: a difference may be rounded the other way
      for (
        let i = this.#stateHead[s]!;
        i !== 0 && this.usedAt[i]! + timeout <= now && left > 0;
        i = this.#stateHead[s]!
      ) {
        this.expired++;
        this.remove(i);
        left--;
      }
    }
  }

  /** When the next session is overdue, Infinity when there is none. */
  nextExpiry(): number {
    let at = Number.POSITIVE_INFINITY;
    for (let s = 0; s < STATES; s++) {
      const i = this.#stateHead[s]!;
      if (i !== 0) at = Math.min(at, this.usedAt[i]! + TIMEOUT_MS[s]!);
    }
    return at;
  }

  /** Sessions of an inside address. */
  sessionsOf(inside: Int32Array): number {
    const h = this.#findHost(inside);
    return h === 0 ? 0 : this.#partyCount[2 * h]! + this.#partyCount[2 * h + 1]!;
  }

  #evict(): void {
    const share = Math.floor(this.limit / UNCONFIRMED_SHARE);
    const rank = this.#ofRank[0]! <= share && this.#ofRank[1]! > 0 ? 1 : 0;
    const busiest = this.#byCount[rank]![this.#most[rank]!]!;
    this.evicted++;
    this.remove(this.#partyHead[busiest]!);
  }

  /** The binding of the key's inside endpoint, made when there is none; 0 when there is no port. */
  #bind(): number {
    const { key, stride } = this;
    const { protocol, insidePort } = key;
    const bucket = this.#hash(protocol, key.inside, 0, insidePort) & this.#mask;
    for (let b = this.#bindBuckets[bucket]!; b !== 0; b = this.#bindNext[b]!) {
      if (
        this.#bindInside[b] === insidePort &&
        this.#bindProtocol[b] === protocol &&
        this.#same(this.#bindAddress, b, key.inside)
      )
        return b;
    }
    const b = this.#bindFree;
    const outside = this.#ports.take(protocol, insidePort, b);
    if (outside < 0) return 0;
    if (outside !== insidePort) this.portsChanged++;
    this.#bindFree = this.#bindNext[b]!;
    this.#bindProtocol[b] = protocol;
    for (let k = 0; k < stride; k++) this.#bindAddress[b * stride + k] = key.inside[k]!;
    this.#bindInside[b] = insidePort;
    this.#bindOutside[b] = outside;
    this.#bindCount[b] = 0;
    this.#bindNext[b] = this.#bindBuckets[bucket]!;
    this.#bindBuckets[bucket] = b;
    return b;
  }

  #unbind(b: number): void {
    const left = this.#bindCount[b]! - 1;
    this.#bindCount[b] = left;
    if (left > 0) return;
    this.#ports.put(this.#bindProtocol[b]!, this.#bindOutside[b]!);
    const hash = this.#hash(this.#bindProtocol[b]!, this.#bindAddress, b * this.stride, this.#bindInside[b]!);
    chainRemove(this.#bindBuckets, hash & this.#mask, this.#bindNext, b);
    this.#bindNext[b] = this.#bindFree;
    this.#bindFree = b;
  }

  #findHost(inside: Int32Array): number {
    let h = this.#hostBuckets[this.#hash(0, inside, 0, 0) & this.#mask]!;
    while (h !== 0 && !this.#same(this.#hostAddress, h, inside)) h = this.#hostHashNext[h]!;
    return h;
  }

  #hostOf(inside: Int32Array): number {
    const found = this.#findHost(inside);
    if (found !== 0) return found;
    const h = this.#hostFree;
    this.#hostFree = this.#hostHashNext[h]!;
    for (let k = 0; k < this.stride; k++) this.#hostAddress[h * this.stride + k] = inside[k]!;
    const bucket = this.#hash(0, inside, 0, 0) & this.#mask;
    this.#hostHashNext[h] = this.#hostBuckets[bucket]!;
    this.#hostBuckets[bucket] = h;
    return h;
  }

  /** Forgets a host that has no session any more. */
  #releaseHost(h: number): void {
    if (this.#partyCount[2 * h] !== 0 || this.#partyCount[2 * h + 1] !== 0) return;
    const bucket = this.#hash(0, this.#hostAddress, h * this.stride, 0) & this.#mask;
    chainRemove(this.#hostBuckets, bucket, this.#hostHashNext, h);
    this.#hostHashNext[h] = this.#hostFree;
    this.#hostFree = h;
  }

  /** Moves a party to the list of its new number of sessions; without any it is in none. */
  #recount(party: number, rank: number, by: 1 | -1): void {
    const heads = this.#byCount[rank]!;
    const before = this.#partyCount[party]!;
    const after = before + by;
    this.#partyCount[party] = after;
    this.#ofRank[rank] = this.#ofRank[rank]! + by;
    if (before > 0) {
      const prev = this.#peerPrev[party]!;
      const next = this.#peerNext[party]!;
      if (prev === 0) heads[before] = next;
      else this.#peerNext[prev] = next;
      if (next !== 0) this.#peerPrev[next] = prev;
    }
    if (after > 0) {
      const first = heads[after]!;
      this.#peerPrev[party] = 0;
      this.#peerNext[party] = first;
      if (first !== 0) this.#peerPrev[first] = party;
      heads[after] = party;
    }
    const most = this.#most[rank]!;
    if (after > most || (before === most && heads[before] === 0)) this.#most[rank] = after;
  }

  /** Appends to the lists of its state and of its party. */
  #link(i: number): void {
    const s = this.state[i]!;
    const tail = this.#stateTail[s]!;
    this.#statePrev[i] = tail;
    this.#stateNext[i] = 0;
    if (tail === 0) this.#stateHead[s] = i;
    else this.#stateNext[tail] = i;
    this.#stateTail[s] = i;
    const rank = RANK[s]!;
    const party = 2 * this.#host[i]! + rank;
    const last = this.#partyTail[party]!;
    this.#partyPrev[i] = last;
    this.#partyNext[i] = 0;
    if (last === 0) this.#partyHead[party] = i;
    else this.#partyNext[last] = i;
    this.#partyTail[party] = i;
    this.#recount(party, rank, 1);
  }

  #unlink(i: number): void {
    const s = this.state[i]!;
    const prev = this.#statePrev[i]!;
    const next = this.#stateNext[i]!;
    if (prev === 0) this.#stateHead[s] = next;
    else this.#stateNext[prev] = next;
    if (next === 0) this.#stateTail[s] = prev;
    else this.#statePrev[next] = prev;
    const rank = RANK[s]!;
    const party = 2 * this.#host[i]! + rank;
    const before = this.#partyPrev[i]!;
    const after = this.#partyNext[i]!;
    if (before === 0) this.#partyHead[party] = after;
    else this.#partyNext[before] = after;
    if (after === 0) this.#partyTail[party] = before;
    else this.#partyPrev[after] = before;
    this.#recount(party, rank, -1);
  }

  /** Whether session `i` is the key's. */
  #isOfKey(i: number): boolean {
    const { key } = this;
    return (
      this.insidePort[i] === key.insidePort &&
      this.remotePort[i] === key.remotePort &&
      this.protocol[i] === key.protocol &&
      this.#same(this.remote, i, key.remote) &&
      this.#same(this.inside, i, key.inside)
    );
  }

  /** Whether address `i` of a column is the one in `words`. */
  #same(column: Int32Array, i: number, words: Int32Array): boolean {
    const at = i * this.stride;
    for (let k = 0; k < this.stride; k++) if (column[at + k] !== words[k]) return false;
    return true;
  }

  /** The bucket of the key's session. */
  #sessionHash(): number {
    const { key } = this;
    const inside = this.#hash(key.protocol, key.inside, 0, key.insidePort);
    return this.#hash(inside, key.remote, 0, key.remotePort) & this.#mask;
  }

  /** Mixes the address at `words[at]` and a port into `start`: a protocol, or the hash of another endpoint. */
  #hash(start: number, words: Int32Array, at: number, port: number): number {
    return mix(mixWords(this.#seed ^ start, words, at, this.stride), port);
  }
}

/** Takes `i` out of the chain that starts in `heads[bucket]`. */
function chainRemove(heads: Int32Array, bucket: number, next: Int32Array, i: number): void {
  let p = heads[bucket]!;
  if (p === i) {
    heads[bucket] = next[i]!;
    return;
  }
  while (next[p] !== i) p = next[p]!;
  next[p] = next[i]!;
}
