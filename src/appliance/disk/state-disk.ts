/**
 * The disk for what should outlive a restart: ext4 or FAT with a label of its own, mounted for reading and writing. Whoever has none, or one
 * that cannot be mounted, goes on without.
 */
import { mkdirSync } from "node:fs";
import type { Log } from "../../lib/log.ts";
import { StateStore } from "../../platform/state/store.ts";
import { MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID } from "../../platform/sys/constants.ts";
import { mount, unmount } from "../../platform/sys/syscalls.ts";
import { blockDevices, readingDisk } from "./block-devices.ts";
import { readFileSystem } from "./label.ts";

const LABEL = "MORGANA-STATE";
/** A label of FAT has 11 characters. */
const LABELS: Readonly<Record<string, string>> = { ext4: LABEL, vfat: LABEL.slice(0, 11) };
const MOUNT = "/state";
const FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;

/** Mounts the first one that can be; what is the matter with others is logged. @returns undefined: there is none */
export function openStateDisk(log: Log): StateStore | undefined {
  for (const { name } of blockDevices()) {
    const found = readingDisk(name, readFileSystem);
    if (typeof found !== "object" || found.label !== LABELS[found.type]) continue;
    try {
      mkdirSync(MOUNT, { recursive: true });
      // A file system with an error must not be made worse; then it can only be read, which is said when something is to be written.
      mount(`/dev/${name}`, MOUNT, found.type, FLAGS, "errors=remount-ro");
    } catch (error) {
      const why = (error as Error).message;
      log.write(
        "warn",
        "state.unusable",
        `the state disk (${name}, ${found.type}) cannot be mounted: ${why}; nothing outlives a restart`,
      );
      continue;
    }
    log.write("info", "state.found", "", { device: name, content: `${found.type} ${found.label}` });
    return new StateStore(MOUNT, `the state disk (${name})`, log);
  }
  return undefined;
}

/** Lets go of it, so that it is whole when the machine goes off. */
export function closeStateDisk(log: Log): void {
  try {
    unmount(MOUNT);
  } catch (error) {
    log.write("warn", "state.busy", (error as Error).message);
  }
}
