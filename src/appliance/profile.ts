/**
 * A configuration as it lies on a config disk: appliance.toml, one OpenVPN file, the files that it names, auth.txt.
 * Everything is read through a ConfigReader, so that a folder, a mounted disk and a single file are the same here.
 */
import { dirname, join, normalize } from "node:path";
import { readServerFiles, readUsers, type ServerFiles } from "../platform/config/server-files.ts";
import { checkTls } from "../platform/crypto/tls-check.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import { printable } from "../protocol/config/lexer.ts";
import { parseConfig } from "../protocol/config/parse.ts";
import type { ClientFile } from "../protocol/config/server-types.ts";
import type { ConfigProblem, DeviceType, DialConfig, Role, ServerConfig } from "../protocol/config/types.ts";
import { decodeUtf8 } from "../protocol/config/utf8.ts";
import type { PoolLease } from "../protocol/server/pool.ts";
import { parseSettings, type SettingsResult, unreadableSettings } from "./settings/parse.ts";
import type { Settings } from "./settings/settings.ts";

export interface ConfigReader {
  /** Names of the files in a folder, of those at the top where none is named; the order does not matter. Empty: no such folder. */
  list(folder?: string): readonly string[];
  /** Content of a file by its name relative to the top. A string: why it cannot be read; undefined: it is not there. */
  read(name: string): Uint8Array | string | undefined;
}

export interface LoadOptions {
  /** The configuration is this one OpenVPN file: appliance.toml is not looked for. */
  readonly single?: string | undefined;
  /** What messages call the folder, such as its path. */
  readonly place?: string;
  /** The wall clock, which the dates of certificates are compared with; default: now. */
  readonly unixSeconds?: number;
}

interface Loaded {
  /** The defaults where appliance.toml is missing. Where it has problems, its good values; where one is about the WAN, that has no address. */
  readonly settings: Settings;
  readonly notices: readonly string[];
  readonly warnings: readonly ConfigProblem[];
}

export type LoadResult =
  | (Loaded & {
      readonly ok: true;
      readonly config: DialConfig | ServerConfig;
      /** Of a server: the files of client-config-dir by their names, DEFAULT among them. */
      readonly clients: ReadonlyMap<string, ClientFile>;
      /** Of a server: the hash of each user's password; undefined: no login is asked for. */
      readonly users: ReadonlyMap<string, string> | undefined;
      /** Who may give commands on the status page, with the hashes of their passwords; undefined: whoever may see it. */
      readonly operators: ReadonlyMap<string, string> | undefined;
      /** Of a server: what the file of ifconfig-pool-persist beside the profile holds. */
      readonly leases: readonly PoolLease[];
    })
  | (Loaded & {
      readonly ok: false;
      readonly problems: readonly ConfigProblem[];
      /** Of the profile, as far as it could be seen. */
      readonly role?: Role | undefined;
      readonly deviceType?: DeviceType | undefined;
    });

export const SETTINGS_FILE = "appliance.toml";
const CREDENTIALS_FILE = "auth.txt";

/** Reads everything and reports the problems of both files at once. Never throws for what a file holds. */
export function loadProfile(reader: ConfigReader, options: LoadOptions = {}): LoadResult {
  const used = new Set<string>();
  const read: ConfigReader["read"] = (name) => {
    const bytes = reader.read(name);
    if (bytes !== undefined) used.add(foldedName(name));
    return bytes;
  };
  const result = load({ list: (folder) => reader.list(folder), read }, options);
  // With problems elsewhere it has not come to these.
  for (const name of [result.settings.server.users, result.settings.status.users])
    if (name !== undefined) used.add(foldedName(name));
  // One file alone may lie anywhere.
  if (options.single !== undefined) return result;
  const idle = visible(reader.list()).filter((name) => !PROFILE.test(name) && !used.has(foldedName(name)));
  if (idle.length === 0) return result;
  const notice = `not used: ${named(idle.sort())}; what counts is ${SETTINGS_FILE}, ${CREDENTIALS_FILE}, the OpenVPN file and the files that ${SETTINGS_FILE} and it name`;
  return { ...result, notices: [notice] };
}

/** FAT and Joliet find auth.txt by any case, and list it as it was written. */
const foldedName = (name: string): string => normalize(name).toLowerCase();

