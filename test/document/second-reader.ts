/** Runs reader.py, which needs Python 3 with `cryptography` (Debian: python3-cryptography; scripts/bootstrap installs it). */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** The system's own comes first: the package is for that one. */
const PYTHON = ["/usr/bin/python3", Bun.which("python3") ?? ""].find(
  (path) => existsSync(path) && Bun.spawnSync([path, "-c", "import cryptography"]).exitCode === 0,
);

export const HAS_READER = PYTHON !== undefined;

/** @throws Error with what it says where it fails */
export function secondReader(what: "vectors" | "recording", path: string) {
  if (PYTHON === undefined) throw new Error("there is no python3 with cryptography");
  const run = Bun.spawnSync([PYTHON, join(import.meta.dir, "reader.py"), what, path]);
  if (run.exitCode !== 0) throw new Error(run.stderr.toString());
  return JSON.parse(run.stdout.toString());
}
