/** The appliance as a process on two interfaces of this machine or namespace, or, as a server without a LAN, on one. */

import { BoundedLog } from "../lib/bounded-log.ts";
import type { LogLevel } from "../lib/log.ts";
import type { ConsoleLog, LogFormat } from "../platform/log/console-log.ts";
import type { LineSink } from "../platform/log/line-sink.ts";
import { openProcessLog } from "../platform/log/process-log.ts";
import { RecordQueue } from "../platform/log/record-queue.ts";
import { monotonic, runLoop, type Turns } from "../platform/loop.ts";
import { openStateFolder } from "../platform/state/folder.ts";
import type { StateStore } from "../platform/state/store.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import { interfaceIndex } from "../platform/sys/syscalls.ts";
import type { Appliance } from "./appliance.ts";
import { between } from "./between.ts";
import { type ConfigSource, openConfigSource } from "./config-source.ts";
import { forwardingOf } from "./forwarding.ts";
import { HostKernel, KernelActs } from "./host-kernel.ts";
import { loadProfile } from "./profile.ts";
import { ROUTER_PATH_BYTES } from "./wiring/router.ts";

export interface NativeOptions {
  /** Of the program, for the log. */
  readonly version: string;
  readonly wan: string;
  /** undefined: there is none. */
  readonly lan: string | undefined;
  /** A folder laid out like a config disk, or one OpenVPN file. */
  readonly config: string;
  readonly level: LogLevel | undefined;
  readonly format: LogFormat;
}

/**
 * How often to look whether the host's kernel has begun to act beside us (a container engine may turn forwarding on for all),
 * and whether an interface was deleted and made anew under its name.
 */
const LOOK_EVERY_MS = 2000;
/** Before the process ends, a slow reader of the log gets this long for the last lines. */
const LAST_WORDS_MS = 500;

/** Runs until SIGTERM or SIGINT. Exit status 0; 1 when it could not start (said on stderr). */
export async function runNative(options: NativeOptions): Promise<number> {
  const records = new RecordQueue();
  const { log, sink } = openProcessLog(options.level ?? "info", options.format, (record) => records.push(record));
  log.write("info", "start", "", { version: options.version });
  try {
    const source = openConfig(options.config);
    await new Native(options, source, log, records, sink).run();
    return 0;
  } catch (error) {
    for (const line of (error as Error).message.split("\n")) process.stderr.write(`morgana: ${line}\n`);
    return 1;
  } finally {
    sink.drain(LAST_WORDS_MS);
  }
}

/** Of the interfaces. */
const namesOf = ({ wan, lan }: NativeOptions): string[] => (lan === undefined ? [wan] : [wan, lan]);

/** @throws Error in words */
function openConfig(path: string): ConfigSource {
  try {
    return openConfigSource(path);
  } catch (error) {
    throw new Error(`--config: ${(error as Error).message}`);
  }
}

class Native {
  readonly #options: NativeOptions;
  readonly #source: ConfigSource;
  readonly #log: ConsoleLog;
  readonly #records: RecordQueue;
  /** For a failure that each look finds again: it bounds the lines. */
  readonly #lost: BoundedLog;
  readonly #sink: LineSink;
  readonly #memory = new NativeMemory(ROUTER_PATH_BYTES);
  readonly #poller = new Poller();
  readonly #state: StateStore | undefined;
  #appliance: Appliance | undefined;
  #leaving: string | undefined;
  readonly #hostKernel: HostKernel;
  /** It has had its interfaces: from then on nothing but a signal ends it. */
  #hasRun = false;

  constructor(options: NativeOptions, source: ConfigSource, log: ConsoleLog, records: RecordQueue, sink: LineSink) {
    this.#options = options;
    this.#source = source;
    this.#log = log;
    this.#records = records;
    this.#lost = new BoundedLog(log);
    this.#sink = sink;
    this.#hostKernel = new HostKernel(log, namesOf(options));
    sink.attach(this.#poller);
    this.#state = openStateFolder(process.env, log);
  }

  /** @throws Error in words when it cannot start; what happens to the interfaces later is waited for */
  async run(): Promise<void> {
    // As PID 1 of a container it would get none of them without a handler.
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#leave(signal));
    for (const signal of ["SIGUSR1", "SIGHUP"] as const) process.on(signal, () => this.#appliance?.reconnect());
    process.on("SIGUSR2", () => this.#appliance?.askForStatistics());
    while (this.#leaving === undefined) {
      try {
        await this.#runBetween();
      } catch (error) {
        if (!this.#hasRun) throw error;
        if (error instanceof KernelActs) this.#hostKernel.say(error.dangers);
        else this.#lost.write(monotonic(), "error", "interface.lost", `${(error as Error).message}; I keep looking`);
      }
      if (this.#leaving === undefined) await Bun.sleep(LOOK_EVERY_MS);
    }
  }

  #leave(cause: string): void {
    this.#leaving ??= cause;
    this.#appliance?.leave(cause);
  }

  /** Runs the appliance until it is to leave, or an interface was made anew. @throws Error in words, SysError */
  async #runBetween(): Promise<void> {
    const { wan, lan, level } = this.#options;
    const log = this.#log;
    const load = () => loadProfile(this.#source.reader, this.#source.options);
    const loaded = load();
    const bridged = forwardingOf(loaded).kind === "bridge" && lan !== undefined ? [lan] : [];
    const options = {
      wan,
      lan,
      memory: this.#memory,
      poller: this.#poller,
      log,
      records: this.#records,
      loaded,
      load,
      mending: "then send the appliance SIGHUP or SIGUSR1, or restart it",
      setLogLevel: (wanted: LogLevel) => log.setLevel(level ?? wanted),
      state: this.#state,
      prepare: () => this.#hostKernel.keepOff(bridged),
    };
    const indices = new Map(namesOf(this.#options).map((name) => [name, interfaceIndex(name)]));
    try {
      await between(options, async (appliance) => {
        this.#appliance = appliance;
        this.#hasRun = true;
        if (this.#leaving !== undefined) appliance.leave(this.#leaving);
        let replaced: string | undefined;
        let lookAt = monotonic() + LOOK_EVERY_MS;
        const turns: Turns = {
          receive: (now) => appliance.receive(now),
          control: (now) => {
            appliance.control(now);
            if (now < lookAt) return;
            lookAt = now + LOOK_EVERY_MS;
            this.#hostKernel.look();
            replaced = [...indices].find(([name, index]) => ![0, index].includes(interfaceIndex(name)))?.[0];
          },
          pollAt: () => Math.min(appliance.pollAt(), lookAt),
          done: () => appliance.done() || replaced !== undefined,
          failed: (now, error, during) => appliance.failed(now, error, during),
        };
        const onReady = (bits: number): void => this.#sink.onReady(bits);
        await runLoop(turns, { poller: this.#poller, clock: monotonic, onReady });
        if (appliance.done()) return;
        log.write("warn", "interface.replaced", `${replaced} was deleted and made anew; starting again with it`);
        appliance.stop(monotonic(), "an interface was made anew");
      });
    } finally {
      this.#appliance = undefined;
    }
  }
}
