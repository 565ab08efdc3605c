/** `morgana check`: parse and validate one OpenVPN file, print what it resolves to. */
import { readlinkSync } from "node:fs";
import { basename, dirname, isAbsolute, join, normalize, relative, resolve } from "node:path";
import { folderReader } from "../appliance/config-source.ts";
import { onlyProfile, operatorsOf, SETTINGS_FILE, USERS_REMEDY } from "../appliance/profile.ts";
import { parseSettings, type SettingsResult } from "../appliance/settings/parse.ts";
import type { Settings } from "../appliance/settings/settings.ts";
import { readServerFiles } from "../platform/config/server-files.ts";
import { checkTls } from "../platform/crypto/tls-check.ts";
import { readFileOrPipe, readPlainFile } from "../platform/sys/file.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import type { ReadFile } from "../protocol/config/beside.ts";
import { formatConfig } from "../protocol/config/format.ts";
import { oneLine } from "../protocol/config/lexer.ts";
import { parseConfig } from "../protocol/config/parse.ts";
import { formatProblem, inOrder } from "../protocol/config/problem.ts";
import type { DefaultCredentials } from "../protocol/config/resolve-client.ts";
import type { ConfigProblem, DeviceType, DialConfig, Role, ServerConfig } from "../protocol/config/types.ts";
import { decodeUtf8 } from "../protocol/config/utf8.ts";
import { readArguments } from "./arguments.ts";
import { usageError } from "./help.ts";

const HELP = `usage: morgana check [--client|--server] FILE

Parses and validates an OpenVPN file and the files that it names, which lie beside it (of an absolute path the longest
tail that lies there is taken; auth.txt serves a bare auth-user-pass; of a server the files of client-config-dir, and users
where an appliance.toml names them), and the appliance.toml that goes with it. --client and --server say which role it must have.

stdout: the resolved configuration as a valid OpenVPN file, secrets included. stderr: warnings and problems, one a
line, as FILE:LINE: directive: problem. Exit status: 0 valid, 1 problems, 2 wrong usage or unreadable file.
`;

/** Far above any list of revoked certificates; a device or a wrong file is not read to the end. */
const MAX_FILE = 4 << 20;
/** How long a pipe may be silent. */
const PATIENCE_MS = 10_000;

/** @returns the exit status */
export async function check(argv: string[]): Promise<number> {
  const read = readArguments("check", argv, HELP, { client: { type: "boolean" }, server: { type: "boolean" } });
  if (typeof read === "number") return read;
  const { values, words } = read;
  const [file, ...more] = words;
  if (file === undefined || more.length > 0) return usageError("check", "exactly one FILE is needed");
  if (values.client && values.server) return usageError("check", "--client and --server exclude each other");
  const text = readFileOrPipe(file, MAX_FILE, PATIENCE_MS);
  if (typeof text === "string") return usageError("check", `${oneLine(file)} ${text}${remedy(file, text)}`);
  const beside = filesBeside(file);
  const auth = beside("auth.txt");
  const result = parseConfig({ file, text }, beside, {
    roles: ["client", "p2p", "static", "server"],
    expected: values.client ? "client" : values.server ? "server" : undefined,
    defaultCredentials: auth === undefined ? undefined : credentials(auth),
  });
  const { role, deviceType } = result.ok ? result.config : result;
  const { problems: own, warnings } = result.ok
    ? checkFiles(result.config)
    : { problems: result.problems, warnings: [] };
  const beneath = checkSettings(file, role, deviceType, result.ok ? result.config : undefined);
  const problems = [...beneath.problems, ...own];
  for (const { isWarning, found } of inOrder([...result.warnings, ...warnings, ...beneath.warnings], problems))
    process.stderr.write(`${oneLine(formatProblem(found))}${isWarning ? " (warning)" : ""}\n`);
  if (!result.ok || problems.length > 0) return 1;
  process.stdout.write(
    `# ${basename(file).replace(/[^ -~]/g, "?")}, resolved by morgana check\n${formatConfig(result.config)}`,
  );
  return 0;
}

/** A config disk is a folder, and what is checked is its profile. */
function remedy(file: string, unreadable: string): string {
  if (unreadable !== "is a directory") return "";
  const profile = onlyProfile(folderReader(file).list());
  return `; name the OpenVPN file in it${typeof profile === "string" ? `: ${oneLine(join(file, profile))}` : ""}`;
}

