import { expect, test } from "bun:test";
import { seededRandom } from "../src/lib/random.ts";
import { mutate } from "./mutate.ts";
import { corpus } from "./target.ts";
import { TARGETS } from "./targets.ts";

const RUNS = 3000;

for (const [name, target] of Object.entries(TARGETS)) {
  test(`${name}: its corpus and ${target.runs ?? RUNS} mutations of it do not throw`, () => {
    const seeds = corpus(name);
    expect(seeds.length).toBeGreaterThan(0);
    const reached = new Set<string>();
    const run = (what: string, input: Uint8Array): void => {
      try {
        target.run(input, (feature) => reached.add(feature));
      } catch (error) {
        throw new Error(`${name} threw for ${what}: ${input.toHex()}`, { cause: error });
      }
    };
    for (const { file, bytes } of seeds) run(file, bytes);
    const random = seededRandom(20261124);
    const pool = seeds.map(({ bytes }) => bytes);
    for (let i = 0; i < (target.runs ?? RUNS); i++) {
      const before = reached.size;
      const input = mutate(random, pool);
      run(`mutation ${i}`, input);
      if (reached.size > before) pool.push(input);
    }
  }, 60_000);
}

test("the same seed gives the same mutations, and mutations differ from their seeds", () => {
  const seeds = [new Uint8Array(40).fill(7)];
  const make = (): string[] => {
    const random = seededRandom(5);
    return Array.from({ length: 20 }, () => mutate(random, seeds).toHex());
  };
  expect(make()).toEqual(make());
  expect(new Set(make()).size).toBeGreaterThan(15);
});
