import { expect, test } from "bun:test";
import { parseIp } from "../../lib/ip.ts";
import { TestLines } from "../testing/syslog-lines.ts";
import { SyslogDatagrams } from "./datagrams.ts";

const TO = { address: parseIp("192.168.50.10")!, port: 514 };

function sender() {
  const lines = new TestLines();
  const world = { isThere: true, looks: 0 };
  const service = new SyslogDatagrams(TO, lines, () => {
    world.looks++;
    return world.isThere;
  });
  /** What goes at that time. */
  const at = (now: number): number => {
    if (service.pollAt() <= now) service.handleTimeout(now);
    let n = 0;
    for (let d = service.pollTransmit(); d !== undefined; d = service.pollTransmit()) n++;
    return n;
  };
  return { lines, world, service, at };
}

test("each line is a datagram to the collector, from any port (RFC 5426 3.1, 3.3)", () => {
  const { lines, service } = sender();
  expect([service.pollAt(), [...service.sockets.values()]]).toEqual([Number.POSITIVE_INFINITY, [0]]);
  lines.add("one", "two");
  service.handleTimeout(0);
  const sent = [service.pollTransmit(), service.pollTransmit(), service.pollTransmit()];
  expect(sent.map((d) => d && new TextDecoder().decode(d.payload))).toEqual(["one", "two", undefined]);
  expect(sent[0]?.peer).toEqual(TO);
  expect([lines.settled, service.sent]).toEqual([2, 2]);
});

test("at most a thousand lines a second go, twenty at once", () => {
  const { lines, at } = sender();
  for (let i = 0; i < 100; i++) lines.add(`${i}`);
  expect([at(0), at(0), at(19), at(20), at(40)]).toEqual([20, 0, 0, 20, 20]);
});

test("what was not used is no right to more later", () => {
  const { lines, world, service, at } = sender();
  lines.add("one");
  expect(at(0)).toBe(1);
  world.isThere = false;
  lines.add("two");
  expect(service.pollTransmit()).toBeUndefined();
});

test("while the collector is not on the link lines wait, and it is looked for ever more rarely, once a second at last", () => {
  const { lines, world, service, at } = sender();
  world.isThere = false;
  lines.add("one");
  const looks: number[] = [];
  for (let now = 0; now < 4000; now++) {
    if (service.pollAt() > now) continue;
    looks.push(now);
    expect(at(now)).toBe(0);
  }
  expect(looks).toEqual([0, 50, 150, 350, 750, 1550, 2550, 3550]);
  world.isThere = true;
  expect([at(4549), at(4550)]).toEqual([0, 1]);
  // And as at first.
  world.isThere = false;
  lines.add("two");
  expect([at(4570), service.pollAt()]).toEqual([0, 4620]);
});

test("ten seconds of silence are told once, and that it is over", () => {
  const { lines, world, service, at } = sender();
  world.isThere = false;
  lines.add("one");
  const told: [number, string][] = [];
  const run = (from: number, end: number): void => {
    for (let now = from; now < end; now += 10) {
      at(now);
      for (let e = service.pollEvent(); e !== undefined; e = service.pollEvent()) told.push([now, e]);
    }
  };
  run(0, 60_000);
  world.isThere = true;
  run(60_000, 62_000);
  lines.add("two");
  run(62_000, 63_000);
  expect(told.map(([, e]) => e)).toEqual(["silent", "reached"]);
  expect(told[0]![0]).toBeGreaterThanOrEqual(10_000);
  expect(told[0]![0]).toBeLessThan(11_000);
});

test("refusals are told once, and again when there was none for a minute", () => {
  const { service } = sender();
  const told: number[] = [];
  for (const now of [0, 10, 50_000, 110_000, 170_001, 170_002]) {
    service.handleRefusal(now);
    while (service.pollEvent() === "refused") told.push(now);
  }
  expect(told).toEqual([0, 170_001]);
});

test("the last lines go at once, all of them, if the collector is there; a look or two is waited for it, not more", () => {
  const { lines, world, service, at } = sender();
  for (let i = 0; i < 100; i++) lines.add(`${i}`);
  expect([at(0), service.isBusy]).toEqual([20, true]);
  service.hurry();
  expect([at(1), service.isBusy]).toEqual([80, false]);
  world.isThere = false;
  lines.add("late");
  expect([at(30), service.isBusy, at(80), at(180), at(380), service.isBusy]).toEqual([0, true, 0, 0, 0, false]);
});

test("once it is stopped nothing is sent, and it needs no socket", () => {
  const { lines, service, at } = sender();
  service.stop();
  lines.add("one");
  expect([service.pollAt(), at(1e9), service.sockets.size]).toEqual([Number.POSITIVE_INFINITY, 0, 0]);
});
