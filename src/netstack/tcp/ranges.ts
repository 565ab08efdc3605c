/**
 * Ranges of sequence numbers that follow each other without a gap: of each its end, when it was sent last, and its state. No object a range:
 * rows of arrays. Lists that became empty are for those that begin to send: an idle connection has none.
 *
 *   start |..row first..| |..| |..row behind - 1..|      row i is [end of row i - 1, end[i])
 */
import { seqDiff, seqLessEq } from "../../lib/seq32.ts";

/** Bits of a row's state. None: it is under way. */
export const SACKED = 1;
export const LOST = 2;
/** Sent more than once. */
export const RESENT = 4;

const FIRST_CAPACITY = 16;
/** Lists that are kept for others at most. */
const SPARES = 256;
/** Rows that one call of the scoreboard may add: two for each SACK block, and one. */
const SPARE_ROWS = 10;

export class Ranges {
  /** Where the first row begins. */
  start = 0;
  /** Rows are those from `first` up to `behind`. */
  first = 0;
  behind = 0;
  end: Int32Array;
  sentAt: Float64Array;
  state: Uint8Array;

  constructor(capacity: number) {
    this.end = new Int32Array(capacity);
    this.sentAt = new Float64Array(capacity);
    this.state = new Uint8Array(capacity);
  }

  get isEmpty(): boolean {
    return this.first === this.behind;
  }

  startOf(row: number): number {
    return row === this.first ? this.start : this.end[row - 1]!;
  }

  lenOf(row: number): number {
    return seqDiff(this.end[row]!, this.startOf(row));
  }

  /** The row that holds `seq`, or the one behind the last. */
  rowOf(seq: number): number {
    let low = this.first;
    let high = this.behind;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqLessEq(this.end[middle]!, seq)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds a row behind the last, which the caller fills in; false: there are `max` rows. */
  append(max: number): boolean {
    return this.#insert(this.behind, max);
  }

  /** Makes two rows of one, the second from `seq` on; false: there are `max` rows. */
  split(row: number, seq: number, max: number): boolean {
    if (!this.#insert(row, max)) return false;
    this.end[row] = seq;
    this.sentAt[row] = this.sentAt[row + 1]!;
    this.state[row] = this.state[row + 1]!;
    return true;
  }

  /** Of the rows from `from` to `to`, neighbours that are alike and were sent within `grain` ms become one. */
  join(from: number, to: number, grain: number): void {
    let kept = Math.max(from, this.first);
    const last = Math.min(to, this.behind - 1);
    for (let row = kept + 1; row <= last; row++) {
      const state = this.state[row]!;
      const sentAt = this.sentAt[row]!;
      const isAlike =
        state === this.state[kept]! && ((state & SACKED) !== 0 || Math.abs(sentAt - this.sentAt[kept]!) <= grain);
      if (!isAlike) {
        kept++;
        this.state[kept] = state;
        this.sentAt[kept] = sentAt;
      } else if (sentAt > this.sentAt[kept]!) this.sentAt[kept] = sentAt;
      this.end[kept] = this.end[row]!;
    }
    if (kept >= last) return;
    this.#move(last + 1, kept + 1);
    this.behind -= last - kept;
  }

  /** Sees to it that the arrays have room for what one call adds, so that rows keep their index, and the arrays their place, during the call. */
  provide(): void {
    const capacity = this.end.length;
    const rows = this.behind - this.first;
    if (this.behind + SPARE_ROWS <= capacity) return;
    if (2 * rows + SPARE_ROWS > capacity) return this.#resize(2 * capacity);
    this.#move(this.first, 0);
    this.first = 0;
    this.behind = rows;
  }

  /** Makes place for a row in front of `row`; false: there are `max` rows. */
  #insert(row: number, max: number): boolean {
    if (this.behind - this.first >= max) return false;
    this.#move(row, row + 1);
    this.behind++;
    return true;
  }

  /** Moves the rows from `from` on to `to`. */
  #move(from: number, to: number): void {
    this.end.copyWithin(to, from, this.behind);
    this.sentAt.copyWithin(to, from, this.behind);
    this.state.copyWithin(to, from, this.behind);
  }

  #resize(capacity: number): void {
    const from = this.first;
    const to = this.behind;
    const end = new Int32Array(capacity);
    const sentAt = new Float64Array(capacity);
    const state = new Uint8Array(capacity);
    end.set(this.end.subarray(from, to));
    sentAt.set(this.sentAt.subarray(from, to));
    state.set(this.state.subarray(from, to));
    this.end = end;
    this.sentAt = sentAt;
    this.state = state;
    this.first = 0;
    this.behind = to - from;
  }
}

/** What everybody has who has none; nothing is put into it. */
export const NO_RANGES = new Ranges(0);
const spares: Ranges[] = [];

/** An empty list that begins at `start`. */
export function takeRanges(start: number): Ranges {
  const r = spares.pop() ?? new Ranges(FIRST_CAPACITY);
  r.start = start;
  r.first = 0;
  r.behind = 0;
  return r;
}

/** The list is not needed any more. */
export function giveRangesBack(r: Ranges): void {
  if (r.end.length === FIRST_CAPACITY && spares.length < SPARES) spares.push(r);
}
