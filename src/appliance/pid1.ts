/**
 * The appliance as PID 1 of its own machine: drivers, config disk, network cards, then the appliance between the two
 * cards. It never ends but by switching the machine off; what is missing is said on the console and waited for.
 */
import { writeFileSync } from "node:fs";
import type { Log } from "../lib/log.ts";
import type { ConsoleLog } from "../platform/log/console-log.ts";
import type { LineSink } from "../platform/log/line-sink.ts";
import { openProcessLog } from "../platform/log/process-log.ts";
import { RecordQueue } from "../platform/log/record-queue.ts";
import { monotonic, runLoop, type Turns } from "../platform/loop.ts";
import type { StateStore } from "../platform/state/store.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import { RB_POWER_OFF, reboot, setHostname, sync } from "../platform/sys/syscalls.ts";
import type { Appliance } from "./appliance.ts";
import { between } from "./between.ts";
import { diskIsOverdue } from "./disk/patience.ts";
import { DiskSource } from "./disk/source.ts";
import { closeStateDisk, openStateDisk } from "./disk/state-disk.ts";
import { CardWatch } from "./init/card-watch.ts";
import { loadModules, modulesFolder } from "./init/modules.ts";
import { ensureMounts } from "./init/mounts.ts";
import { type ChosenNics, chooseNics, findNics } from "./init/nics.ts";
import { Power } from "./init/power.ts";
import { startSwap } from "./init/swap.ts";
import type { LoadResult } from "./profile.ts";
import type { Settings } from "./settings/settings.ts";
import { ROUTER_PATH_BYTES } from "./wiring/router.ts";

const DISK_LOOK_EVERY_MS = 2000;
/** The same while a disk is likely to appear at any moment. */
const DISK_LOOK_SOON_MS = 100;
/** A server's, which takes other files while it runs. */
const FILES_LOOK_EVERY_MS = 30_000;
const NIC_LOOK_EVERY_MS = 1000;
const RETRY_AFTER_MS = 5000;
const SAY_AGAIN_EVERY_MS = 60_000;
/** Before the machine goes off, a slow console gets this long for the last lines. */
const LAST_WORDS_MS = 1000;

/** Never returns. */
export async function bootAppliance(version: string): Promise<number> {
  const records = new RecordQueue();
  const { log, sink } = openProcessLog("info", "text", (record) => records.push(record));
  log.write("info", "start", "", { version });
  const machine = new Machine(log, records, sink);
  for (;;) {
    try {
      await machine.run();
      machine.close();
      sink.drain(LAST_WORDS_MS);
      powerOff(log);
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.write("error", "internal.error", text);
    }
    // PID 1 must not end: the kernel would panic.
    await Bun.sleep(RETRY_AFTER_MS);
  }
}

/** Named by what is waited for. */
type State =
  | { readonly waitsFor: "disk" }
  | { readonly waitsFor: "cards"; readonly loaded: LoadResult }
  /** The appliance runs. */
  | { readonly waitsFor: "change"; readonly loaded: LoadResult; readonly nics: ChosenNics };

class Machine {
  readonly #log: ConsoleLog;
  readonly #records: RecordQueue;
  readonly #sink: LineSink;
  readonly #disk: DiskSource;
  /** Of the data path, for one appliance after the other: mapped memory is never given back. */
  readonly #memory = new NativeMemory(ROUTER_PATH_BYTES);
  readonly #poller = new Poller();
  readonly #power: Power;
  #started = false;
  #state: StateStore | undefined;
  #appliance: Appliance | undefined;
  /** Why the machine is to be switched off. */
  #leaving: string | undefined;

