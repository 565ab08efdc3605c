/**
 * What an acknowledgement changes (RFC 9293 3.10.7.4 "check the ACK field"): what was sent and has arrived, what is lost
 * (scoreboard.ts), how fast to go on (congestion.ts, rtt.ts), the peer's window, and our FIN.
 */
import { seqDiff, seqLess, seqLessEq } from "../../lib/seq32.ts";
import { Drop, type DropCode } from "../drop.ts";
import { TCP_ECE, TCP_FIN, TCP_SYN } from "../wire/tcp.ts";
import { CONNECTED, type Connection, WRITABLE } from "./connection.ts";
import { CONGESTION_ECHOES, RECOVERIES, UNDONE } from "./counters.ts";
import type { Engine } from "./engine.ts";
import type { Segment } from "./segment.ts";
import { armTailProbe, payloadOf, sendAllowed, stampOf } from "./send.ts";
import { ESTABLISHED } from "./state.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** RFC 5681 3.2: duplicate acknowledgements that mean loss, where there is no SACK. */
const DUP_THRESHOLD = 3;

/** Handles the ACK of a segment that was accepted otherwise. TcpBadAck: it may be forged (RFC 5961 5.2). */
export function acknowledge(e: Engine, c: Connection, now: number, seg: Segment): DropCode {
  const { ack, options } = seg;
  const before = c.una;
  if (seqLess(c.nxt, ack) || seqDiff(before, ack) > c.maxWnd) return Drop.TcpBadAck;
  c.heardAt = now;
  c.keepalives = 0;
  const { board, rtt, congestion } = c;
  const isNew = seqLess(before, ack);
  const acked = isNew ? seqDiff(ack, before) : 0;
  const hasEcho = options.hasTimestamps && c.hasTimestamps;
  const echoedAt = hasEcho ? Math.floor(now) - ((stampOf(c, now) - options.tsEcr) >>> 0) : -1;
  const wasClosed = c.wnd === 0;
  const isDuplicate = ack === before && isPureDuplicate(c, seg);
  updateWindow(c, seg);

  const unused = congestion.inRecovery ? 0 : congestion.room(board.pipe);
  if (isNew) c.una = ack;
  board.acknowledge(now, c.una, options.sack, c.hasSack ? options.sackCount : 0, echoedAt);
  const wasRecovering = congestion.inRecovery;
  if (c.hasSack) {
    board.detect(now, rtt.srtt, rtt.minRtt, wasRecovering);
    c.reorderAt = board.reoTimeoutAt;
  } else {
    loseWithoutSack(c, isNew, isDuplicate, wasRecovering);
  }
  const lost = board.newlyLost;

  // Where acknowledgements were lost the echo is younger than the oldest data, and where it is of the first copy it may be much older (Karn).
  let sample = board.rtt;
  if (isNew && hasEcho && options.tsEcr !== 0 && (sample >= 0 || board.resentArrived)) {
    const echo = Math.max(0, now - echoedAt);
    if (sample < 0 || echo < sample) sample = echo;
  }
  if (sample >= 0) rtt.sample(now, sample);

  if (isNew) {
    takeBack(c, ack);
    c.timeouts = 0;
    c.owedSince = now;
    c.tries = 0;
    c.softError = false;
    if (seqLess(c.smallEnd, ack)) c.smallEnd = ack;
    if (seqLess(c.recover, ack)) c.recover = ack;
    c.retransmitAt = c.una === c.nxt ? NEVER : now + rtt.rto;
  }
  if (c.canUndo && wasNoLoss(c, seg, isNew)) undo(e, c);
  if (lost > 0) {
    sendAllowed(e, c, now, unused);
    onLoss(e, c);
  }
  if (c.hasEcn && seg.has(TCP_ECE)) slowDown(e, c);
  if (c.isProbing) settleProbe(c, ack, isDuplicate);
  // A duplicate without SACK outside of recovery is no reason to send more (RFC 5681 3.2 step 1).
  if ((board.delivered > 0 && (isNew || c.hasSack)) || congestion.inRecovery) {
    const advanced = isNew && lost === 0;
    congestion.onAck(now, board.delivered, board.rttLatest, rtt.srtt, c.una, c.nxt, board.pipe, advanced);
  }
  if (wasRecovering && !congestion.inRecovery) board.recovered();
  if (isNew) armTailProbe(c, now);

  if (wasClosed && c.wnd > 0 && c.una === c.nxt) {
    c.retransmitAt = NEVER;
    c.tries = 0;
  }
  if (c.wantsRoom && acked > 0 && c.writable >= c.sendLimit >> 2) {
    c.wantsRoom = false;
    e.notify(c, WRITABLE);
  }
  e.touch(c);
  return Drop.None;
}

/** RACK's timer, or an acknowledgement, has found loss: the window is reduced once for each window of data (RFC 5681 3.2). */
export function onLoss(e: Engine, c: Connection): void {
  if (!c.congestion.onLoss(c.una, c.nxt, c.board.pipe)) return;
  beginUndo(c);
  c.recover = c.nxt;
  c.tailAt = NEVER;
  e.counters.bump(RECOVERIES);
}

