/** The appliance's VM as an object: started, listened to, its buttons pressed. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AccelChoice, accelFromEnvironment, DIES_WITH_US, findAccel } from "./accel.ts";
import {
  type Boot,
  cardId,
  type DiskBus,
  LAN_MAC,
  type Link,
  type Machine,
  qemuArguments,
  type Side,
  WAN_MAC,
} from "./arguments.ts";
import { type DiskFormat, makeConfigDisk } from "./config-disk.ts";
import { qmp } from "./qmp.ts";

const ROOT = join(import.meta.dir, "..");

export interface VmOptions {
  /** MiB; 256. */
  readonly memory?: number | undefined;
  readonly cpus?: number | undefined;
  readonly machine?: Machine | undefined;
  /** Default: MORGANA_ACCEL, else KVM where it is proved. */
  readonly accel?: AccelChoice | undefined;
  /** Default: QEMU's own NAT. "none": no such card. */
  readonly wan?: Link | "none" | undefined;
  /** Default: a network with nobody on it. */
  readonly lan?: Link | "none" | undefined;
  /** Network namespace that holds the taps (a name of ip-netns). */
  readonly netns?: string | undefined;
  /** A folder (or one OpenVPN file) that becomes the config disk... */
  readonly config?: string | undefined;
  readonly diskFormat?: DiskFormat | undefined;
  /** ...or a disk that is there already. */
  readonly diskImage?: string | undefined;
  readonly diskBus?: DiskBus | undefined;
  /** Image of a state disk. */
  readonly state?: string | undefined;
  /** Folder with what `npm run image` made. */
  readonly dist?: string | undefined;
  /** Default: kernel, initrd and command line of dist. */
  readonly boot?: Boot | undefined;
  /** More words for the kernel's command line of dist. */
  readonly words?: string | undefined;
  /** QEMU outside of this process group, so that Ctrl-C in a terminal reaches only whoever started it. */
  readonly detached?: boolean | undefined;
  /** Each line of the serial console, without its end. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** What is missing for a VM, in words, or undefined. */
export function vmProblem(dist = join(ROOT, "dist")): string | undefined {
  const missing = ["morgana-kernel", "morgana-initrd.img", "morgana-cmdline"].find((f) => !existsSync(join(dist, f)));
  if (missing !== undefined) return `${join(dist, missing)} is missing: npm run image`;
  return Bun.which("qemu-system-x86_64") === null ? "qemu-system-x86_64 is missing: scripts/bootstrap" : undefined;
}

