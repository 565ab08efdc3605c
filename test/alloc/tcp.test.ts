/** A connection allocates nothing per segment: super-frames and copied segments, bulk and small exchanges (allocated.ts says how it is seen). */
import { expect, setDefaultTimeout, test } from "bun:test";
import { allocatedBy } from "./allocated.ts";

setDefaultTimeout(60_000);

for (const [way, turns] of [
  ["whole", 30_000],
  ["split", 8_000],
] as const)
  test(`${turns} turns of two stacks, ${way}: nothing is allocated for a frame`, async () => {
    type Told = { readonly moved: number; readonly exchanges: number; readonly frames: number };
    const { told, bytes } = await allocatedBy<Told>("tcp-child.ts", `${turns}`, way);
    const { moved, exchanges, frames } = told;
    expect(moved).toBeGreaterThan(turns * 50_000);
    expect(exchanges).toBeGreaterThan(turns / 2);
    // An object of two numbers is 32 bytes.
    expect(bytes / frames).toBeLessThan(8);
  });
