/** The file systems that the machine needs. The stub has mounted those that the runtime itself needs. */
import { mkdirSync, readFileSync } from "node:fs";
import type { Log } from "../../lib/log.ts";
import { MS_NODEV, MS_NOEXEC, MS_NOSUID } from "../../platform/sys/constants.ts";
import { mount } from "../../platform/sys/syscalls.ts";

const SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC;
const MOUNTS = [
  { target: "/proc", type: "proc", flags: SAFE, data: "" },
  { target: "/sys", type: "sysfs", flags: SAFE, data: "" },
  { target: "/dev", type: "devtmpfs", flags: MS_NOSUID | MS_NOEXEC, data: "mode=0755" },
  { target: "/run", type: "tmpfs", flags: SAFE, data: "mode=0755,size=16m" },
  { target: "/tmp", type: "tmpfs", flags: SAFE, data: "mode=1777,size=16m" },
] as const;

/** Mounts what is not mounted yet, and makes /config. Failures are logged. */
export function ensureMounts(log: Log): void {
  const mounted = new Set(
    readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[1]),
  );
  for (const { target, type, flags, data } of MOUNTS) {
    if (mounted.has(target)) continue;
    try {
      mkdirSync(target, { recursive: true });
      mount(type, target, type, flags, data);
    } catch (error) {
      log.write("warn", "mount.failed", (error as Error).message);
    }
  }
  try {
    mkdirSync("/config", { recursive: true });
  } catch (error) {
    log.write("warn", "mount.failed", (error as Error).message);
  }
}
