/** What docs/protocol.md and docs/configuration.md hold for a machine: vectors in fenced blocks, and tables behind a mark. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "../..");
export const PROTOCOL = join(ROOT, "docs/protocol.md");
export const CONFIGURATION = join(ROOT, "docs/configuration.md");

export type Fields = ReadonlyMap<string, string>;

export interface Vector {
  readonly kind: string;
  /** In the document, of its first row. */
  readonly line: number;
  /** As they stand there, without what makes them easy to read. */
  readonly given: Fields;
  readonly results: Fields;
}

export function vectorsOf(document: string): Vector[] {
  return [...document.matchAll(/^```vector (\S+)\n(.*?)^```$/gms)].map(({ 1: kind = "", 2: body = "", index }) => {
    const [given, results] = [new Map<string, string>(), new Map<string, string>()];
    // A row that begins with blanks goes on with the one before.
    for (const row of body.trimEnd().replace(/\n +/g, " ").split("\n")) {
      const [, arrow, name = "", value = ""] = /^(-> )?(\S+) =(?: (.*))?$/.exec(row) ?? [];
      if (name === "") throw new Error(`a row of the vector ${kind} is none: ${row}`);
      (arrow === undefined ? given : results).set(name, value);
    }
    return { kind, line: document.slice(0, index).split("\n").length, given, results };
  });
}

/** The rows of the table behind a mark, a record each: by the names of the columns, without backticks and escapes. */
export function tableOf(document: string, mark: string): Readonly<Record<string, string>>[] {
  const [, body] = new RegExp(`<!-- table: ${mark} -->\n\n((?:\\|.*\n)+)`).exec(document) ?? [];
  if (body === undefined) throw new Error(`there is no table ${mark}`);
  const rows = body
    .trim()
    .split("\n")
    .map((row) =>
      row
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("\\|", "|")),
    );
  const [heads = [], , ...cells] = rows;
  return cells.map((row) => Object.fromEntries(heads.map((head, i) => [head, row[i] ?? ""])));
}

/** The words in backticks of a cell. */
export const quoted = (cell = ""): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);

/** A table as the formatter aligns it. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(3, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[], fill: string): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0, fill)).join(" | ")} |\n`;
  const [heads = [], ...others] = rows;
  return [
    line(heads, " "),
    line(
      heads.map(() => ""),
      "-",
    ),
    ...others.map((row) => line(row, " ")),
  ].join("");
}

export const read = (path: string): string => readFileSync(path, "utf8");
