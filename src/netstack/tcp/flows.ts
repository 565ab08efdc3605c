/**
 * Who has which segments: a hash table of address and port pairs in typed arrays. A row (from 1 on) is a connection, one
 * that is half open, or one that waits in TIME-WAIT; what belongs to a row is in columns of whoever put it there. Nothing
 * is allocated after construction, and a full table refuses.
 */
import { Buckets } from "../../lib/buckets.ts";
import { mixWords } from "../../lib/hash.ts";

/** Words of a tuple: our address (4), the peer's address (4), our port << 16 | the peer's port. */
export const TUPLE_WORDS = 9;
export const TUPLE_REMOTE = 4;
export const TUPLE_PORTS = 8;

const FLOW_FREE = 0;
export const FLOW_CONNECTION = 1;
export const FLOW_HALF_OPEN = 2;
export const FLOW_TIME_WAIT = 3;

export class FlowTable {
  readonly capacity: number;
  /** The tuple of row i begins at i * TUPLE_WORDS. */
  readonly words: Int32Array;
  readonly kind: Uint8Array;
  readonly #rows: Buckets;
  readonly #seed: number;
  /** Told of the local port of each row that is removed. */
  onRemoved: ((port: number) => void) | undefined = undefined;
  #count = 0;

  /** @param seed int32, random: who chooses addresses and ports must not know what falls into one bucket */
  constructor(capacity: number, seed: number) {
    this.capacity = capacity;
    this.words = new Int32Array((capacity + 1) * TUPLE_WORDS);
    this.kind = new Uint8Array(capacity + 1);
    this.#rows = new Buckets(capacity);
    this.#seed = seed;
  }

  get count(): number {
    return this.#count;
  }

  /** The row of the tuple, 0: there is none. */
  find(tuple: Int32Array): number {
    const { words } = this;
    for (let row = this.#rows.first(this.#hash(tuple, 0)); row !== 0; row = this.#rows.next(row)) {
      const at = row * TUPLE_WORDS;
      let k = TUPLE_WORDS - 1;
      while (k >= 0 && words[at + k] === tuple[k]) k--;
      if (k < 0) return row;
    }
    return 0;
  }

  /** A row for a tuple that has none, 0: the table is full. */
  add(tuple: Int32Array, kind: number): number {
    const row = this.#rows.add(this.#hash(tuple, 0));
    if (row === 0) return 0;
    this.words.set(tuple, row * TUPLE_WORDS);
    this.kind[row] = kind;
    this.#count++;
    return row;
  }

  remove(row: number): void {
    this.#rows.remove(this.#hash(this.words, row * TUPLE_WORDS), row);
    this.onRemoved?.(this.words[row * TUPLE_WORDS + TUPLE_PORTS]! >>> 16);
    this.kind[row] = FLOW_FREE;
    this.#count--;
  }

  #hash(words: Int32Array, at: number): number {
    return mixWords(this.#seed, words, at, TUPLE_WORDS);
  }
}
