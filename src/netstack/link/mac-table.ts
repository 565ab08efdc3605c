/**
 * Which station is behind which port of a bridge (IEEE 802.1Q 8.7, 8.8): learnt from sources, by MAC and VLAN, forgotten after five
 * minutes of silence. Typed arrays of a fixed size; a look-up costs the same however many there are.
 *
 *   port P    head (silent the longest) -> station -> station -> tail (heard last)
 *   all       the same of every port
 *
 * A port that has as many as it may have loses the one that was silent the longest, and when the table is full the one does
 * that was so of all. A station that was just heard behind one port is not believed to be behind another one: who sends with
 * the MAC of somebody else does not get what is his, and a loop does not make it jump.
 */
import { Buckets } from "../../lib/buckets.ts";
import { Chains } from "../../lib/chains.ts";
import { mix } from "../../lib/hash.ts";

/** IEEE 802.1Q 8.8.3. */
export const MAC_AGE_MS = 300_000;
/** Our choice: longer than the pauses of a station that works, shorter than a person takes from one plug to another. */
export const MAC_HELD_MS = 3000;
/** A station that was heard less than this ago keeps its place in the lists: saves the work for most frames. */
const HEARD_GRAIN_MS = 1000;

/** What {@link MacTable.find} says of a station that nobody knows. */
export const NO_PORT = -1;

export class MacTable {
  size = 0;
  readonly #limit: number;
  readonly #seed: number;
  readonly #rows: Buckets;
  readonly #byPort: Chains;
  readonly #all: Chains;
  readonly #count: Int32Array;
  /** By row. */
  readonly #hi: Int32Array;
  readonly #lo: Int32Array;
  readonly #port: Int32Array;
  readonly #heardAt: Float64Array;

  /**
   * @param stations at most
   * @param ports how many; port 0 may have as many as there is room for
   * @param perPort stations of every other port at most
   * @param seed int32, random: senders choose their MACs
   */
  constructor(stations: number, ports: number, perPort: number, seed: number) {
    this.#limit = perPort;
    this.#seed = seed;
    this.#rows = new Buckets(stations);
    this.#byPort = new Chains(stations, ports);
    this.#all = new Chains(stations, 1);
    this.#count = new Int32Array(ports);
    this.#hi = new Int32Array(stations + 1);
    this.#lo = new Int32Array(stations + 1);
    this.#port = new Int32Array(stations + 1);
    this.#heardAt = new Float64Array(stations + 1);
  }

  /** The port behind which a station was heard, or NO_PORT. @param hi,lo its MAC, and in the upper half of `hi` its VLAN */
  find(now: number, hi: number, lo: number): number {
    const i = this.#find(hi, lo);
    return i !== 0 && now < this.#heardAt[i]! + MAC_AGE_MS ? this.#port[i]! : NO_PORT;
  }

  /** A station was heard behind a port. @returns false: it was just heard behind another one, and stays there */
  learn(now: number, hi: number, lo: number, port: number): boolean {
    let i = this.#find(hi, lo);
    if (i !== 0 && this.#port[i] === port) {
      if (now - this.#heardAt[i]! < HEARD_GRAIN_MS) return true;
      this.#unlink(i);
    } else if (i !== 0) {
      if (now - this.#heardAt[i]! < MAC_HELD_MS) return false;
      this.#unlink(i);
      this.#makeRoom(port);
    } else {
      this.#makeRoom(port);
      if (this.#rows.isFull) this.#remove(this.#all.first(0));
      i = this.#rows.add(this.#hash(hi, lo));
      this.#hi[i] = hi;
      this.#lo[i] = lo;
      this.size++;
    }
    this.#port[i] = port;
    this.#heardAt[i] = now;
    this.#byPort.append(port, i);
    this.#all.append(0, i);
    this.#count[port]!++;
    return true;
  }

  /** Nobody is behind a port any more. */
  forget(port: number): void {
    for (let i = this.#byPort.first(port); i !== 0; i = this.#byPort.first(port)) this.#remove(i);
  }

  /** Stations behind a port, those that are silent too. */
  countOf(port: number): number {
    return this.#count[port]!;
  }

  #makeRoom(port: number): void {
    if (port !== 0 && this.#count[port]! >= this.#limit) this.#remove(this.#byPort.first(port));
  }

  #unlink(i: number): void {
    const port = this.#port[i]!;
    this.#byPort.remove(port, i);
    this.#all.remove(0, i);
    this.#count[port]!--;
  }

  #remove(i: number): void {
    this.#unlink(i);
    this.#rows.remove(this.#hash(this.#hi[i]!, this.#lo[i]!), i);
    this.size--;
  }

  #find(hi: number, lo: number): number {
    let i = this.#rows.first(this.#hash(hi, lo));
    while (i !== 0 && !(this.#lo[i] === lo && this.#hi[i] === hi)) i = this.#rows.next(i);
    return i;
  }

  #hash(hi: number, lo: number): number {
    return mix(mix(this.#seed, hi), lo);
  }
}
