import { expect, test } from "bun:test";
import fc from "fast-check";
import { Chains } from "./chains.ts";

test("lists keep the order of arrival, as arrays do", () => {
  const step = fc.record({ i: fc.integer({ min: 1, max: 8 }), list: fc.nat(2) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const chains = new Chains(8, 3);
      const model: number[][] = [[], [], []];
      for (const { i, list } of steps) {
        const at = model.findIndex((m) => m.includes(i));
        if (at >= 0) {
          chains.remove(at, i);
          model[at]!.splice(model[at]!.indexOf(i), 1);
        }
        if (at !== list) {
          chains.append(list, i);
          model[list]!.push(i);
        }
        for (const l of [0, 1, 2]) expect(chains.first(l)).toBe(model[l]![0] ?? 0);
      }
      for (const l of [0, 1, 2]) {
        for (const i of model[l]!) {
          expect(chains.first(l)).toBe(i);
          chains.remove(l, i);
        }
      }
      chains.append(0, 3);
      chains.clear();
      expect(chains.first(0)).toBe(0);
    }),
  );
});
