/**
 * The table of directives as docs/configuration.md has it. Run, it writes the table into the file; the tests say where the two
 * differ.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Directive, InConnection, Support } from "../src/protocol/config/directive.ts";
import { DIRECTIVES } from "../src/protocol/config/directives.ts";
import type { Role } from "../src/protocol/config/types.ts";

const DOCUMENT = join(import.meta.dir, "../docs/configuration.md");
const BEGIN = "<!-- directives: written by scripts/directive-table.ts -->\n";
const END = "<!-- end of directives -->\n";

const ROLES: readonly Role[] = ["client", "server", "p2p", "static"];
const SUPPORT: Readonly<Record<Support, string>> = {
  implemented: "used",
  silent: "accepted",
  warn: "warning",
  refused: "refused",
};
const IN_CONNECTION: Readonly<Record<InConnection, string>> = {
  refused: "",
  used: "used",
  ignored: "warning",
};

/** A row for each name, by the alphabet, and below the table what is said. */
export function directiveTable(): string {
  const byName = [...Map.groupBy(DIRECTIVES, ({ name }) => name)].sort(([a], [b]) => (a < b ? -1 : 1));
  const heads = ["Directive", "Client", "Server", "P2P", "Static key", "`<connection>`", "Client's file"];
  return `${aligned([heads, ...byName.map(([name, same]) => cells(name, same))])}\n${sayings()}`;
}

function cells(name: string, same: readonly Directive[]): string[] {
  const of = (role: Role): string => {
    const directive = same.find(({ roles }) => roles.includes(role));
    if (directive !== undefined) return SUPPORT[directive.support];
    return same[0]?.isPassedOver ? "warning" : "";
  };
  const form = same.some(({ inline }) => inline) ? `\`${name}\`, \`<${name}>\`` : `\`${name}\``;
  const ofClient = same.find(({ inClientFile }) => inClientFile);
  const inConnection = IN_CONNECTION[same[0]?.inConnection ?? "refused"];
  return [form, ...ROLES.map(of), inConnection, ofClient === undefined ? "" : SUPPORT[ofClient.support]];
}

/** As the formatter aligns it. */
function aligned(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[], fill: string): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0, fill)).join(" | ")} |\n`;
  const [heads = [], ...others] = rows;
  const rule = heads.map(() => "");
  return [line(heads, " "), line(rule, "-"), ...others.map((row) => line(row, " "))].join("");
}

/** What is told of directives without an effect, by the text. */
function sayings(): string {
  const byText = Map.groupBy(
    DIRECTIVES.filter(({ text }) => text !== ""),
    ({ text, support }) => `${SUPPORT[support]}: ${text}`,
  );
  const names = (same: readonly Directive[]): string =>
    [...new Set(same.map(({ name }) => `\`${name}\``))].sort().join(", ");
  const lines = [...byText].map(([text, same]) => `- ${names(same)}: ${text}\n`);
  return lines.sort().join("");
}

/** The document with the table of today in it. @throws Error where its marks are missing */
export function withTable(document: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT}: the marks of the table are missing`);
  return `${document.slice(0, begin + BEGIN.length)}\n${directiveTable()}\n${document.slice(end)}`;
}

if (import.meta.main) writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, "utf8")));
