/**
 * Packets that clients have no room for stay in the kernel, where nobody has others that could go: their senders on this host then send less,
 * and none is lost. Not for long: what comes from elsewhere is held back by nobody, and the kernel's own queue is a long one.
 */

/** Our choice: a queue of ours that a fast network empties takes less, and more would be felt by whoever waits behind it. */
const LONGEST_MS = 50;
const NEVER = Number.POSITIVE_INFINITY;

export class Hold {
  readonly #watch: (isWatched: boolean) => void;
  #isWatched = true;
  /** Since when nobody had room. */
  #since = NEVER;

  /** @param watch told whether the loop is to wake up for packets of the kernel */
  constructor(watch: (isWatched: boolean) => void) {
    this.#watch = watch;
  }

  /** @param isFull nobody has room now @returns whether the kernel keeps its packets */
  look(now: number, isFull: boolean): boolean {
    if (!isFull) this.#since = NEVER;
    else if (this.#since === NEVER) this.#since = now;
    const isHeld = isFull && now < this.#since + LONGEST_MS;
    if (this.#isWatched === isHeld) this.#watch(!isHeld);
    this.#isWatched = !isHeld;
    return isHeld;
  }

  get isHeld(): boolean {
    return !this.#isWatched;
  }

  /** When it is over in any case: look() is due. */
  get overAt(): number {
    return this.isHeld ? this.#since + LONGEST_MS : NEVER;
  }
}
