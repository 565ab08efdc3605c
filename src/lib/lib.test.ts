import { expect, test } from "bun:test";
import { Counters } from "./counters.ts";
import { Deadlines } from "./deadlines.ts";
import { randomBelow, seededRandom } from "./random.ts";

test("the next deadline is the earliest, and an expired one fires once", () => {
  const deadlines = new Deadlines<"ping" | "rekey">();
  expect(deadlines.next()).toBe(Number.POSITIVE_INFINITY);
  deadlines.set("ping", 20);
  deadlines.set("rekey", 10);
  expect(deadlines.next()).toBe(10);
  expect(deadlines.expired("rekey", 9)).toBe(false);
  expect(deadlines.expired("rekey", 10)).toBe(true);
  expect(deadlines.expired("rekey", 11)).toBe(false);
  expect(deadlines.next()).toBe(20);
});

test("counters show by name what is not zero", () => {
  const counters = new Counters(["in", "out"] as const);
  counters.values[1] = 3;
  expect(counters.snapshot()).toEqual({ out: 3 });
});

test("a seed gives the same bytes again, and another seed others", () => {
  const bytes = (seed: number): string => {
    const out = new Uint8Array(64);
    seededRandom(seed).fill(out);
    return out.toHex();
  };
  expect(bytes(1)).toBe(bytes(1));
  expect(new Set([0, 1, 2, 3, 1000].map(bytes)).size).toBe(5);
});

test("randomBelow stays below and reaches every value", () => {
  const random = seededRandom(7);
  const seen = new Set<number>();
  for (let i = 0; i < 500; i++) seen.add(randomBelow(random, 10));
  expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
