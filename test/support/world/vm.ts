/** The booted appliance as a world's router: a VM on taps that are bridged to the router's interfaces. */
import { join } from "node:path";
import type { Machine } from "../../../qemu/arguments.ts";
import { makeConfigDisk } from "../../../qemu/config-disk.ts";
import { type RunningVm, startVm as switchOn, vmProblem } from "../../../qemu/vm.ts";
import { type PartitionTable, partitionDisk } from "./partition.ts";
import { PATIENCE } from "./process.ts";
import type { World } from "./world.ts";

export { vmProblem };

/** Under TCG, on a machine that other tests use as well: longer means that it hangs. */
export const BOOT_SECONDS = 120;

export interface VmOptions {
  /** A folder for the config disk; undefined: no disk at all. */
  readonly config: string | undefined;
  /** A config disk that is there already, in place of `config`. */
  readonly image?: string;
  /** MiB. */
  readonly memory?: number;
  readonly machine?: Machine;
  /** 1 leaves out the LAN. */
  readonly nics?: 1 | 2;
  /** The first card (MAC 52:54:00:00:00:01) is plugged into the LAN, the second (...:02) into the WAN. */
  readonly swapped?: boolean;
  /** Puts `config` on the first partition of a disk instead of on the whole of it. */
  readonly partitions?: PartitionTable;
  /** Image of a state disk. */
  readonly state?: string;
  /** More words for the kernel's command line. */
  readonly words?: string;
}

/** The same face as a program of the world has. */
export class Vm {
  readonly running: RunningVm;
  /** When QEMU was started (performance.now()): what goes before, such as the trial of KVM, is not the VM's. */
  readonly poweredAt = performance.now();

  constructor(running: RunningVm) {
    this.running = running;
  }

  get pid(): number {
    return this.running.process.pid;
  }

  get alive(): boolean {
    return this.running.alive;
  }

  /** The serial console so far. */
  log(): string {
    return this.running.lines.map((line) => `${line}\n`).join("");
  }

  /** The console line that matches, or undefined after `seconds`. */
  says(pattern: RegExp, seconds: number): Promise<string | undefined> {
    return this.running.waitFor(pattern, seconds * 1000);
  }

  /** The same for the lines from number `from` on; fails with the end of what is there. */
  async mustSay(pattern: RegExp, from = 0, seconds = BOOT_SECONDS): Promise<string> {
    const line = await this.running.waitFor(pattern, seconds * 1000, from);
    if (line === undefined) throw new Error(`the console does not say ${pattern}:\n${this.log().slice(-3000)}`);
    return line;
  }

  ended(seconds: number): Promise<number | undefined> {
    return this.running.ended(seconds * 1000);
  }

  /** Presses the power button and waits; QEMU's status, -1 when it had to be killed. */
  async stop(_signal: NodeJS.Signals = "SIGTERM", seconds = PATIENCE): Promise<number> {
    if (this.alive) await this.running.powerdown().catch(() => {});
    return (await this.ended(seconds)) ?? (await this.kill());
  }

  async kill(): Promise<number> {
    await this.running.stop();
    return -1;
  }
}

/** Where a router stands in a world: between the interfaces w0 and l1 of a namespace. */
export type RouterPlace = Pick<World, "dir"> & {
  ns(part: "rt"): string;
  sh(part: "rt", script: string): Promise<string>;
};

/** Boots the image. */
export async function startVm(world: RouterPlace, options: VmOptions): Promise<Vm> {
  await addTaps(world);
  const [first, second] = options.swapped === true ? ["tl", "tw"] : ["tw", "tl"];
  const running = await switchOn({
    ...(options.image !== undefined
      ? { diskImage: options.image }
      : options.partitions !== undefined && options.config !== undefined
        ? { diskImage: partitioned(world, options.config, options.partitions) }
        : { config: options.config }),
    state: options.state,
    words: options.words,
    memory: options.memory ?? 256,
    machine: options.machine ?? "q35",
    netns: world.ns("rt"),
    wan: { kind: "tap", name: first as string },
    lan: options.nics === 1 ? "none" : { kind: "tap", name: second as string },
  });
  return new Vm(running);
}

function partitioned(world: RouterPlace, config: string, table: PartitionTable): string {
  const [image, fileSystem] = [join(world.dir, `${table}.img`), join(world.dir, `${table}-1.img`)];
  makeConfigDisk(config, fileSystem, table === "mbr" ? "fat" : "ext4", "MORGANA");
  partitionDisk(image, table, fileSystem);
  return image;
}

/** Bridges a tap for each side to the router's interfaces; once for each world. */
async function addTaps(world: RouterPlace): Promise<void> {
  await world.sh(
    "rt",
    `for p in 'w0 brw tw' 'l1 brl tl'; do set -- $p
       if ! ip link show $2 >/dev/null 2>&1; then
         ip link add $2 type bridge mcast_snooping 0; ip link set $2 up; ip link set $1 master $2
         ip tuntap add $3 mode tap; ip link set $3 up master $2
       fi
     done`,
  );
}
