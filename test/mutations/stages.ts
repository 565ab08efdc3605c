/** In which order the tests that can see a file are tried: the cheap and near ones first. */

/** ms that a test file takes. */
export type Costs = ReadonlyMap<string, number>;

/** Of a test file that nobody has measured. */
const USUAL_MS = 500;
/** What it takes to run any at all. */
const START_MS = 150;
/** A simulation of whole sessions or stacks is there for what lies far below it. */
const SIMULATION_DISTANCE = 2;

/** One that has caught another mutation of the file is likely to catch this one. */
const CATCHES = 8;

/** @param seeing test files and the number of imports between @param catchers those that have caught others of the file @returns groups, each of which costs about as much as all before it together */
export function stagesOf(
  seeing: readonly { readonly test: string; readonly distance: number }[],
  costs: Costs,
  catchers: ReadonlySet<string> = new Set(),
): readonly (readonly string[])[] {
  const ranked = seeing
    .map(({ test, distance }) => {
      const steps = test.startsWith("test/sim/") ? Math.min(distance, SIMULATION_DISTANCE) : distance;
      const ms = costs.get(test) ?? USUAL_MS;
      return { test, ms, rank: (ms * Math.max(1, steps) ** 2) / (catchers.has(test) ? CATCHES : 1) };
    })
    .sort((a, b) => a.rank - b.rank);
  const stages: string[][] = [];
  let [spent, limit] = [0, START_MS];
  for (const { test, ms } of ranked) {
    const last = stages.at(-1);
    if (last === undefined || spent + ms > limit) {
      stages.push([test]);
      limit = 2 * (spent + ms);
    } else last.push(test);
    spent += ms;
  }
  return stages;
}
