/**
 * `fragment`: packets of the tunnel that would make too large datagrams go in pieces, each sealed by itself. Every payload of both
 * ends has the header, in front of the compression's framing (fragment.h):
 *
 *     4 bytes: size / 4 (14 bits)  piece (5 bits)  sequence id (8 bits)  type (2 bits)
 *     type: 0 whole (all else is 0)  1 a piece that is not the last  2 the last piece, which alone names the size of the others
 *
 * Pieces of one packet have one sequence id. Those of at most 25 packets wait for each other, 10 s.
 */
import type { Batch } from "../../lib/batch.ts";
import { type Arena, HEADROOM, type Slab, TAILROOM } from "../../lib/slab.ts";
import {
  DROP_DATA_FRAGMENT,
  DROP_DATA_FRAGMENT_LOST,
  DROP_DATA_NO_ROOM,
  DROP_NONE,
  DROP_SEAL_TOO_LARGE,
  type SessionDrops,
} from "../drop.ts";
import type { DataKey } from "./key.ts";

export const FRAGMENT_HEADER_LEN = 4;
/** From OpenVPN's fragment.h. */
const MAX_PIECES = 32;
const WAITING = 25;
const EXPIRES_MS = 10_000;
const SEQUENCE_IDS = 256;

const WHOLE = 0;
const NOT_LAST = 1;
const LAST = 2;
const TYPE_MASK = 3;
const SEQUENCE_SHIFT = 2;
const PIECE_SHIFT = 10;
const SIZE_SHIFT = 15;
const SIZE_MASK = 0x3fff;
/** Pieces have a multiple of so many bytes, but for the last one. */
const SIZE_UNIT = 4;
const ALL_PIECES = -1;

/** No part of a packet is complete yet: neither an offset nor a drop. */
export const PIECE_KEPT = 0;

export class Fragments {
  /** Bytes of the packet that was put together last. */
  len = 0;
  readonly #slab: Slab;
  readonly #scratch: Arena;
  readonly #drops: SessionDrops;
  readonly #datagram: number;
  /** Bytes of a packet at most. */
  readonly #largest: number;
  #sequence: number;
  #key: DataKey | undefined;
  /** Payload bytes of a piece at most, for that key. */
  #most = 0;

  // A ring of packets that wait for pieces; the one at `newest` has the highest sequence id seen.
  readonly #bytes: Uint8Array;
  readonly #size = new Int32Array(WAITING);
  readonly #map = new Int32Array(WAITING);
  readonly #end = new Int32Array(WAITING);
  readonly #touchedAt = new Float64Array(WAITING);
  #newest = 0;
  #newestId = 0;

  /**
   * @param scratch for pieces to send, and packets that were put together
   * @param datagram bytes of a sealed packet at most @param largest bytes of a packet at most
   * @param sequence where to begin with sequence ids (openvpn takes a random number, so that two sessions differ)
   */
  constructor(scratch: Arena, drops: SessionDrops, datagram: number, largest: number, sequence: number) {
    this.#slab = scratch.slab;
    this.#scratch = scratch;
    this.#drops = drops;
    this.#datagram = datagram;
    this.#largest = largest;
    this.#sequence = sequence;
    this.#bytes = new Uint8Array(WAITING * largest);
  }

