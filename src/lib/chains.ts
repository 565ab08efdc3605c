/**
 * Doubly linked lists of indexes in typed arrays: nothing is allocated after construction, and every operation costs the
 * same however long a list is. An index (from 1 on; 0 is nobody) is in one of the lists or in none.
 */
export class Chains {
  readonly #next: Int32Array;
  readonly #prev: Int32Array;
  readonly #head: Int32Array;
  readonly #tail: Int32Array;

  /** @param capacity the largest index; @param lists how many */
  constructor(capacity: number, lists: number) {
    this.#next = new Int32Array(capacity + 1);
    this.#prev = new Int32Array(capacity + 1);
    this.#head = new Int32Array(lists);
    this.#tail = new Int32Array(lists);
  }

  /** The first of a list, 0 when it is empty. */
  first(list: number): number {
    return this.#head[list]!;
  }

  append(list: number, i: number): void {
    const last = this.#tail[list]!;
    this.#prev[i] = last;
    this.#next[i] = 0;
    if (last === 0) this.#head[list] = i;
    else this.#next[last] = i;
    this.#tail[list] = i;
  }

  /** Takes `i` out of the list that it is in. */
  remove(list: number, i: number): void {
    const before = this.#prev[i]!;
    const after = this.#next[i]!;
    if (before === 0) this.#head[list] = after;
    else this.#next[before] = after;
    if (after === 0) this.#tail[list] = before;
    else this.#prev[after] = before;
  }

  clear(): void {
    this.#head.fill(0);
    this.#tail.fill(0);
  }
}
