/**
 * Who had which address, over a restart of a server: in the folder of a service (STATE_DIRECTORY), and in the file that the profile names
 * (ifconfig-pool-persist), as openvpn writes it, so that one can take the other's place.
 */
import type { Log } from "../lib/log.ts";
import { keepPool } from "../platform/state/server.ts";
import type { StateStore } from "../platform/state/store.ts";
import type { PoolLease } from "../protocol/server/pool.ts";
import { formatPoolFile } from "../protocol/server/pool-file.ts";
import { replaceFile } from "./file-change.ts";

/** Where the profile has them written. */
export interface PoolFilePlace {
  readonly path: string;
  /** From one writing to the next at least. */
  readonly seconds: number;
  readonly isNet30: boolean;
}

export interface PoolKeeperOptions {
  readonly state: StateStore | undefined;
  /** undefined: the profile has no such file, or one that is only read. */
  readonly file: PoolFilePlace | undefined;
  readonly leases: () => readonly PoolLease[];
  readonly log: Log;
}

/** Our choices, ms: several changes are written together, and at the end nobody waits longer for a disk. */
const SOON = 2000;
const LAST_MS = 2000;
const MODE = 0o600;
const NEVER = Number.POSITIVE_INFINITY;

export class PoolKeeper {
  readonly #options: PoolKeeperOptions;
  #dueAt = NEVER;
  #paceAt = 0;
  #hasFailed = false;

  constructor(options: PoolKeeperOptions) {
    this.#options = options;
  }

  /** Somebody has come or gone. */
  changed(now: number): void {
    const { state, file, leases } = this.#options;
    keepPool(now, state, leases);
    if (file !== undefined && this.#dueAt === NEVER) this.#dueAt = Math.max(now + SOON, this.#paceAt);
  }

  poll(now: number): void {
    this.#options.state?.poll(now);
    if (now >= this.#dueAt) this.#write(now);
  }

  pollAt(): number {
    return Math.min(this.#dueAt, this.#options.state?.pollAt() ?? NEVER);
  }

  /** What has changed is written now. */
  async end(clock: () => number): Promise<void> {
    const { state } = this.#options;
    const now = clock();
    if (this.#dueAt !== NEVER) this.#write(now);
    state?.hurry(now);
    while (state !== undefined && !state.isIdle(clock()) && clock() < now + LAST_MS) {
      state.poll(clock());
      await new Promise((done) => setImmediate(done));
    }
  }

  #write(now: number): void {
    const { file, leases, log } = this.#options;
    this.#dueAt = NEVER;
    if (file === undefined) return;
    this.#paceAt = now + file.seconds * 1000;
    try {
      replaceFile(file.path, formatPoolFile(leases(), file.isNet30), MODE);
      this.#hasFailed = false;
    } catch (error) {
      const text = `ifconfig-pool-persist: ${(error as Error).message}: who has which address does not outlive a restart by this file`;
      if (!this.#hasFailed) log.write("warn", "state.failed", text);
      this.#hasFailed = true;
    }
  }
}
