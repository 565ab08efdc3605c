/**
 * Connections that others begin, until the handshake is over (RFC 9293 3.5, 3.10.7.2). A half-open one is a row of the flow table and
 * some columns; when there is no row left, it is a cookie (syn-cookie.ts) and nothing is kept. So a flood of SYNs makes no
 * object, and takes no memory that was not there before.
 */
import type { Random } from "../../lib/random.ts";
import { seqAdd, seqDiff, seqLess, seqMax } from "../../lib/seq32.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Packet } from "../packet.ts";
import { TCP_ACK, TCP_CWR, TCP_ECE, TCP_HEADER_LEN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import {
  ACCEPT_OVERFLOWS,
  CHALLENGES,
  COOKIES_ACCEPTED,
  COOKIES_REFUSED,
  COOKIES_SENT,
  HALF_OPEN,
} from "./counters.ts";
import type { Engine } from "./engine.ts";
import { FLOW_HALF_OPEN, TUPLE_WORDS } from "./flows.ts";
import type { IpPort } from "./ip-port.ts";
import type { ListenSocket } from "./listen-socket.ts";
import type { Segment } from "./segment.ts";
import { cookieEcn, cookieSackPermitted, cookieStamp, cookieWindowScale, SynCookies } from "./syn-cookie.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** RFC 6298 2.1; a SYN-ACK is sent again this often (Linux: tcp_synack_retries 5), 63 s in all. */
const FIRST_WAIT_MS = 1000;
const MAX_TRIES = 5;
const CHALLENGE_MS = 500;
/** Bits of a row's options. */
const STAMPS = 1;
const SACK = 2;
const ECN = 4;
const SCALE = 8;
const NO_SCALE = -1;

/** In the place of a row: {@link Backlog.cookie}. */
export const LATER = -1;

/** What both sides know of each other when the handshake is over. */
export class Handshake {
  iss = 0;
  irs = 0;
  mss = 536;
  /** -1: windows are not scaled. */
  windowScale = NO_SCALE;
  hasTimestamps = false;
  hasSack = false;
  hasEcn = false;
  tsRecent = 0;
  tsOffset = 0;
  /** The SYN-ACK was sent again. */
  wasLate = false;
  /** When it was sent; a cookie does not know. */
  sentAt = -1;
}

/** Makes the connection of a handshake, undefined: there is no room. `row` is its own then. */
type Promote = (now: number, listener: ListenSocket, ip: IpPort, row: number, shake: Handshake) => boolean;

export class Backlog {
  readonly #engine: Engine;
  readonly #limit: number;
  readonly #promote: Promote;
  readonly #cookies: SynCookies;
  readonly #shake = new Handshake();
  readonly #iss: Int32Array;
  readonly #irs: Int32Array;
  readonly #mss: Uint16Array;
  readonly #scale: Int8Array;
  readonly #bits: Uint8Array;
  readonly #tsRecent: Int32Array;
  readonly #tries: Uint8Array;
  readonly #sentAt: Float64Array;
  readonly #answeredAt: Float64Array;
  #count = 0;

  /** @param limit half-open connections at most */
  constructor(engine: Engine, limit: number, random: Random, promote: Promote) {
    const rows = engine.flows.capacity + 1;
    this.#engine = engine;
    this.#limit = limit;
    this.#promote = promote;
    this.#cookies = new SynCookies(random);
    this.#iss = new Int32Array(rows);
    this.#irs = new Int32Array(rows);
    this.#mss = new Uint16Array(rows);
    this.#scale = new Int8Array(rows);
    this.#bits = new Uint8Array(rows);
    this.#tsRecent = new Int32Array(rows);
    this.#tries = new Uint8Array(rows);
    this.#sentAt = new Float64Array(rows);
    this.#answeredAt = new Float64Array(rows);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Answers the SYN in `p` to a listener.
   * @param beyond SND.NXT of a connection in TIME-WAIT whose place it takes
   */
  syn(
    now: number,
    listener: ListenSocket,
    tuple: Int32Array,
    seg: Segment,
    ip: IpPort,
    p: Packet,
    beyond?: number,
  ): DropCode {
    const e = this.#engine;
    // What cannot be accepted anyway is not begun, as in Linux: the peer asks again.
    if (!listener.hasRoom) {
      e.counters.bump(ACCEPT_OVERFLOWS);
      return Drop.TcpBacklogFull;
    }
    const neighbour = ip.routeBack(now, p);
    if (neighbour < 0) return -neighbour as DropCode;
    const row = this.#count < this.#limit ? e.flows.add(tuple, FLOW_HALF_OPEN) : 0;
    if (row === 0) {
      this.#answerByCookie(now, listener, tuple, seg, ip, neighbour);
      return Drop.None;
    }
    const { options } = seg;
    const isn = e.isnOf(now, tuple, 0);
    this.#count++;
    e.counters.bump(HALF_OPEN);
    this.#iss[row] = beyond === undefined ? isn : seqMax(isn, seqAdd(beyond, 0x10000));
    this.#irs[row] = seg.seq;
    this.#mss[row] = options.mss === 0 ? ip.defaultMss : options.mss;
    this.#scale[row] = options.windowScale;
    this.#bits[row] =
      (options.hasTimestamps ? STAMPS : 0) |
      (options.sackPermitted ? SACK : 0) |
      (asksForEcn(seg) ? ECN : 0) |
      (options.windowScale >= 0 ? SCALE : 0);
    this.#tsRecent[row] = options.hasTimestamps ? options.tsVal : 0;
    this.#tries[row] = 0;
    this.#answeredAt[row] = Number.NEGATIVE_INFINITY;
    this.#sendSynAck(now, row, listener, ip, neighbour);
    e.deadlines.set(row, now + FIRST_WAIT_MS);
    return Drop.None;
  }

  /**
   * Handles a segment for a half-open row (RFC 9293 3.10.7.4, SYN-RECEIVED). True: the handshake is over, the row is a connection's, and
   * the segment is for that.
   */
  segment(now: number, row: number, listener: ListenSocket | undefined, seg: Segment, ip: IpPort, p: Packet): boolean {
    const e = this.#engine;
    if (listener === undefined) {
      this.remove(row);
      return false;
    }
    const rcvNxt = seqAdd(this.#irs[row]!, 1);
    if (seg.has(TCP_RST)) {
      if (seg.seq === rcvNxt) this.remove(row);
      return false;
    }
    const neighbour = ip.routeBack(now, p);
    if (neighbour < 0) return false;
    const hasStamps = (this.#bits[row]! & STAMPS) !== 0;
    if (seg.has(TCP_SYN)) {
      // The SYN again: our answer was lost. Another one: the peer knows nothing of the first, and says so when it is asked (RFC 5961 4.2).
      if (seg.seq === this.#irs[row]) this.#sendSynAck(now, row, listener, ip, neighbour);
      else this.#challenge(now, row, listener, ip, neighbour);
      return false;
    }
    if (!seg.has(TCP_ACK)) return false;
    if (seg.ack !== seqAdd(this.#iss[row]!, 1)) {
      // It may be of a cookie that was the answer to an earlier SYN, and not the first segment behind it.
      if (this.#cookies.isLive(now)) return false;
      const { writer: w } = e;
      w.begin(ip, neighbour, e.flows.words, row * TUPLE_WORDS);
      w.seq = seg.ack;
      w.flags = TCP_RST;
      w.bare();
      return false;
    }
    const isOld = hasStamps && (!seg.options.hasTimestamps || seqLess(seg.options.tsVal, this.#tsRecent[row]!));
    const ahead = seqDiff(seg.seq, rcvNxt);
    if (isOld || ahead < 0 || ahead > windowOf(listener)) {
      this.#challenge(now, row, listener, ip, neighbour);
      return false;
    }
    if (!listener.hasRoom) {
      e.counters.bump(ACCEPT_OVERFLOWS);
      return false;
    }
    const shake = this.#shake;
    const bits = this.#bits[row]!;
    shake.iss = this.#iss[row]!;
    shake.irs = this.#irs[row]!;
    shake.mss = this.#mss[row]!;
    shake.windowScale = (bits & SCALE) !== 0 ? this.#scale[row]! : NO_SCALE;
    shake.hasTimestamps = hasStamps;
    shake.hasSack = (bits & SACK) !== 0;
    shake.hasEcn = (bits & ECN) !== 0;
    shake.tsRecent = this.#tsRecent[row]!;
    shake.tsOffset = e.stampOffsetOf(e.flows.words, row * TUPLE_WORDS);
    shake.wasLate = this.#tries[row]! > 0;
    shake.sentAt = this.#sentAt[row]!;
    if (!this.#promote(now, listener, ip, row, shake)) return false;
    this.#count--;
    e.deadlines.set(row, NEVER);
    return true;
  }

  /** Whether a segment for a half-open row acknowledges a cookie that was the answer before there was a row. */
  answersCookie(now: number, row: number, tuple: Int32Array, seg: Segment): boolean {
    if (!seg.has(TCP_ACK) || seg.has(TCP_SYN) || seg.has(TCP_RST) || seg.ack === seqAdd(this.#iss[row]!, 1))
      return false;
    return this.#cookies.check(now, tuple, (seg.seq - 1) | 0, (seg.ack - 1) | 0) !== 0;
  }

  /**
   * An acknowledgement of nothing that is known here: it may answer a cookie. The row of the connection that it makes; 0: it does
   * not; {@link LATER}: it may, when it comes again, so that nothing is said.
   */
  cookie(now: number, listener: ListenSocket, tuple: Int32Array, seg: Segment, ip: IpPort): number {
    const e = this.#engine;
    const { options } = seg;
    const irs = (seg.seq - 1) | 0;
    const iss = (seg.ack - 1) | 0;
    const mss = this.#cookies.check(now, tuple, irs, iss);
    if (mss === 0) {
      e.counters.bump(COOKIES_REFUSED);
      // Only the first segments have the peer's ISN in them. They may be lost, and are sent again after those behind them: data, a FIN alone, the
      // answer to a SYN-ACK that came twice.
      return this.#cookies.isLive(now) ? LATER : 0;
    }
    if (!listener.hasRoom) {
      e.counters.bump(ACCEPT_OVERFLOWS);
      return LATER;
    }
    const row = e.flows.add(tuple, FLOW_HALF_OPEN);
    if (row === 0) return LATER;
    const shake = this.#shake;
    shake.iss = iss;
    shake.irs = irs;
    shake.mss = mss;
    shake.hasTimestamps = options.hasTimestamps;
    shake.windowScale = options.hasTimestamps ? cookieWindowScale(options.tsEcr) : NO_SCALE;
    shake.hasSack = options.hasTimestamps && cookieSackPermitted(options.tsEcr);
    shake.hasEcn = options.hasTimestamps && cookieEcn(options.tsEcr);
    shake.tsRecent = options.tsVal;
    shake.tsOffset = e.stampOffsetOf(tuple, 0);
    shake.wasLate = false;
    shake.sentAt = -1;
    if (!this.#promote(now, listener, ip, row, shake)) {
      e.flows.remove(row);
      return LATER;
    }
    e.counters.bump(COOKIES_ACCEPTED);
    return row;
  }

  /** The SYN-ACK was not answered. */
  handleDue(now: number, row: number, listener: ListenSocket | undefined, ip: IpPort): void {
    if (listener === undefined || this.#tries[row]! >= MAX_TRIES) {
      this.remove(row);
      return;
    }
    this.#tries[row]!++;
    const { deadlines, flows } = this.#engine;
    deadlines.set(row, now + FIRST_WAIT_MS * 2 ** this.#tries[row]!);
    const neighbour = ip.route(now, flows.words, row * TUPLE_WORDS);
    if (neighbour >= 0) this.#sendSynAck(now, row, listener, ip, neighbour);
  }

  remove(row: number): void {
    this.#count--;
    this.#engine.deadlines.set(row, NEVER);
    this.#engine.flows.remove(row);
  }

  /** Whether an ICMP error can be about the SYN-ACK of the row (RFC 5927 4). */
  isSequence(row: number, seq: number): boolean {
    return seq === this.#iss[row];
  }

  #sendSynAck(now: number, row: number, listener: ListenSocket, ip: IpPort, neighbour: number): void {
    const { writer: w, flows } = this.#engine;
    const at = row * TUPLE_WORDS;
    const bits = this.#bits[row]!;
    w.begin(ip, neighbour, flows.words, at);
    w.seq = this.#iss[row]!;
    w.ack = seqAdd(this.#irs[row]!, 1);
    w.flags = TCP_SYN | TCP_ACK | ((bits & ECN) !== 0 && this.#tries[row] === 0 ? TCP_ECE : 0);
    w.window = windowOf(listener);
    w.mss = mssOf(ip);
    w.windowScale = (bits & SCALE) !== 0 ? listener.windowScale : NO_SCALE;
    w.sackPermitted = (bits & SACK) !== 0;
    w.hasTimestamps = (bits & STAMPS) !== 0;
    w.tsVal = (Math.floor(now) + this.#engine.stampOffsetOf(flows.words, at)) | 0;
    w.tsEcr = this.#tsRecent[row]!;
    w.syn();
    this.#sentAt[row] = now;
  }

  #answerByCookie(
    now: number,
    listener: ListenSocket,
    tuple: Int32Array,
    seg: Segment,
    ip: IpPort,
    neighbour: number,
  ): void {
    const { writer: w, counters } = this.#engine;
    const { options } = seg;
    const hasEcn = asksForEcn(seg) && options.hasTimestamps;
    w.begin(ip, neighbour, tuple, 0);
    w.seq = this.#cookies.issue(now, tuple, seg.seq, options.mss === 0 ? ip.defaultMss : options.mss);
    w.ack = seqAdd(seg.seq, 1);
    w.flags = TCP_SYN | TCP_ACK | (hasEcn ? TCP_ECE : 0);
    w.window = windowOf(listener);
    w.mss = mssOf(ip);
    w.hasTimestamps = options.hasTimestamps;
    // Without timestamps there is no room for them in what comes back.
    w.windowScale = options.hasTimestamps && options.windowScale >= 0 ? listener.windowScale : NO_SCALE;
    w.sackPermitted = options.hasTimestamps && options.sackPermitted;
    const stamp = (Math.floor(now) + this.#engine.stampOffsetOf(tuple, 0)) | 0;
    w.tsVal = cookieStamp(stamp, options.windowScale, options.sackPermitted, hasEcn);
    w.tsEcr = options.tsVal;
    w.syn();
    counters.bump(COOKIES_SENT);
  }

  #challenge(now: number, row: number, listener: ListenSocket, ip: IpPort, neighbour: number): void {
    if (now - this.#answeredAt[row]! < CHALLENGE_MS) return;
    this.#answeredAt[row] = now;
    const { writer: w, flows, counters } = this.#engine;
    const at = row * TUPLE_WORDS;
    const hasScale = (this.#bits[row]! & SCALE) !== 0;
    w.begin(ip, neighbour, flows.words, at);
    w.seq = seqAdd(this.#iss[row]!, 1);
    w.ack = seqAdd(this.#irs[row]!, 1);
    w.flags = TCP_ACK;
    w.window = hasScale ? windowOf(listener) >>> listener.windowScale : windowOf(listener);
    w.hasTimestamps = (this.#bits[row]! & STAMPS) !== 0;
    w.tsVal = (Math.floor(now) + this.#engine.stampOffsetOf(flows.words, at)) | 0;
    w.tsEcr = this.#tsRecent[row]!;
    counters.bump(CHALLENGES);
    w.bare();
  }
}

/** RFC 3168 6.1.1: both bits in a SYN ask for ECN. */
const asksForEcn = (seg: Segment): boolean => seg.has(TCP_ECE) && seg.has(TCP_CWR);

/** What a SYN-ACK says of the window: not scaled (RFC 7323 2.2). */
const windowOf = (listener: ListenSocket): number => Math.min(0xffff, listener.window);

const mssOf = (ip: IpPort): number => ip.mtu - ip.headerLen - TCP_HEADER_LEN;
