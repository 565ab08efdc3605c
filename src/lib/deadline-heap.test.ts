import { expect, test } from "bun:test";
import fc from "fast-check";
import { DeadlineHeap } from "./deadline-heap.ts";

test("the earliest deadline is that of a plain list, whatever is set, moved and taken away", () => {
  const step = fc.tuple(
    fc.integer({ min: 1, max: 12 }),
    fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(Infinity)),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const heap = new DeadlineHeap(12);
      const model = new Map<number, number>();
      for (const [i, at] of steps) {
        heap.set(i, at);
        if (at === Infinity) model.delete(i);
        else model.set(i, at);
        const least = Math.min(...model.values());
        expect(heap.firstAt).toBe(least);
        if (model.size === 0) expect(heap.first).toBe(0);
        else expect(model.get(heap.first)).toBe(least);
        expect(heap.at(i)).toBe(at);
      }
    }),
  );
});
