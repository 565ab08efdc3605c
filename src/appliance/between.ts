/** The appliance between two interfaces, from their opening to their closing: the same for PID 1 and for a process. */
import type { LogLevel } from "../lib/log.ts";
import { DevicePair } from "../platform/dev/pair.ts";
import type { ConsoleLog } from "../platform/log/console-log.ts";
import type { RecordQueue } from "../platform/log/record-queue.ts";
import { monotonic } from "../platform/loop.ts";
import type { StateStore } from "../platform/state/store.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { Poller } from "../platform/sys/poller.ts";
import { Appliance } from "./appliance.ts";
import { forwardingOf } from "./forwarding.ts";
import type { LoadResult } from "./profile.ts";

export interface BetweenOptions {
  /** Names of interfaces. */
  readonly wan: string;
  /** undefined: there is none. */
  readonly lan: string | undefined;
  /** Memory of the data path. All of it is taken back first: pieces that were taken from it before must not be used any more. */
  readonly memory: NativeMemory;
  readonly poller: Poller;
  readonly log: ConsoleLog;
  /** What it writes, for a collector. */
  readonly records: RecordQueue;
  /** The configuration that it starts with... */
  readonly loaded: LoadResult;
  /** ...and where it is read again. */
  readonly load: () => LoadResult;
  readonly setLogLevel: (level: LogLevel) => void;
  readonly mending: string;
  readonly state: StateStore | undefined;
  /** What is done once the interfaces are ours and before they are opened; it returns what ends it. */
  readonly prepare?: () => () => void;
}

/**
 * Opens the interfaces, lets `run` have the appliance, and restores the interfaces, whatever happens.
 * @throws Error in words when an interface cannot be opened or the appliance not be made, and what `run` throws
 */
export async function between<T>(options: BetweenOptions, run: (appliance: Appliance) => Promise<T>): Promise<T> {
  options.memory.reset();
  const { wan, lan, memory, poller, prepare } = options;
  const reach = forwardingOf(options.loaded).kind === "bridge" ? "all" : "station";
  const devices = DevicePair.open(wan, lan, reach, memory, poller, prepare);
  try {
    return await run(new Appliance({ ...options, now: monotonic(), wan: devices.wan, lan: devices.lan }));
  } finally {
    devices.close();
  }
}
