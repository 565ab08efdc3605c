import { expect, test } from "bun:test";
import { parseCidr } from "../../lib/cidr.ts";
import { parseIp } from "../../lib/ip.ts";
import { parseMac } from "../../lib/mac.ts";
import type { ConfigProblem } from "../../protocol/config/types.ts";
import { parseTunnelOptions } from "../../protocol/push/tunnel-options.ts";
import type { ServedPeer } from "../../tunnel/listener.ts";
import type { LoadResult } from "../profile.ts";
import type { EndStatus } from "../vpn-end.ts";
import { MOST_CLIENTS, type ReportSources, reportOf } from "./report.ts";

const NOW = 61_000;
const UNIX = Date.UTC(2026, 10, 29, 4, 5, 0);
const cidr = (text: string) => parseCidr(text)!;

const problem = (line: number, text: string): ConfigProblem => ({
  origin: { file: "a.ovpn", line },
  directive: "cipher",
  problem: text,
});
const loaded = (problems: ConfigProblem[] = [], warnings: ConfigProblem[] = []): LoadResult =>
  ({ ok: problems.length === 0, problems, warnings }) as unknown as LoadResult;

const own = (text: string, state = "usable") => ({ value: parseIp(text)!, prefix: 64, state });
const binding = { client: { mac: parseMac("52:54:00:12:34:56")!, id: "" }, address: parseIp("192.168.50.100")!.w3 };

const IDLE: EndStatus = {
  ...{ state: "connecting", isUp: false, since: undefined, reason: undefined, server: undefined, protocol: undefined },
  ...{ tunnel: undefined, loginPage: undefined, clients: [] },
};

function report(changes: Partial<ReportSources> = {}) {
  const path = {
    wan: {
      address: cidr("203.0.113.5/24"),
      v6: { addressing: { addresses: [own("2001:db8::5"), own("2001:db8::6", "tentative")] } },
    },
    wanDevice: { name: "w0" },
    lanDevice: { name: "l1" },
  };
  const lease = { ...binding, isLease: true, since: 0, until: NOW + 60_000, isUsed: true, name: "nas" };
  return reportOf(NOW, {
    path: path as unknown as ReportSources["path"],
    lan: { networks: [cidr("192.168.50.1/24"), cidr("fd12::1/64")], dhcp: { leased: [lease] } },
    ...{ isWanUp: true, hostname: "morgana", loaded: loaded(), role: "client", end: IDLE },
    statistics: [{ part: "wan", fields: { received: 3 } }],
    unixMs: UNIX,
    ...changes,
  });
}

test("a client whose tunnel is up: what it is, and since when by the wall clock", () => {
  const pushed = [
    "ifconfig 10.8.0.2 255.255.255.0",
    "topology subnet",
    "route-gateway 10.8.0.1",
    "dhcp-option DNS 10.8.0.1",
  ];
  const options = parseTunnelOptions([...pushed, "ifconfig-ipv6 fd00:8::2/64 fd00:8::1"], [], { lan: [] });
  if (!options.ok) throw new Error(options.problem);
  const end: EndStatus = {
    ...{ ...IDLE, state: "up", isUp: true, since: 1000, server: "203.0.113.10:1194", protocol: "udp" },
    tunnel: { options: options.tunnel, mtu: 1400, cipher: "AES-256-GCM" },
  };
  expect(report({ end })).toMatchObject({
    ...{ role: "client", state: "up", up: true, reason: null, openUrl: null, clients: [], clientCount: 0 },
    ...{ time: "2026-11-29T04:05:00.000Z", since: "2026-11-29T04:04:00.000Z" },
    tunnel: {
      ...{ server: "203.0.113.10:1194", protocol: "udp", cipher: "AES-256-GCM", mtu: 1400, dns: ["10.8.0.1:53"] },
      ...{ address: "10.8.0.2/24", address6: "fd00:8::2/64", peer: "10.8.0.1" },
    },
    wan: { interface: "w0", up: true, addresses: ["203.0.113.5/24", "2001:db8::5/64"] },
    lan: {
      ...{ interface: "l1", addresses: ["192.168.50.1/24", "fd12::1/64"], leaseCount: 1 },
      leases: [{ address: "192.168.50.100", mac: "52:54:00:12:34:56", name: "nas", until: "2026-11-29T04:06:00.000Z" }],
    },
    counters: { wan: { received: 3 } },
  });
});

test("without a tunnel: why, and a web page where the login waits", () => {
  const end = { ...IDLE, reason: "nobody answers", loginPage: "https://login.example/" };
  expect(report({ end })).toMatchObject({
    ...{ state: "connecting", up: false, since: null, reason: "nobody answers", tunnel: null },
    openUrl: "https://login.example/",
  });
});

test("a configuration with problems says them, and the first is why there is nothing", () => {
  const bad = loaded([problem(7, "is wrong"), problem(9, "too")], [problem(8, "is old")]);
  expect(report({ loaded: bad, end: undefined, role: null })).toMatchObject({
    ...{ role: null, state: "unconfigured", up: false, reason: "a.ovpn:7: cipher: is wrong" },
    problems: ["a.ovpn:7: cipher: is wrong", "a.ovpn:9: cipher: too"],
    warnings: ["a.ovpn:8: cipher: is old"],
  });
});

test("between an end that failed of its own and the next one it is not the configuration that is blamed", () => {
  expect(report({ end: undefined })).toMatchObject({
    ...{ role: "client", state: "stopped", up: false, reason: expect.stringMatching(/^an internal error/) },
  });
});

test("lists are bounded, and say how many there are", () => {
  const clients = Array.from(
    { length: MOST_CLIENTS + 5 },
    (_, id): ServedPeer => ({
      ...{
        id,
        name: `c${id}`,
        endpoint: "203.0.113.21:4000",
        protocol: "udp",
        address: "10.8.0.2",
        address6: undefined,
      },
      ...{ cipher: undefined, version: "2.6\u001b", upAt: 1000, receivedBytes: 1, sentBytes: 2 },
    }),
  );
  const many = loaded(Array.from({ length: 200 }, (_, i) => problem(i, "x")));
  const found = report({ role: "server", end: { ...IDLE, state: "listening", isUp: true, clients }, loaded: many });
  expect([found.clients.length, found.clientCount, found.problems.length]).toEqual([
    MOST_CLIENTS,
    MOST_CLIENTS + 5,
    100,
  ]);
  expect(found.clients[0]).toEqual({
    ...{ id: 0, name: "c0", address: "203.0.113.21:4000", protocol: "udp", tunnel: "10.8.0.2", tunnel6: null },
    ...{ cipher: null, version: "2.6?", since: "2026-11-29T04:04:00.000Z", receivedBytes: 1, sentBytes: 2 },
  });
});
