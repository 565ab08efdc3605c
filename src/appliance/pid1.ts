/**
 * The appliance as PID 1 of its own machine: drivers, config disk, network cards, then the appliance between the two
 * cards. It never ends but by switching the machine off; what is missing is said on the console and waited for.
 */
import { writeFileSync } from "node:fs";
import type { Log } from "../lib/log.ts";
import { DevicePair } from "../platform/dev/pair.ts";
import type { ConsoleLog } from "../platform/log/console-log.ts";
import type { LineSink } from "../platform/log/line-sink.ts";
import { openProcessLog } from "../platform/log/process-log.ts";
import { monotonic, runLoop, type Turns } from "../platform/loop.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import { interfaceIndex, RB_POWER_OFF, reboot, setHostname, sync } from "../platform/sys/syscalls.ts";
import { Appliance } from "./appliance.ts";
import { type ConfigDisk, findConfigDisk, releaseConfigDisk } from "./disk/find.ts";
import { loadModules, modulesFolder } from "./init/modules.ts";
import { ensureMounts } from "./init/mounts.ts";
import { type ChosenNics, chooseNics, describeNic, findNics, keepSides, type NicSide } from "./init/nics.ts";
import { Power } from "./init/power.ts";
import { type LoadResult, loadProfile } from "./profile.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";
import { ROUTER_PATH_BYTES } from "./wiring/router.ts";

/** SCSI and ATA disks appear a moment after their drivers. */
const DISK_PATIENCE_MS = 3000;
const DISK_LOOK_EVERY_MS = 2000;
/** While it is likely that one is about to appear. */
const DISK_LOOK_SOON_MS = 100;
const NIC_LOOK_EVERY_MS = 1000;
const RETRY_AFTER_MS = 5000;
const SAY_AGAIN_EVERY_MS = 60_000;
/** For a console that is slow, before the machine goes off. */
const LAST_WORDS_MS = 1000;

/** Only for a disk that is not there: the LAN address answers, nothing else does. */
const NO_CONFIGURATION: LoadResult = {
  ok: false,
  settings: DEFAULT_SETTINGS,
  notices: [],
  warnings: [],
  problems: [],
};

