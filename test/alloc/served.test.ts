/** Nothing is allocated for a packet through a server's router, whichever way it goes (allocated.ts says how it is seen). */
import { expect, setDefaultTimeout, test } from "bun:test";
import { allocatedBy } from "./allocated.ts";

setDefaultTimeout(60_000);

const TURNS = 40_000;

for (const [lan, packets] of [
  ["routed", 11],
  ["translated", 11],
  ["closed", 7],
] as const)
  test(`${TURNS} times ${packets} packets of peers, internet and LAN, which is ${lan}: nothing is allocated for one`, async () => {
    const { told, bytes } = await allocatedBy("served-child.ts", lan, `${TURNS}`);
    expect(told).toEqual({ forwarded: TURNS * packets });
    // An object of two numbers is 32 bytes.
    expect(bytes / (TURNS * packets)).toBeLessThan(2);
  });
