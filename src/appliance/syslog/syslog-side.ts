/**
 * The log's way to a collector on the LAN (`[log] syslog`): which one there is, and what is said of it. That is said on the console
 * alone: a line about the sending of lines is not sent (platform/log/record-queue.ts).
 */
import { BoundedLog } from "../../lib/bounded-log.ts";
import type { Cidr } from "../../lib/cidr.ts";
import { formatEndpoint } from "../../lib/endpoint.ts";
import type { Log } from "../../lib/log.ts";
import type { Slab } from "../../lib/slab.ts";
import { DATAGRAM_MOST } from "../../netstack/syslog/datagrams.ts";
import type { SyslogEvent } from "../../netstack/syslog/lines.ts";
import { STREAM_MOST } from "../../netstack/syslog/stream.ts";
import type { RecordQueue } from "../../platform/log/record-queue.ts";
import { SETTINGS_FILE } from "../profile.ts";
import { outsideLan, type SyslogSetting } from "../settings/syslog.ts";
import type { RouterPath } from "../wiring/router.ts";
import type { Collector } from "./collector.ts";
import { LogLines } from "./log-lines.ts";
import { TcpCollector } from "./tcp-collector.ts";
import { UdpCollector } from "./udp-collector.ts";

export interface SyslogSideOptions {
  readonly path: Pick<RouterPath, "lan" | "lanTcp">;
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

export class SyslogSide {
  readonly #options: SyslogSideOptions;
  readonly #heard: BoundedLog;
  #setting: SyslogSetting | undefined;
  #collector: Collector | undefined;
  /** Of records.lost. */
  #toldLost: number;

  constructor(options: SyslogSideOptions) {
    this.#options = options;
    this.#heard = new BoundedLog(options.log, PER_MINUTE, BURST);
    this.#toldLost = options.records.lost;
  }

  /** Takes the setting: lines go there from now on. @param setting undefined: nowhere, and nothing waits any more */
  take(now: number, setting: SyslogSetting | undefined): void {
    if (this.#collector !== undefined && setting !== undefined && isSame(setting, this.#setting)) return;
    this.#collector?.close(now);
    this.#setting = setting;
    this.#collector = setting && this.#open(setting);
    const { records } = this.#options;
    if (this.#collector === undefined) records.close();
    else records.open();
  }

  /** Lines are on their way: worth waiting for before the end. */
  get isBusy(): boolean {
    return this.#collector?.isBusy ?? false;
  }

  /** undefined: off. */
  get statistics(): Readonly<Record<string, number>> | undefined {
    const collector = this.#collector;
    if (collector === undefined) return undefined;
    const { length, lost } = this.#options.records;
    const drops = Object.entries({ ...collector.drops, "no-room": lost }).filter(([, count]) => count !== 0);
    return {
      waiting: length,
      ...collector.counts,
      ...Object.fromEntries(drops.map(([name, count]) => [`syslogDrop.${name}`, count])),
    };
  }

  pollAt(): number {
    return this.#collector?.pollAt() ?? NEVER;
  }

  /** At every turn: what has become of lines under way is told by nobody else. */
  poll(now: number): void {
    const collector = this.#collector;
    if (collector === undefined) return;
    collector.poll(now);
    for (let event = collector.pollEvent(); event !== undefined; event = collector.pollEvent()) this.#say(now, event);
    this.#sayLost(now);
  }

  /** The end: the last lines go, as far as they can without waiting. */
  leave(now: number): void {
    this.#collector?.close(now);
    this.#collector = undefined;
  }

  #open(setting: SyslogSetting): Collector | undefined {
    const { path, slab, records, hostname, lan6, log } = this.#options;
    const { proto, to, line } = setting;
    const problem = !to.address.isIpv4 && lan6 !== undefined ? outsideLan(to.address, lan6) : undefined;
    if (problem !== undefined) {
      log.write("error", "config.invalid", `${SETTINGS_FILE}:${line}: log.syslog: ${problem}`);
      return undefined;
    }
    log.write("info", "syslog.started", "", { to: nameOf(setting) });
    return proto === "udp"
      ? new UdpCollector(path.lan, slab, to, new LogLines(records, hostname, DATAGRAM_MOST))
      : new TcpCollector(path.lanTcp, to, new LogLines(records, hostname, STREAM_MOST));
  }

  #say(now: number, event: SyslogEvent): void {
    const to = this.#setting && nameOf(this.#setting);
    if (event === "reached")
      this.#heard.write(now, "info", "syslog.reached", "the collector takes lines again", { to });
    else this.#heard.write(now, "warn", "syslog.failed", TEXTS[event], { to });
  }

  #sayLost(now: number): void {
    const { lost } = this.#options.records;
    if (lost === this.#toldLost) return;
    const text = "lines of the log find no room among those that wait for the collector";
    const lines = lost - this.#toldLost;
    if (this.#heard.write(now, "warn", "syslog.lost", text, { lines })) this.#toldLost = lost;
  }
}

const REMEDY = "or correct log.syslog in appliance.toml";
const TEXTS: Readonly<Record<Exclude<SyslogEvent, "reached">, string>> = {
  refused: `nobody listens at the collector's port: start it there, ${REMEDY}`,
  silent: `the collector does not answer: lines wait as long as there is room; start it, ${REMEDY}`,
  ended: "the collector has ended the connection; connecting again",
};

const nameOf = ({ proto, to }: SyslogSetting): string => `${proto}://${formatEndpoint(to)}`;

const isSame = (a: SyslogSetting, b: SyslogSetting | undefined): boolean => b !== undefined && nameOf(a) === nameOf(b);
