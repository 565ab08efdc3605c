/**
 * OpenVPN's packets over an open TCP connection of the kernel, each behind its length (protocol/stream.ts), in both directions by
 * batches. What is sent goes to the kernel from where it lies, and what that does not take waits. As much as waits is bounded: what
 * finds no room is dropped before it is sealed, as a router on the way would, and TCP in the tunnel slows down. The bound is a wide one for
 * as long as a connection takes what it is given within a moment: super-frames come in heaps, and most of one would be lost.
 */
import { Batch } from "../lib/batch.ts";
import { ENDED, FAILED, receiveBytes, type StreamSender } from "../platform/net/stream-socket.ts";
import { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT } from "../platform/sys/errno.ts";
import { errno } from "../platform/sys/libc.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { LinkEnd } from "../protocol/session/events.ts";
import { framePacket, frameRows, type StreamRows } from "../protocol/stream.ts";
import { CONTROL_ROOM, StreamQueue } from "../tunnel/stream-queue.ts";

const ROWS = 1024;
const NEVER = Number.POSITIVE_INFINITY;
/** Our choice: what has waited for longer is on a slow way, on which no more than so much waits, for the sake of what comes behind it. */
const SLOW_AFTER_MS = 100;
const SLOW_ROOM = 96 << 10;
/** Bytes that are read at once. */
const READ_BYTES = 128 << 10;

export interface KernelPacketStreamOptions {
  readonly fd: number;
  readonly memory: NativeMemory;
  /** Both of this connection while it is open. */
  readonly sender: Pick<StreamSender, "room" | "queued" | "error" | "send" | "sendBytes" | "flush">;
  readonly received: StreamRows;
  /** Told whether it is to be looked at when there is room to send. */
  readonly watch: (wantsRoom: boolean) => void;
}

export class KernelPacketStream {
  readonly #options: KernelPacketStreamOptions;
  readonly #rows = new Batch(ROWS);
  #isClosed = false;
  /** Since when there has been something that waits, and when it was looked at last. */
  #waitsSince = NEVER;
  #now = 0;
  readonly #queue = new StreamQueue();

  constructor(options: KernelPacketStreamOptions) {
    this.#options = options;
  }

  /** How many rows it takes now, from the first on, when each is `overhead` bytes longer; the others are counted. */
  admit(rows: Batch, overhead: number): number {
    const { sender } = this.#options;
    const isSlow = this.#now > this.#waitsSince + SLOW_AFTER_MS;
    return this.#queue.admit(rows, overhead, isSlow ? SLOW_ROOM - sender.queued : sender.room - CONTROL_ROOM);
  }

  /** What was sent waits for the kernel to take it. */
  get waits(): boolean {
    return this.#options.sender.queued > 0;
  }

  /** Sends the rows, sealed in place. */
  send(now: number, rows: Batch): void {
    if (this.#isClosed) return;
    this.#now = now;
    const { sender, fd, memory } = this.#options;
    frameRows(memory.view, rows);
    sender.send(fd, rows);
    this.#watch();
  }

  sendPacket(packet: Uint8Array): void {
    const { sender, fd } = this.#options;
    if (this.#isClosed || !sender.sendBytes(fd, framePacket(packet))) this.#queue.refuse();
    else this.#watch();
  }

  /** What it dropped, by name. */
  drops(): Record<string, number> {
    return this.#queue.drops();
  }

  /**
   * Sends what waits and hands over what has come. @param handle gets packets until it closes this
   * @returns how many packets came; why it is over
   */
  read(now: number, handle: (now: number, rows: Batch) => void): number | LinkEnd {
    const { sender, fd, memory, received } = this.#options;
    this.#now = now;
    sender.flush(fd);
    this.#watch();
    received.reserve();
    const n = receiveBytes(fd, memory.pointer + received.at, Math.min(received.room, READ_BYTES));
    const why = n === FAILED ? errno() : sender.error;
    if (n > 0) received.filled(n);
    const count = this.#handOver(now, handle);
    if (this.#isClosed) return count;
    if (received.badLength !== undefined) return { kind: "link-garbled", length: received.badLength };
    if (why !== 0) return endOf(why);
    return n === ENDED ? { kind: "link-closed" } : count;
  }

  /** Nothing more is said or heard. What the kernel has taken still goes. */
  close(): void {
    if (!this.#isClosed) this.#options.sender.flush(this.#options.fd);
    this.#isClosed = true;
  }

  #handOver(now: number, handle: (now: number, rows: Batch) => void): number {
    const rows = this.#rows;
    for (let count = 0; ; count += rows.count) {
      rows.clear();
      if (!this.#isClosed) this.#options.received.take(rows);
      if (rows.count === 0) return count;
      handle(now, rows);
    }
  }

  #watch(): void {
    const { waits } = this;
    if (!waits) this.#waitsSince = NEVER;
    else if (this.#waitsSince === NEVER) this.#waitsSince = this.#now;
    this.#options.watch(waits);
  }
}

/** Why a connection is over, or could not be made. */
export function endOf(number: number): LinkEnd {
  if (number === ECONNREFUSED) return { kind: "link-refused" };
  if (number === ETIMEDOUT) return { kind: "link-timed-out" };
  return { kind: number === ENETUNREACH || number === EHOSTUNREACH ? "link-unreachable" : "link-reset" };
}
