import { describe, expect, test } from "bun:test";
import { Pace, TURN_PACKETS } from "./pace.ts";

/** Turns of so many packets each, as fast as `ms` from one to the next. */
function turns(
  pace: Pace,
  count: number,
  [sent, received, runs]: readonly [number, number, number],
  ms: number,
  from = 0,
): number {
  for (let i = 1; i <= count; i++) pace.note(from + i * ms, sent, received, runs);
  return from + count * ms;
}

describe("pace", () => {
  test("to an end that acknowledges packet by packet goes little at once, with a rest in between", () => {
    const pace = new Pace();
    const now = turns(pace, 10, [32, 16, 16], 0.5);
    expect(pace.budget).toBe(32);
    expect(pace.restUs(now, true)).toBe(200);
    // Of what is sent behind that, the other end has room for two super-frames; the time that has passed counts.
    pace.note(now + 5, 46, 0, 0);
    expect(pace.restUs(now + 5, false)).toBe(200);
    pace.note(now + 5.3, 46, 0, 0);
    expect([pace.restUs(now + 5.3, false), pace.restUs(now + 5.35, false)]).toEqual([200, 150]);
    pace.note(now + 5.5, 46, 0, 0);
    expect(pace.restUs(now + 5.5, false)).toBe(236);
    expect([pace.restUs(now + 5.72, false), pace.restUs(now + 20, false)]).toEqual([0, 0]);
  });

  test("what comes packet by packet gathers", () => {
    const pace = new Pace();
    const now = turns(pace, 300, [0, 2, 2], 0.05);
    expect(pace.restUs(now, true)).toBe(200);
  });

  test("an end that acknowledges super-frames, or sends them, takes all that a turn has, and nothing waits for it", () => {
    const acknowledged = new Pace();
    turns(acknowledged, 20, [138, 3, 3], 0.5);
    expect([acknowledged.budget, acknowledged.restUs(10, false)]).toEqual([TURN_PACKETS, 0]);
    const sends = new Pace();
    turns(sends, 20, [3, 138, 3], 0.5);
    expect([sends.budget, sends.restUs(10, true)]).toEqual([TURN_PACKETS, 0]);
  });

  test("datagrams one way, which nobody acknowledges, are not held up", () => {
    const pace = new Pace();
    turns(pace, 20, [200, 0, 0], 0.5);
    expect(pace.budget).toBe(TURN_PACKETS);
  });

  test("who asks and waits for the answer gets it at once; what is left over from a small turn waits all the same", () => {
    const pace = new Pace();
    const now = turns(pace, 600, [1, 1, 1], 0.3);
    expect(pace.restUs(now, true)).toBe(0);
    pace.note(now, 77, 0, 0);
    expect([pace.restUs(now, true), pace.restUs(now, false)]).toEqual([0, 256]);
  });

  test("it is looked at anew after every 256 packets", () => {
    const pace = new Pace();
    const now = turns(pace, 10, [32, 16, 16], 0.5);
    turns(pace, 5, [32, 1, 1], 0.5, now);
    expect(pace.budget).toBe(32);
    turns(pace, 20, [32, 0, 0], 0.5, now);
    expect(pace.budget).toBe(TURN_PACKETS);
  });

  test("what went to an end that takes super-frames is not held against one that does not", () => {
    const pace = new Pace();
    const now = turns(pace, 1000, [256, 3, 3], 0.5);
    turns(pace, 10, [32, 16, 16], 0.5, now);
    expect(pace.restUs(now + 5, false)).toBeLessThanOrEqual(256);
  });
});
