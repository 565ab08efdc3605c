/** The networks of a server's tunnel: lines -> values, as OpenVPN's helper.c makes them out of `server` and `server-ipv6`. */
import { Cidr, maskPrefix, parseCidr, prefixMask } from "../../lib/cidr.ts";
import { IpAddress, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import { type Line, printable } from "./lexer.ts";
import { type Reader, SECONDS } from "./reader.ts";
import type { ServerNetworkConfig, Topology } from "./server-types.ts";
import type { DeviceType } from "./types.ts";
import { IFCONFIG_IPV6_BITS } from "./values.ts";

type Pool = ServerNetworkConfig["pool"];
type Part4 = Pick<ServerNetworkConfig, "address" | "pool">;
type Part6 = Pick<ServerNetworkConfig, "address6" | "pool6">;

/** @param isHost this machine has its own address in the tunnel, also with dev tap */
export function resolveNetwork(reader: Reader, deviceType: DeviceType, isHost: boolean): ServerNetworkConfig {
  const isBridged = deviceType === "tap";
  // Frames find their way by themselves: whatever topology says, all clients are in one subnet.
  const topology = isBridged ? "subnet" : resolveTopology(reader);
  const routes = resolveRoutes(reader);
  const pushed: string[] = [];
  const server6 = reader.last("server-ipv6");
  const six = server6 ? serverIpv6(reader, server6) : byHand6(reader);
  if (server6) pushed.push("tun-ipv6");
  const server = reader.last("server");
  const bridge = reader.last("server-bridge");
  if (bridge) checkBridge(reader, bridge, isBridged);
  const four = server
    ? serverIpv4(reader, server, topology, pushed, { isBridged, isHost })
    : bridge
      ? serverBridge(reader, bridge, pushed)
      : isBridged && !reader.has("ifconfig")
        ? poolAlone(reader)
        : byHand(reader, topology, routes);
  if (
    !isBridged &&
    server === undefined &&
    server6 === undefined &&
    !reader.has("ifconfig") &&
    !reader.has("ifconfig-ipv6")
  )
    reader.report.missing("server", "nothing says which network the tunnel has; write server 10.8.0.0 255.255.255.0");
  const own = four.address?.network;
  const others = routes
    .filter(({ network }) => own === undefined || !network.equals(own))
    .map(({ network }) => network);
  const network = { topology, ...four, ...six, persist: resolvePersist(reader), routes: others, push: pushed };
  checkPools(reader, network);
  return network;
}

/** OpenVPN's default up to 2.6; 2.7 takes subnet. */
function resolveTopology(reader: Reader): Topology {
  const value = reader.oneOf("topology", ["net30", "p2p", "subnet"]);
  if (value !== undefined) return value;
  if (reader.has("ifconfig-pool-linear")) return "p2p";
  const line = reader.last("server");
  if (line)
    reader.warn(
      line,
      "without topology each client takes four addresses (net30, as in OpenVPN 2.6); write topology subnet",
    );
  return "net30";
}

/** OpenVPN's bounds: a pool has at most 65,536 addresses, and at least one client's place beside the server's. */
const LEAST_BITS = 16;
const MOST_BITS = 29;

function checkBridge(reader: Reader, line: Line, isBridged: boolean): void {
  if (!isBridged)
    reader.problem(line, "bridges frames of Ethernet: write dev tap, or server NETWORK NETMASK with dev tun");
  for (const name of ["server", "ifconfig-pool"]) {
    const other = reader.last(name);
    if (other)
      reader.problem(other, "cannot stand beside server-bridge, which says where clients have their addresses from");
  }
}

/** `server-bridge GATEWAY NETMASK FIRST LAST`; alone, or with nogw, clients have addresses by DHCP of the network (helper.c). */
function serverBridge(reader: Reader, line: Line, pushed: string[]): Part4 {
  const none: Part4 = { address: undefined, pool: undefined };
  const [, gatewayWord, maskWord = "", firstWord = "", lastWord = ""] = line.words;
  if (line.words.length < 3) {
    if (gatewayWord === undefined) pushed.push("route-gateway dhcp");
    else reader.choice(line, 1, ["nogw"]);
    return none;
  }
  if (line.words.length !== 5)
    return reader.problem(line, "needs GATEWAY NETMASK FIRST LAST, or nogw, or nothing behind it") ?? none;
  const gateway = parseIpv4(gatewayWord ?? "");
  if (!gateway?.isHost) reader.problem(line, `"${printable(gatewayWord ?? "")}" is no IPv4 address of a host`);
  else pushed.push(`route-gateway ${gateway}`);
  return poolOfSubnet(reader, line, [firstWord, lastWord, maskWord], gateway);
}

/** ifconfig-pool with its netmask, where no address is the server's. */
function poolAlone(reader: Reader): Part4 {
  const line = reader.last("ifconfig-pool");
  if (line === undefined) return { address: undefined, pool: undefined };
  return poolOfSubnet(reader, line, [line.words[1] ?? "", line.words[2] ?? "", line.words[3] ?? ""], undefined);
}

function poolOfSubnet(
  reader: Reader,
  line: Line,
  [firstWord, lastWord, maskWord]: readonly [string, string, string],
  gateway: IpAddress | undefined,
): Part4 {
  const none: Part4 = { address: undefined, pool: undefined };
  const bits = maskPrefix(parseIpv4(maskWord)?.w3 ?? 1);
  const [first, last] = [parseIpv4(firstWord), parseIpv4(lastWord)];
  if (bits === undefined || bits < 1 || bits > 30)
    return reader.problem(line, `"${printable(maskWord)}" is no netmask such as 255.255.255.0`) ?? none;
  if (!first?.isHost) return reader.problem(line, `"${printable(firstWord)}" is no IPv4 address of a host`) ?? none;
  if (!last?.isHost) return reader.problem(line, `"${printable(lastWord)}" is no IPv4 address of a host`) ?? none;
  const network = new Cidr(first, bits).network;
  const count = (last.w3 >>> 0) - (first.w3 >>> 0) + 1;
  if (count < 1) return reader.problem(line, `${last} comes before ${first}`) ?? none;
  if (count > 1 << LEAST_BITS)
    return reader.problem(line, `${count} addresses are more than ${1 << LEAST_BITS}`) ?? none;
  const outside = [last, gateway].find((address) => address !== undefined && !network.contains(address));
  if (outside) return reader.problem(line, `${outside} is not of the network ${network}`) ?? none;
  return { address: network, pool: { first, last } };
}

function serverIpv4(
  reader: Reader,
  line: Line,
  topology: Topology,
  pushed: string[],
  { isBridged, isHost }: { readonly isBridged: boolean; readonly isHost: boolean },
): Part4 {
  const none: Part4 = { address: undefined, pool: undefined };
  const [, networkWord = "", maskWord = "", flag] = line.words;
  const hasPool = flag === undefined;
  if (!hasPool) reader.choice(line, 3, ["nopool"]);
  const pool = reader.last("ifconfig-pool");
  if (pool && hasPool) reader.problem(pool, "cannot stand beside server, which makes a pool; write server ... nopool");
  const other = reader.last("ifconfig");
  if (other) reader.warn(other, `ignored: server on line ${line.line} says it`);
  const base = parseIpv4(networkWord);
  const mask = parseIpv4(maskWord);
  const bits = mask && maskPrefix(mask.w3);
  if (base === undefined) reader.problem(line, `"${printable(networkWord)}" is no IPv4 network`);
  if (bits === undefined) reader.problem(line, `"${printable(maskWord)}" is no netmask such as 255.255.255.0`);
  if (base === undefined || bits === undefined) return none;
  if (bits < LEAST_BITS || bits > MOST_BITS)
    return reader.problem(line, `a network of /${bits} is not between /${LEAST_BITS} and /${MOST_BITS}`) ?? none;
  const network = new Cidr(base, bits).network;
  if (!network.address.equals(base))
    return (
      reader.problem(line, `${base} is not the first address of a network of ${mask}; that is ${network.address}`) ??
      none
    );
  if (!plus(base, 1).isHost) return reader.problem(line, `${base} is no network of hosts`) ?? none;
  const last = plus(base, 2 ** (32 - bits) - 1);
  const own = new Cidr(plus(base, 1), bits);
  if (topology === "subnet") {
    pushed.push(`route-gateway ${own.address}`, ...(isBridged ? [] : ["topology subnet"]));
    if (isBridged && !isHost)
      reader.warn(line, `with dev tap no address is ours: ${own.address} is for a host of the LAN, which is bridged`);
    return {
      address: own,
      pool: hasPool ? { first: plus(base, 2), last: plus(last, -1) } : byHandPool(reader, own, topology),
    };
  }
  if (reader.has("client-to-client")) pushed.push(`route ${base} ${mask}`);
  else if (topology === "net30") pushed.push(`route ${own.address}`);
  pushed.push(`topology ${topology}`);
  // The last four are kept back, but of the smallest network.
  const end = bits === MOST_BITS ? last : plus(last, -4);
  return { address: own, pool: hasPool ? { first: plus(base, 4), last: end } : byHandPool(reader, own, topology) };
}

/** ifconfig and ifconfig-pool. */
function byHand(reader: Reader, topology: Topology, routes: readonly Route[]): Part4 {
  const none: Part4 = { address: undefined, pool: undefined };
  const line = reader.last("ifconfig");
  const poolLine = reader.last("ifconfig-pool");
  if (line === undefined) {
    if (poolLine) reader.problem(poolLine, "needs ifconfig, the server's own address, or server in place of both");
    return none;
  }
  const [, localWord = "", secondWord = ""] = line.words;
  const local = parseIpv4(localWord);
  const second = parseIpv4(secondWord);
  if (!local?.isHost) reader.problem(line, `"${printable(localWord)}" is no IPv4 address of a host`);
  if (second === undefined) reader.problem(line, `"${printable(secondWord)}" is no IPv4 address`);
  if (!local?.isHost || second === undefined) return none;
  if (topology === "subnet") {
    const bits = maskPrefix(second.w3);
    if (bits === undefined || bits < 1 || bits > 30)
      return reader.problem(line, `"${printable(secondWord)}" is no netmask, which topology subnet needs`) ?? none;
    const address = new Cidr(local, bits);
    if (address.isNetworkOrBroadcast(local))
      return reader.problem(line, `${local} is the network's or the broadcast address`) ?? none;
    return { address, pool: byHandPool(reader, address, topology) };
  }
  if (local.equals(second)) return reader.problem(line, "the two addresses are the same") ?? none;
  const pool = byHandPool(reader, undefined, topology);
  // The first route to it says how far the tunnel's network goes; else it is as small as can be.
  const known = routes.find(({ network }) => network.contains(local))?.network;
  const prefix = known?.prefix ?? commonPrefix([local, second, ...(pool ? [pool.first, pool.last] : [])]);
  return { address: new Cidr(local, prefix), pool };
}

function byHandPool(reader: Reader, own: Cidr | undefined, topology: Topology): Pool {
  const line = reader.last("ifconfig-pool");
  if (line === undefined) return undefined;
  const [, firstWord = "", lastWord = "", maskWord] = line.words;
  const [first, last] = [parseIpv4(firstWord), parseIpv4(lastWord)];
  if (!first?.isHost) reader.problem(line, `"${printable(firstWord)}" is no IPv4 address of a host`);
  if (!last?.isHost) reader.problem(line, `"${printable(lastWord)}" is no IPv4 address of a host`);
  if (!first?.isHost || !last?.isHost) return undefined;
  const count = (last.w3 >>> 0) - (first.w3 >>> 0) + 1;
  if (count < 1) return reader.problem(line, `${last} comes before ${first}`);
  if (count > 1 << LEAST_BITS) return reader.problem(line, `${count} addresses are more than ${1 << LEAST_BITS}`);
  const mask = maskWord === undefined ? undefined : parseIpv4(maskWord);
  if (maskWord !== undefined && (topology !== "subnet" || mask === undefined || maskPrefix(mask.w3) !== own?.prefix))
    return reader.problem(
      line,
      topology === "subnet"
        ? `the netmask "${printable(maskWord)}" is not that of the server's address`
        : "a netmask is only for topology subnet",
    );
  if (own && !(own.contains(first) && own.contains(last)))
    return reader.problem(line, `is not inside of the server's network, ${own.network}`);
  if (topology !== "net30") return { first, last };
  // As OpenVPN's pool.c: whole fours.
  return { first: IpAddress.fromIpv4(first.w3 & ~3), last: IpAddress.fromIpv4(last.w3 | 3) };
}

function serverIpv6(reader: Reader, line: Line): Part6 {
  const none: Part6 = { address6: undefined, pool6: undefined };
  if (reader.all("server").some(({ words }) => words[3] !== undefined))
    reader.problem(line, "cannot stand beside server with nopool");
  const pool = reader.last("ifconfig-ipv6-pool");
  if (pool) reader.problem(pool, "cannot stand beside server-ipv6, which makes a pool");
  const other = reader.last("ifconfig-ipv6");
  if (other) reader.warn(other, `ignored: server-ipv6 on line ${line.line} says it`);
  const base = ipv6Network(reader, line);
  if (base === undefined) return none;
  // Of a small network the pool begins behind the server (helper.c).
  const offset = base.prefix < 112 ? 0x1000 : 2;
  return {
    address6: new Cidr(plus(base.address, 1), base.prefix),
    pool6: new Cidr(plus(base.address, offset), base.prefix),
  };
}

function byHand6(reader: Reader): Part6 {
  const line = reader.last("ifconfig-ipv6");
  const poolLine = reader.last("ifconfig-ipv6-pool");
  if (line === undefined) {
    if (poolLine)
      reader.problem(poolLine, "needs ifconfig-ipv6, the server's own address, or server-ipv6 in place of both");
    return { address6: undefined, pool6: undefined };
  }
  const address6 = ipv6Network(reader, line);
  const second = line.words[2] ?? "";
  if (parseIpv6(second) === undefined) reader.problem(line, `"${printable(second)}" is no IPv6 address`);
  const pool = poolLine && ipv6Network(reader, poolLine);
  // The first address of a network is every router's (pool.c).
  const pool6 = pool?.address.equals(pool.network.address) ? new Cidr(plus(pool.address, 1), pool.prefix) : pool;
  if (poolLine && pool6 && address6 && !address6.contains(pool6.address))
    reader.problem(poolLine, `is not inside of the server's network, ${address6.network}`);
  return { address6, pool6 };
}

function ipv6Network(reader: Reader, line: Line): Cidr | undefined {
  const word = line.words[1] as string;
  const bits = IFCONFIG_IPV6_BITS;
  const cidr = word.includes("/") ? parseCidr(word) : parseCidr(`${word}/${bits.usual}`);
  if (cidr === undefined || cidr.isIpv4)
    return reader.problem(line, `"${printable(word)}" is no IPv6 network such as fd00:8::/64`);
  if (cidr.prefix < bits.least || cidr.prefix > bits.most)
    return reader.problem(line, `a prefix has ${bits.least} to ${bits.most} bits, not ${cidr.prefix}`);
  if (cidr.address.isMulticast || cidr.address.isLinkLocal)
    return reader.problem(line, `${cidr} is no network of hosts`);
  return cidr;
}

interface Route {
  readonly line: Line;
  readonly network: Cidr;
}

/** route and route-ipv6; gateways and metrics say nothing here, as all of them lead into the tunnel. */
function resolveRoutes(reader: Reader): Route[] {
  const found: Route[] = [];
  for (const line of reader.allOf(["route", "route-ipv6"])) {
    const network = line.words[0] === "route" ? routeOf(line) : route6Of(line);
    if (typeof network === "string") reader.warn(line, `ignored: ${network}`);
    else found.push({ line, network });
  }
  return found;
}

function routeOf({ words: [, networkWord = "", maskWord = "", gateway = ""] }: Line): Cidr | string {
  if (networkWord === "net_gateway" || gateway === "net_gateway")
    return "net_gateway leads around the tunnel, where a server sends nothing of its networks";
  const network = parseIpv4(networkWord);
  if (network === undefined) return `"${printable(networkWord)}" is no IPv4 address (names are not looked up)`;
  const mask = ["", "default"].includes(maskWord) ? -1 : parseIpv4(maskWord)?.w3;
  const bits = mask === undefined ? undefined : maskPrefix(mask);
  if (bits === undefined) return `"${printable(maskWord)}" is no netmask`;
  return new Cidr(network, bits).network;
}

function route6Of({ words: [, word = ""] }: Line): Cidr | string {
  const cidr = parseCidr(word.includes("/") ? word : `${word}/128`);
  if (cidr === undefined || cidr.isIpv4) return `"${printable(word)}" is no IPv6 network`;
  return cidr.network;
}

/** OpenVPN's default: the file is written every ten minutes. */
const PERSIST_SECONDS = 600;

function resolvePersist(reader: Reader): ServerNetworkConfig["persist"] {
  let value: ServerNetworkConfig["persist"];
  for (const line of reader.all("ifconfig-pool-persist")) {
    const seconds = line.words[2] === undefined ? PERSIST_SECONDS : reader.number(line, 2, SECONDS);
    if (seconds !== undefined) value = { file: line.words[1] as string, seconds };
  }
  return value;
}

function checkPools(reader: Reader, { pool, pool6 }: ServerNetworkConfig): void {
  const persist = reader.last("ifconfig-pool-persist");
  if (persist && pool === undefined && pool6 === undefined && reader.report.problems.count === 0)
    reader.problem(persist, "needs a pool, out of which clients have their addresses");
}

/** An address so much further on in its network's last 32 bits. */
function plus({ w0, w1, w2, w3 }: IpAddress, count: number): IpAddress {
  const low = (w3 >>> 0) + count;
  return new IpAddress(w0, w1, low > 0xffff_ffff ? w2 + 1 : w2, low % 2 ** 32);
}

/** The longest prefix that all of them have. */
function commonPrefix(addresses: readonly IpAddress[]): number {
  const [first = 0, ...others] = addresses.map(({ w3 }) => w3);
  let prefix = 30;
  while (prefix > 0 && others.some((word) => ((word ^ first) & prefixMask(prefix)) !== 0)) prefix--;
  return prefix;
}
