import { expect, test } from "bun:test";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../main.ts");

test.each([
  [["check", "--foo", "x"], "morgana: check: there is no option --foo\n"],
  [
    ["server", "--log-levl", "debug", "x"],
    "morgana: server: there is no option --log-levl; --log-level may be meant\n",
  ],
  [["client", "--\x1b[2Jx"], "morgana: client: there is no option --?[2Jx\n"],
  [["genkey", "--force=2", "secret"], "morgana: genkey: Option '--force' does not take an argument\n"],
])("%j", (argv, start) => {
  const { stderr, exitCode } = Bun.spawnSync([process.execPath, MAIN, ...argv]);
  expect([exitCode, stderr.toString()]).toEqual([2, expect.stringContaining(start)]);
});
