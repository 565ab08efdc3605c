/**
 * Memory for fragments: their bytes lie in chains of blocks of one piece of memory, which is made when the first is kept. So a
 * flood makes no object, and what it may hold is what is there.
 */
const BLOCK = 512;
const NONE = -1;

export class FragmentStore {
  readonly #blocks: number;
  /** Empty until something is kept. */
  #bytes = new Uint8Array(0);
  /** Of each block the next one of its chain, of the fragment's or of the free ones. */
  #next = new Int16Array(0);
  #free = NONE;
  #freeBlocks: number;

  /** @param size in bytes, at most 16 MiB; what is left of a block is lost */
  constructor(size: number) {
    this.#blocks = Math.floor(size / BLOCK);
    this.#freeBlocks = this.#blocks;
  }

  /** Bytes that are taken, in whole blocks. */
  get used(): number {
    return (this.#blocks - this.#freeBlocks) * BLOCK;
  }

  get room(): number {
    return this.#freeBlocks * BLOCK;
  }

  /** Copies `len` bytes, at least one, for which there is room ({@link costOf}). @returns the chain's name */
  put(from: Uint8Array, at: number, len: number): number {
    if (this.#bytes.length === 0) this.#make();
    let first = NONE;
    // From the end, so that each block knows the one behind it.
    for (let start = costOf(len) - BLOCK; start >= 0; start -= BLOCK) {
      const block = this.#free;
      this.#free = this.#next[block] as number;
      this.#next[block] = first;
      first = block;
      const end = Math.min(len, start + BLOCK);
      copy(from, at + start, at + end, this.#bytes, block * BLOCK);
    }
    this.#freeBlocks -= costOf(len) / BLOCK;
    return first;
  }

  /** Copies the `len` bytes of a chain to `to`. */
  get(first: number, len: number, to: Uint8Array, at: number): void {
    for (let block = first, start = 0; start < len; block = this.#next[block] as number, start += BLOCK) {
      const from = block * BLOCK;
      copy(this.#bytes, from, from + Math.min(BLOCK, len - start), to, at + start);
    }
  }

  /** Gives a chain back. */
  drop(first: number): void {
    for (let block = first; block !== NONE; ) {
      const next = this.#next[block] as number;
      this.#next[block] = this.#free;
      this.#free = block;
      this.#freeBlocks++;
      block = next;
    }
  }

  #make(): void {
    this.#bytes = new Uint8Array(this.#blocks * BLOCK);
    this.#next = new Int16Array(this.#blocks);
    for (let block = 0; block < this.#blocks; block++) this.#next[block] = block + 1 < this.#blocks ? block + 1 : NONE;
    this.#free = 0;
  }
}

/** Bytes that a fragment of `len` takes in the store. */
export const costOf = (len: number): number => Math.ceil(len / BLOCK) * BLOCK;

/** A loop: no view for each block. */
function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  for (let i = start, o = at; i < end; i++, o++) to[o] = from[i] as number;
}
