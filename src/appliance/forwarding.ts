/** What reaches what, as the settings and the profile say. */
import type { LoadResult } from "./profile.ts";
import type { Forwarding as Routing } from "./wiring/router.ts";

export type Forwarding =
  | Routing
  /** Frames go between the LAN and the tunnel: of a server, or of a client. */
  | { readonly kind: "bridge"; readonly role: "client" | "server" };

/** Of a profile with problems nobody knows the role: the LAN is closed, as for a client without a tunnel. */
export function forwardingOf(loaded: LoadResult): Forwarding {
  const { vpn, server } = loaded.settings;
  const { role, deviceType } = loaded.ok ? loaded.config : loaded;
  if (deviceType === "tap") return { kind: "bridge", role: role === "server" ? "server" : "client" };
  if (!loaded.ok || loaded.config.role !== "server") return { kind: "client", nat: vpn.nat };
  const pushes = loaded.config.push.some((option) => /^redirect-gateway(\s|$)/.test(option));
  return { kind: "server", lan: server.lan, internet: server.internet ?? pushes };
}

/** Whether the one cannot become the other while the appliance runs. */
export const isOther = (a: Forwarding, b: Forwarding): boolean =>
  a.kind !== b.kind || (a.kind === "bridge" && b.kind === "bridge" && a.role !== b.role);
