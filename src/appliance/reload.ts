/** A configuration that was read, at the start or again: what is said of it, and what of it cannot be taken while the appliance runs. */
import type { Log } from "../lib/log.ts";
import { formatProblem, inOrder } from "../protocol/config/problem.ts";
import { type LoadResult, SETTINGS_FILE } from "./profile.ts";
import type { Settings } from "./settings/settings.ts";

/**
 * Logs notices, warnings and problems, each at its line.
 * @param mending how a mended configuration is taken
 * @param isRunning a configuration that was good before, which goes on where the one that was read has problems
 */
export function sayLoaded(log: Log, loaded: LoadResult, mending: string, isRunning: boolean): void {
  for (const notice of loaded.notices) log.write("info", "config.notice", notice);
  for (const { isWarning, found } of inOrder(loaded.warnings, loaded.ok ? [] : loaded.problems))
    log.write(isWarning ? "warn" : "error", isWarning ? "config.warning" : "config.invalid", formatProblem(found));
  if (loaded.ok) return;
  // Without a problem there is no configuration yet; whoever loads it has said so.
  const problems = loaded.problems.length;
  if (isRunning) {
    const text = `nothing is taken of it, and the tunnel goes on with the configuration before; mend it, ${mending}`;
    log.write("error", "config.invalid", text, { problems });
  } else if (problems > 0) {
    log.write("error", "config.invalid", `the LAN stays closed until the configuration is mended; ${mending}`, {
      problems,
    });
  }
}

/** Names the settings that were changed but hold from the next start on; undefined when there are none. */
export function needRestart(before: Settings, after: Settings): string | undefined {
  const fixed = ({ hostname, wan, lan, vpn, status }: Settings) => ({
    ...{ hostname, wan, lan, "vpn.nat": vpn.nat },
    ...{ "status.enabled": status.enabled, "status.port": status.port },
  });
  const old: Record<string, unknown> = fixed(before);
  const changed = Object.entries(fixed(after)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name]),
  );
  if (changed.length === 0) return undefined;
  const names = changed.map(([name]) => name).join(", ");
  return `${SETTINGS_FILE}: ${names} have changed and need a restart of the appliance; what it started with goes on`;
}
