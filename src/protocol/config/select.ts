/** The lines of a file that count: each is held against the table of directives, and what does not pass is reported. */

import { GUI_VERSION } from "../exchange/peer-info.ts";
import type { Directive } from "./directive.ts";
import { findDirective, NAMES } from "./directives.ts";
import { type Line, printable } from "./lexer.ts";
import type { Report } from "./reader.ts";
import { warnOfRepeats } from "./repeats.ts";
import { PROFILE_OF } from "./role.ts";
import { perhaps } from "./spelling.ts";
import type { Role } from "./types.ts";

/** A line as it is meant: `setenv opt X` is X. */
export interface PlainLine extends Line {
  /** Written with `setenv opt`: an unknown directive is passed over. */
  readonly isOptional: boolean;
}

/** Variables that OpenVPN heeds as the directives beside them (its options.c, setenv), and how many values they then have. */
const SETENV_DIRECTIVES: ReadonlyMap<string, readonly [directive: string, values: number]> = new Map([
  ["PUSH_PEER_INFO", ["push-peer-info", 0]],
  ["REMOTE_RANDOM_HOSTNAME", ["remote-random-hostname", 0]],
  ["SERVER_POLL_TIMEOUT", ["server-poll-timeout", 1]],
]);

/** Takes `setenv` off where the line is a directive; with another number of values it is a variable like any. */
export function plainLine(line: Line): PlainLine {
  const [name, variable, ...values] = line.words;
  if (name !== "setenv" || variable === undefined) return { ...line, isOptional: false };
  if (variable === "opt" && values.length > 0) return { line: line.line, words: values, isOptional: true };
  const [directive, count] = SETENV_DIRECTIVES.get(variable) ?? [];
  if (directive === undefined || values.length !== count) return { ...line, isOptional: false };
  return { line: line.line, words: [directive, ...values], isOptional: false };
}

export interface Selection {
  /** Directives with the right number of parameters. */
  readonly lines: readonly Line[];
  /** `<connection>` blocks, with the lines in them that count. */
  readonly connections: readonly Line[];
  /** Of setenv, those that a server can be told: UV_* and IV_GUI_VER. */
  readonly variables: ReadonlyMap<string, string>;
}

export function selectLines(lines: readonly PlainLine[], role: Role, report: Report): Selection {
  const selector = new Selector(role, report);
  for (const line of lines) selector.take(line);
  for (const same of [selector.lines, ...selector.connections.map(({ nested = [] }) => nested)])
    warnOfRepeats(same, role, report);
  return selector;
}

class Selector implements Selection {
  readonly lines: Line[] = [];
  readonly connections: Line[] = [];
  readonly variables = new Map<string, string>();
  readonly #role: Role;
  readonly #report: Report;
  /** Of ignore-unknown-option. */
  readonly #ignorable = new Set<string>();
  #ignoresUnknown = false;

  constructor(role: Role, report: Report) {
    this.#role = role;
    this.#report = report;
  }

  take(line: PlainLine): void {
    if (line.nested !== undefined) {
      const nested = line.nested.map(plainLine).filter((inner) => this.#countsInConnection(inner));
      this.connections.push({ ...line, nested });
      return;
    }
    const directive = this.#find(line);
    if (directive === undefined || !this.#counts(line, directive)) return;
    if (directive.name === "ignore-unknown-option") this.#ignore(line.words.slice(1));
    else if (directive.name === "setenv") this.#setenv(line);
    else this.lines.push(line);
  }

  /** The row of a line's directive, where this profile can have it. */
  #find(line: PlainLine): Directive | undefined {
    const name = line.words[0] as string;
    const directive = findDirective(name, this.#role);
    if (directive === undefined) {
      const closing = /^<\/([a-z0-9-]{1,40})>$/.exec(name)?.[1];
      // Where its beginning is missing, the rows of the block are problems themselves.
      if (closing !== undefined)
        this.#report.warn(line.line, closing, `ignored: </${closing}> ends a block that was not begun`);
      else if (line.isOptional || this.#ignoresUnknown || this.#ignorable.has(name))
        this.#report.warn(line.line, shownName(name), "unknown directive, ignored");
      else this.#report.problem(line.line, shownName(name), `unknown directive${perhaps(name, NAMES)}`);
      return undefined;
    }
    if (directive.roles.includes(this.#role)) return directive;
    const [first] = directive.roles;
    const owner = first === undefined ? "a file of client-config-dir" : PROFILE_OF[first];
    if (directive.isPassedOver) this.#report.warn(line.line, name, `ignored: it belongs to ${owner}`);
    else this.#report.problem(line.line, name, `belongs to ${owner}, and this is ${PROFILE_OF[this.#role]}`);
    return undefined;
  }

  #counts(line: Line, directive: Directive): boolean {
    const { name, support, text } = directive;
    const problem = formProblem(line, directive);
    if (problem !== undefined) {
      this.#report.problem(line.line, name, problem);
      return false;
    }
    if (directive.harmless?.test(line.words[1] ?? "")) return false;
    if (support === "refused") {
      this.#report.problem(line.line, name, text);
      return false;
    }
    if (support === "warn") this.#report.warn(line.line, name, text);
    return true;
  }

  #countsInConnection(line: PlainLine): boolean {
    const directive = this.#find(line);
    if (directive === undefined) return false;
    const { name, inConnection } = directive;
    switch (inConnection) {
      case "used":
        return this.#counts(line, directive);
      case "ignored":
        if (this.#counts(line, directive))
          this.#report.warn(line.line, name, "ignored inside <connection>; write it outside to have its effect");
        return false;
      case "refused":
        this.#report.problem(line.line, name, "cannot stand inside <connection>");
        return false;
    }
    inConnection satisfies never;
    return false;
  }

  #ignore(names: readonly string[]): void {
    for (const name of names) this.#ignorable.add(name.replace(/^--/, ""));
  }

  #setenv(line: Line): void {
    const [, name = "", ...values] = line.words;
    const problem = (text: string): undefined => this.#report.problem(line.line, "setenv", text);
    if (name === "opt") problem("opt needs an option");
    else if (name === "FORWARD_COMPATIBLE") this.#ignoresUnknown ||= values[0] === "1";
    else if (name === "GENERIC_CONFIG")
      problem("GENERIC_CONFIG: this profile is a template; ask the provider for a complete one");
    else if (values.length > 1) problem(`${values.length} values, but ${printable(name)} takes one`);
    else if (name.startsWith("UV_") || name === GUI_VERSION) this.variables.set(name, values[0] ?? "");
  }
}

/** What is wrong with the form of a line; undefined: nothing. */
export function formProblem({ words, block }: Line, { name, min, max, inline, values }: Directive): string | undefined {
  if (block !== undefined) return inline ? undefined : `cannot be given as <${name}> block`;
  const count = words.length - 1;
  if (count < min || count > max) {
    const wanted = min === max ? `${min}` : count < min ? `at least ${min}` : `at most ${max}`;
    return `${count} parameters, but it takes ${wanted}`;
  }
  const first = words[1];
  if (values === undefined || first === undefined || values.includes(first)) return undefined;
  return `"${printable(first)}" is none of ${values.join(", ")}`;
}

/** What stands where a directive should may be a row of a key or a password that lost its block: shown only if it looks like a directive. */
export const shownName = (name: string): string => (/^[a-z][a-z0-9-]{0,39}$/.test(name) ? name : "(not a directive)");
