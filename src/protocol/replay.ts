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
  /** Time of the mark + 1 for each id, by id & mask; 0 = not seen. */
  readonly #seenAt: Float64Array;
  #highest = 0;

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
    const oldest = now - this.#ms + 1;
    for (let above = id + 1; above <= highest; above++) {
      const seen = this.#seenAt[above & this.#mask]!;
      if (seen !== 0 && seen < oldest) return false;
    }
    return true;
  }

  /** Remembers an id that `check` let pass and that was authenticated. */
  mark(id: number, now: number): void {
    const seenAt = this.#seenAt;
    if (id > this.#highest) {
      if (id - this.#highest > this.#mask) seenAt.fill(0);
      else for (let skipped = this.#highest + 1; skipped < id; skipped++) seenAt[skipped & this.#mask] = 0;
      this.#highest = id;
    }
    seenAt[id & this.#mask] = now + 1;
  }

  reset(): void {
    this.#highest = 0;
    this.#seenAt.fill(0);
  }
}

/** The same for control packets, whose replay id has a time (seconds) in front: a later time starts the ids anew. */
export class TimedReplayWindow {
  readonly #window: ReplayWindow;
  #time = 0;

  constructor(packets: number, seconds: number) {
    this.#window = new ReplayWindow(packets, seconds);
  }

  check(time: number, id: number, now: number): boolean {
    if (time > this.#time) return id > 0;
    return time === this.#time && this.#window.check(id, now);
  }

  mark(time: number, id: number, now: number): void {
    if (time > this.#time) {
      this.#time = time;
      this.#window.reset();
    }
    this.#window.mark(id, now);
  }
}
