/**
 * A network that does its worst, with virtual time, all of it decided by a seed: datagrams are lost, doubled, overtaken and damaged,
 * connections are cut anywhere in their bytes, hosts stand still, and the wall clock jumps. `run` goes from one thing that is due to the next.
 */
import { type Random, randomBelow } from "../../../src/lib/random.ts";

/** Probabilities, and ms within which datagrams overtake each other. */
export interface Faults {
  readonly loss: number;
  readonly duplicate: number;
  readonly damage: number;
  readonly jitter: number;
}
export const FAULTLESS: Faults = { loss: 0, duplicate: 0, damage: 0, jitter: 0 };

/** Whoever has timers. */
export interface Host {
  /** Until then it does nothing, and hears nothing: its machine is suspended. */
  stillUntil: number;
  pollAt(): number;
  poll(now: number): void;
}

const DELAY_MS = 20;
/** So many steps at one moment, or in all of a run, are a loop. */
const MOST_AT_ONCE = 500;
const MOST_STEPS = 100_000;

export class BadNet {
  now = 1000;
  /** Seconds of Unix, from which the wall clock goes on. */
  unixAtStart = 1_700_000_000;
  faults = FAULTLESS;
  /** Nothing gets through. */
  isDown = false;
  readonly random: Random;
  readonly hosts = new Set<Host>();
  #flying: { readonly at: number; readonly arrive: (now: number) => void }[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  get unixSeconds(): number {
    return Math.max(1, this.unixAtStart + Math.floor(this.now / 1000));
  }

  below(n: number): number {
    return randomBelow(this.random, n);
  }

  chance(p: number): boolean {
    return p > 0 && this.below(1_000_000) < p * 1_000_000;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  isStill(host: Host): boolean {
    return host.stillUntil > this.now;
  }

  later(ms: number, arrive: (now: number) => void): void {
    this.#flying.push({ at: this.now + ms, arrive });
  }

  /** When a datagram arrives, or a piece of a connection does. */
  delay(): number {
    return DELAY_MS + this.below(this.faults.jitter + 1);
  }

  /** Sends a datagram. @param arrive not called where it is lost */
  datagram(bytes: Uint8Array, to: Host, arrive: (now: number, bytes: Uint8Array) => void): void {
    const own = bytes.slice();
    for (let copies = this.chance(this.faults.duplicate) ? 2 : 1; copies > 0; copies--) {
      if (this.isDown || this.chance(this.faults.loss)) continue;
      const sent = this.chance(this.faults.damage) ? this.#damaged(own) : own;
      this.later(this.delay(), (now) => {
        if (!this.isStill(to)) arrive(now, sent);
      });
    }
  }

  /** Lets the time pass until the condition holds. @returns whether it came to hold within `ms` */
  run(ms: number, until: () => boolean = () => false): boolean {
    const end = this.now + ms;
    let atOnce = 0;
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      const next = this.#next();
      if (until()) return true;
      if (next > end) {
        this.now = end;
        return false;
      }
      atOnce = next > this.now ? 0 : atOnce + 1;
      if (atOnce > MOST_AT_ONCE) break;
      this.now = Math.max(this.now, next);
      const due = this.#flying.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
      this.#flying = this.#flying.filter(({ at }) => at > this.now);
      for (const { arrive } of due) arrive(this.now);
      for (const host of this.hosts) if (!this.isStill(host)) host.poll(this.now);
    }
    throw new Error("the simulation does not come to rest");
  }

  #next(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { at } of this.#flying) next = Math.min(next, at);
    for (const host of this.hosts) next = Math.min(next, Math.max(host.pollAt(), host.stillUntil));
    return next;
  }

  /** Cut, longer, or with another bit. */
  #damaged(bytes: Uint8Array): Uint8Array {
    const at = this.below(Math.max(1, bytes.length));
    const kind = this.below(3);
    if (kind === 0) return bytes.slice(0, at);
    if (kind === 1) return Uint8Array.from([...bytes, ...bytes.subarray(0, 1 + this.below(20))]);
    return bytes.with(at, bytes[at]! ^ (1 << this.below(8)));
  }
}
