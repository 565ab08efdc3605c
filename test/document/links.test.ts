/** What documents point to is there: links with their headings, and paths of files that tables and texts name. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { ROOT, read } from "./document.ts";

const DOCUMENTS = [
  join(ROOT, "README.md"),
  join(ROOT, "src/protocol/README.md"),
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(ROOT, "docs", name)),
];

/** The name of a heading in a link, as GitHub makes it. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

const headings = (document: string): string[] =>
  [...read(document).matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) => anchor(text));

test.each(DOCUMENTS.map((path) => [relative(ROOT, path), path] as const))("links of %s", (_, path) => {
  for (const [, target = ""] of read(path).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file = "", heading] = target.split("#");
    const to = file === "" ? path : join(dirname(path), file);
    expect([target, existsSync(to)]).toEqual([target, true]);
    if (heading !== undefined) expect(headings(to)).toContain(heading);
  }
});

/** Where a path in backticks may lie, by document. */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  "docs/protocol.md": ["src/protocol", "."],
  "docs/threats.md": ["src", "."],
  "docs/architecture.md": [".", "src", "src/netstack", "src/appliance"],
  "docs/library.md": ["."],
};

test.each(Object.entries(PLACES))("paths that %s names", (document, places) => {
  const paths = [...read(join(ROOT, document)).matchAll(/`([\w-]+(?:\/[\w.-]+)+\.(?:ts|c|json|yml|py))`/g)].map(
    ([, path = ""]) => path,
  );
  const missing = paths.filter((path) => !places.some((place) => existsSync(join(ROOT, place, path))));
  expect([...new Set(missing)]).toEqual([]);
});
