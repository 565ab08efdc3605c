/** How servers are reached: remote, proto, port and <connection> blocks -> remotes. */
import { parseIpv4 } from "../../lib/ip.ts";
import { type Line, printable } from "./lexer.ts";
import { type Range, Reader } from "./reader.ts";
import type { AddressFamily, DataConfig, LinkConfig, LinkProtocol, ProxyConfig, Remote, Role } from "./types.ts";
import { isHostName, isIpv6 } from "./values.ts";

const PORT: Range = { min: 1, max: 65535 };
const DEFAULT_PORT = 1194;
/** Names of ports (/etc/services) that a profile for UDP may have; openvpn takes any that its system knows. */
const SERVICES: ReadonlyMap<string, number> = new Map([
  ["openvpn", DEFAULT_PORT],
  ["https", 443],
  ["domain", 53],
  ["http", 80],
  ["ntp", 123],
]);

interface Transport {
  readonly protocol: LinkProtocol;
  readonly family: AddressFamily;
  /** Where it is written; undefined for the default. */
  readonly line: Line | undefined;
}

type Protocols = Readonly<Record<string, readonly [LinkProtocol, AddressFamily]>>;

/** Words of `proto` at either end. */
export const COMMON_PROTOCOLS: Protocols = {
  udp: ["udp", "any"],
  udp4: ["udp", "ipv4"],
  udp6: ["udp", "ipv6"],
  tcp: ["tcp", "any"],
  tcp4: ["tcp", "ipv4"],
  tcp6: ["tcp", "ipv6"],
};

const PROTOCOLS: Protocols = {
  ...COMMON_PROTOCOLS,
  "tcp-client": ["tcp", "any"],
  "tcp4-client": ["tcp", "ipv4"],
  "tcp6-client": ["tcp", "ipv6"],
};

/** A remote that cannot be used as the profile is, with the reason and the line that says so. */
interface Unusable {
  readonly line: Line;
  readonly reason: string;
}

/** What a peer that listens, or this end, has in the place of `tcp-client`. */
const LISTENING = /^tcp([46]?)-server$/;

interface Defaults {
  readonly port: number;
  readonly transport: Transport;
}

/** Directives of one matter: a <connection> block that has one of them takes none from outside. */
const GROUPS = [
  ["tls-auth", "tls-crypt", "tls-crypt-v2"],
  ["http-proxy", "socks-proxy"],
  ["connect-timeout", "server-poll-timeout"],
] as const;

/** What a <connection> block says by itself. @param reader of the block's lines and those that count in it from outside */
export type ResolveOwn = (reader: Reader, block: Reader) => Remote["own"];

/** All remotes in file order that can be used. Those that cannot are skipped with a warning as long as one remains. */
export function resolveRemotes(
  reader: Reader,
  connections: readonly Line[],
  common: Common,
  resolveOwn: ResolveOwn,
): Remote[] {
  const { mayListen } = common;
  const defaults = connectionDefaults(
    reader,
    {
      port: DEFAULT_PORT,
      transport: { protocol: "udp", family: "any", line: undefined },
    },
    mayListen,
  );
  const found: Found[] = [];
  const problemsBefore = reader.report.problems.count;
  for (const line of reader.all("remote")) {
    const remote = remoteOf(reader, line, defaults, {}, mayListen);
    if (connections.length > 0) reader.warn(line, "ignored: <connection> blocks say which servers there are");
    else if (remote) found.push(remote);
  }
  for (const block of connections) {
    // What stands before the block in the file is OpenVPN's default for it; files that put it after are served too.
    const lines = block.nested ?? [];
    const inner = new Reader(reader.report, reader.readFile, lines);
    const line = inner.last("remote");
    if (line === undefined) reader.problem(block, "holds no remote");
    else {
      const own = resolveOwn(reader.within(lines, GROUPS), inner);
      const remote = remoteOf(inner, line, connectionDefaults(inner, defaults, false), own, false);
      if (remote) found.push(remote);
    }
  }
  const usable = sift(reader, found, common);
  if (usable.length === 0 && reader.report.problems.count === problemsBefore)
    reader.report.missing("remote", "no server is named");
  return usable;
}

