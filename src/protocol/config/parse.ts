/**
 * An OpenVPN file -> a resolved configuration, or every problem in it at once, each with its line. Pure: the files
 * that the profile names are read by the caller's function. Never throws, whatever the file holds.
 */
import type { Directive } from "./directive.ts";
import { DIRECTIVES } from "./directives.ts";
import { NO_SERVER } from "./directives-server.ts";
import { type Line, lex, printable } from "./lexer.ts";
import { Reader, type ReadFile, Report, SECONDS } from "./reader.ts";
import { checkFragment, resolveAuth, resolveCiphers, resolveCompression, resolveSizes } from "./resolve-data.ts";
import { resolveLocalPort, resolveRemotes } from "./resolve-link.ts";
import { type DefaultCredentials, resolveCredentials, resolveTls, resolveVerify, resolveWrap } from "./resolve-tls.ts";
import { resolveLocalOptions, resolvePullFilters } from "./resolve-tunnel.ts";
import type {
  ClientConfig,
  ConfigProblem,
  ConfigResult,
  ControlConfig,
  KeepaliveConfig,
  ReplayWindowConfig,
  RetryConfig,
} from "./types.ts";

export interface ParseOptions {
  /** Serves a bare `auth-user-pass`, and one whose file is not there. */
  readonly defaultCredentials?: DefaultCredentials | undefined;
  /** What the caller expects the profile to be; a profile of the other role is a problem. */
  readonly role?: "client" | "server" | undefined;
}

/** OpenVPN's default for connect-timeout, and ping-restart of a client that has none (man openvpn). */
const CONNECT_TIMEOUT = 120;
const PULL_PING_RESTART = 120;

export function parseConfig(
  source: { readonly file: string; readonly text: string },
  readFile: ReadFile,
  options: ParseOptions = {},
): ConfigResult {
  const report = new Report(source.file);
  const { lines, problems, isCutShort } = lex(source.text);
  report.isCutShort = isCutShort;
  for (const { line, directive, problem } of problems) report.problem(line, shownName(directive), problem);
  const known = selectKnown(lines, report, false);
  const reader = new Reader(report, readFile, known.lines);
  const config = resolveClient(source.file, reader, known, options);
  const byLine = (a: ConfigProblem, b: ConfigProblem): number => a.origin.line - b.origin.line;
  const warnings = report.warnings.sort(byLine);
  if (report.problems.length > 0) return { ok: false, problems: report.problems.sort(byLine), warnings };
  return { ok: true, config, warnings };
}

interface Known {
  readonly lines: Line[];
  readonly connections: Line[];
  /** Of setenv, those that a server can be told. */
  readonly variables: Map<string, string>;
  readonly isServer: boolean;
}

/** Lines of known directives with the right number of parameters; reports the others. */
function selectKnown(all: readonly Line[], report: Report, isConnection: boolean): Known {
  const known: Known & { isServer: boolean } = { lines: [], connections: [], variables: new Map(), isServer: false };
  const ignorable = new Set<string>();
  let isForwardCompatible = false;
  for (let line of all) {
    let isOptional = false;
    if (line.words[0] === "connection" && line.nested && !isConnection) {
      const inner = selectKnown(line.nested, report, true);
      known.connections.push({ ...line, nested: inner.lines });
      continue;
    }
    if (line.words[0] === "setenv" && line.words[1] === "opt") {
      if (line.words[2] === undefined) {
        report.problem(line.line, "setenv", "opt needs an option");
        continue;
      }
      isOptional = true;
      line = { line: line.line, words: line.words.slice(2) };
    }
    line = setenvDirective(line);
    const name = line.words[0] as string;
    const directive = DIRECTIVES.get(name);
    if (directive === undefined) {
      const shown = shownName(name);
      if (isOptional || isForwardCompatible || ignorable.has(name))
        report.warn(line.line, shown, "unknown directive, ignored");
      else report.problem(line.line, shown, "unknown directive");
      continue;
    }
    if (directive.server) known.isServer = true;
    if (!accept(directive, line, report, isConnection)) continue;
    if (name === "ignore-unknown-option")
      for (const word of line.words.slice(1)) ignorable.add(word.replace(/^--/, ""));
    else if (name === "setenv") isForwardCompatible = setenv(line, known, report) || isForwardCompatible;
    else known.lines.push(line);
  }
  return known;
}

