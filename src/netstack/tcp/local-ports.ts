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
  readonly #reserved = new Set<number>();
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
      if (!takePort(this.#owners, PROTO_TCP, port, false)) continue;
      this.#reserved.add(port);
      return port;
    }
    return 0;
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
    if (this.#reserved.delete(port)) this.#giveBack(port);
  }

  #giveBack(port: number): void {
    for (const owner of this.#owners) owner.release(PROTO_TCP, port);
  }
}
