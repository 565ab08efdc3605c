/** A connection allocates nothing per segment: super-frames and copied segments, bulk and small exchanges (allocation.test.ts says how it is seen). */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";

setDefaultTimeout(60_000);

const PORTION = 256 * 1024;

for (const [way, turns] of [
  ["whole", 30_000],
  ["split", 8_000],
] as const)
  test(`${turns} turns of two stacks, ${way}: nothing is allocated for a frame`, async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "tcp-child.ts"), `${turns}`, way], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, BUN_JSC_logGC: "1", BUN_JSC_gcMaxHeapSize: `${PORTION}` },
    });
    const [out, err, status] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const measured = /^FROM HERE$([\s\S]*)^TO HERE$/m.exec(err)?.[1];
    if (status !== 0 || measured === undefined) throw new Error(`status ${status}: ${err.slice(-2000)}`);
    const { moved, exchanges, frames } = JSON.parse(out);
    expect(err.slice(0, err.indexOf("FROM HERE"))).toContain("[GC");
    expect(moved).toBeGreaterThan(turns * 50_000);
    expect(exchanges).toBeGreaterThan(turns / 2);
    const collections = measured.match(/^\[GC.*START/gm)?.length ?? 0;
    // An object of two numbers is 32 bytes.
    expect((collections * PORTION) / frames).toBeLessThan(8);
  });
