/**
 * Outside ports (and ICMP echo identifiers) of the translator: which are taken, by which binding or by this host itself.
 * A port is kept when it is free; else any free one from 1024 on, from a random start (RFC 6056 3.3.1).
 */
import type { Random } from "../../lib/random.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";

export const PORT_NONE = 0;
/** Of a port that is no binding's: this host's own sockets have it. */
const RESERVED = -1;
const FIRST_DYNAMIC = 1024;
const PORTS = 65536;
const POOL = 256;

export class Ports {
  readonly #random: Random;
  readonly #pool = new Uint8Array(POOL);
  #poolAt = POOL;
  /** Binding of each port, 0 when free. */
  readonly #tcp = new Int32Array(PORTS);
  readonly #udp = new Int32Array(PORTS);
  readonly #icmp = new Int32Array(PORTS);

  constructor(random: Random) {
    this.#random = random;
  }

  /** Forgets all bindings; what is reserved stays so. */
  clear(): void {
    for (const ports of [this.#tcp, this.#udp, this.#icmp])
      for (let port = 0; port < PORTS; port++) if (ports[port] !== RESERVED) ports[port] = PORT_NONE;
  }

  /** The binding of a port, PORT_NONE where it has none. */
  binding(protocol: number, port: number): number {
    return Math.max(PORT_NONE, this.#of(protocol)[port]!);
  }

  /** Keeps a port for this host, until release(). @returns false: it is taken */
  reserve(protocol: number, port: number): boolean {
    const ports = this.#of(protocol);
    if (ports[port] !== PORT_NONE) return false;
    ports[port] = RESERVED;
    return true;
  }

  /** Takes `wish`, or another port, for a binding; -1 when all are taken. Port 0 is an identifier with ICMP only. */
  take(protocol: number, wish: number, binding: number): number {
    const ports = this.#of(protocol);
    let port = wish;
    if (ports[port] !== PORT_NONE || (port === 0 && (protocol === PROTO_TCP || protocol === PROTO_UDP))) {
      port = FIRST_DYNAMIC + (this.#random16() % (PORTS - FIRST_DYNAMIC));
      const start = port;
      while (ports[port] !== PORT_NONE) {
        port = port === PORTS - 1 ? FIRST_DYNAMIC : port + 1;
        if (port === start) return -1;
      }
    }
    ports[port] = binding;
    return port;
  }

  /** Gives a port to a binding of its own choice, whoever has it; a socket of this host keeps what comes to it until it closes. */
  assign(protocol: number, port: number, binding: number): void {
    this.#of(protocol)[port] = binding;
  }

  /** Takes a port back from its binding. */
  put(protocol: number, port: number): void {
    this.#of(protocol)[port] = PORT_NONE;
  }

  /** Gives a reserved port back. */
  release(protocol: number, port: number): void {
    const ports = this.#of(protocol);
    if (ports[port] === RESERVED) ports[port] = PORT_NONE;
  }

  #of(protocol: number): Int32Array {
    return protocol === PROTO_TCP ? this.#tcp : protocol === PROTO_UDP ? this.#udp : this.#icmp;
  }

  #random16(): number {
    if (this.#poolAt === POOL) {
      this.#random.fill(this.#pool);
      this.#poolAt = 0;
    }
    const at = this.#poolAt;
    this.#poolAt = at + 2;
    return (this.#pool[at]! << 8) | this.#pool[at + 1]!;
  }
}
