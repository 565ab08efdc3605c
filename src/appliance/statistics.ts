/**
 * All counters, part by part: for the log, where each kind of drop has a record with its sentence, and for the status page. In each part,
 * received = what was handled + the sum of the drops (what the parts' own headers say); "kernel" is what the kernel had
 * for the device, and lost before we could read it.
 */
import { readFileSync } from "node:fs";
import type { Counters } from "../lib/counters.ts";
import type { Log } from "../lib/log.ts";
import { DHCP_CLIENT_DROPS, type DhcpDrop } from "../netstack/dhcp4/client-drops.ts";
import { DHCP_SERVER_DROPS, type DhcpServerDrop } from "../netstack/dhcp4/server-drops.ts";
import { DNS_TEXT, type DnsName } from "../netstack/dns/forwarder-counters.ts";
import { DROP_TEXT, type DropName } from "../netstack/drop.ts";
import { HTTP_DROPS, type HttpDrop } from "../netstack/http/counters.ts";
import type { Interface } from "../netstack/interface.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import { DEVICE_TEXT } from "../platform/dev/packet.ts";
import { type SessionDrop, sessionDropText } from "../protocol/drop.ts";
import type { LanDns } from "./lan-dns.ts";
import { PAGE_DROPS, type PageDrop } from "./status/counters.ts";
import { SYSLOG_DROPS, type SyslogDrop } from "./syslog/collector.ts";
import type { BridgePath } from "./wiring/bridge.ts";
import type { RouterPath } from "./wiring/router.ts";

type Fields = Record<string, number>;

/** The counters of one part of the appliance: "wan", "router", "session", ... */
export interface PartCounters {
  readonly part: string;
  /** By name; of most counters those that are not zero. */
  readonly fields: Readonly<Record<string, number>>;
}

/** Where counters come from, besides the data path. */
export interface StatisticsSources {
  readonly path: RouterPath | BridgePath;
  readonly session?: Fields | undefined;
  /** The LAN's server and forwarder, where they are on. */
  readonly dhcp?: { readonly use: Fields; readonly drops: Counters } | undefined;
  readonly dns?: Pick<LanDns, "counters" | "cacheBytes"> | undefined;
  readonly status?: { readonly statistics: Fields } | undefined;
  /** Of the log's collector, where there is one. */
  readonly syslog?: { readonly statistics: Fields | undefined } | undefined;
  /** Messages of router discovery and DHCPv6, by side. */
  readonly ipv6?: Fields;
  /** Of the WAN's DHCP client, where there is one. */
  readonly lease?: Counters | undefined;
}

export function collectStatistics(sources: StatisticsSources): PartCounters[] {
  const { path, session, dhcp, dns, status, syslog, ipv6 = {}, lease } = sources;
  const parts: PartCounters[] = [];
  const write = (part: string, ...fields: Fields[]): void =>
    void parts.push({ part, fields: Object.assign({}, ...fields) });
  const writeDevice = (device: FrameDevice, name: string, ...more: Fields[]): void => {
    const { received, dropped } = device.statistics();
    write(name, { kernelReceived: received, kernelDropped: dropped }, device.counters.snapshot() as Fields, ...more);
  };
  const faceFields = ({ counters, drops, outDrops }: Pick<Interface, "counters" | "drops" | "outDrops">): Fields => ({
    ...(counters.snapshot() as Fields),
    ...dropFields("drop", drops),
    ...dropFields("outDrop", outDrops),
  });
  const unsent = path.unsent > 0 ? { unsent: path.unsent } : {};
  writeDevice(path.wanDevice, "wan", faceFields(path.wan));
  if ("bridge" in path) {
    const { stations, counters, drops } = path.bridge;
    writeDevice(path.lanDevice, "lan");
    write("bridge", { stations: stations.size }, counters.snapshot() as Fields, dropFields("drop", drops), unsent);
  } else {
    const { router } = path;
    writeDevice(path.lanDevice, "lan", faceFields(path.lan));
    write("tunnel", faceFields(path.tunnel));
    write(
      "router",
      ...router.sides.map(({ counters }) => counters.snapshot() as Fields),
      ...router.sides.map(({ face, drops }) => dropFields(`${face.name}Drop`, drops)),
      unsent,
    );
    for (const [name, nat] of Object.entries(path.translators))
      if (nat) write(name, { mappings: nat.size }, nat.counters.snapshot() as Fields);
  }
  if (lease) write("lease", dropFields("leaseDrop", lease));
  if (dhcp) write("dhcp", dhcp.use, dropFields("drop", dhcp.drops));
  if (Object.keys(ipv6).length > 0) write("ipv6", ipv6);
  if (session) write("session", session);
  if (dns) write("dns", { cacheBytes: dns.cacheBytes }, dnsFields(dns.counters));
  if (status) write("status", status.statistics);
  if (syslog?.statistics) write("syslog", syslog.statistics);
  write("memory", memoryFields());
  return parts;
}

