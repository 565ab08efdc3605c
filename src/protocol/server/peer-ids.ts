/**
 * Numbers of peers, which clients put into their data packets. The one that has been free for longest is given out, so that a late
 * packet to or from somebody who has left does not come to somebody who has just come.
 */
export class PeerIds {
  readonly #free: Int32Array;
  #next = 0;
  #count: number;

  /** @param capacity numbers are from 0 on, less than that */
  constructor(capacity: number) {
    this.#free = Int32Array.from({ length: capacity }, (_, i) => i);
    this.#count = capacity;
  }

  /** @returns -1: none is free */
  take(): number {
    if (this.#count === 0) return -1;
    const id = this.#free[this.#next]!;
    this.#next = (this.#next + 1) % this.#free.length;
    this.#count--;
    return id;
  }

  put(id: number): void {
    this.#free[(this.#next + this.#count) % this.#free.length] = id;
    this.#count++;
  }
}
