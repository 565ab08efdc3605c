/**
 * The tunnel's own lines that a server may also push: checked here for form, given meaning after the push. What openvpn
 * refuses is a problem; what it goes on with, as we do where it is pushed, is left out with a warning.
 */
import { maskPrefix, parseCidr } from "../../lib/cidr.ts";
import { groupBy } from "../../lib/group-by.ts";
import { parseIpv4 } from "../../lib/ip.ts";
import { clientNatRule } from "../push/client-nat.ts";
import type { Line } from "./lexer.ts";
import { printable } from "./lexer.ts";
import type { Reader } from "./reader.ts";
import type { LocalOption } from "./types.ts";
import { unavailable } from "./unavailable.ts";
import { IFCONFIG_IPV6_BITS, isIpv6, isIpv6Cidr } from "./values.ts";

/** Reports what openvpn refuses. @returns why the line is left out; undefined: it counts */
type Check = (words: readonly string[], refuse: (problem: string) => void, isHost: boolean) => string | undefined;

const shown = (word: string | undefined): string => `"${printable(word ?? "")}"`;

const isMetric = (word: string | undefined): boolean =>
  word === undefined || word === "default" || (/^\d{1,10}$/.test(word) && Number(word) <= 0x7fff_ffff);

/** One for each directive that becomes an entry of localOptions. */
const CHECKS: Readonly<Record<string, Check>> = {
  ifconfig([, ...addresses], refuse) {
    const [local, second] = addresses.map((word) => {
      const address = parseIpv4(word);
      if (address === undefined) refuse(`${shown(word)} is no IPv4 address`);
      return address;
    });
    if (local && second?.equals(local)) refuse(`${local} cannot be both ends' address, nor the netmask of its own`);
    return undefined;
  },
  "ifconfig-ipv6"([, local = "", remote = ""], refuse) {
    const own = parseCidr(local);
    const bits = IFCONFIG_IPV6_BITS;
    if (!isIpv6(local) && own?.isIpv4 !== false) refuse(`${shown(local)} is no IPv6 address`);
    else if (own !== undefined && (own.prefix < bits.least || own.prefix > bits.most))
      refuse(`a prefix has ${bits.least} to ${bits.most} bits, not ${own.prefix}`);
    if (!isIpv6(remote)) refuse(`${shown(remote)} is no IPv6 address`);
    return undefined;
  },
  topology([, word = ""], refuse) {
    if (!["net30", "p2p", "subnet"].includes(word)) refuse(`${shown(word)} is none of net30, p2p, subnet`);
    return undefined;
  },
  route([, network = "", mask = "", gateway = "", metric], _refuse, isHost) {
    if (network === "net_gateway" || (gateway === "net_gateway" && !isHost))
      return "net_gateway is refused: nothing of the LAN leaves outside the tunnel";
    if (!["vpn_gateway", "remote_host"].includes(network) && parseIpv4(network) === undefined)
      return `${shown(network)} is no IPv4 address (names are not looked up)`;
    const value = parseIpv4(mask);
    if (!["", "default"].includes(mask) && (value === undefined || maskPrefix(value.w3) === undefined))
      return `${shown(mask)} is no netmask`;
    if (
      !["", "default", "vpn_gateway", "remote_host", "net_gateway"].includes(gateway) &&
      parseIpv4(gateway) === undefined
    )
      return `${shown(gateway)} is no gateway`;
    return isMetric(metric) ? undefined : `${shown(metric)} is no metric`;
  },
  "route-ipv6"([, network = "", , metric]) {
    if (!isIpv6Cidr(network) && !isIpv6(network)) return `${shown(network)} is no IPv6 network`;
    return isMetric(metric) ? undefined : `${shown(metric)} is no metric`;
  },
  "route-gateway"([, gateway = ""], refuse) {
    if (gateway === "dhcp") return "dhcp serves tap devices";
    if (parseIpv4(gateway) === undefined) refuse(`${shown(gateway)} is no IPv4 address`);
    return undefined;
  },
  "route-metric"([, metric]) {
    return isMetric(metric) ? undefined : `${shown(metric)} is no metric`;
  },
  "redirect-gateway": redirectFlags,
  "redirect-private": redirectFlags,
  "client-nat"(words, refuse) {
    const rule = clientNatRule(words);
    if (typeof rule === "string") refuse(rule);
    return undefined;
  },
  "dhcp-option"([, type = "", value]) {
    const name = type.toUpperCase();
    if (name === "DNS" || name === "DNS6") {
      const isAddress = value !== undefined && (parseIpv4(value) !== undefined || isIpv6(value));
      return isAddress ? undefined : `${name} needs an address`;
    }
    return value === undefined && name !== "DISABLE-NBT" ? `${printable(name)} needs a value` : undefined;
  },
  dns([, what, id, property, ...values], refuse) {
    if (what === "search-domains") {
      if (id === undefined) refuse("search-domains needs a domain");
    } else if (what !== "server") refuse(`${shown(what)} is neither server nor search-domains`);
    else if (id === undefined || !/^-?\d{1,3}$/.test(id) || Number(id) < -128 || Number(id) > 127)
      refuse("server needs a number from -128 to 127");
    else if (property === undefined || values.length === 0) refuse("server N needs a property and its value");
    else checkDnsServer(property, values, refuse);
    return undefined;
  },
  "block-ipv6": () => undefined,
  "block-outside-dns": () => undefined,
};