/** Never returns. */
export async function bootAppliance(version: string): Promise<number> {
  const { log, sink } = openProcessLog("info", "text");
  log.write("info", "start", "", { version });
  const machine = new Machine(log, sink);
  for (;;) {
    try {
      await machine.run();
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

class Machine {
  readonly #log: ConsoleLog;
  readonly #sink: LineSink;
  /** Of the data path, for one appliance after the other: mapped memory is never given back. */
  readonly #memory = new NativeMemory(ROUTER_PATH_BYTES);
  #poller: Poller | undefined;
  #power: Power | undefined;
  #appliance: Appliance | undefined;
  /** Why the machine is to be switched off. */
  #leaving: string | undefined;
  #disk: ConfigDisk | undefined;
  /** What the disk held when it was last taken. */
  #taken: LoadResult = NO_CONFIGURATION;

  constructor(log: ConsoleLog, sink: LineSink) {
    this.#log = log;
    this.#sink = sink;
  }

  /** Returns when the machine is to be switched off. */
  async run(): Promise<void> {
    if (this.#power === undefined) this.#start();
    while (this.#leaving === undefined) {
      const loaded = await this.#firstConfiguration();
      if (this.#leaving !== undefined) return;
      this.#applySettings(loaded.settings);
      const { settings } = loaded;
      let nics = await this.#waitForNics(settings);
      let first: LoadResult | undefined = loaded;
      while (nics !== undefined) {
        nics = await this.#runBetween(nics, settings, first);
        first = undefined;
      }
    }
  }

  /** What is done once: a poller and the signals outlive a failure. */
  #start(): void {
    const log = this.#log;
    this.#poller = new Poller();
    this.#sink.attach(this.#poller);
    ensureMounts(log);
    silenceKernel(log);
    loadModules(modulesFolder(), log);
    this.#power = new Power(this.#poller, log, {
      leave: (cause) => this.#leave(cause),
      statistics: () => this.#statistics(),
    });
    this.#power.start();
    this.#power.lookForButtons();
    process.on("SIGUSR1", () => this.#appliance?.reconnect());
    process.on("SIGUSR2", () => this.#statistics());
  }

  #onReady(bits: number): void {
    this.#sink.onReady(bits);
    this.#power?.onReady(bits);
  }

  #leave(cause: string): void {
    if (this.#appliance !== undefined) this.#appliance.leave(cause);
    else if (this.#leaving === undefined) this.#log.write("info", "shutdown", "", { cause });
    this.#leaving ??= cause;
  }

  #statistics(): void {
    if (this.#appliance !== undefined) this.#appliance.logStatistics();
    else this.#log.write("info", "statistics", "nothing to count yet: the appliance waits for what it says above");
  }

  /** The configuration of the disk, or the defaults when there is none within the first seconds. */
  async #firstConfiguration(): Promise<LoadResult> {
    const by = monotonic() + DISK_PATIENCE_MS;
    const found = await this.#until(
      DISK_LOOK_SOON_MS,
      () => this.#readDisk() ?? (monotonic() >= by ? false : undefined),
    );
    if (found === false) this.#sayNoDisk();
    this.#taken = found || NO_CONFIGURATION;
    return this.#taken;
  }

  /** undefined: no config disk. It is let go of at once, so that it can be exchanged. */
  #readDisk(): LoadResult | undefined {
    const { disk } = findConfigDisk();
    const before = this.#disk;
    this.#disk = disk;
    if (disk === undefined) return undefined;
    if (before?.device !== disk.device || before.content !== disk.content) {
      this.#log.write("info", "disk.found", "", { device: disk.device, content: disk.content });
    }
    const loaded = loadProfile(disk.reader, disk.options);
    releaseConfigDisk();
    return loaded;
  }

  /** A disk is there that was not, or it holds something else than what was taken. */
  #diskHasChanged(): boolean {
    const wasThere = this.#disk !== undefined;
    const now = this.#readDisk();
    if (now === undefined || (wasThere && gist(now) === gist(this.#taken))) return false;
    this.#log.write("info", "disk.changed", "the config disk is new or has changed: starting anew with it");
    return true;
  }

  #sayNoDisk(): void {
    const { seen } = findConfigDisk();
    const others =
      seen.length === 0
        ? "the machine has none that the kernel knows (virtio, SCSI and IDE are seen; SATA and USB are not)"
        : `not it: ${seen.slice(0, 8).join(", ")}`;
    this.#log.write(
      "error",
      "disk.missing",
      `no config disk: ${others}. Attach a disk labelled MORGANA, CIDATA or cidata (ISO 9660, FAT or ext4) that holds the .ovpn file` +
        ", or one that is the bare .ovpn file or a tar archive (QEMU: -drive file=config.iso,format=raw,if=virtio,readonly=on);" +
        " the LAN stays closed until then, and I keep looking",
    );
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
      if (said !== "" && this.#diskHasChanged()) return false;
      const text = choice.missing.join("\n");
      if (text !== said || monotonic() >= sayAgainAt) {
        for (const missing of choice.missing) this.#log.write("error", "nic.missing", `${missing}; I keep looking`);
        said = text;
        sayAgainAt = monotonic() + SAY_AGAIN_EVERY_MS;
      }
      return undefined;
    });
    return found || undefined;
  }

  /**
   * Runs the appliance until the machine is to be switched off, or a config disk that was missing or of no use has
   * changed, or a card that was pulled has been replaced.
   * @param first the configuration; undefined: it is on the disk
   * @returns the cards to go on with
   */
  async #runBetween(
    nics: ChosenNics,
    settings: Settings,
    first: LoadResult | undefined,
  ): Promise<ChosenNics | undefined> {
    const log = this.#log;
    const memory = this.#memory;
    memory.reset();
    log.write("info", "nic.chosen", "", {
      wan: `${nics.wan.name}/${nics.wan.pci}`,
      lan: `${nics.lan.name}/${nics.lan.pci}`,
    });
    const devices = DevicePair.open(nics.wan.name, nics.lan.name, memory, this.#poller as Poller);
    let loaded = first;
    try {
      const appliance = new Appliance({
        memory,
        wan: devices.wan,
        lan: devices.lan,
        log,
        load: () => {
          const now = loaded ?? this.#readDisk();
          loaded = undefined;
          if (now === undefined) this.#sayNoDisk();
          this.#taken = now ?? NO_CONFIGURATION;
          return this.#taken;
        },
        mending:
          "the config disk is looked at every few seconds: put the mended files on it, or another disk in its place",
        setLogLevel: (level) => log.setLevel(level),
      });
      this.#appliance = appliance;
      if (this.#leaving !== undefined) appliance.leave(this.#leaving);
      const exchanged = await this.#loop(appliance, this.#cardWatch(nics, settings));
      appliance.stop("the network cards or the config disk change");
      return exchanged;
    } finally {
      this.#appliance = undefined;
      devices.close();
    }
  }

  /** @param cards looks whether the cards are to be exchanged. @returns the new ones where that is why it ended */
  async #loop(appliance: Appliance, cards: () => ChosenNics | undefined): Promise<ChosenNics | undefined> {
    let lookAt = monotonic() + DISK_LOOK_EVERY_MS;
    let cardsAt = monotonic() + NIC_LOOK_EVERY_MS;
    let diskHasChanged = false;
    let exchanged: ChosenNics | undefined;
    const turns: Turns = {
      receive: (now) => appliance.receive(now),
      control: (now) => {
        appliance.control(now);
        if (now >= cardsAt) {
          cardsAt = now + NIC_LOOK_EVERY_MS;
          exchanged = cards();
        }
        if (now < lookAt) return;
        this.#power?.lookForButtons();
        // With a configuration that works, the buttons have had time to appear as well.
        lookAt = this.#taken.ok ? Number.POSITIVE_INFINITY : now + DISK_LOOK_EVERY_MS;
        if (!this.#taken.ok) diskHasChanged = this.#diskHasChanged();
      },
      pollAt: () => Math.min(appliance.pollAt(), lookAt, cardsAt),
      done: () => appliance.done() || diskHasChanged || exchanged !== undefined,
      failed: (error, during) => appliance.failed(error, during),
    };
    await runLoop(turns, this.#poller as Poller, (bits) => this.#onReady(bits));
    return this.#leaving === undefined ? exchanged : undefined;
  }

  /**
   * A look at the cards: a pulled one is named, once, and when there is another the new choice is the answer. A third
   * card that was idle before does not step in: it may be on a network that nobody meant to open.
   */
  #cardWatch(nics: ChosenNics, settings: Settings): () => ChosenNics | undefined {
    const idle = new Set(
      findNics()
        .map(({ index }) => index)
        .filter((index) => index !== nics.wan.index && index !== nics.lan.index),
    );
    const said = new Set<NicSide>();
    return () => {
      const lost = (["wan", "lan"] as const).filter((side) => interfaceIndex(nics[side].name) !== nics[side].index);
      if (lost.length === 0) return undefined;
      for (const side of lost) {
        if (said.has(side)) continue;
        said.add(side);
        const text = `the ${side.toUpperCase()} NIC ${describeNic(nics[side])} was pulled out; nothing is forwarded until there is one again, and I keep looking`;
        this.#log.write("error", "nic.lost", text);
      }
      const choice = chooseNics(
        findNics().filter(({ index }) => !idle.has(index)),
        keepSides(settings, nics, lost),
      );
      return choice.ok ? choice : undefined;
    };
  }

  /** Asks again every so often until there is an answer; undefined when the machine is to be switched off. */
  async #until<T>(everyMs: number, probe: () => T | undefined): Promise<T | undefined> {
    let answer: T | undefined;
    let at = 0;
    let failure: unknown;
    const turns: Turns = {
      receive: () => false,
      control: (now) => {
        if (now < at) return;
        at = now + everyMs;
        this.#power?.lookForButtons();
        answer = probe();
      },
      pollAt: () => at,
      done: () => answer !== undefined || failure !== undefined || this.#leaving !== undefined,
      failed: (error) => {
        failure = error;
      },
    };
    await runLoop(turns, this.#poller as Poller, (bits) => this.#onReady(bits));
    if (failure !== undefined) throw failure;
    return answer;
  }
}

/** What a person would call different. */
const gist = ({ ok, settings, warnings, ...rest }: LoadResult): string =>
  JSON.stringify([ok, settings, warnings, "problems" in rest ? rest.problems : []]);

/** Only a dying kernel may write between the lines of the log. */
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
