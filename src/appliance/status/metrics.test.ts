import { expect, test } from "bun:test";
import { clientReport, statusReport } from "../../../test/support/status-report.ts";
import { DROP_TEXT, Drop } from "../../netstack/drop.ts";
import { SESSION_DROP_NAMES } from "../../protocol/drop.ts";
import { metricsOf } from "./metrics.ts";

/** Of the text format: each name once, described before it is given. */
const ROW = /^(?:# HELP (\w+) .+|# TYPE (\w+) (?:gauge|counter)|(\w+)(?:\{[^}]*\})? -?[\d.e+]+)$/;

test("each counter has its name, its kind and, where it counts losses, its sentence", () => {
  const rows = metricsOf(statusReport()).trimEnd().split("\n");
  expect(rows).toContain('morgana_info{version="0.1.0",role="server"} 1');
  expect(rows).toContain("morgana_up 1");
  expect(rows).toContain(`morgana_since_timestamp_seconds ${Date.UTC(2026, 10, 28, 2, 4, 30) / 1000}`);
  expect(rows).toContain('morgana_client_received_bytes_total{id="3",name="ann"} 1024');
  expect(rows).toContain(`# HELP morgana_wan_drop_ipv6_total ${DROP_TEXT.Ipv6}`);
  expect(rows).toContain("# TYPE morgana_wan_drop_ipv6_total counter");
  expect(rows).toContain("morgana_wan_drop_ipv6_total 2");
  // Sizes are bytes, and what can become less is a gauge.
  expect(rows).toContain("# TYPE morgana_memory_rss_bytes gauge");
  expect(rows).toContain("morgana_memory_rss_bytes 10240");
  expect(rows).toContain("# TYPE morgana_memory_swapped_bytes gauge");
  for (const row of rows) expect(row).toMatch(ROW);
});

test("of a client there are no clients, and without a change of state no time", () => {
  const text = metricsOf(statusReport({ role: "client", up: false, since: null }));
  expect(text).toContain("\nmorgana_up 0\n");
  expect(text).not.toMatch(/morgana_client|since/);
});

test("no two counters have one name, whatever all of them are called", () => {
  const drops = Object.keys(Drop).filter((name) => name !== "None");
  const counters = {
    wan: Object.fromEntries(drops.map((name) => [`drop.${name}`, 1])),
    router: Object.fromEntries(
      drops.flatMap((name) => [
        [`lanDrop.${name}`, 1],
        [`tunnelDrop.${name}`, 1],
      ]),
    ),
    session: Object.fromEntries(SESSION_DROP_NAMES.map((name) => [`drop.${name}`, 1])),
    "wan-nat": { mappings: 1 },
    wan_nat: { mappings: 2 },
  };
  const clients = [clientReport(), clientReport({ id: 4, name: 'a"b' })];
  const rows = metricsOf(statusReport({ counters, clients })).trimEnd().split("\n");
  const types = rows.map((row) => ROW.exec(row)?.[2]).filter((name) => name !== undefined);
  expect(new Set(types).size).toBe(types.length);
  // All but the one that is made up to be the same.
  const wanted = 3 * drops.length + SESSION_DROP_NAMES.length + 1;
  expect(types.filter((name) => /_(wan|router|session|wan_nat)_/.test(name)).length).toBe(wanted);
});