/** What stands outside of <connection> blocks and rules remotes out. */
interface Common {
  /** This end may be the one that is connected to (tcp-server). */
  readonly mayListen: boolean;
  readonly proxy: ProxyConfig | undefined;
  readonly fragment: DataConfig["fragment"];
}

interface Found {
  readonly remote: Remote;
  /** Where its protocol is written. */
  readonly line: Line;
}

/** Leaves out what cannot work, and says so. */
function sift(reader: Reader, found: readonly Found[], common: Common): Remote[] {
  const forced = reader.last("proto-force");
  const only = forced && reader.choice(forced, 1, ["udp", "tcp"]);
  const usable: Remote[] = [];
  const unusable: Unusable[] = [];
  for (const { remote, line } of found) {
    const { protocol, own } = remote;
    // proto-force is there to leave remotes out: no warning.
    if (forced && only !== undefined && protocol !== only)
      unusable.push({ line: forced, reason: `no remote is reached by ${only}` });
    else if (protocol === "udp" && (own.proxy ?? common.proxy)?.kind === "http")
      unusable.push({ line, reason: "an HTTP proxy carries TCP only (proto tcp)" });
    else if (protocol === "tcp" && ("fragment" in own ? own.fragment : common.fragment) !== undefined)
      unusable.push({
        line,
        reason: "fragment is only for UDP; over TCP, which cuts packets by itself, remove one of the two",
      });
    else usable.push(remote);
  }
  for (const reason of new Set(unusable.map((u) => u.reason))) {
    const same = unusable.filter((u) => u.reason === reason);
    const { line } = same[0] as Unusable;
    // One line may rule out all of them; some lists have dozens: each reason is told once.
    const more = same.length > 1 ? ` (and ${same.length - 1} more)` : "";
    if (usable.length === 0) reader.problem(line, reason);
    else if (line !== forced) reader.warn(line, `skipped: ${reason}${more}`);
  }
  return usable;
}

function connectionDefaults(reader: Reader, outer: Defaults, mayListen: boolean): Defaults {
  let { port, transport } = outer;
  for (const name of ["port", "rport"]) for (const line of reader.all(name)) port = portOf(reader, line, 1) ?? port;
  for (const line of reader.all("proto")) transport = protocolOf(reader, line, 1, mayListen) ?? transport;
  return { port, transport };
}

export const portOf = (reader: Reader, line: Line, index: number, range = PORT): number | undefined =>
  SERVICES.get(line.words[index] as string) ?? reader.number(line, index, range);

function protocolOf(reader: Reader, line: Line, index: number, mayListen: boolean): Transport | undefined {
  const word = line.words[index] as string;
  const known = Object.hasOwn(PROTOCOLS, word) ? PROTOCOLS[word] : undefined;
  if (known) return { protocol: known[0], family: known[1], line };
  const [listening, digit] = LISTENING.exec(word) ?? [];
  if (listening && mayListen)
    return { protocol: "tcp", family: digit === "4" ? "ipv4" : digit === "6" ? "ipv6" : "any", line };
  if (listening)
    return reader.problem(
      line,
      `${word} is a server's; this end begins connections: write ${word.replace("server", "client")}`,
    );
  return reader.problem(
    line,
    `"${printable(word)}" is no protocol; udp, udp4, udp6, tcp-client, tcp4-client and tcp6-client are`,
  );
}

function remoteOf(
  reader: Reader,
  line: Line,
  defaults: Defaults,
  own: Remote["own"],
  mayListen: boolean,
): Found | undefined {
  const host = line.words[1] as string;
  let port: number | undefined = defaults.port;
  let transport: Transport | undefined = defaults.transport;
  if (line.words[2] !== undefined) port = portOf(reader, line, 2);
  if (line.words[3] !== undefined) transport = protocolOf(reader, line, 3, mayListen);
  const address = parseIpv4(host) !== undefined ? "ipv4" : isIpv6(host) ? "ipv6" : undefined;
  if (address === undefined && !isHostName(host))
    return reader.problem(line, `"${printable(host)}" is neither an address nor a host name${hostRemedy(host)}`);
  if (port === undefined || transport === undefined) return undefined;
  if (address !== undefined && transport.family !== "any" && transport.family !== address)
    return reader.problem(line, `${printable(host)} is no address of the family that proto asks for`);
  const { protocol, family } = transport;
  const remote = { host, port, protocol, family, origin: reader.report.origin(line.line), own };
  return { remote, line: transport.line ?? line };
}

