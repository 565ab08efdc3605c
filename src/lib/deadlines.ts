/**
 * A table of named deadlines: one absolute time in milliseconds (Infinity = not set) for each purpose, so that the
 * outside needs one number to sleep until.
 */
export class Deadlines<Name extends string> {
  readonly #at = new Map<Name, number>();

  set(name: Name, at: number): void {
    this.#at.set(name, at);
  }

  clear(name: Name): void {
    this.#at.delete(name);
  }

  clearAll(): void {
    this.#at.clear();
  }

  at(name: Name): number {
    return this.#at.get(name) ?? Number.POSITIVE_INFINITY;
  }

  /** The earliest deadline, Infinity when none is set. */
  next(): number {
    let min = Number.POSITIVE_INFINITY;
    for (const at of this.#at.values()) if (at < min) min = at;
    return min;
  }

  /** Clears the deadline and returns true when it is set and due. */
  expired(name: Name, now: number): boolean {
    if (this.at(name) > now) return false;
    this.#at.delete(name);
    return true;
  }
}