/** The peer has seen a mark of congestion (RFC 3168 6.1.2): the same as a loss, and nothing is sent again. */
function slowDown(e: Engine, c: Connection): void {
  if (!c.congestion.onLoss(c.una, c.nxt, c.board.pipe)) return;
  c.recover = c.nxt;
  c.canUndo = false;
  c.cwrWanted = true;
  e.counters.bump(CONGESTION_ECHOES);
}

/** From now on the loss may turn out to be none. */
export function beginUndo(c: Connection): void {
  c.canUndo = true;
  c.undoFrom = 0;
  c.undoTo = 0;
  c.hasUndoStamp = false;
  c.undoBytes = 0;
}

/** The handshake is over. */
export function establish(e: Engine, c: Connection, now: number): void {
  c.stateCode = ESTABLISHED;
  c.retransmitAt = NEVER;
  if (c.tries > 0) c.rtt.afterLostSyn();
  c.congestion.reset(payloadOf(c), c.tries);
  c.tries = 0;
  c.heardAt = now;
  c.softError = false;
  c.recover = c.una;
  c.smallEnd = c.una;
  c.timeoutUna = (c.una - 1) | 0;
  c.tuneAt = now;
  if (c.keepalive !== undefined) c.keepaliveAt = now + c.keepalive.idle;
  e.notify(c, CONNECTED | WRITABLE);
  e.touch(c);
}

/** RFC 5681 2: nothing new, no data, the same window, and something is under way. */
const isPureDuplicate = (c: Connection, seg: Segment): boolean =>
  seg.len === 0 && !seg.has(TCP_SYN | TCP_FIN) && c.una !== c.nxt && (seg.window << c.sndShift) >>> 0 === c.wnd;

/** Where the peer knows no SACK: RFC 6582. */
function loseWithoutSack(c: Connection, isNew: boolean, isDuplicate: boolean, inRecovery: boolean): void {
  const { board } = c;
  board.newlyLost = 0;
  if (isNew) {
    c.dupAcks = 0;
    // A partial acknowledgement: the next segment is lost as well (RFC 6582 3.2 step 3).
    if (inRecovery && seqLess(c.una, c.recover)) board.loseFirst();
  } else if (isDuplicate) {
    board.guess();
    // RFC 6582 3.2 step 2: not for what was under way when loss was found last.
    if (++c.dupAcks === DUP_THRESHOLD && !inRecovery && !seqLess(c.una, c.recover)) board.loseFirst();
  }
}

/** RFC 9293 3.10.7.4: only a segment newer than the one that the window is from says what the window is. */
function updateWindow(c: Connection, seg: Segment): void {
  if (seqLess(seg.ack, c.una)) return;
  if (!seqLess(c.wl1, seg.seq) && !(c.wl1 === seg.seq && seqLessEq(c.wl2, seg.ack))) return;
  c.wnd = (seg.window << c.sndShift) >>> 0;
  c.wl1 = seg.seq;
  c.wl2 = seg.ack;
  if (c.wnd > c.maxWnd) c.maxWnd = c.wnd;
}

/** Frees what is acknowledged in the send ring. */
function takeBack(c: Connection, ack: number): void {
  const n = Math.min(seqDiff(ack, c.sendBase), c.sendRing.extent);
  if (n <= 0) return;
  c.sendRing.consume(n);
  c.sendBase = (c.sendBase + n) | 0;
}

/**
 * Whether what was deemed lost had only been late: it has arrived before any of it was sent again; or the first new acknowledgement answers
 * to what was sent before that (RFC 3522); or everything that was sent again is reported to have been there already (RFC 3708).
 */
function wasNoLoss(c: Connection, seg: Segment, isNew: boolean): boolean {
  const { board } = c;
  if (c.undoFrom === c.undoTo) return isNew && board.lost === 0;
  if (isNew && c.hasUndoStamp) {
    c.hasUndoStamp = false;
    if (seg.options.hasTimestamps && seqLess(seg.options.tsEcr, c.undoStamp)) return true;
  }
  // What the network has repeated by itself tells nothing.
  if (!board.hasDuplicate || seqLess(board.duplicateLeft, c.undoFrom) || seqLess(c.undoTo, board.duplicateRight))
    return false;
  c.undoBytes -= seqDiff(board.duplicateRight, board.duplicateLeft);
  return c.undoBytes <= 0;
}

/** As if nothing had happened (RFC 4015). */
function undo(e: Engine, c: Connection): void {
  c.canUndo = false;
  c.congestion.undo();
  c.board.reviveLost();
  c.recover = c.una;
  e.counters.bump(UNDONE);
}

/** RFC 8985 7.4: whether a tail loss probe repaired a loss, which counts as one. */
function settleProbe(c: Connection, ack: number, isDuplicate: boolean): void {
  if (seqLess(ack, c.probeEnd)) return;
  const { board } = c;
  const wasNeedless =
    (board.hasDuplicate && board.duplicateRight === c.probeEnd) || (isDuplicate && ack === c.probeEnd);
  if (!c.probeRepeats || wasNeedless) {
    c.isProbing = false;
  } else if (seqLess(c.probeEnd, ack)) {
    c.isProbing = false;
    c.congestion.onLoss(c.una, c.nxt, board.pipe);
  }
}
