/**
 * An OpenVPN file -> a resolved configuration, or every problem in it at once, each with its line. Pure: the files
 * that the profile names are read by the caller's function. Never throws, whatever the file holds.
 *
 * text -> lines (lexer.ts) -> the role (role.ts) -> the lines that count for it, by the table of directives (select.ts) ->
 * the parts of its configuration (resolve-*.ts)
 */
import { addressIpv6Of, addressOf } from "../push/tunnel-address.ts";
import type { ReadFile } from "./beside.ts";
import { type Line, lex, printable } from "./lexer.ts";
import { Reader, Report } from "./reader.ts";
import { type DefaultCredentials, resolveLogin, resolvePull, resolveRetry } from "./resolve-client.ts";
import { resolveControl, resolveWrap } from "./resolve-control.ts";
import { resolveData, resolveFragment, resolveSizes } from "./resolve-data.ts";
import { resolveExitNotify, resolveKeepalive } from "./resolve-keepalive.ts";
import { awaits, hears, resolveLink, resolveRemotes } from "./resolve-link.ts";
import { resolveProxy } from "./resolve-proxy.ts";
import { resolveServer } from "./resolve-server.ts";
import { resolveListen } from "./resolve-server-listen.ts";
import { resolveStatic } from "./resolve-static.ts";
import { resolveTls, resolveVerify } from "./resolve-tls.ts";
import { resolveLocalOptions } from "./resolve-tunnel.ts";
import { type Decision, decideRole, PROFILE_OF } from "./role.ts";
import { plainLine, type Selection, selectLines, shownName } from "./select.ts";
import type { ListenConfig, Topology } from "./server-types.ts";
import type { Config, ConfigOf, ConfigResult, DeviceType, DialConfig, LinkConfig, Remote, Role } from "./types.ts";
import { decodeUtf8 } from "./utf8.ts";

export interface ParseOptions<R extends Role> {
  /** The roles that the caller can play; a profile of another one is a problem at the line that decides it. */
  readonly roles?: readonly R[];
  /** The role that a person says the profile has. */
  readonly expected?: Role | undefined;
  /** Serves a bare `auth-user-pass`, and one whose file is not there. */
  readonly defaultCredentials?: DefaultCredentials | undefined;
  /** Pass phrase of the key, where askpass names no file. */
  readonly passphrase?: string | undefined;
  /** This machine is a host with networks of its own beside the tunnel, and no router: what goes around the tunnel counts. */
  readonly isHost?: boolean;
}

/**
 * Characters or bytes of a profile. The largest honest ones hold thousands of routes, some 35 characters each, and certificates of a few
 * KiB; lists of revoked certificates can be larger, and may lie in a file of their own.
 */
const MAX_PROFILE = 1 << 20;
const TOO_LARGE =
  "larger than 1 MiB, so it is no profile; if it holds a long list (crl-verify), put that into a file beside it";

export function parseConfig<R extends Role = Role>(
  source: { readonly file: string; readonly text: string | Uint8Array },
  readFile: ReadFile,
  options: ParseOptions<R> = {},
): ConfigResult<R> {
  const report = new Report(source.file);
  const { text } = source;
  if (text.length > MAX_PROFILE) {
    report.problem(1, "file", TOO_LARGE);
    return { ok: false, role: undefined, deviceType: undefined, problems: report.problems.list(), warnings: [] };
  }
  const { lines, problems, isCutShort } = lex(typeof text === "string" ? text : decodeUtf8(text));
  report.isCutShort = isCutShort;
  report.lookForMarks(lines);
  for (const { line, directive, problem } of problems) report.problem(line, shownName(directive), problem);
  const plain = lines.map(plainLine);
  const decision = decideRole(plain);
  const selection = selectLines(plain, decision.role, report);
  const reader = new Reader(report, readFile, selection.lines);
  checkRole(decision, options, reader, reader.all("remote").length + selection.connections.length);
  const config = resolve(source.file, decision.role, {
    reader,
    selection,
    defaultCredentials: options.defaultCredentials,
    passphrase: options.passphrase,
    isHost: options.isHost === true,
  });
  const warnings = report.warnings.list();
  if (config === undefined || report.problems.count > 0) {
    const { deviceType } = config ?? {};
    return { ok: false, role: decision.line && decision.role, deviceType, problems: report.problems.list(), warnings };
  }
  // checkRole lets no other role through.
  return { ok: true, config: config as ConfigOf<R>, warnings };
}

