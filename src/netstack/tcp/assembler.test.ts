import { expect, test } from "bun:test";
import fc from "fast-check";
import { Assembler, MAX_RANGES } from "./assembler.ts";

const blocks = (a: Assembler, max = 4): number[][] => {
  const out = new Int32Array(2 * MAX_RANGES);
  const n = a.sack(out, max);
  return Array.from({ length: n }, (_, i) => [out[2 * i]!, out[2 * i + 1]!]);
};

test("the block that changed last is reported first, then the others, newest first (RFC 2018 4)", () => {
  const a = new Assembler();
  a.add(100, 200);
  a.add(300, 400);
  a.add(500, 600);
  a.add(700, 800);
  a.add(400, 420);
  expect(blocks(a)).toEqual([
    [300, 420],
    [700, 800],
    [500, 600],
    [100, 200],
  ]);
  expect(blocks(a, 3)).toHaveLength(3);
  expect(a.advance(100)).toBe(200);
  a.add(420, 500);
  expect(blocks(a)).toEqual([
    [300, 600],
    [700, 800],
  ]);
});

test("a duplicate is reported first and once, and behind it the range that holds it (RFC 2883 4.1, 4.2)", () => {
  const a = new Assembler();
  a.add(100, 200);
  a.add(300, 400);
  a.duplicate(120, 140);
  expect(a.hasDuplicate).toBe(true);
  expect(blocks(a)).toEqual([
    [120, 140],
    [100, 200],
    [300, 400],
  ]);
  expect(a.hasDuplicate).toBe(false);
  expect(blocks(a)).toEqual([
    [100, 200],
    [300, 400],
  ]);
  a.duplicate(0, 10);
  expect(blocks(a, 2)).toEqual([
    [0, 10],
    [100, 200],
  ]);
});

test("a range more than there is room for is refused, one that touches is not, and one in order makes room", () => {
  const a = new Assembler();
  for (let i = 0; i < MAX_RANGES; i++) expect(a.add(10 + 10 * i, 15 + 10 * i)).toBe(true);
  expect(a.add(10_000, 10_001)).toBe(false);
  expect(a.count).toBe(MAX_RANGES);
  expect(a.add(15, 20)).toBe(true);
  expect(a.count).toBe(MAX_RANGES - 1);
  expect(a.add(10_000, 10_001)).toBe(true);
  expect(a.add(20_000, 20_001)).toBe(false);
  expect(a.advance(10)).toBe(25);
  expect(a.add(20_000, 20_001)).toBe(true);
});

const SIZE = 200;
const step = fc.record({
  kind: fc.constantFrom("add", "add", "add", "advance"),
  at: fc.nat(SIZE - 1),
  len: fc.integer({ min: 1, max: 30 }),
});

test("it knows what a bitmap knows, wherever the numbers wrap", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (steps, base) => {
      const a = new Assembler();
      const there = new Uint8Array(SIZE + 64);
      let next = 0;
      const seq = (i: number): number => (base + i) | 0;
      for (const { kind, at, len } of steps) {
        if (kind === "add") {
          const left = Math.max(at, next + 1);
          if (a.add(seq(left), seq(left + len))) there.fill(1, left, left + len);
        } else {
          next = Math.min(next + (len >> 1), SIZE);
          const advanced = (a.advance(seq(next)) - base) | 0;
          while (there[next] === 1) next++;
          expect(advanced).toBe(next);
        }
        const runs: number[][] = [];
        for (let i = next + 1; i < there.length; i++)
          if (there[i] === 1) {
            if (there[i - 1] === 1 && i - 1 > next) runs.at(-1)![1] = seq(i + 1);
            else runs.push([seq(i), seq(i + 1)]);
          }
        const all = blocks(a, MAX_RANGES).sort((x, y) => ((x[0]! - base) | 0) - ((y[0]! - base) | 0));
        expect(all).toEqual(runs);
        expect(a.count).toBe(runs.length);
      }
    }),
    { numRuns: 500 },
  );
});
