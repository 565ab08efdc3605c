import { expect, test } from "bun:test";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { givesWay } from "./fairness.ts";

const ip = (n: number): IpAddress => parseIp(`fe80::${n}`) as IpAddress;
/** Entries of these routers, oldest first. */
const list = (...routers: number[]) => routers.map((n, at) => ({ router: ip(n), at }));
const victim = (routers: number[], router: number, gateway?: number): number | undefined =>
  givesWay(list(...routers), ip(router), gateway === undefined ? undefined : ip(gateway))?.at;

test("the newest of the router that has most gives way, where that is two more than the new one's", () => {
  expect(victim([1, 1, 1, 2, 1, 2], 3)).toBe(4);
  expect(victim([1, 1, 1, 2, 1, 2], 2)).toBe(4);
  expect(victim([1, 2, 1, 2], 3)).toBe(3);
  expect(victim([1, 1, 1, 2, 2], 2)).toBeUndefined(); // it would only change places
  expect(victim([1, 2, 3], 4)).toBeUndefined();
  expect(victim([1, 1, 1], 1)).toBeUndefined();
});

test("what the gateway said gives way to nobody, and the newest of the others to it", () => {
  expect(victim([1, 1, 1, 1], 2, 1)).toBeUndefined();
  expect(victim([1, 1, 1, 2, 2], 3, 1)).toBe(4);
  expect(victim([2, 3, 4], 1, 1)).toBe(2);
  expect(victim([1, 1], 1, 1)).toBeUndefined();
});
