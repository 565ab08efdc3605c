/** Tables within the values of appliance.toml (`dhcp = { ... }`, `[[vpn.forward]]`): their keys, and each value with what is wrong at its line. */
import type { AST } from "toml-eslint-parser";
import { Bad, keyName, listed, shown } from "./values.ts";

/** What is wrong, and at which line where it is not that of the key. */
export type Fail = (text: string, line?: number) => void;

/**
 * What a key says that is true, false, or a table with more about it: without a value it is true.
 * @param example of such a table @returns undefined: it is something else, which is a problem
 */
export function switchOrTable(
  node: AST.TOMLContentNode | undefined,
  example: string,
  fail: Fail,
): AST.TOMLInlineTable | boolean | undefined {
  if (node === undefined) return true;
  if (node.type === "TOMLInlineTable") return node;
  if (node.type === "TOMLValue" && node.kind === "boolean") return node.value;
  fail(`must be true, false, or a table such as ${example}`);
  return undefined;
}

/** The values by key. @param table what it is called @param keys those that it has: another one is a problem */
export function tableValues<Key extends string>(
  pairs: readonly AST.TOMLKeyValue[],
  table: string,
  keys: readonly Key[],
  fail: Fail,
): ReadonlyMap<Key, AST.TOMLContentNode> {
  const values = new Map<Key, AST.TOMLContentNode>();
  for (const { key, value } of pairs) {
    const name = keyName(key);
    const known = keys.find((k) => k === name);
    if (known !== undefined) values.set(known, value);
    else fail(`unknown key ${shown(name)}; ${table} has ${listed(keys)}`, key.loc.start.line);
  }
  return values;
}

/** What `read` makes of a part of the file; where it throws a {@link Bad}, a problem at the part's line. @param before the text of that */
export function attempt<T>(node: AST.TOMLNode, fail: Fail, read: () => T, before = ""): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Bad)) throw error;
    fail(`${before}${error.message}`, node.loc.start.line);
    return undefined;
  }
}

/** The string that a value is; undefined: it is something else. */
export const textOf = (node: AST.TOMLContentNode): string | undefined =>
  node.type === "TOMLValue" && node.kind === "string" ? node.value : undefined;
