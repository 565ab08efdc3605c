import { expect, test } from "bun:test";
import fc from "fast-check";
import { TestLines } from "../testing/syslog-lines.ts";
import { SyslogStream } from "./stream.ts";

const NOW = Number.NEGATIVE_INFINITY;
const NEVER = Number.POSITIVE_INFINITY;

/** A stream over connections that take `room` bytes until they are acknowledged. */
function open(...lines: readonly string[]) {
  const queue = new TestLines();
  queue.add(...lines);
  const stream = new SyslogStream(queue);
  const wire = { bytes: "", room: NEVER };
  const write = (): void => {
    for (let b = stream.pollTransmit(); b !== undefined; b = stream.pollTransmit()) {
      const n = Math.min(b.length, wire.room);
      wire.bytes += new TextDecoder().decode(b.subarray(0, n));
      wire.room -= n;
      stream.took(n);
    }
  };
  const connect = (): void => {
    expect(stream.pollDial()).toBe(true);
    stream.opened();
    wire.bytes = "";
    wire.room = NEVER;
  };
  return { queue, stream, wire, write, connect };
}

test("each line follows its length in bytes (RFC 6587 3.4.1)", () => {
  const { stream, wire, write, connect } = open("<30>1 - - - - - - a", "b\nc");
  expect([stream.pollAt(), stream.pollTransmit()]).toEqual([NOW, undefined]);
  connect();
  expect(stream.pollAt()).toBe(NOW);
  write();
  expect([wire.bytes, stream.pollAt()]).toEqual(["19 <30>1 - - - - - - a3 b\nc", NEVER]);
});

test("a line is settled when all of it is acknowledged, and goes again over the next connection where it is not", () => {
  const { queue, stream, wire, write, connect } = open("aaa", "bbb", "ccc");
  connect();
  write();
  stream.acknowledged(15 - 9); // the second one but for a byte
  expect([queue.settled, stream.isBusy]).toEqual([1, true]);
  stream.ended(1000, "ended");
  expect([stream.pollAt(), stream.pollTransmit(), stream.repeated]).toEqual([2000, undefined, 2]);
  stream.handleTimeout(1999);
  expect(stream.pollDial()).toBe(false);
  stream.handleTimeout(2000);
  connect();
  write();
  expect(wire.bytes).toBe("3 bbb3 ccc");
  stream.acknowledged(0);
  expect([queue.settled, stream.sent, stream.isBusy]).toEqual([3, 3, false]);
});

test("a connection that is full is written to again when it says so; a line that was cut goes on where it was", () => {
  const { queue, stream, wire, write, connect } = open("aaa", "bbb");
  connect();
  wire.room = 7;
  write();
  expect([wire.bytes, stream.pollAt(), stream.pollTransmit()]).toEqual(["3 aaa3 ", NEVER, undefined]);
  stream.acknowledged(2);
  expect(queue.settled).toBe(1);
  stream.handleWritable();
  wire.room = NEVER;
  write();
  expect(wire.bytes).toBe("3 aaa3 bbb");
});

test("a line that was cut by the end of the connection goes whole over the next one", () => {
  const { stream, wire, write, connect } = open("aaa");
  connect();
  wire.room = 3;
  write();
  stream.ended(0, "ended");
  stream.handleTimeout(1000);
  connect();
  write();
  expect(wire.bytes).toBe("3 aaa");
});

test("connections that carry nothing follow each other ever more slowly, once a minute at last; one that did begins anew", () => {
  const { stream, write, connect } = open("aaa");
  let now = 0;
  const waits: number[] = [];
  const fail = (): void => {
    expect(stream.pollDial()).toBe(true);
    stream.ended(now, "refused");
    waits.push(stream.pollAt() - now);
    now = stream.pollAt();
    stream.handleTimeout(now);
  };
  for (let i = 0; i < 9; i++) fail();
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((s) => s * 1000));
  connect();
  // That it can be connected to says nothing.
  stream.ended(now, "ended");
  expect(stream.pollAt()).toBe(now + 60_000);
  now += 60_000;
  stream.handleTimeout(now);
  connect();
  write();
  stream.acknowledged(0);
  stream.ended(now, "ended");
  expect(stream.pollAt()).toBe(now + 1000);
});

test("a failure is told once, until lines arrive again", () => {
  const { queue, stream, write, connect } = open("aaa");
  const told: string[] = [];
  const tell = (): void => {
    for (let e = stream.pollEvent(); e !== undefined; e = stream.pollEvent()) told.push(e);
  };
  let now = 0;
  for (const why of ["refused", "silent", "ended"] as const) {
    stream.pollDial();
    stream.ended(now, why);
    tell();
    now = stream.pollAt();
    stream.handleTimeout(now);
  }
  expect(told).toEqual(["refused"]);
  connect();
  write();
  tell();
  expect(told).toEqual(["refused"]);
  stream.acknowledged(0);
  tell();
  expect(told).toEqual(["refused", "reached"]);
  queue.add("bbb");
  write();
  stream.acknowledged(0);
  stream.ended(now, "ended");
  tell();
  expect(told).toEqual(["refused", "reached", "ended"]);
});

test("whatever the connections do, what is acknowledged over all of them is each line, in order", () => {
  const step = fc.record({
    room: fc.integer({ min: 0, max: 40 }),
    acknowledged: fc.integer({ min: 0, max: 60 }),
    ends: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const texts = Array.from({ length: 20 }, (_, i) => `${i}`.padStart((i % 7) + 2, "x"));
      const { queue, stream, wire, write, connect } = open(...texts);
      const arrived: string[] = [];
      let now = 0;
      let acked = 0;
      connect();
      /** Whole lines of what is acknowledged that were not seen before. */
      let seen = 0;
      const look = (): void => {
        for (;;) {
          const found = /^(\d+) /.exec(wire.bytes.slice(seen, acked));
          if (found === null) return;
          const end = seen + found[0].length + Number(found[1]);
          if (end > acked) return;
          arrived.push(wire.bytes.slice(seen + found[0].length, end));
          seen = end;
        }
      };
      for (const s of steps) {
        wire.room = s.room;
        stream.handleWritable();
        write();
        acked = Math.min(wire.bytes.length, acked + s.acknowledged);
        look();
        stream.acknowledged(wire.bytes.length - acked);
        expect(queue.settled).toBe(arrived.length);
        if (!s.ends) continue;
        stream.ended(now, "ended");
        now = stream.pollAt();
        stream.handleTimeout(now);
        connect();
        acked = 0;
        seen = 0;
      }
      expect(arrived).toEqual(texts.slice(0, arrived.length));
    }),
  );
});
