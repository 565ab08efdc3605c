import { expect, test } from "bun:test";
import { ReplayGuard } from "./replay-guard.ts";

test("rows of openvpn3's test_pktid_control.cpp: a later time starts anew, an earlier one is refused", () => {
  const guard = new ReplayGuard(0, { packets: 64, seconds: 20 });
  const offer = (at: number, time: number, id: number): boolean => {
    const ok = guard.check({ time, id }, at * 1000);
    if (ok) guard.mark({ time, id }, at * 1000);
    return ok;
  };
  expect(offer(31, 10, 2)).toBe(true);
  expect(offer(32, 10, 1)).toBe(true);
  expect(offer(33, 9, 3)).toBe(false);
  expect(offer(42, 10, 0)).toBe(false);
  expect(offer(43, 11, 1)).toBe(true);
  expect(offer(43, 11, 1)).toBe(false);
  expect(offer(44, 10, 3)).toBe(false);
});

test("two packets that are opened before one is marked: each marks its own id", () => {
  const guard = new ReplayGuard(0, { packets: 64, seconds: 20 });
  const [first, second] = [
    { time: 10, id: 1 },
    { time: 10, id: 2 },
  ];
  expect([guard.check(first, 0), guard.check(second, 0)]).toEqual([true, true]);
  guard.mark(first, 0);
  expect([guard.check(first, 0), guard.check(second, 0)]).toEqual([false, true]);
});

test("own ids count from 1, and the time is a uint32 that stays the same", () => {
  const guard = new ReplayGuard(2 ** 32 + 7, { packets: 64, seconds: 20 });
  expect([guard.next(), guard.next(), guard.time]).toEqual([1, 2, 7]);
});
