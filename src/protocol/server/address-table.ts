/**
 * Who is at an address: from four words, a port and the socket that it is reached by to a peer. Open addressing with linear
 * probing over typed arrays, keyed with a random seed: anybody can send from any address, so nobody may know which of them fall
 * into one place. Nothing is allocated after construction.
 *
 * Where a peer is and whether it is found there are two things: a session that has not yet taken the place of another one at
 * the same address is placed there, and not entered.
 */
import { mix, mixWords } from "../../lib/hash.ts";

const WORDS = 4;

export class AddressTable {
  readonly #seed: number;
  /** By peer: its address; the port, and the socket above it. */
  readonly #words: Int32Array;
  readonly #port: Int32Array;
  /** Peer + 1; 0: nobody. */
  readonly #table: Int32Array;
  readonly #mask: number;

  /** @param capacity peers are less than that @param seed int32, random */
  constructor(capacity: number, seed: number) {
    let size = 2;
    while (size < 2 * capacity) size *= 2;
    this.#seed = seed;
    this.#words = new Int32Array(WORDS * capacity);
    this.#port = new Int32Array(capacity);
    this.#table = new Int32Array(size);
    this.#mask = size - 1;
  }

  /** The peer at an address, -1: nobody. @param words,at four words of an IpAddress */
  find(words: Int32Array, at: number, port: number, socket: number): number {
    const table = this.#table;
    let i = this.#home(words, at, port | (socket << 16));
    for (let peer = table[i]!; peer !== 0; peer = table[i]!) {
      if (this.isAt(peer - 1, words, at, port, socket)) return peer - 1;
      i = (i + 1) & this.#mask;
    }
    return -1;
  }

  /** Whether a peer is placed at an address. */
  isAt(peer: number, words: Int32Array, at: number, port: number, socket: number): boolean {
    const own = this.#words;
    const k = WORDS * peer;
    return (
      this.#port[peer] === (port | (socket << 16)) &&
      own[k + 3] === words[at + 3] &&
      own[k + 2] === words[at + 2] &&
      own[k + 1] === words[at + 1] &&
      own[k] === words[at]
    );
  }

  /** Says where a peer is that is not entered. */
  place(peer: number, words: Int32Array, at: number, port: number, socket: number): void {
    for (let k = 0; k < WORDS; k++) this.#words[WORDS * peer + k] = words[at + k]!;
    this.#port[peer] = port | (socket << 16);
  }

  /** Lets a peer be found where it is placed. Nobody else is entered there. */
  enter(peer: number): void {
    let i = this.#home(this.#words, WORDS * peer, this.#port[peer]!);
    while (this.#table[i] !== 0) i = (i + 1) & this.#mask;
    this.#table[i] = peer + 1;
  }

  /** Takes a peer out, if it is entered. @returns whether it was */
  remove(peer: number): boolean {
    const table = this.#table;
    const mask = this.#mask;
    let hole = this.#home(this.#words, WORDS * peer, this.#port[peer]!);
    while (table[hole] !== peer + 1) {
      if (table[hole] === 0) return false;
      hole = (hole + 1) & mask;
    }
    // Whoever stands behind the hole and would be looked for before it moves up (Knuth, 6.4, algorithm R).
    for (let i = (hole + 1) & mask; table[i] !== 0; i = (i + 1) & mask) {
      const other = table[i]! - 1;
      const home = this.#home(this.#words, WORDS * other, this.#port[other]!);
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      table[hole] = table[i]!;
      hole = i;
    }
    table[hole] = 0;
    return true;
  }

  #home(words: Int32Array, at: number, port: number): number {
    return mix(mixWords(this.#seed, words, at, WORDS), port) & this.#mask;
  }
}
