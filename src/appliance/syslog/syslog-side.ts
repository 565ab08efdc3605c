/**
 * The log's way to a collector (`[log] syslog`), on the LAN or beyond the tunnel: which one there is, and what is said of it. That is said on the console
 * alone: a line about the sending of lines is not sent (platform/log/record-queue.ts).
 */
import { BoundedLog } from "../../lib/bounded-log.ts";
import type { Cidr } from "../../lib/cidr.ts";
import { addCounts } from "../../lib/counters.ts";
import { formatEndpoint } from "../../lib/endpoint.ts";
import type { Log } from "../../lib/log.ts";
import { RateLimit } from "../../lib/rate-limit.ts";
import type { Slab } from "../../lib/slab.ts";
import { DATAGRAM_MOST } from "../../netstack/syslog/datagrams.ts";
import type { SyslogEvent } from "../../netstack/syslog/lines.ts";
import { STREAM_MOST } from "../../netstack/syslog/stream.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { RecordQueue } from "../../platform/log/record-queue.ts";
import type { Tunnel } from "../../protocol/push/tunnel-options.ts";
import { SETTINGS_FILE } from "../profile.ts";
import { insideLan, outsideLan, type SyslogSetting } from "../settings/syslog.ts";
import type { Collector } from "./collector.ts";
import { LogLines } from "./log-lines.ts";
import { TcpCollector } from "./tcp-collector.ts";
import { UdpCollector, type UdpFace } from "./udp-collector.ts";

export interface SyslogSideOptions {
  /** The two ways that there can be. */
  readonly path: {
    readonly lan: UdpFace;
    readonly lanTcp: Tcp;
    readonly tunnel: UdpFace;
    readonly tunnelTcp: Tcp;
  };
  readonly slab: Pick<Slab, "bytes">;
  readonly records: RecordQueue;
  readonly hostname: string;
  /** Our IPv6 address and its network, which the settings need not have known; undefined: no IPv6 there. */
  readonly lan6: Cidr | undefined;
  readonly log: Log;
}

/** Our choices: lines about a collector that comes and goes, of each kind, on average and at once. */
const PER_MINUTE = 0.1;
const BURST = 4;
const NEVER = Number.POSITIVE_INFINITY;

/** What of a tunnel says whether it leads to an address. */
type Way = Pick<Tunnel, "routes" | "address" | "address6">;

export class SyslogSide {
  readonly #options: SyslogSideOptions;
  readonly #heard: BoundedLog;
  #setting: SyslogSetting | undefined;
  /** undefined: there is no way to it. */
  #collector: Collector | undefined;
  #tunnel: Way | undefined;
  /** Counts of the collectors before. */
  readonly #past: Record<string, number> = {};
  /** Of records.lost. */
  #toldLost: number;
  /** A BoundedLog would count each turn that looks as a line that was held back. */
  readonly #losses = new RateLimit(PER_MINUTE / 60, BURST);

  constructor(options: SyslogSideOptions) {
    this.#options = options;
    this.#heard = new BoundedLog(options.log, PER_MINUTE, BURST);
    this.#toldLost = options.records.lost;
  }

