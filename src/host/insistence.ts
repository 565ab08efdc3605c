/**
 * How often what somebody else takes away is put back: at once, then after longer and longer pauses, for as long as it does not stay. Whoever
 * insists as well is not fought at every turn, and does not win for ever.
 */

/** Our choice: of two programs that both insist, each change is one of a minute. */
const FIRST_MS = 1000;
const LONGEST_MS = 60_000;
/** So long after the last pause it has stayed: the next time is a first one. */
const CALM_MS = 60_000;

export class Insistence {
  #pause = 0;
  #until = Number.NEGATIVE_INFINITY;

  /** From when on it may be put back, in ms of the loop's clock. */
  get dueAt(): number {
    return this.#until;
  }

  /** It was put back, or that was tried. */
  acted(now: number): void {
    this.#pause = now >= this.#until + CALM_MS ? FIRST_MS : Math.min(2 * this.#pause, LONGEST_MS);
    this.#until = now + this.#pause;
  }
}
