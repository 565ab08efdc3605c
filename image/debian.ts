/**
 * The Debian packages that the image takes files from. image/debian.json pins them by name, version and SHA-256; the machine's
 * own apt downloads them (and checks the archive's signatures) into a cache outside of the tree, where each is unpacked in a
 * folder named after all three. An archive drops a version soon after the next one: then the image is made of what is served,
 * which is said, because it is another image.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** One package as apt knows it. */
export interface Pin {
  readonly package: string;
  readonly version: string;
  /** Of the .deb file, in hex. */
  readonly sha256: string;
}

/** What the image takes from Debian. */
export const PARTS = ["kernel", "libc", "openssl", "lzo", "lz4"] as const;
export type Part = (typeof PARTS)[number];

/** image/debian.json */
export interface Pins {
  /** The day on which they were taken from what was served, YYYY-MM-DD. */
  readonly date: string;
  readonly packages: Readonly<Record<Part, Pin>>;
}

export interface DebianFiles {
  /** What is used, pinned or not. */
  readonly packages: Readonly<Record<Part, Pin>>;
  /** The folder in which that package is unpacked: boot/, lib/, usr/. */
  readonly folder: Readonly<Record<Part, string>>;
}

/** How apt is asked; another one in tests. */
export interface Apt {
  /** The package of this name (and version, if given) that is served, or undefined. */
  served(name: string, version?: string): Pin | undefined;
  /** The packages that one depends on. */
  depends(name: string): readonly string[];
  /** Puts the package's files below a folder that is there. @throws where it is not served, or does not have this digest */
  unpack(pin: Pin, folder: string): void;
  /** Reads the lists of packages anew, where this process may. Whether it did. */
  update(): boolean;
}

/** Where they are pinned. */
export const PINS = join(import.meta.dir, "debian.json");

const CACHE = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "morgana", "packages");
/** A meta package, which depends on the kernel's. */
const KERNEL = "linux-image-cloud-amd64";
/** The first name of each that is served: Debian 12 and 13 differ. */
const LIBRARIES = {
  libc: ["libc6"],
  openssl: ["libssl3", "libssl3t64"],
  lzo: ["liblzo2-2"],
  lz4: ["liblz4-1"],
} as const;
/** Kernel and OpenSSL get fixes for security every few weeks. */
const OLD_DAYS = 60;
const DAY_MS = 86_400_000;

/** @throws Error that names what is wrong in the file */
export function readPins(path: string): Pins {
  const { date, packages } = JSON.parse(readFileSync(path, "utf8")) as Pins;
  const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
  for (const part of PARTS) {
    const pin = packages?.[part];
    if (!isText(pin?.package) || !isText(pin.version) || !/^[0-9a-f]{64}$/.test(pin.sha256))
      throw new Error(`${path}: packages.${part}: package, version and sha256 are expected`);
  }
  if (Number.isNaN(Date.parse(date))) throw new Error(`${path}: date: YYYY-MM-DD is expected`);
  return { date, packages };
}

export function writePins(path: string, pins: Pins): void {
  writeFileSync(path, `${JSON.stringify(pins, null, 2)}\n`);
}

/** A sentence when the pins are old at `now` (ms since 1970), else undefined. */
export function ageOf(pins: Pins, now: number): string | undefined {
  const days = Math.floor((now - Date.parse(pins.date)) / DAY_MS);
  if (days <= OLD_DAYS) return undefined;
  return `the Debian packages of image/debian.json are those of ${days} days ago: "npm run image -- --update" takes the newest kernel and OpenSSL`;
}

/** Pins of what is served now. @throws where apt does not know a package */
export function servedNow(apt: Apt, date: string): Pins {
  const of = (part: Part): Pin => (part === "kernel" ? servedKernel(apt) : served(apt, part));
  return { date, packages: Object.fromEntries(PARTS.map((part) => [part, of(part)])) as Record<Part, Pin> };
}

/**
 * The pinned packages, unpacked. Those that are no longer served are replaced by what is, and `say` gets a line for each.
 * @throws where there is neither
 */
