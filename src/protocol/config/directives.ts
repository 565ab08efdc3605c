/**
 * Every directive of OpenVPN 2.4 to 2.8, whose profiles it belongs to, and what this build does with it. One table; its rows are
 * in the files beside this one by subject. Sources: man openvpn; what openvpn 2.6.14 says to each line in a profile of
 * each role; the option sets of OpenVPN 3's client for what may be ignored.
 */
import { groupBy } from "../../lib/group-by.ts";
import type { Directive } from "./directive.ts";
import { ACCEPTED } from "./directives-accepted.ts";
import { REFUSED } from "./directives-refused.ts";
import { SERVER } from "./directives-server.ts";
import { USED } from "./directives-used.ts";
import type { Role } from "./types.ts";

export const DIRECTIVES: readonly Directive[] = [...USED, ...ACCEPTED, ...REFUSED, ...SERVER];

/** The rows of each name: several where roles differ, none of them for the same role. */
const BY_NAME = groupBy(DIRECTIVES, (directive) => directive.name);

export const NAMES: readonly string[] = [...BY_NAME.keys()];

/** The row for a profile of this role; the one of another role where there is none; undefined: no directive at all. */
export function findDirective(name: string, role: Role): Directive | undefined {
  const rows = BY_NAME.get(name);
  return rows?.find((directive) => directive.roles.includes(role)) ?? rows?.[0];
}
