/** What this process changes of the host: each change is written down before it is made, and until it is taken back. */
import type { Log } from "../lib/log.ts";
import { linkOf } from "../platform/net/rtnetlink.ts";
import { EPERM, SysError } from "../platform/sys/errno.ts";
import {
  type AddressChange,
  type Change,
  describe,
  isMade,
  KernelLook,
  type LinkChange,
  make,
  type RouteChange,
  takeBack,
} from "./change.ts";
import type { Held, Journal } from "./journal.ts";

export type { Held } from "./journal.ts";
export type NetworkChange = AddressChange | RouteChange | LinkChange;

export class Changes {
  readonly #log: Log;
  readonly #journal: Journal | undefined;
  /** Changes that this user may not make: told together. */
  #refused: string[] = [];

  /** @param journal undefined: nothing that is changed outlives the process */
  constructor(log: Log, journal: Journal | undefined) {
    this.#log = log;
    this.#journal = journal;
  }

  /**
   * Makes a change of the network.
   * @returns what to take back; undefined: it was there already, or this user may not make it ({@link tellRefused})
   * @throws SysError
   */
  network(change: NetworkChange): Held | undefined {
    const held = this.begin(change);
    try {
      if (make(change)) return held;
    } catch (error) {
      this.forget(held);
      if (!(error instanceof SysError) || error.errno !== EPERM) throw error;
      if (!isMade(change)) this.#refused.push(describe(change));
      return undefined;
    }
    this.forget(held);
    return undefined;
  }

  /** Which of them are not there any more; the MTU of a device is anybody's to set. @throws SysError */
  lost(changes: readonly NetworkChange[]): NetworkChange[] {
    const look = new KernelLook();
    return changes.filter((change) =>
      change.kind === "link" ? linkOf(change.device.index)?.up === false : !isMade(change, look),
    );
  }

  /** Makes a change that holds once more, as somebody else has taken it back. @returns whether it was not there @throws SysError */
  again({ change }: Held): boolean {
    if (change.kind === "file" || change.kind === "command") return false;
    try {
      return make(change);
    } catch (error) {
      if (!(error instanceof SysError) || error.errno !== EPERM) throw error;
      this.#refused.push(describe(change));
      return false;
    }
  }

  /** Writes a change down that the caller then makes. */
  begin(change: Change): Held {
    return { change, id: this.#journal?.begin(change) ?? 0 };
  }

  undo(held: Held): void {
    const problem = takeBack(held.change);
    if (problem !== undefined) this.#log.write("warn", "host.left", problem);
    this.forget(held);
  }

  /** What this user may not do since the last call, as commands. */
  takeRefused(): string[] {
    return this.#refused.splice(0);
  }

  /** It was not made after all. */
  forget(held: Held): void {
    this.#journal?.end(held.id);
  }
}
