import { expect, test } from "bun:test";
import fc from "fast-check";
import { Rtt } from "./rtt.ts";

test("the first sample sets SRTT and half of it RTTVAR, the next move them by 1/8 and 1/4 (RFC 6298 2.2, 2.3)", () => {
  const rtt = new Rtt();
  expect([rtt.rto, rtt.srtt, rtt.minRtt]).toEqual([1000, 0, Number.POSITIVE_INFINITY]);
  rtt.sample(0, 200);
  expect([rtt.srtt, rtt.rttvar, rtt.rto]).toEqual([200, 100, 600]);
  rtt.sample(200, 280);
  expect([rtt.srtt, rtt.rttvar, rtt.rto]).toEqual([210, 95, 590]);
});

test("many samples in a round trip weigh as one (RFC 7323 4.2)", () => {
  const one = new Rtt();
  const many = new Rtt();
  one.sample(0, 100);
  many.sample(0, 100);
  one.sample(180, 180);
  for (let i = 1; i <= 50; i++) many.sample(i * 2, 180);
  expect(Math.abs(one.srtt - many.srtt)).toBeLessThan(1);
  expect(Math.abs(one.rttvar - many.rttvar)).toBeLessThan(5);
});

test("a first sample that was far too long is forgotten within some tens of round trips", () => {
  const rtt = new Rtt();
  rtt.sample(0, 3000);
  for (let now = 10; now <= 500; now += 10) rtt.sample(now, 10);
  expect(rtt.srtt).toBeLessThan(20);
});

test("a steady path keeps 200 ms for ACKs that are delayed", () => {
  const rtt = new Rtt();
  for (let i = 0; i < 100; i++) rtt.sample(i, 0.05);
  expect(rtt.rto).toBeCloseTo(200.05);
});

test("each timeout doubles the RTO up to 120 s, and only a sample ends it (RFC 6298 5.5, 5.7)", () => {
  const rtt = new Rtt();
  rtt.sample(0, 100);
  const seen = Array.from({ length: 12 }, () => {
    rtt.backOff();
    return rtt.rto;
  });
  expect(seen.slice(0, 3)).toEqual([600, 1200, 2400]);
  expect(seen.at(-1)).toBe(120_000);
  rtt.sample(1, 100);
  expect(rtt.rto).toBeLessThan(400);
});

test("after a SYN that was sent twice the data begins with 3 s, unless a round trip was measured (RFC 6298 5.7)", () => {
  const rtt = new Rtt();
  rtt.backOff();
  rtt.afterLostSyn();
  expect(rtt.rto).toBe(3000);
  rtt.sample(0, 100);
  rtt.afterLostSyn();
  expect(rtt.rto).toBe(300);
});

test("the least RTT is never older than 5 minutes and never forgets the last 2.5", () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 1000 })), {
    minLength: 1,
    maxLength: 50,
  });
  fc.assert(
    fc.property(steps, (list) => {
      const rtt = new Rtt();
      const seen: { at: number; value: number }[] = [];
      let now = 0;
      for (const [passed, value] of list) {
        now += passed;
        rtt.sample(now, value);
        seen.push({ at: now, value });
        const least = (window: number): number =>
          Math.min(...seen.filter(({ at }) => now - at < window).map((sample) => sample.value));
        expect(rtt.minRtt).toBeLessThanOrEqual(least(150_000));
        expect(rtt.minRtt).toBeGreaterThanOrEqual(least(300_000));
      }
    }),
  );
});
