/**
 * OpenVPN's packets over an open TCP connection, each behind its length (protocol/stream.ts), in both directions by batches.
 * What is sent is copied into the connection's ring, from where segments of many packets leave as one super-frame; what comes
 * is copied out of its ring into one piece of memory, where packets lie in one piece and are opened in place. A packet that is
 * not whole yet stays in the ring: a connection that is silent in the middle of one holds nothing else.
 *
 * The queue is the connection's: as much as is under way may wait (Connection.writable), so that a fast path is kept busy and
 * a slow one is not loaded with seconds of old packets. What finds no room is dropped (tunnel/stream-queue.ts).
 */
import type { Batch } from "../../lib/batch.ts";
import { type Arena, HEADROOM, TAILROOM } from "../../lib/slab.ts";
import type { Connection } from "../../netstack/tcp/connection.ts";
import { framePacket, frameRows, STREAM_HEADER_LEN, StreamRows } from "../../protocol/stream.ts";
import { CONTROL_ROOM, StreamQueue } from "../../tunnel/stream-queue.ts";

/** Our choice: no more than that waits to be said when it is closed: a goodbye, and not the packets of a session that is over. */
const GOODBYE = 4 << 10;
const GOODBYE_MS = 5000;

/** Where packets of all streams are opened: what one of them took is another's when the arena was emptied. */
export interface StreamMemory {
  readonly arena: Arena;
  /** Packets that are handed over at once. */
  readonly rows: Batch;
}

export class PacketStream {
  readonly #connection: Connection;
  readonly #memory: StreamMemory;
  readonly #longest: number;
  readonly #received: StreamRows;
  #isClosed = false;
  /** Of a packet that is not whole: bytes that were looked at already. */
  #begun = 0;
  readonly #queue = new StreamQueue();

  /** @param longest bytes of the longest packet that can be right */
  constructor(connection: Connection, memory: StreamMemory, longest: number) {
    this.#connection = connection;
    this.#memory = memory;
    this.#longest = longest;
    this.#received = new StreamRows(memory.arena.slab, 0, 0, longest);
  }

  /** The length that cannot be one: nothing behind it is read any more. */
  get badLength(): number | undefined {
    return this.#received.badLength;
  }

  /** How many rows it takes now, from the first on, when each is `overhead` bytes longer; the others are counted. */
  admit(rows: Batch, overhead: number): number {
    return this.#queue.admit(rows, overhead, this.#connection.writable - CONTROL_ROOM);
  }

  /** Copies the rows, sealed in place, to be sent. */
  send(rows: Batch): void {
    const c = this.#connection;
    frameRows(this.#memory.arena.slab.view, rows);
    const { count, at, len } = rows;
    for (let i = 0; i < count; i++) c.write(at[i]!, len[i]!);
  }

  sendPacket(packet: Uint8Array): void {
    const framed = framePacket(packet);
    if (this.#connection.writable < framed.length) this.#queue.refuse();
    else this.#connection.writeBytes(framed);
  }

  /** What it dropped, by name. */
  drops(): Record<string, number> {
    return this.#queue.drops();
  }

  /**
   * Hands over packets that came, as rows that live until the arena is emptied.
   * @returns whether there are more, for which there is room then
   */
  read(now: number, handle: (now: number, rows: Batch) => void): boolean {
    const c = this.#connection;
    const { readable } = c;
    const received = this.#received;
    if (readable <= this.#begun || this.#isClosed || received.badLength !== undefined) return false;
    const { arena, rows } = this.#memory;
    const n = Math.min(readable, arena.room - HEADROOM - TAILROOM - 8);
    if (n < Math.min(readable, STREAM_HEADER_LEN + this.#longest)) return true;
    const at = arena.take(n);
    received.restart(at - HEADROOM, at + n + TAILROOM);
    this.#copy(at, n);
    received.filled(n);
    for (let left = n; ; ) {
      rows.clear();
      received.take(rows);
      if (rows.count === 0) {
        this.#begun = left;
        return n < readable;
      }
      // What was copied is not needed there any more.
      c.consume(left - received.left);
      left = received.left;
      handle(now, rows);
      if (this.#isClosed) return false;
    }
  }

  /** No more is read. What was said last still goes, unless that is more than a goodbye. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const c = this.#connection;
    if (c.queued > GOODBYE) return c.abort();
    c.userTimeout = GOODBYE_MS;
    c.close();
  }

  /** Copies the first `n` readable bytes. */
  #copy(to: number, n: number): void {
    const { bytes } = this.#memory.arena.slab;
    const c = this.#connection;
    for (let done = 0; done < n; ) {
      const piece = Math.min(n - done, c.peekRun(done));
      const at = c.peekAt(done);
      bytes.copyWithin(to + done, at, at + piece);
      done += piece;
    }
  }
}
