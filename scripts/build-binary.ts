/** The compiled binary: how it is made, and whether it has to be made again. */
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf, formatInputs, type Inputs, sources } from "../image/inputs.ts";
import { ROOT } from "./steps.ts";

export const DIST = join(ROOT, "dist");
export const BINARY = join(DIST, "morgana");
const STAMP = join(DIST, ".morgana.stamp");

/**
 * A binary that read bunfig.toml or .env in its working directory would run whatever lies there.
 * Bytecode and one chunk per dynamic import keep the start short.
 */
const FLAGS = [
  "--compile",
  "--minify",
  "--bytecode",
  "--splitting",
  "--format=esm",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];

/** What decides how the binary comes out: each folder of the sources, what is installed, Bun and the flags. */
export function binaryInputs(): Inputs {
  const folders = new Map<string, string[]>();
  for (const path of sources(ROOT, "src/**/*")) {
    const folder = path.split("/").slice(0, 2).join("/");
    folders.set(folder, [...(folders.get(folder) ?? []), path]);
  }
  return new Map([
    ["Bun", `${Bun.version} ${Bun.revision} ${process.arch}`],
    ["flags", FLAGS.join(" ")],
    ...[...folders].sort().map(([folder, paths]): [string, string] => [folder, digestOf(ROOT, paths)]),
    ["package-lock.json", digestOf(ROOT, ["package-lock.json"])],
    // Bun names modules by where they really are, and the names are part of the binary.
    ["node_modules", lstatSync(join(ROOT, "node_modules")).isSymbolicLink() ? "a link to elsewhere" : "a folder"],
  ]);
}

/** Makes dist/morgana unless it is there and of these sources. Throws when it cannot be made. */
export async function build(): Promise<void> {
  const inputs = formatInputs(binaryInputs());
  const before = existsSync(STAMP) && existsSync(BINARY) ? readFileSync(STAMP, "utf8") : "";
  if (before === inputs) return;
  console.log("building dist/morgana");
  // The name of the output is part of the binary, so the new one is made under the same name beside it.
  const scratch = join(DIST, `.build-${process.pid}`);
  mkdirSync(scratch, { recursive: true });
  try {
    const outfile = join(scratch, "morgana");
    const made = Bun.spawnSync([process.execPath, "build", ...FLAGS, join(ROOT, "src/main.ts"), "--outfile", outfile], {
      cwd: ROOT,
      stdout: "pipe",
      stderr: "pipe",
    });
    if (made.exitCode !== 0) throw new Error(`bun build failed:\n${made.stdout}${made.stderr}`);
    rmSync(STAMP, { force: true });
    renameSync(outfile, BINARY);
    writeFileSync(STAMP, inputs);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