/** What stands where a directive should may be a row of a key or a password that lost its block: shown only if it looks like a directive. */
const shownName = (name: string): string => (/^[a-z][a-z0-9-]{0,39}$/.test(name) ? name : "(not a directive)");

/** OpenVPN has them for each connection; here they count for all. */
const IGNORED_IN_CONNECTION: ReadonlySet<string> = new Set([
  "tun-mtu",
  "tun-mtu-max",
  "mssfix",
  "lport",
  "bind",
  "connect-timeout",
  "server-poll-timeout",
  "explicit-exit-notify",
]);

/** Scripts of Linux profiles that set the resolver of the machine itself, which has no use for one: nothing is lost. */
const RESOLVER_SCRIPT = /(^|\/)update-(resolv-conf|systemd-resolved)(\.sh)?$/;

function accept(directive: Directive, line: Line, report: Report, isConnection: boolean): boolean {
  const { name, support, min, max, text } = directive;
  if (isConnection && !directive.connection) {
    report.problem(line.line, name, "cannot stand inside <connection>");
    return false;
  }
  if (line.block !== undefined && !directive.inline) {
    report.problem(line.line, name, `cannot be given as <${name}> block`);
    return false;
  }
  const count = line.words.length - 1;
  if (line.block === undefined && (count < min || count > max)) {
    const wanted = min === max ? `${min}` : count < min ? `at least ${min}` : `at most ${max}`;
    report.problem(line.line, name, `${count} parameters, but it takes ${wanted}`);
    return false;
  }
  // Inside <connection> a proxy rules out that remote only.
  if (isConnection && (name === "http-proxy" || name === "socks-proxy")) return true;
  if ((name === "up" || name === "down") && RESOLVER_SCRIPT.test(line.words[1] ?? "")) return false;
  if (support === "later" || support === "refused") {
    report.problem(line.line, name, text);
    return false;
  }
  if (support === "warn") report.warn(line.line, name, text);
  if (isConnection && ["tls-auth", "tls-crypt", "key-direction", "fragment"].includes(name)) {
    report.problem(line.line, name, "not available yet inside <connection>; write it outside");
    return false;
  }
  if (isConnection && IGNORED_IN_CONNECTION.has(name)) {
    report.warn(line.line, name, "ignored inside <connection>; write it outside to have its effect");
  }
  return true;
}

/** Variables that OpenVPN heeds as the directives beside them (its options.c, setenv); OpenVPN Access Server writes them. */
const SETENV_DIRECTIVES: ReadonlyMap<string, string> = new Map([
  ["PUSH_PEER_INFO", "push-peer-info"],
  ["REMOTE_RANDOM_HOSTNAME", "remote-random-hostname"],
  ["SERVER_POLL_TIMEOUT", "server-poll-timeout"],
]);

/** The directive that a setenv line stands for; with another number of values it is a variable like any. */
function setenvDirective(line: Line): Line {
  const [first, variable = "", ...values] = line.words;
  const name = first === "setenv" ? SETENV_DIRECTIVES.get(variable) : undefined;
  if (name === undefined || values.length !== DIRECTIVES.get(name)?.max) return line;
  return { line: line.line, words: [name, ...values] };
}

/** @returns whether unknown directives are ignored from here on */
function setenv(line: Line, known: Known, report: Report): boolean {
  const [, name, ...values] = line.words as [string, string, ...string[]];
  if (name === "FORWARD_COMPATIBLE") return values[0] === "1";
  if (name === "GENERIC_CONFIG") {
    report.problem(
      line.line,
      "setenv",
      "GENERIC_CONFIG: this profile is a template; ask the provider for a complete one",
    );
  } else if (values.length > 1)
    report.problem(line.line, "setenv", `${values.length} values, but ${printable(name)} takes one`);
  else if (name.startsWith("UV_")) known.variables.set(name, values[0] ?? "");
  return false;
}

