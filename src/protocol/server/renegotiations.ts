/**
 * Who has to show its certificate again, because it may be good no longer: one after the other, so that none of them waits long for the
 * others.
 */
import type { Peer } from "./peer.ts";

/** Our choice: with 1,000 clients it takes 50 s, and a tenth of the time of a processor. */
const EVERY_MS = 50;

export class Renegotiations {
  /** Grows when certificates that were good may be so no longer. */
  authority = 0;
  /** When the next one is due; Infinity: there is none. */
  at = Number.POSITIVE_INFINITY;
  #waiting: Peer[] = [];

  /** Everybody: certificates that were good may be so no longer. */
  all(now: number, peers: Iterable<Peer>): void {
    this.authority++;
    this.#waiting = [...peers].filter((peer) => peer.isUp);
    this.at = now;
  }

  /** A handshake of a peer is done: where that was begun under an earlier authority, another one follows. */
  judge(now: number, peer: Peer): void {
    if (peer.authority === this.authority) return;
    this.#waiting.push(peer);
    if (this.at === Number.POSITIVE_INFINITY) this.at = now;
  }

  /** The next one, where that is due and has not been done in the meantime. */
  next(now: number): Peer | undefined {
    if (now < this.at) return undefined;
    const peer = this.#waiting.pop();
    this.at = this.#waiting.length === 0 ? Number.POSITIVE_INFINITY : now + EVERY_MS;
    return peer?.isUp && peer.authority !== this.authority ? peer : undefined;
  }
}
