import { expect, test } from "bun:test";
import { summary } from "./steps.ts";

test("the summary of bun test is read, errors count as failures", () => {
  const out =
    "(fail) x\n4 tests failed:\n\n 34 pass\n 21 skip\n 4 fail\n 1 error\n 99 expect() calls\nRan 59 tests across 4 files. [186.06s]\n";
  expect(summary(out)).toEqual({ passed: 34, failed: 5, skipped: 21 });
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
