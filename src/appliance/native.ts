/** The appliance as a process on two interfaces of this machine or namespace. */
import type { LogLevel } from "../lib/log.ts";
import { checkInterface } from "../platform/dev/interface.ts";
import { DevicePair } from "../platform/dev/pair.ts";
import type { LogFormat } from "../platform/log/console-log.ts";
import { openProcessLog } from "../platform/log/process-log.ts";
import { runLoop } from "../platform/loop.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import { Appliance } from "./appliance.ts";
import { openConfigSource } from "./config-source.ts";
import { loadProfile } from "./profile.ts";
import { ROUTER_PATH_BYTES } from "./wiring/router.ts";

export interface NativeOptions {
  /** Of the program, for the log. */
  readonly version: string;
  readonly wan: string;
  readonly lan: string;
  /** A folder laid out like a config disk, or one OpenVPN file. */
  readonly config: string;
  readonly level: LogLevel | undefined;
  readonly format: LogFormat;
}

/** How often to look whether the host's kernel has begun to act beside us: a container engine may turn forwarding on for all. */
const LOOK_EVERY_MS = 2000;
/** For a reader of the log that is slow, before the process ends. */
const LAST_WORDS_MS = 500;

/** Runs until SIGTERM or SIGINT. Exit status 0; 1 when it could not start (said on stderr). */
export async function runNative(options: NativeOptions): Promise<number> {
  const refusals: string[] = [];
  const { log, sink } = openProcessLog(options.level ?? "info", options.format);
  log.write("info", "start", "", { version: options.version });
  for (const name of [options.wan, options.lan]) {
    try {
      const found = checkInterface(name);
      refusals.push(...found.refusals);
      for (const warning of found.warnings) log.write("warn", "interface.warning", warning);
    } catch (error) {
      refusals.push((error as Error).message);
    }
  }
  let source: ReturnType<typeof openConfigSource> | undefined;
  try {
    source = openConfigSource(options.config);
  } catch (error) {
    refusals.push(`--config: ${(error as Error).message}`);
  }
  if (refusals.length > 0 || source === undefined) {
    for (const refusal of refusals) process.stderr.write(`morgana: ${refusal}\n`);
    return 1;
  }

  const memory = new NativeMemory(ROUTER_PATH_BYTES);
  const poller = new Poller();
  sink.attach(poller);
  let devices: DevicePair;
  try {
    devices = DevicePair.open(options.wan, options.lan, memory, poller);
  } catch (error) {
    process.stderr.write(`morgana: ${(error as Error).message}\n`);
    return 1;
  }

  const { reader, options: loadOptions } = source;
  const appliance = new Appliance({
    memory,
    wan: devices.wan,
    lan: devices.lan,
    log,
    load: () => loadProfile(reader, loadOptions),
    setLogLevel: (level) => log.setLevel(options.level ?? level),
    mending: "then restart the appliance, or send it SIGUSR1",
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => appliance.leave(signal));
  process.on("SIGUSR1", () => appliance.reconnect());
  process.on("SIGUSR2", () => appliance.logStatistics());
  let unsafe: readonly string[] = [];
  const look = setInterval(() => {
    const found = [options.wan, options.lan].flatMap(refusalsNow);
    for (const refusal of found) {
      if (!unsafe.includes(refusal)) log.write("error", "interface.unsafe", `the LAN may leak: ${refusal}`);
    }
    unsafe = found;
  }, LOOK_EVERY_MS);
  try {
    await runLoop(appliance, poller, (bits) => sink.onReady(bits));
  } finally {
    clearInterval(look);
    devices.close();
    sink.drain(LAST_WORDS_MS);
  }
  return 0;
}

function refusalsNow(name: string): readonly string[] {
  try {
    return checkInterface(name).refusals;
  } catch {
    return []; // the interface is gone, which the appliance sees by itself
  }
}
