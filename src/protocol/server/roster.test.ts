import { expect, test } from "bun:test";
import { parseIp } from "../../lib/ip.ts";
import { type Peer, STREAM } from "./peer.ts";
import type { PeerLink } from "./peer-link.ts";
import { MAX_NEWCOMERS, Roster } from "./roster.ts";

const link = { endpoint: { address: parseIp("192.0.2.1"), port: 1 } } as PeerLink;

test("who has come is there under a number until it leaves", () => {
  const roster = new Roster(2, 1);
  const [a, b] = [roster.enter(0, STREAM, link)!, roster.enter(0, STREAM, link)!];
  expect([roster.at(a.id), roster.at(b.id), roster.at(-1), [...roster]]).toEqual([a, b, undefined, [a, b]]);
  roster.leave(a);
  expect([roster.has(a), roster.has(b), roster.at(a.id), [...roster]]).toEqual([false, true, undefined, [b]]);
});

test("there are no more numbers than for those who may log in and those who may be about to", () => {
  const roster = new Roster(2, 1);
  const all = Array.from({ length: roster.capacity }, () => roster.enter(0, STREAM, link));
  expect([roster.capacity, all.indexOf(undefined)]).toEqual([2 + MAX_NEWCOMERS, -1]);
  expect(roster.enter(0, STREAM, link)).toBeUndefined();
  roster.leave(all[7]!);
  expect(roster.enter(0, STREAM, link)?.id).toBe(7);
});

test("the first of too many that have not logged in is to go; who has logged in is not among them", () => {
  const roster = new Roster(2, 1);
  const all = Array.from({ length: MAX_NEWCOMERS }, () => roster.enter(0, STREAM, link)!);
  expect(roster.surplus).toBe(all[0]);
  roster.admit(all[0]!);
  expect(roster.surplus).toBeUndefined();
  roster.enter(0, STREAM, link);
  expect(roster.surplus).toBe(all[1]);
});

test("who was touched is taken once, and whose time is up in the call after; who has left is neither", () => {
  const roster = new Roster(8, 1);
  const [a, b, c] = [0, 1, 2].map(() => roster.enter(0, STREAM, link)!) as [Peer, Peer, Peer];
  expect([roster.take(), roster.pollAt()]).toEqual([undefined, Number.POSITIVE_INFINITY]);
  for (const peer of [a, b, a]) roster.touch(peer);
  expect(roster.pollAt()).toBe(Number.NEGATIVE_INFINITY);
  roster.leave(b);
  expect([roster.take(), roster.take()]).toEqual([a, undefined]);
  roster.touchAt(a, 20);
  roster.touchAt(c, 10);
  expect(roster.pollAt()).toBe(10);
  roster.touchDue(9);
  expect(roster.take()).toBeUndefined();
  roster.touchDue(20);
  expect([roster.take(), roster.take(), roster.take()]).toEqual([a, c, undefined]);
  roster.touchAt(c, 30);
  roster.leave(c);
  expect(roster.pollAt()).toBe(Number.POSITIVE_INFINITY);
});