/** Switches a VM on; returns as soon as QEMU runs. @throws Error when it cannot be started */
export async function startVm(options: VmOptions = {}): Promise<RunningVm> {
  const dist = options.dist ?? join(ROOT, "dist");
  const problem = vmProblem(dist);
  if (problem !== undefined) throw new Error(problem);
  const kernel = join(dist, "morgana-kernel");
  const accel = await findAccel(options.accel ?? accelFromEnvironment(), kernel);
  const folder = mkdtempSync(join(tmpdir(), "morgana-vm-"));
  try {
    let image = options.diskImage;
    if (options.config !== undefined) {
      image = join(folder, "config.img");
      makeConfigDisk(options.config, image, options.diskFormat);
    }
    const link = (given: Link | "none" | undefined, otherwise: Link): Link | undefined =>
      given === "none" ? undefined : (given ?? otherwise);
    const socket = join(folder, "qmp");
    const argv = qemuArguments({
      machine: options.machine ?? "q35",
      accel,
      memory: options.memory ?? 256,
      cpus: options.cpus ?? 2,
      boot: options.boot ?? {
        kind: "kernel",
        kernel,
        initrd: join(dist, "morgana-initrd.img"),
        cmdline: `${readFileSync(join(dist, "morgana-cmdline"), "utf8").trim()} ${options.words ?? ""}`.trim(),
      },
      wan: link(options.wan, { kind: "user" }),
      lan: link(options.lan, { kind: "alone" }),
      disk: image === undefined ? undefined : { image, bus: options.diskBus ?? "virtio-blk" },
      state: options.state,
      qmp: socket,
    });
    const inNamespace = options.netns === undefined ? [] : ["ip", "netns", "exec", options.netns];
    const vm = new RunningVm(
      [...DIES_WITH_US, ...inNamespace, "qemu-system-x86_64", ...argv],
      folder,
      accel.kind,
      options,
    );
    await vm.ready(socket);
    return vm;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** On a busy machine QEMU takes seconds to read a large initrd; longer means that it hangs. */
const START_MS = 60_000;

export class RunningVm {
  readonly accel: "kvm" | "tcg";
  /** Lines of the serial console so far. */
  readonly lines: string[] = [];
  readonly process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #folder: string;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #drained: Promise<unknown>;
  #waiting: (() => void)[] = [];
  #socket = "";
  /** QEMU has ended, and what it had said has been read. */
  #over = false;
  #errors = "";

  constructor(argv: string[], folder: string, accel: "kvm" | "tcg", options: Pick<VmOptions, "onLine" | "detached">) {
    this.accel = accel;
    this.#folder = folder;
    this.#onLine = options.onLine;
    this.process = Bun.spawn(argv, {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      detached: options.detached ?? false,
    });
    process.once("exit", this.#killNow);
    this.#drained = Promise.all([this.#readConsole(), this.#readErrors()]).finally(() => {
      process.off("exit", this.#killNow);
      rmSync(folder, { recursive: true, force: true });
      this.#over = true;
      this.#wake();
    });
    // Whoever waits on this asks for what it says; a reader that fails must not end the program.
    this.#drained.catch(() => {});
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Resolves when QEMU takes commands. @throws Error with what QEMU said when it ends instead */
  async ready(socket: string): Promise<void> {
    this.#socket = socket;
    for (const until = performance.now() + START_MS; performance.now() < until && this.alive; ) {
      if (existsSync(socket)) return;
      await Bun.sleep(10);
    }
    await this.stop();
    throw new Error(`QEMU did not start: ${this.#errors.trim()} ${this.lines.slice(-5).join(" | ")}`.trim());
  }

  /** The first console line from `from` on that matches; undefined after `ms`, or when the VM ended without one. */
  async waitFor(pattern: RegExp, ms: number, from = 0): Promise<string | undefined> {
    const until = performance.now() + ms;
    for (let at = from; ; ) {
      for (; at < this.lines.length; at++) {
        const line = this.lines[at] as string;
        if (line.search(pattern) >= 0) return line;
      }
      const left = until - performance.now();
      if (left <= 0 || this.#over) return undefined;
      await this.#change(left);
    }
  }

  /** Presses the power button. */
  async powerdown(): Promise<void> {
    await qmp(this.#socket, "system_powerdown");
  }

  async ctrlAltDel(): Promise<void> {
    const keys = ["ctrl", "alt", "delete"].map((data) => ({ type: "qcode", data }));
    await qmp(this.#socket, "send-key", { keys });
  }

  /** Pulls a network card; the guest may take a moment to let go of it. Only the machine pc has slots for that. */
  async unplug(side: Side): Promise<void> {
    await qmp(this.#socket, "device_del", { id: cardId(side) });
  }

  /** Puts a card back that was pulled, with the cable that it had. @throws Error while the guest holds on to the old one */
  async plug(side: Side): Promise<void> {
    const mac = side === "wan" ? WAN_MAC : LAN_MAC;
    await qmp(this.#socket, "device_add", { driver: "virtio-net-pci", id: cardId(side), netdev: side, mac });
  }

  /** Types on the serial console. */
  type(text: string): void {
    this.process.stdin.write(text);
    void this.process.stdin.flush();
  }

  /** QEMU's exit status, when all that it said has been read: 0 when the guest switched itself off. undefined: still running after `ms`. */
  async ended(ms: number): Promise<number | undefined> {
    const late = Symbol();
    const timer = Promise.withResolvers<typeof late>();
    const handle = setTimeout(() => timer.resolve(late), ms);
    const first = await Promise.race([
      Promise.allSettled([this.#drained]).then(() => this.process.exited),
      timer.promise,
    ]);
    clearTimeout(handle);
    return first === late ? undefined : (first as number);
  }

  /** Ends the VM at once. */
  async stop(): Promise<void> {
    this.#killNow();
    await this.process.exited;
    await this.#drained.catch(() => {});
    rmSync(this.#folder, { recursive: true, force: true });
  }

  readonly #killNow = (): void => {
    if (this.alive) this.process.kill("SIGKILL");
  };

  async #readConsole(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.process.stdout) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() as string;
      for (const part of parts) this.#line(part);
      if (parts.length > 0) this.#wake();
    }
    if (rest !== "") this.#line(rest);
  }

  #line(text: string): void {
    const line = text.replace(/\r+$/, "");
    this.lines.push(line);
    this.#onLine?.(line);
  }

  async #readErrors(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.process.stderr) this.#errors += decoder.decode(chunk, { stream: true });
  }

  #change(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#waiting.push(() => {
      clearTimeout(timer);
      resolve();
    });
    return promise;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
