/** One end of a pipe as packets: each behind its length, as protocol/stream.ts reads and writes them. */
import { Batch } from "../../../src/lib/batch.ts";
import type { Slab } from "../../../src/lib/slab.ts";
import type { LinkEnd } from "../../../src/protocol/session/events.ts";
import { framePacket, StreamRows } from "../../../src/protocol/stream.ts";
import type { PipeReceiver } from "./pipe.ts";

const ROWS = 64;
/** Of the slab, for one connection. */
export const PACKETS_ROOM = 16_384;
const LONGEST = 4096;

export interface PacketsReceiver {
  handleRows(now: number, rows: Batch): void;
  ended(now: number, end: LinkEnd): void;
}

export class Packets implements PipeReceiver {
  readonly #rows = new Batch(ROWS);
  readonly #slab: Slab;
  readonly #received: StreamRows;
  readonly #receiver: PacketsReceiver;
  isOver = false;

  /** @param at of PACKETS_ROOM bytes of the slab */
  constructor(slab: Slab, at: number, receiver: PacketsReceiver) {
    this.#slab = slab;
    this.#receiver = receiver;
    this.#received = new StreamRows(slab, at, at + PACKETS_ROOM, LONGEST);
  }

  handleBytes(now: number, bytes: Uint8Array): void {
    const received = this.#received;
    for (let at = 0; at < bytes.length && !this.isOver; ) {
      received.reserve();
      const piece = bytes.subarray(at, at + received.room);
      this.#slab.bytes.set(piece, received.at);
      received.filled(piece.length);
      at += piece.length;
      do {
        this.#rows.clear();
        if (!this.isOver) received.take(this.#rows);
        if (this.#rows.count > 0) this.#receiver.handleRows(now, this.#rows);
      } while (this.#rows.count > 0);
      const { badLength } = received;
      if (badLength !== undefined) this.ended(now, { kind: "link-garbled", length: badLength });
    }
  }

  ended(now: number, end: LinkEnd): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#receiver.ended(now, end);
  }
}

/** The rows of a batch as packets behind their lengths. */
export function framed(slab: Slab, rows: Batch): Uint8Array {
  const packets: number[] = [];
  for (let i = 0; i < rows.count; i++)
    packets.push(...framePacket(slab.bytes.subarray(rows.at[i]!, rows.at[i]! + rows.len[i]!)));
  return Uint8Array.from(packets);
}
