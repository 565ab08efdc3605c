/** A config disk made from a folder, in each of the forms that the appliance takes. */
import { closeSync, ftruncateSync, openSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** "raw" is one OpenVPN file alone, "tar" an archive, both padded with zero bytes. */
export type DiskFormat = "iso" | "fat" | "ext4" | "tar" | "raw";
export const DISK_FORMATS: readonly DiskFormat[] = ["iso", "fat", "ext4", "tar", "raw"];

const MIB = 1 << 20;

/**
 * Writes `image` anew.
 * @param content a folder laid out like a config disk, or (always for "raw") one OpenVPN file
 * @throws Error with what the tool said
 */
export function makeConfigDisk(content: string, image: string, format: DiskFormat = "iso", label = "CIDATA"): void {
  rmSync(image, { force: true });
  const folder = statSync(content).isDirectory();
  const names = folder ? readdirSync(content).sort() : [content];
  const paths = folder ? names.map((name) => join(content, name)) : names;
  switch (format) {
    case "iso":
      // Of a folder it takes what is in it: given one by one, folders in it would be emptied into the top.
      tool(["xorriso", "-as", "mkisofs", "-quiet", "-V", label, "-J", "-R", "-o", image, content]);
      return;
    case "fat":
      grow(image, 8 * MIB);
      tool(["mkfs.vfat", "-n", label, image]);
      if (paths.length > 0) tool(["mcopy", "-s", "-i", image, ...paths, "::/"]);
      return;
    case "ext4":
      if (!folder) throw new Error(`an ext4 disk is made from a folder, not from the file ${content}`);
      grow(image, 16 * MIB);
      tool(["mkfs.ext4", "-q", "-L", label, "-d", content, image]);
      return;
    case "tar":
      tool(["tar", "-cf", image, "--format=ustar", ...(folder ? ["-C", content, ...names] : paths)]);
      pad(image);
      return;
    case "raw": {
      const profiles = paths.filter((path) => !folder || /\.(ovpn|conf)$/.test(path));
      const [profile] = profiles;
      if (profile === undefined || profiles.length > 1)
        throw new Error(`${content} holds ${profiles.length} OpenVPN files, and a raw disk is exactly one`);
      tool(["cp", profile, image]);
      pad(image);
      return;
    }
    default:
      format satisfies never;
  }
}

/** Debian keeps mkfs in /usr/sbin, which is not on everybody's PATH. */
function tool(argv: string[]): void {
  const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const name = argv[0] as string;
  const path = Bun.which(name, { PATH });
  if (path === null) throw new Error(`${name} is missing: run scripts/bootstrap`);
  const done = Bun.spawnSync([path, ...argv.slice(1)], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${done.stderr.toString().trim()}`);
}

function grow(image: string, bytes: number): void {
  writeFileSync(image, "");
  const fd = openSync(image, "r+");
  ftruncateSync(fd, bytes);
  closeSync(fd);
}

/** To whole MiB: QEMU wants whole sectors, and a disk is larger than what is on it. */
function pad(image: string): void {
  const fd = openSync(image, "r+");
  ftruncateSync(fd, (Math.floor(statSync(image).size / MIB) + 1) * MIB);
  closeSync(fd);
}
