/**
 * What `linuxkit build --format kernel+initrd` makes of a yml and its images, without LinuxKit. Held against a listing
 * that the real one made (test/system/assemble.test.ts).
 */
import type { LinuxkitYml, YmlFile } from "./linuxkit-yml.ts";
import { readTar } from "./tar.ts";
import { cleanPath, directory, type Entry, file, link } from "./tree.ts";

export interface Assembled {
  readonly kernel: Uint8Array;
  readonly cmdline: string;
  /** In the order in which they are unpacked: a later one replaces an earlier one. */
  readonly entries: readonly Entry[];
}

const HOSTS = [
  "127.0.0.1       localhost",
  "::1     localhost ip6-localhost ip6-loopback",
  "fe00::0 ip6-localnet",
  "ff00::0 ip6-mcastprefix",
  "ff02::1 ip6-allnodes",
  "ff02::2 ip6-allrouters",
  "",
].join("\n");
/** Where LinuxKit points the resolver at; nothing here reads it. */
const RESOLVER = "/run/resolvconf/resolv.conf";
/** Files of an image that LinuxKit takes for leftovers of its container engine. */
const DROPPED = new Set([".dockerenv", "Dockerfile", "dev/console", "dev/pts", "dev/shm", "etc/hostname"]);

/** images: their files by the names that the yml uses. @throws where one is missing or has no kernel */
export function assemble(yml: LinuxkitYml, images: ReadonlyMap<string, readonly Entry[]>): Assembled {
  const image = (name: string): readonly Entry[] => {
    const entries = images.get(name);
    if (entries === undefined) throw new Error(`image/linuxkit.yml: there is no image "${name}"`);
    return entries;
  };
  const parts = image(yml.kernel.image);
  const kernel = parts.find(({ path }) => path === "kernel")?.content;
  if (kernel === undefined) throw new Error(`${yml.kernel.image}: it holds no file "kernel"`);
  const tar = parts.find(({ path }) => path === "kernel.tar")?.content;
  const entries = [
    directory("boot"),
    ...(tar === undefined ? [] : readTar(tar)),
    ...yml.init.flatMap((name) => initImage(image(name))),
    ...ymlFiles(yml.files),
  ];
  // The boot loader's part is not in the root file system, but its folder is.
  return { kernel, cmdline: yml.kernel.cmdline, entries: entries.filter(({ path }) => !path.startsWith("boot/")) };
}

/** The files of one init image, and those that LinuxKit puts into every one of them. */
function initImage(entries: readonly Entry[]): Entry[] {
  const result: Entry[] = [];
  let hasMtab = false;
  for (const entry of entries) {
    if (DROPPED.has(entry.path) || entry.path === "etc/resolv.conf" || entry.path === "etc/hosts") continue;
    hasMtab ||= entry.path === "etc/mtab";
    result.push(entry);
  }
  for (const path of ["dev", "dev/pts", "dev/shm", "etc"]) result.push(directory(path));
  const owned = (path: string): Entry | undefined => entries.find((entry) => entry.path === path);
  result.push({ ...(owned("etc/hosts") ?? file("etc/hosts", "")), ...bytes(HOSTS) });
  if (!hasMtab) result.push({ ...link("etc/mtab", "/proc/mounts"), mode: 0o755 });
  const { mode } = owned("etc/resolv.conf") ?? { mode: 0o644 };
  result.push({ ...link("etc/resolv.conf", RESOLVER), mode });
  for (const path of ["proc", "sys"]) result.push(directory(path));
  return result;
}

const bytes = (text: string): Pick<Entry, "content"> => ({ content: new TextEncoder().encode(text) });

function ymlFiles(files: readonly YmlFile[]): Entry[] {
  const result: Entry[] = [];
  const added = new Set<string>();
  for (const each of files) {
    const path = cleanPath(each.path);
    const mode = each.mode ?? (each.directory ? 0o700 : 0o600);
    const parts = path.split("/");
    for (let length = 1; length < parts.length; length++) {
      const parent = parts.slice(0, length).join("/");
      if (added.has(parent)) continue;
      added.add(parent);
      result.push(directory(parent, searchable(mode)));
    }
    added.add(path);
    if (each.directory) result.push(directory(path, mode));
    else if (each.symlink !== undefined) result.push({ ...link(path, each.symlink), mode });
    else result.push(file(path, each.contents ?? "", mode));
  }
  return result;
}

/** A folder whose files somebody may use, he may enter. */
const searchable = (mode: number): number =>
  [0o700, 0o070, 0o007].reduce((bits, who) => ((bits & who) !== 0 ? bits | (who & 0o111) : bits), mode);
