/** Where packets go: a batch of rows, the arena that new ones are made in, and a way to send them all. */
import type { Batch } from "./batch.ts";
import { type Arena, HEADROOM, TAILROOM } from "./slab.ts";

export interface Outlet {
  readonly batch: Batch;
  readonly arena: Arena;
  /** Whether UDP super-frames (GSO_UDP_L4) may be among the rows; may become false. */
  readonly udpGso?: boolean;
  /** Sends every row, then empties the batch and the arena. Frames taken from the arena before are gone. */
  flush(): void;
}

/** Makes room for `rows` more rows with `bytes` bytes of frames in all, flushing if there is less. */
export function ensureRoom(outlet: Outlet, rows: number, bytes: number): void {
  const need = bytes + rows * (HEADROOM + TAILROOM + 8);
  if (outlet.batch.room < rows || outlet.arena.room < need) outlet.flush();
}
