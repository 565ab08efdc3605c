/** Problems or warnings of a file, as many as a person reads; of the others only how many they are. */
import type { ConfigProblem } from "./types.ts";

/** Enough for a person; a file that is no profile at all has one on every line. */
const MAX_LISTED = 1000;

export class ProblemList {
  readonly #what: string;
  readonly #listed: ConfigProblem[] = [];
  #count = 0;

  /** @param what "problems" or "warnings" */
  constructor(what: string) {
    this.#what = what;
  }

  /** Of all, listed or not. */
  get count(): number {
    return this.#count;
  }

  add(problem: ConfigProblem): void {
    this.#count++;
    if (this.#listed.length < MAX_LISTED) this.#listed.push(problem);
  }

  has(directive: string): boolean {
    return this.#listed.some((problem) => problem.directive === directive);
  }

  /** By their lines; a last one says how many were left out. */
  list(): ConfigProblem[] {
    const listed = this.#listed.toSorted((a, b) => a.origin.line - b.origin.line);
    const last = listed.at(-1);
    const more = this.#count - listed.length;
    if (last === undefined || more === 0) return listed;
    return [...listed, { origin: last.origin, directive: "file", problem: `and ${more} more ${this.#what}` }];
  }
}
