/** docs/status.md against what /status.json has. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { clientReport, statusReport } from "../support/status-report.ts";
import { quoted, ROOT, read, tableOf } from "./document.ts";

const DOCUMENT = read(join(ROOT, "docs/status.md"));

/** Names of all that is not an object, with those of the objects around them; of a list of objects those of its first. */
function leaves(value: unknown, name = ""): string[] {
  const inner = Array.isArray(value) && typeof value[0] === "object" ? value[0] : value;
  if (inner === null || typeof inner !== "object" || Array.isArray(inner) || name === "counters") return [name];
  return Object.entries(inner).flatMap(([key, each]) => leaves(each, name === "" ? key : `${name}.${key}`));
}

test("every field of /status.json has a row, in the order in which they come", () => {
  const lease = { address: "192.168.50.100", mac: "52:54:00:12:34:56", name: "nas", until: "2026-11-29T04:06:00.000Z" };
  const report = statusReport({
    tunnel: {
      ...{ server: "203.0.113.10:1194", protocol: "udp", address: "10.8.0.2/24", address6: null, peer: "10.8.0.1" },
      ...{ cipher: "AES-256-GCM", mtu: 1500, routes: 1, dns: [] },
    },
    clients: [clientReport()],
    lan: { interface: "l1", addresses: [], leases: [lease], leaseCount: 1 },
  });
  expect(tableOf(DOCUMENT, "status").map((row) => quoted(row["Field"])[0])).toEqual(leaves(report));
});
