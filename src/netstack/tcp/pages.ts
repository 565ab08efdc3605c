/**
 * The memory of all connections: pages of one region of the slab, and byte rings that are made of them.
 *
 *   offset  0 ......... head bytes that are used up ... | extent
 *   pages   [##used##|data......] -> [data............] -> [data....|      ]
 *
 * No ring may take a page while it holds as many as are free (Choudhury and Hahne, "Dynamic queue length thresholds in a
 * shared memory packet switch", 1996): one that wants everything gets half, n of them 1 / (n + 1) each, and something is
 * always left for those that begin.
 */
import { assert } from "../../lib/assert.ts";
import type { Slab } from "../../lib/slab.ts";

const NONE = -1;

/** Pages that nobody holds, and what all rings share. */
export class PagePool {
  readonly slab: Slab;
  readonly pageSize: number;
  readonly #start: number;
  /** Of a page in a ring the one behind it, of a free page the next free one. */
  readonly #next: Int32Array;
  #first: number;
  #free: number;

  /** @param pageSize a power of two; the pool owns the `count * pageSize` bytes of the slab from `start` on */
  constructor(slab: Slab, start: number, pageSize: number, count: number) {
    assert(pageSize > 0 && (pageSize & (pageSize - 1)) === 0, "a page is a power of two");
    assert(count > 0 && start + count * pageSize <= slab.bytes.length, "the pages lie in the slab");
    this.slab = slab;
    this.pageSize = pageSize;
    this.#start = start;
    this.#next = new Int32Array(count);
    for (let page = 0; page < count; page++) this.#next[page] = page + 1 === count ? NONE : page + 1;
    this.#first = 0;
    this.#free = count;
  }

  /** Pages that nobody holds. */
  get free(): number {
    return this.#free;
  }

  /** How many pages more a ring that holds `held` may take now. */
  allowance(held: number): number {
    return held >= this.#free ? 0 : (this.#free - held + 1) >> 1;
  }

  /** A page for a ring that holds `held`, linked behind `last` (NONE: it is its first), or NONE. Its bytes are dirty. */
  take(held: number, last: number): number {
    const page = this.#first;
    if (held >= this.#free) return NONE;
    this.#first = this.#next[page]!;
    this.#free--;
    this.#next[page] = NONE;
    if (last !== NONE) this.#next[last] = page;
    return page;
  }

  /** Takes `page` back and returns the one that was behind it. */
  put(page: number): number {
    const behind = this.#next[page]!;
    this.#next[page] = this.#first;
    this.#first = page;
    this.#free++;
    return behind;
  }

  next(page: number): number {
    return this.#next[page]!;
  }

  /** The ring of `page` ends with it. */
  end(page: number): void {
    this.#next[page] = NONE;
  }

  /** Where the page is in the slab. */
  at(page: number): number {
    return this.#start + page * this.pageSize;
  }
}

/**
 * The bytes of a stream from the first that was not consumed on, by their offset from it. An empty ring holds no page.
 * Bytes may be written beyond a hole; which of them are there is the assembler's knowledge (assembler.ts).
 */
export class Ring {
  /** The most bytes that it takes; may grow and shrink while it lives. */
  capacity: number;
  readonly #pool: PagePool;
  #extent = 0;
  #pages = 0;
  #head = NONE;
  #tail = NONE;
  /** Bytes of the head page that are used up. */
  #used = 0;
  // The page that was found last and its number from the head on, so that going through a long ring is not quadratic.
  #found = NONE;
  #foundNumber = 0;

  constructor(pool: PagePool, capacity: number) {
    this.#pool = pool;
    this.capacity = capacity;
  }

  /** Offset behind the last byte that was written. */
  get extent(): number {
    return this.#extent;
  }

  /** Pages that it holds. */
  get pages(): number {
    return this.#pages;
  }

