/** The compiled binary: how it is made, and whether it has to be made again. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
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

/** Digest of the source files (tests left out), what is installed, Bun and the flags. */
function inputs(): string {
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(`${Bun.version} ${Bun.revision} ${process.arch} ${FLAGS.join(" ")}\n`);
  const sources = [...new Glob("src/**/*").scanSync({ cwd: ROOT })].filter((path) => !path.endsWith(".test.ts")).sort();
  for (const path of [...sources, "package.json", "package-lock.json"]) {
    const content = readFileSync(join(ROOT, path));
    hash.update(`${path} ${content.length}\n`);
    hash.update(content);
  }
  return hash.digest("hex");
}

/** Makes dist/morgana unless it is there and of these sources. Throws when it cannot be made. */
export async function build(): Promise<void> {
  const digest = inputs();
  const before = existsSync(STAMP) && existsSync(BINARY) ? readFileSync(STAMP, "utf8") : "";
  if (before === digest) return;
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
    writeFileSync(STAMP, digest);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
