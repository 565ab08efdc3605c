/** A goodbye over the data channel: the notice is said several times, a second apart, because nobody acknowledges it. */
import type { DataChannel } from "../data/channel.ts";
import { EXIT_LEN, exitEmit } from "../data/magic.ts";

const NOTICE_MS = 1000;
/** Our choice: no goodbye takes longer, whatever explicit-exit-notify says. */
export const MAX_EXIT_NOTICES = 5;

export class ExitNotices {
  readonly kind = "data";
  /** When the next one is due. */
  at: number;
  #left: number;

  constructor(now: number, count: number) {
    this.at = now;
    this.#left = count;
  }

  /** All are said. */
  get areSaid(): boolean {
    return this.#left === 0;
  }

  /** The next one, sealed; undefined where nothing can be sealed, which counts all the same. */
  next(now: number, data: DataChannel): Uint8Array | undefined {
    this.#left--;
    this.at = now + NOTICE_MS;
    return data.sealSmall(EXIT_LEN, exitEmit);
  }
}
