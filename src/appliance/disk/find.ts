/** The config disk: which block device it is, and its content as a ConfigReader. */
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY } from "../../platform/sys/constants.ts";
import { mount, unmount } from "../../platform/sys/syscalls.ts";
import { folderReader } from "../config-source.ts";
import type { ConfigReader, LoadOptions } from "../profile.ts";
import { type BlockDevice, blockDevices, readingDisk } from "./block-devices.ts";
import { type FileSystem, readFileSystem } from "./label.ts";
import { readRaw } from "./raw.ts";

/** In the order of preference. */
const CONFIG_LABELS: readonly string[] = ["MORGANA", "CIDATA", "cidata"];
const CONFIG_MOUNT = "/config";

export interface ConfigDisk {
  /** Such as "vda" or "sr0". */
  readonly device: string;
  /** What it is, for the log: "iso9660 CIDATA", "tar archive", "OpenVPN file". */
  readonly content: string;
  readonly reader: ConfigReader;
  readonly options: LoadOptions;
}

export interface DiskSearch {
  readonly disk: ConfigDisk | undefined;
  /** What else was looked at and why it is not the one: "sda1 (ext4 without a label)". */
  readonly seen: readonly string[];
}

/** Looks at every block device; mounts the config disk where it has a file system. Never throws for what a disk holds. */
export function findConfigDisk(): DiskSearch {
  releaseConfigDisk();
  const seen: string[] = [];
  const labelled: { name: string; fileSystem: FileSystem }[] = [];
  const raw: BlockDevice[] = [];
  for (const device of blockDevices()) {
    const fileSystem = readingDisk(device.name, readFileSystem);
    if (typeof fileSystem === "string") seen.push(`${device.name} (${fileSystem})`);
    else if (fileSystem === undefined) raw.push(device);
    else if (CONFIG_LABELS.includes(fileSystem.label)) {
      labelled.push({ name: device.name, fileSystem });
    } else {
      const { type, label } = fileSystem;
      seen.push(`${device.name} (${type} ${label === "" ? "without a label" : `labelled ${JSON.stringify(label)}`})`);
    }
  }
  const rank = (found: (typeof labelled)[number]): number => CONFIG_LABELS.indexOf(found.fileSystem.label);
  labelled.sort((a, b) => rank(a) - rank(b));
  for (const { name, fileSystem } of labelled) {
    try {
      mountConfig(name, fileSystem.type);
      const content = `${fileSystem.type} ${fileSystem.label}`;
      return { disk: { device: name, content, reader: folderReader(CONFIG_MOUNT), options: {} }, seen };
    } catch (error) {
      seen.push(
        `${name} (${fileSystem.type} ${fileSystem.label}, but it cannot be mounted: ${(error as Error).message})`,
      );
    }
  }
  for (const { name, bytes } of raw) {
    const found = readingDisk(name, (readAt) => readRaw(name, bytes, readAt));
    if (typeof found === "string") seen.push(`${name} (${found})`);
    else if (found === undefined)
      seen.push(
        `${name} (no file system that can be read here (ISO 9660, FAT, ext4), no tar archive and no OpenVPN file)`,
      );
    else {
      const content = found.kind === "tar" ? "tar archive" : "OpenVPN file";
      return { disk: { device: name, content, reader: found.reader, options: found.options }, seen };
    }
  }
  return { disk: undefined, seen };
}

/** Lets go of the config disk, so that it can be exchanged. */
export function releaseConfigDisk(): void {
  try {
    unmount(CONFIG_MOUNT);
  } catch {
    // it was not mounted
  }
}

function mountConfig(name: string, type: FileSystem["type"]): void {
  // A journal that was not played back must not make a read-only disk unusable.
  const data = type === "ext4" ? "noload" : "";
  mount(`/dev/${name}`, CONFIG_MOUNT, type, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, data);
}
