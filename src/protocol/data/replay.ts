import type { ReplayWindowConfig } from "../config/types.ts";

/**
 * Replay protection by a sliding window: `check` before a packet is authenticated, `mark` after, and only mark changes
 * anything. A packet id is refused when it was seen, when it is `packets` or more behind the highest one, or when some
 * id above it (the highest included) was marked longer than `seconds` ago: then it comes too late to be mere
 * reordering. This is `replay-window N T` of OpenVPN. A window of 0 packets takes ids in strict sequence.
 *
 * The window is a ring, one cell for each id. Say the ids 1, 2, 6, 4, 7 were marked in this order, 1 at second 0, 2 at
 * second 1, 6 at second 10, 7 at second 11:
 *
 *     id       1      2      3    4      5    6       7 = #highest
 *     cell     0 s    1 s    -    NEVER  -    10 s    11 s
 *                     ^ at second 12 with `seconds` 5: #old = 2, so 1 and 2 are too late, and 3 and 5 still may come;
 *                       at second 16, #old = 6: 3 and 5 are too late as well
 *
 * 4 came behind 6 and has no time of its own: whatever is below 4 is below 6, which was marked before it.
 */
export class ReplayWindow {
  readonly #packets: number;
  readonly #ms: number;
  readonly #mask: number;
  /** By id & mask: 0 = not seen; time of the mark + 1 of an id that was the highest when it was marked; NEVER of the others. */
  readonly #seenAt: Float64Array;
  #highest = 0;
  /** The highest id that was marked longer than `seconds` ago, as far as it is known. */
  #old = 0;
  /** #age has looked at the ids up to here, and need not again. */
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

  /** Whether a packet with this id (uint32 or uint48, 0 is never valid) may be looked at. */
  check(id: number, now: number): boolean {
    const highest = this.#highest;
    if (id > highest) return this.#packets > 0 || id === highest + 1;
    if (id === 0 || highest - id >= this.#packets) return false;
    if (this.#seenAt[id & this.#mask] !== 0) return false;
    this.#age(now);
    return id > this.#old;
  }

  /** The same of a window that has seen nothing, whatever this one has: it is reset before the mark. */
  begins(id: number): boolean {
    return this.#packets > 0 ? id > 0 : id === 1;
  }

  /** Reads what the next packet needs. @returns a number that means nothing */
  touch(): number {
    return this.#packets + this.#old + this.#seenAt[(this.#highest + 1) & this.#mask]!;
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

  /** Moves #old on. Forged packets cause it too, so each id is looked at once, however many packets come. */
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

/** Over a stream ids only grow; some may be missing, since the peer may have had no room to send a packet that it had sealed. */
const STREAM_WINDOW = { packets: 1, seconds: 0 };

/** The window of ids over a link: what the profile says is for datagrams. */
export const replayWindow = (isStream: boolean, configured: ReplayWindowConfig): ReplayWindowConfig =>
  isStream ? STREAM_WINDOW : configured;
