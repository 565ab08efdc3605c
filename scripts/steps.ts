/** The steps that `npm test` and `npm run check` are made of: a program is run, its output streams through, and what it counts is counted. */

import { join } from "node:path";

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Tally extends Counts {
  /** What failed, as it is named again at the end: the output of a run is long. */
  readonly failures: string[];
}

export const newTally = (): Tally => ({ passed: 0, failed: 0, skipped: 0, failures: [] });

/** Minutes after which a step hangs: several times what the longest needs. */
const HANGS = 25;

export const ROOT = join(import.meta.dir, "..");

const DIM = process.stdout.isTTY ? "\x1b[2m" : "";
const PLAIN = process.stdout.isTTY ? "\x1b[0m" : "";
const running = new Set<Bun.Subprocess>();

/** Ends the programs of the running steps when this one is told to end. */
export function endWithMe(): void {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.on(signal, async () => {
      for (const child of running) child.kill("SIGTERM");
      await Promise.race([Promise.all([...running].map(({ exited }) => exited)), Bun.sleep(15_000)]);
      process.exit(status);
    });
  }
}

/** Runs one program; its status and everything that it printed, which is shown as it comes, or (beside another step) when it has ended. */
async function stream(
  title: string,
  argv: readonly string[],
  minutes: number,
  beside = false,
): Promise<{ status: number; out: string }> {
  const start = performance.now();
  const heading = `\n== ${title} ${DIM}${argv.join(" ")}${PLAIN}`;
  if (!beside) console.log(heading);
  const child = Bun.spawn([...argv], { cwd: ROOT, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  running.add(child);
  const timer = setTimeout(() => {
    console.log(`${title}: not done after ${minutes} minutes, ended`);
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 10_000).unref();
  }, minutes * 60_000);
  let out = "";
  const copy = async (source: ReadableStream<Uint8Array>, sink: NodeJS.WriteStream): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const part of source) {
      if (!beside) sink.write(part);
      out += decoder.decode(part, { stream: true });
    }
  };
  const copies = Promise.all([copy(child.stdout, process.stdout), copy(child.stderr, process.stderr)]);
  const status = await child.exited;
  // A background process of the step may hold the pipes open; what the step itself said is there soon.
  await Promise.race([copies, Bun.sleep(15_000)]);
  clearTimeout(timer);
  running.delete(child);
  if (beside) console.log(`${heading}\n${out.trimEnd()}`);
  console.log(`${DIM}== ${title}: status ${status}, ${((performance.now() - start) / 1000).toFixed(0)} s${PLAIN}`);
  return { status, out };
}

/** A program that counts as one test: passed when it ends with status 0. */
export async function program(tally: Tally, title: string, argv: readonly string[]): Promise<boolean> {
  return count(tally, title, await stream(title, argv, HANGS));
}

/**
 * What runs beside the steps that follow, with what they leave of the processors (nice(1)): theirs wait for others most of the
 * time, and must not be disturbed. What it prints comes at once when it has ended.
 */
const streamBeside = (title: string, argv: readonly string[]): Promise<{ status: number; out: string }> =>
  stream(title, ["nice", "-n", "19", ...argv], HANGS, true);

export async function programBeside(tally: Tally, title: string, argv: readonly string[]): Promise<boolean> {
  return count(tally, title, await streamBeside(title, argv));
}

function count(tally: Tally, title: string, { status }: { status: number }): boolean {
  if (status === 0) tally.passed++;
  else fail(tally, `${title}: status ${status}`);
  return status === 0;
}

/** A run of `bun test`, counted by its own summary. No summary, or a status that does not go with it, is a failure. */
export async function bunTest(tally: Tally, title: string, argv: readonly string[]): Promise<void> {
  countTests(tally, title, await stream(title, argv, HANGS));
}

export async function bunTestBeside(tally: Tally, title: string, argv: readonly string[]): Promise<void> {
  countTests(tally, title, await streamBeside(title, argv));
}

function countTests(tally: Tally, title: string, { status, out }: { status: number; out: string }): void {
  const counted = summary(out);
  if (counted === undefined) {
    fail(tally, `${title}: ended with status ${status} and no summary`);
    return;
  }
  tally.passed += counted.passed;
  tally.skipped += counted.skipped;
  tally.failed += counted.failed;
  tally.failures.push(...failedTests(out));
  if (status !== 0 && counted.failed === 0) fail(tally, `${title}: ended with status ${status}`);
}

function fail(tally: Tally, what: string): void {
  tally.failed++;
  tally.failures.push(what);
}

/** The lines of `bun test` that name a failed test, each once. */
export function failedTests(out: string): string[] {
  const lines = withoutColours(out).match(/^\(fail\) .*$/gm) ?? [];
  return [...new Set(lines.map((line) => line.replace(/ \[[\d.]+m?s\]$/, "")))];
}

function withoutColours(out: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is to be removed
  return out.replace(/\x1b\[[0-9;]*m/g, "");
}

/** What a run of `bun test` counted, from the last summary in its output. */
export function summary(out: string): Counts | undefined {
  const plain = withoutColours(out);
  const end = plain.search(/^Ran \d+ tests? across \d+ files?/m);
  if (end < 0) return undefined;
  const block = plain.slice(0, end).split("\n").slice(-12).join("\n");
  const count = (word: string): number => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(block)?.[1] ?? 0);
  return { passed: count("pass"), failed: count("fail") + count("errors?"), skipped: count("skip") + count("todo") };
}

/** Types of the pure core, types of everything, lint, and no unfinished merge: one test each. */
export async function checks(tally: Tally): Promise<void> {
  await program(tally, "types of the core", [`${ROOT}/node_modules/.bin/tsc`, "-p", "tsconfig.core.json"]);
  await program(tally, "types", [`${ROOT}/node_modules/.bin/tsc`, "-p", "tsconfig.json"]);
  await program(tally, "lint", [`${ROOT}/node_modules/.bin/biome`, "ci", "--colors=off"]);
  await program(tally, "no unfinished merge", [process.execPath, "scripts/conflict-marks.ts"]);
}

/** Names what failed, prints the closing line and ends with the right status. */
export function finish(tally: Tally): never {
  if (tally.failures.length > 0) console.log(`\nfailed:\n${tally.failures.map((what) => `  ${what}`).join("\n")}`);
  console.log(
    `\n${tally.passed} passed, ${tally.failed} failed${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ""}`,
  );
  process.exit(tally.failed > 0 ? 1 : 0);
}
