import { expect, test } from "bun:test";
import { type JunkSource, junkFrame } from "./junk.ts";
import { Xorshift } from "./rng.ts";

const source: JunkSource = {
  side: "wan",
  ownMac: [2, 0, 0, 0, 0, 1],
  routerMac: [2, 0, 0, 0, 0, 2],
  ownIp: [203, 0, 113, 1],
  routerIp: [203, 0, 113, 100],
};

const many = (seed: number): Uint8Array[] => {
  const random = new Xorshift(seed);
  return Array.from({ length: 5000 }, () => junkFrame(random, source));
};

test("the same seed makes the same frames, another one others", () => {
  expect(many(1)).toEqual(many(1));
  expect(many(1)).not.toEqual(many(2));
});

test("every frame can be sent, and says that it comes from us", () => {
  for (const frame of many(3)) {
    expect(frame.length).toBeGreaterThanOrEqual(14);
    expect(frame.length).toBeLessThan(1514);
    expect([...frame.subarray(6, 12)]).toEqual([...source.ownMac]);
  }
});

test("a good part of them gets past the IPv4 header checksum", () => {
  const good = many(4).filter((frame) => {
    if (frame.length < 34 || frame[12] !== 8 || frame[13] !== 0 || (frame[14]! & 15) !== 5) return false;
    let sum = 0;
    for (let i = 14; i < 34; i += 2) sum += (frame[i]! << 8) | frame[i + 1]!;
    return (sum & 0xffff) + (sum >>> 16) === 0xffff;
  });
  expect(good.length).toBeGreaterThan(1500);
});
