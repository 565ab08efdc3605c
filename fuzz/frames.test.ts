import { expect, test } from "bun:test";
import { frames } from "./frames.ts";

test("hostile frames of both families: nothing throws, and each is handled or dropped by name, once", () => {
  for (const seed of [1, 2]) {
    const { problems, drops } = frames(8000, seed);
    expect(problems).toEqual([]);
    // It reached what is behind the first checks of both families.
    const reached = [
      "lan.NdUnsolicited",
      "lan.FragmentOverlap",
      "router.lan.IcmpBadQuote",
      "router.tunnel.NatNoMapping",
    ];
    expect(reached.filter((name) => (drops[name] ?? 0) === 0)).toEqual([]);
  }
});