  /** Takes the setting: lines go there from now on. @param setting undefined: nowhere, and nothing waits any more */
  take(now: number, setting: SyslogSetting | undefined): void {
    const { records, log } = this.#options;
    if (setting !== undefined && isSame(setting, this.#setting)) return;
    this.#close(now, false);
    const problem = setting && this.#problem(setting);
    if (problem !== undefined) log.write("error", "config.invalid", problem);
    this.#setting = problem === undefined ? setting : undefined;
    if (this.#setting === undefined) return records.close();
    records.open();
    log.write("info", "syslog.started", "", { to: nameOf(this.#setting) });
    this.#begin(now);
  }

  /** There is another tunnel, or none. */
  tunnelChanged(now: number, tunnel: Way | undefined): void {
    this.#tunnel = tunnel;
    if (this.#setting?.through !== "tunnel") return;
    if (!this.#leads(this.#setting)) this.#close(now, false);
    this.#begin(now);
  }

  /** Lines are on their way: worth waiting for before the end. */
  get isBusy(): boolean {
    return this.#collector?.isBusy ?? false;
  }

  /** undefined: off. */
  get statistics(): Readonly<Record<string, number>> | undefined {
    if (this.#setting === undefined) return undefined;
    const { length, lost } = this.#options.records;
    const counts: Record<string, number> = { waiting: length, sent: 0, ...this.#past };
    addSeen(counts, this.#collector);
    if (lost > 0) counts["syslogDrop.no-room"] = lost;
    return counts;
  }

  pollAt(): number {
    return this.#collector?.pollAt() ?? NEVER;
  }

  /** At every turn: what has become of lines under way is told by nobody else. */
  poll(now: number): void {
    const collector = this.#collector;
    collector?.poll(now);
    for (let event = collector?.pollEvent(); event !== undefined; event = collector?.pollEvent()) this.#say(now, event);
    this.#sayLost(now);
  }

  /** The end: the last lines go, as far as they can without waiting. */
  leave(now: number): void {
    this.#close(now, true);
    this.#setting = undefined;
  }

  /** With a collector that there is a way to; through the tunnel there may be none yet. */
  #begin(now: number): void {
    const setting = this.#setting;
    if (setting === undefined || this.#collector !== undefined) return;
    const { path, slab, records, hostname } = this.#options;
    const { proto, to, through } = setting;
    if (through === "tunnel" && !this.#leads(setting)) {
      if (this.#tunnel !== undefined)
        this.#heard.write(now, "warn", "syslog.failed", NO_ROUTE, { to: nameOf(setting) });
      return;
    }
    const [iface, tcp] = through === "lan" ? [path.lan, path.lanTcp] : [path.tunnel, path.tunnelTcp];
    this.#collector =
      proto === "udp"
        ? new UdpCollector(iface, slab, to, new LogLines(records, hostname, DATAGRAM_MOST))
        : new TcpCollector(tcp, to, new LogLines(records, hostname, STREAM_MOST));
  }

  #close(now: number, isEnd: boolean): void {
    this.#collector?.close(now, isEnd);
    addSeen(this.#past, this.#collector);
    this.#collector = undefined;
  }

  /** What the settings could not know of an IPv6 address. */
  #problem({ to: { address }, through, line }: SyslogSetting): string | undefined {
    const { lan6 } = this.#options;
    if (address.isIpv4 || lan6 === undefined) return undefined;
    const problem = (through === "lan" ? outsideLan : insideLan)(address, lan6);
    return problem && `${SETTINGS_FILE}:${line}: log.syslog: ${problem}`;
  }

  #leads({ to }: SyslogSetting): boolean {
    const { routes = [], address, address6 } = this.#tunnel ?? {};
    const isOurs = [address, address6].some((own) => own?.address.equals(to.address) === true);
    return !isOurs && routes.some(({ network }) => network.contains(to.address));
  }

  #say(now: number, event: SyslogEvent): void {
    const to = this.#setting && nameOf(this.#setting);
    if (event === "reached")
      this.#heard.write(now, "info", "syslog.reached", "the collector takes lines again", { to });
    else this.#heard.write(now, "warn", "syslog.failed", TEXTS[event], { to });
  }

  #sayLost(now: number): void {
    const { records, log } = this.#options;
    const { lost } = records;
    if (lost === this.#toldLost || !this.#losses.take(now)) return;
    const text = "lines of the log find no room among those that wait for the collector";
    log.write("warn", "syslog.lost", text, { lines: lost - this.#toldLost });
    this.#toldLost = lost;
  }
}

/** Adds what a collector has counted, but for what it has not seen. */
function addSeen(sums: Record<string, number>, { counts = {}, drops = {} }: Partial<Collector> = {}): void {
  const seen = (each: object): Record<string, number> =>
    Object.fromEntries(Object.entries(each).filter(([, count]) => count > 0));
  addCounts(sums, seen(counts));
  addCounts(sums, seen(drops), "syslogDrop.");
}

const NO_ROUTE = "the tunnel does not lead to the collector; the server can push a route to it";
const REMEDY = "or correct log.syslog in appliance.toml";
const TEXTS: Readonly<Record<Exclude<SyslogEvent, "reached">, string>> = {
  refused: `nobody listens at the collector's port: start it there, ${REMEDY}`,
  silent: `the collector does not answer: lines wait as long as there is room; start it, ${REMEDY}`,
  ended: "the collector has ended the connection; connecting again",
};

const nameOf = ({ proto, to }: SyslogSetting): string => `${proto}://${formatEndpoint(to)}`;

const isSame = (a: SyslogSetting, b: SyslogSetting | undefined): boolean =>
  b !== undefined && nameOf(a) === nameOf(b) && a.through === b.through;
