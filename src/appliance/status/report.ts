/** What the status page tells, made when somebody asks for it: nothing of it is kept. Its names are those of /status.json (docs/status.md). */
import product from "../../../package.json" with { type: "json" };
import type { Cidr } from "../../lib/cidr.ts";
import { formatEndpoint } from "../../lib/endpoint.ts";
import { IpAddress } from "../../lib/ip.ts";
import { formatMac } from "../../lib/mac.ts";
import type { Binding } from "../../netstack/dhcp4/pool.ts";
import { printable } from "../../protocol/config/lexer.ts";
import { formatProblem, inOrder } from "../../protocol/config/problem.ts";
import type { ServedPeer } from "../../tunnel/listener.ts";
import type { LoadResult } from "../profile.ts";
import type { PartCounters } from "../statistics.ts";
import type { EndStatus } from "../vpn-end.ts";
import type { RouterPath } from "../wiring/router.ts";

export interface TunnelReport {
  readonly server: string | null;
  readonly protocol: "udp" | "tcp" | null;
  readonly address: string | null;
  readonly address6: string | null;
  readonly peer: string | null;
  readonly cipher: string | null;
  readonly mtu: number;
  readonly routes: number;
  readonly dns: readonly string[];
}

export interface ClientReport {
  readonly id: number;
  readonly name: string;
  readonly address: string;
  readonly protocol: "udp" | "tcp";
  readonly tunnel: string | null;
  readonly tunnel6: string | null;
  readonly cipher: string | null;
  readonly version: string | null;
  readonly since: string;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface LeaseReport {
  readonly address: string;
  readonly mac: string;
  readonly name: string | null;
  readonly until: string;
}

export interface StatusReport {
  readonly version: string;
  readonly hostname: string;
  /** When it was made: RFC 3339, as all times here. */
  readonly time: string;
  /** null: the configuration has problems, and none was good before. */
  readonly role: "client" | "server" | "p2p" | "static" | null;
  readonly state: string;
  /** The tunnel is up, or the server listens. */
  readonly up: boolean;
  /** Since when that is so; null: since the start. */
  readonly since: string | null;
  /** Why it is not up, in words. */
  readonly reason: string | null;
  /** Where the login goes on, while the server waits for that. */
  readonly openUrl: string | null;
  readonly tunnel: TunnelReport | null;
  /** Of a server, those whose tunnel is up. */
  readonly clients: readonly ClientReport[];
  /** How many there are; `clients` has {@link MOST_CLIENTS} at most. */
  readonly clientCount: number;
  readonly wan: { readonly interface: string; readonly up: boolean; readonly addresses: readonly string[] };
  readonly lan: {
    readonly interface: string;
    readonly addresses: readonly string[];
    readonly leases: readonly LeaseReport[];
    readonly leaseCount: number;
  };
  /** Problems and warnings of the configuration that was read last, each as FILE:LINE: directive: problem. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Our choices: one answer costs no more time and memory than these are worth. */
export const MOST_CLIENTS = 1024;
const MOST_LEASES = 1024;
const MOST_LINES = 100;
/** There is a good configuration, and nothing that runs by it. */
const BETWEEN = "an internal error has ended it, and another one begins in a few seconds; the log says more";

export interface ReportSources {
  readonly path: RouterPath;
  readonly lan: {
    readonly networks: readonly Cidr[];
    readonly dhcp: { readonly leased: Iterable<Binding> } | undefined;
  };
  /** The WAN has a network. */
  readonly isWanUp: boolean;
  readonly hostname: string;
  /** The configuration that was read last, and the one that runs. */
  readonly loaded: LoadResult;
  readonly role: StatusReport["role"];
  readonly end: EndStatus | undefined;
  readonly statistics: readonly PartCounters[];
  /** ms since 1970, at `now`. */
  readonly unixMs: number;
}

export function reportOf(now: number, sources: ReportSources): StatusReport {
  const { path, lan, hostname, loaded, role, end, statistics, unixMs, isWanUp } = sources;
  const time = (at: number): string => new Date(unixMs - now + at).toISOString();
  const found = inOrder(loaded.warnings, loaded.ok ? [] : loaded.problems);
  const lines = (isWarning: boolean): string[] =>
    found
      .filter((each) => each.isWarning === isWarning)
      .slice(0, MOST_LINES)
      .map((each) => formatProblem(each.found));
  const problems = lines(false);
  const all = end?.clients ?? [];
  const leases = [...(lan.dhcp?.leased ?? [])];
  const own6 = path.wan.v6.addressing.addresses.filter(({ state }) => state === "usable");
  return {
    version: product.version,
    hostname,
    time: time(now),
    role,
    state: end?.state ?? (role === null ? "unconfigured" : "stopped"),
    up: end?.isUp ?? false,
    since: end?.since === undefined ? null : time(end.since),
    reason: (end === undefined ? (role === null ? problems[0] : BETWEEN) : end.reason) ?? null,
    openUrl: end?.loginPage ?? null,
    tunnel: end === undefined ? null : tunnelOf(end),
    clients: all.slice(0, MOST_CLIENTS).map((client) => clientOf(client, time)),
    clientCount: all.length,
    wan: {
      interface: path.wanDevice.name,
      up: isWanUp,
      addresses: [path.wan.address, ...own6.map(({ value, prefix }) => `${value}/${prefix}`)].flatMap((address) =>
        address === undefined ? [] : [`${address}`],
      ),
    },
    lan: {
      interface: path.lanDevice.name,
      addresses: lan.networks.map((network) => `${network}`),
      leases: leases.slice(0, MOST_LEASES).map(({ address, client, name, until }) => ({
        address: `${IpAddress.fromIpv4(address)}`,
        mac: formatMac(client.mac),
        name: name ?? null,
        until: time(until),
      })),
      leaseCount: leases.length,
    },
    problems,
    warnings: lines(true),
    counters: Object.fromEntries(statistics.map(({ part, fields }) => [part, fields])),
  };
}

function tunnelOf({ tunnel, server, protocol }: EndStatus): TunnelReport | null {
  if (tunnel === undefined) return null;
  const { options, mtu, cipher } = tunnel;
  const { address, address6, peer, gateway, routes, dns } = options;
  return {
    server: server ?? null,
    protocol: protocol ?? null,
    address: (peer === undefined ? address : address?.address)?.toString() ?? null,
    address6: address6?.toString() ?? null,
    peer: (gateway ?? peer)?.toString() ?? null,
    cipher: cipher ?? null,
    mtu,
    routes: routes.length,
    dns: dns.servers.flatMap(({ addresses }) => addresses.map(formatEndpoint)),
  };
}

function clientOf(client: ServedPeer, time: (at: number) => string): ClientReport {
  const { id, name, endpoint, protocol, address, address6, cipher, version, upAt, receivedBytes, sentBytes } = client;
  return {
    ...{ id, name, address: endpoint, protocol, tunnel: address ?? null, tunnel6: address6 ?? null },
    ...{ cipher: cipher ?? null, version: version === undefined ? null : printable(version) },
    ...{ since: time(upAt), receivedBytes, sentBytes },
  };
}
