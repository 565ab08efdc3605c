/** The peers of a tunnel that has several, by their numbers, and how large their packets may be. */

/** @typeParam Peer what is known of each */
export class Peers<Peer> {
  /** How many there are. */
  count = 0;
  readonly #peers: (Peer | undefined)[] = [];
  /** By peer: bytes of its largest TCP packet over IPv4, 0: those of the tunnel. */
  #most = new Int32Array(64);

  get(peer: number): Peer | undefined {
    return this.#peers[peer];
  }

  /** @param most bytes of its largest TCP packet over IPv4, 0: those of the tunnel */
  set(peer: number, config: Peer, most: number): void {
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
  *[Symbol.iterator](): Generator<readonly [number, Peer]> {
    for (const [peer, config] of this.#peers.entries()) if (config !== undefined) yield [peer, config];
  }
}
