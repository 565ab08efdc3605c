/**
 * The kernel of the machine that the appliance runs on as a process: kept off the two interfaces where it lets itself be
 * (platform/dev/kernel-block.ts), else refused where it would act on their packets beside us, at the start and later.
 */
import type { Log } from "../lib/log.ts";
import { checkInterface, type Danger } from "../platform/dev/interface.ts";
import { blockKernel, unblockKernel } from "../platform/dev/kernel-block.ts";
import { interfaceIndex } from "../platform/sys/syscalls.ts";

/** It cannot be kept off, and would act: a line for each danger. */
export class KernelActs extends Error {
  readonly dangers: readonly string[];

  constructor(dangers: readonly string[]) {
    super(dangers.join("\n"));
    this.dangers = dangers;
  }
}

export class HostKernel {
  readonly #log: Log;
  readonly #names: readonly string[];
  /** Those on which frames of VLANs are ours too. */
  #bridged: readonly string[] = [];
  /** Why the last look said that the LAN may leak. */
  #unsafe: readonly string[] = [];

  /** @param names of the interfaces */
  constructor(log: Log, names: readonly string[]) {
    this.#log = log;
    this.#names = names;
  }

  /**
   * Keeps it off the interfaces. @param bridged names of those that are bridged: frames of VLANs are ours there too @returns ends that
   * @throws KernelActs
   */
  keepOff(bridged: readonly string[]): () => void {
    this.#bridged = bridged;
    const blocked: number[] = [];
    const end = (): void => {
      for (const index of blocked) unblock(index);
    };
    try {
      this.#block(blocked);
    } catch (error) {
      // An interface may go while we look at it; the others are the machine's again.
      end();
      throw error;
    }
    this.say([]);
    return end;
  }

  /** @param blocked becomes the indices of those that the kernel is kept off @throws KernelActs */
  #block(blocked: number[]): void {
    const refusals: string[] = [];
    for (const name of this.#names) {
      const index = interfaceIndex(name);
      const why = blockKernel(index, this.#bridged.includes(name));
      if (why === undefined) blocked.push(index);
      const { dangers, warnings } = checkInterface(name);
      if (why === undefined) {
        for (const { text } of dangers)
          this.#log.write("warn", "interface.deaf", `${text}; that has no effect while the appliance runs`);
        continue;
      }
      this.#log.write("info", "interface.shared", `the kernel is not kept off ${name}: ${why}`);
      for (const warning of warnings) this.#log.write("warn", "interface.warning", warning);
      refusals.push(...dangers.map(refusal));
    }
    if (refusals.length > 0) throw new KernelActs(refusals);
  }

  /** Looks whether it has begun to act beside us, or has stopped: a container engine may turn forwarding on for all. */
  look(): void {
    this.say(this.#names.flatMap((name) => dangersNow(name, this.#bridged.includes(name))));
  }

  /** Logs which dangers are new, and which are over. */
  say(found: readonly string[]): void {
    for (const text of found)
      if (!this.#unsafe.includes(text)) this.#log.write("error", "interface.unsafe", `the LAN may leak: ${text}`);
    for (const text of this.#unsafe)
      if (!found.includes(text)) this.#log.write("info", "interface.safe", `no longer so: ${text}`);
    this.#unsafe = found;
  }
}

const refusal = ({ text, command }: Danger): string => `${text}; run: ${command}`;

/** Where somebody has taken the block away it is set again. */
function dangersNow(name: string, vlans: boolean): readonly string[] {
  try {
    return blockKernel(interfaceIndex(name), vlans) === undefined ? [] : checkInterface(name).dangers.map(refusal);
  } catch {
    return []; // the interface is gone, which the appliance sees by itself
  }
}

function unblock(index: number): void {
  try {
    unblockKernel(index);
  } catch {
    // The interface is gone, and the block with it.
  }
}
