/** `[log] syslog`: the collector that gets the lines of the log, of the LAN or, where that is said, beyond the tunnel. */
import type { AST } from "toml-eslint-parser";
import type { Cidr } from "../../lib/cidr.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { SYSLOG_PORT } from "../../netstack/syslog/datagrams.ts";
import { SYSLOG_TCP_PORT } from "../../netstack/syslog/stream.ts";
import type { Address6 } from "./address6.ts";
import { attempt, type Fail, tableValues, textOf } from "./tables.ts";
import { Bad, shown } from "./values.ts";

export interface SyslogSetting {
  readonly proto: "udp" | "tcp";
  readonly to: Endpoint;
  readonly through: "lan" | "tunnel";
  /** Where it stands in the file. */
  readonly line: number;
}

/** What the collector is checked against; undefined where that has a problem of its own. */
export interface SyslogPlace {
  readonly lan: Cidr | undefined;
  /** "auto": a network that is not known before the machine is. */
  readonly lan6: Address6 | undefined;
}

const KEYS = ["to", "through"] as const;
const TABLE = '{ to = "tcp://10.1.0.5:601", through = "tunnel" }';
const PORTS = { udp: SYSLOG_PORT, tcp: SYSLOG_TCP_PORT };
const EXAMPLES = '"192.168.50.10", "tcp://192.168.50.10:601" or "udp://[fd12:3456:789a:1::10]:514"';

/** @param node undefined: not given @returns undefined: nobody gets the log, or there is a problem */
export function readSyslog(
  node: AST.TOMLContentNode | undefined,
  place: SyslogPlace,
  fail: Fail,
): SyslogSetting | undefined {
  if (node === undefined) return undefined;
  const text = textOf(node);
  if (text !== undefined) return attempt(node, fail, () => collector(node, text, "lan", place));
  if (node.type !== "TOMLInlineTable") {
    fail(`must be an address in quotes such as ${EXAMPLES}, or a table such as ${TABLE}`);
    return undefined;
  }
  const values = tableValues(node.body, "syslog", KEYS, fail);
  const to = values.get("to");
  if (to === undefined) fail(`to missing: write ${TABLE}`);
  const through = values.get("through");
  const way = through === undefined ? "lan" : attempt(through, fail, () => wayOf(through), "through ");
  return to && way && attempt(to, fail, () => collector(to, textOf(to) ?? "", way, place));
}

function wayOf(node: AST.TOMLContentNode): "lan" | "tunnel" {
  const text = textOf(node);
  if (text !== "lan" && text !== "tunnel") throw new Bad('is neither "lan" nor "tunnel"');
  return text;
}

/** @throws Bad */
function collector(
  { loc }: AST.TOMLContentNode,
  text: string,
  through: "lan" | "tunnel",
  place: SyslogPlace,
): SyslogSetting {
  const [, scheme = "udp", rest = ""] = /^(?:([a-z0-9+.-]*):\/\/)?(.*)$/i.exec(text) ?? [];
  const proto = scheme.toLowerCase();
  if (proto !== "udp" && proto !== "tcp")
    throw new Bad(`"${shown(scheme)}://" is neither udp:// nor tcp://; there is no other way, and none with TLS`);
  const to = endpointOf(rest, PORTS[proto]);
  if (to === undefined) {
    const isName = /^[a-z0-9_.-]*[a-z][a-z0-9_.-]*(:\d*)?$/i.test(rest);
    const problem = isName ? "is a name; write the collector's address instead" : "is no address of a collector";
    throw new Bad(`"${shown(text)}" ${problem}, such as ${EXAMPLES}`);
  }
  const { address } = to;
  if (!address.isHost || address.isLinkLocal) throw new Bad(`${address} is no address of a collector`);
  const lan = address.isIpv4 ? place.lan : typeof place.lan6 === "object" ? place.lan6 : undefined;
  if (through === "lan") checkLanHost(address, lan, place);
  else if (lan !== undefined && insideLan(address, lan) !== undefined) throw new Bad(insideLan(address, lan));
  return { proto, to, through, line: loc.start.line };
}

/** @param lan undefined: not known, or with a problem of its own @throws Bad */
function checkLanHost(address: IpAddress, lan: Cidr | undefined, { lan6 }: SyslogPlace): void {
  if (!address.isIpv4 && lan6 === "off") throw new Bad(`${address} cannot be reached: lan.address6 is "off"`);
  if (lan === undefined) return;
  const outside = outsideLan(address, lan);
  if (outside !== undefined) throw new Bad(outside);
  if (address.equals(lan.address)) throw new Bad(`${address} is the gateway itself; name a host of the LAN`);
  if (lan.isNetworkOrBroadcast(address))
    throw new Bad(`${address} is the network's or the broadcast address of ${lan.network}; name a host of it`);
}

/** "A", "A:PORT", "[A]:PORT"; an IPv6 address alone needs no brackets. */
function endpointOf(text: string, usual: number): Endpoint | undefined {
  const bare = parseIp(text);
  if (bare !== undefined) return { address: bare, port: usual };
  const [, v6, v4, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = parseIp(v6 ?? v4 ?? "");
  const port = digits === undefined ? usual : Number(digits);
  if (address === undefined || address.isIpv4 !== (v6 === undefined) || port < 1 || port > 65535) return undefined;
  return { address, port };
}

/** Why a collector with that address cannot be on the LAN; undefined: it can. @param lan the network of its family */
export const outsideLan = (address: IpAddress, lan: Cidr): string | undefined =>
  lan.contains(address)
    ? undefined
    : `${address} is not of the LAN, ${lan.network}, and the WAN leads to no collector; name a host of the LAN, or, for one beyond a client's tunnel, write ${TABLE}`;

/** The same of one beyond the tunnel. */
export const insideLan = (address: IpAddress, lan: Cidr): string | undefined =>
  lan.contains(address)
    ? `${address} is of the LAN, ${lan.network}, and the tunnel cannot lead there; leave through = "tunnel" out`
    : undefined;
