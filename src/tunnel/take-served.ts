/** A server's files, read again: what is taken of them while it runs, and what is said of that. */
import type { Log } from "../lib/log.ts";
import type { ServerPart } from "../protocol/config/server-types.ts";
import type { ServerConfig } from "../protocol/config/types.ts";
import { commonPush } from "../protocol/push/common-push.ts";
import type { Entrance, EntranceSetup } from "../protocol/server/entrance.ts";
import type { EntryDesk } from "../protocol/server/entry.ts";
import type { Listener } from "./listener.ts";

/** A profile with its users and the files of its clients. */
export interface ServedFiles extends Pick<EntranceSetup, "clients" | "users"> {
  readonly config: ServerConfig & ServerPart;
}

export interface RunningServer {
  readonly listener: Pick<Listener, "config" | "reload">;
  readonly entrance: EntryDesk & Pick<Entrance, "files" | "reload">;
  /** Networks that no client may have. */
  readonly lan: EntranceSetup["lan"];
  readonly log: Log;
}

/**
 * Takes what can be taken without ending a session, and logs what has changed by that; what counts from the next start on is named, each
 * by its directive.
 */
export function takeServed(now: number, unixSeconds: number, server: RunningServer, files: ServedFiles): void {
  const { listener, entrance, lan, log } = server;
  const before = { ...entrance.files, config: listener.config };
  const problems: string[] = [];
  const untaken = listener.reload(now, files.config, entrance, (config) => {
    const guests = entrance.reload(unixSeconds, { ...files, config, lan });
    problems.push(...guests.problems);
    return guests;
  });
  for (const problem of [...untaken, ...problems]) log.write("warn", "config.warning", problem);
  const changed = changedParts(before, { ...files, config: listener.config });
  const taken =
    changed.length > 0
      ? "what has changed is taken, and sessions go on"
      : "nothing has changed that a running server takes, and sessions go on";
  const rest = untaken.length > 0 ? "; the rest is named above, and needs a restart" : "";
  log.write("info", "reload.taken", `${taken}${rest}`, { changed: changed.join(", ") || undefined });
}

/** What a running server takes, in the words of its log. */
const PARTS: readonly (readonly [string, (files: ServedFiles) => unknown])[] = [
  ["certificates and their checks", ({ config: { tls, verify } }) => [tls, verify]],
  ["who may come in", ({ config: { entry } }) => entry],
  ["users", ({ users }) => users],
  ["files of clients", ({ clients }) => clients],
  ["push", ({ config }) => commonPush(config)],
  ["ciphers", ({ config: { data } }) => data],
  ["control channel", ({ config: { control, wrappedKeys } }) => [control, wrappedKeys]],
  ["keepalive", ({ config: { keepalive, exitNotify } }) => [keepalive, exitNotify]],
  ["mssfix", ({ config: { tunnel } }) => tunnel.mssFix],
  ["limits", ({ config: { limits } }) => limits],
];

/** @returns names of what differs, wherever it is written */
export function changedParts(before: ServedFiles, after: ServedFiles): string[] {
  return PARTS.filter(([, of]) => textOf(of(before)) !== textOf(of(after))).map(([name]) => name);
}

/** Where something is written: a comment in front of it moves it. */
const PLACES: ReadonlySet<string> = new Set(["origin", "origins", "lines"]);

const textOf = (value: unknown): string =>
  JSON.stringify([value], (key, each: unknown) => {
    if (PLACES.has(key)) return undefined;
    if (each instanceof Uint8Array) return each.toHex();
    return each instanceof Map ? [...each] : each;
  });
