/**
 * `npm run mutate -- [--only WORD]... [--jobs N] [--list]`: takes out one check or timer after the other, each alone in a copy of the tree, and
 * runs the unit and simulation tests that can see the file, nearest first, until one fails. Those that need privileges or
 * devices are not among them. Prints what survived; the last line is `N of M caught`.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname } from "node:path";
import { commandLine } from "../../scripts/command-line.ts";
import { MUTATIONS } from "./list.ts";
import { type Mutation, mutated, mutationProblem } from "./mutation.ts";
import { testFiles } from "./reach.ts";
import { stagesOf } from "./stages.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const FOLDERS = ["src", "test/sim", "test/configs"];
const PRIVILEGED = ["test/support/world/", "test/support/veth.ts"];
/** A mutation may make the code loop for ever: so long, and so many times what the tests cost where nothing is taken out, are waited for. */
const HANGS_AFTER_MS = 20_000;
const HANGS_AFTER_TIMES = 10;
/** Of tests that nobody has measured; the slowest file takes some seconds. */
const UNKNOWN_MS = 20_000;
/** So many mutations are worth finding out first what each test file costs. */
const MANY = 50;

const USAGE = `usage: npm run mutate [-- [--only WORD]... [--jobs N] [--list]]

  --only WORD   those whose file or description holds the word
  --jobs N      at once: as many as there are processors
  --list        names them, and runs nothing
`;
const { values, number } = commandLine(USAGE, {
  only: { type: "string", multiple: true },
  jobs: { type: "string" },
  list: { type: "boolean", default: false },
});
const wantedJobs = number("jobs", 1);
const only = values.only;
const name = (m: Mutation): string => `${m.file}: ${m.takesOut}`;
const chosen = MUTATIONS.filter((m) => only === undefined || only.some((word) => name(m).includes(word)));

const problems: string[] = [];
for (const mutation of chosen) {
  const file = Bun.file(`${ROOT}/src/${mutation.file}`);
  const problem = mutationProblem(mutation, (await file.exists()) ? await file.text() : undefined);
  if (problem !== undefined) problems.push(`${name(mutation)}: ${problem}: ${JSON.stringify(mutation.text)}`);
}
if (problems.length > 0) {
  console.error(`${problems.join("\n")}\n${problems.length} of ${chosen.length} mutations cannot be applied`);
  process.exit(2);
}
if (values.list) {
  for (const mutation of chosen) console.log(name(mutation));
  process.exit(0);
}

const scratch = mkdtempSync(`${tmpdir()}/morgana-mutate-`);
const running = new Set<Bun.Subprocess>();
process.on("exit", () => {
  // One that loops for ever hears nothing else.
  for (const child of running) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

/** A copy of the tree as it is now, changed files too, with the packages of this one. */
function copyTree(to: string): void {
  const listed = Bun.spawnSync(["git", "ls-files", "-co", "--exclude-standard", "-z"], { cwd: ROOT });
  for (const file of listed.stdout.toString().split("\0")) {
    if (file === "" || file === "node_modules") continue;
    mkdirSync(dirname(`${to}/${file}`), { recursive: true });
    cpSync(`${ROOT}/${file}`, `${to}/${file}`, { force: true, errorOnExist: false });
  }
  symlinkSync(`${ROOT}/node_modules`, `${to}/node_modules`);
}

type Verdict =
  | { readonly kind: "caught"; readonly by: string; readonly file: string | undefined }
  | { readonly kind: "hangs" }
  | { readonly kind: "survived" };

async function runTests(tree: string, files: readonly string[]): Promise<Verdict> {
  if (files.length === 0) return { kind: "survived" };
  const argv = [process.execPath, "test", "--bail", "--timeout", "60000", ...files.map((file) => `./${file}`)];
  const child = Bun.spawn(argv, { cwd: tree, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  running.add(child);
  let hangs = false;
  const timer = setTimeout(() => {
    hangs = true;
    child.kill("SIGKILL");
  }, patience(files));
  const [out, status] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  clearTimeout(timer);
  running.delete(child);
  if (hangs) return { kind: "hangs" };
  if (status === 0) return { kind: "survived" };
  const failed = /^\(fail\) (.*?)( \[[\d.]+m?s\])?$/m.exec(out);
  // The name of a file stands above what is said of its tests.
  const file = [...out.slice(0, failed?.index).matchAll(/^(\S+\.test\.ts):$/gm)].at(-1)?.[1];
  return { kind: "caught", by: failed?.[1] ?? out.trim().split("\n").at(-1) ?? `status ${status}`, file };
}

const patience = (files: readonly string[]): number =>
  HANGS_AFTER_MS + HANGS_AFTER_TIMES * files.reduce((sum, file) => sum + (costs.get(file) ?? UNKNOWN_MS), 0);

/** One stage of tests after the other, each of which costs about as much as those before it, until one fails. */
async function judge(tree: string, mutation: Mutation): Promise<Verdict> {
  const file = `src/${mutation.file}`;
  const original = await Bun.file(`${tree}/${file}`).text();
  const stages = stagesOf(tests.seeing(file), costs, catchers.get(file));
  await Bun.write(`${tree}/${file}`, mutated(mutation, original));
  try {
    for (const stage of stages) {
      const verdict = await runTests(tree, stage);
      if (verdict.kind === "survived") continue;
      if (verdict.kind === "caught" && verdict.file !== undefined)
        catchers.set(file, (catchers.get(file) ?? new Set()).add(verdict.file));
      return verdict;
    }
    return { kind: "survived" };
  } finally {
    await Bun.write(`${tree}/${file}`, original);
  }
}

const jobs = Math.min(wantedJobs ?? availableParallelism(), chosen.length);
const tests = await testFiles(ROOT, FOLDERS, PRIVILEGED);
const trees = Array.from({ length: jobs }, (_, i) => `${scratch}/${i}`);
for (const tree of trees) copyTree(tree);
const costs = new Map<string, number>();
/** By source file the test files that have caught a mutation of it. */
const catchers = new Map<string, Set<string>>();
if (chosen.length >= MANY) await inEachTree(tests.all, measure);

const survivors: string[] = [];
await inEachTree(chosen, async (tree, mutation) => {
  const start = performance.now();
  const verdict = await judge(tree, mutation);
  const seconds = `${((performance.now() - start) / 1000).toFixed(1)} s`;
  if (verdict.kind === "survived") survivors.push(name(mutation));
  const how = verdict.kind === "caught" ? ` by "${verdict.by}"` : "";
  console.log(`${verdict.kind}: ${name(mutation)}${how} (${seconds})`);
});
if (survivors.length > 0) console.log(`\nsurvived:\n${survivors.map((line) => `  ${line}`).join("\n")}`);
console.log(`${chosen.length - survivors.length} of ${chosen.length} caught`);
process.exit(survivors.length > 0 ? 1 : 0);

/** Hands the items out to the copies of the tree, one after the other. */
async function inEachTree<T>(items: readonly T[], use: (tree: string, item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (tree: string): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) await use(tree, items[i]!);
  };
  await Promise.all(trees.map(work));
}

/** What a test file costs where nothing is taken out. One that fails then would catch everything. */
async function measure(tree: string, test: string): Promise<void> {
  const start = performance.now();
  const verdict = await runTests(tree, [test]);
  if (verdict.kind !== "survived") {
    console.error(`${test} fails though nothing is taken out`);
    process.exit(2);
  }
  costs.set(test, performance.now() - start);
}
