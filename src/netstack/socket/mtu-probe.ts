/**
 * When a datagram of IPv4 asks what the way takes: it goes by itself and with DF, so that a router which cannot take it whole says so
 * (RFC 1191 3). The others may be fragmented: where no router says anything, next to nothing is lost.
 */

/** Our choice: the first one asks after so many runs, each next one after twice as many as the last, at most. */
const FIRST_ASKING = 64;
const MOST_BETWEEN = 16_384;

/** The questions about one way: who sends to several has one of each. */
export class MtuProbe {
  /** Runs until one asks, and how many there were before that. */
  #runsToAsk = FIRST_ASKING;
  #lastRuns = FIRST_ASKING;

  /** Counts a run that routers may fragment. @returns whether a datagram of it is to ask */
  asks(): boolean {
    if (--this.#runsToAsk > 0) return false;
    this.#lastRuns = Math.min(2 * this.#lastRuns, MOST_BETWEEN);
    this.#runsToAsk = this.#lastRuns;
    return true;
  }
}
