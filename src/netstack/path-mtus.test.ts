import { expect, test } from "bun:test";
import { PATH_MTU_MS } from "../lib/path-mtu.ts";
import { PathMtus } from "./path-mtus.ts";
import { words6 } from "./testing/bed6.ts";

const A = words6("2001:db8::1");
const B = words6("2001:db8::2");

test("a path's MTU is lowered, never raised, and never below 1280 (RFC 8201 4), of IPv4 576", () => {
  const paths = new PathMtus();
  expect(paths.get(0, A)).toBe(Number.POSITIVE_INFINITY);
  paths.lower(0, A, 1400);
  paths.lower(1, A, 1450);
  expect([paths.get(1, A), paths.get(1, B)]).toEqual([1400, Number.POSITIVE_INFINITY]);
  paths.lower(1, A, 68);
  expect(paths.get(2, A)).toBe(1280);
  const four = Int32Array.of(0, 0, 0xffff, 0x0a000001);
  paths.lower(2, four, 68);
  expect(paths.get(3, four)).toBe(576);
});

test("after 10 minutes it is forgotten, and may be entered anew", () => {
  const paths = new PathMtus();
  paths.lower(5, A, 1300);
  expect([paths.get(4 + PATH_MTU_MS, A), paths.get(5 + PATH_MTU_MS, A)]).toEqual([1300, Number.POSITIVE_INFINITY]);
  paths.lower(5 + PATH_MTU_MS, A, 1450);
  expect(paths.get(6 + PATH_MTU_MS, A)).toBe(1450);
});

test("64 paths are kept; the one that was entered first gives way", () => {
  const paths = new PathMtus();
  const path = (i: number) => Int32Array.of(0x20010db8, 0, 0, i);
  for (let i = 0; i < 64; i++) paths.lower(i, path(i), 1400);
  paths.lower(64, path(0), 1300); // the last one now
  paths.lower(65, path(64), 1400);
  expect([paths.get(66, path(1)), paths.get(66, path(0)), paths.get(66, path(2))]).toEqual([
    Number.POSITIVE_INFINITY,
    1300,
    1400,
  ]);
  paths.clear();
  expect(paths.get(66, path(0))).toBe(Number.POSITIVE_INFINITY);
});
