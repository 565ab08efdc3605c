import { expect, test } from "bun:test";
import fc from "fast-check";
import { ReplayWindow } from "./replay.ts";

/** Checks and, as the callers do, marks what passes. */
const offer = (w: ReplayWindow, seconds: number, id: number): boolean => {
  const ok = w.check(id, seconds * 1000);
  if (ok) w.mark(id, seconds * 1000);
  return ok;
};

test("the table of openvpn3's test_pktid_data.cpp: 64 ids, 5 s", () => {
  const window = new ReplayWindow(64, 5);
  const table: [number, number, boolean][] = [
    [0, 0, false],
    [1, 1, true],
    [1, 1, false],
    [2, 2, true],
    [3, 4, true],
    [4, 1, false],
    [5, 3, true],
    [6, 8, true],
    [10, 5, true],
    [15, 7, false],
    [20, 127, true],
    [20, 127, false],
    [21, 128, true],
    [22, 64, false],
    [23, 65, true],
    [24, 66, true],
    [30, 0, false],
    [33, 3, false],
    [40, 0xfffffffe, true],
    [41, 0xffffffff, true],
  ];
  for (const [at, id, ok] of table) expect([at, id, offer(window, at, id)]).toEqual([at, id, ok]);
});

test("agrees with a set of seen ids", () => {
  const ids = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 200 });
  fc.assert(
    fc.property(ids, fc.constantFrom(1, 7, 64), (list, packets) => {
      const window = new ReplayWindow(packets, 0);
      const seen = new Set<number>();
      let highest = 0;
      for (const id of list) {
        const ok = id > 0 && !seen.has(id) && id > highest - packets;
        expect(offer(window, 0, id)).toBe(ok);
        if (!ok) continue;
        seen.add(id);
        highest = Math.max(highest, id);
      }
    }),
  );
});

test("a window of 0 takes ids in strict sequence", () => {
  const window = new ReplayWindow(0, 0);
  expect([1, 3, 2, 2, 3].map((id) => offer(window, 0, id))).toEqual([true, false, true, false, true]);
});

test("check changes nothing", () => {
  const window = new ReplayWindow(64, 15);
  window.mark(5, 0);
  for (const id of [900, 4, 3]) window.check(id, 0);
  expect(window.highest).toBe(5);
  expect(window.check(4, 0)).toBe(true);
});

test("refuses what comes after an id above it is too old, whatever came in between", () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 3 })), { maxLength: 200 });
  fc.assert(
    fc.property(steps, fc.constantFrom(7, 16, 64), (list, packets) => {
      const window = new ReplayWindow(packets, 5);
      const marked = new Map<number, number>();
      let now = 0;
      let highest = 0;
      for (const [id, pause] of list) {
        now += pause;
        const isTooLate = [...marked].some(([above, at]) => above > id && above > highest - packets && now - at > 5);
        const ok = !marked.has(id) && id > highest - packets && !isTooLate;
        expect(offer(window, now, id)).toBe(ok);
        if (!ok) continue;
        marked.set(id, now);
        highest = Math.max(highest, id);
      }
    }),
  );
});

test("a forged old id costs no walk through the window", () => {
  const window = new ReplayWindow(65_536, 15);
  for (let id = 2; id <= 60_000; id++) window.mark(id, 1000);
  const started = performance.now();
  for (let i = 0; i < 20_000; i++) window.check(1, 2000);
  // the walk took about a second for the first 20,000
  expect(performance.now() - started).toBeLessThan(500);
});

test("an id that was skipped is a new one, whatever had its place in the window before", () => {
  const window = new ReplayWindow(64, 15);
  for (let id = 1; id <= 200; id++) window.mark(id, 0);
  window.mark(260, 0);
  for (const id of [259, 230, 201]) {
    expect([id, window.check(id, 0)]).toEqual([id, true]);
    window.mark(id, 0);
    expect([id, window.check(id, 0)]).toEqual([id, false]);
  }
  expect(window.check(200, 0)).toBe(false);
});
