import { expect, test } from "bun:test";
import { BoundedLog } from "./bounded-log.ts";
import type { Log, LogFields } from "./log.ts";

test("of each event a few lines at once and then one in a while, with the number of those that were held back", () => {
  const lines: [string, LogFields][] = [];
  const log: Log = {
    enabled: (level) => level !== "debug",
    write: (_l, event, _m, fields = {}) => void lines.push([event, fields]),
  };
  const bounded = new BoundedLog(log, 1, 2);
  for (let now = 0; now < 50_000; now += 10) bounded.write(now, "warn", "a", "again", { n: 1 });
  bounded.write(50_000, "warn", "b", "another");
  bounded.write(50_000, "debug", "c", "not wanted");
  bounded.write(70_000, "warn", "a", "again");
  bounded.write(140_000, "warn", "a", "again");
  expect(lines).toEqual([
    ["a", { n: 1 }],
    ["a", { n: 1 }],
    ["b", {}],
    ["a", { "held-back": 4998 }],
    ["a", {}],
  ]);
});