/** The same for what has to do with the networks that a host has beside the tunnel; a router has told of it. */
const HOST_CHECKS: Readonly<Record<string, Check>> = {
  "route-table": ([, table = ""]) => (/^\d{1,9}$/.test(table) ? undefined : `${shown(table)} is no number of a table`),
};

const REDIRECT_FLAGS: readonly string[] = ["def1", "local", "autolocal"]
  .concat(["bypass-dhcp", "bypass-dns", "block-local"])
  .concat(["ipv6", "!ipv4"]);

function redirectFlags([, ...flags]: readonly string[], refuse: (problem: string) => void): undefined {
  for (const flag of flags)
    if (!REDIRECT_FLAGS.includes(flag)) refuse(`${shown(flag)} is none of ${REDIRECT_FLAGS.join(", ")}`);
}

/** man openvpn, --dns server; what openvpn's dns.c refuses. */
function checkDnsServer(property: string, values: readonly string[], refuse: (problem: string) => void): void {
  const [first = ""] = values;
  const oneOf = (words: readonly string[]): void => {
    if (!words.includes(first)) refuse(`${property}: ${shown(first)} is none of ${words.join(", ")}`);
  };
  switch (property) {
    case "address":
      for (const word of values)
        if (!isDnsAddress(word))
          refuse(`${shown(word)} is no address such as 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53`);
      return;
    case "dnssec":
      return oneOf(["yes", "optional", "no"]);
    case "transport":
      return oneOf(["plain", "DoH", "DoT"]);
    case "resolve-domains":
    case "sni":
      return;
    default:
      refuse(`${shown(property)} is no property of a DNS server`);
  }
}

function isDnsAddress(text: string): boolean {
  if (parseIpv4(text) !== undefined || isIpv6(text)) return true;
  const [, ipv6, ipv4, port] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) < 1 || Number(port) > 65535) return false;
  return ipv6 === undefined ? parseIpv4(ipv4 as string) !== undefined : isIpv6(ipv6);
}

/** @param isHost this machine has networks of its own beside the tunnel */
export function resolveLocalOptions(reader: Reader, isHost: boolean): LocalOption[] {
  const found: Line[] = [];
  for (const [name, check] of Object.entries(isHost ? { ...CHECKS, ...HOST_CHECKS } : CHECKS)) {
    for (const line of reader.all(name)) {
      const reason = check(line.words, (problem) => reader.problem(line, problem), isHost);
      if (reason === undefined) found.push(line);
      else reader.warn(line, `ignored: ${reason}`);
    }
  }
  checkDnsAddresses(reader);
  found.sort((a, b) => a.line - b.line);
  const missing = unavailable(found.map(({ words }) => words));
  if (missing !== undefined) reader.warn(found[missing.index] as Line, missing.text);
  return found.map((line) => ({ words: line.words, origin: reader.report.origin(line.line) }));
}

/** As openvpn: a server that has properties has an address. */
function checkDnsAddresses(reader: Reader): void {
  const servers = groupBy(
    reader.all("dns").filter(({ words }) => words[1] === "server"),
    ({ words }) => words[2],
  );
  for (const lines of servers.values()) {
    if (!lines.some(({ words }) => words[3] === "address"))
      reader.problem(lines[0] as Line, `server ${printable(lines[0]?.words[2] ?? "")} has no address`);
  }
}
