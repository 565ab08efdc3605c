/**
 * KVM or TCG. /dev/kvm may be there while its guests hang (nested and paravirtual hosts), so KVM is used only where a
 * guest proves it: the kernel of the image boots without an initrd until it panics for want of a root file system. The
 * answer is remembered for this kernel, CPU and QEMU.
 */
import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus, homedir, release } from "node:os";
import { join } from "node:path";

export type AccelChoice = "auto" | "kvm" | "tcg";

export interface Accel {
  readonly kind: "kvm" | "tcg";
  /** Value of QEMU's -accel. */
  readonly accel: string;
  /** Value of QEMU's -cpu. Bun needs SSE4.2 and more, which QEMU's default model lacks. */
  readonly cpu: string;
}

export const TCG: Accel = { kind: "tcg", accel: "tcg,thread=multi", cpu: "max" };
const kvm = (cpu: string): Accel => ({ kind: "kvm", accel: "kvm", cpu });

/** Some hosts refuse to set the MSR behind the flag that the second one leaves out. */
const KVM_CPUS = ["host", "host,-arch-capabilities"] as const;
/** A working guest shows its first line within one second and panics within two. */
const FIRST_LINE_MS = 4000;
const PANIC_MS = 15_000;

/** The choice of MORGANA_ACCEL, "auto" when it is not set. @throws Error on any other word */
export function accelFromEnvironment(): AccelChoice {
  return parseAccel(process.env["MORGANA_ACCEL"] ?? "auto", "MORGANA_ACCEL");
}

/** @param where what the person wrote it into, for the message */
export function parseAccel(word: string, where: string): AccelChoice {
  if (word === "auto" || word === "kvm" || word === "tcg") return word;
  throw new Error(`${where} is auto, kvm or tcg, not ${JSON.stringify(word)}`);
}

/**
 * What to start QEMU with.
 * @param choice "kvm" is taken at its word, without a proof
 * @param kernel bzImage that the proof boots
 */
export async function findAccel(choice: AccelChoice, kernel: string): Promise<Accel> {
  if (choice === "tcg") return TCG;
  if (!kvmIsOpen()) {
    if (choice === "kvm") throw new Error("KVM was asked for, but /dev/kvm cannot be opened for reading and writing");
    return TCG;
  }
  const key = hostKey();
  const known = remembered(key);
  if (known !== undefined && (choice === "auto" || known.kind === "kvm")) return known;
  for (const cpu of KVM_CPUS) {
    if (await guestRuns(kvm(cpu), kernel)) return remember(key, kvm(cpu));
  }
  remember(key, TCG);
  return choice === "kvm" ? kvm("host") : TCG;
}

/** In front of a command: it ends when whoever started it does, however that ends (prctl(2), PR_SET_PDEATHSIG). */
export const DIES_WITH_US: readonly string[] = ["setpriv", "--pdeathsig", "KILL"];

/** Boots `kernel` alone; true when it gets as far as its panic. */
export async function guestRuns(accel: Accel, kernel: string, firstLineMs = FIRST_LINE_MS): Promise<boolean> {
  const child = Bun.spawn(
    [
      ...DIES_WITH_US,
      "qemu-system-x86_64",
      ...["-machine", "q35", "-accel", accel.accel, "-cpu", accel.cpu, "-m", "256", "-nodefaults", "-display", "none"],
      ...["-no-reboot", "-serial", "stdio", "-kernel", kernel, "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1"],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  );
  const kill = (): void => child.kill("SIGKILL");
  let timer = setTimeout(kill, firstLineMs);
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      if (text === "") {
        clearTimeout(timer);
        timer = setTimeout(kill, PANIC_MS);
      }
      text += decoder.decode(chunk, { stream: true });
      if (/Kernel panic|Unable to mount root/.test(text)) return true;
    }
    return false;
  } finally {
    clearTimeout(timer);
    kill();
    await child.exited;
  }
}

function kvmIsOpen(): boolean {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    // no KVM, or not for this user
    return false;
  }
}

function hostKey(): string {
  const qemu = Bun.spawnSync(["qemu-system-x86_64", "--version"]).stdout.toString().split("\n")[0];
  return `${release()} | ${cpus()[0]?.model ?? "?"} | ${qemu}`;
}

const cacheFile = (): string =>
  join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "morgana", "accel.json");

function remembered(key: string): Accel | undefined {
  try {
    const cache: unknown = JSON.parse(readFileSync(cacheFile(), "utf8"));
    if (typeof cache !== "object" || cache === null || !("key" in cache) || cache.key !== key) return undefined;
    const cpu = "kvm" in cache ? cache.kvm : undefined;
    if (cpu === false) return TCG;
    return typeof cpu === "string" && KVM_CPUS.some((known) => known === cpu) ? kvm(cpu) : undefined;
  } catch {
    // no answer yet, or none that can be read: ask again
    return undefined;
  }
}

function remember(key: string, accel: Accel): Accel {
  const file = cacheFile();
  try {
    mkdirSync(join(file, ".."), { recursive: true });
    const scratch = `${file}.${process.pid}`;
    writeFileSync(scratch, `${JSON.stringify({ key, kvm: accel.kind === "kvm" ? accel.cpu : false })}\n`);
    renameSync(scratch, file);
  } catch {
    // a folder that cannot be written to only means asking again next time
  }
  return accel;
}
