/**
 * How much may be under way: CUBIC (RFC 9438) with HyStart++ (RFC 9406), PRR (RFC 6937) and the initial window of RFC 6928.
 * Windows in bytes, time in ms, rounds in sequence numbers.
 *
 *   open --loss, ECN--> recovery --SND.UNA passes what was sent before--> open
 *     `----timeout----> timed-out --the same--> open
 *
 * The connection asks `room` before it sends, and tells of what it sent, of each ACK, and of losses.
 */
import { seqLessEq } from "../../lib/seq32.ts";

/** RFC 9438 4.6 and 5. */
const BETA = 0.7;
const C = 0.4;
/** RFC 9438 4.3: the Reno-friendly increase that makes up for a decrease to BETA. */
const ALPHA = (3 * (1 - BETA)) / (1 + BETA);
/** RFC 9438 4.2: the window grows by half in a round trip at most. */
const MAX_GROWTH = 1.5;

/** RFC 9406 4.3. */
const MIN_RTT_THRESH = 4;
const MAX_RTT_THRESH = 16;
const MIN_RTT_DIVISOR = 8;
const N_RTT_SAMPLE = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;

/**
 * RFC 6928 2, without its bound of 14,600 bytes for segments of more than 1,460, as Linux: a path that carries jumbo frames carries ten of
 * them, and would take two round trips more to get there.
 */
const INITIAL_SEGMENTS = 10;
/** What a window scale of 14 can announce (RFC 7323 2.3). */
const MAX_WINDOW = 1 << 30;

type State = "open" | "recovery" | "timed-out";

export class Congestion {
  /** Congestion window. */
  cwnd = 0;
  ssthresh = Number.POSITIVE_INFINITY;
  #mss = 536;
  #state: State = "open";
  /** The episode ends when SND.UNA passes it. */
  #recover = 0;

  // Before the last decrease, for `undo`.
  #priorCwnd = 0;
  #priorSsthresh = 0;
  #priorWMax = 0;
  #canUndo = false;

  // Whether the window is the limit: what was under way at most, this round and the one before.
  #flightMax = 0;
  #flightMaxBefore = 0;
  #roundEnd = 0;
  #isRoundOpen = false;
  #lastSentAt = Number.NEGATIVE_INFINITY;

  // CUBIC (RFC 9438 4.1), in bytes
  #wMax = 0;
  #wEst = 0;
  #cwndPrior = 0;
  /** Seconds until the window is W_max again. */
  #k = 0;
  /** Start of congestion avoidance; -1: it has not begun since the last decrease. */
  #epochAt = -1;

  // HyStart++ (RFC 9406 4.2)
  #roundMinRtt = Number.POSITIVE_INFINITY;
  #lastRoundMinRtt = Number.POSITIVE_INFINITY;
  #rttSamples = 0;
  #cssBaseline = Number.POSITIVE_INFINITY;
  /** Rounds of conservative slow start that are left; 0: it is not on. */
  #cssRounds = 0;

  // PRR (RFC 6937 3)
  #prrDelivered = 0;
  #prrOut = 0;
  #recoverFs = 1;

  get inRecovery(): boolean {
    return this.#state !== "open";
  }

  /** A new connection. `lostSyns`: how often its SYN or SYN-ACK was sent again; more than once, and it begins with one segment (RFC 6928 2). */
  reset(mss: number, lostSyns: number): void {
    this.#mss = mss;
    this.#state = "open";
    this.ssthresh = Number.POSITIVE_INFINITY;
    this.cwnd = lostSyns > 1 ? mss : this.#initialWindow;
    this.#wMax = 0;
    this.#cwndPrior = 0;
    this.#epochAt = -1;
    this.#canUndo = false;
    this.#isRoundOpen = false;
    this.#flightMax = 0;
    this.#flightMaxBefore = 0;
    this.#lastSentAt = Number.NEGATIVE_INFINITY;
    this.#beginHystart();
  }

  /** The path carries other segments now. */
  setMss(mss: number): void {
    this.#mss = mss;
    this.cwnd = Math.max(this.cwnd, mss);
  }

  /** Bytes that may be sent while `pipe` are under way. */
  room(pipe: number): number {
    return Math.max(0, Math.floor(this.cwnd) - pipe);
  }

