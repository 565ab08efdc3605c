/** For tests: reports and clients of a server. */
import { DEFAULT_SETTINGS } from "../../src/appliance/settings/settings.ts";
import type { ClientReport, StatusReport } from "../../src/appliance/status/report.ts";
import type { ServedPeer } from "../../src/tunnel/listener.ts";

export const CLIENTS: readonly ServedPeer[] = [
  {
    ...{ id: 3, name: "ann", endpoint: "203.0.113.21:4000", protocol: "udp", address: "10.8.0.2", address6: undefined },
    ...{ cipher: "AES-256-GCM", version: "2.6.14", upAt: 500, receivedBytes: 1024, sentBytes: 2048 },
  },
];

export const clientReport = (changes: Partial<ClientReport> = {}): ClientReport => ({
  ...{ id: 3, name: "ann", address: "203.0.113.21:4000", protocol: "udp", tunnel: "10.8.0.2", tunnel6: null },
  ...{ cipher: "AES-256-GCM", version: "2.6.14", since: "2026-11-29T04:04:29.500Z" },
  ...{ receivedBytes: 1024, sentBytes: 2048 },
  ...changes,
});

/** Of a server with one client, unless told. */
export const statusReport = (changes: Partial<StatusReport> = {}): StatusReport => ({
  ...{ version: "0.1.0", hostname: DEFAULT_SETTINGS.hostname, time: "2026-11-29T04:04:30.000Z" },
  ...{ role: "server", state: "listening", up: true, since: "2026-11-28T02:04:30.000Z", reason: null, openUrl: null },
  tunnel: null,
  clients: [clientReport()],
  clientCount: 1,
  wan: { interface: "w0", up: true, addresses: ["203.0.113.2/24"] },
  lan: { interface: "l1", addresses: ["192.168.50.1/24"], leases: [], leaseCount: 0 },
  problems: [],
  warnings: [],
  counters: { wan: { received: 3, "drop.Ipv6": 2 }, memory: { rssKiB: 10, swappedKiB: 0 } },
  ...changes,
});
