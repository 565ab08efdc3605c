/** What the real openvpn objects to in a configuration, without sockets or a tun device. */
import { existsSync } from "node:fs";

/** undefined: there is none on this machine. */
export const OPENVPN =
  process.env["OPENVPN"] ?? Bun.which("openvpn") ?? (existsSync("/usr/sbin/openvpn") ? "/usr/sbin/openvpn" : undefined);

/**
 * A --writepid that cannot be written makes it stop after its checks of options, so that this is its only objection to a good
 * profile.
 */
export function objections(folder: string, file: string): string[] {
  const run = Bun.spawnSync([OPENVPN as string, "--cd", folder, "--config", file, "--writepid", "/nonexistent/pid"], {
    timeout: 10_000,
  });
  const lines = run.stdout
    .toString()
    .split("\n")
    .map((line) => line.replace(/^\d{4}-\S+ \S+ /, ""));
  const errors = lines.filter(
    (line) => line.startsWith("Options error:") && !line.includes("Please correct these errors"),
  );
  const reached = errors.some((line) => line.includes("--writepid"));
  const others = errors.filter((line) => !line.includes("--writepid"));
  return reached || others.length > 0 ? others : [`stopped before its checks ended: ${lines.join(" | ")}`];
}
