/** The kernel modules of the image, chosen from Debian's, and their modules.dep (modules.dep(5)). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Glob } from "bun";
import { type Entry, file } from "./tree.ts";

/** What the machine needs: its buses, cards and disks, the file systems of a config disk, the power button, compressed memory. */
const WANTED = [
  "virtio_pci virtio_mmio virtio_net",
  "virtio_blk virtio_scsi sd_mod sr_mod ata_piix ata_generic",
  "isofs vfat ext4 nls_cp437 nls_ascii nls_iso8859-1 nls_utf8",
  "button evdev",
  "zram lzo_rle",
].flatMap((line) => line.split(" "));

/** Modules are called by names with _ or - alike. */
const plain = (name: string): string => name.replaceAll("-", "_");

export interface Kernel {
  /** As uname -r says. */
  readonly version: string;
  readonly image: Uint8Array;
  /** lib/modules/VERSION/... */
  readonly modules: readonly Entry[];
}

/** root: where Debian's kernel package is unpacked. @throws where a module is neither there nor built in */
export function prunedKernel(root: string): Kernel {
  const version = readdirSync(join(root, "lib/modules"))[0];
  if (version === undefined) throw new Error(`${root}: there is no kernel`);
  const folder = join(root, "lib/modules", version);
  const paths = new Map<string, string>();
  for (const path of new Glob("kernel/**/*.ko*").scanSync({ cwd: folder })) {
    paths.set(plain(basename(path).replace(/\.ko.*$/, "")), path);
  }
  const builtIn = new Set(
    readFileSync(join(folder, "modules.builtin"), "utf8")
      .split("\n")
      .map((path) => plain(basename(path, ".ko"))),
  );
  const chosen = new Map<string, { path: string; content: Uint8Array; needs: string[] }>();
  const choose = (name: string): void => {
    if (chosen.has(name) || builtIn.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) throw new Error(`kernel ${version} has no module ${name}`);
    const content = uncompressed(join(folder, path));
    const needs = dependencies(content).map(plain);
    chosen.set(name, { path: path.replace(/\.(xz|zst|gz)$/, ""), content, needs });
    for (const needed of needs) choose(needed);
  };
  for (const name of WANTED) choose(plain(name));

  const base = `lib/modules/${version}`;
  /** What a module needs, directly or not, the nearest first, as depmod writes it. */
  const closure = (name: string, seen = new Set<string>()): Set<string> => {
    for (const needed of chosen.get(name)?.needs ?? []) {
      if (!chosen.has(needed)) continue;
      seen.delete(needed);
      seen.add(needed);
      closure(needed, seen);
    }
    return seen;
  };
  const sorted = [...chosen].sort(([, a], [, b]) => (a.path < b.path ? -1 : 1));
  const dep = sorted.map(([name, { path }]) =>
    [`${path}:`, ...[...closure(name)].map((needed) => chosen.get(needed)?.path)].join(" "),
  );
  return {
    version,
    image: readFileSync(join(root, "boot", `vmlinuz-${version}`)),
    modules: [
      ...sorted.map(([, { path, content }]) => file(`${base}/${path}`, content)),
      file(`${base}/modules.dep`, `${dep.join("\n")}\n`),
    ],
  };
}

function uncompressed(path: string): Uint8Array {
  const tool = path.endsWith(".xz") ? "xz" : path.endsWith(".zst") ? "zstd" : path.endsWith(".gz") ? "gzip" : undefined;
  if (tool === undefined) return readFileSync(path);
  if (!existsSync(path) || Bun.which(tool) === null) throw new Error(`${path}: ${tool} is needed to unpack it`);
  return Bun.spawnSync([tool, "-dc", path], { stdout: "pipe" }).stdout;
}

/** The string "depends=A,B" that the kernel's build left in the module's .modinfo section. */
export function dependencies(module: Uint8Array): string[] {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const at = bytes.indexOf("\0depends=");
  if (at < 0) return [];
  const from = at + "\0depends=".length;
  return bytes
    .toString("latin1", from, bytes.indexOf(0, from))
    .split(",")
    .filter((name) => name !== "");
}