export function debianFiles(pins: Pins, say: (line: string) => void, apt: Apt, cache = CACHE): DebianFiles {
  const packages = { ...pins.packages };
  const folder = {} as Record<Part, string>;
  mkdirSync(cache, { recursive: true });
  for (const part of PARTS) {
    const pin = pins.packages[part];
    const found = fetched(apt, pin, cache, say);
    if (found !== undefined) {
      folder[part] = found;
      continue;
    }
    const other = part === "kernel" ? servedKernel(apt) : served(apt, part);
    say(
      `differs from image/debian.json: ${pin.package} ${pin.version} is no longer served; the image gets ${other.package} ${other.version} (SHA-256 ${other.sha256})`,
    );
    const instead = fetched(apt, other, cache, say);
    if (instead === undefined)
      throw new Error(
        `apt knows ${other.package} ${other.version}, but cannot download it: "apt-get update" as root, or see above`,
      );
    packages[part] = other;
    folder[part] = instead;
  }
  return { packages, folder };
}

/** The folder in the cache with a package's files; undefined where this very package is not served. */
function fetched(apt: Apt, pin: Pin, cache: string, say: (line: string) => void): string | undefined {
  const folder = join(cache, `${pin.package}_${pin.version.replaceAll(":", "%3a")}_${pin.sha256.slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  // Lists of last month name what is gone, and not what came: they are read anew once.
  do {
    if (apt.served(pin.package, pin.version)?.sha256 !== pin.sha256) continue;
    say(`downloading ${pin.package} ${pin.version}`);
    const scratch = `${folder}-${process.pid}`;
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch);
    try {
      apt.unpack(pin, scratch);
      // Another process may have been as fast.
      if (!existsSync(folder)) renameSync(scratch, folder);
      return folder;
    } catch (error) {
      say((error as Error).message);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  } while (apt.update());
  return undefined;
}

function servedKernel(apt: Apt): Pin {
  const name = apt.depends(KERNEL).find((each) => /^linux-image-.*-cloud-amd64$/.test(each));
  if (name === undefined) throw unknown([KERNEL]);
  return apt.served(name) ?? fail(unknown([name]));
}

function served(apt: Apt, part: keyof typeof LIBRARIES): Pin {
  for (const name of LIBRARIES[part]) {
    const pin = apt.served(name);
    if (pin !== undefined) return pin;
  }
  throw unknown(LIBRARIES[part]);
}

const unknown = (names: readonly string[]): Error =>
  new Error(`apt knows no package ${names.join(" or ")}: "apt-get update" as root, on Debian 12 or later`);

function fail(error: Error): never {
  throw error;
}

/** The machine's own apt. @throws where it is missing */
export function machineApt(): Apt {
  const run = (argv: readonly string[], cwd = "/"): { ok: boolean; out: string; err: string } => {
    if (Bun.which(argv[0] as string) === null)
      throw new Error(`${argv[0]} is missing: the kernel and the libraries of the image come from Debian's packages`);
    const env = { ...process.env, LC_ALL: "C" };
    const done = Bun.spawnSync([...argv], { cwd, env, stdout: "pipe", stderr: "pipe" });
    return { ok: done.exitCode === 0, out: done.stdout.toString(), err: done.stderr.toString() };
  };
  const must = (argv: readonly string[], cwd?: string): void => {
    const { ok, err } = run(argv, cwd);
    if (!ok) throw new Error(`${argv.join(" ")}:\n${err}`);
  };
  let updated = false;
  return {
    served(name, version) {
      const which = version === undefined ? name : `${name}=${version}`;
      const { out } = run(["apt-cache", "show", "-q", "--no-all-versions", which]);
      const field = (title: string): string | undefined => new RegExp(`^${title}: (.*)$`, "m").exec(out)?.[1];
      const [found, sha256] = [field("Version"), field("SHA256")];
      return found === undefined || sha256 === undefined ? undefined : { package: name, version: found, sha256 };
    },
    depends: (name) =>
      [...run(["apt-cache", "depends", "--important", name]).out.matchAll(/^ {2}Depends: (\S+)$/gm)].map(
        (match) => match[1] as string,
      ),
    unpack(pin, folder) {
      const debs = `${folder}.debs`;
      rmSync(debs, { recursive: true, force: true });
      mkdirSync(debs);
      try {
        must(["apt-get", "download", "-q", `${pin.package}=${pin.version}`], debs);
        const deb = join(debs, readdirSync(debs)[0] ?? "");
        const digest = new Bun.CryptoHasher("sha256").update(readFileSync(deb)).digest("hex");
        if (digest !== pin.sha256) throw new Error(`${pin.package} ${pin.version}: has SHA-256 ${digest}`);
        must(["dpkg-deb", "-x", deb, folder]);
      } finally {
        rmSync(debs, { recursive: true, force: true });
      }
    },
    update() {
      if (updated || process.getuid?.() !== 0) return false;
      updated = true;
      return run(["apt-get", "update", "-q"]).ok;
    },
  };
}
