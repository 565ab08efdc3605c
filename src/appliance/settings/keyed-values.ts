/**
 * appliance.toml as values by key, before anybody knows what they mean: the keys and tables that there are, the value of each
 * with its line, and what is wrong, by key. A value is read as what it must be (string, boolean, ...); what it is not is a problem.
 */
import type { AST } from "toml-eslint-parser";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { ProblemList } from "../../protocol/config/problem-list.ts";
import type { ConfigProblem } from "../../protocol/config/types.ts";
import type { ForwardTable } from "./forward.ts";
import { Bad, keyName, listed, shown } from "./values.ts";

/** A list of tables. */
export const FORWARD = "vpn.forward";
const KEYS: ReadonlySet<string> = new Set([
  "hostname",
  "wan.mac",
  "wan.address",
  "wan.gateway",
  "wan.address6",
  "wan.gateway6",
  "wan.dns",
  "wan.mtu",
  "lan.mac",
  "lan.address",
  "lan.address6",
  "lan.dhcp",
  "lan.dns",
  "vpn.config",
  "vpn.nat",
  FORWARD,
  "server.lan",
  "server.internet",
  "server.users",
  "status.enabled",
  "status.port",
  "status.commands",
  "status.users",
  "log.level",
  "log.syslog",
]);
const TABLES: ReadonlySet<string> = new Set(["wan", "lan", "vpn", "server", "status", "log"]);

export const problemAt = (file: string, line: number, directive: string, text: string): ConfigProblem => ({
  origin: { file, line },
  directive,
  problem: text,
});

export class KeyedValues {
  readonly problems = new ProblemList("problems");
  /** The tables of {@link FORWARD}. */
  readonly forwards: ForwardTable[] = [];
  readonly #file: string;
  readonly #values = new Map<string, AST.TOMLContentNode>();
  readonly #failed = new Set<string>();

  constructor(file: string, program: AST.TOMLProgram) {
    this.#file = file;
    this.#collect(program);
  }

  /** The keys that the file has. */
  get keys(): Iterable<string> {
    return this.#values.keys();
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** For a value that can be of several kinds; undefined: the file does not have the key. */
  node(key: string): AST.TOMLContentNode | undefined {
    return this.#values.get(key);
  }

  line(key: string): number {
    return this.#values.get(key)?.loc.start.line ?? 1;
  }

  fail(key: string, text: string, line = this.line(key)): undefined {
    this.#failed.add(key);
    this.problems.add(problemAt(this.#file, line, key, text));
  }

  /** Whether there is a problem with a key, or within a table. */
  hasFailed(name: string): boolean {
    return [...this.#failed].some((key) => key === name || key.startsWith(`${name}.`));
  }

  /** A string that `read` turns into a value; `read` throws a Bad with what is wrong. */
  string<T>(key: string, read: (text: string) => T): T | undefined {
    const node = this.#values.get(key);
    if (node === undefined) return undefined;
    if (node.type !== "TOMLValue" || node.kind !== "string") return this.fail(key, "must be a string in quotes");
    try {
      return read(node.value);
    } catch (error) {
      if (!(error instanceof Bad)) throw error;
      return this.fail(key, error.message);
    }
  }

  addresses(key: string): IpAddress[] {
    const node = this.#values.get(key);
    if (node === undefined) return [];
    const wrong = 'must be a list of addresses, such as ["9.9.9.9"]';
    if (node.type !== "TOMLArray") return this.fail(key, wrong) ?? [];
    const values: IpAddress[] = [];
    for (const element of node.elements) {
      const isString = element.type === "TOMLValue" && element.kind === "string";
      const value = isString ? parseIp(element.value) : undefined;
      if (!isString) this.fail(key, wrong, element.loc.start.line);
      else if (value === undefined || !value.isHost)
        this.fail(key, `${shown(element.value)} is no address of a host`, element.loc.start.line);
      else values.push(value);
    }
    return values;
  }

  integer(key: string, min: number, max: number): number | undefined {
    const node = this.#values.get(key);
    if (node === undefined) return undefined;
    if (node.type !== "TOMLValue" || node.kind !== "integer") return this.fail(key, "must be a whole number");
    if (node.value < min || node.value > max) return this.fail(key, `${node.value} is not between ${min} and ${max}`);
    return node.value;
  }

  boolean(key: string): boolean | undefined {
    const node = this.#values.get(key);
    if (node === undefined) return undefined;
    if (node.type !== "TOMLValue" || node.kind !== "boolean") return this.fail(key, "must be true or false");
    return node.value;
  }

  #collect(program: AST.TOMLProgram): void {
    for (const node of program.body[0].body) {
      if (node.type === "TOMLKeyValue") this.#pair("", node);
      else {
        // resolvedKey of [[x]] ends with its index.
        const name = node.resolvedKey.filter((part) => typeof part === "string").join(".");
        const { line } = node.key.loc.start;
        if (name === FORWARD && node.kind === "array") this.forwards.push({ line, pairs: node.body });
        else if (name === FORWARD) this.fail(name, "is a list of tables: write [[vpn.forward]]", line);
        else if (!TABLES.has(name)) this.fail(shown(name), `unknown table; there are ${listed(TABLES)}`, line);
        else if (node.kind === "array")
          this.fail(name, "is one table: write [wan], not [[wan]]".replaceAll("wan", name), line);
        else for (const pair of node.body) this.#pair(`${name}.`, pair);
      }
    }
  }

  #pair(prefix: string, pair: AST.TOMLKeyValue): void {
    const key = prefix + keyName(pair.key);
    if (key === FORWARD) this.#forwardList(pair.value);
    else if (KEYS.has(key)) this.#values.set(key, pair.value);
    else if (!TABLES.has(key)) this.fail(shown(key), `unknown key; ${knownBeside(key)}`, pair.loc.start.line);
    else if (pair.value.type === "TOMLInlineTable") for (const inner of pair.value.body) this.#pair(`${key}.`, inner);
    else this.fail(key, "is a table, not a value", pair.loc.start.line);
  }

  /** The same list in one value. */
  #forwardList(value: AST.TOMLContentNode): void {
    const { line } = value.loc.start;
    const wrong = "is a list of tables: write [[vpn.forward]]";
    if (value.type !== "TOMLArray") return this.fail(FORWARD, wrong, line);
    for (const element of value.elements) {
      const { line: at } = element.loc.start;
      if (element.type === "TOMLInlineTable") this.forwards.push({ line: at, pairs: element.body });
      else this.fail(FORWARD, wrong, at);
    }
  }
}

/** The keys of the table that `key` is in. */
function knownBeside(key: string): string {
  const table = key.split(".")[0] as string;
  if (!TABLES.has(table)) return `outside of the tables (${listed(TABLES)}) there is only hostname`;
  const names = [...KEYS]
    .filter((known) => known.startsWith(`${table}.`))
    .map((known) => known.slice(table.length + 1));
  return `[${table}] has ${listed(names)}`;
}
