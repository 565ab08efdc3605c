/** The tunnel's own lines that a server may also push: checked here for form, given meaning after the push. */
import { maskPrefix } from "../../lib/cidr.ts";
import { parseIpv4 } from "../../lib/ip.ts";
import type { Line } from "./lexer.ts";
import { printable } from "./lexer.ts";
import type { Reader } from "./reader.ts";
import type { LocalOption } from "./types.ts";
import { isIpv6, isIpv6Cidr } from "./values.ts";

const METRIC = { min: 0, max: 2147483647 };

/** One check per directive that becomes an entry of localOptions. A check reports what is wrong. */
const CHECKS: Readonly<Record<string, (reader: Reader, line: Line, words: readonly string[]) => void>> = {
  ifconfig(reader, line, [, local, remote]) {
    for (const word of [local, remote]) {
      if (parseIpv4(word as string) === undefined)
        reader.problem(line, `"${printable(word as string)}" is no IPv4 address`);
    }
  },
  "ifconfig-ipv6"(reader, line, [, local, remote]) {
    if (!isIpv6Cidr(local as string) && !isIpv6(local as string))
      reader.problem(line, `"${printable(local as string)}" is no IPv6 address`);
    if (!isIpv6(remote as string)) reader.problem(line, `"${printable(remote as string)}" is no IPv6 address`);
  },
  topology(reader, line) {
    reader.choice(line, 1, ["net30", "p2p", "subnet"]);
  },
  route(reader, line, [, network, mask, gateway]) {
    if (
      !["vpn_gateway", "net_gateway", "remote_host"].includes(network as string) &&
      parseIpv4(network as string) === undefined
    ) {
      reader.problem(line, `"${printable(network as string)}" is no IPv4 address (names are not looked up)`);
    }
    if (mask !== undefined && mask !== "default" && mask !== "") {
      const value = parseIpv4(mask);
      if (value === undefined || maskPrefix(value.w3) === undefined)
        reader.problem(line, `"${printable(mask)}" is no netmask`);
    }
    if (gateway === "net_gateway")
      reader.warn(line, "net_gateway is refused: nothing of the LAN leaves outside the tunnel");
    else if (
      gateway !== undefined &&
      !["vpn_gateway", "remote_host", "default", ""].includes(gateway) &&
      parseIpv4(gateway) === undefined
    ) {
      reader.problem(line, `"${printable(gateway)}" is no gateway`);
    }
    if (line.words[4] !== "default") reader.number(line, 4, METRIC);
  },
  "route-ipv6"(reader, line, [, network]) {
    if (!isIpv6Cidr(network as string) && !isIpv6(network as string))
      reader.problem(line, `"${printable(network as string)}" is no IPv6 network`);
    if (line.words[3] !== "default") reader.number(line, 3, METRIC);
  },
  "route-gateway"(reader, line, [, gateway]) {
    if (gateway === "dhcp") reader.problem(line, "dhcp serves tap devices, which are not available");
    else if (parseIpv4(gateway as string) === undefined)
      reader.problem(line, `"${printable(gateway as string)}" is no IPv4 address`);
  },
  "route-ipv6-gateway"(reader, line, [, gateway]) {
    if (!isIpv6(gateway as string)) reader.problem(line, `"${printable(gateway as string)}" is no IPv6 address`);
  },
  "route-metric"(reader, line) {
    reader.number(line, 1, METRIC);
  },
  "redirect-gateway": redirectFlags,
  "redirect-private": redirectFlags,
  "dhcp-option"(reader, line, [, type, value]) {
    const name = (type as string).toUpperCase();
    if (name === "DNS" || name === "DNS6") {
      if (value === undefined || (parseIpv4(value) === undefined && !isIpv6(value)))
        reader.problem(line, `${name} needs an address`);
    } else if (value === undefined && name !== "DISABLE-NBT") reader.problem(line, `${printable(name)} needs a value`);
  },
  dns(reader, line, [, what, id]) {
    if (what === "search-domains") {
      if (id === undefined) reader.problem(line, "search-domains needs a domain");
    } else if (what === "server") {
      const property = line.words[3];
      if (id === undefined || !/^-?\d{1,3}$/.test(id) || Number(id) < -128 || Number(id) > 127)
        reader.problem(line, "server needs a number from -128 to 127");
      else if (line.words[4] === undefined) reader.problem(line, "server N needs a property and its value");
      else if (!["address", "resolve-domains", "dnssec", "transport", "sni"].includes(property as string)) {
        reader.problem(line, `"${printable(property as string)}" is no property of a DNS server`);
      }
    } else reader.problem(line, `"${printable(what as string)}" is neither server nor search-domains`);
  },
  "block-ipv6"() {},
  "block-outside-dns"() {},
};

function redirectFlags(reader: Reader, line: Line): void {
  const flags = ["def1", "local", "autolocal", "bypass-dhcp", "bypass-dns", "block-local", "ipv6", "!ipv4"];
  for (let i = 1; i < line.words.length; i++) reader.choice(line, i, flags);
  if (line.words.includes("local"))
    reader.warn(line, "local is ignored: the way to the server never leads through the tunnel");
}

export function resolveLocalOptions(reader: Reader): LocalOption[] {
  const found: Line[] = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    for (const line of reader.all(name)) {
      check(reader, line, line.words);
      found.push(line);
    }
  }
  found.sort((a, b) => a.line - b.line);
  return found.map((line) => ({ words: line.words, origin: reader.report.origin(line.line) }));
}
