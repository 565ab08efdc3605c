/**
 * 2,000 seeds of a client and a server in a network that does its worst: in the end there is a tunnel, or the client has said why there
 * is none, and never a hang. `SEED=17 bun test test/sim/bad-net` plays that one alone, `SEEDS=20000` more of them.
 */
import { expect, test } from "bun:test";
import { type Outcome, play } from "./scenario.ts";

const ONE = process.env["SEED"];
const COUNT = Number(process.env["SEEDS"] ?? 2000);
/** So that a failure is soon said, and the runner's bound is for a part of them. */
const AT_ONCE = 100;

const played: Outcome[] = [];

function playOne(seed: number): void {
  let outcome: Outcome;
  try {
    outcome = play(seed);
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error });
  }
  played.push(outcome);
  const { obstacle, stated, altered } = outcome;
  expect({ seed, obstacle, stated: stated !== undefined, altered }).toEqual({
    ...{ seed, obstacle, stated: obstacle !== "none", altered: 0 },
  });
}

if (ONE !== undefined) test(`seed ${ONE}`, () => playOne(Number(ONE)));
else
  for (let first = 1; first <= COUNT; first += AT_ONCE) {
    const last = Math.min(COUNT, first + AT_ONCE - 1);
    test(`seeds ${first} to ${last}: a tunnel, or the cause of its absence`, () => {
      for (let seed = first; seed <= last; seed++) playOne(seed);
    }, 600_000);
  }
