import { expect, test } from "bun:test";
import fc from "fast-check";
import { CountLimit } from "./count-limit.ts";

test("never more than the count in any window of the time, and as many where they are asked for", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.integer({ min: 0, max: 1500 }), { maxLength: 200 }),
      (count, seconds, waits) => {
        const limit = new CountLimit({ count, seconds });
        const taken: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          const recent = taken.filter((at) => now - at < seconds * 1000).length;
          expect(limit.take(now)).toBe(recent < count);
          if (recent < count) taken.push(now);
        }
      },
    ),
  );
});

test("what is given back can be taken again; nothing is given back twice", () => {
  const limit = new CountLimit({ count: 2, seconds: 10 });
  expect([limit.take(0), limit.take(1), limit.take(2)]).toEqual([true, true, false]);
  limit.giveBack();
  expect([limit.allows(3), limit.take(3), limit.take(4)]).toEqual([true, true, false]);
  for (let i = 0; i < 5; i++) limit.giveBack();
  expect([limit.take(5), limit.take(6), limit.take(7)]).toEqual([true, true, false]);
});

test("a huge count costs no memory of its size, and is kept all the same", () => {
  const limit = new CountLimit({ count: 1_000_000, seconds: 100 });
  let taken = 0;
  for (let now = 0; now < 100_000; now++) for (let i = 0; i < 20; i++) if (limit.take(now)) taken++;
  expect(taken).toBeLessThanOrEqual(1_010_000);
  expect(taken).toBeGreaterThan(900_000);
});
