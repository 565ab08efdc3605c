/** What a client and a server on the kernel of this machine have in common as processes: log, device, journal, signals, the end. */
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
  keepCapabilities,
} from "../platform/sys/privileges.ts";
import { formatProblem, inOrder } from "../protocol/config/problem.ts";
import type { ConfigProblem, DeviceType } from "../protocol/config/types.ts";
import { type Change, takeBack } from "./change.ts";
import { Journal, journalFolder, type LeftJournal, leftJournals } from "./journal.ts";
import { ServiceNotify } from "./notify.ts";
import { type HostEnd, HostTurns } from "./turns.ts";

export interface ProcessOptions {
  /** Of the program, for the log. */
  readonly version: string;
  readonly level: LogLevel;
  readonly format: LogFormat;
}

export interface HostProcess {
  readonly log: ConsoleLog;
  readonly sink: LineSink;
  readonly notify: ServiceNotify;
  /** Of processes that have crashed, with changes that stay. */
  readonly left: readonly LeftJournal[];
}

export interface HostParts extends HostProcess {
  readonly memory: NativeMemory;
  readonly poller: Poller;
  readonly device: TunDevice;
  readonly journal: Journal | undefined;
}

/** The network's; a profile is read again, whoever's it is; a port below 1024 is bound to again. */
const NEEDED = [CAP_NET_ADMIN, CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE];
/** Before the process ends, a slow reader of the log gets this long for the last lines. */
const LAST_WORDS_MS = 500;

/**
 * Runs to its end. What a process that has crashed left on this host is taken back first.
 * @param stays whether a change is not taken back, but is for what runs now @returns the exit status; 1 where it throws
 */
export async function runProcess(
  { version, level, format }: ProcessOptions,
  stays: (change: Change) => boolean,
  run: (process: HostProcess) => Promise<number>,
): Promise<number> {
  const { log, sink } = openProcessLog(level, format);
  const notify = new ServiceNotify(process.env["NOTIFY_SOCKET"]);
  try {
    keepCapabilities(NEEDED);
    log.write("info", "start", "", { version });
    const left = takeBackLeft(log, stays);
    return await run({ log, sink, notify, left });
  } catch (error) {
    log.write("error", "start.failed", (error as Error).message);
    return 1;
  } finally {
    sink.drain(LAST_WORDS_MS);
  }
}

/**
 * Runs what `make` makes on a tun device, until SIGTERM or SIGINT.
 * @param device as the profile has it @param bytes of native memory
 * @throws Error in words
 */
export async function runOnDevice(
  process_: HostProcess,
  needs: { readonly device: string; readonly deviceType: DeviceType; readonly bytes: number },
  make: (parts: HostParts) => HostEnd,
): Promise<number> {
  const { sink, notify } = process_;
  const memory = new NativeMemory(needs.bytes);
  const poller = new Poller();
  sink.attach(poller);
  const device = new TunDevice(memory, deviceName(needs.device), needs.deviceType);
  const journal = openJournal(device, process_);
  let turns: HostTurns | undefined;
  try {
    const parts = { ...process_, memory, poller, device, journal };
    turns = new HostTurns(parts, make(parts));
    listenToSignals(turns, notify);
    turns.start(monotonic());
    await runLoop(turns, { poller, clock: monotonic, onReady: (bits) => sink.onReady(bits) });
    return turns.hasFailed ? 1 : 0;
  } finally {
    await turns?.close();
    device.close();
    journal?.close();
  }
}

function listenToSignals(turns: HostTurns, notify: ServiceNotify): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      notify.tell("STOPPING=1");
      turns.leave(signal);
    });
  for (const signal of ["SIGUSR1", "SIGHUP"] as const) process.on(signal, () => turns.reconnect());
  process.on("SIGUSR2", () => turns.askForStatistics());
}

/** "tun" is any that is free. */
const deviceName = (name: string): string => (/^[a-z]+$/.test(name) ? `${name}%d` : name);

/** @returns those of which something stays */
function takeBackLeft(log: ConsoleLog, stays: (change: Change) => boolean): LeftJournal[] {
  return leftJournals(journalFolder(process.env)).filter((journal) => {
    const { path, held } = journal;
    const taken = held.filter(({ change }) => !stays(change));
    for (const each of taken) {
      const problem = takeBack(each.change);
      if (problem !== undefined) log.write("warn", "host.left", problem);
      journal.end(each);
    }
    if (taken.length > 0)
      log.write("warn", "host.recovered", `what a morgana that has crashed left is taken back (${path})`, {
        changes: taken.length,
      });
    const isOver = journal.held.length === 0;
    if (isOver) journal.remove();
    else log.write("warn", "host.kept", `the kill switch of a morgana that has crashed stays (${path})`);
    return !isOver;
  });
}

/** Who may not write one may change nothing but a device of their own. */
function openJournal(device: TunDevice, { log, left }: HostProcess): Journal | undefined {
  try {
    return new Journal(journalFolder(process.env), device.name, left);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const text = `what is changed on this host is not found again after a crash: ${message}`;
    log.write("warn", "host.journal", text);
    return undefined;
  }
}

/** Whether a profile that was read again can go on with the device that there is; else it is said that it cannot. */
export function fitsDevice(next: DeviceType, now: DeviceType, log: ConsoleLog, instead: string): boolean {
  if (next === now) return true;
  log.write(
    "error",
    "config.invalid",
    `dev is a ${next} device now, for which this program has to be started anew; ${instead}`,
  );
  return false;
}

type Loaded<T> =
  | { readonly ok: true; readonly config: T; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] };

/**
 * Logs what a profile has of warnings and problems.
 * @param loaded a string: why there is none @param instead what happens where it has problems @returns undefined: it has
 */
export function saidLoaded<T, L extends Loaded<T>>(
  loaded: L | string,
  log: ConsoleLog,
  instead?: string,
): Extract<L, { ok: true }> | undefined {
  if (typeof loaded === "string") {
    log.write("error", "config.invalid", instead === undefined ? loaded : `${loaded}; ${instead}`);
    return undefined;
  }
  for (const { isWarning, found } of inOrder(loaded.warnings, loaded.ok ? [] : loaded.problems))
    log.write(isWarning ? "warn" : "error", isWarning ? "config.warning" : "config.invalid", formatProblem(found));
  if (loaded.ok) return loaded as Extract<L, { ok: true }>;
  if (instead !== undefined) log.write("error", "config.invalid", instead);
  return undefined;
}
