import { expect, test } from "bun:test";
import { getPriority } from "node:os";
import { failedTests, newTally, program, programBeside, summary } from "./steps.ts";

test("a program beside others is counted as one that is waited for, and shows what it said", async () => {
  const tally = newTally();
  const nicest = `${Math.min(19, getPriority() + 19)}`;
  const beside = programBeside(tally, "beside", ["sh", "-c", 'test "$(nice)" = "$0" && sleep 0.2', nicest]);
  expect(await program(tally, "first", ["true"])).toBe(true);
  expect(tally.passed).toBe(1);
  expect(await beside).toBe(true);
  expect(await programBeside(tally, "third", ["false"])).toBe(false);
  expect(tally).toMatchObject({ passed: 2, failed: 1, failures: ["third: status 1"] });
});

test("the summary of bun test is read, errors count as failures", () => {
  const out =
    "(fail) x\n4 tests failed:\n\n 34 pass\n 21 skip\n 4 fail\n 1 error\n 99 expect() calls\nRan 59 tests across 4 files. [186.06s]\n";
  expect(summary(out)).toEqual({ passed: 34, failed: 5, skipped: 21 });
});

test("a failed test is named once, where it ran in a process of its own and in the list at the end", () => {
  const out =
    "a.test.ts:\n(pass) x > y [0.02ms]\n\x1b[31m(fail)\x1b[0m x > z [9.48ms]\n\n1 tests failed:\n(fail) x > z [9.48ms]\n\n 1 pass\n 1 fail\n";
  expect(failedTests(out)).toEqual(["(fail) x > z"]);
});

test("a run that ends without a summary has none", () => {
  expect(summary("(pass) a\n 3 pass\n")).toBeUndefined();
});

test("colours do not matter", () => {
  expect(
    summary(
      "\x1b[0m\x1b[32m 4 pass\x1b[0m\n\x1b[0m\x1b[2m 0 fail\x1b[0m\n 17 expect() calls\nRan \x1b[1m4 tests\x1b[0m across 1 file.\n",
    ),
  ).toEqual({
    passed: 4,
    failed: 0,
    skipped: 0,
  });
});
