/** What a server's profile names beside keys and certificates: its users, and the files of its clients. */
import { dirname, join, normalize } from "node:path";
import { besideNames, findBeside, isAbsolutePath } from "../../protocol/config/beside.ts";
import { parseClientFile } from "../../protocol/config/client-file.ts";
import { checkClientFiles } from "../../protocol/config/client-file-check.ts";
import { printable } from "../../protocol/config/lexer.ts";
import type { ClientFile } from "../../protocol/config/server-types.ts";
import type { ConfigProblem, Origin, ServerConfig } from "../../protocol/config/types.ts";
import { decodeUtf8 } from "../../protocol/config/utf8.ts";
import type { PoolLease } from "../../protocol/server/pool.ts";
import { parsePoolFile } from "../../protocol/server/pool-file.ts";
import { parseUsers } from "../../protocol/server/users.ts";

/** What lies beside a profile. */
export interface ServerFilesReader {
  /** An absolute path is one of this machine, and the first that is tried. */
  readonly takesAbsolute?: true;
  /** Names of the files in a folder; empty: there is no such folder. */
  list(folder: string): readonly string[];
  /** A string: why it cannot be read; undefined: it is not there. */
  read(name: string): Uint8Array | string | undefined;
}

export interface ServerFiles {
  readonly clients: ReadonlyMap<string, ClientFile>;
  readonly users: ReadonlyMap<string, string> | undefined;
  readonly leases: readonly PoolLease[];
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** The file of users, and where it is named. */
export interface UsersFile {
  readonly name: string;
  readonly origin: Origin;
}

/** @param remedy what to do where users are missed: the end of a sentence */
export function readServerFiles(
  config: ServerConfig,
  reader: ServerFilesReader,
  named: UsersFile | undefined,
  remedy: string,
): ServerFiles {
  const problems: ConfigProblem[] = [];
  const warnings: ConfigProblem[] = [];
  const users = named && readUsers(reader, named, "server.users", problems);
  const clients = readClients(config, reader, problems, warnings);
  checkEntry(config, named !== undefined, remedy, problems, warnings);
  return { clients, users, leases: readLeases(config, reader, warnings), problems, warnings };
}

/** Who had which address at the server that this one takes the place of; where there is no such file, nobody had one. */
function readLeases(config: ServerConfig, reader: ServerFilesReader, warnings: ConfigProblem[]): readonly PoolLease[] {
  const { persist } = config.network;
  if (persist === undefined) return [];
  const read = (name: string): ReturnType<ServerFilesReader["read"]> => {
    const path = pathOf(config.file, name);
    return path === undefined ? undefined : reader.read(path);
  };
  const found = findBeside(Object.assign(read, { takesAbsolute: reader.takesAbsolute === true }), persist.file);
  if (!(found?.content instanceof Uint8Array)) return [];
  const { leases, problems } = parsePoolFile(
    { file: found.name, text: decodeUtf8(found.content) },
    persist.seconds === 0,
  );
  // Nothing else is lost with them.
  warnings.push(...problems.map((each) => ({ ...each, problem: `ignored: ${each.problem}` })));
  return leases;
}

/** @param directive that names the file */
export function readUsers(
  reader: Pick<ServerFilesReader, "read">,
  { name, origin }: UsersFile,
  directive: string,
  problems: ConfigProblem[],
): ReadonlyMap<string, string> | undefined {
  const content = reader.read(name);
  if (!(content instanceof Uint8Array)) {
    const problem = `the file "${printable(name)}" ${content ?? "is not there; `morgana passwd NAME` prints a line for it"}`;
    problems.push({ origin, directive, problem });
    return undefined;
  }
  const parsed = parseUsers({ file: name, text: decodeUtf8(content) });
  if (parsed.ok) return parsed.users;
  problems.push(...parsed.problems);
  return undefined;
}

/** A folder that is not there is an empty one, as some kinds of disks leave empty ones out; openvpn does not start then, so it is told. */
function readClients(
  config: ServerConfig,
  reader: ServerFilesReader,
  problems: ConfigProblem[],
  warnings: ConfigProblem[],
): ReadonlyMap<string, ClientFile> {
  const clients = new Map<string, ClientFile>();
  const { clientFolder, clientFileNeeded } = config.entry;
  if (clientFolder === undefined) return clients;
  const { name, origin } = clientFolder;
  const warn = (problem: string): void => void warnings.push({ origin, directive: "client-config-dir", problem });
  const found = findFolder(config.file, name, reader);
  if (found === undefined) {
    const effect = clientFileNeeded
      ? "with ccd-exclusive nobody is let in without a file in it"
      : "no client gets anything of its own, no address and no network behind it";
    warn(`there is no folder "${printable(name)}", or it is empty; ${effect}`);
    return clients;
  }
  if (found.name !== name) warn(`"${printable(found.name)}" beside the profile is taken for "${printable(name)}"`);
  for (const client of [...found.files].sort()) {
    const file = join(found.name, client);
    const path = join(found.path, client);
    const content = reader.read(path);
    if (!(content instanceof Uint8Array)) {
      const problem = content ?? "is not there any more";
      problems.push({ origin: { file, line: 0 }, directive: "file", problem });
      continue;
    }
    const parsed = parseClientFile({ file, text: content }, (other) => reader.read(join(found.path, other)));
    warnings.push(...parsed.warnings);
    if (parsed.ok) clients.set(client, parsed.file);
    else problems.push(...parsed.problems);
  }
  warnings.push(...checkClientFiles(config.network, config.deviceType, clients.values()));
  return clients;
}

interface Folder {
  /** Relative to the profile. */
  readonly name: string;
  /** Relative to the top of the configuration. */
  readonly path: string;
  readonly files: readonly string[];
}

/** The folder of a profile by the rule for its files (beside.ts), with its files; hidden ones are no client's. */
function findFolder(profile: string, name: string, reader: ServerFilesReader): Folder | undefined {
  const own = reader.takesAbsolute === true && isAbsolutePath(name) ? [name] : [];
  for (const candidate of [...own, ...besideNames(name)]) {
    const path = pathOf(profile, candidate);
    if (path === undefined) continue;
    const files = reader.list(path).filter((file) => !file.startsWith("."));
    if (files.length > 0) return { name: candidate, path, files };
  }
  return undefined;
}

/** Of a name beside the profile: relative to the top of the configuration; undefined: it leads out of it. */
function pathOf(profile: string, name: string): string | undefined {
  if (isAbsolutePath(name)) return name;
  const path = normalize(join(dirname(profile), name));
  return path.startsWith("..") ? undefined : path;
}

/** What would let everybody in is a problem; what has no meaning without users is told. */
function checkEntry(
  { entry, file }: ServerConfig,
  hasUsers: boolean,
  remedy: string,
  problems: ConfigProblem[],
  warnings: ConfigProblem[],
): void {
  const { clientCert, passwordOptional } = entry;
  const at = (directive: string, problem: string): ConfigProblem => ({
    origin: entry.origins[directive] ?? { file, line: 1 },
    directive,
    problem,
  });
  const certDirective = "client-cert-not-required" in entry.origins ? "client-cert-not-required" : "verify-client-cert";
  if (clientCert !== "require" && !hasUsers)
    problems.push(
      at(
        certDirective,
        `${clientCert} would let in whoever has no certificate, since no user and password is asked for; ${remedy}, or write verify-client-cert require`,
      ),
    );
  else if (clientCert === "none" && passwordOptional)
    problems.push(
      at(
        "auth-user-pass-optional",
        "lets in whoever has no password, and verify-client-cert none asks for nothing else",
      ),
    );
  if (hasUsers) return;
  if (entry.usernameAsCommonName)
    problems.push(at("username-as-common-name", `nobody is asked for a user's name; ${remedy}`));
  for (const directive of ["auth-user-pass-optional", "auth-gen-token"])
    if (entry.origins[directive])
      warnings.push(at(directive, `ignored: nobody is asked for a password; ${remedy}, if that is wanted`));
}