  /** Seals the payload [at, at + len) into rows of `sealed`: where it stands, or in pieces in the scratch. @returns the drop code */
  seal(key: DataKey, at: number, len: number, sealed: Batch): number {
    if (key !== this.#key) {
      this.#key = key;
      this.#most = key.payloadMax(this.#datagram) - FRAGMENT_HEADER_LEN;
    }
    const most = this.#most;
    if (len <= most) return this.#sealPiece(key, at, len, WHOLE, sealed);
    const size = pieceSize(len, most);
    const pieces = Math.ceil(len / size);
    if (size === 0 || pieces > MAX_PIECES) return DROP_SEAL_TOO_LARGE;
    const needed = pieces * (size + HEADROOM + TAILROOM + SIZE_UNIT);
    if (sealed.room < pieces || this.#scratch.room < needed) return DROP_DATA_NO_ROOM;
    this.#sequence = (this.#sequence + 1) % SEQUENCE_IDS;
    const { bytes } = this.#slab;
    for (let piece = 0, from = 0; piece < pieces; piece++, from += size) {
      const isLast = piece === pieces - 1;
      const pieceLen = isLast ? len - from : size;
      const to = this.#scratch.take(pieceLen);
      bytes.copyWithin(to, at + from, at + from + pieceLen);
      const flags =
        (isLast ? LAST | ((size / SIZE_UNIT) << SIZE_SHIFT) : NOT_LAST) |
        (this.#sequence << SEQUENCE_SHIFT) |
        (piece << PIECE_SHIFT);
      const drop = this.#sealPiece(key, to, pieceLen, flags, sealed);
      if (drop !== DROP_NONE) return drop;
    }
    return DROP_NONE;
  }

  /**
   * Takes an opened payload.
   * @returns where the packet is that it is or completes, with `len` bytes; PIECE_KEPT; or the drop code
   */
  open(now: number, at: number, len: number): number {
    if (len <= FRAGMENT_HEADER_LEN) return DROP_DATA_FRAGMENT;
    const flags = this.#slab.view.getInt32(at);
    const dataAt = at + FRAGMENT_HEADER_LEN;
    const dataLen = len - FRAGMENT_HEADER_LEN;
    const type = flags & TYPE_MASK;
    const id = (flags >> SEQUENCE_SHIFT) & (SEQUENCE_IDS - 1);
    const piece = (flags >> PIECE_SHIFT) & (MAX_PIECES - 1);
    if (type === WHOLE) {
      this.len = dataLen;
      return id === 0 && piece === 0 ? dataAt : DROP_DATA_FRAGMENT;
    }
    if (type !== NOT_LAST && type !== LAST) return DROP_DATA_FRAGMENT;
    const size = type === LAST ? ((flags >> SIZE_SHIFT) & SIZE_MASK) * SIZE_UNIT : dataLen;
    const from = piece * size;
    if (size === 0 || size % SIZE_UNIT !== 0 || dataLen > size || from + dataLen > this.#largest)
      return DROP_DATA_FRAGMENT;
    const slot = this.#slot(id);
    if (this.#map[slot] !== 0 && (this.#size[slot] !== size || now - this.#touchedAt[slot]! >= EXPIRES_MS))
      this.#forget(slot);
    if (this.#map[slot] === 0) this.#end[slot] = 0;
    this.#size[slot] = size;
    this.#touchedAt[slot] = now;
    copy(this.#slab.bytes, dataAt, this.#bytes, slot * this.#largest + from, dataLen);
    this.#end[slot] = Math.max(this.#end[slot]!, from + dataLen);
    // the last piece stands for all that could follow it
    this.#map[slot]! |= (type === LAST ? ALL_PIECES : 1) << piece;
    return this.#map[slot] === ALL_PIECES ? this.#complete(slot) : PIECE_KEPT;
  }

  #sealPiece(key: DataKey, at: number, len: number, flags: number, sealed: Batch): number {
    const headerAt = at - FRAGMENT_HEADER_LEN;
    this.#slab.view.setInt32(headerAt, flags);
    const start = key.seal(headerAt, len + FRAGMENT_HEADER_LEN);
    if (start < 0) return start;
    sealed.push(start, key.sealedLen);
    return DROP_NONE;
  }

  #complete(slot: number): number {
    this.#map[slot] = 0;
    const len = this.#end[slot]!;
    const to = this.#scratch.take(len);
    if (to < 0) return DROP_DATA_NO_ROOM;
    copy(this.#bytes, slot * this.#largest, this.#slab.bytes, to, len);
    this.len = len;
    return to;
  }

  /** The place of a packet; the ring moves on for a new one. */
  #slot(id: number): number {
    // -128..127
    const ahead = ((id - this.#newestId) << 24) >> 24;
    if (Math.abs(ahead) >= WAITING) {
      for (let slot = 0; slot < WAITING; slot++) this.#forget(slot);
      this.#newestId = id;
      return this.#newest;
    }
    for (let i = 0; i < ahead; i++) {
      this.#newest = (this.#newest + 1) % WAITING;
      this.#forget(this.#newest);
    }
    if (ahead > 0) this.#newestId = id;
    return ahead >= 0 ? this.#newest : (this.#newest + WAITING + ahead) % WAITING;
  }

  #forget(slot: number): void {
    if (this.#map[slot] !== 0) this.#drops.drop(DROP_DATA_FRAGMENT_LOST);
    this.#map[slot] = 0;
  }
}

/**
 * Bytes of each piece but the last: as few pieces as go, and the last one not much smaller than the others, as openvpn makes
 * them (fragment.c, optimal_fragment_size). 0: `most` is too small.
 */
function pieceSize(len: number, most: number): number {
  const aligned = most - (most % SIZE_UNIT);
  if (aligned <= 0) return 0;
  const full = Math.floor(len / aligned);
  const rest = len % aligned;
  if (full === 0 || rest === 0 || rest >= (aligned * 3) / 4) return aligned;
  const even = Math.ceil(len / (full + 1) / SIZE_UNIT) * SIZE_UNIT;
  return Math.min(aligned, even);
}

/** From one memory to another without making a view. */
function copy(from: Uint8Array, at: number, to: Uint8Array, toAt: number, len: number): void {
  for (let i = 0; i < len; i++) to[toAt + i] = from[at + i]!;
}
