/** The timers of an established tunnel, and the goodbye: lines -> values. */
import { type Reader, SECONDS } from "./reader.ts";
import type { KeepaliveConfig, Role } from "./types.ts";

/** ping-restart of a client that has none (man openvpn). */
const PULL_PING_RESTART = 120;

export function resolveKeepalive(reader: Reader, role: Role): KeepaliveConfig {
  let ping = reader.int("ping", 0);
  let timeout = role === "client" ? PULL_PING_RESTART : 0;
  let action: "restart" | "exit" = "restart";
  const lines = [...reader.all("ping-restart"), ...reader.all("ping-exit")].sort((a, b) => a.line - b.line);
  for (const line of lines) {
    const seconds = reader.number(line, 1, SECONDS);
    if (seconds === undefined) continue;
    timeout = seconds;
    action = line.words[0] === "ping-exit" && seconds > 0 ? "exit" : "restart";
  }
  for (const line of reader.all("keepalive")) {
    // Seen with openvpn 2.6: as if the line were not there.
    if (line.words[1] === "0" && line.words[2] === "0") continue;
    const interval = reader.number(line, 1, { min: 1, max: SECONDS.max });
    const silence = reader.number(line, 2, { min: 1, max: SECONDS.max });
    if (interval === undefined || silence === undefined) continue;
    // The factor is OpenVPN's own check.
    if (silence < 2 * interval) reader.problem(line, `the second value, ${silence}, must be at least twice the first`);
    if (lines.length > 0 || reader.has("ping"))
      reader.problem(line, "cannot stand beside ping, ping-restart or ping-exit");
    ping = interval;
    // A server gives its clients time to notice first (OpenVPN's helper.c, helper_keepalive).
    timeout = role === "server" ? 2 * silence : silence;
  }
  return {
    ping,
    timeout,
    action,
    inactive: resolveInactive(reader),
    sessionTimeout: reader.int("session-timeout", 0),
  };
}

function resolveInactive(reader: Reader): KeepaliveConfig["inactive"] {
  let value: KeepaliveConfig["inactive"];
  for (const line of reader.all("inactive")) {
    const seconds = reader.number(line, 1, SECONDS);
    const bytes = reader.number(line, 2, { min: 0, max: Number.MAX_SAFE_INTEGER });
    if (seconds !== undefined) value = seconds === 0 ? undefined : { seconds, bytes: bytes ?? 0 };
  }
  return value;
}

export function resolveExitNotify(reader: Reader): number {
  let value = 0;
  for (const line of reader.all("explicit-exit-notify")) {
    value = line.words[1] === undefined ? 1 : (reader.number(line, 1, SECONDS) ?? value);
  }
  return value;
}
