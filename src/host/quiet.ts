/**
 * When a network that changes is looked at: addresses and routes change one after the other, so that it is looked at when it has become
 * quiet, and where something changes all the time, as by a routing daemon or a program that insists, now and then all the same.
 */

/** Our choices: so long nothing has changed; and so long after the first change at the latest. */
const QUIET_MS = 300;
const LATEST_MS = 2000;
const NEVER = Number.POSITIVE_INFINITY;

export class Quiet {
  #lookAt = NEVER;
  #latest = NEVER;

  /** When it is to be looked at, in ms of the loop's clock; infinite: there is no need. */
  get lookAt(): number {
    return this.#lookAt;
  }

  changed(now: number): void {
    this.#latest = Math.min(this.#latest, now + LATEST_MS);
    this.#lookAt = Math.min(now + QUIET_MS, this.#latest);
  }

  /** It was looked at. @param again when it is to be looked at although nothing changes */
  looked(again: number): void {
    this.#latest = NEVER;
    this.#lookAt = again;
  }
}
