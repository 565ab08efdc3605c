import { expect, test } from "bun:test";
import { FairLimit, RateLimit } from "./rate-limit.ts";

test("a bucket gives its burst at once, then its rate", () => {
  const limit = new RateLimit(10, 5);
  const taken = (now: number): number => Array.from({ length: 100 }, () => limit.take(now)).filter(Boolean).length;
  expect([taken(0), taken(50), taken(300), taken(100_000)]).toEqual([5, 0, 3, 5]);
});

test("a host that asks for too much uses up its own share, whatever the others do, and all of them no more than the whole", () => {
  const limit = new FairLimit(200, 100, 0.25, 7);
  const taken = (now: number, host: number): number =>
    Array.from({ length: 1000 }, () => limit.take(now, host)).filter(Boolean).length;
  expect([taken(0, 1), taken(0, 1), taken(0, 2)]).toEqual([25, 0, 25]);
  let flood = 0;
  let honest = 0;
  for (let now = 1000; now < 11_000; now += 10) {
    for (let i = 0; i < 50; i++) if (limit.take(now, 1)) flood++;
    if (now % 100 === 0 && limit.take(now, 2)) honest++;
  }
  expect(honest).toBe(100);
  expect(flood).toBeLessThanOrEqual(25 + 500);
  let all = 0;
  for (let host = 0; host < 10_000; host++) if (limit.take(50_000, host)) all++;
  expect(all).toBeLessThanOrEqual(100);
});
