/** What all connections of an interface share, and the lists that they stand in. */
import type { Counters } from "../../lib/counters.ts";
import { DeadlineHeap } from "../../lib/deadline-heap.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import { SipHash } from "../../lib/siphash.ts";
import type { Slab } from "../../lib/slab.ts";
import { type Connection, type ConnectionHost, ENDED, type EndReason } from "./connection.ts";
import { type TcpCounter, tcpCounters } from "./counters.ts";
import { FlowTable, TUPLE_WORDS } from "./flows.ts";
import type { IpPort } from "./ip-port.ts";
import type { PagePool } from "./pages.ts";
import { CLOSED } from "./state.ts";
import { SegmentWriter } from "./writer.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** Ticks of the initial sequence numbers in a ms: 4 us each (RFC 9293 3.4.1). */
const ISN_TICKS = 250;

export class Engine implements ConnectionHost {
  readonly slab: Slab;
  readonly pool: PagePool;
  readonly counters: Counters<TcpCounter> = tcpCounters();
  readonly writer: SegmentWriter;
  readonly flows: FlowTable;
  /** One deadline for each row of the flow table. */
  readonly deadlines: DeadlineHeap;
  /** By row. */
  readonly connections: (Connection | undefined)[] = [];
  /** Connections that are not both ended and let go of. */
  open = 0;

  readonly #isn: SipHash;
  readonly #stamps: SipHash;
  #firstTouched: Connection | undefined = undefined;
  #lastTouched: Connection | undefined = undefined;
  #firstReady: Connection | undefined = undefined;
  #lastReady: Connection | undefined = undefined;

  /** @param ip of the interface, of either family */
  constructor(slab: Slab, pool: PagePool, random: Random, ip: IpPort, rows: number) {
    this.slab = slab;
    this.pool = pool;
    this.flows = new FlowTable(rows, randomBelow(random, 2 ** 32) | 0);
    this.writer = new SegmentWriter(slab, this.counters, ip, this.flows.words);
    this.deadlines = new DeadlineHeap(rows);
    const key = (): Uint8Array => {
      const bytes = new Uint8Array(16);
      random.fill(bytes);
      return bytes;
    };
    this.#isn = new SipHash(key());
    this.#stamps = new SipHash(key());
  }

  /** The initial sequence number for a tuple: a clock and a keyed hash of the tuple (RFC 6528 3). */
  isnOf(now: number, words: Int32Array, at: number): number {
    return (Math.floor(now * ISN_TICKS) + this.#isn.hash(words, at, TUPLE_WORDS)) | 0;
  }

  /** What is added to our clock in the timestamps of a tuple: each has a clock of its own, the same one at each time (RFC 7323 5.4). */
  stampOffsetOf(words: Int32Array, at: number): number {
    return this.#stamps.hash(words, at, TUPLE_WORDS);
  }

  touch(c: Connection): void {
    if (c.isTouched) return;
    c.isTouched = true;
    if (this.#lastTouched === undefined) this.#firstTouched = c;
    else this.#lastTouched.nextTouched = c;
    this.#lastTouched = c;
  }

  get hasTouched(): boolean {
    return this.#firstTouched !== undefined;
  }

  /** The connection that was touched first and is not any more, undefined: there is none. */
  takeTouched(): Connection | undefined {
    const c = this.#firstTouched;
    if (c === undefined) return undefined;
    this.#firstTouched = c.nextTouched;
    if (this.#firstTouched === undefined) this.#lastTouched = undefined;
    c.nextTouched = undefined;
    c.isTouched = false;
    return c;
  }

  /** Something happened that the owner wants to know. */
  notify(c: Connection, bits: number): void {
    c.events |= bits;
    if (c.isReady || c.isReleased) return;
    c.isReady = true;
    if (this.#lastReady === undefined) this.#firstReady = c;
    else this.#lastReady.nextReady = c;
    this.#lastReady = c;
  }

  takeReady(): Connection | undefined {
    const c = this.#firstReady;
    if (c === undefined) return undefined;
    this.#firstReady = c.nextReady;
    if (this.#firstReady === undefined) this.#lastReady = undefined;
    c.nextReady = undefined;
    c.isReady = false;
    return c;
  }

  /** Whether a connection has events that nobody took. */
  get hasReady(): boolean {
    return this.#firstReady !== undefined;
  }

  /** Tells the heap when the connection wants to be called. A deadline that moved away is found out when it is due. */
  arm(c: Connection): void {
    if (c.row === 0) return;
    const at = Math.min(c.retransmitAt, c.tailAt, c.reorderAt, c.ackAt, c.keepaliveAt, c.lingerAt);
    if (at < this.deadlines.at(c.row) || at === NEVER) this.deadlines.set(c.row, at);
  }

  /** The connection is over. What it had received in order can still be read, unless it was broken off. */
  finish(c: Connection, reason: EndReason): void {
    c.end = reason;
    c.stateCode = CLOSED;
    if (c.row !== 0) this.release(c);
    c.sendRing.clear();
    if (reason !== "closed" || c.isReleased) c.freeMemory();
    c.assembler.clear();
    this.notify(c, ENDED);
  }

  /** Takes the connection out of the tables. */
  release(c: Connection): void {
    const { row } = c;
    this.deadlines.set(row, NEVER);
    this.connections[row] = undefined;
    this.flows.remove(row);
    c.row = 0;
    this.open--;
  }
}
