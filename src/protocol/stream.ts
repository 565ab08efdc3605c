/**
 * How OpenVPN packets go over a stream: each behind its length, two bytes in network order. Source: OpenVPN's socket.c
 * (stream_buf_added: a length of 0 or above what a packet can have means that the stream is no OpenVPN's, or has lost its
 * place, and is the end of it).
 *
 *     length n (2)  packet (n)  length m (2)  packet (m) ...
 *
 * Sending needs no copy: the length goes into the headroom of a sealed packet. What is received is collected in one piece
 * of memory, where whole packets are rows of the slab that are opened in place: the length and the header of an opened
 * packet are the headroom for whatever is put in front of it.
 */
import type { Batch } from "../lib/batch.ts";
import { HEADROOM, type Slab, TAILROOM } from "../lib/slab.ts";

export const STREAM_HEADER_LEN = 2;

/** Puts the length in front of every packet: the rows begin two bytes earlier. @param view of the slab */
export function frameRows(view: DataView, rows: Batch): void {
  for (let i = 0; i < rows.count; i++) {
    const len = rows.len[i]!;
    const at = rows.at[i]! - STREAM_HEADER_LEN;
    view.setUint16(at, len);
    rows.at[i] = at;
    rows.len[i] = len + STREAM_HEADER_LEN;
  }
}

/** A packet that does not lie in the slab, such as a control packet, behind its length. */
export function framePacket(packet: Uint8Array): Uint8Array {
  const framed = new Uint8Array(STREAM_HEADER_LEN + packet.length);
  framed[0] = packet.length >> 8;
  framed[1] = packet.length;
  framed.set(packet, STREAM_HEADER_LEN);
  return framed;
}

/**
 * The receiving side, in the order of its use: {@link reserve}, as many bytes as came but at most {@link room} are written
 * at {@link at}, {@link filled}; then {@link take} until it adds no row. Rows are valid until the next reserve(). Whoever keeps
 * the bytes of a packet that is not whole himself uses {@link restart} in place of reserve().
 */
export class StreamRows {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #start: number;
  #end: number;
  readonly #maxPacket: number;
  /** Of what was received and is in no row yet: [head, tail). */
  #head: number;
  #tail: number;
  #badLength: number | undefined;

  /**
   * @param slab,start,end the memory that it owns (end exclusive), enough for two packets
   * @param maxPacket bytes of the longest packet that can be right
   */
  constructor(slab: Slab, start: number, end: number, maxPacket: number) {
    this.#view = slab.view;
    this.#bytes = slab.bytes;
    this.#maxPacket = maxPacket;
    this.#start = start + HEADROOM;
    this.#end = end - TAILROOM;
    this.#head = this.#tail = this.#start;
  }

  /** The length that cannot be one: the stream has no packets any more. */
  get badLength(): number | undefined {
    return this.#badLength;
  }

  /** Where bytes go. */
  get at(): number {
    return this.#tail;
  }

  /** How many of them. */
  get room(): number {
    return this.#end - this.#tail;
  }

  /** Ends the life of the rows so far; afterwards there is room for at least the rest of the packet under way. */
  reserve(): void {
    const isEmpty = this.#head === this.#tail;
    if (this.#head > this.#start && (isEmpty || this.room < STREAM_HEADER_LEN + this.#maxPacket)) {
      this.#bytes.copyWithin(this.#start, this.#head, this.#tail);
      this.#tail -= this.#head - this.#start;
      this.#head = this.#start;
    }
  }

  /** Bytes in no row: a packet that is not whole, once there are no rows to take. */
  get left(): number {
    return this.#tail - this.#head;
  }

  /** It owns another piece of memory from now on, in which there is nothing yet. */
  restart(start: number, end: number): void {
    this.#start = start + HEADROOM;
    this.#end = end - TAILROOM;
    this.#head = this.#tail = this.#start;
  }

  /** @param n bytes that were written at `at` */
  filled(n: number): void {
    this.#tail += n;
  }

  /** Whole packets become rows, as far as there are any and `rows` has room. */
  take(rows: Batch): void {
    while (this.#badLength === undefined && this.#tail - this.#head >= STREAM_HEADER_LEN) {
      const len = this.#view.getUint16(this.#head);
      if (len === 0 || len > this.#maxPacket) {
        this.#badLength = len;
        return;
      }
      const at = this.#head + STREAM_HEADER_LEN;
      if (at + len > this.#tail || rows.push(at, len) < 0) return;
      this.#head = at + len;
    }
  }
}
