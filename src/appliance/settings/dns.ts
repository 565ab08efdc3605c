/** `[lan] dns`: true, false, or a table with the servers to ask, the domain of the LAN's hosts and domains of private addresses. */
import type { AST } from "toml-eslint-parser";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { dnsNameValid } from "../../netstack/wire/dns.ts";
import { attempt, type Fail, switchOrTable, tableValues, textOf } from "./tables.ts";
import { Bad, shown } from "./values.ts";

export interface DnsSettings {
  /** Asked in the place of those that the tunnel brings; empty: those. */
  readonly servers: readonly IpAddress[];
  /** Of the LAN's hosts, lower case. */
  readonly domain: string;
  /** Domains whose names may have private addresses. */
  readonly private: readonly string[];
}

export const DEFAULT_DNS: DnsSettings = { servers: [], domain: "lan", private: [] };

const KEYS = ["servers", "domain", "private"] as const;
/** Names that mean the same everywhere (RFC 6761, RFC 7686), or nothing as a domain of hosts. */
const NO_DOMAIN: ReadonlySet<string> = new Set(["localhost", "invalid", "onion", "arpa"]);

/** @param node undefined: not given @returns undefined where it is off */
export function readDns(node: AST.TOMLContentNode | undefined, fail: Fail): DnsSettings | undefined {
  const given = switchOrTable(node, '{ servers = ["9.9.9.9"], domain = "lan" }', fail);
  if (given === false) return undefined;
  if (typeof given !== "object") return DEFAULT_DNS;
  const values = tableValues(given.body, "dns", KEYS, fail);
  const domain = values.get("domain");
  return {
    servers: readList(values.get("servers"), 'servers must be a list such as ["9.9.9.9"]', server, fail),
    domain: (domain && readText(domain, "domain must be a string in quotes", hostDomain, fail)) ?? DEFAULT_DNS.domain,
    private: readList(values.get("private"), 'private must be a list such as ["corp.example.com"]', domainOf, fail),
  };
}

function readList<T>(
  node: AST.TOMLContentNode | undefined,
  wrong: string,
  read: (text: string) => T,
  fail: Fail,
): readonly T[] {
  if (node === undefined) return [];
  if (node.type !== "TOMLArray") {
    fail(wrong, node.loc.start.line);
    return [];
  }
  return node.elements.map((element) => readText(element, wrong, read, fail)).filter((value) => value !== undefined);
}

function readText<T>(node: AST.TOMLContentNode, wrong: string, read: (text: string) => T, fail: Fail): T | undefined {
  const text = textOf(node);
  if (text !== undefined) return attempt(node, fail, () => read(text));
  fail(wrong, node.loc.start.line);
  return undefined;
}

function server(text: string): IpAddress {
  const address = parseIp(text);
  if (address?.isHost !== true) throw new Bad(`"${shown(text)}" is no address of a host`);
  return address;
}

function domainOf(text: string): string {
  const name = text.replace(/^\.|\.$/g, "").toLowerCase();
  if (!dnsNameValid(name)) throw new Bad(`"${shown(text)}" is no domain`);
  return name;
}

function hostDomain(text: string): string {
  const name = domainOf(text);
  if (NO_DOMAIN.has(name.split(".").at(-1) as string)) throw new Bad(`"${shown(text)}" cannot be the domain of hosts`);
  return name;
}
