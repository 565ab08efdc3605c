import { expect, test } from "bun:test";
import { type Part, runLoop, type Turns } from "./loop.ts";
import type { Poller } from "./sys/poller.ts";

/** Runs turns that end after `ends` of them; how long it slept, and what failed. */
async function run(ends: number, changes: Partial<Turns>, onReady?: (bits: number) => void) {
  const sleeps: number[] = [];
  const failures: Part[] = [];
  let turn = 0;
  const turns: Turns = {
    receive: () => false,
    control: () => {},
    pollAt: () => Number.POSITIVE_INFINITY,
    done: () => turn >= ends,
    failed: (_now, _error, during) => void failures.push(during),
    ...changes,
  };
  const control = turns.control;
  turns.control = (now) => {
    turn++;
    control(now);
  };
  const poller = { wait: (ms: number) => sleeps.push(ms) && 1 } as unknown as Poller;
  await runLoop(turns, { poller, clock: () => 1000, ...(onReady && { onReady }) });
  return { sleeps, failures };
}

const broken = (): never => {
  throw new Error("broken");
};

test("the turn in which the end comes is the last: nothing sleeps until the next deadline", async () => {
  expect((await run(1, {})).sleeps).toEqual([]);
  expect((await run(2, {})).sleeps).toHaveLength(1);
});

test("after a packet that fails the loop does not sleep: those behind it are in the device's ring, which wakes no poll", async () => {
  expect(await run(3, { receive: broken })).toEqual({ sleeps: [], failures: ["receive", "receive", "receive"] });
});

test("nothing that is thrown ends the loop, also not where other descriptors are looked at", async () => {
  expect((await run(3, { control: broken })).failures).toEqual(["control", "control", "control"]);
  expect((await run(3, {}, broken)).failures).toEqual(["ready", "ready"]);
});

test("a rest between turns is taken in place of the sleep, and what waits meanwhile is looked at after it", async () => {
  const rests: number[] = [];
  let left = 3;
  const turns: Turns = {
    receive: () => false,
    control: () => {},
    pollAt: () => Number.POSITIVE_INFINITY,
    restUs: () => (left > 0 ? 200 : 0),
    done: () => left === 0,
    failed: () => {},
  };
  const rest = (us: number): void => {
    left--;
    rests.push(us);
  };
  const poller = { wait: () => expect.unreachable(), rest } as unknown as Poller;
  await runLoop(turns, { poller, clock: () => 1000 });
  expect(rests).toEqual([200, 200, 200]);
});
