/**
 * Loads every kernel module that the image carries. Each depends on what modules.dep says (modules.dep(5)): lines
 * "PATH: DEPENDENCY DEPENDENCY ...", paths relative to the folder.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../../lib/log.ts";
import { O_CLOEXEC, O_RDONLY } from "../../platform/sys/constants.ts";
import { EEXIST, ENODEV, SysError } from "../../platform/sys/errno.ts";
import { close, finitModule, open } from "../../platform/sys/syscalls.ts";

/** The kernel decompresses the file (since 5.17, where it was built with that). */
const MODULE_INIT_COMPRESSED_FILE = 4;

/** Paths of all modules of a modules.dep, dependencies before what needs them. A circle is cut where it closes. */
export function loadOrder(modulesDep: string): string[] {
  const dependencies = new Map<string, readonly string[]>();
  for (const line of modulesDep.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const needs = line.slice(colon + 1).split(" ");
    dependencies.set(
      line.slice(0, colon),
      needs.filter((path) => path !== ""),
    );
  }
  const order: string[] = [];
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const needed of dependencies.get(path) ?? []) visit(needed);
    order.push(path);
  };
  for (const path of dependencies.keys()) visit(path);
  return order;
}

/** The folder of the running kernel's modules. */
export const modulesFolder = (): string => `/lib/modules/${readFileSync("/proc/sys/kernel/osrelease", "utf8").trim()}`;

/**
 * Loads them all, and removes their files, which are in memory and of no more use. What fails is logged: a missing driver shows later
 * as a missing device, which has its own message.
 */
export function loadModules(folder: string, log: Log): void {
  let text: string;
  try {
    text = readFileSync(join(folder, "modules.dep"), "utf8");
  } catch {
    log.write("warn", "modules.missing", `there is no ${folder}/modules.dep: only drivers built into the kernel work`);
    return;
  }
  let loaded = 0;
  for (const path of loadOrder(text)) {
    try {
      if (load(join(folder, path))) loaded++;
    } catch (error) {
      log.write("warn", "modules.failed", (error as Error).message, { module: path });
    }
  }
  log.write("debug", "modules.loaded", "", { count: loaded });
  try {
    rmSync(folder, { recursive: true });
  } catch (error) {
    log.write("debug", "modules.kept", (error as Error).message);
  }
}

/** False where it is there already or finds no device of its kind. @throws SysError */
function load(path: string): boolean {
  const fd = open(path, O_RDONLY | O_CLOEXEC);
  try {
    finitModule(fd, "", /\.(gz|xz|zst)$/.test(path) ? MODULE_INIT_COMPRESSED_FILE : 0);
    return true;
  } catch (error) {
    if (error instanceof SysError && (error.errno === EEXIST || error.errno === ENODEV)) return false;
    throw error;
  } finally {
    close(fd);
  }
}
