/** A flood of fragments allocates nothing for one of them. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { allocatedBy } from "./allocated.ts";

setDefaultTimeout(60_000);

const FRAGMENTS = 200_000;

for (const family of ["4", "6"])
  for (const senders of ["many", "one"])
    test(`${FRAGMENTS} fragments of IPv${family} of packets that are given up, of ${senders}, and some that become whole`, async () => {
      const { told, bytes } = await allocatedBy("fragments-child.ts", `${FRAGMENTS}`, family, senders);
      expect(told).toEqual({ whole: FRAGMENTS / 10, kept: 127 });
      // An object of two numbers is 32 bytes.
      expect(bytes / FRAGMENTS).toBeLessThan(8);
    });