  constructor(log: ConsoleLog, records: RecordQueue, sink: LineSink) {
    this.#log = log;
    this.#records = records;
    this.#sink = sink;
    this.#disk = new DiskSource(log);
    this.#power = new Power(this.#poller, log, {
      leave: (cause) => this.#leave(cause),
      statistics: () => this.#statistics(),
    });
  }

  /** Returns when the machine is to be switched off. */
  async run(): Promise<void> {
    if (!this.#started) this.#start();
    let state: State = { waitsFor: "disk" };
    while (this.#leaving === undefined) state = await this.#next(state);
  }

  /** Lets go of the state disk. */
  close(): void {
    if (this.#state !== undefined) closeStateDisk(this.#log);
    this.#state = undefined;
  }

  /** Waits, and says what is next: anything when the machine is to be switched off. */
  async #next(state: State): Promise<State> {
    switch (state.waitsFor) {
      case "disk":
        return { waitsFor: "cards", loaded: await this.#firstConfiguration() };
      case "cards": {
        const { loaded } = state;
        this.#applySettings(loaded.settings);
        const nics = await this.#waitForNics(loaded.settings);
        return nics === undefined ? { waitsFor: "disk" } : { waitsFor: "change", loaded, nics };
      }
      case "change": {
        const nics = await this.#runBetween(state.nics, state.loaded);
        return nics === undefined ? { waitsFor: "disk" } : { waitsFor: "change", loaded: this.#disk.take(), nics };
      }
      default:
        return state satisfies never;
    }
  }

  /** What is done once: signals and drivers outlive a failure. */
  #start(): void {
    this.#started = true;
    const log = this.#log;
    this.#sink.attach(this.#poller);
    ensureMounts(log);
    silenceKernel(log);
    loadModules(modulesFolder(), log);
    startSwap(log);
    this.#power.start();
    this.#power.lookForButtons();
    process.on("SIGUSR1", () => this.#appliance?.reconnect());
    process.on("SIGUSR2", () => this.#statistics());
  }

  #leave(cause: string): void {
    if (this.#appliance !== undefined) this.#appliance.leave(cause);
    else if (this.#leaving === undefined) this.#log.write("info", "shutdown", "", { cause });
    this.#leaving ??= cause;
  }

  #statistics(): void {
    if (this.#appliance !== undefined) this.#appliance.askForStatistics();
    else this.#log.write("info", "statistics", "nothing to count yet: the appliance waits for what it says above");
  }

  /** The configuration of the disk, or the defaults when none appears in time. */
  async #firstConfiguration(): Promise<LoadResult> {
    const start = monotonic();
    const found = await this.#until(DISK_LOOK_SOON_MS, () => {
      const loaded = this.#disk.tryTake();
      if (loaded !== undefined) return loaded;
      return diskIsOverdue(monotonic() - start) ? "none" : undefined;
    });
    return found === "none" ? this.#disk.take() : (found ?? this.#disk.taken);
  }

  #applySettings(settings: Settings): void {
    this.#log.setLevel(settings.log.level);
    try {
      setHostname(settings.hostname);
    } catch (error) {
      this.#log.write("warn", "hostname.failed", (error as Error).message);
    }
  }

  /** undefined when the machine is to be switched off, or the config disk has changed and may name other cards. */
  async #waitForNics(settings: Settings): Promise<ChosenNics | undefined> {
    let said = "";
    let sayAgainAt = 0;
    const found = await this.#until(NIC_LOOK_EVERY_MS, () => {
      const choice = chooseNics(findNics(), settings);
      if (choice.ok) return choice;
      if (said !== "" && this.#disk.hasChanged()) return "disk";
      const text = choice.missing.join("\n");
      if (text !== said || monotonic() >= sayAgainAt) {
        for (const missing of choice.missing) this.#log.write("error", "nic.missing", `${missing}; I keep looking`);
        said = text;
        sayAgainAt = monotonic() + SAY_AGAIN_EVERY_MS;
      }
      return undefined;
    });
    return found === "disk" ? undefined : found;
  }

  /**
   * Runs the appliance until the machine is to be switched off, or a config disk that was missing or of no use has
   * changed, or a card that was pulled has been replaced.
   * @returns the cards to go on with, where that is why it ended
   */
  async #runBetween(nics: ChosenNics, loaded: LoadResult): Promise<ChosenNics | undefined> {
    const log = this.#log;
    const { wan, lan } = nics;
    this.#state ??= openStateDisk(log);
    log.write("info", "nic.chosen", "", { wan: `${wan.name}/${wan.pci}`, lan: `${lan.name}/${lan.pci}` });
    const options = {
      wan: wan.name,
      lan: lan.name,
      memory: this.#memory,
      poller: this.#poller,
      log,
      records: this.#records,
      loaded,
      load: () => this.#disk.take(),
      mending:
        "the config disk is looked at every few seconds: put the mended files on it, or another disk in its place",
      setLogLevel: log.setLevel.bind(log),
      state: this.#state,
    };
    try {
      return await between(options, async (appliance) => {
        this.#appliance = appliance;
        if (this.#leaving !== undefined) appliance.leave(this.#leaving);
        const exchanged = await this.#loop(appliance, loaded, new CardWatch(log, nics, loaded.settings));
        appliance.stop(monotonic(), "the network cards or the config disk change");
        return exchanged;
      });
    } finally {
      this.#appliance = undefined;
    }
  }

  /** @returns the new cards where they are why it ended */
  async #loop(appliance: Appliance, loaded: LoadResult, cards: CardWatch): Promise<ChosenNics | undefined> {
    let diskAt = monotonic() + DISK_LOOK_EVERY_MS;
    let cardsAt = monotonic() + NIC_LOOK_EVERY_MS;
    let diskHasChanged = false;
    const isServer = loaded.ok && loaded.config.role === "server";
    let exchanged: ChosenNics | undefined;
    const lookAtDisk = (now: number): void => {
      this.#power.lookForButtons();
      // With a client's configuration that works the disk is let alone, and the buttons have had time to appear as well.
      if (isServer) {
        diskAt = now + FILES_LOOK_EVERY_MS;
        if (this.#disk.hasOtherFiles()) appliance.reconnect();
        return;
      }
      const { taken } = this.#disk;
      diskAt = taken.ok ? Number.POSITIVE_INFINITY : now + DISK_LOOK_EVERY_MS;
      if (!taken.ok) diskHasChanged = this.#disk.hasChanged();
    };
    const lookAtCards = (now: number): void => {
      cardsAt = now + NIC_LOOK_EVERY_MS;
      exchanged = cards.look();
    };
    await this.#turns({
      receive: (now) => appliance.receive(now),
      control: (now) => {
        appliance.control(now);
        if (now >= cardsAt) lookAtCards(now);
        if (now >= diskAt) lookAtDisk(now);
      },
      pollAt: () => Math.min(appliance.pollAt(), diskAt, cardsAt),
      done: () => appliance.done() || diskHasChanged || exchanged !== undefined,
      failed: (now, error, during) => appliance.failed(now, error, during),
    });
    return this.#leaving === undefined ? exchanged : undefined;
  }

  /** Asks again every so often until there is an answer; undefined when the machine is to be switched off. */
  async #until<T>(everyMs: number, probe: () => T | undefined): Promise<T | undefined> {
    let answer: T | undefined;
    let at = 0;
    let failure: unknown;
    await this.#turns({
      receive: () => false,
      control: (now) => {
        if (now < at) return;
        at = now + everyMs;
        this.#power.lookForButtons();
        answer = probe();
      },
      pollAt: () => at,
      done: () => answer !== undefined || failure !== undefined || this.#leaving !== undefined,
      failed: (_now, error) => {
        failure = error;
      },
    });
    if (failure !== undefined) throw failure;
    return answer;
  }

  #turns(turns: Turns): Promise<void> {
    const onReady = (bits: number): void => {
      this.#sink.onReady(bits);
      this.#power.onReady(bits);
    };
    return runLoop(turns, { poller: this.#poller, clock: monotonic, onReady });
  }
}

/** Lets the kernel write to the console only when it dies: its lines would stand between those of the log. */
function silenceKernel(log: Log): void {
  try {
    writeFileSync("/proc/sys/kernel/printk", "3 4 1 3\n");
  } catch (error) {
    log.write("debug", "console.kernel", (error as Error).message);
  }
}

function powerOff(log: Log): void {
  sync();
  try {
    reboot(RB_POWER_OFF);
  } catch (error) {
    log.write("error", "shutdown.failed", (error as Error).message);
  }
}
