import { expect, test } from "bun:test";
import fc from "fast-check";
import type { LogRecord } from "../../lib/log.ts";
import { RecordQueue } from "./record-queue.ts";

const record = (n: number, message = "", event = "x.y"): LogRecord => ({
  unixMs: n,
  level: "info",
  event,
  message,
  fields: {},
});
/** All that can be taken, each settled: their times, and of those that tell of a loss how many. */
function drain(queue: RecordQueue): (number | string)[] {
  const out: (number | string)[] = [];
  for (let r = queue.take(); r !== undefined; r = queue.take()) {
    out.push(r.event === "syslog.lost" ? `lost ${r.fields["lines"]}` : r.unixMs);
    queue.settle(1);
  }
  return out;
}
const from = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

test("what was taken and not settled is taken again after a rewind", () => {
  const queue = new RecordQueue();
  for (const n of [1, 2, 3]) queue.push(record(n));
  expect([queue.take()?.unixMs, queue.take()?.unixMs]).toEqual([1, 2]);
  queue.settle(1);
  queue.rewind();
  expect([queue.length, drain(queue), queue.hasNext]).toEqual([2, [2, 3], false]);
});

test("1,024 records wait; more are lost, counted, and told of once there is room", () => {
  const queue = new RecordQueue();
  for (let n = 0; n < 1030; n++) queue.push(record(n));
  expect([queue.length, queue.lost]).toEqual([1024, 6]);
  expect(drain(queue)).toEqual([...from(0, 1024), "lost 6"]);
  queue.push(record(2000));
  expect(drain(queue)).toEqual([2000]);
});

test("after a loss it begins again with half of the room, and the loss stands where the lines are missing", () => {
  const queue = new RecordQueue();
  for (let n = 0; n < 1025; n++) queue.push(record(n));
  const take = (n: number): void => {
    for (let i = 0; i < n; i++) queue.take();
    queue.settle(n);
  };
  take(500);
  queue.push(record(3000));
  expect(queue.lost).toBe(2);
  take(13);
  queue.push(record(4000));
  expect(drain(queue)).toEqual([...from(513, 1024), "lost 2", 4000]);
});

test("128 Ki characters wait, whatever they are of", () => {
  const queue = new RecordQueue();
  const big = { ...record(1, "m".repeat(4000)), fields: { a: "x".repeat(1000), b: 12345 } };
  for (let n = 0; n < 100; n++) queue.push(big);
  expect(queue.length).toBe(Math.floor((128 * 1024) / (64 + 3 + 4000 + 1 + 1000 + 1 + 5)));
  drain(queue);
  for (let n = 0; n < 20; n++) queue.push(big);
  expect([queue.length, queue.lost]).toEqual([20, 100 - 25]);
});

test("what a sender says of its sending is not sent: no line feeds itself", () => {
  const queue = new RecordQueue();
  queue.push(record(1, "", "syslog.failed"));
  queue.push(record(2, "", "statistics.syslog"));
  expect(drain(queue)).toEqual([2]);
});

test("where nobody is to be told nothing is kept, until somebody is", () => {
  const queue = new RecordQueue();
  for (let n = 0; n < 1030; n++) queue.push(record(n));
  queue.close();
  queue.push(record(1));
  expect([queue.length, queue.hasNext, queue.take()]).toEqual([0, false, undefined]);
  queue.open();
  queue.push(record(2));
  expect(drain(queue)).toEqual([2]);
});

test("whatever happens, each record is told of or counted in a record, in its order", () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 700 }), settle: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new RecordQueue();
      const seen: LogRecord[] = [];
      let n = 0;
      for (const s of steps) {
        if ("push" in s) for (let i = 0; i < s.push; i++) queue.push(record(n++));
        else {
          const taken: LogRecord[] = [];
          for (let i = 0; i < s.take; i++) {
            const r = queue.take();
            if (r !== undefined) taken.push(r);
          }
          if (s.settle) {
            queue.settle(taken.length);
            seen.push(...taken);
          } else queue.rewind();
        }
        expect(queue.length).toBeLessThanOrEqual(1025);
      }
      for (let r = queue.take(); r !== undefined; r = queue.take()) seen.push(r);
      let next = 0;
      for (const r of seen) {
        if (r.event === "syslog.lost") next += r.fields["lines"] as number;
        else expect(r.unixMs).toBe(next++);
      }
      expect(next).toBe(n);
    }),
    { numRuns: 50 },
  );
});
