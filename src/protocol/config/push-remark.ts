/** What a person should know of an option that is pushed: clients pass over what they do not know, and no server hears of it. */
import { DIRECTIVES, NAMES } from "./directives.ts";
import { printable } from "./lexer.ts";
import { perhaps } from "./spelling.ts";

const KNOWN = new Set(NAMES);

/** Those that have an effect at a client. */
const EFFECTIVE = DIRECTIVES.filter(({ roles, support }) => roles.includes("client") && support === "implemented").map(
  ({ name }) => name,
);

/** @returns undefined: nothing */
export function pushRemark(option: string): string | undefined {
  const [name = ""] = option.trim().split(/\s+/);
  if (KNOWN.has(name)) return undefined;
  return `"${printable(name)}" is no option of OpenVPN, and clients pass over it${perhaps(name, EFFECTIVE)}`;
}
