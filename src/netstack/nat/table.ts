/**
 * The translator's sessions as a struct of typed arrays; nothing is allocated after construction, and what a
 * packet costs does not grow with what the table holds. Index 0 of every array is nobody.
 *
 * A *session* is a binding (`bindings.ts`) and a remote endpoint. Both directions find one by one hash over (protocol,
 * inside endpoint, remote endpoint): from outside the binding is found first, by its port. So what comes in passes only
 * from a remote endpoint that was spoken to (address- and port-dependent filtering), or by a forward.
 *
 *   state S    head (expires next) -> session -> session -> tail (used last)          one for each of the 9 states
 *
 * When the table is full a session gives way for another one (`parties.ts`).
 */

import { Buckets } from "../../lib/buckets.ts";
import { Chains } from "../../lib/chains.ts";
import { mix } from "../../lib/hash.ts";
import type { Random } from "../../lib/random.ts";
import { copyAddress, mixAddress, type Stride, sameAddress } from "../../lib/words.ts";
import { Bindings, type Forward } from "./bindings.ts";
import { Parties } from "./parties.ts";
import { RANK, STATES, TIMEOUT_MS } from "./states.ts";

/** A session that was used less than this ago keeps its place in the lists: saves the work for most packets. */
const TOUCH_GRAIN_MS = 1000;

/** What a session is looked up by, and made of. Addresses are written into the words. */
export class NatKey {
  protocol = 0;
  readonly inside: Int32Array;
  insidePort = 0;
  readonly remote: Int32Array;
  remotePort = 0;
  /** Whose share of the table it is: the inside address, unless it is told otherwise. */
  holder: Int32Array;

  constructor(stride: Stride) {
    this.inside = new Int32Array(stride);
    this.holder = this.inside;
    this.remote = new Int32Array(stride);
  }

  /** Both in one word. */
  get ports(): number {
    return (this.insidePort << 16) | this.remotePort;
  }
}

/** Results of {@link NatTable.create} in the place of a session. */
const CREATE_NO_PORT = -1;

export class NatTable {
  readonly stride: Stride;
  /** Of the next look-up. */
  readonly key: NatKey;
  readonly limit: number;
  size = 0;
  /** Sessions that expired, that gave way to another. */
  expired = 0;
  evicted = 0;

  readonly protocol: Uint8Array;
  /** Words of the addresses: `stride` for each session. */
  readonly inside: Int32Array;
  readonly remote: Int32Array;
  readonly outsidePort: Uint16Array;
  readonly state: Uint8Array;
  /** 1: begun from outside, through a forward. */
  readonly inbound: Uint8Array;
  /** TCP_FIN_OUT, TCP_FIN_IN. */
  readonly fins: Uint8Array;
  /** ms */
  readonly usedAt: Float64Array;

  /** Port inside << 16 | port of the remote endpoint. */
  readonly #ports: Int32Array;
  /** Of the last look-up: packets of one flow follow each other. */
  #last = 0;
  readonly #seed: number;
  readonly #rows: Buckets;
  readonly #byState: Chains;
  readonly #parties: Parties;
  readonly #bindings: Bindings;
  /** 0: the row is free, or its session has none, and is not translated. */
  readonly #binding: Int32Array;
  readonly #host: Int32Array;

  /** @param sessions at most, 1 or more; bindings and hosts can then not be more */
  constructor(stride: Stride, sessions: number, random: Random) {
    this.stride = stride;
    this.key = new NatKey(stride);
    const limit = Math.max(1, Math.floor(sessions));
    this.limit = limit;
    const n = limit + 1;
    this.protocol = new Uint8Array(n);
    this.inside = new Int32Array(n * stride);
    this.remote = new Int32Array(n * stride);
    this.outsidePort = new Uint16Array(n);
    this.state = new Uint8Array(n);
    this.inbound = new Uint8Array(n);
    this.fins = new Uint8Array(n);
    this.usedAt = new Float64Array(n);
    this.#ports = new Int32Array(n);
    this.#binding = new Int32Array(n);
    this.#host = new Int32Array(n);
    const seed = new Uint8Array(4);
    random.fill(seed);
    this.#seed = new DataView(seed.buffer).getInt32(0);
    this.#rows = new Buckets(limit);
    this.#byState = new Chains(limit, STATES);
    this.#parties = new Parties(stride, limit, this.#seed);
    this.#bindings = new Bindings(stride, limit, this.#seed, random);
  }

