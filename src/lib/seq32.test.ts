import { expect, test } from "bun:test";
import fc from "fast-check";
import { seqAdd, seqDiff, seqLess, seqLessEq, seqMax, seqMin } from "./seq32.ts";

const SPACE = 2 ** 32;
const word = fc.integer({ min: 0, max: SPACE - 1 });
const near = fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 });

test("order is that of the distance, wherever the numbers wrap (RFC 9293 3.4)", () => {
  fc.assert(
    fc.property(word, near, (start, distance) => {
      const a = start | 0;
      const b = ((start + distance + SPACE) % SPACE) | 0;
      expect([seqLess(a, b), seqLessEq(a, b), seqDiff(b, a), seqAdd(a, distance)]).toEqual([
        distance > 0,
        distance >= 0,
        distance,
        b,
      ]);
      expect([seqMax(a, b), seqMin(a, b)]).toEqual(distance > 0 ? [b, a] : [a, b]);
    }),
  );
});
