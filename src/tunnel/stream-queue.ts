/**
 * The end of a stream's queue, whoever's connection it is: packets of the tunnel that find no room are dropped before they are sealed, as
 * a router on the way would, and TCP in the tunnel slows down. Control packets have room that packets of the tunnel never take.
 */
import type { Batch } from "../lib/batch.ts";
import { STREAM_HEADER_LEN } from "../protocol/stream.ts";

/** Our choice: of what may wait, so many bytes are for control packets and pings alone; a handshake has no more under way. */
export const CONTROL_ROOM = 32 << 10;

export class StreamQueue {
  /** Packets of the tunnel that found the queue full, and control packets that did. */
  #full = 0;
  #controlFull = 0;

  /**
   * How many rows fit into `room` bytes, from the first on, when each is `overhead` bytes longer and has its length in front of it. The
   * others are counted.
   */
  admit({ count, len }: Batch, overhead: number, room: number): number {
    let left = room;
    for (let i = 0; i < count; i++) {
      left -= len[i]! + overhead + STREAM_HEADER_LEN;
      if (left >= 0) continue;
      this.#full += count - i;
      return i;
    }
    return count;
  }

  /** A control packet found no room. */
  refuse(): void {
    this.#controlFull++;
  }

  /** What was dropped, by name. */
  drops(): Record<string, number> {
    return { "link-queue-full": this.#full, "link-control-queue-full": this.#controlFull };
  }
}
