/**
 * When router solicitations are sent: the first within a second, then with growing intervals for as long as no router answers
 * (RFC 4861 6.3.7, RFC 7559).
 */
import { type Random, randomBelow } from "../../lib/random.ts";

/** RFC 4861 10: MAX_RTR_SOLICITATION_DELAY. */
const FIRST_DELAY = 1000;
/** RFC 7559 2: IRT = RTR_SOLICITATION_INTERVAL, MRT; no end by count or by time. */
const INTERVAL_FIRST = 4000;
const INTERVAL_MAX = 3_600_000;
const NEVER = Number.POSITIVE_INFINITY;

export class Solicitor {
  readonly #random: Random;
  /** When the next one is due. */
  at = NEVER;
  #interval = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Begins, unless it is under way. */
  start(now: number): void {
    if (this.at !== NEVER) return;
    this.#interval = 0;
    this.at = now + randomBelow(this.#random, FIRST_DELAY + 1);
  }

  stop(): void {
    this.at = NEVER;
  }

  /** One was sent. */
  sent(now: number): void {
    // RFC 8415 15, with a RAND of -0.1 to 0.1 each time.
    const rand = randomBelow(this.#random, 2001) / 10_000 - 0.1;
    const base = this.#interval === 0 ? INTERVAL_FIRST : 2 * this.#interval;
    this.#interval = base + rand * (this.#interval || INTERVAL_FIRST);
    if (this.#interval > INTERVAL_MAX) this.#interval = INTERVAL_MAX + rand * INTERVAL_MAX;
    this.at = now + this.#interval;
  }
}