function resolveClient(file: string, reader: Reader, known: Known, options: ParseOptions): ClientConfig {
  checkRole(reader, known, options);
  const auth = resolveAuth(reader);
  const replayWindow = resolveReplayWindow(reader);
  checkFragment(reader);
  checkValuesWithoutEffect(reader);
  return {
    role: "client",
    file,
    device: resolveDevice(reader),
    remotes: known.isServer ? [] : resolveRemotes(reader, known.connections),
    retry: resolveRetry(reader),
    link: { localPort: resolveLocalPort(reader) },
    control: {
      wrap: resolveWrap(reader, auth),
      replayWindow,
      handWindow: reader.int("hand-window", 60, { min: 1, max: SECONDS.max }),
      tlsTimeout: reader.int("tls-timeout", 2, { min: 1, max: SECONDS.max }),
      tranWindow: reader.int("tran-window", 3600),
      renegSec: resolveRenegSec(reader),
      renegBytes: reader.int("reneg-bytes", 0, { min: 0, max: Number.MAX_SAFE_INTEGER }),
      renegPkts: reader.int("reneg-pkts", 0, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    },
    tls: resolveTls(reader),
    verify: resolveVerify(reader),
    login: resolveCredentials(reader, options.defaultCredentials),
    peerInfo: { pushPeerInfo: reader.has("push-peer-info"), variables: known.variables },
    data: { ...resolveCiphers(reader), auth, framing: resolveCompression(reader), replayWindow },
    keepalive: resolveKeepalive(reader),
    tunnel: { ...resolveSizes(reader), localOptions: resolveLocalOptions(reader) },
    exitNotify: resolveExitNotify(reader),
    pull: { routeNoPull: reader.has("route-nopull"), filters: resolvePullFilters(reader) },
  };
}

function checkRole(reader: Reader, known: Known, { role }: ParseOptions): void {
  let isServer = known.isServer;
  for (const line of reader.all("mode")) {
    const mode = reader.choice(line, 1, ["p2p", "server"]);
    if (mode !== "server") continue;
    isServer = true;
    reader.problem(line, NO_SERVER);
  }
  if (isServer) return;
  if (!reader.has("client") && !reader.has("tls-client")) {
    reader.report.missing("client", "neither client nor tls-client says what this end is");
  }
  const alone = reader.has("client") || reader.has("pull") ? undefined : reader.last("tls-client");
  if (alone) {
    const remedy = "write client, which is tls-client and pull, and let the server push them";
    reader.problem(alone, `a client that does not pull its settings from the server is not available yet; ${remedy}`);
  }
  if (role === "server") reader.report.missing("server", `this is a client's profile, and ${NO_SERVER}`);
}

function resolveDevice(reader: Reader): string {
  const type = reader.oneOf("dev-type", ["tun", "tap"]);
  const typeLine = reader.last("dev-type");
  if (type === "tap" && typeLine) reader.problem(typeLine, "tap (Ethernet through the tunnel) is not available");
  const line = reader.last("dev");
  if (line === undefined) {
    reader.report.missing("dev", "write dev tun");
    return "tun";
  }
  const name = line.words[1] as string;
  if (/^tap/.test(name) && type === undefined)
    reader.problem(line, "tap (Ethernet through the tunnel) is not available");
  else if (name === "null") reader.problem(line, "null is not available; write dev tun");
  else if (!/^tun/.test(name) && type === undefined)
    reader.problem(line, `"${printable(name)}" begins with neither tun nor tap, and dev-type is missing`);
  else if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name))
    reader.problem(line, `"${printable(name)}" is no name of an interface`);
  return name;
}

function resolveRetry(reader: Reader): RetryConfig {
  return {
    connectRetry: resolveConnectRetry(reader),
    connectTimeout:
      reader.int("connect-timeout", reader.int("server-poll-timeout", CONNECT_TIMEOUT)) || CONNECT_TIMEOUT,
    remoteRandom: reader.has("remote-random"),
    remoteRandomHostname: reader.has("remote-random-hostname"),
  };
}

function resolveConnectRetry(reader: Reader): RetryConfig["connectRetry"] {
  let value: RetryConfig["connectRetry"];
  for (const line of reader.all("connect-retry")) {
    const initial = reader.number(line, 1, { min: 1, max: 65535 });
    const max = line.words[2] === undefined ? 300 : reader.number(line, 2, { min: 1, max: 65535 });
    if (initial !== undefined && max !== undefined) value = { initial, max: Math.max(initial, max) };
  }
  return value;
}

