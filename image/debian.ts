/**
 * The Debian packages that the image takes files from, downloaded with the machine's own apt (which checks their
 * signatures) into a cache outside of the tree and unpacked there.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export interface DebianFiles {
  /** The folder that holds the unpacked packages: boot/, lib/, usr/. */
  readonly root: string;
  /** File names of the packages, with their versions. */
  readonly packages: readonly string[];
}

const CACHE = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "morgana");
/** The first name of each that there is. */
const LIBRARIES = [["libc6"], ["libssl3", "libssl3t64"]] as const;
const KERNEL = "linux-image-cloud-amd64";

/** update: looks for newer packages although there are some. @throws where apt cannot serve them */
export function debianFiles(update: boolean): DebianFiles {
  const root = join(CACHE, "debian");
  const list = join(root, "packages.json");
  if (!update && existsSync(list)) return { root, packages: JSON.parse(readFileSync(list, "utf8")) as string[] };
  for (const tool of ["apt-get", "apt-cache", "dpkg-deb"]) {
    if (Bun.which(tool) === null)
      throw new Error(`${tool} is missing: the kernel and the libraries of the image come from Debian's packages`);
  }
  console.log("downloading Debian's kernel and libraries");
  const scratch = join(CACHE, `debian-${process.pid}`);
  rmSync(scratch, { recursive: true, force: true });
  const debs = join(scratch, "debs");
  mkdirSync(debs, { recursive: true });
  try {
    const names = [kernelPackage(), ...LIBRARIES.map((choice) => available(choice))];
    run(["apt-get", "download", "-q", ...names], debs);
    const packages = readdirSync(debs).sort();
    for (const deb of packages) run(["dpkg-deb", "-x", join(debs, deb), scratch], scratch);
    rmSync(debs, { recursive: true });
    writeFileSync(join(scratch, "packages.json"), JSON.stringify(packages));
    rmSync(root, { recursive: true, force: true });
    renameSync(scratch, root);
    return { root, packages };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The package of the version that the meta package names. */
function kernelPackage(): string {
  const found = /linux-image-\S+-cloud-amd64/.exec(run(["apt-cache", "depends", available([KERNEL])], CACHE));
  if (found === null) throw new Error(`${KERNEL} names no kernel`);
  return found[0];
}

function available(names: readonly string[]): string {
  const found = names.find((name) => /^Package: /m.test(run(["apt-cache", "show", "-q", name], CACHE, true)));
  if (found === undefined)
    throw new Error(`apt knows no package ${names.join(" or ")}: "apt-get update" as root, on Debian 12 or later`);
  return found;
}

function run(argv: readonly string[], cwd: string, mayFail = false): string {
  const done = Bun.spawnSync([...argv], { cwd, env: { ...process.env, LC_ALL: "C" }, stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0 && !mayFail) throw new Error(`${argv.join(" ")}:\n${done.stderr}`);
  return done.stdout.toString();
}
