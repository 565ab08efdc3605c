import { expect, test } from "bun:test";
import fc from "fast-check";
import { FLOW_CONNECTION, FlowTable, TUPLE_WORDS } from "./flows.ts";

const tuple = (n: number): Int32Array => {
  const words = new Int32Array(TUPLE_WORDS);
  words[4] = n >> 2;
  words[8] = n & 3;
  return words;
};

test("rows are found as in a plain map, whatever is added and removed; a full table refuses", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 15 })), { maxLength: 100 }), (steps) => {
      const table = new FlowTable(6, 99);
      const model = new Map<number, number>();
      for (const [add, n] of steps) {
        const known = model.get(n);
        expect(table.find(tuple(n))).toBe(known ?? 0);
        if (add && known === undefined) {
          const row = table.add(tuple(n), FLOW_CONNECTION);
          expect(row === 0).toBe(model.size === 6);
          expect([...model.values()]).not.toContain(row);
          if (row !== 0) model.set(n, row);
        } else if (!add && known !== undefined) {
          table.remove(known);
          model.delete(n);
        }
        expect(table.count).toBe(model.size);
      }
      for (const [n, row] of model) expect(table.find(tuple(n))).toBe(row);
    }),
  );
});
