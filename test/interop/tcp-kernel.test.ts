/**
 * Our TCP against the Linux kernel over bad links: both ways, as client and as listener. What arrives is proven by its SHA-256. `npm run
 * interop:full` takes every network, and measures.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Cell, pairwise } from "../support/tcp/grid.ts";
import { type Host, TcpPath } from "../support/tcp/path.ts";
import { residentBytes } from "../support/world/router.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(180_000);

/** `TCP=kernel` puts the kernel in our place, to try out the tests themselves. */
const US: Host = process.env["TCP"] === "kernel" ? "kernel" : "own";
/** Networks at once. */
const JOBS = 4;
/** Enough for loss to be met and mended, little enough for a minute in all. */
const bytesOf = ({ delay, faults, mtu }: Cell): number => {
  const packets = delay === 0 ? 1500 : delay === 20 ? 300 : 60;
  return Math.round((packets * mtu) / (1 + (faults?.loss ?? 0)));
};
const PATIENCE_S = 120;
const FLOOD_S = 4;
const MIB = 1 << 20;

describe.skipIf(NO_WORLD)("TCP with the kernel", () => {
  test("every byte arrives over every kind of bad network, whoever connects and whoever sends", async () => {
    const left = pairwise();
    const problems: string[] = [];
    const worker = async (): Promise<void> => {
      const path = await TcpPath.create();
      try {
        await path.serve("b", "kernel");
        for (let cell = left.shift(); cell !== undefined; cell = left.shift())
          problems.push(...(await judge(path, cell)));
      } finally {
        await path.close();
      }
    };
    await Promise.all(Array.from({ length: JOBS }, worker));
    expect(problems).toEqual([]);
  });
});

/** A transfer each way at once as client, then as listener. */
async function judge(path: TcpPath, cell: Cell): Promise<string[]> {
  await path.become(cell, cell.faults);
  await path.use(US);
  const amount = { bytes: bytesOf(cell) };
  const asClient = await path.both("a", US, amount, PATIENCE_S);
  const server = await path.serve("a", US);
  const asListener = await path.both("b", "kernel", amount, PATIENCE_S);
  await server.stop();
  return [
    ...asClient.map(({ problem }) => `client: ${problem ?? ""}`),
    ...asListener.map(({ problem }) => `listener: ${problem ?? ""}`),
  ]
    .filter((text) => !text.endsWith(": "))
    .map((text) => `${cell.name}: ${text}`);
}

describe.skipIf(NO_WORLD)("many connections with the kernel", () => {
  let path: TcpPath;

  beforeAll(async () => {
    path = await TcpPath.create();
    await path.become({ family: 4, mtu: 1500 }, undefined);
    await path.use(US);
    await path.serve("b", "kernel");
  });
  afterAll(() => path?.close());

  test("one after the other, from both sides", async () => {
    expect(await path.many("a", US, "row", 1000, 3000, PATIENCE_S)).toMatchObject({ good: 1000 });
    const server = await path.serve("a", US);
    expect(await path.many("b", "kernel", "row", 1000, 3000, PATIENCE_S)).toMatchObject({ good: 1000 });
    await server.stop();
  });

  test("2,000 at once, from both sides", async () => {
    expect(await path.many("a", US, "together", 2000, 20_000, PATIENCE_S)).toMatchObject({ good: 2000 });
    const server = await path.serve("a", US);
    expect(await path.many("b", "kernel", "together", 2000, 20_000, PATIENCE_S)).toMatchObject({ good: 2000 });
    await server.stop();
  });

  test.skipIf(US === "kernel")("a flood of SYNs keeps nobody out, and costs no memory", async () => {
    const server = await path.serve("a", US);
    await path.many("b", "kernel", "row", 20, 3000, PATIENCE_S);
    const before = residentBytes(server.pid);
    let isOver = false;
    const flood = path.flood(FLOOD_S).then(() => (isOver = true));
    let good = 0;
    while (!isOver) {
      const tally = await path.many("b", "kernel", "row", 10, 3000, PATIENCE_S);
      expect(tally.problems).toEqual([]);
      good += tally.good;
    }
    await flood;
    expect(good).toBeGreaterThanOrEqual(10);
    expect(residentBytes(server.pid) - before).toBeLessThan(24 * MIB);
    await server.stop();
  });
});
