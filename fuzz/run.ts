/**
 * `npm run fuzz -- TARGET [--seed N] [--seconds N]`: mutates the target's seeds and its corpus. An input that makes it
 * throw, or take longer than a second, is kept in test/corpus/TARGET/, where `npm test` runs it again.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { seededRandom } from "../src/lib/random.ts";
import { mutate } from "./mutate.ts";
import { TARGETS } from "./targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string", default: "1" }, seconds: { type: "string", default: "20" } },
});
const name = positionals[0] ?? "";
const target = TARGETS[name];
if (target === undefined) {
  console.error(`usage: npm run fuzz -- ${Object.keys(TARGETS).join("|")} [--seed N] [--seconds N]`);
  process.exit(2);
}
const corpus = `${import.meta.dir}/../test/corpus/${name}`;
mkdirSync(corpus, { recursive: true });
const seeds = [...target.seeds, ...readdirSync(corpus).map((file) => readFileSync(`${corpus}/${file}`))];
const random = seededRandom(Number(values.seed));
const end = performance.now() + Number(values.seconds) * 1000;
let runs = 0;
let found = 0;
while (performance.now() < end && found < 10) {
  const input = mutate(random, seeds);
  const start = performance.now();
  let problem: unknown;
  try {
    target.run(input);
    if (performance.now() - start > 1000) problem = "slow";
  } catch (error) {
    problem = error;
  }
  runs++;
  if (problem === undefined) continue;
  found++;
  const file = `${corpus}/${Bun.hash(input).toString(16)}.bin`;
  writeFileSync(file, input);
  console.log(file, problem);
}
console.log(`${name}: ${runs} inputs, ${found} failures (seed ${values.seed})`);
process.exit(found > 0 ? 1 : 0);
