/** One name, one thing: no two classes of the source, those of its tests included, and no two exported interfaces share a name. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const SOURCE = join(import.meta.dir, "../src");

/** Names that the pattern's first group finds in more than one file, with these files. */
function shared(pattern: RegExp, isMeant: (file: string) => boolean): [string, string[]][] {
  const places = new Map<string, string[]>();
  for (const file of readdirSync(SOURCE, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || !isMeant(file)) continue;
    for (const [, name = ""] of readFileSync(join(SOURCE, file), "utf8").matchAll(pattern))
      places.set(name, [...(places.get(name) ?? []), file]);
  }
  return [...places].filter(([, files]) => files.length > 1);
}

test("no two classes share a name", () => {
  expect(shared(/^(?:export )?(?:abstract )?class (\w+)/gm, () => true)).toEqual([]);
});

test("no two exported interfaces share a name", () => {
  expect(shared(/^export interface (\w+)/gm, () => true)).toEqual([]);
});
