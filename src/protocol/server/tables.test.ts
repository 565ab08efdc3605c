/** The small tables of a server: numbers of peers, those who have not logged in, cookies that were used. */
import { expect, test } from "bun:test";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { Newcomers } from "./newcomers.ts";
import { PeerIds } from "./peer-ids.ts";
import { UsedCookies } from "./used-cookies.ts";

test("a number that was given back is the last to be given out again", () => {
  const ids = new PeerIds(4);
  expect([ids.take(), ids.take()]).toEqual([0, 1]);
  ids.put(1);
  ids.put(0);
  expect([1, 2, 3, 4, 5].map(() => ids.take())).toEqual([2, 3, 1, 0, -1]);
  ids.put(3);
  expect([ids.take(), ids.take()]).toEqual([3, -1]);
});

test("of newcomers the oldest of the network that most are of goes first", () => {
  const newcomers = new Newcomers(99);
  const add = (peer: number, address: string): void => newcomers.add(peer, parseIp(address)!);
  expect(newcomers.first()).toBe(-1);
  add(1, "192.0.2.1");
  expect(newcomers.first()).toBe(1);
  add(2, "192.0.2.7");
  add(3, "192.0.2.7");
  expect(newcomers.first()).toBe(2);
  newcomers.remove(2);
  newcomers.remove(2);
  expect([newcomers.first(), newcomers.count]).toEqual([1, 2]);
  // Of IPv6 a host has all of a /64.
  for (let n = 10; n < 14; n++) add(n, `2001:db8::${n}`);
  expect(newcomers.first()).toBe(10);
  for (let n = 20; n < 26; n++) newcomers.add(n, new IpAddress(0x20010db8, 0, 1, n));
  expect(newcomers.first()).toBe(10);
});

test("a cookie begins one session; what is remembered of them is bounded", () => {
  const used = new UsedCookies();
  const cookie = (n: number): Uint8Array => Uint8Array.of(0, 0, 0, 0, n >> 24, n >> 16, n >> 8, n);
  for (let n = 0; n < 4097; n++) {
    expect(used.has(cookie(n))).toBe(false);
    used.add(cookie(n));
  }
  expect([1, 4096, 0].map((n) => used.has(cookie(n)))).toEqual([true, true, false]);
});
