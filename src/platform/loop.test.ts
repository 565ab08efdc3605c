import { expect, test } from "bun:test";
import { runLoop } from "./loop.ts";
import type { Poller } from "./sys/poller.ts";

test("the turn in which the end comes is the last: nothing sleeps until the next deadline", async () => {
  const sleeps: number[] = [];
  let done = false;
  const turns = {
    receive: () => false,
    control: () => {
      done = true;
    },
    pollAt: () => Number.POSITIVE_INFINITY,
    done: () => done,
    failed: (error: unknown) => {
      throw error;
    },
  };
  await runLoop(turns, { wait: (ms: number) => sleeps.push(ms) && 0 } as unknown as Poller);
  expect(sleeps.filter((ms) => ms > 0)).toEqual([]);
});
