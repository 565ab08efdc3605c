/**
 * Whether the peer is there: when something last went and came, over the data channel and beside it, and what follows from that
 * while a tunnel is up: when a ping is due, and when the tunnel is dead. The data path only notes its times.
 */
import type { KeepaliveConfig } from "../config/types.ts";
import type { DataChannel } from "../data/channel.ts";
import { PING_LEN, pingEmit } from "../data/magic.ts";
import type { AssociationEnd } from "./events.ts";
import { Keepalive } from "./keepalive.ts";

export class Liveness {
  /** When the last packet that was none of the tunnel's went: of the control channel, a ping, a notice. */
  besideSentAt = Number.NEGATIVE_INFINITY;
  /** When the last one came, or the session began. */
  besideReceivedAt = Number.NEGATIVE_INFINITY;
  readonly #data: DataChannel;
  #keepalive: Keepalive | undefined;

  constructor(data: DataChannel) {
    this.#data = data;
  }

  /** The tunnel is up. */
  watch(now: number, config: KeepaliveConfig): void {
    this.#keepalive = new Keepalive(config, now);
  }

  /** Nobody is waited for any more, and there are no pings. */
  unwatch(): void {
    this.#keepalive = undefined;
  }

  /** The ping that is due, sealed; undefined: none is, or nothing can be sealed. */
  pollPing(now: number): Uint8Array | undefined {
    if (this.#keepalive === undefined || now < this.#keepalive.pingAt(this.#sentAt())) return undefined;
    // Also where the key is used up and nothing can be sealed: the next one is due an interval later.
    this.besideSentAt = now;
    return this.#data.sealSmall(PING_LEN, pingEmit);
  }

  /** Why the tunnel is over, if it is. */
  expired(now: number): AssociationEnd | undefined {
    const { sealedBytes, openedBytes } = this.#data.traffic;
    return this.#keepalive?.expired(now, this.#receivedAt(), sealedBytes + openedBytes);
  }

  pollAt(): number {
    return this.#keepalive?.pollAt(this.#sentAt(), this.#receivedAt()) ?? Number.POSITIVE_INFINITY;
  }

  #sentAt(): number {
    return Math.max(this.besideSentAt, this.#data.sealedAt);
  }

  #receivedAt(): number {
    return Math.max(this.besideReceivedAt, this.#data.openedAt);
  }
}
