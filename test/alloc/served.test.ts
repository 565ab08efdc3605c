/** Nothing is allocated for a packet through a server's router, whichever way it goes (allocation.test.ts says how it is seen). */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";

setDefaultTimeout(60_000);

const PORTION = 256 * 1024;
const TURNS = 40_000;

for (const [lan, packets] of [
  ["routed", 11],
  ["translated", 11],
  ["closed", 7],
] as const)
  test(`${TURNS} times ${packets} packets of peers, internet and LAN, which is ${lan}: nothing is allocated for one`, async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "served-child.ts"), lan, `${TURNS}`], {
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
    expect(err.slice(0, err.indexOf("FROM HERE"))).toContain("[GC");
    expect(JSON.parse(out)).toEqual({ forwarded: TURNS * packets });
    const collections = measured.match(/^\[GC.*START/gm)?.length ?? 0;
    // An object of two numbers is 32 bytes.
    expect((collections * PORTION) / (TURNS * packets)).toBeLessThan(2);
  });
