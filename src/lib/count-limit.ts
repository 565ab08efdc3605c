/**
 * "At most `count` in any `seconds`", to the letter: a ring of the times of the last ones. A token bucket would let twice as many
 * pass at its beginning.
 */
/** Our choice: of a larger count a part of that size is counted, in the part of the time that belongs to it. */
const MOST_REMEMBERED = 4096;

export class CountLimit {
  readonly #ms: number;
  readonly #times: Float64Array;
  /** Where the next time goes, which is where the oldest one is. */
  #next = 0;

  constructor({ count, seconds }: { readonly count: number; readonly seconds: number }) {
    const remembered = Math.max(1, Math.min(count, MOST_REMEMBERED));
    this.#ms = (seconds * 1000 * remembered) / Math.max(1, count);
    this.#times = new Float64Array(remembered).fill(Number.NEGATIVE_INFINITY);
  }

  /** Whether {@link take} would succeed. */
  allows(now: number): boolean {
    return now - this.#times[this.#next]! >= this.#ms;
  }

  /** Counts one, if it is allowed. */
  take(now: number): boolean {
    if (!this.allows(now)) return false;
    this.#times[this.#next] = now;
    this.#next = (this.#next + 1) % this.#times.length;
    return true;
  }

  /** The last one that was counted does not count. */
  giveBack(): void {
    const last = (this.#next + this.#times.length - 1) % this.#times.length;
    if (this.#times[last] === Number.NEGATIVE_INFINITY) return;
    this.#times[last] = Number.NEGATIVE_INFINITY;
    this.#next = last;
  }
}
