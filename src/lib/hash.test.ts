import { expect, test } from "bun:test";
import { mix, mixWords } from "./hash.ts";
import { randomBelow, seededRandom } from "./random.ts";

const PLACES = 256;

/** The most of 4,096 words that share a place. */
const fullest = (seed: number, word: (i: number) => number): number => {
  const places = new Int32Array(PLACES);
  for (let i = 0; i < 4096; i++) places[mix(seed, word(i)) & (PLACES - 1)]!++;
  return Math.max(...places);
};

test("addresses that differ only in low, only in high or in single bits spread over the places", () => {
  const random = seededRandom(1);
  for (let n = 0; n < 20; n++) {
    const seed = randomBelow(random, 2 ** 32) | 0;
    for (const word of [(i: number) => i, (i: number) => i << 20, (i: number) => (i << 8) | 1])
      expect(fullest(seed, word)).toBeLessThan(64);
  }
});

test("what shares a place with one seed does not with another", () => {
  const first = mix(1, 0) & (PLACES - 1);
  const together = Array.from({ length: 65_536 }, (_, i) => i).filter((i) => (mix(1, i) & (PLACES - 1)) === first);
  expect(together.length).toBeGreaterThan(100);
  expect(new Set(together.map((i) => mix(0x5bd1e995, i) & (PLACES - 1))).size).toBeGreaterThan(40);
});

test("several words are mixed one after the other, from where they are", () => {
  const words = Int32Array.of(9, 1, 2, 3, 9);
  expect(mixWords(5, words, 1, 3)).toBe(mix(mix(mix(5, 1), 2), 3));
  expect(mixWords(5, words, 1, 3)).not.toBe(mixWords(5, Int32Array.of(2, 1, 3), 0, 3));
});
