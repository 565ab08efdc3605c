/** The peers of a tunnel that has several: what networks each has, and how large its packets may be. */
import type { Cidr } from "../../lib/cidr.ts";

/** A peer of the tunnel. */
export interface RouterPeer {
  /** Its packets come from these alone, and those to these are its own. */
  readonly networks: readonly Cidr[];
  /** Largest TCP payload by configuration (mssfix), 0: what follows from the tunnel's MTU. */
  readonly mssClamp: number;
}

/** A network that a peer does not get, or not as long as another one has it. */
export interface RefusedNetwork {
  readonly network: Cidr;
  /** Who has it: the LAN, or another peer. */
  readonly of: "lan" | number;
}

export class Peers {
  /** How many there are. */
  count = 0;
  readonly #peers: (RouterPeer | undefined)[] = [];
  /** By peer: bytes of its largest TCP packet over IPv4, 0: those of the tunnel. */
  #most = new Int32Array(64);

  get(peer: number): RouterPeer | undefined {
    return this.#peers[peer];
  }

  /** @param most bytes of its largest TCP packet over IPv4, 0: those of the tunnel */
  set(peer: number, config: RouterPeer, most: number): void {
    if (this.#peers[peer] === undefined) this.count++;
    this.#peers[peer] = config;
    if (peer >= this.#most.length) {
      const more = new Int32Array(2 ** Math.ceil(Math.log2(peer + 1)));
      more.set(this.#most);
      this.#most = more;
    }
    this.#most[peer] = most;
  }

  delete(peer: number): void {
    if (this.#peers[peer] !== undefined) this.count--;
    this.#peers[peer] = undefined;
    if (peer < this.#most.length) this.#most[peer] = 0;
  }

  /** The least of `limit` and of the largest TCP packet of a peer. */
  limit(peer: number, limit: number): number {
    const most = this.#most[peer] ?? 0;
    return most > 0 && most < limit ? most : limit;
  }

  /** Every peer with its number. */
  *[Symbol.iterator](): Generator<readonly [number, RouterPeer]> {
    for (const [peer, config] of this.#peers.entries()) if (config !== undefined) yield [peer, config];
  }
}
