/** One state of the sources is one image: made in other folders, at other times, under other circumstances, to the last bit. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, lstatSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { differences } from "../../image/compare.ts";
import { ROOT } from "../support/world/router.ts";

setDefaultTimeout(600_000);
const folder = mkdtempSync(join(tmpdir(), "image-"));
const FIRST = join(folder, "one");
const SECOND = join(folder, "somewhere/else/with a much longer name");

function sh(script: string, ...args: string[]): void {
  const done = Bun.spawnSync(["sh", "-euc", script, "sh", ...args], { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${script}:\n${done.stdout}${done.stderr}`);
}

/** What a clone of this state of the sources would hold, and what is installed beside it. */
function clone(to: string): void {
  mkdirSync(to, { recursive: true });
  sh('git ls-files -z -co --exclude-standard -- . ":!node_modules" | tar -c --null -T - | tar -x -C "$1"', to);
  // A link would lead both to one place.
  // On another file system no file can be linked, and what was begun is in the way.
  sh(
    'cp -al "$1" "$2" || { rm -rf "$2"; cp -a "$1" "$2"; }',
    realpathSync(join(ROOT, "node_modules")),
    join(to, "node_modules"),
  );
}

/** Makes the image of a clone, with the words of `around` (a shell's) before it. */
const make = (root: string, around: string, ...options: string[]): void =>
  sh(`cd "$1"; shift; ${around} exec "$@"`, root, process.execPath, "scripts/image.ts", ...options);

beforeAll(() => {
  clone(FIRST);
  clone(SECOND);
  sh('find "$1" -path "$1/node_modules" -prune -o -type f -exec touch -d 2001-02-03 {} +', SECOND);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("in two folders, with other times of files, time zone, language, umask and working directory, it is the same to the last bit", () => {
  make(FIRST, "export TZ=Asia/Tokyo LC_ALL=C;", "--quick");
  make(SECOND, "umask 077; export TZ=America/Los_Angeles LC_ALL=C.UTF-8 HOSTNAME=other USER=other;", "--quick");
  expect(differences(join(FIRST, "dist"), join(SECOND, "dist"))).toEqual([]);
});

test("where an input is another one, it is named, and so are the files that it changed", () => {
  appendFileSync(join(SECOND, "image/init.c"), '\n__asm__(".string \\"another\\"");\n');
  make(SECOND, "", "--quick");
  const found = differences(join(FIRST, "dist"), join(SECOND, "dist"));
  expect(found.map((line) => line.split(":", 1)[0])).toEqual([
    "input image/",
    `only in ${join(FIRST, "dist")}`,
    `only in ${join(SECOND, "dist")}`,
  ]);
  for (const line of found.slice(1)) expect(line).toMatch(/: init -0755/);
});

// Modules that are somewhere else have other names, which is another binary.
const isLinked = lstatSync(join(ROOT, "node_modules")).isSymbolicLink();
test.skipIf(isLinked)("the image in dist/ is what a fresh clone makes", () => {
  make(ROOT, "");
  make(FIRST, "");
  expect(differences(join(ROOT, "dist"), join(FIRST, "dist"))).toEqual([]);
});