/** One record a part, and one with a sentence for each kind of drop that it has. */
export function logStatistics(log: Log, parts: readonly PartCounters[]): void {
  for (const { part, fields } of parts) {
    log.write("info", `statistics.${part}`, "", fields);
    for (const [field, count] of Object.entries(fields)) {
      const text = count === 0 ? undefined : lossText(field);
      if (text !== undefined) log.write("info", "statistics.drop", text, { part, [field]: count });
    }
  }
}

/**
 * KiB: what of the program is in memory, how much of that is its own (not the file that it was read from), and what the machine
 * could still give, and has swapped out (init/swap.ts). What the kernel does not say is left out.
 */
function memoryFields(): Fields {
  const fields: Fields = { rssKiB: Math.round(process.memoryUsage.rss() / 1024) };
  const [own] = kernelKiB("/proc/self/status", "RssAnon");
  if (own !== undefined) fields["ownKiB"] = own;
  const [available, swap, free] = kernelKiB("/proc/meminfo", "MemAvailable", "SwapTotal", "SwapFree");
  if (available !== undefined) fields["availableKiB"] = available;
  if (swap !== undefined && free !== undefined && swap > 0) fields["swappedKiB"] = swap - free;
  return fields;
}

/** Of lines "NAME: NUMBER kB" of a file that the kernel writes the numbers; undefined where it does not say. */
function kernelKiB(path: string, ...names: readonly string[]): (number | undefined)[] {
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch {
    // Where there is no such file, nothing of it is said.
  }
  return names.map((name) => {
    const kib = new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(text)?.[1];
    return kib === undefined ? undefined : Number(kib);
  });
}

/** What an operator should think of a field such as "lanDrop.Ipv6" or "rxVlan"; undefined for one that counts no losses. */
export function lossText(field: string): string | undefined {
  const device = DEVICE_TEXT[field as keyof typeof DEVICE_TEXT];
  if (device !== undefined) return device;
  const name = /drop\.(.+)$/i.exec(field)?.[1];
  if (name === undefined) return undefined;
  if (field.startsWith("leaseDrop.")) return DHCP_CLIENT_DROPS[name as DhcpDrop];
  if (field.startsWith("dnsDrop.")) return DNS_TEXT[name as DnsName];
  if (field.startsWith("httpDrop.")) return HTTP_DROPS[name as HttpDrop];
  if (field.startsWith("pageDrop.")) return PAGE_DROPS[name as PageDrop];
  if (field.startsWith("syslogDrop.")) return SYSLOG_DROPS[name as SyslogDrop];
  return (
    DROP_TEXT[name as DropName] ?? DHCP_SERVER_DROPS[name as DhcpServerDrop] ?? sessionDropText(name as SessionDrop)
  );
}

export function dropFields(prefix: string, drops: Counters): Fields {
  const fields: Fields = {};
  for (const [name, count] of Object.entries(drops.snapshot())) fields[`${prefix}.${name}`] = count as number;
  return fields;
}

/** Of the forwarder: those with a sentence are failures, the others what was answered. */
function dnsFields(counters: Counters): Fields {
  const fields: Fields = {};
  for (const [name, count] of Object.entries(counters.snapshot()))
    fields[DNS_TEXT[name as DnsName] === undefined ? name.toLowerCase() : `dnsDrop.${name}`] = count as number;
  return fields;
}
