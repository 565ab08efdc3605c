/** The library stands alone: without the rest of this repository, and on the oldest Node.js that it is for. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** All files that a file leads to, and the packages that they name. */
function reach(entry: string): { files: Set<string>; packages: Set<string> } {
  const [files, packages, left] = [new Set<string>(), new Set<string>(), [entry]];
  for (let file = left.pop(); file !== undefined; file = left.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    if (!file.endsWith(".ts")) continue;
    const named = /^(?:import "|(?:import|export|\}).* from ")([^"]+)"(?: with .*)?;$/gm;
    for (const [, name = ""] of readFileSync(file, "utf8").matchAll(named))
      if (name.startsWith(".")) left.push(join(file, "..", name));
      else
        packages.add(
          name
            .split("/")
            .slice(0, name.startsWith("@") ? 2 : 1)
            .join("/"),
        );
  }
  return { files, packages };
}

test("index.ts leads to src/protocol, src/lib, pure packages and the name of the version, and to nothing else", () => {
  const { files, packages } = reach(join(import.meta.dir, "index.ts"));
  const paths = [...files].map((file) => relative(ROOT, file));
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  expect(paths.length).toBeGreaterThan(100);
  expect(paths.filter((path) => !/^src\/(protocol|lib)\//.test(path))).toEqual(["package.json"]);
  expect([...packages].sort()).toEqual(["@noble/ciphers", "@noble/hashes", "@peculiar/x509", "reflect-metadata"]);
});

test("src/protocol and src/lib use nothing that is newer than Node.js 20, and no API of a runtime", () => {
  const tsc = Bun.spawnSync([join(ROOT, "node_modules/.bin/tsc"), "-p", import.meta.dir]);
  expect(tsc.stdout.toString()).toBe("");
  expect(tsc.exitCode).toBe(0);
}, 60_000);
