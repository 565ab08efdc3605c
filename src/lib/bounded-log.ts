/**
 * Log lines that somebody else can cause (a neighbour, a server), in bounds: of each event a few at once, and then one in a
 * while, with the number of those that were held back.
 */
import type { Log, LogFields, LogLevel } from "./log.ts";
import { RateLimit } from "./rate-limit.ts";

export class BoundedLog {
  readonly #log: Log;
  readonly #perMinute: number;
  readonly #burst: number;
  readonly #events = new Map<string, { readonly limit: RateLimit; held: number }>();

  /** @param perMinute lines of one event, on average @param burst at once */
  constructor(log: Log, perMinute = 1, burst = 1) {
    this.#log = log;
    this.#perMinute = perMinute;
    this.#burst = burst;
  }

  /** As {@link Log.write}; `event` is a constant, so that they are few. @returns whether it was written: not held back */
  write(now: number, level: LogLevel, event: string, message: string, fields: LogFields = {}): boolean {
    if (!this.#log.enabled(level)) return false;
    const known = this.#events.get(event);
    const state = known ?? { limit: new RateLimit(this.#perMinute / 60, this.#burst), held: 0 };
    if (known === undefined) this.#events.set(event, state);
    if (!state.limit.take(now)) {
      state.held++;
      return false;
    }
    const held = state.held === 0 ? undefined : state.held;
    state.held = 0;
    this.#log.write(level, event, message, held === undefined ? fields : { ...fields, "held-back": held });
    return true;
  }
}
