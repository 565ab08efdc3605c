/**
 * What happens when nothing arrives: delayed acknowledgements, RACK's reordering window and tail loss probe (RFC 8985), the
 * retransmission timeout (RFC 6298), probes of a closed window, keepalives, and the end of patience (RFC 9293 3.8, 3.9.1).
 */
import { seqDiff } from "../../lib/seq32.ts";
import { beginUndo, onLoss } from "./acknowledge.ts";
import type { Connection } from "./connection.ts";
import { BLACK_HOLES, KEEPALIVES, TAIL_PROBES, TIMED_OUT, TIMEOUTS, WINDOW_PROBES } from "./counters.ts";
import type { Engine } from "./engine.ts";
import { fitMss, hasUnsent, payloadOf, sendQuestion, sendReset, sendSyn, sendTailProbe, sendWhatFits } from "./send.ts";
import { isSynchronized } from "./state.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** Our choice: probes of a closed window are no further apart. */
const MAX_PROBE_MS = 60_000;
/** Full segments that went unanswered so often in a row may have been too large (RFC 4821 7.7; Linux: tcp_mtu_probing 1). */
const BLACK_HOLE_TIMEOUTS = 3;
/** What is tried then: what every IPv6 network takes, then what every network takes. */
const SMALL_MTU = 1280;

/** Does what is due at the connection. */
export function handleDue(e: Engine, c: Connection, now: number): void {
  if (now >= c.ackAt) {
    c.ackAt = NEVER;
    c.ackWanted = true;
    e.touch(c);
  }
  if (now >= c.reorderAt) reordered(e, c, now);
  if (now >= c.tailAt) tailProbe(e, c, now);
  if (now >= c.retransmitAt) retransmission(e, c, now);
  if (c.end === undefined && now >= c.keepaliveAt) keepalive(e, c, now);
  if (c.end === undefined && now >= c.lingerAt) e.finish(c, "closed");
  e.arm(c);
}

/** The peer has not answered for as long as we wait. */
export function giveUp(e: Engine, c: Connection, now: number): void {
  e.counters.bump(TIMED_OUT);
  if (isSynchronized(c.stateCode)) sendReset(e, c, now);
  e.finish(c, c.softError ? "unreachable" : "timed-out");
}

/** RFC 8985 6.3: what was only late by now is lost. */
function reordered(e: Engine, c: Connection, now: number): void {
  const { board, rtt, congestion } = c;
  board.detect(now, rtt.srtt, rtt.minRtt, congestion.inRecovery);
  c.reorderAt = board.reoTimeoutAt;
  if (board.newlyLost > 0) onLoss(e, c);
  e.touch(c);
}

function tailProbe(e: Engine, c: Connection, now: number): void {
  c.tailAt = NEVER;
  if (c.una === c.nxt || c.isProbing || c.congestion.inRecovery) return;
  if (!sendTailProbe(e, c, now)) return;
  e.counters.bump(TAIL_PROBES);
  c.retransmitAt = now + c.rtt.rto;
}

function retransmission(e: Engine, c: Connection, now: number): void {
  if (!isSynchronized(c.stateCode)) return handshakeTimeout(e, c, now);
  if (c.una === c.nxt) return windowTimeout(e, c, now);
  if (now - c.owedSince >= c.userTimeout) return giveUp(e, c, now);
  const { board, rtt, congestion } = c;
  e.counters.bump(TIMEOUTS);
  c.timeouts++;
  const isFirst = c.timeoutUna !== c.una;
  c.timeoutUna = c.una;
  if (c.timeouts >= BLACK_HOLE_TIMEOUTS) suspectBlackHole(e, c);
  board.timeOut(now);
  congestion.onTimeout(c.nxt);
  rtt.backOff();
  if (isFirst) beginUndo(c);
  c.recover = c.nxt;
  c.dupAcks = 0;
  c.isProbing = false;
  c.tailAt = NEVER;
  c.reorderAt = NEVER;
  c.retransmitAt = Math.min(now + rtt.rto, c.owedSince + c.userTimeout);
  e.touch(c);
}

/** SYN or SYN-ACK again (RFC 6298 5.5 to 5.7, RFC 1122 4.2.3.5). */
function handshakeTimeout(e: Engine, c: Connection, now: number): void {
  if (now - c.owedSince >= c.patience) return giveUp(e, c, now);
  c.rtt.backOff();
  c.tries++;
  sendSyn(e, c, now);
  c.retransmitAt = Math.min(now + c.rtt.rto, c.owedSince + c.patience);
}

/** Nothing is under way, and something waits: the window is closed or too small, or there was no way out. */
function windowTimeout(e: Engine, c: Connection, now: number): void {
  c.retransmitAt = NEVER;
  if (!hasUnsent(c)) return;
  // As long as the peer answers, the window may stay closed; not where nobody is left who waits for it.
  if (c.tries === 0 || (c.heardAt > c.owedSince && !c.isReleased)) c.owedSince = now;
  else if (now - c.owedSince >= c.userTimeout) return giveUp(e, c, now);
  c.tries++;
  if (seqDiff((c.una + c.wnd) | 0, c.nxt) > 0 && sendWhatFits(e, c, now)) return;
  e.counters.bump(WINDOW_PROBES);
  sendQuestion(e, c, now);
  const wait = Math.min(c.rtt.rto * 2 ** Math.min(c.tries, 16), MAX_PROBE_MS);
  c.retransmitAt = Math.min(now + wait, c.owedSince + c.userTimeout);
  e.touch(c);
}

/** Large segments that are never answered while the peer is there: somewhere they are dropped, and nobody says so (RFC 4821, RFC 8899 1.1). */
function suspectBlackHole(e: Engine, c: Connection): void {
  const { ip } = c;
  if (seqDiff(c.nxt, c.una) < payloadOf(c) || c.pathMtu <= ip.leastMtu) return;
  c.pathMtu = Math.max(ip.leastMtu, c.pathMtu > SMALL_MTU ? SMALL_MTU : ip.leastMtu);
  e.counters.bump(BLACK_HOLES);
  fitMss(c);
}

/** RFC 9293 3.8.4. */
function keepalive(e: Engine, c: Connection, now: number): void {
  c.keepaliveAt = NEVER;
  const { keepalive: plan } = c;
  if (plan === undefined || !isSynchronized(c.stateCode)) return;
  const dueAt = c.heardAt + plan.idle;
  if (c.keepalives === 0 && (now < dueAt || c.una !== c.nxt)) {
    // Data that is under way asks by itself.
    c.keepaliveAt = c.una === c.nxt ? dueAt : now + plan.idle;
    return;
  }
  if (c.keepalives >= plan.count) return giveUp(e, c, now);
  c.keepalives++;
  e.counters.bump(KEEPALIVES);
  sendQuestion(e, c, now);
  c.keepaliveAt = now + plan.interval;
}