function load(reader: ConfigReader, options: LoadOptions): LoadResult {
  const toml = options.single === undefined ? reader.read(SETTINGS_FILE) : undefined;
  const readSettings = (role?: Role, deviceType?: DeviceType): SettingsResult =>
    typeof toml === "string"
      ? unreadableSettings(SETTINGS_FILE, toml)
      : parseSettings(SETTINGS_FILE, toml && decodeUtf8(toml), role, deviceType);
  const first = readSettings();
  const name = options.single ?? first.settings.vpn.config ?? onlyProfile(reader.list());
  const bytes = typeof name === "string" ? reader.read(name) : undefined;
  if (typeof name !== "string" || !(bytes instanceof Uint8Array)) {
    const { settings } = first;
    const problems = [...(first.ok ? [] : first.problems), ...noProfile(first, name, bytes, options)];
    return { ok: false, settings, notices: [], warnings: [], problems };
  }

  const auth = reader.read(CREDENTIALS_FILE);
  const result = parseConfig({ file: name, text: bytes }, (file) => readBeside(reader, name, file), {
    roles: ["client", "p2p", "static", "server"],
    defaultCredentials: auth === undefined ? undefined : { label: CREDENTIALS_FILE, ...contentOf(auth) },
  });
  // Some keys and defaults are one role's alone.
  const parsed = result.ok
    ? readSettings(result.config.role, result.config.deviceType)
    : readSettings(result.role, result.deviceType);
  const { settings } = parsed;
  const problems: ConfigProblem[] = parsed.ok ? [] : [...parsed.problems];
  if (!result.ok) {
    problems.push(...result.problems);
    const { role, deviceType, warnings } = result;
    return { ok: false, settings, notices: [], warnings, problems, role, deviceType };
  }
  const { config } = result;
  const files = config.role === "server" ? serverFiles(config, reader, settings, parsed.usersLine) : NO_FILES;
  const now = options.unixSeconds ?? unixSeconds();
  const tls = config.role === "static" ? { problems: [], warnings: [] } : checkTls(config, now);
  const warnings = [...result.warnings, ...tls.warnings, ...files.warnings];
  problems.push(...tls.problems, ...files.problems);
  const operators = operatorsOf(reader, parsed, problems);
  const { role, deviceType } = config;
  if (problems.length > 0) return { ok: false, settings, notices: [], warnings, problems, role, deviceType };
  const { clients, users, leases } = files;
  return { ok: true, settings, notices: [], warnings, config, clients, users, operators, leases };
}

const NO_FILES: ServerFiles = { clients: new Map(), users: undefined, leases: [], problems: [], warnings: [] };

/** What to do where users are missed: the end of a sentence. */
export const USERS_REMEDY =
  'below [server] in appliance.toml write users = "users.txt", a file with a line of `morgana passwd NAME` for each user';

function serverFiles(config: ServerConfig, reader: ConfigReader, { server }: Settings, line: number): ServerFiles {
  const users = server.users === undefined ? undefined : { name: server.users, origin: { file: SETTINGS_FILE, line } };
  return readServerFiles(config, reader, users, USERS_REMEDY);
}

/** Who may give commands on the status page, where a file says so. */
export function operatorsOf(
  reader: ConfigReader,
  parsed: SettingsResult,
  problems: ConfigProblem[],
): ReadonlyMap<string, string> | undefined {
  const { users } = parsed.settings.status;
  if (users === undefined || !parsed.ok) return undefined;
  const origin = { file: SETTINGS_FILE, line: parsed.operatorsLine };
  return readUsers(reader, { name: users, origin }, "status.users", problems);
}

/** Why there is no profile. */
function noProfile(
  parsed: SettingsResult,
  name: string | { readonly problem: string },
  content: string | Uint8Array | undefined,
  { single, place }: LoadOptions,
): ConfigProblem[] {
  if (single !== undefined) {
    const problem = typeof content === "string" ? content : "is not there any more";
    return [{ origin: { file: single, line: 0 }, directive: "file", problem }];
  }
  // A broken appliance.toml may have named it.
  if (!parsed.ok) return [];
  const problem =
    typeof name === "string" ? `the file "${printable(name)}" ${content ?? "is not there"}` : name.problem;
  const isNamed = parsed.settings.vpn.config !== undefined;
  const origin = isNamed
    ? { file: SETTINGS_FILE, line: parsed.configLine }
    : { file: place ?? "the configuration", line: 0 };
  return [{ origin, directive: "vpn.config", problem }];
}

const contentOf = (file: Uint8Array | string): { text: string } | { unreadable: string } =>
  typeof file === "string" ? { unreadable: file } : { text: decodeUtf8(file) };

const PROFILE = /\.(ovpn|conf)$/i;

/** macOS leaves "._NAME" files on FAT disks. */
const visible = (names: readonly string[]): string[] => names.filter((name) => !name.startsWith("."));

const named = (names: readonly string[]): string =>
  [...names.slice(0, 5).map((name) => JSON.stringify(name)), ...(names.length > 5 ? ["..."] : [])].join(", ");

/** The only *.ovpn or *.conf, or the only file at all. */
export function onlyProfile(names: readonly string[]): string | { readonly problem: string } {
  const files = visible(names);
  const profiles = files.filter((name) => PROFILE.test(name)).sort();
  if (profiles.length === 0 && files.length === 1 && files[0] !== SETTINGS_FILE) return files[0] as string;
  if (profiles.length === 1) return profiles[0] as string;
  const remedy = (name: string): string => `write into ${SETTINGS_FILE}, below [vpn]: config = ${JSON.stringify(name)}`;
  if (profiles.length === 0) {
    const problem = "there is no OpenVPN file (*.ovpn or *.conf) at the top of the configuration";
    return { problem: `${problem}; if it has another name or lies in a folder, ${remedy("FOLDER/NAME")}` };
  }
  const problem = `there are ${profiles.length} OpenVPN files (${named(profiles)})`;
  return { problem: `${problem}; to take the first, ${remedy(profiles[0] as string)}` };
}

/** Names are relative to the profile (beside.ts), and lead nowhere but into the configuration. */
function readBeside(reader: ConfigReader, profile: string, name: string): Uint8Array | string | undefined {
  const path = normalize(join(dirname(profile), name));
  return path.startsWith("..") ? undefined : reader.read(path);
}
