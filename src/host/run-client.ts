/** `morgana client` as a process: what it needs before it can run, the signals, and the end. */
import { ReadStream } from "node:tty";
import type { LogLevel } from "../lib/log.ts";
import { TunDevice } from "../platform/dev/tun.ts";
import type { ConsoleLog, LogFormat } from "../platform/log/console-log.ts";
import type { LineSink } from "../platform/log/line-sink.ts";
import { openProcessLog } from "../platform/log/process-log.ts";
import { monotonic, runLoop } from "../platform/loop.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import {
  CAP_DAC_READ_SEARCH,
  CAP_NET_ADMIN,
  CAP_NET_BIND_SERVICE,
  dropCapabilitiesBut,
} from "../platform/sys/privileges.ts";
import { askOn, type Questions } from "../platform/sys/terminal.ts";
import { formatProblem, inOrder } from "../protocol/config/problem.ts";
import type { DialConfig } from "../protocol/config/types.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import { takeBack } from "./change.ts";
import { HOST_CLIENT_BYTES, HostClient } from "./client.ts";
import { Journal, journalFolder, leftJournals } from "./journal.ts";
import { ServiceNotify } from "./notify.ts";
import { type HostProfile, loadHostProfile, type Typed } from "./profile.ts";
import { loadAsking } from "./questions.ts";

export interface RunClientOptions {
  /** Of the program, for the log. */
  readonly version: string;
  readonly file: string;
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly withRoutes: boolean;
  readonly withDns: boolean;
  readonly killSwitch: boolean;
}

/** Before the process ends, a slow reader of the log gets this long for the last lines. */
const LAST_WORDS_MS = 500;
const NO_PROFILE = 1;

/** Runs until SIGTERM or SIGINT. Exit status 0; 1 when it could not start. */
export async function runClient(options: RunClientOptions): Promise<number> {
  const { log, sink } = openProcessLog(options.level, options.format);
  log.write("info", "start", "", { version: options.version });
  const notify = new ServiceNotify(process.env["NOTIFY_SOCKET"]);
  try {
    return await run(options, log, sink, notify);
  } catch (error) {
    log.write("error", "start.failed", (error as Error).message);
    return 1;
  } finally {
    sink.drain(LAST_WORDS_MS);
  }
}

async function run(options: RunClientOptions, log: ConsoleLog, sink: LineSink, notify: ServiceNotify): Promise<number> {
  const folder = journalFolder(process.env);
  takeBackLeft(folder, log);
  const typed: Typed = {};
  const loaded = await loadAsking(options.file, typed, terminal());
  const config = said(loaded, log);
  if (config === undefined) return NO_PROFILE;
  const memory = new NativeMemory(HOST_CLIENT_BYTES);
  const poller = new Poller();
  sink.attach(poller);
  const device = new TunDevice(memory, deviceName(config.device));
  const journal = openJournal(folder, device, log);
  dropCapabilitiesBut([CAP_NET_ADMIN, ...neededFor(config)]);
  let isReady = false;
  const client = new HostClient({
    memory,
    poller,
    log,
    device,
    journal,
    config,
    reload: () => said(loadHostProfile(options.file, typed), log, "what runs goes on with the profile before"),
    withRoutes: options.withRoutes,
    withDns: options.withDns,
    killSwitch: options.killSwitch,
    changed: (tunnel) => {
      notify.tell(...(tunnel === undefined || isReady ? [] : ["READY=1"]), `STATUS=${statusOf(device.name, tunnel)}`);
      isReady ||= tunnel !== undefined;
    },
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => client.leave(signal));
  for (const signal of ["SIGUSR1", "SIGHUP"] as const) process.on(signal, () => client.reconnect());
  process.on("SIGUSR2", () => client.askForStatistics());
  try {
    client.start(monotonic());
    await runLoop(client, { poller, clock: monotonic, onReady: (bits) => sink.onReady(bits) });
    notify.tell("STOPPING=1");
  } finally {
    await client.close();
    device.close();
    journal?.close();
  }
  return client.hasFailed ? 1 : 0;
}

/** The profile is read again, whoever's it is; and a port below 1024 is bound to again. */
const neededFor = ({ link }: DialConfig): number[] =>
  (link.localPort ?? 1024) < 1024 ? [CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE] : [CAP_DAC_READ_SEARCH];

/** "tun" is any that is free. */
const deviceName = (name: string): string => (/^[a-z]+$/.test(name) ? `${name}%d` : name);

function statusOf(device: string, tunnel: OpenTunnel | undefined): string {
  if (tunnel === undefined) return "connecting";
  const { address, address6 } = tunnel.options;
  return `up on ${device}, ${[address, address6].filter((own) => own !== undefined).join(" and ")}`;
}

/** Takes back what processes that have crashed left on the host. */
function takeBackLeft(folder: string, log: ConsoleLog): void {
  for (const { path, changes, remove } of leftJournals(folder)) {
    for (const change of changes) {
      const problem = takeBack(change);
      if (problem !== undefined) log.write("warn", "host.left", problem);
    }
    if (changes.length > 0)
      log.write("warn", "host.recovered", `what a morgana that has crashed left is taken back (${path})`, {
        changes: changes.length,
      });
    remove();
  }
}

/** Who may not write one may change nothing but a device of their own. */
function openJournal(folder: string, device: TunDevice, log: ConsoleLog): Journal | undefined {
  try {
    return new Journal(folder, device.name);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const text = `what is changed on this host is not found again after a crash: ${message}`;
    log.write("warn", "host.journal", text);
    return undefined;
  }
}

/** How to ask whoever sits at the terminal; undefined: nobody does. */
function terminal(): (() => Questions) | undefined {
  const { stdin } = process;
  return stdin instanceof ReadStream ? () => askOn(stdin) : undefined;
}

/** Logs what a profile has of warnings and problems. @param instead what happens where it has problems @returns undefined: it has */
function said(loaded: HostProfile | string, log: ConsoleLog, instead?: string): DialConfig | undefined {
  if (typeof loaded === "string") {
    log.write("error", "config.invalid", instead === undefined ? loaded : `${loaded}; ${instead}`);
    return undefined;
  }
  for (const { isWarning, found } of inOrder(loaded.warnings, loaded.ok ? [] : loaded.problems))
    log.write(isWarning ? "warn" : "error", isWarning ? "config.warning" : "config.invalid", formatProblem(found));
  if (loaded.ok) return loaded.config;
  if (instead !== undefined) log.write("error", "config.invalid", instead);
  return undefined;
}