  /** Bytes that can be written behind the extent now: what its capacity and its share of the pool leave. */
  get room(): number {
    const { pageSize } = this.#pool;
    const held = this.#pages * pageSize - this.#used - this.#extent;
    return Math.max(0, Math.min(this.capacity - this.#extent, held + this.#pool.allowance(this.#pages) * pageSize));
  }

  /** Copies [at, at + len) of the slab to `offset` and returns how many bytes it took; the rest found no page. */
  write(offset: number, at: number, len: number): number {
    const n = this.#reserve(offset, len);
    const { bytes } = this.#pool.slab;
    for (let done = 0; done < n; ) {
      const piece = Math.min(n - done, this.#pieceAt(offset + done));
      bytes.copyWithin(this.at(offset + done), at + done, at + done + piece);
      done += piece;
    }
    return n;
  }

  /** The same from an array. */
  writeBytes(offset: number, from: Uint8Array): number {
    const n = this.#reserve(offset, from.length);
    const { bytes } = this.#pool.slab;
    for (let done = 0; done < n; ) {
      const piece = Math.min(n - done, this.#pieceAt(offset + done));
      bytes.set(from.subarray(done, done + piece), this.at(offset + done));
      done += piece;
    }
    return n;
  }

  /** Where in the slab the byte at `offset` (less than the extent) is. */
  at(offset: number): number {
    const { pageSize } = this.#pool;
    const place = this.#used + offset;
    return this.#pool.at(this.#page(Math.floor(place / pageSize))) + (place & (pageSize - 1));
  }

  /** How many of the bytes from `offset` to the extent lie in one piece. */
  run(offset: number): number {
    return Math.min(this.#extent - offset, this.#pieceAt(offset));
  }

  /** Ends the life of the first `n` bytes; offsets count from behind them. */
  consume(n: number): void {
    assert(n >= 0 && n <= this.#extent, "only what is there is consumed");
    if (n === this.#extent) return this.clear();
    this.#extent -= n;
    this.#used += n;
    const { pageSize } = this.#pool;
    while (this.#used >= pageSize) {
      this.#head = this.#pool.put(this.#head);
      this.#pages--;
      this.#used -= pageSize;
      if (--this.#foundNumber < 0) this.#found = NONE;
    }
  }

  /** Forgets what is behind `extent`. */
  cut(extent: number): void {
    if (extent >= this.#extent) return;
    if (extent <= 0) return this.clear();
    const last = this.#page(Math.floor((this.#used + extent - 1) / this.#pool.pageSize));
    for (let page = this.#pool.next(last); page !== NONE; this.#pages--) page = this.#pool.put(page);
    this.#pool.end(last);
    this.#tail = last;
    this.#extent = extent;
  }

  /** Gives all pages back. */
  clear(): void {
    for (let page = this.#head; page !== NONE; ) page = this.#pool.put(page);
    this.#head = NONE;
    this.#tail = NONE;
    this.#found = NONE;
    this.#pages = 0;
    this.#used = 0;
    this.#extent = 0;
  }

  /** How much of [offset, offset + len) has a page, after taking what it may. */
  #reserve(offset: number, len: number): number {
    const { pageSize } = this.#pool;
    const wanted = Math.min(offset + len, this.capacity);
    let end = this.#pages * pageSize - this.#used;
    while (end < wanted) {
      const page = this.#pool.take(this.#pages, this.#tail);
      if (page === NONE) break;
      if (this.#head === NONE) this.#head = page;
      this.#tail = page;
      this.#pages++;
      end += pageSize;
    }
    const n = Math.min(wanted, end) - offset;
    if (n <= 0) {
      this.#giveBack();
      return 0;
    }
    if (offset + n > this.#extent) this.#extent = offset + n;
    return n;
  }

  /** Pages were taken for a hole, and then there was none for the bytes behind it. */
  #giveBack(): void {
    const extent = this.#extent;
    if (extent === 0) return this.clear();
    this.#extent = Number.MAX_SAFE_INTEGER;
    this.cut(extent);
  }

  /** Bytes from `offset` to the end of its page. */
  #pieceAt(offset: number): number {
    const { pageSize } = this.#pool;
    return pageSize - ((this.#used + offset) & (pageSize - 1));
  }

  /** The page with this number, counted from the head. */
  #page(number: number): number {
    let page = this.#found;
    let at = this.#foundNumber;
    if (page === NONE || at > number) {
      page = this.#head;
      at = 0;
    }
    for (; at < number; at++) page = this.#pool.next(page);
    this.#found = page;
    this.#foundNumber = number;
    return page;
  }
}
