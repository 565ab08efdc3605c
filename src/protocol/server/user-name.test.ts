import { expect, test } from "bun:test";
import { MAX_LOGIN_BYTES, userNameProblem } from "./user-name.ts";

test("what a line of users.txt holds and a client can send is a name", () => {
  for (const name of ["ann", "ann.lee@example.com", "Ann Lee", "zoë", "$argon2id$", "x".repeat(MAX_LOGIN_BYTES)])
    expect([name, userNameProblem(name)]).toEqual([name, undefined]);
});

test("what would end a name, begin a comment, or be cut off is none", () => {
  const bad = {
    "": /empty/,
    "a:b": /colon/,
    "#ann": /comment/,
    " ann": /space/,
    "ann\u00a0": /space/,
    "a\nb": /control/,
  };
  for (const [name, why] of Object.entries(bad)) expect(userNameProblem(name)).toMatch(why);
  for (const name of ["a\0", "a\x7f", "a\u0085b", "a\u2028b"]) expect(userNameProblem(name)).toMatch(/control/);
  for (const name of ["\ud800", "a\ufffd"]) expect(userNameProblem(name)).toMatch(/UTF-8/);
  expect(userNameProblem("ë".repeat(64))).toMatch(/longer than 127 bytes/);
});
