/** Access to the lines of one file by directive, with strict values; collects problems instead of stopping at the first. */
import { type Beside, findBeside, type ReadFile } from "./beside.ts";
import type { Line } from "./lexer.ts";
import { printable } from "./lexer.ts";
import { explainMark } from "./marks.ts";
import { ProblemList } from "./problem-list.ts";
import type { Origin } from "./types.ts";

export class Report {
  readonly problems = new ProblemList("problems");
  readonly warnings = new ProblemList("warnings");
  /** The end of the file was not understood (a block is open): nothing can be called missing. */
  isCutShort = false;
  readonly #file: string;
  /** What to say beside a problem of a line. */
  readonly #hints = new Map<number, string>();
  readonly #seen = new Set<string>();
  readonly #told = new Set<string>();

  constructor(file: string) {
    this.#file = file;
  }

  /** Looks for characters that a person cannot see: they are named with each problem of their line. */
  lookForMarks(lines: readonly Line[]): void {
    for (const { line, words, nested } of lines) {
      const hint = explainMark(words);
      if (hint !== undefined) this.#hints.set(line, hint);
      if (nested !== undefined) this.lookForMarks(nested);
    }
  }

  /** A directive that should be somewhere; silent where one was refused, since that is the problem then. */
  missing(directive: string, text: string): void {
    if (this.isCutShort || this.problems.has(directive)) return;
    this.problem(1, directive, `missing: ${text}`);
  }

  origin(line: number): Origin {
    return { file: this.#file, line };
  }

  problem(line: number, directive: string, problem: string): undefined {
    // A line that two values depend on is read twice.
    const key = `${line} ${directive} ${problem}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const hint = this.#hints.get(line);
    const text = hint === undefined ? problem : `${problem}; ${hint}`;
    this.problems.add({ origin: this.origin(line), directive: printable(directive), problem: text });
  }

  warn(line: number, directive: string, problem: string): undefined {
    // So is one outside of <connection> blocks, once for each of them.
    const key = `${line} ${directive} ${problem}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.warnings.add({ origin: this.origin(line), directive: printable(directive), problem });
  }
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

const INT32_MAX = 2147483647;
export const SECONDS: Range = { min: 0, max: INT32_MAX };

export class Reader {
  readonly report: Report;
  readonly readFile: ReadFile;
  readonly #lines = new Map<string, Line[]>();
  readonly #outer: Reader | undefined;

  /** @param outer what stands outside of the lines, and counts where they say nothing */
  constructor(report: Report, readFile: ReadFile, lines: readonly Line[], outer?: Reader) {
    this.#outer = outer;
    this.report = report;
    this.readFile = readFile;
    for (const line of lines) {
      const name = line.words[0]!;
      const same = this.#lines.get(name);
      if (same) same.push(line);
      else this.#lines.set(name, [line]);
    }
  }

  /** The file that a line names; where it is found under another name than the profile says, that is told. */
  file(line: Line, name: string): Beside | undefined {
    const found = findBeside(this.readFile, name);
    if (found !== undefined && found.name !== name)
      this.warn(line, `"${printable(found.name)}" beside the profile is taken for "${printable(name)}"`);
    return found;
  }

  /**
   * The lines as they count within a block: those of the block, and of the others the directives that it does not have.
   * @param groups directives of which the block has one, and then none of the others from outside
   */
  within(block: readonly Line[], groups: readonly (readonly string[])[]): Reader {
    const inner = new Reader(this.report, this.readFile, block, this);
    for (const group of groups) if (group.some((name) => inner.#lines.has(name))) inner.#hide(group);
    return inner;
  }

  all(name: string): readonly Line[] {
    return this.#lines.get(name) ?? this.#outer?.all(name) ?? [];
  }

  /** The one that counts: the last. */
  last(name: string): Line | undefined {
    return this.all(name).at(-1);
  }

  has(name: string): boolean {
    return this.all(name).length > 0;
  }

  problem(line: Line, text: string): undefined {
    this.report.problem(line.line, line.words[0]!, text);
  }

  warn(line: Line, text: string): undefined {
    this.report.warn(line.line, line.words[0]!, text);
  }

  /** Parameter `index` of one line as a whole number; undefined after reporting a bad one, or where it is not written. */
  number(line: Line, index: number, range: Range): number | undefined {
    const word = line.words[index];
    if (word === undefined) return undefined;
    const value = /^\d{1,15}$/.test(word) ? Number(word) : undefined;
    if (value === undefined) return this.problem(line, `"${printable(word)}" is not a whole number`);
    if (value < range.min || value > range.max) {
      return this.problem(line, `${value} is not between ${range.min} and ${range.max}`);
    }
    return value;
  }

  /** The lines of directives that say one thing by several names, in file order. */
  allOf(names: readonly string[]): Line[] {
    return names.flatMap((name) => this.all(name)).sort((a, b) => a.line - b.line);
  }

  /** The value of a directive with one number, each occurrence checked; `fallback` where it is not written. */
  int(names: string | readonly string[], fallback: number, range: Range = SECONDS): number {
    let value = fallback;
    const lines = typeof names === "string" ? this.all(names) : this.allOf(names);
    for (const line of lines) value = this.number(line, 1, range) ?? value;
    return value;
  }

  /** Parameter `index` as one of a few words. */
  choice<T extends string>(line: Line, index: number, values: readonly T[]): T | undefined {
    const word = line.words[index];
    if (word === undefined) return undefined;
    if ((values as readonly string[]).includes(word)) return word as T;
    return this.problem(line, `"${printable(word)}" is none of ${values.join(", ")}`);
  }

  /** The last value of a directive with one choice. */
  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    let value: T | undefined;
    for (const line of this.all(name)) value = this.choice(line, 1, values) ?? value;
    return value;
  }

  /** Those of these directives that are not here are nowhere. */
  #hide(names: readonly string[]): void {
    for (const name of names) if (!this.#lines.has(name)) this.#lines.set(name, []);
  }
}
