/** `[log] syslog`: the collector of the LAN that gets the lines of the log. */
import type { Cidr } from "../../lib/cidr.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { SYSLOG_PORT } from "../../netstack/syslog/datagrams.ts";
import { SYSLOG_TCP_PORT } from "../../netstack/syslog/stream.ts";
import type { Address6 } from "./address6.ts";
import { Bad, shown } from "./values.ts";

export interface SyslogSetting {
  readonly proto: "udp" | "tcp";
  readonly to: Endpoint;
  /** Where it stands in the file. */
  readonly line: number;
}

/** What the collector is checked against; undefined where that has a problem of its own. */
export interface SyslogPlace {
  readonly lan: Cidr | undefined;
  /** "auto": a network that is not known before the machine is. */
  readonly lan6: Address6 | undefined;
}

const PORTS = { udp: SYSLOG_PORT, tcp: SYSLOG_TCP_PORT };
const EXAMPLES = '"192.168.50.10", "tcp://192.168.50.10:601" or "udp://[fd12:3456:789a:1::10]:514"';

/** @throws Bad */
export function syslogCollector(text: string, { lan, lan6 }: SyslogPlace): Omit<SyslogSetting, "line"> {
  const [, scheme = "udp", place = ""] = /^(?:([a-z0-9+.-]*):\/\/)?(.*)$/i.exec(text) ?? [];
  const proto = scheme.toLowerCase();
  if (proto !== "udp" && proto !== "tcp")
    throw new Bad(`"${shown(scheme)}://" is neither udp:// nor tcp://; there is no other way, and none with TLS`);
  const to = endpointOf(place, PORTS[proto]);
  if (to === undefined) {
    const isName = /^[a-z0-9_.-]*[a-z][a-z0-9_.-]*(:\d*)?$/i.test(place);
    const problem = isName ? "is a name; write the collector's address instead" : "is no address of a collector";
    throw new Bad(`"${shown(text)}" ${problem}, such as ${EXAMPLES}`);
  }
  if (to.address.isIpv4) checkHost(to.address, lan);
  else if (lan6 === "off") throw new Bad(`${to.address} cannot be reached: lan.address6 is "off"`);
  else checkHost(to.address, typeof lan6 === "object" ? lan6 : undefined);
  return { proto, to };
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

/** Why a collector with that address cannot be; undefined: it can. @param lan the network of its family */
export const outsideLan = (address: IpAddress, lan: Cidr): string | undefined =>
  lan.contains(address)
    ? undefined
    : `${address} is not of the LAN, ${lan.network}: neither the WAN nor the tunnel leads to a collector; name a host of the LAN, which can hand lines on`;

/** @param lan undefined: not known, or with a problem of its own @throws Bad */
function checkHost(address: IpAddress, lan: Cidr | undefined): void {
  if (!address.isHost || address.isLinkLocal) throw new Bad(`${address} is no address of a LAN host`);
  if (lan === undefined) return;
  const outside = outsideLan(address, lan);
  if (outside !== undefined) throw new Bad(outside);
  if (address.equals(lan.address)) throw new Bad(`${address} is the gateway itself; name a host of the LAN`);
  if (lan.isNetworkOrBroadcast(address))
    throw new Bad(`${address} is the network's or the broadcast address of ${lan.network}; name a host of it`);
}
