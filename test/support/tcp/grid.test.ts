import { expect, test } from "bun:test";
import { cells, pairwise } from "./grid.ts";

test("there are 108 networks, and few of them have every pair", () => {
  expect(new Set(cells().map((cell) => cell.name)).size).toBe(108);
  const few = pairwise().map((cell) => cell.name.split(", "));
  expect(few.length).toBeLessThan(16);
  for (const { name } of cells()) {
    const parts = name.split(", ");
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < i; j++)
        expect(few.some((other) => other[i] === parts[i] && other[j] === parts[j])).toBe(true);
  }
});
