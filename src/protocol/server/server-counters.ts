/** What a server counts beside the drops of its sessions. */

export const COUNTERS = [
  "first-packets-answered",
  "sessions-begun",
  "floats",
  "peer-unknown",
  "first-packets-limited",
  "sessions-limited",
  "sessions-full",
  "floats-refused",
  "strangers-at-the-end",
] as const;
export type ServerCounter = (typeof COUNTERS)[number];
const counter = (name: ServerCounter): number => COUNTERS.indexOf(name);
export const ANSWERED = counter("first-packets-answered");
export const BEGUN = counter("sessions-begun");
export const FLOATS = counter("floats");
export const PEER_UNKNOWN = counter("peer-unknown");
export const FIRST_LIMITED = counter("first-packets-limited");
export const SESSIONS_LIMITED = counter("sessions-limited");
export const CLOSED = counter("strangers-at-the-end");
export const FULL = counter("sessions-full");
export const FLOATS_REFUSED = counter("floats-refused");
