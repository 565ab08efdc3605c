/** Commands to a server about its clients, as a form says them: kill, push-update. */
import { oneLine, printable } from "../../protocol/config/lexer.ts";
import { UPDATABLE } from "../../protocol/push/update.ts";
import type { ClientChoice, ServedPeer } from "../../tunnel/listener.ts";
import type { ClientCommands } from "../vpn-end.ts";

export type Command =
  | { readonly kind: "kill"; readonly who: ClientChoice; readonly message: "RESTART" | "HALT" }
  | { readonly kind: "push-update"; readonly who: ClientChoice | undefined; readonly options: readonly string[] };

/** What came of one: in words, and how many clients it was about. */
export interface Outcome {
  readonly text: string;
  /** undefined: it could not be done. */
  readonly clients: number | undefined;
}

/** What a form may have; `token`, `user` and `password` are the site's (site.ts). */
const VALUES: ReadonlySet<string> = new Set([
  ...["command", "client", "id", "who", "halt", "options"],
  ...["token", "user", "password"],
]);
/** Our choice. */
const MOST_OPTIONS = 64;
/**
 * What cannot be changed beside the server's own view of it (addresses, sizes), or what clients do not take while they are up (keepalive, as
 * they are told ping and ping-restart).
 */
const SETTLED: ReadonlySet<string> = new Set(["ifconfig", "ifconfig-ipv6", "topology", "tun-mtu", "keepalive"]);

/**
 * @param form `command=kill` with `client=NAME`, or `id=NUMBER`, and `halt=yes`; `command=push-update` with `options`, one a line, and the
 * same for one client alone. The page sends number and name as `who`, or nothing there for everybody. A value that is misspelled is a
 * problem, as what is left without it would be another command.
 * @param clients whose tunnel is up now
 * @returns what it is not, in words
 */
export function parseCommand(form: ReadonlyMap<string, string>, clients: readonly ServedPeer[]): Command | string {
  const unknown = [...form.keys()].find((name) => !VALUES.has(name));
  if (unknown !== undefined) return `${printable(unknown)}: there is no such value`;
  const who = whoOf(form, clients);
  if (who !== undefined && typeof who === "object") return who.problem;
  const command = form.get("command");
  if (command === "kill") {
    if (who === undefined) return "which client? Say client=NAME or id=NUMBER";
    const halt = form.get("halt");
    if (halt !== undefined && halt !== "yes") return "halt is not yes";
    return { kind: "kill", who, message: halt === undefined ? "RESTART" : "HALT" };
  }
  if (command !== "push-update") return "command is neither kill nor push-update";
  const options = (form.get("options") ?? "")
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (options.length === 0) return "no options: one a line, such as route 10.9.0.0 255.255.0.0";
  if (options.length > MOST_OPTIONS) return `more than ${MOST_OPTIONS} options`;
  const wrong = options.map(optionProblem).find((problem) => problem !== undefined);
  return wrong ?? { kind: "push-update", who, options };
}

/** Carries a command out. */
export function carryOut(now: number, command: Command, commands: ClientCommands): Outcome {
  const clients =
    command.kind === "kill"
      ? commands.kill(now, command.who, command.message)
      : commands.pushUpdate(now, command.who, command.options);
  if (typeof clients === "string") return { text: oneLine(clients), clients: undefined };
  const whom = command.who === undefined ? "" : ` (${typeof command.who === "number" ? "id " : ""}${command.who})`;
  const what = command.kind === "kill" ? "told to go" : "told of the options; others do not take updates";
  return {
    text: `${command.kind}${oneLine(whom)}: ${clients} ${clients === 1 ? "client" : "clients"} ${what}`,
    clients,
  };
}

function whoOf(
  form: ReadonlyMap<string, string>,
  clients: readonly ServedPeer[],
): ClientChoice | { readonly problem: string } | undefined {
  const chosen = form.get("who") ?? "";
  const [, number, ofPage] = /^(\d{1,5}) (.*)$/s.exec(chosen) ?? [];
  if (chosen !== "" && number === undefined) return { problem: "who is none of the page's choices" };
  const id = number ?? form.get("id");
  const name = ofPage ?? form.get("client");
  // A program that has lost the name does not mean everybody.
  if (id === undefined && name === "") return { problem: "client is empty; leave it out for everybody" };
  if (id === undefined) return name;
  if (!/^\d{1,5}$/.test(id)) return { problem: "id is no number" };
  const client = clients.find((each) => each.id === Number(id));
  // Numbers are given again: with a name beside it another client is not taken for the one that was meant.
  if (client === undefined || (name !== undefined && client.name !== name))
    return { problem: "that client is not there any more" };
  return client.id;
}

/** Why it cannot be pushed. */
function optionProblem(option: string): string | undefined {
  const name = /^-?\??([a-z0-9-]+)(?=\s|$)/.exec(option)?.[1];
  if (option.includes(",") || oneLine(option) !== option)
    return `${printable(option)}: has a comma or a control character`;
  if (name === undefined || !UPDATABLE.has(name)) return `${printable(option)}: cannot be changed while a tunnel is up`;
  if (SETTLED.has(name))
    return `${name}: cannot be pushed by itself; change the profile or the client's file, and reload`;
  return undefined;
}
