import { expect, test } from "bun:test";
import { Insistence } from "./insistence.ts";

test("pauses grow to a minute; what has stayed for a minute more is a first time again", () => {
  const insistence = new Insistence();
  expect(insistence.dueAt).toBe(Number.NEGATIVE_INFINITY);
  insistence.acted(0);
  expect(insistence.dueAt).toBe(1000);
  insistence.acted(5000);
  expect(insistence.dueAt).toBe(7000);
  for (let i = 0; i < 10; i++) insistence.acted(insistence.dueAt);
  const at = insistence.dueAt;
  insistence.acted(at + 59_999);
  expect(insistence.dueAt).toBe(at + 59_999 + 60_000);
  insistence.acted(insistence.dueAt + 60_000);
  expect(insistence.dueAt).toBe(at + 59_999 + 60_000 + 60_000 + 1000);
});