/** Directives that change nothing here still have values that openvpn refuses. */
function checkValuesWithoutEffect(reader: Reader): void {
  reader.oneOf("auth-retry", ["none", "nointeract", "interact"]);
  reader.int("verb", 1, { min: 0, max: 11 });
  // Any word is "for ever" to openvpn; these are the ones that profiles have.
  for (const line of reader.all("connect-retry-max"))
    if (line.words[1] !== "unlimited" && line.words[1] !== "infinite") reader.number(line, 1, SECONDS);
  for (const line of reader.all("resolv-retry")) if (line.words[1] !== "infinite") reader.number(line, 1, SECONDS);
}

/** A client starts its renegotiation at `max` unless the line says how far it may vary (man openvpn, reneg-sec). */
function resolveRenegSec(reader: Reader): ControlConfig["renegSec"] {
  let value = { max: 3600, min: 3600 };
  for (const line of reader.all("reneg-sec")) {
    const max = reader.number(line, 1, SECONDS);
    if (max === undefined) continue;
    const min = line.words[2] === undefined ? max : reader.number(line, 2, SECONDS);
    if (min !== undefined && min > max) reader.problem(line, `the second value, ${min}, is above the first`);
    else if (min !== undefined) value = { max, min };
  }
  return value;
}

function resolveReplayWindow(reader: Reader): ReplayWindowConfig {
  let value = { packets: 64, seconds: 15 };
  for (const line of reader.all("replay-window")) {
    const packets = reader.number(line, 1, { min: 0, max: 65536 });
    const seconds = reader.number(line, 2, { min: 0, max: 600 });
    value = { packets: packets ?? value.packets, seconds: seconds ?? value.seconds };
    if (packets === 0) reader.problem(line, "a window of 0 packets turns replay protection down; use 1 or more");
  }
  return value;
}

function resolveKeepalive(reader: Reader): KeepaliveConfig {
  let ping = reader.int("ping", 0);
  let timeout = PULL_PING_RESTART;
  let action: "restart" | "exit" = "restart";
  const lines = [...reader.all("ping-restart"), ...reader.all("ping-exit")].sort((a, b) => a.line - b.line);
  for (const line of lines) {
    const seconds = reader.number(line, 1, SECONDS);
    if (seconds === undefined) continue;
    timeout = seconds;
    action = line.words[0] === "ping-exit" && seconds > 0 ? "exit" : "restart";
  }
  for (const line of reader.all("keepalive")) {
    // Seen with openvpn 2.6: as if the line were not there.
    if (line.words[1] === "0" && line.words[2] === "0") continue;
    const interval = reader.number(line, 1, { min: 1, max: SECONDS.max });
    const silence = reader.number(line, 2, { min: 1, max: SECONDS.max });
    if (interval === undefined || silence === undefined) continue;
    // The factor is OpenVPN's own check.
    if (silence < 2 * interval) reader.problem(line, `the second value, ${silence}, must be at least twice the first`);
    if (lines.length > 0 || reader.has("ping"))
      reader.problem(line, "cannot stand beside ping, ping-restart or ping-exit");
    ping = interval;
    timeout = silence;
  }
  return {
    ping,
    timeout,
    action,
    inactive: resolveInactive(reader),
    sessionTimeout: reader.int("session-timeout", 0),
  };
}

function resolveInactive(reader: Reader): KeepaliveConfig["inactive"] {
  let value: KeepaliveConfig["inactive"];
  for (const line of reader.all("inactive")) {
    const seconds = reader.number(line, 1, SECONDS);
    const bytes = reader.number(line, 2, { min: 0, max: Number.MAX_SAFE_INTEGER });
    if (seconds !== undefined) value = seconds === 0 ? undefined : { seconds, bytes: bytes ?? 0 };
  }
  return value;
}

function resolveExitNotify(reader: Reader): number {
  let value = 0;
  for (const line of reader.all("explicit-exit-notify")) {
    value = line.words[1] === undefined ? 1 : (reader.number(line, 1, { min: 0, max: 100 }) ?? value);
  }
  return value;
}
