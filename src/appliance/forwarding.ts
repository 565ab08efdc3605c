/** What reaches what, as the settings and the profile say. */
import type { LoadResult } from "./profile.ts";
import type { Forwarding } from "./wiring/router.ts";

/** Of a profile with problems nobody knows the role: the LAN is closed, as for a client without a tunnel. */
export function forwardingOf(loaded: LoadResult): Forwarding {
  const { vpn, server } = loaded.settings;
  if (!loaded.ok || loaded.config.role !== "server") return { kind: "client", nat: vpn.nat };
  const pushes = loaded.config.push.some((option) => /^redirect-gateway(\s|$)/.test(option));
  return { kind: "server", lan: server.lan, internet: server.internet ?? pushes };
}