  /** `bytes` were sent, for the first time or again; `pipe` are under way now. After idle time call `onIdle` first. */
  onSent(now: number, bytes: number, pipe: number): void {
    // Time in which nothing was under way is none of CUBIC's (RFC 9438 5.8).
    if (this.#epochAt >= 0 && pipe <= bytes && this.#lastSentAt > this.#epochAt)
      this.#epochAt += now - this.#lastSentAt;
    this.#lastSentAt = now;
    if (pipe > this.#flightMax) this.#flightMax = pipe;
    if (this.#state === "recovery") this.#prrOut += bytes;
  }

  /**
   * An ACK, after loss detection.
   * @param delivered bytes that it acknowledged or SACKed first
   * @param rtt its newest measured round trip, -1: none
   * @param advanced it acknowledged something, and no loss was found
   */
  onAck(
    now: number,
    delivered: number,
    rtt: number,
    srtt: number,
    una: number,
    nxt: number,
    pipe: number,
    advanced: boolean,
  ): void {
    const isRoundOver = !this.#isRoundOpen || seqLessEq(this.#roundEnd, una);
    if (isRoundOver) this.#beginRound(nxt, pipe);
    const isEpisodeOver = seqLessEq(this.#recover, una);
    if (this.#state === "recovery") {
      if (isEpisodeOver) this.#recovered();
      else this.#prr(delivered, pipe, advanced);
      return;
    }
    if (this.#state === "timed-out" && isEpisodeOver) {
      this.#state = "open";
    }
    if (delivered === 0) return;
    if (this.cwnd < this.ssthresh) this.#slowStart(delivered, rtt, isRoundOver);
    else this.#avoid(now, delivered, srtt);
  }

  /**
   * Loss was found, or an ECN-Echo came: the window goes down once for all that is under way, what is sent next follows PRR. False: it
   * has gone down for this already.
   * @param pipe under way, after loss detection
   */
  onLoss(una: number, nxt: number, pipe: number): boolean {
    if (this.#state !== "open") return false;
    this.#decrease(nxt);
    this.#state = "recovery";
    this.#prrDelivered = 0;
    this.#prrOut = 0;
    this.#recoverFs = Math.max((nxt - una) | 0, this.#mss);
    // One segment at once (RFC 6937 3.1: the fast retransmit), the rest as ACKs come.
    this.cwnd = pipe + this.#mss;
    return true;
  }

  /** The retransmission timer went off (RFC 5681 3.1, RFC 9438 4.8). The same data again does not lower ssthresh again. */
  onTimeout(nxt: number): void {
    if (this.#state === "open") this.#decrease(nxt);
    else this.#recover = nxt;
    this.#state = "timed-out";
    this.cwnd = this.#mss;
    // In the congestion avoidance that follows W_max is where it begins (RFC 9438 4.8).
    this.#wMax = 0;
    this.#epochAt = -1;
  }

  /** The loss was none, as a D-SACK or the echoed timestamp tells (RFC 9438 4.9): the window is what it was before. */
  undo(): void {
    if (!this.#canUndo) return;
    this.#canUndo = false;
    this.#state = "open";
    this.cwnd = Math.max(this.cwnd, this.#priorCwnd);
    this.ssthresh = this.#priorSsthresh;
    this.#wMax = this.#priorWMax;
    this.#epochAt = -1;
  }

  /**
   * Nothing was sent for longer than `rto`: each of them halves the window, down to the initial one (RFC 5681 4.1; by halves as RFC 2861,
   * which Linux does).
   */
  onIdle(now: number, rto: number): void {
    let passed = now - this.#lastSentAt;
    if (this.#state !== "open" || passed <= rto || passed === Number.POSITIVE_INFINITY) return;
    const restart = Math.min(this.#initialWindow, this.cwnd);
    this.ssthresh = Math.max(this.ssthresh, 0.75 * this.cwnd);
    for (; passed > rto && this.cwnd > restart; passed -= rto) this.cwnd /= 2;
    this.cwnd = Math.max(this.cwnd, restart);
    this.#epochAt = -1;
    if (this.cwnd < this.ssthresh) this.#beginHystart();
  }

  get #initialWindow(): number {
    return INITIAL_SEGMENTS * this.#mss;
  }

  #beginRound(nxt: number, pipe: number): void {
    this.#isRoundOpen = true;
    this.#roundEnd = nxt;
    this.#flightMaxBefore = this.#flightMax;
    this.#flightMax = pipe;
    this.#lastRoundMinRtt = this.#roundMinRtt;
    this.#roundMinRtt = Number.POSITIVE_INFINITY;
    this.#rttSamples = 0;
  }

  /** RFC 9406 4.2, without a limit for one ACK (L): one of a peer that joins segments stands for 64 KiB. */
  #slowStart(delivered: number, rtt: number, isRoundOver: boolean): void {
    const flight = Math.max(this.#flightMax, this.#flightMaxBefore);
    if (this.cwnd >= 2 * flight) return; // the application is the limit
    const inCss = this.#cssRounds > 0;
    this.cwnd = Math.min(this.cwnd + (inCss ? delivered / CSS_GROWTH_DIVISOR : delivered), MAX_WINDOW);
    if (this.cwnd >= this.ssthresh) this.cwnd = Math.max(this.ssthresh, this.#mss);
    if (inCss && isRoundOver && --this.#cssRounds === 0) {
      this.ssthresh = this.cwnd;
      return;
    }
    // Later slow starts end at ssthresh (RFC 9406 4.3).
    if (rtt < 0 || this.ssthresh < Number.POSITIVE_INFINITY) return;
    if (rtt < this.#roundMinRtt) this.#roundMinRtt = rtt;
    if (++this.#rttSamples < N_RTT_SAMPLE) return;
    if (this.#cssRounds > 0) {
      if (this.#roundMinRtt < this.#cssBaseline) this.#cssRounds = 0; // it was no queue: back to slow start
    } else if (this.#lastRoundMinRtt < Number.POSITIVE_INFINITY) {
      const thresh = Math.max(MIN_RTT_THRESH, Math.min(this.#lastRoundMinRtt / MIN_RTT_DIVISOR, MAX_RTT_THRESH));
      if (this.#roundMinRtt < this.#lastRoundMinRtt + thresh) return;
      this.#cssBaseline = this.#roundMinRtt;
      this.#cssRounds = CSS_ROUNDS;
    }
  }

  #beginHystart(): void {
    this.#cssRounds = 0;
    this.#roundMinRtt = Number.POSITIVE_INFINITY;
    this.#lastRoundMinRtt = Number.POSITIVE_INFINITY;
    this.#rttSamples = 0;
  }

  /** RFC 9438 4.2 to 4.5. */
  #avoid(now: number, delivered: number, srtt: number): void {
    const flight = Math.max(this.#flightMax, this.#flightMaxBefore);
    if (this.cwnd > flight + 2 * this.#mss + flight / 8) return; // the application is the limit (RFC 9438 5.8)
    const { cwnd } = this;
    if (this.#epochAt < 0) {
      this.#epochAt = now;
      this.#wEst = cwnd;
      if (cwnd < this.#wMax) this.#k = Math.cbrt((this.#wMax - cwnd) / this.#mss / C);
      else {
        this.#k = 0;
        this.#wMax = cwnd;
      }
    }
    const t = (now - this.#epochAt) / 1000;
    this.#wEst += (this.#wEst < this.#cwndPrior ? ALPHA : 1) * (delivered / cwnd) * this.#mss;
    if (this.#wCubic(t) < this.#wEst) {
      this.cwnd = Math.min(Math.max(cwnd, this.#wEst), MAX_WINDOW);
      return;
    }
    const target = Math.min(Math.max(this.#wCubic(t + srtt / 1000), cwnd), MAX_GROWTH * cwnd);
    this.cwnd = Math.min(cwnd + ((target - cwnd) / cwnd) * delivered, MAX_WINDOW);
  }

  #wCubic(t: number): number {
    return C * (t - this.#k) ** 3 * this.#mss + this.#wMax;
  }

  /** RFC 9438 4.6, and 4.7: who loses before it reached the old window makes room. */
  #decrease(nxt: number): void {
    this.#priorCwnd = this.cwnd;
    this.#priorSsthresh = this.ssthresh;
    this.#priorWMax = this.#wMax;
    this.#canUndo = true;
    this.#recover = nxt;
    this.#wMax = this.cwnd < this.#wMax ? (this.cwnd * (1 + BETA)) / 2 : this.cwnd;
    this.#cwndPrior = this.cwnd;
    this.#epochAt = -1;
    this.ssthresh = Math.max(BETA * this.cwnd, 2 * this.#mss);
    this.#beginHystart();
  }

  #recovered(): void {
    this.cwnd = Math.max(this.ssthresh, this.#mss);
    this.#state = "open";
  }

  /** RFC 6937 3.1 with the slow-start bound where recovery makes progress, and the conservative one where more is lost. */
  #prr(delivered: number, pipe: number, advanced: boolean): void {
    this.#prrDelivered += delivered;
    let sendable: number;
    if (pipe > this.ssthresh)
      sendable = Math.ceil((this.#prrDelivered * this.ssthresh) / this.#recoverFs) - this.#prrOut;
    else {
      const limit = Math.max(this.#prrDelivered - this.#prrOut, delivered) + (advanced ? this.#mss : 0);
      sendable = Math.min(this.ssthresh - pipe, limit);
    }
    if (this.#prrOut === 0) sendable = Math.max(sendable, this.#mss);
    this.cwnd = pipe + Math.max(sendable, 0);
  }
}
