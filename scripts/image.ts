/**
 * `npm run image [-- --update] [--quick]`: dist/morgana-kernel, dist/morgana-initrd.img and dist/morgana-cmdline. With LinuxKit
 * where there is one (LINUXKIT=, else on the PATH), else with image/assemble.ts. Does nothing when nothing has changed;
 * --update looks for newer Debian packages; --quick makes a bigger file in a few seconds, for trying things out.
 */
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { debianFiles } from "../image/debian.ts";
import { byAssembler, byLinuxkit, compress, ingredients, initrd } from "../image/make.ts";
import { BINARY, build, DIST } from "./build-binary.ts";
import { linuxkit } from "./linuxkit.ts";
import { lock } from "./lock.ts";
import { ROOT } from "./steps.ts";

/** Kernel and root file system together. */
const LIMIT_BYTES = 64_000_000;
const quick = process.argv.includes("--quick");
/** 19 takes 40 s where 9 takes 2, but is what keeps below the limit with room to grow. */
const LEVEL = quick ? 3 : 19;
const STAMP = join(DIST, ".image.stamp");
const OUT = {
  kernel: join(DIST, "morgana-kernel"),
  initrd: join(DIST, "morgana-initrd.img"),
  cmdline: join(DIST, "morgana-cmdline"),
};

const unknown = process.argv.slice(2).filter((word) => word !== "--update" && word !== "--quick");
if (unknown.length > 0) {
  console.error(`usage: npm run image [-- --update] [--quick]; unknown: ${unknown.join(" ")}`);
  process.exit(2);
}
try {
  const unlock = await lock(join(DIST, ".image.lock"));
  try {
    await build();
    make();
  } finally {
    unlock();
  }
} catch (error) {
  console.error(`image: ${(error as Error).message}`);
  process.exit(1);
}

function make(): void {
  const debian = debianFiles(process.argv.includes("--update"));
  const tool = linuxkit();
  const digest = inputs([...debian.packages, tool ?? "image/assemble.ts"]);
  const before =
    existsSync(STAMP) && Object.values(OUT).every((path) => existsSync(path)) ? readFileSync(STAMP, "utf8") : "";
  if (before === digest) return;
  rmSync(STAMP, { force: true });
  const parts = ingredients(BINARY, debian.root, join(ROOT, "image"));
  console.log(`assembling the image with ${tool ?? "image/assemble.ts"}`);
  const image = tool === undefined ? byAssembler(parts) : byLinuxkit(parts, tool, join(DIST, ".linuxkit"));
  console.log("compressing the image");
  // What a run that was killed has left.
  for (const path of new Glob(".initrd-*").scanSync({ cwd: DIST, dot: true }))
    rmSync(join(DIST, path), { force: true });
  let size: number;
  const fresh = join(DIST, `.initrd-${process.pid}`);
  try {
    compress(initrd(image), LEVEL, fresh);
    size = image.kernel.length + statSync(fresh).size;
    if (size > LIMIT_BYTES && !quick) throw new Error(`kernel and initrd have ${size} bytes, more than ${LIMIT_BYTES}`);
    renameSync(fresh, OUT.initrd);
  } finally {
    rmSync(fresh, { force: true });
  }
  writeFileSync(OUT.kernel, image.kernel);
  writeFileSync(OUT.cmdline, `${image.cmdline.trim()}\n`);
  writeFileSync(STAMP, digest);
  console.log(`dist/morgana-kernel and dist/morgana-initrd.img: ${(size / 1e6).toFixed(1)} MB together`);
}

/** Digest of everything that decides what comes out. */
function inputs(names: readonly string[]): string {
  const hash = new Bun.CryptoHasher("sha256").update(`${LEVEL} ${names.join(" ")}\n`);
  const sources = [...new Glob("image/*.{ts,c,yml}").scanSync({ cwd: ROOT })].filter(
    (path) => !path.endsWith(".test.ts"),
  );
  for (const path of sources.sort()) hash.update(`${path}\n`).update(readFileSync(join(ROOT, path)));
  hash.update(readFileSync(join(DIST, ".morgana.stamp")));
  return hash.digest("hex");
}
