import { expect, test } from "bun:test";
import { SessionCookies } from "./cookie.ts";
import { noblePrimitives } from "./noble-primitives.ts";

const KEY = new Uint8Array(32).fill(7);
const CLIENT = Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]);
const ADDRESS = Uint8Array.from([192, 0, 2, 1, 0x12, 0x34]);
const cookies = new SessionCookies(KEY, 30, noblePrimitives);

test("as test_pkt.c: good for two slices of time, at this address, for this client", () => {
  const id = cookies.issue(ADDRESS, CLIENT, 1000);
  expect(id.length).toBe(8);
  for (const at of [1000, 1002, 1010, 1022]) expect([at, cookies.isOurs(id, ADDRESS, CLIENT, at)]).toEqual([at, true]);
  for (const at of [980, 1040, 100_000]) expect([at, cookies.isOurs(id, ADDRESS, CLIENT, at)]).toEqual([at, false]);
  const moved = ADDRESS.with(3, 2);
  const port = ADDRESS.with(5, 0x35);
  for (const other of [moved, port, ADDRESS.subarray(0, 5)])
    expect(cookies.isOurs(id, other, CLIENT, 1000)).toBe(false);
  expect(cookies.isOurs(id, ADDRESS, CLIENT.with(7, 8), 1000)).toBe(false);
  expect(cookies.isOurs(id.with(0, id[0]! ^ 1), ADDRESS, CLIENT, 1000)).toBe(false);
  expect(new SessionCookies(KEY.with(0, 8), 30, noblePrimitives).isOurs(id, ADDRESS, CLIENT, 1000)).toBe(false);
});
