import { expect, test } from "bun:test";
import fc from "fast-check";
import { groupBy } from "./group-by.ts";

test("groups as Map.groupBy does", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (items) => {
      const keyOf = (n: number): number => n % 3;
      expect([...groupBy(items, keyOf)]).toEqual([...Map.groupBy(items, keyOf)]);
    }),
  );
});
