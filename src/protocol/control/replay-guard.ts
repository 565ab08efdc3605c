/**
 * Replay ids of control packets under one key: the counter of this side, and the window of the peer's. A fresh id goes with
 * each transmission, retransmissions and acknowledgements included. The time in front of the id stays the one at which the
 * guard was made, because receivers that keep no window expect the ids to start anew when it changes (OpenVPN's packet_id.c).
 */
import { ReplayWindow } from "../data/replay.ts";
import type { Opened } from "./crypto.ts";

export type ReplayId = Pick<Opened, "id" | "time">;

export class ReplayGuard {
  /** Seconds of the wall clock when the guard was made, as a uint32. */
  readonly time: number;
  readonly #window: ReplayWindow;
  #lastId: number;
  #peerTime = 0;

  /** @param window how far behind the highest id, and how late, a packet may come: `replay-window` @param lastId that this side has used */
  constructor(unixSeconds: number, window: { readonly packets: number; readonly seconds: number }, lastId = 0) {
    this.#lastId = lastId;
    this.time = unixSeconds >>> 0;
    this.#window = new ReplayWindow(window.packets, window.seconds);
  }

  /** The id of the packet that is sealed now: 1, 2, ... */
  next(): number {
    return ++this.#lastId;
  }

  /** Whether this may be the id of a new packet: a later time starts the ids anew. Changes nothing. */
  check({ id, time }: ReplayId, now: number): boolean {
    if (time > this.#peerTime) return id > 0;
    return time === this.#peerTime && this.#window.check(id, now);
  }

  /**
   * Remembers the id of a packet that `check` let pass. Only for a packet of this session: others share the key, and with
   * tls-auth without a direction this side's own packets come back authentic. Their ids must not count.
   */
  mark({ id, time }: ReplayId, now: number): void {
    if (time > this.#peerTime) {
      this.#peerTime = time;
      this.#window.reset();
    }
    this.#window.mark(id, now);
  }
}
