/** Once a day: which certificates and lists of a profile have run out, or will soon. At the start, and when it is read again, that is looked at with it. */
import type { Log } from "../../lib/log.ts";
import { formatProblem } from "../../protocol/config/problem.ts";
import type { StaticConfig } from "../../protocol/config/types.ts";
import { type CheckedConfig, dateWarnings } from "./tls-check.ts";

export interface DateWatchOptions {
  readonly log: Log;
  /** What runs; undefined: nothing does. */
  readonly config: () => CheckedConfig | StaticConfig | undefined;
  readonly unixSeconds: () => number;
}

const EVERY_MS = 86_400_000;

export class DateWatch {
  readonly #options: DateWatchOptions;
  #at: number;

  constructor(now: number, options: DateWatchOptions) {
    this.#options = options;
    this.#at = now + EVERY_MS;
  }

  poll(now: number): void {
    if (now < this.#at) return;
    this.#at = now + EVERY_MS;
    const { log, config, unixSeconds } = this.#options;
    const current = config();
    if (current === undefined || current.role === "static") return;
    for (const warning of dateWarnings(current, unixSeconds()))
      log.write("warn", "config.warning", formatProblem(warning));
  }

  pollAt(): number {
    return this.#at;
  }
}
