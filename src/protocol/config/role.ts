/** What an OpenVPN file makes of this end; it is decided before anything else, since it says what the other lines mean. */
import type { Line } from "./lexer.ts";
import type { Role } from "./types.ts";

/** How a profile of each role is called. */
export const PROFILE_OF: Readonly<Record<Role, string>> = {
  client: "a client's profile",
  server: "a server's profile",
  p2p: "a profile of one end of a point-to-point tunnel",
  static: "a profile with a static key",
};

export interface Decision {
  readonly role: Role;
  /** The line that decided. Without one, a client's profile is taken to be meant. */
  readonly line: Line | undefined;
}

/**
 * By the first of these that the profile has: server, server-ipv6, server-bridge or mode server makes a server, client or
 * tls-client a client, tls-server one end of a point-to-point tunnel, secret one end of a tunnel with a static key.
 */
export function decideRole(lines: readonly Line[]): Decision {
  const first = (names: readonly string[]): Line | undefined => lines.find(({ words }) => names.includes(words[0]!));
  const server =
    first(["server", "server-ipv6", "server-bridge"]) ??
    lines.find(({ words }) => words[0] === "mode" && words[1] === "server");
  if (server) return { role: "server", line: server };
  const client = first(["client", "tls-client"]);
  if (client) return { role: "client", line: client };
  const p2p = first(["tls-server"]);
  if (p2p) return { role: "p2p", line: p2p };
  const key = first(["secret"]);
  return key ? { role: "static", line: key } : { role: "client", line: undefined };
}
