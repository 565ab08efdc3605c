/** The profile of a server, with the files that it names and those of its clients: read from this machine. */
import { readdirSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { readServerFiles, type ServerFiles } from "../platform/config/server-files.ts";
import { checkTls } from "../platform/crypto/tls-check.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import { parseConfig } from "../protocol/config/parse.ts";
import type { ConfigProblem, ServerConfig } from "../protocol/config/types.ts";
import { hostFiles, looseFile, readHostProfile } from "./profile.ts";

export type HostServerProfile =
  | {
      readonly ok: true;
      readonly config: ServerConfig;
      readonly files: Pick<ServerFiles, "clients" | "users" | "leases">;
      readonly warnings: readonly ConfigProblem[];
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] };

const USERS_REMEDY = "start with --users FILE, a file with a line of `morgana passwd NAME` for each user";

/** @param users a file of users; undefined: nobody is asked for a login @returns a string: why there is no such file to read */
export function loadServerProfile(file: string, users: string | undefined): HostServerProfile | string {
  const text = readHostProfile(file);
  if (typeof text === "string") return text;
  const loose: ConfigProblem[] = [];
  const folder = dirname(file);
  const read = hostFiles(folder, (name, mode) => loose.push(looseFile(file, name, mode)));
  // Files of clients, and of who had which address, hold no secret.
  const readOpenly = hostFiles(folder, () => {});
  const result = parseConfig({ file, text }, read, { roles: ["server"], expected: "server", isHost: true });
  if (!result.ok) return { ok: false, problems: result.problems, warnings: [...result.warnings, ...loose] };
  const { config } = result;
  const reader = {
    takesAbsolute: true,
    list: (name: string): readonly string[] => listed(isAbsolute(name) ? name : join(folder, name)) ?? [],
    read: (name: string): ReturnType<typeof read> => (name === users ? read : readOpenly)(name),
  } as const;
  const named = users === undefined ? undefined : { name: users, origin: { file: users, line: 0 } };
  const files = readServerFiles({ ...config, file: basename(file) }, reader, named, USERS_REMEDY);
  const tls = checkTls(config, unixSeconds());
  const warnings = [...result.warnings, ...tls.warnings, ...files.warnings, ...loose];
  const problems = [...tls.problems, ...files.problems];
  return problems.length > 0 ? { ok: false, problems, warnings } : { ok: true, config, files, warnings };
}

/** Files of a folder; undefined: there is no such folder. */
function listed(folder: string): readonly string[] | undefined {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return undefined;
  }
}
