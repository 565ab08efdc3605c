/**
 * What is under way, SND.UNA to SND.NXT: ranges in the order of the sequence, each with the time at which it was sent last and
 * its state, and over them RACK's detection of losses (RFC 8985; SACK: RFC 2018, 2883). No object a segment: rows of arrays.
 * Read first: RFC 8985 6.2, whose names are kept.
 *
 *   sent --> under way --SACK--> sacked            pipe = bytes under way (RFC 6675 4)
 *                |  ^
 *            lost|  |sent again (resent stays set)
 *                v  |
 *               lost
 *
 * For each acceptable ACK: `acknowledge`, then `detect` where the peer knows SACK; then the results of both are read.
 */
import { seqDiff, seqLess, seqLessEq } from "../../lib/seq32.ts";
import { giveRangesBack, LOST, NO_RANGES, RESENT, SACKED, takeRanges } from "./ranges.ts";

/** What an ACK may split ranges into; what is sent again, and new data, may go beyond, in that order, so that it is always noted. */
const MAX_BY_SACK = 960;
const MAX_BY_RESENDING = 1024;
const MAX_ROWS = 1280;

/** RFC 8985 4.1: DupThresh of RFC 5681. */
const DUP_THRESH = 3;
/** RFC 8985 6.2 step 4: recoveries that a wider window outlasts. */
const REO_WND_PERSIST = 16;
/** Rows of one round trip at most, by sending alone: what is sent within a fraction of it shares a row. */
const ROWS_A_ROUND_TRIP = 64;
const MAX_GRAIN = 4;

/** What is acknowledged together with a hole that was mended may have arrived long before (Linux: tcp_clean_rtx_queue). */
const AMBIGUOUS = -2;

export class Scoreboard {
  /** From SND.UNA to SND.NXT. */
  #ranges = NO_RANGES;
  #nxt = 0;
  #mss = 536;
  #pipe = 0;
  #sacked = 0;
  #lost = 0;
  /** Bytes that duplicate ACKs without SACK stand for (RFC 5681 3.2). */
  #guessed = 0;
  /** Nothing before it is lost. */
  #lostFrom = 0;
  /** Sent within so many ms is sent at once. */
  #grain = 0;

  // RACK (RFC 8985 5.2)
  #xmitAt = Number.NEGATIVE_INFINITY;
  #endSeq = 0;
  #rtt = 0;
  #minRtt = 0;
  #fack = 0;
  #fackBefore = 0;
  #reordering = false;
  #reoWnd = 0;
  #reoWndMult = 1;
  #reoWndPersist = 0;
  /** How often something was sent again of which no duplicate was reported. */
  #resends = 0;
  /** NaN: there is none. */
  #dsackRound = Number.NaN;

  // Results of the last ACK.
  /** Bytes that it acknowledged or SACKed first (RFC 6937: DeliveredData). */
  delivered = 0;
  /** ms since the oldest of these that was sent only once was sent, for the RTO; negative: there is none (Karn). */
  rtt = -1;
  /** The same of the newest: without a peer's delay, for congestion control and the least RTT. */
  rttLatest = -1;
  /** Something that was sent again has arrived as that, as the echoed timestamp says: it is no older than this. */
  resentArrived = false;
  /** It reported a duplicate (RFC 2883), [duplicateLeft, duplicateRight). */
  hasDuplicate = false;
  duplicateLeft = 0;
  duplicateRight = 0;
  /** Bytes that the last `detect` found to be lost. */
  newlyLost = 0;
  /** When `detect` has to be called again although no ACK came (RFC 8985 6.2 step 5); Infinity: not. */
  reoTimeoutAt = Number.POSITIVE_INFINITY;

  /** What `findLost` found: [nextLost, nextLostEnd). */
  nextLost = 0;
  nextLostEnd = 0;

