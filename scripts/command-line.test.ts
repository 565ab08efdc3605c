import { expect, test } from "bun:test";
import { join } from "node:path";
import { scripts } from "../package.json";

const ROOT = join(import.meta.dir, "..");
const run = (file: string, ...words: string[]) =>
  Bun.spawnSync([process.execPath, file, ...words], { cwd: ROOT, stdin: "ignore", timeout: 20_000 });

for (const [name, command] of Object.entries(scripts)) {
  const file = / && bun (\S+\.ts)$/.exec(command)?.[1];
  if (file === undefined) continue;
  test(`npm run ${name} -- --help is its usage; a wrong option a line and status 2`, () => {
    const help = run(file, "--help");
    expect(help.stdout.toString()).toMatch(new RegExp(`^usage: npm (run )?${name}\\b`));
    expect([help.exitCode, help.stderr.toString()]).toEqual([0, ""]);
    for (const wrong of ["--nonsense", "--help=no", "nonsense\u0001"]) {
      // A word may name another folder.
      if (name === "image:compare" && !wrong.startsWith("-")) continue;
      const { exitCode, stdout, stderr } = run(file, wrong);
      expect([exitCode, stdout.toString()]).toEqual([2, ""]);
      expect(stderr.toString()).toMatch(new RegExp(`^${name}: [^\n]*\n$`));
    }
  });
}

test("a number that is none is refused", () => {
  for (const [file, ...words] of [
    ["fuzz/run.ts", "frame", "--seconds", "x"],
    ["test/mutations/run.ts", "--list", "--jobs", "0"],
    ["bench/run.ts", "--rounds", "no"],
  ] as const) {
    const { exitCode, stderr } = run(file, ...words);
    expect([exitCode, stderr.toString()]).toEqual([
      2,
      expect.stringMatching(/^\w+: --\w+ takes a number from 1 on .*\n$/),
    ]);
  }
});