function checkRole<R extends Role>(
  decision: Decision,
  options: ParseOptions<R>,
  reader: Reader,
  remotes: number,
): void {
  const { role } = decision;
  const { report } = reader;
  const { roles, expected } = options;
  if (decision.line === undefined) {
    const text = "neither client nor tls-client says what this end is";
    // Nothing else is possible with these.
    const isClient = remotes > 0 && ["ca", "pkcs12", "peer-fingerprint"].some((name) => reader.has(name));
    if (isClient) report.warn(1, "client", `missing: ${text}; a client's profile is taken to be meant`);
    else report.missing("client", text);
  }
  const { line, words } = decision.line ?? { line: 1, words: [role] };
  const directive = words[0] as string;
  if (expected !== undefined && expected !== role)
    report.problem(line, directive, `this is ${PROFILE_OF[role]}, where ${PROFILE_OF[expected]} is expected`);
  else if (role !== "client" && roles !== undefined && !(roles as readonly Role[]).includes(role))
    report.problem(line, directive, `${PROFILE_OF[role]} is not for this program${role === "server" ? SERVERS : ""}`);
}

const SERVERS = "; morgana server serves by it, and morgana appliance";

/** What the resolvers read from. */
interface Sources {
  readonly reader: Reader;
  readonly selection: Selection;
  readonly defaultCredentials: DefaultCredentials | undefined;
  readonly passphrase: string | undefined;
  readonly isHost: boolean;
}

function resolve(file: string, role: Role, sources: Sources): Config | undefined {
  const { reader, selection, defaultCredentials, isHost } = sources;
  reader.oneOf("mode", ["p2p", "server"]);
  const data = resolveData(reader);
  const lineOfOne = role === "client" ? lineOfEnd(reader) : undefined;
  const isPulling = role === "client" && lineOfOne === undefined;
  // By its defaults a client that does not pull is one end of a point-to-point tunnel.
  const end = role === "client" && !isPulling ? "p2p" : role;
  const common = {
    file,
    ...resolveDevice(reader),
    link: resolveLink(reader, end),
    data,
    keepalive: resolveKeepalive(reader, end),
    // What a server's lines of these say is of its network.
    tunnel: {
      ...resolveSizes(reader, data.fragment),
      localOptions: role === "server" ? [] : resolveLocalOptions(reader, isHost),
    },
    exitNotify: resolveExitNotify(reader),
  };
  if (lineOfOne) needsAddress(reader, lineOfOne, "without pull", "; write client, if the server pushes them");
  if (role === "static") {
    const line = reader.last("secret");
    if (line)
      needsAddress(reader, line, "with a static key", "; write ifconfig LOCAL REMOTE, at the other end REMOTE LOCAL");
    const own = resolveStatic(reader, data);
    const dial = resolveDial(sources, end, common);
    return own && { role, ...common, ...own, ...dial };
  }
  const withTls = {
    ...common,
    control: resolveControl(reader, role, data.auth, data.replayWindow),
    tls: resolveTls(reader, role, sources.passphrase),
    verify: resolveVerify(reader, role),
  };
  if (role === "server") return { role, ...withTls, ...resolveServer(reader, withTls.control, { ...common, isHost }) };
  const peerInfo = { pushPeerInfo: reader.has("push-peer-info"), variables: selection.variables };
  if (role === "p2p") {
    const line = reader.last("tls-server");
    if (line)
      needsAddress(reader, line, "without pull", "; write mode server, or server NETWORK NETMASK, to serve clients");
    return { role, ...withTls, ...resolveDial(sources, end, common), peerInfo };
  }
  return {
    role,
    ...withTls,
    ...resolveDial(sources, end, common),
    login: resolveLogin(reader, defaultCredentials),
    pull: isPulling ? resolvePull(reader) : undefined,
    peerInfo,
  };
}

/** The way to the remotes, and when they are tried, or where this end waits. */
function resolveDial(
  { reader, selection }: Sources,
  end: Role,
  common: Pick<DialConfig, "link" | "data">,
): Pick<DialConfig, "proxy" | "remotes" | "listen" | "retry"> {
  const proxy = resolveProxy(reader);
  const { fragment } = common.data;
  // A client, also one that does not pull, begins connections; and so does who names several in blocks.
  const mayListen = end !== "client" && !reader.has("tls-client") && selection.connections.length === 0;
  const isAwaiting = mayListen && awaits(reader);
  const remotes =
    isAwaiting && !reader.has("remote")
      ? []
      : resolveRemotes(reader, selection.connections, { mayListen, proxy, fragment }, (all, block) =>
          resolveOwn(all, block, end, common),
        );
  const isHeard = reader.has("tls-server") && hears(common.link, remotes, proxy);
  const listen = isAwaiting || isHeard ? resolvePlace(reader, common, remotes[0]) : undefined;
  const local = reader.last("local");
  if (local && end !== "client" && listen === undefined)
    reader.warn(local, "ignored: the WAN interface's address is used");
  return { proxy, remotes, listen, retry: resolveRetry(reader) };
}

