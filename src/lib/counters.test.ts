import { expect, test } from "bun:test";
import { addCounts } from "./counters.ts";

test("counts of one name are added up, and only those behind the same prefix", () => {
  const sum: Record<string, number> = { full: 1, "drop.full": 2 };
  addCounts(sum, { full: 10, late: 3 });
  addCounts(sum, { full: 100 }, "drop.");
  expect(sum).toEqual({ full: 11, late: 3, "drop.full": 102 });
});
