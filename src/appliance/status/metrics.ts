/** /metrics: all counters in the text format of Prometheus, 0.0.4. What counts losses has its sentence as HELP. */
import { oneLine } from "../../protocol/config/lexer.ts";
import { lossText } from "../statistics.ts";
import type { StatusReport } from "./report.ts";

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What can become less. */
const GAUGES: ReadonlySet<string> = new Set([
  "mappings",
  "waiting",
  "stations",
  "clients",
  "leases",
  "offers",
  "setAside",
  "cacheBytes",
  "rssKiB",
  "ownKiB",
  "availableKiB",
  "swappedKiB",
]);
const KIB = "KiB";

export function metricsOf(report: StatusReport): string {
  const lines: string[] = [];
  const seen = new Set<string>();
  const add = (name: string, type: "gauge" | "counter", help: string, ...values: readonly string[]): void => {
    // Two of one name would make the whole unreadable.
    if (seen.has(name)) return;
    seen.add(name);
    lines.push(`# HELP ${name} ${helpText(help)}`, `# TYPE ${name} ${type}`, ...values.map((value) => name + value));
  };
  const { version, role, up, since, clients, clientCount, lan, counters } = report;
  add("morgana_info", "gauge", "Always 1.", `${labels({ version, role: role ?? "" })} 1`);
  add("morgana_up", "gauge", "Whether the tunnel is up, or of a server whether clients can come.", ` ${up ? 1 : 0}`);
  if (since !== null)
    add("morgana_since_timestamp_seconds", "gauge", "Since when that is so.", ` ${Date.parse(since) / 1000}`);
  add("morgana_lan_leases", "gauge", "Addresses that the LAN's DHCP server has leased.", ` ${lan.leaseCount}`);
  if (role === "server") {
    add("morgana_clients", "gauge", "Clients whose tunnel is up.", ` ${clientCount}`);
    const each = (value: (client: (typeof clients)[number]) => number): string[] =>
      clients.map((client) => `${labels({ id: `${client.id}`, name: client.name })} ${value(client)}`);
    const ofClient = "Bytes of the tunnel of each client";
    add("morgana_client_received_bytes_total", "counter", `${ofClient}, from it.`, ...each((c) => c.receivedBytes));
    add("morgana_client_sent_bytes_total", "counter", `${ofClient}, to it.`, ...each((c) => c.sentBytes));
  }
  for (const [part, fields] of Object.entries(counters)) {
    for (const [field, count] of Object.entries(fields)) {
      const isGauge = GAUGES.has(field);
      const isKib = field.endsWith(KIB);
      const name = `morgana_${snake(part)}_${isKib ? `${snake(field.slice(0, -KIB.length))}_bytes` : snake(field)}`;
      const help = lossText(field) ?? `${field} of the statistics of ${part}.`;
      add(isGauge ? name : `${name}_total`, isGauge ? "gauge" : "counter", help, ` ${isKib ? count * 1024 : count}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** "lanDrop.TunnelClosed": lan_drop_tunnel_closed. */
const snake = (name: string): string =>
  name
    .replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter}`)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_");

const helpText = (text: string): string => oneLine(text).replaceAll("\\", "\\\\");

const labels = (values: Readonly<Record<string, string>>): string =>
  `{${Object.entries(values)
    .map(([name, value]) => `${name}="${oneLine(value).replace(/[\\"]/g, "\\$&")}"`)
    .join(",")}}`;
