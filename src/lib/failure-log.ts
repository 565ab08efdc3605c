/** Failures of our own in the log: one that comes again at every turn would fill it. */
import type { Log } from "./log.ts";

const SAY_AGAIN_MS = 60_000;

export class FailureLog {
  readonly #log: Log;
  #last = { text: "", at: Number.NEGATIVE_INFINITY };

  constructor(log: Log) {
    this.#log = log;
  }

  /** Says it with its stack, unless it is the one that was said last, less than a minute ago. */
  write(now: number, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (text === this.#last.text && now < this.#last.at + SAY_AGAIN_MS) return;
    this.#last = { text, at: now };
    this.#log.write("error", "internal.error", text);
  }
}
