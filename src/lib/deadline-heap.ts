/**
 * Deadlines of many things, one each: a binary heap of indexes (from 1 on) in typed arrays. Nothing is allocated after
 * construction; the earliest costs nothing, a change costs the logarithm of their number.
 */
export class DeadlineHeap {
  readonly #at: Float64Array;
  /** The indexes in heap order, from 1 on: the children of place k are 2k and 2k + 1. */
  readonly #heap: Int32Array;
  /** Place of an index in the heap, 0: it has no deadline. */
  readonly #place: Int32Array;
  #count = 0;

  /** @param capacity the largest index */
  constructor(capacity: number) {
    this.#at = new Float64Array(capacity + 1).fill(Number.POSITIVE_INFINITY);
    this.#heap = new Int32Array(capacity + 1);
    this.#place = new Int32Array(capacity + 1);
  }

  /** Whose deadline is the earliest; 0: nobody has one. */
  get first(): number {
    return this.#count === 0 ? 0 : this.#heap[1]!;
  }

  /** The earliest deadline, Infinity: there is none. */
  get firstAt(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#at[this.#heap[1]!]!;
  }

  at(i: number): number {
    return this.#at[i]!;
  }

  /** Sets, moves or (Infinity) takes away the deadline of `i`. */
  set(i: number, at: number): void {
    const before = this.#at[i]!;
    if (at === before) return;
    this.#at[i] = at;
    let place = this.#place[i]!;
    if (at === Number.POSITIVE_INFINITY) {
      const last = this.#heap[this.#count]!;
      this.#count--;
      this.#place[i] = 0;
      if (last === i) return;
      this.#put(last, place);
      this.#down(place);
      this.#up(this.#place[last]!);
      return;
    }
    if (place === 0) {
      place = ++this.#count;
      this.#put(i, place);
    }
    if (at < before) this.#up(place);
    else this.#down(place);
  }

  #put(i: number, place: number): void {
    this.#heap[place] = i;
    this.#place[i] = place;
  }

  #up(from: number): void {
    const i = this.#heap[from]!;
    const at = this.#at[i]!;
    let place = from;
    while (place > 1) {
      const parent = this.#heap[place >> 1]!;
      if (this.#at[parent]! <= at) break;
      this.#put(parent, place);
      place >>= 1;
    }
    this.#put(i, place);
  }

  #down(from: number): void {
    const i = this.#heap[from]!;
    const at = this.#at[i]!;
    let place = from;
    for (;;) {
      let child = 2 * place;
      if (child > this.#count) break;
      if (child < this.#count && this.#at[this.#heap[child + 1]!]! < this.#at[this.#heap[child]!]!) child++;
      const least = this.#heap[child]!;
      if (this.#at[least]! >= at) break;
      this.#put(least, place);
      place = child;
    }
    this.#put(i, place);
  }
}