interface Told {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** Certificates and keys, and of a server what its clients and users are told by. */
function checkFiles(config: DialConfig | ServerConfig): Told {
  if (config.role === "static") return { problems: [], warnings: [] };
  const tls = checkTls(config, unixSeconds());
  if (config.role !== "server") return tls;
  const files = checkServerFiles(config);
  return { problems: [...tls.problems, ...files.problems], warnings: [...tls.warnings, ...files.warnings] };
}

/** Whether there are users only the appliance.toml says that the appliance would go by. */
function checkServerFiles(config: ServerConfig): Told {
  const top = topOf(config.file);
  const reader = folderReader(top);
  const settings = settingsIn(top);
  const name = settings?.settings.server.users;
  const origin = { file: SETTINGS_FILE, line: settings?.usersLine ?? 1 };
  const users = name === undefined ? undefined : { name, origin };
  const plain = { ...config, file: relative(top, config.file) };
  const { problems, warnings } = readServerFiles(plain, reader, users, USERS_REMEDY);
  // Of the profile itself they are said as all others are.
  const named = (each: ConfigProblem): ConfigProblem =>
    each.origin.file === plain.file ? { ...each, origin: { ...each.origin, file: config.file } } : each;
  return { problems: problems.map(named), warnings: warnings.map(named) };
}

/**
 * What is wrong in the appliance.toml of the folder. One that names another profile says nothing of this one, and where several
 * profiles lie about it counts for a server's: a client's may be there to be handed out.
 * @param config undefined: the profile has problems
 */
function checkSettings(
  file: string,
  role: Role | undefined,
  deviceType: DeviceType | undefined,
  config: DialConfig | ServerConfig | undefined,
): Told {
  const top = topOf(file);
  const reader = folderReader(top);
  const parsed = settingsIn(top, role, deviceType);
  if (parsed === undefined) return NOTHING;
  const { settings } = parsed;
  const named = settings.vpn.config;
  if (parsed.ok && named !== undefined && reader.read(named) === undefined) {
    const origin = { file: SETTINGS_FILE, line: parsed.configLine };
    return {
      problems: [],
      warnings: [{ origin, directive: "vpn.config", problem: `the file "${named}" is not there` }],
    };
  }
  const taken = named === undefined ? onlyProfile(reader.list()) : normalize(named);
  const isOurs = typeof taken === "string" ? taken === relative(resolve(top), resolve(file)) : role === "server";
  if (!isOurs) return NOTHING;
  const problems = parsed.ok ? [] : [...parsed.problems];
  operatorsOf(reader, parsed, problems);
  return { problems, warnings: config?.role === "server" && parsed.ok ? overlaps(config, settings) : [] };
}

const NOTHING: Told = { problems: [], warnings: [] };

/** A warning, as an appliance without a LAN does not mind. */
function overlaps({ deviceType, network, file }: ServerConfig, { lan }: Settings): ConfigProblem[] {
  if (deviceType === "tap" || !network.address?.overlaps(lan.address)) return [];
  const problem = `the tunnel's network ${network.address.network} overlaps the LAN ${lan.address.network}: give one of the two another network (server in the profile, [lan] address in ${SETTINGS_FILE})`;
  return [{ origin: { file, line: 0 }, directive: "server", problem }];
}

const settingsIn = (folder: string, role: Role = "server", deviceType?: DeviceType): SettingsResult | undefined => {
  const toml = folderReader(folder).read(SETTINGS_FILE);
  return toml instanceof Uint8Array ? parseSettings(SETTINGS_FILE, decodeUtf8(toml), role, deviceType) : undefined;
};

/** The top of the configuration: the profile's own folder, or one above it whose appliance.toml names the profile. */
const topOf = (file: string): string => namedTop(file) ?? dirname(file);

/** The folder whose appliance.toml settles that it is the top; the one beside the profile does without naming it. */
function namedTop(file: string): string | undefined {
  const own = dirname(file);
  if (settingsIn(own) !== undefined) return own;
  for (let folder = resolve(own), at = own; dirname(folder) !== folder; ) {
    folder = dirname(folder);
    at = join(at, "..");
    const named = settingsIn(at)?.settings.vpn.config;
    if (named !== undefined && normalize(named) === relative(folder, resolve(file))) return at;
  }
  return undefined;
}

/**
 * What the appliance would read too. Where nothing says which folder is the top of its configuration, the profile may lie in a folder
 * of it: then a name may lead up with "..", and a link by such a name. Where an absolute link leads, nothing is on a config disk.
 */
function filesBeside(file: string): ReadFile {
  const folder = dirname(file);
  const top = namedTop(file);
  const inside = folderReader(top ?? folder);
  const at = top === undefined ? "" : relative(resolve(top), resolve(folder));
  return (name) => {
    const within = normalize(join(at, name));
    if (top !== undefined) return within.startsWith("..") ? undefined : inside.read(within);
    const path = upward(folder, within);
    return path === undefined ? inside.read(within) : readPlainFile(path, MAX_FILE);
  };
}

/** The path of a name that leads above the folder, itself or by relative links. */
function upward(folder: string, name: string): string | undefined {
  for (let links = 0; links < MAX_LINKS; links++) {
    const path = join(folder, name);
    const target = readLink(path);
    if (target === undefined) return name.startsWith("..") ? path : undefined;
    if (isAbsolute(target)) return undefined;
    name = join(dirname(name), target);
  }
  return undefined;
}

/** As the kernel's bound. */
const MAX_LINKS = 40;

/** Where a link leads; undefined: there is no link. */
function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

const credentials = (file: Uint8Array | string): DefaultCredentials => ({
  label: "auth.txt",
  ...(typeof file === "string" ? { unreadable: file } : { text: new TextDecoder().decode(file) }),
});
