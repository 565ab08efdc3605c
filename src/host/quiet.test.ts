import { expect, test } from "bun:test";
import { Quiet } from "./quiet.ts";

const NEVER = Number.POSITIVE_INFINITY;

test("a network is looked at when nothing has changed for a moment, and then not without need", () => {
  const quiet = new Quiet();
  expect(quiet.lookAt).toBe(NEVER);
  quiet.changed(1000);
  quiet.changed(1200);
  expect(quiet.lookAt).toBe(1500);
  quiet.looked(NEVER);
  expect(quiet.lookAt).toBe(NEVER);
  quiet.looked(9000);
  expect(quiet.lookAt).toBe(9000);
});

test("where it changes all the time it is looked at every other second", () => {
  const quiet = new Quiet();
  const looks: number[] = [];
  for (let now = 0; now < 10_000; now += 100) {
    quiet.changed(now);
    if (now < quiet.lookAt) continue;
    looks.push(now);
    quiet.looked(NEVER);
  }
  expect(looks).toEqual([2000, 4100, 6200, 8300]);
});