/** What a person may have meant who wrote the port, or the scheme of a web address, to the name. */
function hostRemedy(host: string): string {
  const [, bracketed, name, port] = /^(?:\[([^\]]+)\]|([^:/]+))(?::(\d{1,5}))?$/.exec(host) ?? [];
  const alone = bracketed ?? name;
  if (alone !== undefined && (isHostName(alone) || isIpv6(alone) || parseIpv4(alone) !== undefined))
    return `; write remote ${[alone, ...(port === undefined ? [] : [port])].join(" ")}`;
  return host.includes("://") ? "; write the name alone" : "";
}

/** What an end with one peer does: it waits for it, or is connected to by who is named, or goes there itself. */
export function awaits(reader: Reader): boolean {
  const proto = reader.last("proto")?.words[1] ?? "udp";
  const remotes = reader.all("remote");
  const isListening = (line: Line): boolean => LISTENING.test(line.words[3] ?? proto);
  const [first] = remotes;
  if (first !== undefined) {
    const other = remotes.find((line) => isListening(line) !== isListening(first));
    if (other)
      reader.problem(other, "cannot stand beside a remote that is connected to, or connects: keep one of them");
    if (isListening(first)) withoutProxy(reader, "nobody is connected to through a proxy; write tcp-client");
    return isListening(first);
  }
  withoutProxy(reader, "without a remote there is nobody to go to through a proxy");
  const nobind = reader.last("nobind");
  if (nobind)
    reader.problem(nobind, "without a remote this end waits on its port; name the other end by remote, or remove it");
  return !proto.endsWith("-client");
}

/** Whether the TLS server over UDP can be found by a peer that it goes to: so one that was started anew is back at once. */
export const hears = (link: LinkConfig, remotes: readonly Remote[], proxy: ProxyConfig | undefined): boolean =>
  link.localPort !== undefined &&
  proxy === undefined &&
  remotes.every(({ protocol, own }) => protocol === "udp" && own.link === undefined && own.proxy === undefined);

function withoutProxy(reader: Reader, problem: string): void {
  for (const name of ["http-proxy", "socks-proxy"]) {
    const line = reader.last(name);
    if (line) reader.problem(line, problem);
  }
}

export function resolveLink(reader: Reader, role: Role): LinkConfig {
  const localPort = resolveLocalPort(reader, role);
  // OpenVPN's options.c, options_postprocess_mutate_ce.
  const isAsked = role === "server" || ["bind", "lport", "local"].some((name) => reader.has(name));
  return { localPort, streamPort: isAsked ? localPort : undefined, float: reader.has("float") };
}

/** The local port, or undefined for any. OpenVPN's rule: a client binds only where a line asks for it, the others always. */
function resolveLocalPort(reader: Reader, role: Role): number | undefined {
  const nobind = reader.last("nobind");
  const bind = reader.last("bind");
  const lport = reader.last("lport");
  const local = reader.last("local");
  if (bind?.words[1] !== undefined && bind.words[1] !== "ipv6only")
    reader.problem(bind, `"${printable(bind.words[1])}" is not ipv6only`);
  let port = DEFAULT_PORT;
  for (const line of reader.all("port")) port = portOf(reader, line, 1) ?? port;
  for (const line of reader.all("lport")) port = portOf(reader, line, 1, { min: 0, max: 65535 }) ?? port;
  if (nobind) {
    if (bind) reader.problem(bind, "cannot stand beside nobind");
    if (lport) reader.problem(lport, "cannot stand beside nobind");
    return undefined;
  }
  if (role === "client" && !bind && !lport && !local) return undefined;
  return port === 0 ? undefined : port;
}
