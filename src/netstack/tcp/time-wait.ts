/**
 * TIME-WAIT (RFC 9293 3.6, 3.10.7.4): a row of the flow table and some columns, no connection. It answers what is late or sent
 * again, refuses to be ended by a reset (RFC 1337), and lets a newer connection take its place (RFC 6191).
 */
import { Chains } from "../../lib/chains.ts";
import { seqDiff, seqLess } from "../../lib/seq32.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import type { Connection } from "./connection.ts";
import { TIME_WAIT_EVICTED } from "./counters.ts";
import type { Engine } from "./engine.ts";
import { FLOW_TIME_WAIT, TUPLE_WORDS } from "./flows.ts";
import type { IpPort } from "./ip-port.ts";
import type { Segment } from "./segment.ts";
import { sendAck } from "./send.ts";

/** Twice the maximum segment lifetime, which RFC 9293 3.4.2 sets to 2 minutes, and Linux and others to 30 s. */
const TIME_WAIT_MS = 60_000;
/** Acknowledgements of one row are so far apart at least (RFC 5961 7). */
const ANSWER_MS = 500;

export class TimeWait {
  readonly #engine: Engine;
  readonly #limit: number;
  /** In the order in which they end. */
  readonly #rows: Chains;
  readonly #endAt: Float64Array;
  readonly #answeredAt: Float64Array;
  readonly #sndNxt: Int32Array;
  readonly #rcvNxt: Int32Array;
  readonly #tsRecent: Int32Array;
  readonly #hasTimestamps: Uint8Array;
  readonly #window: Uint16Array;
  #count = 0;
  /** SND.NXT of the row that gave way last: the new connection begins beyond it. */
  lastSent = 0;

  /** @param limit rows at most; the one that would end first gives way */
  constructor(engine: Engine, limit: number) {
    const { capacity } = engine.flows;
    this.#engine = engine;
    this.#limit = limit;
    this.#rows = new Chains(capacity, 1);
    this.#endAt = new Float64Array(capacity + 1);
    this.#answeredAt = new Float64Array(capacity + 1);
    this.#sndNxt = new Int32Array(capacity + 1);
    this.#rcvNxt = new Int32Array(capacity + 1);
    this.#tsRecent = new Int32Array(capacity + 1);
    this.#hasTimestamps = new Uint8Array(capacity + 1);
    this.#window = new Uint16Array(capacity + 1);
  }

  get count(): number {
    return this.#count;
  }

  /** Both FINs are acknowledged; ours of the peer's goes out now. The connection's row stays, the connection is over. */
  enterTimeWait(c: Connection, now: number): void {
    const e = this.#engine;
    sendAck(e, c, now);
    const { row } = c;
    if (this.#count >= this.#limit) {
      this.remove(this.#rows.first(0));
      e.counters.bump(TIME_WAIT_EVICTED);
    }
    e.deadlines.set(row, Number.POSITIVE_INFINITY);
    e.connections[row] = undefined;
    e.open--;
    c.row = 0;
    e.flows.kind[row] = FLOW_TIME_WAIT;
    this.#sndNxt[row] = c.nxt;
    this.#rcvNxt[row] = c.rcvNxt;
    this.#tsRecent[row] = c.tsRecent;
    this.#hasTimestamps[row] = c.hasTimestamps ? 1 : 0;
    this.#window[row] = Math.min(0xffff, c.receiveRing.capacity >>> c.rcvShift);
    this.#answeredAt[row] = Number.NEGATIVE_INFINITY;
    this.#begin(row, now);
    e.finish(c, "closed");
  }

  /** Handles a segment for the row. True: it begins a new connection, and the row is gone (RFC 6191, RFC 9293 3.10.7.4). */
  receive(now: number, row: number, seg: Segment, ip: IpPort): boolean {
    const { options } = seg;
    if (seg.has(TCP_RST)) return false; // RFC 1337
    const hasStamps = this.#hasTimestamps[row] === 1 && options.hasTimestamps;
    if (seg.has(TCP_SYN) && !seg.has(TCP_ACK)) {
      const stamp = hasStamps ? seqDiff(options.tsVal, this.#tsRecent[row]!) : 0;
      if (stamp > 0 || (stamp === 0 && seqLess(this.#rcvNxt[row]!, seg.seq))) {
        this.lastSent = this.#sndNxt[row]!;
        this.remove(row);
        return true;
      }
    }
    const isOld = hasStamps && seqLess(options.tsVal, this.#tsRecent[row]!);
    // The FIN came again: our acknowledgement was lost, and may be again.
    if (seg.has(TCP_FIN) && !isOld) {
      this.#rows.remove(0, row);
      this.#count--;
      this.#begin(row, now);
      if (hasStamps) this.#tsRecent[row] = options.tsVal;
    } else if (seg.span === 0 && seg.seq === this.#rcvNxt[row]) {
      return false;
    }
    this.#answer(now, row, options.hasTimestamps, ip);
    return false;
  }

  remove(row: number): void {
    this.#rows.remove(0, row);
    this.#count--;
    this.#engine.flows.remove(row);
  }

  pollAt(): number {
    const first = this.#rows.first(0);
    return first === 0 ? Number.POSITIVE_INFINITY : this.#endAt[first]!;
  }

  /** Ends what is over, at most `budget` rows; returns what is left of it. */
  handleTimeout(now: number, budget: number): number {
    let left = budget;
    for (; left > 0 && this.pollAt() <= now; left--) this.remove(this.#rows.first(0));
    return left;
  }

  #begin(row: number, now: number): void {
    this.#rows.append(0, row);
    this.#endAt[row] = now + TIME_WAIT_MS;
    this.#count++;
  }

  #answer(now: number, row: number, hasStamps: boolean, ip: IpPort): void {
    if (now - this.#answeredAt[row]! < ANSWER_MS) return;
    this.#answeredAt[row] = now;
    const { flows, writer: w } = this.#engine;
    const at = row * TUPLE_WORDS;
    const neighbour = ip.route(now, flows.words, at);
    if (neighbour < 0) return;
    w.begin(ip, neighbour, flows.words, at);
    w.seq = this.#sndNxt[row]!;
    w.ack = this.#rcvNxt[row]!;
    w.flags = TCP_ACK;
    w.window = this.#window[row]!;
    w.hasTimestamps = hasStamps && this.#hasTimestamps[row] === 1;
    w.tsVal = (Math.floor(now) + this.#engine.stampOffsetOf(flows.words, at)) | 0;
    w.tsEcr = this.#tsRecent[row]!;
    w.bare();
  }
}
