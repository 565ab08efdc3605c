/**
 * Which bytes have arrived beyond RCV.NXT: ranges of sequence numbers, sorted, that neither overlap nor touch. The bytes
 * themselves are at their place in the ring (pages.ts). Read first: RFC 2018 4 (what is reported), RFC 2883 4 (duplicates).
 */
import { seqLess, seqLessEq } from "../../lib/seq32.ts";

/** Bytes that would make one range more are refused, and have to come again. */
export const MAX_RANGES = 128;
/** left, right, and when it changed last, as a count of changes. */
const STRIDE = 3;
const NOTHING = new Int32Array(0);

export class Assembler {
  /** Made when the first bytes come out of order: most connections never need it. */
  #ranges = NOTHING;
  #count = 0;
  #changes = 0;
  #hasDuplicate = false;
  #duplicateLeft = 0;
  #duplicateRight = 0;

  /** Ranges that wait. */
  get count(): number {
    return this.#count;
  }

  /** A duplicate waits to be reported. */
  get hasDuplicate(): boolean {
    return this.#hasDuplicate;
  }

  /** Notes [left, right), not empty, beyond RCV.NXT. False: there are MAX_RANGES and it touches none of them. */
  add(left: number, right: number): boolean {
    if (this.#ranges === NOTHING) this.#ranges = new Int32Array(STRIDE * MAX_RANGES);
    const r = this.#ranges;
    const end = STRIDE * this.#count;
    let first = 0;
    while (first < end && seqLess(r[first + 1]!, left)) first += STRIDE;
    let last = first;
    while (last < end && seqLessEq(r[last]!, right)) last += STRIDE;
    if (last === first) {
      if (this.#count === MAX_RANGES) return false;
      r.copyWithin(first + STRIDE, first, end);
      this.#count++;
      r[first] = left;
      r[first + 1] = right;
    } else {
      // Ranges from first to last are one with it now.
      if (seqLess(left, r[first]!)) r[first] = left;
      const reach = r[last - STRIDE + 1]!;
      r[first + 1] = seqLess(reach, right) ? right : reach;
      this.#remove(first + STRIDE, last);
    }
    r[first + 2] = ++this.#changes;
    return true;
  }

  /** RCV.NXT after bytes in order up to `rcvNxt`: ranges that these reach are in order too. */
  advance(rcvNxt: number): number {
    const r = this.#ranges;
    let next = rcvNxt;
    let taken = 0;
    for (; taken < STRIDE * this.#count && seqLessEq(r[taken]!, next); taken += STRIDE)
      if (seqLess(next, r[taken + 1]!)) next = r[taken + 1]!;
    if (taken > 0) this.#remove(0, taken);
    if (this.#count === 0) this.#changes = 0;
    return next;
  }

  /** [left, right) came although it was there already: the next `sack` says so, once (RFC 2883 4). */
  duplicate(left: number, right: number): void {
    this.#hasDuplicate = true;
    this.#duplicateLeft = left;
    this.#duplicateRight = right;
    const r = this.#ranges;
    for (let i = 0; i < STRIDE * this.#count; i += STRIDE)
      if (seqLessEq(r[i]!, left) && seqLessEq(right, r[i + 1]!)) r[i + 2] = ++this.#changes;
  }

  /**
   * Writes left and right of at most `max` SACK blocks and returns how many: the duplicate, then the range that changed last (RFC 2018
   * 4; it holds the duplicate, where one does), then the others, newest first. The duplicate is forgotten.
   */
  sack(out: Int32Array, max: number): number {
    let n = 0;
    if (this.#hasDuplicate && max > 0) {
      this.#hasDuplicate = false;
      out[0] = this.#duplicateLeft;
      out[1] = this.#duplicateRight;
      n = 1;
    }
    const r = this.#ranges;
    for (let before = this.#changes + 1; n < max; n++) {
      let newest = -1;
      for (let i = 0; i < STRIDE * this.#count; i += STRIDE)
        if (r[i + 2]! < before && (newest < 0 || r[i + 2]! > r[newest + 2]!)) newest = i;
      if (newest < 0) break;
      out[2 * n] = r[newest]!;
      out[2 * n + 1] = r[newest + 1]!;
      before = r[newest + 2]!;
    }
    return n;
  }

  clear(): void {
    this.#count = 0;
    this.#changes = 0;
    this.#hasDuplicate = false;
  }

  /** Takes out the ranges in [from, to) of the array. */
  #remove(from: number, to: number): void {
    this.#ranges.copyWithin(from, to, STRIDE * this.#count);
    this.#count -= (to - from) / STRIDE;
  }
}
