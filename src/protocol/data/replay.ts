/**
 * Replay protection by a sliding window: `check` before a packet is authenticated, `mark` after, and only mark changes
 * anything. A packet id is refused when it was seen, when it is `packets` or more behind the highest one, or when some
 * id above it (the highest included) was marked longer than `seconds` ago: then it comes too late to be mere
 * reordering. This is `replay-window N T` of OpenVPN. A window of 0 packets takes ids in strict sequence.
 */
export class ReplayWindow {
  readonly #packets: number;
  readonly #ms: number;
  readonly #mask: number;
  /**
   * By id & mask: 0 = not seen; of an id that was the highest when it was marked, time of the mark + 1; of the others NEVER,
   * because a higher one was marked before them and comes of age first.
   */
  readonly #seenAt: Float64Array;
  #highest = 0;
  /** The highest id that was marked longer than `seconds` ago, as far as it is known. */
  #old = 0;
  /** The ids up to here are not above #old, or have no time: each is looked at once, however often it is asked. */
  #looked = 0;

  constructor(packets: number, seconds: number) {
    this.#packets = packets;
    this.#ms = seconds > 0 ? seconds * 1000 : Number.POSITIVE_INFINITY;
    let size = 1;
    while (size <= packets) size *= 2;
    this.#mask = size - 1;
    this.#seenAt = new Float64Array(size);
  }

  get highest(): number {
    return this.#highest;
  }

  /** Whether a packet with this id (uint32, 0 is never valid) may be looked at. */
  check(id: number, now: number): boolean {
    const highest = this.#highest;
    if (id > highest) return this.#packets > 0 || id === highest + 1;
    if (id === 0 || highest - id >= this.#packets) return false;
    if (this.#seenAt[id & this.#mask] !== 0) return false;
    this.#age(now);
    return id > this.#old;
  }

  /** Remembers an id that `check` let pass and that was authenticated. */
  mark(id: number, now: number): void {
    const seenAt = this.#seenAt;
    if (id <= this.#highest) {
      seenAt[id & this.#mask] = NEVER;
      return;
    }
    if (id - this.#highest > this.#mask) seenAt.fill(0);
    else for (let skipped = this.#highest + 1; skipped < id; skipped++) seenAt[skipped & this.#mask] = 0;
    this.#highest = id;
    seenAt[id & this.#mask] = now + 1;
  }

  reset(): void {
    this.#highest = 0;
    this.#old = 0;
    this.#looked = 0;
    this.#seenAt.fill(0);
  }

  /** Moves #old on. Forged packets come here too: in all, the work is one step for each id. */
  #age(now: number): void {
    const limit = now - this.#ms + 1;
    this.#looked = Math.max(this.#looked, this.#highest - this.#mask - 1);
    for (let id = this.#looked + 1; id <= this.#highest; id++) {
      const seen = this.#seenAt[id & this.#mask]!;
      if (seen !== 0 && seen !== NEVER) {
        if (seen >= limit) return;
        this.#old = id;
      }
      this.#looked = id;
    }
  }
}

const NEVER = Number.POSITIVE_INFINITY;
