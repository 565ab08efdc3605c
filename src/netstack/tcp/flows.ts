/**
 * Who has which segments: a hash table of address and port pairs in typed arrays. A row (from 1 on) is a connection, one
 * that is half open, or one that waits in TIME-WAIT; what belongs to a row is in columns of whoever put it there. Nothing
 * is allocated after construction, and a full table refuses.
 */
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
  readonly #buckets: Int32Array;
  /** In a bucket, or among the free rows. */
  readonly #next: Int32Array;
  readonly #seed: number;
  /** Told of the local port of each row that is removed. */
  onRemoved: ((port: number) => void) | undefined = undefined;
  #free: number;
  #count = 0;

  /** @param seed int32, random: who chooses addresses and ports must not know what falls into one bucket */
  constructor(capacity: number, seed: number) {
    this.capacity = capacity;
    this.words = new Int32Array((capacity + 1) * TUPLE_WORDS);
    this.kind = new Uint8Array(capacity + 1);
    let buckets = 1;
    while (buckets < capacity) buckets *= 2;
    this.#buckets = new Int32Array(buckets);
    this.#next = new Int32Array(capacity + 1);
    for (let row = 1; row < capacity; row++) this.#next[row] = row + 1;
    this.#free = capacity === 0 ? 0 : 1;
    this.#seed = seed;
  }

  get count(): number {
    return this.#count;
  }

  /** The row of the tuple, 0: there is none. */
  find(tuple: Int32Array): number {
    const { words } = this;
    for (let row = this.#buckets[this.#bucket(tuple, 0)]!; row !== 0; row = this.#next[row]!) {
      const at = row * TUPLE_WORDS;
      let k = TUPLE_WORDS - 1;
      while (k >= 0 && words[at + k] === tuple[k]) k--;
      if (k < 0) return row;
    }
    return 0;
  }

  /** A row for a tuple that has none, 0: the table is full. */
  add(tuple: Int32Array, kind: number): number {
    const row = this.#free;
    if (row === 0) return 0;
    this.#free = this.#next[row]!;
    this.words.set(tuple, row * TUPLE_WORDS);
    this.kind[row] = kind;
    const bucket = this.#bucket(tuple, 0);
    this.#next[row] = this.#buckets[bucket]!;
    this.#buckets[bucket] = row;
    this.#count++;
    return row;
  }

  remove(row: number): void {
    const bucket = this.#bucket(this.words, row * TUPLE_WORDS);
    let before = 0;
    for (let r = this.#buckets[bucket]!; r !== row; r = this.#next[r]!) before = r;
    if (before === 0) this.#buckets[bucket] = this.#next[row]!;
    else this.#next[before] = this.#next[row]!;
    this.onRemoved?.(this.words[row * TUPLE_WORDS + TUPLE_PORTS]! >>> 16);
    this.kind[row] = FLOW_FREE;
    this.#next[row] = this.#free;
    this.#free = row;
    this.#count--;
  }

  #bucket(words: Int32Array, at: number): number {
    return mixWords(this.#seed, words, at, TUPLE_WORDS) & (this.#buckets.length - 1);
  }
}
