/** Where a service of this machine keeps what should outlive a restart: the folder that its manager names (systemd.exec(5), StateDirectory=). */
import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import type { Log } from "../../lib/log.ts";
import { StateStore } from "./store.ts";

/** @param environment with STATE_DIRECTORY, whose first folder counts; without it nothing is kept */
export function openStateFolder(
  environment: Readonly<Record<string, string | undefined>>,
  log: Log,
): StateStore | undefined {
  const folder = environment["STATE_DIRECTORY"]?.split(":")[0] ?? "";
  if (folder === "") return undefined;
  if (isAbsolute(folder) && statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true)
    return new StateStore(folder, folder, log);
  const text = `STATE_DIRECTORY names ${JSON.stringify(folder)}, which is not the absolute path of a folder; nothing outlives a restart`;
  log.write("warn", "state.unusable", text);
  return undefined;
}
