/** rsyslogd as a collector on a host. Its packages are unpacked alone: installed, it would take over this machine's log (scripts/bootstrap fetches them). */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, must, PATIENCE, type Result, until } from "./process.ts";
import { debianPackage } from "./systemd-host.ts";

const PACKAGES = ["rsyslog", "libestr0", "libfastjson4"];
const LIBRARIES = "usr/lib/x86_64-linux-gnu";

/** Why there can be none here; undefined: there can. */
export function noCollector(): string | undefined {
  const missing = PACKAGES.filter((name) => debianPackage(name) === undefined);
  if (missing.length > 0) return `${missing.join(", ")} could not be fetched (scripts/bootstrap)`;
  return existsSync("/lib/x86_64-linux-gnu/libsystemd.so.0") ? undefined : "there is no libsystemd";
}

/** A line as rsyslogd has read it: each part as the collector's own parser understands it. */
export interface CollectedLine {
  readonly facility: string;
  readonly severity: string;
  readonly time: string;
  readonly hostname: string;
  readonly appName: string;
  readonly msgId: string;
  /** "[...]" as it came, or "-". */
  readonly structured: string;
  readonly text: string;
}

/** The console's lines, but for those about the sending, as {@link asTold} has those of the collector. */
export function told(console: string): string[] {
  const severities: Readonly<Record<string, string>> = { error: "err", warn: "warning", info: "info", debug: "debug" };
  return console
    .split(/\r?\n/)
    .map((line) => /^(\S+Z) (error|warn|info|debug) (.*)$/.exec(line))
    .filter((found) => found !== null && !found[3]!.startsWith("syslog."))
    .map((found) => `${severities[found![2]!]} ${found![1]} ${found![3]}`);
}

/** Severity, time and text. */
export const asTold = ({ severity, time, text }: CollectedLine): string =>
  `${severity} ${time.replace("+00:00", "Z")} ${text.replace(/^\s*\ufeff?/, "")}`;

/** The LAN host, or the one that the VPN server is on. */
type Part = "lan" | "net";

/** What it runs on. */
interface Hosts {
  readonly dir: string;
  start(name: string, part: Part, argv: readonly string[]): Daemon;
  stop(name: string): Promise<number | undefined>;
  in(part: Part, argv: readonly string[]): Promise<Result>;
}

/** The ports that it listens at. */
interface Inputs {
  readonly udp?: number;
  readonly tcp?: number;
}

const NAME = "rsyslogd";

export class SyslogCollector {
  readonly #host: Hosts;
  readonly #dir: string;

  private constructor(host: Hosts) {
    this.#host = host;
    this.#dir = join(host.dir, "rsyslog");
  }

  static async unpack(host: Hosts): Promise<SyslogCollector> {
    const collector = new SyslogCollector(host);
    mkdirSync(collector.#dir, { recursive: true });
    for (const name of PACKAGES) await must(["dpkg-deb", "-x", debianPackage(name)!, collector.#dir]);
    return collector;
  }

  /** Starts it, once it listens; what it has collected before stays. */
  async start(inputs: Inputs, part: Part = "lan"): Promise<void> {
    const config = join(this.#dir, "rsyslog.conf");
    writeFileSync(config, this.#config(inputs));
    const at = (path: string): string => join(this.#dir, path);
    const daemon = this.#host.start(NAME, part, [
      "env",
      `LD_LIBRARY_PATH=${at(LIBRARIES)}`,
      at("usr/sbin/rsyslogd"),
      ...["-n", "-iNONE", "-f", config, "-M", at(`${LIBRARIES}/rsyslog`)],
    ]);
    const ports = Object.entries(inputs).map(([proto, port]) => new RegExp(`^${proto} .*:${port} `, "m"));
    const listens = async (): Promise<boolean> => {
      const { out } = await this.#host.in(part, ["ss", "-Hlntu"]);
      return ports.every((port) => port.test(out));
    };
    if ((await until(listens, PATIENCE)) === undefined) throw new Error(`rsyslogd did not start: ${daemon.log()}`);
  }

  async stop(): Promise<void> {
    await this.#host.stop(NAME);
  }

  /** Everything that it has collected from the router. */
  lines(): CollectedLine[] {
    const rows = this.#read().split("\n").slice(0, -1);
    return rows
      .map((row) => row.split("\t"))
      .filter(([, , , , appName]) => appName === "morgana")
      .map(
        ([
          facility = "",
          severity = "",
          time = "",
          hostname = "",
          appName = "",
          msgId = "",
          structured = "",
          ...text
        ]) => ({
          ...{ facility, severity, time, hostname, appName, msgId, structured, text: text.join("\t") },
        }),
      );
  }

  /** The console's lines that it has not got, once it has got all that it will. */
  async missing(router: { log(): string }): Promise<string[]> {
    const missing = (): string[] => {
      const there = new Set(this.lines().map(asTold));
      return told(router.log()).filter((line) => !there.has(line));
    };
    await until(() => missing().length === 0, PATIENCE);
    return missing();
  }

  #read(): string {
    const path = join(this.#dir, "collected");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  #config(inputs: Inputs): string {
    const fields = [
      "syslogfacility-text",
      "syslogseverity-text",
      "timereported:::date-rfc3339",
      "hostname",
      "app-name",
    ];
    const format = [...fields, "msgid", "structured-data", "msg"].map((field) => `%${field}%`).join("\\t");
    return [
      `global(workDirectory="${this.#dir}" maxMessageSize="64k" net.enableDNS="off")`,
      ...Object.keys(inputs).map((proto) => `module(load="im${proto}")`),
      `template(name="parts" type="string" string="${format}\\n")`,
      ...Object.entries(inputs).map(([proto, port]) => `input(type="im${proto}" port="${port}")`),
      `action(type="omfile" file="${join(this.#dir, "collected")}" template="parts" flushOnTXEnd="on")`,
      "",
    ].join("\n");
  }
}
