/** `[[vpn.forward]]`: what comes to a port of the tunnel's address goes to an endpoint of the LAN. */
import type { AST } from "toml-eslint-parser";
import type { Cidr } from "../../lib/cidr.ts";
import { type Endpoint, formatEndpoint } from "../../lib/endpoint.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { MAX_FORWARDS } from "../../netstack/nat/bindings.ts";
import type { Address6 } from "./address6.ts";
import { attempt, type Fail, tableValues, textOf } from "./tables.ts";
import { Bad, listed, shown } from "./values.ts";

export interface ForwardSetting {
  readonly proto: "tcp" | "udp";
  /** Of the tunnel's address of the family of `to`. */
  readonly port: number;
  readonly to: Endpoint;
  /** Where it stands in the file. */
  readonly line: number;
}

/** One table of the list: where it begins, and its pairs. */
export interface ForwardTable {
  readonly line: number;
  readonly pairs: readonly AST.TOMLKeyValue[];
}

/** What the forwards are checked against; undefined where that has a problem of its own. */
export interface ForwardPlace {
  readonly nat: boolean;
  readonly lan: Cidr | undefined;
  /** "auto": a network that is not known before the machine is. */
  readonly lan6: Address6 | undefined;
}

const KEYS = ["proto", "port", "to"] as const;
type Key = (typeof KEYS)[number];

export function readForwards(
  tables: readonly ForwardTable[],
  place: ForwardPlace,
  fail: Fail,
): readonly ForwardSetting[] {
  const [first] = tables;
  if (first !== undefined && !place.nat)
    fail("needs nat = true: without translation the LAN's hosts are reached by their own addresses", first.line);
  const extra = tables[MAX_FORWARDS];
  if (extra !== undefined) fail(`is one too many; there can be ${MAX_FORWARDS} forwards`, extra.line);
  const forwards: ForwardSetting[] = [];
  for (const table of tables) {
    const forward = readForward(table, place, fail);
    if (forward === undefined) continue;
    const { proto, port, to } = forward;
    const before = forwards.find(
      (f) => f.proto === proto && f.port === port && f.to.address.isIpv4 === to.address.isIpv4,
    );
    if (before !== undefined)
      fail(
        `${proto} port ${port} leads to ${formatEndpoint(before.to)} already (line ${before.line}); choose another port`,
        table.line,
      );
    else forwards.push(forward);
  }
  return forwards;
}

function readForward({ line, pairs }: ForwardTable, place: ForwardPlace, fail: Fail): ForwardSetting | undefined {
  const values = tableValues(pairs, "[[vpn.forward]]", KEYS, fail);
  const missing = KEYS.filter((key) => !values.has(key));
  if (missing.length > 0)
    fail(`${listed(missing)} missing: write proto = "tcp", port = 8080 and to = "192.168.50.20:80"`, line);
  const read = <T>(key: Key, parse: (node: AST.TOMLContentNode) => T): T | undefined => {
    const node = values.get(key);
    return node && attempt(node, fail, () => parse(node), `${key} `);
  };
  const proto = read("proto", protocolOf);
  const port = read("port", portOf);
  const to = read("to", (node) => targetOf(node, place));
  return proto === undefined || port === undefined || to === undefined ? undefined : { proto, port, to, line };
}

function protocolOf(node: AST.TOMLContentNode): "tcp" | "udp" {
  const text = textOf(node);
  if (text !== "tcp" && text !== "udp") throw new Bad('is neither "tcp" nor "udp"; for both write two forwards');
  return text;
}

function portOf(node: AST.TOMLContentNode): number {
  if (node.type !== "TOMLValue" || node.kind !== "integer" || node.value < 1 || node.value > 65535)
    throw new Bad("must be a whole number from 1 to 65535");
  return node.value;
}

function targetOf(node: AST.TOMLContentNode, place: ForwardPlace): Endpoint {
  const text = textOf(node);
  const [, v6, v4, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text ?? "") ?? [];
  const address = parseIp(v6 ?? v4 ?? "");
  const port = Number(digits);
  if (address === undefined || address.isIpv4 !== (v6 === undefined) || port < 1 || port > 65535) {
    const what = text === undefined ? "must be" : `"${shown(text)}" is not`;
    throw new Bad(`${what} an address and a port such as "192.168.50.20:80" or "[fd12:3456:789a:1::20]:80"`);
  }
  if (address.isIpv4) checkHost(address, place.lan);
  else if (place.lan6 === "off") throw new Bad(`${address} cannot be reached: lan.address6 is "off"`);
  else checkHost(address, typeof place.lan6 === "object" ? place.lan6 : undefined);
  return { address, port };
}

/** @param lan undefined: not known, or with a problem of its own */
function checkHost(address: IpAddress, lan: Cidr | undefined): void {
  if (!address.isHost || address.isLinkLocal) throw new Bad(`${address} is no address of a LAN host`);
  if (lan === undefined) return;
  if (!lan.contains(address)) throw new Bad(`${address} is not of the LAN, ${lan.network}; name a host of it`);
  if (address.equals(lan.address)) throw new Bad(`${address} is the gateway itself; name a host of the LAN`);
  if (lan.isNetworkOrBroadcast(address))
    throw new Bad(`${address} is the network's or the broadcast address of ${lan.network}; name a host of it`);
}
