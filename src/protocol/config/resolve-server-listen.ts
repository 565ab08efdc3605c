/** Where a server listens: local, port, proto -> places. */
import { parseIp } from "../../lib/ip.ts";
import { type Line, printable } from "./lexer.ts";
import type { Reader } from "./reader.ts";
import { COMMON_PROTOCOLS, portOf } from "./resolve-link.ts";
import type { ListenConfig } from "./server-types.ts";
import type { AddressFamily, LinkConfig, LinkProtocol } from "./types.ts";

/** `tcp` is meant as tcp-server, as openvpn takes it beside `server`. */
const PROTOCOLS: typeof COMMON_PROTOCOLS = {
  ...COMMON_PROTOCOLS,
  "tcp-server": ["tcp", "any"],
  "tcp4-server": ["tcp", "ipv4"],
  "tcp6-server": ["tcp", "ipv6"],
};

/** Our choice: each address that a machine has, by both protocols and on several ports. */
const MAX_PLACES = 64;

interface Transport {
  readonly protocol: LinkProtocol;
  readonly family: AddressFamily;
}

/** Several `local` lines, each with a port and a protocol of its own, are OpenVPN 2.7's. */
export function resolveListen(reader: Reader, link: LinkConfig): ListenConfig[] {
  let transport: Transport = { protocol: "udp", family: "any" };
  for (const line of reader.all("proto")) transport = transportOf(reader, line, 1) ?? transport;
  const portLine = reader.last("lport") ?? reader.last("port");
  if (portLine && link.localPort === undefined) reader.problem(portLine, "0 is no port that clients could know");
  const port = link.localPort ?? 0;
  const isIpv6Only = reader.all("bind").some(({ words }) => words[1] === "ipv6only");
  const locals = reader.all("local");
  if (locals.length === 0) {
    const line = (reader.last("proto") ?? portLine)?.line ?? 1;
    return [place(undefined, port, transport, isIpv6Only, reader.report.origin(line))];
  }
  const extra = locals[MAX_PLACES];
  if (extra) reader.problem(extra, `is one too many; it can listen in ${MAX_PLACES} places`);
  const places = locals.slice(0, MAX_PLACES).flatMap((line) => {
    const listen = localOf(reader, line, port, transport, isIpv6Only);
    return listen === undefined ? [] : [{ line, listen }];
  });
  for (const [i, { line, listen }] of places.entries()) {
    const other = places.slice(0, i).find((earlier) => isSame(earlier.listen, listen));
    if (other) reader.problem(line, `says the same as line ${other.line.line}`);
  }
  return places.map(({ listen }) => listen);
}

function localOf(
  reader: Reader,
  line: Line,
  port: number,
  transport: Transport,
  isIpv6Only: boolean,
): ListenConfig | undefined {
  const [, host = "", portWord, protocolWord] = line.words;
  const ownPort = portWord === undefined ? port : portOf(reader, line, 2);
  const own = protocolWord === undefined ? transport : transportOf(reader, line, 3);
  const address = host === "*" ? undefined : parseIp(host);
  if (host !== "*" && (address === undefined || address.isMulticast))
    return reader.problem(
      line,
      `"${printable(host)}" is no address (names are not looked up); remove the line to listen on all`,
    );
  if (ownPort === undefined || own === undefined) return undefined;
  const family: AddressFamily | undefined = address && (address.isIpv4 ? "ipv4" : "ipv6");
  if (family !== undefined && own.family !== "any" && own.family !== family)
    return reader.problem(line, `${address} is no address of the family that proto asks for`);
  const bound = address?.isUnspecified ? undefined : address;
  const wanted = family === undefined ? own : { ...own, family };
  return place(bound, ownPort, wanted, isIpv6Only, reader.report.origin(line.line));
}

/** A socket of udp6 that is bound to no address serves IPv4 as well, unless `bind ipv6only` says otherwise (man openvpn, --bind). */
function place(
  address: ListenConfig["address"],
  port: number,
  { protocol, family }: Transport,
  isIpv6Only: boolean,
  origin: ListenConfig["origin"],
): ListenConfig {
  const isBoth = address === undefined && family === "ipv6" && !isIpv6Only;
  return { address, port, protocol, family: isBoth ? "any" : family, origin };
}

const isSame = (a: ListenConfig, b: ListenConfig): boolean =>
  a.port === b.port &&
  a.protocol === b.protocol &&
  a.family === b.family &&
  (a.address === undefined ? b.address === undefined : b.address?.equals(a.address) === true);

function transportOf(reader: Reader, line: Line, index: number): Transport | undefined {
  const word = line.words[index] as string;
  const known = Object.hasOwn(PROTOCOLS, word) ? PROTOCOLS[word] : undefined;
  if (known) return { protocol: known[0], family: known[1] };
  return reader.problem(
    line,
    `"${printable(word)}" is no protocol of a server; udp, udp4, udp6, tcp-server, tcp4-server and tcp6-server are`,
  );
}
