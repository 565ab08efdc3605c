/** The block devices of this machine, and what is on them. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import type { ReadAt } from "./label.ts";

export interface BlockDevice {
  /** Such as "vda" or "sr0". */
  readonly name: string;
  readonly bytes: number;
}

const SECTOR = 512;

/** Disks, CD-ROMs and partitions with a medium, in the order of their names. */
export function blockDevices(root = "/sys/class/block"): BlockDevice[] {
  const devices: BlockDevice[] = [];
  for (const entry of entries(root)) {
    if (/^(ram|loop|zram|fd|md|dm-|nbd)\d*/.test(entry)) continue;
    try {
      const bytes = Number(readFileSync(`${root}/${entry}/size`, "utf8").trim()) * SECTOR;
      // sysfs writes the "/" of a name as "!".
      if (bytes > 0) devices.push({ name: entry.replaceAll("!", "/"), bytes });
    } catch {
      // it has gone meanwhile
    }
  }
  return devices.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

/** Opens a disk for reading. A string: why that failed. */
export function readingDisk<T>(name: string, use: (readAt: ReadAt) => T): T | string {
  let fd: number;
  try {
    fd = openSync(`/dev/${name}`, "r");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return code === "ENOMEDIUM" ? "no medium" : `cannot be opened: ${code ?? (error as Error).message}`;
  }
  try {
    return use((offset, length) => {
      const bytes = new Uint8Array(length);
      let got = 0;
      while (got < length) {
        const n = readSync(fd, bytes, got, length - got, offset + got);
        if (n === 0) return undefined;
        got += n;
      }
      return bytes;
    });
  } catch (error) {
    return `cannot be read: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
  } finally {
    closeSync(fd);
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
