/**
 * Segments for a connection, in the order of checks of RFC 9293 3.10.7.3 and 3.10.7.4, with PAWS (RFC 7323 5) in front, and
 * RFC 5961 where a segment may be forged: it is answered by an acknowledgement, which a peer that did send it answers by a
 * reset that fits.
 */
import { seqAdd, seqDiff, seqLess, seqLessEq } from "../../lib/seq32.ts";
import { Drop, type DropCode } from "../drop.ts";
import { TCP_ACK, TCP_CWR, TCP_ECE, TCP_FIN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import { acknowledge, establish } from "./acknowledge.ts";
import { type Connection, FINISHED, READABLE } from "./connection.ts";
import {
  CHALLENGES,
  CONGESTION_MARKS,
  DUPLICATES,
  OPENED,
  OUT_OF_ORDER,
  REFUSED,
  RESET_BY_PEER,
  RESETS_SENT,
} from "./counters.ts";
import type { Engine } from "./engine.ts";
import { TUPLE_WORDS } from "./flows.ts";
import type { Segment } from "./segment.ts";
import { fitMss, routeOf, sendAck, sendReset, sendSyn, stampOf } from "./send.ts";
import {
  CLOSE_WAIT,
  CLOSING,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  mayReceive,
  SYN_RECEIVED,
  SYN_SENT,
} from "./state.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** RFC 7323 5.5: a timestamp this old says nothing. */
const PAWS_MS = 24 * 24 * 3600 * 1000;
/** Our choice within the 500 ms of RFC 9293 3.8.6.3, as Linux's TCP_DELACK_MIN. */
const DELAYED_ACK_MS = 40;
/**
 * Our choice: segments that are acknowledged one by two, and none late, after something was lost: where one acknowledgement speaks for a
 * whole batch and is lost too, the peer waits for its timers.
 */
const QUICK_AFTER_LOSS = 4096;
/** Our choice, as Linux's TCP_TIMEOUT_MIN: so that the reset is there first. */
const ASK_AGAIN_MS = 2;
/** RFC 5961 7: challenges of one connection are at least so far apart (Linux: tcp_invalid_ratelimit). */
const CHALLENGE_MS = 500;

/** What becomes of a connection whose FIN and the peer's have both been acknowledged (time-wait.ts). */
interface TimeWaitEntry {
  enterTimeWait(c: Connection, now: number): void;
}

/** Handles a segment for the connection. None: it was taken, as a whole or in part. */
export function receive(e: Engine, c: Connection, now: number, seg: Segment, end: TimeWaitEntry): DropCode {
  const drop = c.stateCode === SYN_SENT ? inSynSent(e, c, now, seg, end) : inOthers(e, c, now, seg, end);
  e.arm(c);
  return drop;
}

function inSynSent(e: Engine, c: Connection, now: number, seg: Segment, end: TimeWaitEntry): DropCode {
  const { ack, options } = seg;
  const hasAck = seg.has(TCP_ACK);
  if (hasAck && ack !== c.nxt) {
    if (seg.has(TCP_RST)) return Drop.TcpBadAck;
    // The peer remembers a connection of before. Once that is reset it takes the SYN (RFC 9293 3.5.1), the first time without a wait.
    resetAt(e, c, now, ack);
    if (c.tries === 0) c.retransmitAt = Math.min(c.retransmitAt, now + ASK_AGAIN_MS);
    return Drop.TcpBadAck;
  }
  if (seg.has(TCP_RST)) {
    if (!hasAck) return Drop.TcpBadAck;
    e.counters.bump(REFUSED);
    e.finish(c, "refused");
    return Drop.None;
  }
  if (!seg.has(TCP_SYN)) return Drop.TcpUnacceptable;
  c.rcvNxt = seqAdd(seg.seq, 1);
  c.receiveBase = c.rcvNxt;
  // It comes to a window that was not scaled, of the size that our SYN had.
  c.rcvAdv = seqAdd(c.rcvNxt, Math.min(0xffff, c.receiveRing.capacity));
  agree(c, now, seg);
  c.hasEcn = c.hasEcn && seg.has(TCP_ECE) && hasAck !== seg.has(TCP_CWR);
  c.wnd = seg.window;
  c.maxWnd = c.wnd;
  c.wl1 = seg.seq;
  c.wl2 = ack;
  if (!hasAck) {
    // Both began at once (RFC 9293 3.5, figure 8).
    c.stateCode = SYN_RECEIVED;
    c.hasEcn = false;
    sendSyn(e, c, now);
    return Drop.None;
  }
  c.una = ack;
  if (c.tries === 0) c.rtt.sample(now, now - c.sentAt);
  else if (c.hasTimestamps) c.rtt.sample(now, (stampOf(c, now) - options.tsEcr) >>> 0);
  establish(e, c, now);
  e.counters.bump(OPENED);
  c.ackWanted = true;
  if (seg.len === 0 && !seg.has(TCP_FIN)) return Drop.None;
  seg.seq = c.rcvNxt;
  return takeText(e, c, now, seg, end);
}

/** What both SYNs say that both sides can do. Ours offered all. */
function agree(c: Connection, now: number, { options }: Segment): void {
  c.hasScale = options.windowScale >= 0;
  c.sndShift = Math.max(0, options.windowScale);
  if (!c.hasScale) c.rcvShift = 0;
  c.hasSack = options.sackPermitted;
  c.hasTimestamps = options.hasTimestamps;
  c.tsRecent = options.hasTimestamps ? options.tsVal : 0;
  c.tsRecentAt = now;
  c.peerMss = options.mss === 0 ? c.ip.defaultMss : options.mss;
  fitMss(c);
}

function inOthers(e: Engine, c: Connection, now: number, seg: Segment, end: TimeWaitEntry): DropCode {
  const { options } = seg;
  const isReset = seg.has(TCP_RST);
  if (c.hasTimestamps && !isReset) {
    // RFC 7323 3.2: who agreed to timestamps sends them always.
    if (!options.hasTimestamps) return Drop.TcpNoTimestamp;
    if (seqLess(options.tsVal, c.tsRecent) && now - c.tsRecentAt < PAWS_MS) {
      // An acknowledgement that was overtaken by a later one says nothing, and needs no answer (as in Linux: tcp_disordered_ack).
      if (seg.span > 0 || seg.seq !== c.rcvNxt) answerOutside(e, c, now, seg);
      return Drop.TcpOldTimestamp;
    }
  }
  // The answer to our SYN when both began at once is not new, but its ACK is.
  if (
    c.stateCode === SYN_RECEIVED &&
    seg.has(TCP_SYN) &&
    seg.has(TCP_ACK) &&
    seqAdd(seg.seq, 1) === c.rcvNxt &&
    !isReset
  ) {
    seg.seq = c.rcvNxt;
    seg.flags &= ~TCP_SYN;
    seg.span--;
  }
  if (!isAcceptable(c, seg)) {
    if (isReset) return Drop.TcpUnacceptable;
    answerOutside(e, c, now, seg);
    return Drop.TcpUnacceptable;
  }
  if (isReset) return reset(e, c, now, seg);
  if (seg.has(TCP_SYN)) {
    // RFC 5961 4.2
    challenge(e, c, now);
    return Drop.TcpMaybeForged;
  }
  if (!seg.has(TCP_ACK)) return Drop.TcpNoAck;
  if (c.stateCode === SYN_RECEIVED && !becomesEstablished(e, c, now, seg)) return Drop.TcpBadAck;
  const bad = acknowledge(e, c, now, seg);
  if (bad !== Drop.None) {
    challenge(e, c, now);
    return bad;
  }
  if (
    options.hasTimestamps &&
    c.hasTimestamps &&
    seqLessEq(seg.seq, c.lastAckSent) &&
    !seqLess(options.tsVal, c.tsRecent)
  ) {
    // RFC 7323 4.3 (2)
    if (seg.len > 0 && options.tsVal !== c.tsRecent) sampleReceiver(c, now, options.tsEcr);
    c.tsRecent = options.tsVal;
    c.tsRecentAt = now;
  }
  if (c.finSent && c.una === c.nxt && !finAcknowledged(e, c, now, end)) return Drop.None;
  return takeText(e, c, now, seg, end);
}

/** RFC 9293 3.10.7.4, first check. */
function isAcceptable(c: Connection, seg: Segment): boolean {
  const right = c.rcvAdv;
  const size = seqDiff(right, c.rcvNxt);
  const start = seqDiff(seg.seq, c.rcvNxt);
  if (seg.span === 0) return size > 0 ? start >= 0 && start < size : start === 0;
  // With a closed window what begins at its edge is looked at for its ACK (the data is not taken).
  if (size <= 0) return start === 0;
  const last = start + seg.span - 1;
  return (start >= 0 && start < size) || (last >= 0 && last < size) || (start < 0 && last >= size);
}

/** RFC 5961 3.2: only a reset at exactly RCV.NXT is believed. */
function reset(e: Engine, c: Connection, now: number, seg: Segment): DropCode {
  if (seg.seq !== c.rcvNxt) {
    challenge(e, c, now);
    return Drop.TcpMaybeForged;
  }
  if (c.stateCode === SYN_RECEIVED) {
    e.counters.bump(REFUSED);
    e.finish(c, "refused");
    return Drop.None;
  }
  e.counters.bump(RESET_BY_PEER);
  // Everything had arrived on both sides: all that is missing is the word for it.
  const isOver = (c.stateCode === CLOSING || c.stateCode === LAST_ACK) && seqDiff(c.nxt, c.una) <= 1;
  e.finish(c, isOver ? "closed" : "reset");
  return Drop.None;
}

/** Both began at once, and now the peer has our SYN. False: it acknowledges something else. */
function becomesEstablished(e: Engine, c: Connection, now: number, seg: Segment): boolean {
  if (seg.ack !== c.nxt) {
    resetAt(e, c, now, seg.ack);
    return false;
  }
  c.una = seg.ack;
  if (c.tries === 0) c.rtt.sample(now, now - c.sentAt);
  c.wnd = (seg.window << c.sndShift) >>> 0;
  c.maxWnd = c.wnd;
  c.wl1 = seg.seq;
  c.wl2 = seg.ack;
  establish(e, c, now);
  e.counters.bump(OPENED);
  return true;
}

/** Our FIN was acknowledged. False: the connection is over. */
function finAcknowledged(e: Engine, c: Connection, now: number, end: TimeWaitEntry): boolean {
  switch (c.stateCode) {
    case FIN_WAIT_1:
      c.stateCode = FIN_WAIT_2;
      return true;
    case CLOSING:
      end.enterTimeWait(c, now);
      return false;
    case LAST_ACK:
      e.finish(c, "closed");
      return false;
    default:
      return true;
  }
}

/** RFC 9293 3.10.7.4, seventh and eighth: data and FIN. */
function takeText(e: Engine, c: Connection, now: number, seg: Segment, end: TimeWaitEntry): DropCode {
  if (c.hasEcn) noteMarks(e, c, seg);
  const hasFin = seg.has(TCP_FIN);
  if (seg.len === 0 && !hasFin) return Drop.None;
  const segEnd = (seg.seq + seg.len) | 0;
  if (!mayReceive(c.stateCode)) {
    // The FIN was sent again: our acknowledgement was lost.
    c.ackWanted = true;
    e.touch(c);
    return Drop.None;
  }
  if (c.isReleased && seqLess(c.rcvNxt, segEnd)) {
    // Nobody will read it, and the peer must not think otherwise (RFC 9293 3.6.1, RFC 2525 2.17).
    sendReset(e, c, now);
    e.finish(c, "aborted");
    return Drop.None;
  }
  if (seg.pieceLen > c.rcvMss) c.rcvMss = Math.min(seg.pieceLen, c.mss + 40);
  if (hasFin && !c.finSeen && seqLessEq(segEnd, c.rcvAdv)) {
    c.finSeen = true;
    c.finSeq = segEnd;
    c.ackWanted = true;
  }
  const before = c.rcvNxt;
  const drop = seg.len > 0 ? store(e, c, now, seg, segEnd) : Drop.None;
  const arrived = seqDiff(c.rcvNxt, before);
  if (c.finSeen && c.rcvNxt === c.finSeq) {
    takeFin(e, c, now, end);
    return Drop.None;
  }
  if (arrived > 0) {
    e.notify(c, READABLE);
    acknowledgeSoon(e, c, now, arrived, seg);
  }
  if (c.end === undefined) e.touch(c);
  return drop;
}

/** Puts the data where it belongs: behind what is there, or beyond a hole. */
function store(e: Engine, c: Connection, now: number, seg: Segment, segEnd: number): DropCode {
  const { assembler, receiveRing } = c;
  let { seq, at } = seg;
  const old = seqDiff(c.rcvNxt, seq);
  if (old > 0) {
    const known = seqLess(segEnd, c.rcvNxt) ? segEnd : c.rcvNxt;
    if (c.hasSack) assembler.duplicate(seq, known);
    c.quickAcks = QUICK_AFTER_LOSS;
    c.ackWanted = true;
    if (old >= seg.len) {
      e.counters.bump(DUPLICATES);
      return Drop.None;
    }
    seq = c.rcvNxt;
    at += old;
  }
  let right = seqLess(c.rcvAdv, segEnd) ? c.rcvAdv : segEnd;
  if (c.finSeen && seqLess(c.finSeq, right)) right = c.finSeq;
  const len = seqDiff(right, seq);
  if (len <= 0) {
    c.ackWanted = true;
    return Drop.TcpUnacceptable;
  }
  const taken = receiveRing.write(seqDiff(seq, c.receiveBase), at, len);
  const isHole = seq !== c.rcvNxt;
  if (taken === 0) {
    c.ackWanted = true;
    return Drop.TcpNoMemory;
  }
  const stored = (seq + taken) | 0;
  if (!isHole) {
    const wasHoled = assembler.count > 0;
    c.rcvNxt = assembler.advance(stored);
    // What fills a hole is acknowledged at once (RFC 5681 4.2).
    if (wasHoled) c.ackWanted = true;
    return Drop.None;
  }
  e.counters.bump(OUT_OF_ORDER);
  if (!assembler.add(seq, stored)) {
    c.ackWanted = true;
    return Drop.TcpNoMemory;
  }
  // RFC 5681 4.2: at once, and each of them: the one that is lost is not the only one.
  c.quickAcks = QUICK_AFTER_LOSS;
  sendAck(e, c, now);
  return Drop.None;
}

/** The peer's FIN, and everything before it is there. */
function takeFin(e: Engine, c: Connection, now: number, end: TimeWaitEntry): void {
  c.rcvNxt = seqAdd(c.rcvNxt, 1);
  c.finReceived = true;
  e.notify(c, READABLE | FINISHED);
  c.ackWanted = true;
  if (c.stateCode === ESTABLISHED) c.stateCode = CLOSE_WAIT;
  else if (c.stateCode === FIN_WAIT_1) c.stateCode = CLOSING;
  else if (c.stateCode === FIN_WAIT_2) {
    end.enterTimeWait(c, now);
    return;
  }
  e.touch(c);
}

/** RFC 5681 4.2, RFC 9293 3.8.6.3: at least every second full segment, and none waits long. */
function acknowledgeSoon(e: Engine, c: Connection, now: number, arrived: number, seg: Segment): void {
  c.unacked += arrived;
  if (c.quickAcks > 0) {
    c.quickAcks--;
    if (c.unacked >= 2 * c.rcvMss) sendAck(e, c, now);
    else c.ackWanted = true;
  } else if (c.unacked >= 2 * c.rcvMss || seg.len > seg.pieceLen) {
    c.ackWanted = true;
  } else if (c.ackAt === NEVER) {
    c.ackAt = now + DELAYED_ACK_MS;
  }
}

/** RFC 3168 6.1.3: a mark is echoed until the peer says that it has slowed down. */
function noteMarks(e: Engine, c: Connection, seg: Segment): void {
  if (seg.has(TCP_CWR)) c.echoesCongestion = false;
  if (!seg.isMarked) return;
  e.counters.bump(CONGESTION_MARKS);
  if (!c.echoesCongestion) c.ackWanted = true;
  c.echoesCongestion = true;
}

/** The round trip as a receiver sees it: from our segment to data that answers to it (window auto-tuning only). */
function sampleReceiver(c: Connection, now: number, tsEcr: number): void {
  const rtt = (stampOf(c, now) - tsEcr) >>> 0;
  if (tsEcr === 0 || rtt > 60_000) return;
  c.rcvRtt = c.rcvRtt === 0 ? rtt : Math.min(rtt, c.rcvRtt + (rtt - c.rcvRtt) / 8);
}

/** What lies outside of the window is answered, so that the peer learns where we are; segments without data not too often. */
function answerOutside(e: Engine, c: Connection, now: number, seg: Segment): void {
  if (seg.len === 0 && !seg.has(TCP_FIN)) return challenge(e, c, now);
  if (c.hasSack && seg.len > 0 && seqLessEq(seqAdd(seg.seq, seg.len), c.rcvNxt)) {
    e.counters.bump(DUPLICATES);
    c.assembler.duplicate(seg.seq, seqAdd(seg.seq, seg.len));
    // Each by itself: who sent it again has to hear of every one (RFC 2883 4, RFC 3708).
    return sendAck(e, c, now);
  }
  c.ackWanted = true;
  if (c.stateCode === SYN_RECEIVED) sendAck(e, c, now);
  else e.touch(c);
}

function challenge(e: Engine, c: Connection, now: number): void {
  if (now - c.challengedAt < CHALLENGE_MS) return;
  c.challengedAt = now;
  e.counters.bump(CHALLENGES);
  sendAck(e, c, now);
}

/** RFC 9293 3.10.7.3: the answer to an acknowledgement of what was never sent. */
function resetAt(e: Engine, c: Connection, now: number, seq: number): void {
  const neighbour = routeOf(e, c, now);
  if (neighbour < 0) return;
  e.counters.bump(RESETS_SENT);
  const { writer: w } = e;
  w.begin(c.ip, neighbour, e.flows.words, c.row * TUPLE_WORDS);
  w.seq = seq;
  w.flags = TCP_RST;
  w.bare();
}
