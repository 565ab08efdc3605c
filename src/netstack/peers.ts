/** The peers of a tunnel that has several, by their numbers, and how large their packets may be. */

/** @typeParam Peer what is known of each */
export class Peers<Peer> {
  /** How many there are. */
  count = 0;
  readonly #peers: (Peer | undefined)[] = [];
  /** By peer: bytes of its largest TCP packet over IPv4, 0: those of the tunnel. */
  #most = new Int32Array(64);
  /** By peer: bytes of the largest packet to it, 0: those of the tunnel. */
  #mtu = new Int32Array(64);

  get(peer: number): Peer | undefined {
    return this.#peers[peer];
  }

  /**
   * @param most bytes of its largest TCP packet over IPv4, 0: those of the tunnel
   * @param mtu bytes of the largest packet to it, 0: those of the tunnel
   */
  set(peer: number, config: Peer, most: number, mtu = 0): void {
    if (this.#peers[peer] === undefined) this.count++;
    this.#peers[peer] = config;
    if (peer >= this.#most.length) {
      this.#most = grown(this.#most, peer);
      this.#mtu = grown(this.#mtu, peer);
    }
    this.#most[peer] = most;
    this.#mtu[peer] = mtu;
  }

  delete(peer: number): void {
    if (this.#peers[peer] !== undefined) this.count--;
    this.#peers[peer] = undefined;
    if (peer < this.#most.length) this.#most[peer] = this.#mtu[peer] = 0;
  }

  /** Bytes of the largest packet to a peer, 0: those of the tunnel. */
  mtu(peer: number): number {
    return this.#mtu[peer] ?? 0;
  }

  /** The least of `limit` and of the largest TCP packet of a peer. */
  limit(peer: number, limit: number): number {
    const most = this.#most[peer] ?? 0;
    return most > 0 && most < limit ? most : limit;
  }

  /** Every peer with its number. */
  *[Symbol.iterator](): Generator<readonly [number, Peer]> {
    for (const [peer, config] of this.#peers.entries()) if (config !== undefined) yield [peer, config];
  }
}

/** The numbers, with room for a peer's. */
function grown(numbers: Int32Array<ArrayBuffer>, peer: number): Int32Array<ArrayBuffer> {
  const more = new Int32Array(2 ** Math.ceil(Math.log2(peer + 1)));
  more.set(numbers);
  return more;
}
