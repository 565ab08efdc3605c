/**
 * The booted appliance as a world's router: QEMU on taps that are bridged to the router's interfaces. It takes what `npm run image` made from
 * dist/ and nothing else, as a user who starts QEMU by hand does.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, must, until } from "./process.ts";
import { ROOT } from "./router.ts";
import type { World } from "./world.ts";

export interface VmOptions {
  /** A folder for the config disk; undefined: no disk at all. */
  readonly config: string | undefined;
  /** MiB. */
  readonly memory?: number;
  readonly machine?: "q35" | "pc";
  /** 1 leaves out the LAN. */
  readonly nics?: 1 | 2;
}

export const IMAGE_FILES = ["morgana-kernel", "morgana-initrd.img", "morgana-cmdline"].map((name) =>
  join(ROOT, "dist", name),
);

/** What is missing for a VM, in words, or undefined. */
export function vmProblem(): string | undefined {
  const file = IMAGE_FILES.find((path) => !existsSync(path));
  if (file !== undefined) return `${file} is missing: npm run image`;
  const tool = ["qemu-system-x86_64", "xorriso"].find((name) => Bun.which(name) === null);
  return tool === undefined ? undefined : `${tool} is missing`;
}

/** MACs of the VM's own interfaces. */
export const VM_WAN_MAC = "52:54:00:00:00:01";
export const VM_LAN_MAC = "52:54:00:00:00:02";

export class Vm {
  private readonly qemu: Daemon;
  private readonly monitorPath: string;

  constructor(qemu: Daemon, monitorPath: string) {
    this.qemu = qemu;
    this.monitorPath = monitorPath;
  }

  get pid(): number {
    return this.qemu.pid;
  }

  get alive(): boolean {
    return this.qemu.alive;
  }

  /** The serial console. */
  log(): string {
    return this.qemu.log();
  }

  says(pattern: RegExp, seconds: number, from = 0): Promise<RegExpExecArray | undefined> {
    return this.qemu.says(pattern, seconds, from);
  }

  ended(seconds: number): Promise<number | undefined> {
    return this.qemu.ended(seconds);
  }

  /** Sends one line to QEMU's monitor. */
  async monitor(command: string): Promise<void> {
    const closed = Promise.withResolvers<void>();
    let greeted = false;
    const socket = await Bun.connect({
      unix: this.monitorPath,
      socket: {
        data(peer, chunk) {
          if (!chunk.toString().includes("(qemu)")) return;
          if (greeted) peer.end();
          else peer.write(`${command}\n`);
          greeted = true;
        },
        close: () => closed.resolve(),
        error: () => closed.resolve(),
      },
    });
    await Promise.race([closed.promise, Bun.sleep(2000)]);
    socket.end();
  }

  /** Presses the power button and waits; the status of QEMU, -1 when it had to be killed. */
  async stop(_signal: NodeJS.Signals = "SIGTERM", seconds = 15): Promise<number> {
    if (this.alive) await this.monitor("system_powerdown").catch(() => {});
    return (await this.ended(seconds)) ?? (await this.kill());
  }

  async kill(): Promise<number> {
    await this.qemu.stop("SIGKILL");
    return -1;
  }
}

/** Boots the image. QEMU's own exit status is 0 when the guest powered off. */
export async function startVm(world: World, options: VmOptions): Promise<Vm> {
  const problem = vmProblem();
  if (problem !== undefined) throw new Error(problem);
  await addTaps(world);
  const { memory = 256, machine = "q35", nics = 2 } = options;
  const monitor = join(world.dir, `monitor-${++serial}`);
  const argv = [
    ...[
      "qemu-system-x86_64",
      "-machine",
      machine,
      "-accel",
      "tcg,thread=multi",
      "-cpu",
      "max",
      "-smp",
      "2",
      "-m",
      `${memory}`,
    ],
    ...[
      "-nodefaults",
      "-display",
      "none",
      "-serial",
      "stdio",
      "-no-reboot",
      "-monitor",
      `unix:${monitor},server=on,wait=off`,
    ],
    ...[
      "-kernel",
      IMAGE_FILES[0]!,
      "-initrd",
      IMAGE_FILES[1]!,
      "-append",
      readFileSync(IMAGE_FILES[2]!, "utf8").trim(),
    ],
    ...nic("w", "tw", VM_WAN_MAC),
    ...(nics > 1 ? nic("l", "tl", VM_LAN_MAC) : []),
  ];
  if (options.config !== undefined) {
    const disk = join(world.dir, `config-${serial}.iso`);
    await must(["xorriso", "-as", "mkisofs", "-quiet", "-V", "CIDATA", "-J", "-R", "-o", disk, options.config]);
    argv.push("-drive", `file=${disk},format=raw,if=virtio,readonly=on`);
  }
  const vm = new Vm(world.start("router", "rt", argv), monitor);
  if ((await until(() => existsSync(monitor) || !vm.alive, 5)) === undefined || !vm.alive)
    throw new Error(`QEMU did not start: ${vm.log()}`);
  return vm;
}

let serial = 0;

function nic(id: string, tap: string, mac: string): string[] {
  return [
    "-netdev",
    `tap,id=${id},ifname=${tap},script=no,downscript=no`,
    "-device",
    `virtio-net-pci,netdev=${id},mac=${mac}`,
  ];
}

/** Bridges a tap for each side to the router's interfaces; once for each world. */
async function addTaps(world: World): Promise<void> {
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
