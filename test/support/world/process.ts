/** Programs that a world runs: started with a log file, waited for, ended by their id. */
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";

/**
 * Seconds for what is there at once on a machine with nothing else to do. Longer than any that is busy or stands still for a while needs: what
 * takes longer has failed.
 */
export const PATIENCE = 60;

export interface Result {
  /** Exit status; 124 when the time was over. */
  readonly code: number;
  /** stdout and stderr, in that order. */
  readonly out: string;
}

/** Runs a program to its end; at most `seconds`. */
export async function run(argv: readonly string[], seconds = 30, input?: string): Promise<Result> {
  const child = Bun.spawn([...argv], {
    stdin: input === undefined ? "ignore" : new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, seconds * 1000);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearTimeout(timer);
  return late ? { code: 124, out: `${out}${err}\n(ended after ${seconds} s)` } : { code, out: out + err };
}

/** Runs a program that must succeed. */
export async function must(argv: readonly string[], seconds = 30): Promise<string> {
  const result = await run(argv, seconds);
  if (result.code !== 0) throw new Error(`${argv.join(" ")}: status ${result.code}: ${result.out}`);
  return result.out;
}

/** Seconds until `probe` holds, or undefined when it did not within `seconds`. */
export async function until(
  probe: () => boolean | Promise<boolean>,
  seconds: number,
  step = 50,
): Promise<number | undefined> {
  const start = performance.now();
  for (;;) {
    if (await probe()) return (performance.now() - start) / 1000;
    if (performance.now() - start > seconds * 1000) return undefined;
    await Bun.sleep(step);
  }
}

/** A program that stays. Its output goes to a file, which `log()` reads. */
export class Daemon {
  readonly name: string;
  readonly logPath: string;
  private readonly child: Bun.Subprocess;

  constructor(name: string, argv: readonly string[], logPath: string, options: { cwd?: string } = {}) {
    this.name = name;
    this.logPath = logPath;
    const file = openSync(logPath, "a");
    this.child = Bun.spawn([...argv], { stdin: "ignore", stdout: file, stderr: file, ...options });
    closeSync(file);
  }

  get pid(): number {
    return this.child.pid;
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Everything that it has printed so far. */
  log(): string {
    return existsSync(this.logPath) ? readFileSync(this.logPath, "utf8") : "";
  }

  /** Waits for a pattern in the log from character `from` on. The match, or undefined after `seconds` or when it has ended without. */
  async says(pattern: RegExp, seconds: number, from = 0): Promise<RegExpExecArray | undefined> {
    let match: RegExpExecArray | null = null;
    await until(() => {
      const alive = this.alive;
      match = pattern.exec(this.log().slice(from));
      return match !== null || !alive;
    }, seconds);
    return match ?? undefined;
  }

  signal(name: NodeJS.Signals): void {
    if (this.alive) this.child.kill(name);
  }

  /** Exit status, -1 when it had to be killed, 128 + n after a signal that it did not handle. */
  async stop(signal: NodeJS.Signals = "SIGTERM", seconds = 30): Promise<number> {
    this.signal(signal);
    const ended = await this.ended(seconds);
    if (ended !== undefined) return ended;
    this.child.kill("SIGKILL");
    await this.child.exited;
    return -1;
  }

  /** Exit status within `seconds`, else undefined. */
  async ended(seconds: number): Promise<number | undefined> {
    let timer: Timer | undefined;
    const late = new Promise<undefined>((done) => {
      timer = setTimeout(() => done(undefined), seconds * 1000);
    });
    const code = await Promise.race([this.child.exited, late]);
    clearTimeout(timer);
    return code;
  }
}
