/**
 * Every directive of OpenVPN 2.6 and what this build does with it. One table; its rows are in the files beside this
 * one by subject. Sources: man openvpn; the option sets of OpenVPN 3's client for what may be ignored.
 */
import type { Directive } from "./directive.ts";
import { ACCEPTED } from "./directives-accepted.ts";
import { CLIENT } from "./directives-client.ts";
import { REFUSED } from "./directives-refused.ts";
import { SERVER } from "./directives-server.ts";

export const DIRECTIVES: ReadonlyMap<string, Directive> = new Map(
  [...CLIENT, ...ACCEPTED, ...REFUSED, ...SERVER].map((directive) => [directive.name, directive]),
);
