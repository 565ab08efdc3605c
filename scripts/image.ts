/**
 * `npm run image [-- --update] [--quick] [--disk]`: dist/morgana-kernel, dist/morgana-initrd.img and dist/morgana-cmdline, and in
 * dist/morgana-inputs what they were made of. With LinuxKit where there is one (LINUXKIT=, else on the PATH), else with
 * image/assemble.ts. Does nothing when nothing has changed. --update pins the Debian packages that are served now in
 * image/debian.json; --quick makes a bigger file in a few seconds, for trying things out; --disk also makes dist/morgana.iso and
 * dist/morgana.qcow2, which boot by themselves.
 */
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { FILES } from "../image/compare.ts";
import { ageOf, debianFiles, machineApt, PARTS, PINS, readPins, servedNow, writePins } from "../image/debian.ts";
import { makeDisks } from "../image/disk.ts";
import { formatInputs, imageInputs } from "../image/inputs.ts";
import { byAssembler, byLinuxkit, compress, ingredients, initrd } from "../image/make.ts";
import { BINARY, binaryInputs, build, DIST } from "./build-binary.ts";
import { commandLine } from "./command-line.ts";
import { linuxkit } from "./linuxkit.ts";
import { lock } from "./lock.ts";
import { ROOT } from "./steps.ts";

/** Kernel and root file system together. */
const LIMIT_BYTES = 64_000_000;
const USAGE = `usage: npm run image [-- [--disk] [--quick] [--update]]

  --disk     also dist/morgana.iso and dist/morgana.qcow2, which boot by themselves
  --quick    a bigger image in a few seconds, for trying things out
  --update   pins the Debian packages that are served now
`;
const { update, quick, disk } = commandLine(USAGE, {
  update: { type: "boolean", default: false },
  quick: { type: "boolean", default: false },
  disk: { type: "boolean", default: false },
}).values;
/** 19 takes 40 s where 9 takes 2, but is what keeps below the limit with room to grow. */
const LEVEL = quick ? 3 : 19;
const INPUTS = join(DIST, FILES.inputs);
const OUT = [FILES.kernel, FILES.initrd, FILES.cmdline].map((name) => join(DIST, name)) as [string, string, string];

try {
  const unlock = await lock(join(DIST, ".image.lock"));
  try {
    if (update) pinWhatIsServed();
    await build();
    make();
    if (disk) disks();
  } finally {
    unlock();
  }
} catch (error) {
  console.error(`image: ${(error as Error).message}`);
  process.exit(1);
}

function pinWhatIsServed(): void {
  const apt = machineApt();
  if (!apt.update()) console.log("the lists of packages are those that apt has: only root can have them read anew");
  const before = readPins(PINS);
  const after = servedNow(apt, new Date().toISOString().slice(0, 10));
  writePins(PINS, after);
  for (const part of PARTS) {
    const [old, now] = [before.packages[part], after.packages[part]];
    const same = old.sha256 === now.sha256;
    console.log(`${now.package} ${now.version}${same ? ", as before" : `, was ${old.package} ${old.version}`}`);
  }
}

/** Anew where the image is younger. */
function disks(): void {
  const paths = [join(DIST, "morgana.iso"), join(DIST, "morgana.qcow2")] as const;
  const made = (path: string): number => (existsSync(path) ? statSync(path).mtimeMs : 0);
  const source = Math.max(made(INPUTS), made(join(ROOT, "image/disk.ts")));
  if (paths.every((path) => made(path) > source)) return;
  makeDisks(DIST, ...paths);
  for (const path of paths) console.log(`${path.slice(ROOT.length + 1)}: ${(statSync(path).size / 1e6).toFixed(1)} MB`);
}

function make(): void {
  const pins = readPins(PINS);
  const age = ageOf(pins, Date.now());
  if (age !== undefined) console.log(age);
  const debian = debianFiles(pins, console.log, machineApt());
  const tool = linuxkit();
  const inputs = formatInputs(imageInputs(ROOT, binaryInputs(), debian, tool ?? "image/assemble.ts", LEVEL));
  const isMade = [INPUTS, ...OUT].every((path) => existsSync(path));
  if (isMade && readFileSync(INPUTS, "utf8") === inputs) return;
  rmSync(INPUTS, { force: true });
  const parts = ingredients(BINARY, debian, join(ROOT, "image"));
  console.log(`assembling the image with ${tool ?? "image/assemble.ts"}`);
  const image = tool === undefined ? byAssembler(parts) : byLinuxkit(parts, tool, join(DIST, ".linuxkit"));
  console.log("compressing the image");
  // What a run that was killed has left.
  for (const path of new Glob(".initrd-*").scanSync({ cwd: DIST, dot: true }))
    rmSync(join(DIST, path), { force: true });
  const [kernelPath, initrdPath, cmdlinePath] = OUT;
  let size: number;
  const fresh = join(DIST, `.initrd-${process.pid}`);
  try {
    compress(initrd(image), LEVEL, fresh);
    size = image.kernel.length + statSync(fresh).size;
    if (size > LIMIT_BYTES && !quick) throw new Error(`kernel and initrd have ${size} bytes, more than ${LIMIT_BYTES}`);
    renameSync(fresh, initrdPath);
  } finally {
    rmSync(fresh, { force: true });
  }
  writeFileSync(kernelPath, image.kernel);
  writeFileSync(cmdlinePath, `${image.cmdline.trim()}\n`);
  writeFileSync(INPUTS, inputs);
  console.log(`dist/morgana-kernel and dist/morgana-initrd.img: ${(size / 1e6).toFixed(1)} MB together`);
}
