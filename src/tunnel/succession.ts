/**
 * Dialers or listeners, one after the other: one that has failed of its own is let go of, and after a while another takes its place. A
 * packet that failed is gone, but a timer or an event would fail again at every turn. Behind one that has said goodbye there comes none.
 */

/** Our choice: a failure that comes again costs a turn every so often, and the rest of the program goes on. */
const NEXT_AFTER_MS = 5000;
const NEVER = Number.POSITIVE_INFINITY;

export interface SuccessionOptions<T> {
  /** The next one; undefined: there cannot be one. */
  readonly make: (now: number) => T | undefined;
  /** Lets it begin. */
  readonly start: (now: number, made: T) => void;
  /** For one that has failed in its own stop(): what it holds is let go of, as far as that goes. */
  readonly discard: (now: number, failed: T) => void;
}

interface Member {
  /** The goodbye is said. */
  readonly left: boolean;
  /** Says goodbye. */
  leave(now: number): void;
  /** Ends at once, without waiting for anything. */
  stop(now: number, reason: string): void;
}

export class Succession<T extends Member> {
  readonly #options: SuccessionOptions<T>;
  #current: T | undefined;
  #nextAt = NEVER;
  #isLeaving = false;

  constructor(options: SuccessionOptions<T>) {
    this.#options = options;
  }

  /** The one that runs. */
  get current(): T | undefined {
    return this.#current;
  }

  /** The goodbye is said, or there is nobody to say it. */
  get left(): boolean {
    return this.#current?.left ?? true;
  }

  /** Makes one in place of the one before, which has ended. */
  begin(now: number): void {
    this.#nextAt = NEVER;
    this.#current = undefined;
    this.#current = this.#options.make(now);
    if (this.#current !== undefined) this.#options.start(now, this.#current);
  }

  /** Has the one that runs say goodbye. None comes behind it, and none where there is none at this time. */
  leave(now: number): void {
    this.#isLeaving = true;
    this.#nextAt = NEVER;
    this.#current?.leave(now);
  }

  /** Ends the one that runs, and makes the next later. */
  giveUp(now: number, reason = "internal error"): void {
    const failed = this.#current;
    this.#current = undefined;
    if (!this.#isLeaving) this.#nextAt = now + NEXT_AFTER_MS;
    if (failed === undefined) return;
    try {
      failed.stop(now, reason);
    } catch {
      // It is broken itself, so what it holds is let go of without it.
      this.#options.discard(now, failed);
    }
  }

  /** Makes the next one when its time has come. */
  poll(now: number): void {
    if (now >= this.#nextAt) this.begin(now);
  }

  pollAt(): number {
    return this.#nextAt;
  }
}
