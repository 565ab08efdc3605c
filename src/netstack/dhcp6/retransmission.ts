/** When a DHCPv6 message is repeated (RFC 8415 15), with the parameters of each kind (RFC 8415 7.6). */
import { type Random, randomBelow } from "../../lib/random.ts";

/** Initial and largest interval, and how long it goes on: by count, by time; Infinity: without end. */
export interface RetransmissionPlan {
  readonly irt: number;
  readonly mrt: number;
  readonly mrc: number;
  readonly mrd: number;
  /** The first message waits up to this long, so that not all who heard the same advertisement ask at once. */
  readonly maxDelay: number;
}

const plan = (irt: number, mrt: number, more: Partial<RetransmissionPlan> = {}): RetransmissionPlan => ({
  irt,
  mrt,
  mrc: Number.POSITIVE_INFINITY,
  mrd: Number.POSITIVE_INFINITY,
  maxDelay: 0,
  ...more,
});

export const SOLICIT_PLAN = plan(1000, 3_600_000, { maxDelay: 1000 });
export const REQUEST_PLAN = plan(1000, 30_000, { mrc: 10 });
export const CONFIRM_PLAN = plan(1000, 4000, { mrd: 10_000, maxDelay: 1000 });
export const RENEW_PLAN = plan(10_000, 600_000);
export const REBIND_PLAN = plan(10_000, 600_000);
export const INFORMATION_PLAN = plan(1000, 3_600_000, { maxDelay: 1000 });
export const DECLINE_PLAN = plan(1000, Number.POSITIVE_INFINITY, { mrc: 4 });

/** One message and its repetitions. */
export class Transaction {
  /** 24 bits */
  readonly xid: number;
  readonly plan: RetransmissionPlan;
  /** When the message was sent first; the elapsed time counts from there (RFC 8415 21.9). */
  firstAt = 0;
  /** When it is sent next, or given up. */
  at: number;
  count = 0;
  /** The plan's, or what a server asks for. */
  mrt: number;
  #interval = 0;
  readonly #random: Random;

  /** @param wait ms before the first message, besides the plan's own delay */
  constructor(now: number, random: Random, retransmission: RetransmissionPlan, wait = 0) {
    this.plan = retransmission;
    this.mrt = retransmission.mrt;
    this.#random = random;
    this.xid = randomBelow(random, 2 ** 24);
    this.at = now + wait + (retransmission.maxDelay === 0 ? 0 : randomBelow(random, retransmission.maxDelay + 1));
  }

  /** It was sent. @param isSearch its first interval is longer than IRT, so that answers of several servers are there (RFC 8415 18.2.1) */
  sent(now: number, isSearch = false): void {
    const { irt, mrd } = this.plan;
    if (this.count === 0) this.firstAt = now;
    this.count++;
    const rand = randomBelow(this.#random, 2001) / 10_000 - 0.1;
    if (this.#interval === 0) this.#interval = irt + (isSearch ? Math.abs(rand) : rand) * irt;
    else this.#interval = 2 * this.#interval + rand * this.#interval;
    if (this.#interval > this.mrt) this.#interval = this.mrt + rand * this.mrt;
    this.at = Math.min(now + this.#interval, this.firstAt + mrd);
  }

  /** Whether it was sent as often, or as long, as it is to be. */
  isOver(now: number): boolean {
    return this.count >= this.plan.mrc || (this.count > 0 && now >= this.firstAt + this.plan.mrd);
  }

  /** For the elapsed time option: hundredths of a second, at most 0xffff. */
  elapsed(now: number): number {
    return this.count === 0 ? 0 : Math.min(0xffff, Math.floor((now - this.firstAt) / 10));
  }
}
