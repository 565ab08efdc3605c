/** A bad network between two interfaces: bad-link.c, compiled when it is first needed. */
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";

/** In per cent of the frames, each direction; milliseconds. */
export interface LinkFaults {
  readonly loss?: number;
  readonly delay?: number;
  readonly jitter?: number;
  readonly reorder?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  /** Frames that wait in one direction at most; more are lost. */
  readonly queue?: number;
  readonly seed?: number;
}

/** The command line that relays between two interfaces; it prints "ready", and on SIGTERM what it did. @throws where gcc fails */
export function badLinkCommand(a: string, b: string, faults: LinkFaults): string[] {
  const options = Object.entries(faults).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  return [compiled(), a, b, ...options];
}

/** Path of the program; one for each version of its text. */
function compiled(): string {
  const source = join(import.meta.dir, "bad-link.c");
  const folder = join(import.meta.dir, "../../../node_modules/.cache/morgana");
  const out = join(folder, `bad-link-${Bun.hash(readFileSync(source)).toString(16)}`);
  if (existsSync(out)) return out;
  mkdirSync(folder, { recursive: true });
  const made = `${out}.${process.pid}`;
  const done = Bun.spawnSync(["gcc", "-O2", "-Wall", "-Wextra", "-o", made, source], { stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${source}: ${done.stderr}`);
  renameSync(made, out);
  return out;
}