  /** Bindings so far whose outside port is not the inside one. */
  get portsChanged(): number {
    return this.#bindings.portsChanged;
  }

  /** Forgets everything but the forwards. */
  clear(): void {
    this.size = 0;
    this.#last = 0;
    this.#rows.clear();
    this.#byState.clear();
    this.#parties.clear();
    this.#bindings.clear();
    this.#binding.fill(0);
  }

  /** Sets the forwards, one for each protocol and port. Sessions of those that are new or gone end, the others go on. */
  setForwards(forwards: readonly Forward[]): void {
    const ended = this.#bindings.endedBy(forwards);
    for (let i = 1; ended.size > 0 && i <= this.limit; i++) if (ended.has(this.#binding[i]!)) this.remove(i);
    this.#bindings.setForwards(forwards);
  }

  /** The session of the key, or 0. An overdue one is removed and not found. */
  find(now: number): number {
    const { ports } = this.key;
    let i = this.#last;
    if (!this.#isOfKey(i, ports)) {
      const rows = this.#rows;
      i = rows.first(this.#keyHash(ports));
      while (i !== 0 && !this.#isOfKey(i, ports)) i = rows.next(i);
      if (i === 0) return 0;
      this.#last = i;
    }
    if (now < this.usedAt[i]! + TIMEOUT_MS[this.state[i]!]!) return i;
    this.expired++;
    this.remove(i);
    return 0;
  }

  /** Of a session. */
  insidePort(i: number): number {
    return this.#ports[i]! >>> 16;
  }

  /** Keeps an outside port for this host: {@link Bindings.reserve}. */
  reserve(protocol: number, port: number): boolean {
    return this.#bindings.reserve(protocol, port);
  }

  /** Keeps an outside port for this host, although sessions have it: they end. @returns false: it is a forward's, or reserved */
  claim(protocol: number, port: number): boolean {
    const b = this.#bindings.at(protocol, port);
    if (b !== 0 && !this.#bindings.isForward(b))
      for (let i = 1; i <= this.limit; i++) if (this.#binding[i] === b) this.remove(i);
    return this.#bindings.reserve(protocol, port);
  }

  /** Gives a reserved port back. */
  release(protocol: number, port: number): void {
    this.#bindings.release(protocol, port);
  }

  /** Whether an outside port is a LAN host's. */
  isBound(protocol: number, outsidePort: number): boolean {
    return this.#bindings.at(protocol, outsidePort) !== 0;
  }

  /** Whether it is a forward's: sessions can begin from outside. */
  isForward(protocol: number, outsidePort: number): boolean {
    return this.#bindings.isForward(this.#bindings.at(protocol, outsidePort));
  }

  /** The session of an outside port and the key's remote endpoint, or 0; the key's inside endpoint becomes that of the port. */
  findOutside(now: number, outsidePort: number): number {
    const { key, stride } = this;
    const bindings = this.#bindings;
    const b = bindings.at(key.protocol, outsidePort);
    if (b === 0) return 0;
    copyAddress(bindings.inside, b * stride, key.inside, 0, stride);
    key.insidePort = bindings.insidePort[b]!;
    const i = this.find(now);
    // Two forwards may lead to one endpoint, and a session to it without being translated.
    return this.outsidePort[i] === outsidePort && this.#binding[i] !== 0 ? i : 0;
  }

  /**
   * Makes the session of the key, which {@link find} did not find. In a full table another one gives way for it.
   * @returns the session, or CREATE_NO_PORT when every outside port is taken
   */
  create(now: number, state: number): number {
    this.#makeRoom();
    const { protocol, inside, insidePort } = this.key;
    const b = this.#bindings.of(protocol, inside, insidePort);
    return b === 0 ? CREATE_NO_PORT : this.#create(now, state, b, 0);
  }

  /**
   * Makes the session of the key, which {@link findOutside} did not find, if its outside port is a forward's.
   * @returns it, or 0; also where the two endpoints speak by another forward already
   */
  createInbound(now: number, state: number, outsidePort: number): number {
    const bindings = this.#bindings;
    const b = bindings.at(this.key.protocol, outsidePort);
    if (!bindings.isForward(b) || this.find(now) !== 0) return 0;
    this.#makeRoom();
    return this.#create(now, state, b, 1);
  }

  /** Makes a session of the key, which {@link find} did not find, that is not translated. In a full table another one gives way for it. */
  createDirect(now: number, state: number): number {
    this.#makeRoom();
    return this.#create(now, state, 0, 1);
  }

  /** Whether a session is one that is not translated. */
  isDirect(i: number): boolean {
    return i !== 0 && this.#binding[i] === 0;
  }

  #makeRoom(): void {
    if (!this.#rows.isFull) return;
    this.evicted++;
    this.remove(this.#parties.next());
  }

  #create(now: number, state: number, b: number, inbound: 0 | 1): number {
    const { key, stride } = this;
    const { ports } = key;
    const i = this.#rows.add(this.#keyHash(ports));
    this.protocol[i] = key.protocol;
    copyAddress(key.inside, 0, this.inside, i * stride, stride);
    copyAddress(key.remote, 0, this.remote, i * stride, stride);
    this.#ports[i] = ports;
    this.outsidePort[i] = b === 0 ? 0 : this.#bindings.outsidePort[b]!;
    this.state[i] = state;
    this.inbound[i] = inbound;
    this.fins[i] = 0;
    this.usedAt[i] = now;
    this.#binding[i] = b;
    if (b !== 0) this.#bindings.use(b);
    this.#host[i] = this.#parties.hostOf(key.holder, inbound);
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
    if (i === this.#last) this.#last = 0;
    const at = i * this.stride;
    this.#rows.remove(this.#hash(this.protocol[i]!, this.inside, this.remote, at, this.#ports[i]!), i);
    if (this.#binding[i] !== 0) this.#bindings.unuse(this.#binding[i]!);
    this.#binding[i] = 0;
    this.#parties.release(this.#host[i]!);
    this.size--;
  }

  /** Removes up to `most` sessions that are overdue. */
  expire(now: number, most: number): void {
    let left = most;
    for (let s = 0; s < STATES; s++) {
      const timeout = TIMEOUT_MS[s]!; // added, as in nextExpiry: a difference may be rounded the other way
      for (
        let i = this.#byState.first(s);
        i !== 0 && this.usedAt[i]! + timeout <= now && left > 0;
        i = this.#byState.first(s)
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
      const i = this.#byState.first(s);
      if (i !== 0) at = Math.min(at, this.usedAt[i]! + TIMEOUT_MS[s]!);
    }
    return at;
  }

  /** Sessions of an inside address. */
  sessionsOf(inside: Int32Array): number {
    return this.#parties.sessionsOf(inside);
  }

  /** Appends to the lists of its state and of its party. */
  #link(i: number): void {
    const s = this.state[i]!;
    this.#byState.append(s, i);
    this.#parties.add(i, this.#host[i]!, RANK[s]!);
  }

  #unlink(i: number): void {
    const s = this.state[i]!;
    this.#byState.remove(s, i);
    this.#parties.remove(i, this.#host[i]!, RANK[s]!);
  }

  /** Whether session `i` is the key's, which has these ports. Most that are not differ in them. */
  #isOfKey(i: number, ports: number): boolean {
    return this.#ports[i] === ports && this.#hasAddressesOfKey(i);
  }

  /** Whether session `i` has the addresses and the protocol of the key; nobody has. */
  #hasAddressesOfKey(i: number): boolean {
    const { key, stride } = this;
    return (
      i !== 0 &&
      this.protocol[i] === key.protocol &&
      sameAddress(this.remote, i * stride, key.remote, 0, stride) &&
      sameAddress(this.inside, i * stride, key.inside, 0, stride)
    );
  }

  /** Of the key's session. */
  #keyHash(ports: number): number {
    const { protocol, inside, remote } = this.key;
    return this.#hash(protocol, inside, remote, 0, ports);
  }

  /** Of the session between two endpoints, whose addresses are at `inside[at]` and `remote[at]`. */
  #hash(protocol: number, inside: Int32Array, remote: Int32Array, at: number, ports: number): number {
    const { stride } = this;
    return mix(mixAddress(mixAddress(this.#seed ^ protocol, inside, at, stride), remote, at, stride), ports);
  }
}
