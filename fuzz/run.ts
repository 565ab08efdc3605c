/**
 * `npm run fuzz -- TARGET|all [--seed N] [--seconds N] [--grow]`: mutates the target's corpus, test/corpus/TARGET/, and what has reached
 * something new since the start. An input that makes it throw, or take a second of the processor, is kept there, where `npm
 * test` runs it again; with --grow also those that reached something new.
 */
import { writeFileSync } from "node:fs";
import { commandLine } from "../scripts/command-line.ts";
import { seededRandom } from "../src/lib/random.ts";
import { mutate } from "./mutate.ts";
import { corpus, corpusOf, type Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

const USAGE = `usage: npm run fuzz -- TARGET|all [--seed N] [--seconds N] [--grow]

  TARGET        ${Object.keys(TARGETS).join(" ")}
  --seed N      1; the same number is the same run
  --seconds N   20, of each target
  --grow        keeps in the corpus what reached something new
`;
const isTarget = (word: string, index: number): boolean =>
  index === 0 && (word === "all" || Object.hasOwn(TARGETS, word));
const { values, words, refuse, number } = commandLine(
  USAGE,
  { seed: { type: "string" }, seconds: { type: "string" }, grow: { type: "boolean", default: false } },
  isTarget,
);
const wanted = words[0] ?? refuse(`which target? all, or one of ${Object.keys(TARGETS).join(" ")}`);
const seed = number("seed", 0) ?? 1;
const seconds = number("seconds", 1) ?? 20;
const chosen = Object.entries(TARGETS).filter(([name]) => wanted === "all" || name === wanted);

const MOST_FAILURES = 10;
let failures = 0;
for (const [name, target] of chosen) failures += fuzz(name, target);
process.exit(failures > 0 ? 1 : 0);

function fuzz(name: string, target: Target): number {
  const reached = new Set<string>();
  const pool = corpus(name).map(({ bytes }) => bytes);
  for (const input of pool) target.run(input, (what) => reached.add(what));
  const atStart = reached.size;
  const random = seededRandom(seed);
  const end = performance.now() + seconds * 1000;
  let runs = 0;
  let found = 0;
  while (performance.now() < end && found < MOST_FAILURES) {
    const input = mutate(random, pool);
    const before = reached.size;
    const start = process.cpuUsage();
    let problem: unknown;
    try {
      target.run(input, (what) => reached.add(what));
      const { user, system } = process.cpuUsage(start);
      if (user + system > 1_000_000) problem = "slow";
    } catch (error) {
      problem = error;
    }
    runs++;
    const isNew = reached.size > before;
    if (isNew) pool.push(input);
    if (problem === undefined && !(isNew && values.grow)) continue;
    const file = `${corpusOf(name)}/${problem === undefined ? "" : "failed-"}${Bun.hash(input).toString(16)}.bin`;
    writeFileSync(file, input);
    if (problem === undefined) continue;
    found++;
    console.log(file, problem);
  }
  console.log(
    `${name}: ${runs} inputs, ${reached.size} things reached (${atStart} by the corpus), ${found} failures (seed ${seed})`,
  );
  return found;
}
