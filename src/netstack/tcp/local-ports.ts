/**
 * Ports that connections are begun from (RFC 6056 3.3.1). Others may give out ports of the same address, as the translator of the interface
 * does: a port is reserved with all of them as long as the connection, or what is left of it in TIME-WAIT, has it.
 */
import { type Random, randomBelow } from "../../lib/random.ts";
import { type PortOwner, takePort } from "../port-owner.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { type FlowTable, TUPLE_PORTS } from "./flows.ts";

/** RFC 6056 3.2. */
const FIRST = 32768;
const COUNT = 28232;
const TRIES = 200;

export class LocalPorts {
  readonly #random: Random;
  readonly #flows: FlowTable;
  readonly #isListening: (port: number) => boolean;
  /** How many connections each has. */
  readonly #reserved = new Map<number, number>();
  #owners: readonly PortOwner[] = [];

  constructor(random: Random, flows: FlowTable, isListening: (port: number) => boolean) {
    this.#random = random;
    this.#flows = flows;
    this.#isListening = isListening;
  }

  /** All of them are asked before a port is taken. */
  set owners(owners: readonly PortOwner[]) {
    this.#owners = owners;
    this.#flows.onRemoved = (port) => this.release(port);
  }

  /** A port from which the tuple is free, written into it; 0: none was found. */
  take(tuple: Int32Array, remotePort: number): number {
    for (let tries = 0; tries < TRIES; tries++) {
      const port = FIRST + randomBelow(this.#random, COUNT);
      tuple[TUPLE_PORTS] = (port << 16) | remotePort;
      if (this.#isListening(port) || this.#flows.find(tuple) !== 0) continue;
      if (this.#owners.length === 0) return port;
      if (this.#reserved.has(port) || !takePort(this.#owners, PROTO_TCP, port, false)) continue;
      this.#reserved.set(port, 1);
      return port;
    }
    return 0;
  }

  /** Takes the one port that will do, which a translator gives up for it; its tuple is free. @returns false: it is given away for good */
  takeFixed(port: number): boolean {
    if (this.#isListening(port)) return false;
    const count = this.#reserved.get(port) ?? 0;
    if (count === 0 && !this.claim(port)) return false;
    if (this.#owners.length > 0) this.#reserved.set(port, count + 1);
    return true;
  }

  /** Takes a port to accept connections on, which a translator gives up for it. @returns false: it is given away for good */
  claim(port: number): boolean {
    return takePort(this.#owners, PROTO_TCP, port, true);
  }

  /** No connections are accepted on the port any more. */
  unclaim(port: number): void {
    this.#giveBack(port);
  }

  /** Nobody here has the port any more. */
  release(port: number): void {
    const count = this.#reserved.get(port) ?? 0;
    if (count > 1) this.#reserved.set(port, count - 1);
    else if (this.#reserved.delete(port)) this.#giveBack(port);
  }

  #giveBack(port: number): void {
    for (const owner of this.#owners) owner.release(PROTO_TCP, port);
  }
}
