import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { seededRandom } from "../src/lib/random.ts";
import { mutate } from "./mutate.ts";
import { TARGETS } from "./targets.ts";

const RUNS = 5000;

for (const [name, target] of Object.entries(TARGETS)) {
  test(`${name}: its seeds, what failed once, and ${RUNS} mutations do not throw`, () => {
    const folder = `${import.meta.dir}/../test/corpus/${name}`;
    const corpus = existsSync(folder) ? readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`)) : [];
    for (const input of [...target.seeds, ...corpus]) target.run(input);
    const random = seededRandom(20261124);
    for (let i = 0; i < RUNS; i++) {
      const input = mutate(random, target.seeds);
      try {
        target.run(input);
      } catch (error) {
        throw new Error(`${name} threw for ${input.toHex()}`, { cause: error });
      }
    }
  });
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