  /** Bytes that are in the network as far as we know: sent, not SACKed, not lost (RFC 6675 4). */
  get pipe(): number {
    return Math.max(0, this.#pipe - this.#guessed);
  }

  get sacked(): number {
    return this.#sacked;
  }

  /** Bytes that are lost and were not sent again since. */
  get lost(): number {
    return this.#lost;
  }

  get reorderingSeen(): boolean {
    return this.#reordering;
  }

  /** Nothing is under way. */
  get isEmpty(): boolean {
    return this.#ranges.isEmpty;
  }

  /** The peer SACKed the first bytes and does not acknowledge them: it gave them up (RFC 2018 8). */
  get hasReneged(): boolean {
    const r = this.#ranges;
    return !r.isEmpty && (r.state[r.first]! & SACKED) !== 0;
  }

  /** When what is first under way was sent last; Infinity: nothing is. */
  get firstSentAt(): number {
    const r = this.#ranges;
    return r.isEmpty ? Number.POSITIVE_INFINITY : r.sentAt[r.first]!;
  }

  /** Whether what is first under way was sent more than once. */
  get firstResent(): boolean {
    const r = this.#ranges;
    return !r.isEmpty && (r.state[r.first]! & RESENT) !== 0;
  }

  /** Begins anew at `seq`. */
  reset(seq: number, mss: number): void {
    this.#empty(seq);
    this.#nxt = seq;
    this.#fack = seq;
    this.#endSeq = seq;
    this.#mss = mss;
    this.#xmitAt = Number.NEGATIVE_INFINITY;
    this.#reordering = false;
    this.#reoWndMult = 1;
    this.#resends = 0;
    this.#dsackRound = Number.NaN;
    this.reoTimeoutAt = Number.POSITIVE_INFINITY;
  }

  setMss(mss: number): void {
    this.#mss = mss;
  }

  /** Sequence numbers from SND.NXT to `end` were sent for the first time. */
  sent(now: number, end: number): void {
    if (this.#ranges === NO_RANGES) this.#ranges = takeRanges(this.#nxt);
    const r = this.#ranges;
    r.provide();
    this.#pipe += seqDiff(end, this.#nxt);
    this.#nxt = end;
    const last = r.behind - 1;
    const joins = last >= r.first && r.state[last] === 0 && now - r.sentAt[last]! <= this.#grain;
    if (joins || !r.append(MAX_ROWS)) {
      // With no row left it joins the last one, whatever that is: to take back a SACK or a loss costs sending again at worst.
      const row = r.behind - 1;
      this.#revive(row);
      r.end[row] = end;
      if (!joins) r.sentAt[row] = now;
      return;
    }
    const row = r.behind - 1;
    r.end[row] = end;
    r.sentAt[row] = now;
    r.state[row] = 0;
  }

  /** [start, end) was sent again. */
  resent(now: number, start: number, end: number): void {
    const r = this.#ranges;
    this.#resends++;
    r.provide();
    let row = r.rowOf(start);
    if (row < r.behind && seqLess(r.startOf(row), start) && r.split(row, start, MAX_BY_RESENDING)) row++;
    const from = row;
    for (; row < r.behind && seqLess(r.startOf(row), end); row++) {
      if ((r.state[row]! & SACKED) !== 0) continue;
      // Where it cannot be split all of the row counts as sent again: what was not is lost later.
      if (seqLess(end, r.end[row]!)) r.split(row, end, MAX_BY_RESENDING);
      this.#revive(row);
      r.state[row] = RESENT;
      r.sentAt[row] = now;
    }
    r.join(from - 1, row, this.#grain);
  }

  /**
   * An ACK.
   * @param una SEG.ACK, acceptable
   * @param sack left and right of each of `count` SACK blocks, as they came
   * @param echoedAt when the timestamp that it echoes was sent, in ms, rounded down; -1: there is none
   */
  acknowledge(now: number, una: number, sack: Int32Array, count: number, echoedAt: number): void {
    this.delivered = 0;
    this.rtt = -1;
    this.rttLatest = -1;
    this.#fackBefore = this.#fack;
    this.resentArrived = false;
    this.#noteDuplicate(una, sack, count);
    if (this.isEmpty) return;
    this.#ranges.provide();
    this.#advance(now, una, echoedAt);
    for (let i = this.hasDuplicate ? 1 : 0; i < count && !this.isEmpty; i++)
      this.#sack(now, sack[2 * i]!, sack[2 * i + 1]!, echoedAt);
  }

  /** A duplicate ACK of a peer without SACK: one segment has arrived, nobody knows which (RFC 5681 3.2 step 4). */
  guess(): void {
    const more = Math.min(this.#mss, this.#pipe - this.#guessed);
    this.#guessed += more;
    this.delivered += more;
  }

  /** RACK: deems lost what was sent long enough before something that has arrived (RFC 8985 6.2 steps 4 and 5). */
  detect(now: number, srtt: number, minRtt: number, inRecovery: boolean): void {
    const r = this.#ranges;
    this.newlyLost = 0;
    this.reoTimeoutAt = Number.POSITIVE_INFINITY;
    this.#minRtt = minRtt;
    this.#grain = minRtt === Number.POSITIVE_INFINITY ? 0 : Math.min(minRtt / ROWS_A_ROUND_TRIP, MAX_GRAIN);
    this.#updateReoWnd(srtt, minRtt, inRecovery);
    // What is left was sent after all that has arrived: the usual case.
    if (this.isEmpty || (this.#sacked === 0 && !this.firstResent && this.firstSentAt >= this.#xmitAt)) return;
    let timeout = 0;
    for (let row = r.first; row < r.behind; row++) {
      if ((r.state[row]! & (SACKED | LOST)) !== 0) continue;
      if (!sentAfter(this.#xmitAt, this.#endSeq, r.sentAt[row]!, r.end[row]!)) continue;
      const remaining = r.sentAt[row]! + this.#rtt + this.#reoWnd - now;
      if (remaining <= 0) this.#lose(row);
      else if (remaining > timeout) timeout = remaining;
    }
    if (timeout > 0) this.reoTimeoutAt = now + timeout;
  }

  /** Recovery is over: counts how long a wider reordering window lasts (RFC 8985 6.2 step 4). */
  recovered(): void {
    if (this.#reoWndPersist > 0 && --this.#reoWndPersist === 0) this.#reoWndMult = 1;
  }

  /** The first segment is lost: three duplicate ACKs, or a partial one, of a peer without SACK (RFC 6582 3.2). */
  loseFirst(): void {
    const r = this.#ranges;
    this.newlyLost = 0;
    if (this.isEmpty) return;
    r.provide();
    this.#loseSegment();
  }

  /**
   * The retransmission timer went off: the first segment is lost, and whatever RACK's time is over for (RFC 8985 6.3). Where the peer has
   * reneged everything is, and its SACKs are forgotten (RFC 2018 8).
   */
  timeOut(now: number): void {
    const r = this.#ranges;
    this.newlyLost = 0;
    this.#guessed = 0;
    if (this.isEmpty) return;
    r.provide();
    const all = this.hasReneged;
    for (let row = r.first; row < r.behind; row++) {
      if (all && (r.state[row]! & SACKED) !== 0) this.#revive(row);
      if (all || r.sentAt[row]! + this.#rtt + this.#reoWnd <= now) this.#lose(row);
    }
    this.#loseSegment();
  }

  /** The path does not carry segments of this size: everything under way is lost. */
  loseAll(): void {
    const r = this.#ranges;
    for (let row = r.first; row < r.behind; row++) this.#lose(row);
  }

  /** The loss was none: what was not sent again yet is under way. */
  reviveLost(): void {
    const r = this.#ranges;
    for (let row = r.first; row < r.behind; row++) if ((r.state[row]! & LOST) !== 0) this.#revive(row);
  }

  /** Finds the first bytes that are lost and not sent again yet: [nextLost, nextLostEnd). */
  findLost(): boolean {
    const r = this.#ranges;
    if (this.#lost === 0) return false;
    let row = r.rowOf(this.#lostFrom);
    while (row < r.behind && (r.state[row]! & LOST) === 0) row++;
    if (row === r.behind) return false;
    this.nextLost = r.startOf(row);
    this.#lostFrom = this.nextLost;
    while (row + 1 < r.behind && (r.state[row + 1]! & LOST) !== 0) row++;
    this.nextLostEnd = r.end[row]!;
    return true;
  }

  /** RFC 2883 4: the first block tells of a duplicate when it is below the acknowledgement or within the second block. */
  #noteDuplicate(una: number, sack: Int32Array, count: number): void {
    this.hasDuplicate = false;
    if (count === 0) return;
    const left = sack[0]!;
    const right = sack[1]!;
    if (!seqLess(left, right)) return;
    const isBelow = seqLessEq(right, una);
    if (!isBelow && !(count > 1 && seqLessEq(sack[2]!, left) && seqLessEq(right, sack[3]!))) return;
    this.hasDuplicate = true;
    this.duplicateLeft = left;
    this.duplicateRight = right;
  }

  #sack(now: number, left: number, right: number, echoedAt: number): void {
    const r = this.#ranges;
    if (seqLess(left, r.start) || !seqLess(left, right) || seqLess(this.#nxt, right)) return;
    let row = r.rowOf(left);
    const from = row;
    if (seqLess(r.startOf(row), left)) {
      // Bytes of a row that cannot be split are not noted: they are sent again at worst.
      if ((r.state[row]! & SACKED) === 0) {
        const wasSplit = r.split(row, left, MAX_BY_SACK);
        if (!wasSplit && seqLessEq(right, r.end[row]!)) return;
      }
      row++;
      if (seqLessEq(right, r.startOf(row))) return;
    }
    for (; row < r.behind && seqLess(r.startOf(row), right); row++) {
      if ((r.state[row]! & SACKED) !== 0) continue;
      if (seqLess(right, r.end[row]!) && !r.split(row, right, MAX_BY_SACK)) break;
      this.#deliver(now, row, r.end[row]!, echoedAt);
      if ((r.state[row]! & LOST) !== 0) this.#lost -= r.lenOf(row);
      else this.#pipe -= r.lenOf(row);
      this.#sacked += r.lenOf(row);
      r.state[row] = SACKED;
    }
    r.join(from - 1, row, this.#grain);
  }

  #advance(now: number, una: number, echoedAt: number): void {
    const r = this.#ranges;
    if (!seqLess(r.start, una)) return;
    this.#guessed = 0;
    while (r.first < r.behind && seqLess(r.start, una)) {
      const row = r.first;
      const end = seqLess(una, r.end[row]!) ? una : r.end[row]!;
      const len = seqDiff(end, r.start);
      const state = r.state[row]!;
      if ((state & SACKED) !== 0) this.#sacked -= len;
      else {
        this.#deliver(now, row, end, echoedAt);
        if ((state & LOST) !== 0) this.#lost -= len;
        else this.#pipe -= len;
      }
      r.start = end;
      if (end === r.end[row]) r.first++;
    }
    if (this.isEmpty) this.#empty(una);
    else if (seqLess(this.#lostFrom, una)) this.#lostFrom = una;
  }

  /** Bytes of a row up to `end` have arrived, and were not known to have before (RFC 8985 6.2 steps 2 and 3). */
  #deliver(now: number, row: number, end: number, echoedAt: number): void {
    const r = this.#ranges;
    this.delivered += seqDiff(end, r.startOf(row));
    const sentAt = r.sentAt[row]!;
    const rtt = now - sentAt;
    if (seqLess(this.#fack, end)) this.#fack = end;
    if ((r.state[row]! & RESENT) !== 0) {
      this.rtt = AMBIGUOUS;
      this.rttLatest = AMBIGUOUS;
      // It may be the first copy that has arrived: then this tells nothing about the last one.
      if (echoedAt >= 0 ? echoedAt < Math.floor(sentAt) : rtt < this.#minRtt) return;
      this.resentArrived = echoedAt >= 0;
    } else {
      if (this.rtt !== AMBIGUOUS) {
        if (rtt > this.rtt) this.rtt = rtt;
        if (this.rttLatest < 0 || rtt < this.rttLatest) this.rttLatest = rtt;
      }
      if (seqLess(end, this.#fackBefore)) this.#reordering = true;
    }
    if (!sentAfter(sentAt, end, this.#xmitAt, this.#endSeq)) return;
    this.#xmitAt = sentAt;
    this.#endSeq = end;
    this.#rtt = rtt;
  }

  #updateReoWnd(srtt: number, minRtt: number, inRecovery: boolean): void {
    // What the network repeats by itself is none of ours (as in Linux: tcp_dsack_seen).
    const isOurs = this.hasDuplicate && this.#resends > 0;
    if (isOurs) this.#resends--;
    const una = this.isEmpty ? this.#nxt : this.#ranges.start;
    if (isOurs && (Number.isNaN(this.#dsackRound) || !seqLess(una, this.#dsackRound))) {
      this.#dsackRound = this.#nxt;
      this.#reoWndMult++;
      this.#reoWndPersist = REO_WND_PERSIST;
    }
    // Differs from RFC 8985 6.2 step 4, which widens by min_RTT / 4: where frames overtake others by far, min_RTT is that of those that
    // did, and no multiple of it is enough. SRTT is the same where nothing overtakes.
    const noWait = !this.#reordering && (inRecovery || this.#sacked >= DUP_THRESH * this.#mss);
    this.#reoWnd =
      noWait || minRtt === Number.POSITIVE_INFINITY ? 0 : Math.min((minRtt + (this.#reoWndMult - 1) * srtt) / 4, srtt);
  }

  #lose(row: number): void {
    const r = this.#ranges;
    const state = r.state[row]!;
    if ((state & (SACKED | LOST)) !== 0) return;
    const len = r.lenOf(row);
    this.#pipe -= len;
    this.#lost += len;
    this.newlyLost += len;
    r.state[row] = state | LOST;
    const start = r.startOf(row);
    if (seqLess(start, this.#lostFrom) || this.#lost === len) this.#lostFrom = start;
  }

  /** The first segment is lost. */
  #loseSegment(): void {
    const r = this.#ranges;
    const row = r.first;
    if ((r.state[row]! & LOST) !== 0) return;
    const end = (r.start + this.#mss) | 0;
    if (seqLess(end, r.end[row]!)) r.split(row, end, MAX_BY_RESENDING);
    this.#lose(row);
  }

  /** The row is under way. */
  #revive(row: number): void {
    const r = this.#ranges;
    const state = r.state[row]!;
    const len = r.lenOf(row);
    if ((state & SACKED) !== 0) this.#sacked -= len;
    else if ((state & LOST) !== 0) this.#lost -= len;
    else return;
    this.#pipe += len;
    r.state[row] = state & RESENT;
  }

  /** Nothing is under way from `una` on. */
  #empty(una: number): void {
    if (this.#ranges !== NO_RANGES) giveRangesBack(this.#ranges);
    this.#ranges = NO_RANGES;
    this.#lostFrom = una;
    this.#pipe = 0;
    this.#sacked = 0;
    this.#lost = 0;
    this.#guessed = 0;
  }
}

/** RFC 8985 6.2: whether the first of two was sent after the second. */
const sentAfter = (at1: number, end1: number, at2: number, end2: number): boolean =>
  at1 > at2 || (at1 === at2 && seqLess(end2, end1));
