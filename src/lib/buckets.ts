/**
 * Rows of a table that are found by a hash, as chains of indexes through typed arrays: nothing is allocated after
 * construction. Row 0 is nobody. A row is free or in the chain of one hash.
 */
export class Buckets {
  readonly #rows: number;
  readonly #mask: number;
  readonly #heads: Int32Array;
  /** The row behind each, in its chain or among the free ones. */
  readonly #next: Int32Array;
  #free = 0;

  /** @param rows how many */
  constructor(rows: number) {
    this.#rows = rows;
    const buckets = 2 ** Math.ceil(Math.log2(2 * (rows + 1)));
    this.#mask = buckets - 1;
    this.#heads = new Int32Array(buckets);
    this.#next = new Int32Array(rows + 1);
    this.clear();
  }

  get isFull(): boolean {
    return this.#free === 0;
  }

  /** First row of the chain of a hash, 0: it is empty. */
  first(hash: number): number {
    return this.#heads[hash & this.#mask]!;
  }

  /** The row behind `i` in its chain, or 0. */
  next(i: number): number {
    return this.#next[i]!;
  }

  /** Puts a free row at the beginning of a chain. @returns it, or 0: none is free */
  add(hash: number): number {
    const i = this.#free;
    if (i === 0) return 0;
    const bucket = hash & this.#mask;
    this.#free = this.#next[i]!;
    this.#next[i] = this.#heads[bucket]!;
    this.#heads[bucket] = i;
    return i;
  }

  /** Takes row `i` out of the chain of its hash; it is free then. */
  remove(hash: number, i: number): void {
    const bucket = hash & this.#mask;
    const next = this.#next;
    let before = this.#heads[bucket]!;
    if (before === i) {
      this.#heads[bucket] = next[i]!;
    } else {
      while (next[before] !== i) before = next[before]!;
      next[before] = next[i]!;
    }
    next[i] = this.#free;
    this.#free = i;
  }

  /** All rows are free. */
  clear(): void {
    this.#heads.fill(0);
    for (let i = 0; i <= this.#rows; i++) this.#next[i] = i === this.#rows ? 0 : i + 1;
    this.#free = Math.min(1, this.#rows);
  }
}