/** Where this end waits, or hears its remotes. */
function resolvePlace(
  reader: Reader,
  { link, data }: Pick<DialConfig, "link" | "data">,
  remote: Remote | undefined,
): ListenConfig | undefined {
  const [place] = resolveListen(reader, link);
  // A remote may say the protocol in its own line.
  const listen = place && { ...place, protocol: remote?.protocol ?? place.protocol };
  const line = reader.last("fragment");
  if (line && data.fragment && listen?.protocol === "tcp")
    reader.problem(line, "is only for UDP; over TCP, which cuts packets by itself, remove one of the two");
  return listen;
}

/** What a <connection> block has of its own. */
function resolveOwn(
  all: Reader,
  block: Reader,
  end: Role,
  { link: outer, data }: Pick<DialConfig, "link" | "data">,
): Remote["own"] {
  const hasOne = (...names: string[]): boolean => names.some((name) => block.has(name));
  const proxy = hasOne("http-proxy", "socks-proxy", "http-proxy-option", "http-proxy-user-pass") && resolveProxy(all);
  const hasFragment = hasOne("fragment");
  const fragment = hasFragment ? resolveFragment(all) : data.fragment;
  const link = resolveLink(all, end);
  // A key of the block has the direction that the block says.
  const wrap = resolveWrap(block, data.auth, "client");
  const { connectRetry } = resolveRetry(block);
  return {
    ...(!isSameLink(link, outer) && { link }),
    ...(proxy && { proxy }),
    ...(hasOne("connect-timeout", "server-poll-timeout") && { connectTimeout: resolveRetry(all).connectTimeout }),
    ...(connectRetry && { connectRetry }),
    ...(hasOne("explicit-exit-notify") && { exitNotify: resolveExitNotify(all) }),
    ...(wrap && { wrap }),
    ...(hasFragment && { fragment }),
    ...(hasOne("tun-mtu", "tun-mtu-max", "mssfix", "fragment") && { sizes: resolveSizes(all, fragment) }),
  };
}

const isSameLink = (a: LinkConfig, b: LinkConfig): boolean =>
  a.localPort === b.localPort && a.streamPort === b.streamPort && a.float === b.float;

/** The line that makes one end of a point-to-point tunnel of a client, which else is told its settings by the server. */
function lineOfEnd(reader: Reader): Line | undefined {
  return reader.has("client") || reader.has("pull") ? undefined : reader.last("tls-client");
}

/**
 * One end of a point-to-point tunnel is told its addresses by nobody: what the profile says has to be usable. openvpn goes on without: its
 * interface has none then, unless a person gives it some. Silent where ifconfig may be there and was refused, since that is the problem.
 */
function needsAddress(reader: Reader, line: Line, when: string, remedy: string): void {
  const { report } = reader;
  const names = ["ifconfig", "ifconfig-ipv6"];
  if (deviceTypeOf(reader) === "tap" || report.isCutShort || names.some((name) => report.problems.has(name))) return;
  const [four, six] = names.map((name) => reader.last(name));
  const topology = reader.last("topology")?.words[1] as Topology | undefined;
  const own = four && addressOf(four.words, topology);
  const own6 = six && addressIpv6Of(six.words);
  if (four && typeof own === "string") reader.problem(four, own);
  // Without IPv6 the tunnel is as good as it was.
  if (six && four === undefined && typeof own6 === "string") reader.problem(six, own6);
  if (four === undefined && six === undefined)
    reader.problem(line, `${when} the tunnel's addresses come from the profile, and there is no ifconfig${remedy}`);
}

function deviceTypeOf(reader: Reader): DeviceType {
  const name = reader.last("dev-type")?.words[1] ?? reader.last("dev")?.words[1] ?? "tun";
  return name.startsWith("tap") ? "tap" : "tun";
}

/** The name as written, and what its beginning or dev-type makes of it. */
function resolveDevice(reader: Reader): Pick<Config, "device" | "deviceType"> {
  const written = reader.oneOf("dev-type", ["tun", "tap"]);
  const line = reader.last("dev");
  const name = line?.words[1] ?? written ?? "tun";
  const deviceType = deviceTypeOf(reader);
  // Nothing else is carried, and OpenVPN 2.7.6 takes it so.
  if (line === undefined) reader.report.warn(1, "dev", `missing: dev ${name} is taken to be meant`);
  else if (name === "null") reader.problem(line, "null is not available; write dev tun");
  else if (!/^(tun|tap)/.test(name) && written === undefined)
    reader.problem(line, `"${printable(name)}" begins with neither tun nor tap, and dev-type is missing`);
  else if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name))
    reader.problem(line, `"${printable(name)}" is no name of an interface`);
  return { device: name, deviceType };
}
