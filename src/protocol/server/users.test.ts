import { describe, expect, test } from "bun:test";
import { parseUsers } from "./users.ts";

const SALT = "c29tZXNhbHRzb21lc2FsdA";
const hash = (costs = "m=19456,t=2,p=1"): string =>
  `$argon2id$v=19$${costs}$${SALT}$RdescudvJCsgt3ub+b+dWRWJTmaaJObG+xT2ZH0ZHSU`;
const parse = (text: string) => parseUsers({ file: "users.txt", text });
const problems = (text: string): string[] => {
  const result = parse(text);
  return result.ok ? [] : result.problems.map(({ origin, problem }) => `${origin.line}: ${problem}`);
};

test("names and hashes; comments, empty lines, CR LF and a byte order mark say nothing", () => {
  const text = `\ufeff# of the office\r\nann:${hash()}\r\n\r\n  bob smith:${hash("m=65536,t=3,p=4")}\njosé@example.org:${hash()}`;
  const result = parse(text);
  expect(result).toMatchObject({ ok: true });
  expect(result.ok && [...result.users.keys()]).toEqual(["ann", "bob smith", "josé@example.org"]);
  expect(result.ok && result.users.get("ann")).toBe(hash());
});

test("every problem is named with its line, and no password is repeated", () => {
  const text = [
    `ann:${hash()}`,
    "bob",
    "carl:correct horse battery staple",
    `ann:${hash()}`,
    `:${hash()}`,
    `d\u0001:${hash()}`,
    `eve:${hash("m=4194304,t=2,p=1")}`,
    `eve2:${hash("m=19456,t=0,p=1")}`,
    `eve3:${hash("m=19456,t=17,p=1")}`,
    "fred:$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
    `gus:${hash().replace("argon2id", "argon2i")}`,
  ].join("\n");
  const found = problems(text);
  expect(found.map((line) => line.split(":")[0])).toEqual(["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
  expect(found.join("\n")).not.toMatch(/horse|N9qo8uLO/);
  expect(found[2]).toContain("line 1 already");
  expect(found[5]).toContain("m=65536");
});

describe("a file that lets nobody in is a problem", () => {
  test.each(["", "# nothing\n", "\n\n"])("%j", (text) => {
    expect(problems(text)).toEqual([expect.stringContaining("names nobody")]);
  });
});

test("one bad line spoils the file: a user that was meant to be there would be missing", () => {
  expect(parse(`ann:${hash()}\nbob:x`)).toMatchObject({ ok: false });
});

test("not more problems than a person reads", () => {
  expect(problems("x\n".repeat(1000)).length).toBe(100);
});
