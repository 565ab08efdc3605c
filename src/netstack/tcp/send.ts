/**
 * What goes out (RFC 9293 3.8): lost data first, then new data as far as both windows allow, FIN behind it, and an acknowledgement
 * when nothing else carries one.
 */

import { seqDiff, seqLess, seqLessEq, seqMax, seqMin } from "../../lib/seq32.ts";
import { Drop } from "../drop.ts";
import { TCP_ACK, TCP_CWR, TCP_ECE, TCP_FIN, TCP_HEADER_LEN, TCP_PSH, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import { tcpSackRoom, tcpSegmentOptionsLen } from "../wire/tcp-options.ts";
import type { Connection } from "./connection.ts";
import { RESETS_SENT, RETRANSMITTED } from "./counters.ts";
import type { Engine } from "./engine.ts";
import { TUPLE_WORDS } from "./flows.ts";
import { CLOSE_WAIT, FIN_WAIT_1, FIN_WAIT_2, isSynchronized, LAST_ACK, SYN_RECEIVED, SYN_SENT } from "./state.ts";
import { ECT, type SegmentWriter } from "./writer.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** Our choice: what one connection sends in a turn before others have theirs. */
const TURN_BYTES = 256 << 10;
/** Our choice, as Linux's tcp_fin_timeout: how long a peer may leave the other half open when nobody is here to read it. */
const LINGER_MS = 60_000;
/** RFC 8985 7.2: a single segment may be acknowledged late (TLP.max_ack_delay). */
const MAX_ACK_DELAY_MS = 200;
const FIRST_PROBE_MS = 1000;
/** Our choice, as Linux's TCP_TIMEOUT_MIN_US: where the round trip is shorter than a processor's other work, what is late is not lost. */
const PROBE_MARGIN_MS = 2;
/** Our choice: a peer that wants less than that in a segment wants to keep us busy (Linux: TCP_MIN_SND_MSS, 48). */
const LEAST_MSS = 64;

/** Sends what the connection may send now. True: it would send more, but others have their turn. */
export function transmit(e: Engine, c: Connection, now: number): boolean {
  if (c.end !== undefined) return false;
  if (c.isAborted) {
    sendReset(e, c, now);
    e.finish(c, "aborted");
    return false;
  }
  if (c.stateCode === SYN_SENT && c.retransmitAt === NEVER) {
    c.owedSince = now;
    sendSyn(e, c, now);
    c.retransmitAt = now + c.rtt.rto;
    e.arm(c);
  }
  if (!isSynchronized(c.stateCode)) return false;
  if (c.isReleased && c.stateCode === FIN_WAIT_2 && c.lingerAt === NEVER) c.lingerAt = now + LINGER_MS;
  tuneWindow(c, now);
  if (c.pathMtu > c.ip.mtu) {
    // The network has said that it takes less (DHCP option 26, router advertisement).
    c.pathMtu = c.ip.mtu;
    fitMss(c);
  }
  const neighbour = routeOf(e, c, now);
  let isMore = false;
  if (neighbour >= 0) {
    let budget = sendLost(e, c, now, neighbour, TURN_BYTES);
    if (budget > 0) budget = sendNew(e, c, now, neighbour, budget, Number.POSITIVE_INFINITY);
    isMore = budget <= 0;
    if (c.ackWanted || isWindowUpdateDue(c)) sendAckTo(e, c, now, neighbour);
  }
  // Something waits, and nothing is under way that an answer would come to: a window that is closed, or no way out.
  if (c.una === c.nxt && c.retransmitAt === NEVER && hasUnsent(c)) c.retransmitAt = now + c.rtt.rto;
  e.arm(c);
  return isMore;
}

/** Data or FIN that was never sent. */
export const hasUnsent = (c: Connection): boolean => {
  const left = seqDiff(c.dataEnd, c.nxt);
  return left > 0 || (left === 0 && c.finWanted);
};

/** Payload of a full segment as it is now, without the options (RFC 6691). */
export const payloadOf = (c: Connection): number => c.mss - tcpSegmentOptionsLen(c.hasTimestamps, 0);

/** MTU of the path and the peer's MSS decide how large segments are. */
export function fitMss(c: Connection): void {
  c.mss = Math.max(LEAST_MSS, Math.min(c.peerMss, c.pathMtu - c.ip.headerLen - TCP_HEADER_LEN));
  c.congestion.setMss(payloadOf(c));
  c.board.setMss(payloadOf(c));
}

export function routeOf(e: Engine, c: Connection, now: number): number {
  const neighbour = c.ip.route(now, e.flows.words, c.row * TUPLE_WORDS);
  if (neighbour === -Drop.NeighborUnreachable || neighbour === -Drop.NoRoute) c.softError = true;
  return neighbour;
}

/** SYN or SYN-ACK, the first or again. */
export function sendSyn(e: Engine, c: Connection, now: number): void {
  const neighbour = routeOf(e, c, now);
  if (neighbour < 0) return;
  const isAnswer = c.stateCode === SYN_RECEIVED;
  const { writer: w } = e;
  w.begin(c.ip, neighbour, e.flows.words, c.row * TUPLE_WORDS);
  w.mss = c.ip.mtu - c.ip.headerLen - TCP_HEADER_LEN;
  w.windowScale = !isAnswer || c.hasScale ? c.rcvShift : -1;
  w.sackPermitted = !isAnswer || c.hasSack;
  w.hasTimestamps = !isAnswer || c.hasTimestamps;
  w.tsVal = stampOf(c, now);
  w.tsEcr = isAnswer ? c.tsRecent : 0;
  const window = Math.min(0xffff, c.receiveRing.capacity);
  // A SYN that had to be sent again asks for no ECN: the path may drop those that do (RFC 3168 6.1.1.1).
  const ecn = isAnswer ? (c.hasEcn ? TCP_ECE : 0) : c.hasEcn && c.tries === 0 ? TCP_ECE | TCP_CWR : 0;
  w.seq = c.una;
  w.ack = isAnswer ? c.rcvNxt : 0;
  w.flags = (isAnswer ? TCP_SYN | TCP_ACK : TCP_SYN) | ecn;
  w.window = window;
  w.syn();
  c.rcvAdv = (c.rcvNxt + window) | 0;
  c.lastAckSent = c.rcvNxt;
  c.sentAt = now;
}

/** An acknowledgement now. */
export function sendAck(e: Engine, c: Connection, now: number): void {
  const neighbour = routeOf(e, c, now);
  if (neighbour >= 0) sendAckTo(e, c, now, neighbour);
}

/** A segment that the peer cannot accept, so that it answers: for windows that are closed, and peers that are silent (RFC 9293 3.8.4). */
export function sendQuestion(e: Engine, c: Connection, now: number): void {
  const neighbour = routeOf(e, c, now);
  if (neighbour < 0) return;
  const w = begin(e, c, now, neighbour);
  w.seq = (c.una - 1) | 0;
  w.flags = TCP_ACK;
  w.window = advertise(c);
  w.bare();
}

/** The reset that ends the connection for the peer. */
export function sendReset(e: Engine, c: Connection, now: number): void {
  if (c.stateCode === SYN_SENT) return; // the peer knows of nothing
  const neighbour = routeOf(e, c, now);
  if (neighbour < 0) return;
  e.counters.bump(RESETS_SENT);
  const w = begin(e, c, now, neighbour);
  w.seq = c.nxt;
  w.flags = TCP_RST | TCP_ACK;
  w.bare();
}

/** Sends [start, start + n) again, or for the first time when it begins at SND.NXT; FIN is the number behind the data. */
function sendRange(e: Engine, c: Connection, now: number, neighbour: number, start: number, n: number): void {
  const isNew = start === c.nxt;
  const end = (start + n) | 0;
  const { dataEnd } = c;
  const hasFin = seqLess(dataEnd, end);
  const len = hasFin ? n - 1 : n;
  const payload = payloadOf(c);
  let flags = TCP_ACK | (hasFin ? TCP_FIN : 0) | (len > 0 && (end === dataEnd || hasFin) ? TCP_PSH : 0);
  if (c.echoesCongestion) flags |= TCP_ECE;
  if (isNew && c.cwrWanted && len > 0) {
    flags |= TCP_CWR;
    c.cwrWanted = false;
  }
  const w = begin(e, c, now, neighbour);
  w.seq = start;
  w.flags = flags;
  w.window = advertise(c);
  if (len === 0) w.bare();
  else {
    w.ecn = isNew && c.hasEcn ? ECT : 0;
    w.data(c.sendRing, seqDiff(start, c.sendBase), len, payload);
  }
  acknowledged(c);
  c.sentAt = now;
  if (isNew) {
    if (c.una === c.nxt) {
      c.owedSince = now;
      c.retransmitAt = NEVER;
    }
    c.nxt = end;
    if (hasFin) {
      c.finSent = true;
      c.stateCode = c.stateCode === CLOSE_WAIT ? LAST_ACK : FIN_WAIT_1;
    } else if (len % payload !== 0) c.smallEnd = end;
    c.board.sent(now, end);
  } else {
    e.counters.values[RETRANSMITTED]! += Math.max(1, Math.ceil(len / payload));
    if (c.undoFrom === c.undoTo) {
      c.hasUndoStamp = c.hasTimestamps;
      c.undoStamp = stampOf(c, now);
      c.undoFrom = start;
      c.undoTo = end;
    }
    c.undoFrom = seqMin(c.undoFrom, start);
    c.undoTo = seqMax(c.undoTo, end);
    c.undoBytes += len;
    c.board.resent(now, start, end);
  }
  c.congestion.onSent(now, n, c.board.pipe);
  // What is first under way gets the whole time again when it is sent again (Linux: tcp_xmit_retransmit_queue).
  if (c.retransmitAt === NEVER || start === c.una) c.retransmitAt = Math.min(now + c.rtt.rto, c.owedSince + c.patience);
}

/** When the tail loss probe is due (RFC 8985 7.2), after new data or an acknowledgement. */
export function armTailProbe(c: Connection, now: number): void {
  const { board, rtt } = c;
  if (!c.hasSack || c.isProbing || c.una === c.nxt || c.congestion.inRecovery || seqLess(c.una, c.recover)) {
    c.tailAt = NEVER;
    return;
  }
  let wait = rtt.srtt > 0 ? 2 * rtt.srtt : FIRST_PROBE_MS;
  wait += board.pipe <= c.mss ? MAX_ACK_DELAY_MS : PROBE_MARGIN_MS;
  c.tailAt = Math.min(now + wait, c.retransmitAt);
}

/** Sends the tail loss probe: a segment of new data, or the last one again (RFC 8985 7.3). */
export function sendTailProbe(e: Engine, c: Connection, now: number): boolean {
  const neighbour = routeOf(e, c, now);
  if (neighbour < 0) return false;
  const payload = payloadOf(c);
  const fresh = Math.min(seqDiff(c.dataEnd, c.nxt), seqDiff((c.una + c.wnd) | 0, c.nxt), payload);
  c.probeRepeats = fresh <= 0;
  if (fresh > 0) {
    sendRange(e, c, now, neighbour, c.nxt, fresh);
  } else {
    const start = seqMax(c.una, (c.nxt - payload) | 0);
    sendRange(e, c, now, neighbour, start, seqDiff(c.nxt, start));
  }
  c.isProbing = true;
  c.probeEnd = c.nxt;
  return true;
}

/** Sends new data although it is less than a segment, after the window has been too small for long (RFC 9293 3.8.6.2.1). */
export function sendWhatFits(e: Engine, c: Connection, now: number): boolean {
  const fits = Math.min(seqDiff(c.dataEnd, c.nxt), seqDiff((c.una + c.wnd) | 0, c.nxt), payloadOf(c));
  if (fits <= 0) return false;
  const neighbour = routeOf(e, c, now);
  if (neighbour < 0) return false;
  sendRange(e, c, now, neighbour, c.nxt, fits);
  return true;
}

export const stampOf = (c: Connection, now: number): number => (Math.floor(now) + c.tsOffset) | 0;

/** Sends what was deemed lost, and returns what is left of the budget. */
function sendLost(e: Engine, c: Connection, now: number, neighbour: number, budget: number): number {
  const { board, congestion } = c;
  const payload = payloadOf(c);
  let left = budget;
  while (left > 0 && board.findLost()) {
    const room = congestion.room(board.pipe);
    if (room <= 0) break;
    const most = Math.min(Math.max(payload, room - (room % payload)), e.writer.superLimit(c.ip, payload));
    const n = Math.min(seqDiff(board.nextLostEnd, board.nextLost), most);
    sendRange(e, c, now, neighbour, board.nextLost, n);
    left -= n;
  }
  return left;
}

/**
 * Sends at most `bytes` of new data: what the window allowed before the acknowledgement that tells of a loss, and what would have been
 * sent by then, were acknowledgements not handled in batches.
 */
export function sendAllowed(e: Engine, c: Connection, now: number, bytes: number): void {
  const neighbour = bytes >= payloadOf(c) ? routeOf(e, c, now) : -1;
  if (neighbour >= 0) sendNew(e, c, now, neighbour, TURN_BYTES, bytes);
}

/** Sends new data and FIN, `most` bytes at most, and returns what is left of the budget. */
function sendNew(e: Engine, c: Connection, now: number, neighbour: number, budget: number, most: number): number {
  const { board, congestion } = c;
  const payload = payloadOf(c);
  const limit = e.writer.superLimit(c.ip, payload);
  let left = budget;
  let isSent = false;
  while (left > 0 && hasUnsent(c)) {
    const waiting = seqDiff(c.dataEnd, c.nxt);
    const window = seqDiff((c.una + c.wnd) | 0, c.nxt);
    if (c.una === c.nxt && now - c.sentAt > c.rtt.rto) congestion.onIdle(now, c.rtt.rto);
    const room = Math.min(congestion.room(board.pipe), most - (budget - left));
    let n = Math.max(0, Math.min(waiting, window, limit));
    if (room < n) n = room - (room % payload);
    if (n < waiting || !mayBeSmall(c)) {
      // Whole segments, unless the window of the peer is smaller than two of them (RFC 9293 3.8.6.2.1).
      const whole = n - (n % payload);
      if (whole === 0 && !(n < waiting && n > 0 && n === window && n >= c.maxWnd >> 1)) break;
      n = whole > 0 ? whole : n;
    }
    const withFin = n === waiting && c.finWanted && window > n;
    if (n === 0 && !withFin) break;
    sendRange(e, c, now, neighbour, c.nxt, withFin ? n + 1 : n);
    isSent = true;
    left -= n;
  }
  if (isSent) armTailProbe(c, now);
  return left;
}

/** Whether the last segment may be sent although it is not full: Nagle's algorithm in Minshall's form, as in Linux. */
const mayBeSmall = (c: Connection): boolean => c.noDelay || c.finWanted || seqLessEq(c.smallEnd, c.una);

function sendAckTo(e: Engine, c: Connection, now: number, neighbour: number): void {
  const w = begin(e, c, now, neighbour);
  w.seq = c.nxt;
  w.flags = c.echoesCongestion ? TCP_ACK | TCP_ECE : TCP_ACK;
  w.window = advertise(c);
  if (c.hasSack) w.sackCount = c.assembler.sack(w.sack, tcpSackRoom(c.hasTimestamps));
  w.bare();
  acknowledged(c);
}

/** Begins a segment of the connection, with what all of them have. */
function begin(e: Engine, c: Connection, now: number, neighbour: number): SegmentWriter {
  const { writer: w } = e;
  w.begin(c.ip, neighbour, e.flows.words, c.row * TUPLE_WORDS);
  w.ack = c.rcvNxt;
  w.hasTimestamps = c.hasTimestamps;
  w.tsVal = stampOf(c, now);
  w.tsEcr = c.tsRecent;
  return w;
}

/** The acknowledgement that was due has gone out. */
function acknowledged(c: Connection): void {
  c.ackWanted = false;
  c.ackAt = NEVER;
  c.unacked = 0;
  c.lastAckSent = c.rcvNxt;
}

/** Behind the last byte that there is room for, as far as a window field can say it. */
function windowEnd(c: Connection): number {
  const end = (c.receiveBase + c.receiveRing.extent + c.receiveRing.room) | 0;
  return seqMin(end, (c.rcvNxt + (0xffff << c.rcvShift)) | 0);
}

/**
 * The window field of a segment that goes out now. The right edge never moves back (RFC 9293 3.8.6), and forward by a segment, or
 * half of the buffer, at least (3.8.6.2.2).
 */
function advertise(c: Connection): number {
  const shift = c.rcvShift;
  let end = windowEnd(c);
  const step = Math.min(c.rcvMss, c.receiveRing.capacity >> 1);
  if (seqDiff(end, c.rcvAdv) < step) end = c.rcvAdv;
  const size = Math.max(0, seqDiff(end, c.rcvNxt));
  let field = Math.min(0xffff, size >>> shift);
  // What was promised stays promised, although the scaled field is coarser (RFC 7323 2.4).
  if (field < 0xffff && seqLess((c.rcvNxt + (field << shift)) | 0, c.rcvAdv)) field++;
  const right = (c.rcvNxt + (field << shift)) | 0;
  if (seqLess(c.rcvAdv, right)) c.rcvAdv = right;
  return field;
}

/** The reader has made room, and the peer does not know of it and may wait for it (RFC 9293 3.8.6.2.2). */
function isWindowUpdateDue(c: Connection): boolean {
  if (!c.wasRead) return false;
  c.wasRead = false;
  if (c.finSeen || c.isReleased) return false;
  const open = seqDiff(c.rcvAdv, c.rcvNxt);
  const { capacity } = c.receiveRing;
  if (open >= capacity >> 1) return false;
  const gain = seqDiff(windowEnd(c), c.rcvAdv);
  return gain >= Math.min(2 * c.rcvMss, capacity >> 1) && gain >= open;
}

/**
 * The window grows with what the reader takes in a round trip, so that it holds twice that (dynamic right-sizing, Fisk and Feng 2001):
 * a reader that keeps up is never what the sender waits for, and one that does not holds little memory.
 */
function tuneWindow(c: Connection, now: number): void {
  const rtt = c.rcvRtt > 0 ? c.rcvRtt : c.rtt.srtt;
  if (rtt === 0 || now - c.tuneAt < rtt) return;
  const ring = c.receiveRing;
  let wanted = 2 * c.consumed + 16 * c.rcvMss;
  // A sender that is still in slow start sends that much more the next time.
  if (c.consumedBefore > 0 && c.consumed > c.consumedBefore) wanted *= Math.min(c.consumed / c.consumedBefore, 2);
  wanted = Math.min(c.receiveLimit, Math.floor(wanted));
  if (wanted > ring.capacity) ring.capacity = wanted;
  c.consumedBefore = c.consumed;
  c.consumed = 0;
  c.tuneAt = now;
}
