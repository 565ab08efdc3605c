/**
 * Outside ports (and ICMP echo identifiers) of the translator: which are taken, and by which binding.
 * A port is kept when it is free; else any free one from 1024 on, from a random start (RFC 6056 3.3.1).
 */
import type { Random } from "../../lib/random.ts";
import { PROTO_ICMP, PROTO_TCP } from "../wire/ipv4.ts";

export const PORT_NONE = 0;
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

  clear(): void {
    this.#tcp.fill(PORT_NONE);
    this.#udp.fill(PORT_NONE);
    this.#icmp.fill(PORT_NONE);
  }

  binding(protocol: number, port: number): number {
    return this.#of(protocol)[port]!;
  }

  /** Takes `wish`, or another port, for a binding; -1 when all are taken. Port 0 is an identifier with ICMP only. */
  take(protocol: number, wish: number, binding: number): number {
    const ports = this.#of(protocol);
    let port = wish;
    if (ports[port] !== PORT_NONE || (port === 0 && protocol !== PROTO_ICMP)) {
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

  put(protocol: number, port: number): void {
    this.#of(protocol)[port] = PORT_NONE;
  }

  #of(protocol: number): Int32Array {
    return protocol === PROTO_TCP ? this.#tcp : protocol === PROTO_ICMP ? this.#icmp : this.#udp;
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
