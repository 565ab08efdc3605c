/** `[lan] dhcp`: true, false, or a table with the pool, the length of a lease and reservations. */
import type { AST } from "toml-eslint-parser";
import type { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import { formatMac, type Mac } from "../../lib/mac.ts";
import { attempt, type Fail, switchOrTable, tableValues, textOf } from "./tables.ts";
import { Bad, keyName, unicast, unicastMac } from "./values.ts";

export interface DhcpSettings {
  readonly first: IpAddress;
  readonly last: IpAddress;
  readonly leaseSeconds: number;
  readonly reservations: readonly { readonly mac: Mac; readonly address: IpAddress }[];
}

const KEYS = ["first", "last", "lease", "reserve"] as const;
/** What the tables of the server are made for. */
const MAX_POOL = 4096;
/** Shorter ones are all renewals, longer ones never come back. */
const LEASE = { min: 60, max: 31_536_000, default: 3600 };

/** Addresses 100 to 200 of the LAN; of a network that is too small for that its upper half. */
export function defaultDhcp(lan: Cidr): DhcpSettings {
  const network = lan.network.address.w3;
  const size = 2 ** (32 - lan.prefix);
  const [from, to] = lan.prefix <= 24 ? [100, 200] : [size / 2, size - 2];
  const at = (place: number): IpAddress => IpAddress.fromIpv4(network + place);
  // Of a /30 we have one address, and whoever is there the other.
  const other = size === 4 ? at(3 - (lan.address.w3 - network)) : undefined;
  return { first: other ?? at(from), last: other ?? at(to), leaseSeconds: LEASE.default, reservations: [] };
}

/**
 * @param node undefined: not given @param lan our address and its subnet
 * @returns undefined where it is off, or wrong
 */
export function readDhcp(node: AST.TOMLContentNode | undefined, lan: Cidr, fail: Fail): DhcpSettings | undefined {
  const given = switchOrTable(node, '{ first = "192.168.50.100", last = "192.168.50.200", lease = 3600 }', fail);
  if (given === true) return defaultDhcp(lan);
  return typeof given === "object" ? new DhcpTable(lan, fail).table(given) : undefined;
}

class DhcpTable {
  readonly #lan: Cidr;
  readonly #fail: Fail;
  #hasFailed = false;

  constructor(lan: Cidr, fail: Fail) {
    this.#lan = lan;
    this.#fail = (text, line) => {
      this.#hasFailed = true;
      fail(text, line);
    };
  }

  table(node: AST.TOMLInlineTable): DhcpSettings | undefined {
    const values = tableValues(node.body, "dhcp", KEYS, this.#fail);
    const pool = defaultDhcp(this.#lan);
    const first = this.#address(values.get("first"), "first") ?? pool.first;
    const last = this.#address(values.get("last"), "last") ?? pool.last;
    const leaseSeconds = this.#lease(values.get("lease")) ?? LEASE.default;
    const reservations = this.#reservations(values.get("reserve"));
    if (!this.#hasFailed && (values.has("first") || values.has("last"))) this.#checkPool(first, last, node);
    return this.#hasFailed ? undefined : { first, last, leaseSeconds, reservations };
  }

  #checkPool(first: IpAddress, last: IpAddress, node: AST.TOMLNode): void {
    const size = (last.w3 >>> 0) - (first.w3 >>> 0) + 1;
    const gateway = this.#lan.address;
    const place = (gateway.w3 >>> 0) - (first.w3 >>> 0);
    if (size < 1) this.#wrong(`the pool's last address ${last} is before its first, ${first}`, node);
    else if (size > MAX_POOL) this.#wrong(`the pool has ${size} addresses; there can be ${MAX_POOL}`, node);
    else if (place >= 0 && place < size)
      this.#wrong(`the gateway's own address ${gateway} is in the pool ${first} to ${last}`, node);
  }

  #address(node: AST.TOMLContentNode | undefined, name: string): IpAddress | undefined {
    return node && this.#hostOf(node, name);
  }

  #lease(node: AST.TOMLContentNode | undefined): number | undefined {
    if (node === undefined) return undefined;
    if (node.type !== "TOMLValue" || node.kind !== "integer")
      return this.#wrong("lease must be a whole number of seconds", node);
    if (node.value < LEASE.min || node.value > LEASE.max)
      return this.#wrong(`lease: ${node.value} s is not between ${LEASE.min} and ${LEASE.max}`, node);
    return node.value;
  }

  #reservations(node: AST.TOMLContentNode | undefined): DhcpSettings["reservations"] {
    if (node === undefined) return [];
    if (node.type !== "TOMLInlineTable") {
      this.#wrong('reserve must be a table such as { "52:54:00:12:34:56" = "192.168.50.10" }', node);
      return [];
    }
    const taken = new Map<string, string>([[this.#lan.address.toString(), "the gateway"]]);
    const found: { mac: Mac; address: IpAddress }[] = [];
    for (const { key, value } of node.body) {
      const mac = attempt(key, this.#fail, () => unicastMac(keyName(key)), "reserve: ");
      const address = this.#hostOf(value, "reserve");
      if (mac === undefined || address === undefined) continue;
      const owner = taken.get(address.toString());
      if (found.some((r) => r.mac.hi === mac.hi && r.mac.lo === mac.lo))
        this.#wrong(`reserve: ${formatMac(mac)} has two reservations`, key);
      else if (owner !== undefined) this.#wrong(`reserve: ${address} is for ${formatMac(mac)} and for ${owner}`, key);
      taken.set(address.toString(), formatMac(mac));
      found.push({ mac, address });
    }
    return found;
  }

  /** An address that a host of the LAN can have. */
  #host(text: string): IpAddress {
    const address = unicast(text);
    if (!this.#lan.contains(address)) throw new Bad(`${address} is outside of the LAN ${this.#lan.network}`);
    if (this.#lan.isNetworkOrBroadcast(address))
      throw new Bad(`${address} is the network's or the broadcast address of ${this.#lan.network}`);
    return address;
  }

  #hostOf(node: AST.TOMLContentNode, name: string): IpAddress | undefined {
    const text = textOf(node);
    if (text !== undefined) return attempt(node, this.#fail, () => this.#host(text), `${name}: `);
    return this.#wrong(`${name} must be an address in quotes`, node);
  }

  #wrong(text: string, node: AST.TOMLNode): undefined {
    this.#fail(text, node.loc.start.line);
  }
}
