import { expect, test } from "bun:test";
import { MtuProbe } from "./mtu-probe.ts";

test("what the way takes is asked after 64 runs, then after twice as many each time, up to 16,384", () => {
  const probe = new MtuProbe();
  const asked: number[] = [];
  for (let run = 1; run <= 70_000; run++) if (probe.asks()) asked.push(run);
  expect(asked.map((run, i) => run - (asked[i - 1] ?? 0))).toEqual([
    ...[64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 16_384, 16_384],
  ]);
});
