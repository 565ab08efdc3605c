/** What can be fuzzed: each target takes arbitrary bytes and must neither throw nor hang. */
import { readdirSync, readFileSync } from "node:fs";

export interface Target {
  /** Inputs in the seconds that `npm test` has for it; default 3000. */
  readonly runs?: number;
  /**
   * @param seen told what the input reached: a counter, a state, the shape of an answer. An input that reaches something new is kept for
   * more mutations
   */
  run(input: Uint8Array, seen: (what: string) => void): void;
}

export const corpusOf = (name: string): string => new URL(`../test/corpus/${name}`, import.meta.url).pathname;

/** The files of a target's corpus, by name. */
export function corpus(name: string): readonly { readonly file: string; readonly bytes: Uint8Array }[] {
  const folder = corpusOf(name);
  return readdirSync(folder)
    .sort()
    .map((file) => ({ file, bytes: new Uint8Array(readFileSync(`${folder}/${file}`)) }));
}

/** Reads an input as a list of decisions; behind its end everything is 0. */
export class Decisions {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  below(n: number): number {
    return this.byte() % n;
  }

  uint16(): number {
    return (this.byte() << 8) | this.byte();
  }

  /** Up to `n` bytes of what is left. */
  take(n: number): Uint8Array<ArrayBuffer> {
    const part = Uint8Array.from(this.#bytes.subarray(this.#at, this.#at + n));
    this.#at += part.length;
    return part;
  }
}
