import { expect, test } from "bun:test";
import { stagesOf } from "./stages.ts";

test("near and cheap tests come first, and each stage costs about as much as what was tried in vain", () => {
  const seeing = [
    { test: "own.test.ts", distance: 1 },
    { test: "slow.test.ts", distance: 1 },
    { test: "far.test.ts", distance: 3 },
    { test: "test/sim/all.test.ts", distance: 6 },
  ];
  const costs = new Map([
    ["own.test.ts", 200],
    ["slow.test.ts", 9000],
    ["far.test.ts", 300],
    ["test/sim/all.test.ts", 1000],
  ]);
  expect(stagesOf(seeing, costs)).toEqual([
    ["own.test.ts"],
    ["far.test.ts"],
    ["test/sim/all.test.ts"],
    ["slow.test.ts"],
  ]);
  expect(stagesOf(seeing, new Map()).flat()).toHaveLength(4);
  expect(stagesOf(seeing, costs, new Set(["test/sim/all.test.ts"])).flat()).toEqual([
    ...["own.test.ts", "test/sim/all.test.ts", "far.test.ts", "slow.test.ts"],
  ]);
  expect(stagesOf([], costs)).toEqual([]);
});
