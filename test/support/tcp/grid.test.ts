import { expect, test } from "bun:test";
import { cells, pairwise } from "./grid.ts";

test("there are 216 networks, and few of them have every pair", () => {
  expect(new Set(cells().map((cell) => cell.name)).size).toBe(216);
  // The least MTU is that of the family.
  const partsOf = (name: string): string[] => name.replace(/MTU (576|1280)/, "least MTU").split(", ");
  const few = pairwise().map((cell) => partsOf(cell.name));
  expect(few.length).toBeLessThan(18);
  for (const { name } of cells()) {
    const parts = partsOf(name);
    for (let i = 0; i < parts.length; i++)
      for (let j = 0; j < i; j++)
        expect(few.some((other) => other[i] === parts[i] && other[j] === parts[j])).toBe(true);
  }
});
