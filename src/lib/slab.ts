/**
 * The memory that frames live in: one ArrayBuffer, one Uint8Array and one DataView over all of it, and bump
 * allocation within it. Every packet is a pair (at, len) of absolute offsets; nothing makes a view per packet.
 *
 * Lifetime: what a device received stays where it is until the end of the turn; frames that are made during a turn
 * come from that turn's {@link Arena}; what has to live longer is copied into the storage of whoever keeps it.
 */
export interface Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** A slab over the whole of `buffer` (native memory in the appliance, an ordinary buffer in tests). */
export function slabOver(buffer: ArrayBuffer): Slab {
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/**
 * Room in front of every frame that an arena hands out: any header stack that is prepended later fits. The longest one is
 * Ethernet, IPv6, UDP (62), SOCKS (22), a data packet of CBC with SHA512 (88), fragment (4), compression (2).
 */
export const HEADROOM = 192;
/** Room behind every frame: alignment and the bytes that a checksum or a block cipher may touch. */
export const TAILROOM = 32;

/** Bump allocation of frames in one region of a slab; `reset` ends the life of all of them. */
export class Arena {
  readonly slab: Slab;
  readonly start: number;
  readonly end: number;
  #next: number;

  /** @param start,end byte range of the slab that this arena owns (end exclusive) */
  constructor(slab: Slab, start: number, end: number) {
    this.slab = slab;
    this.start = start;
    this.end = end;
    this.#next = start;
  }

  /**
   * Offset of `len` writable bytes with HEADROOM bytes before and TAILROOM behind, or -1 when the arena is full.
   * The offset is 2 more than a multiple of 4: an IP header placed after 14 bytes of Ethernet, and one placed at the
   * offset itself minus 14, are then both reachable with aligned 32-bit access where it matters. Contents are dirty.
   */
  take(len: number): number {
    const at = ((this.#next + HEADROOM + 3) & ~3) + 2;
    const next = at + len + TAILROOM;
    if (next > this.end) return -1;
    this.#next = next;
    return at;
  }

  /** Bytes that are left; a caller that needs n frames of up to m bytes asks for n * (m + HEADROOM + TAILROOM + 8). */
  get room(): number {
    return this.end - this.#next;
  }

  /** What is taken from now on ends with `reset(mark)`. */
  get mark(): number {
    return this.#next;
  }

  /** Ends the life of all frames, or of those that were taken since `mark`. */
  reset(mark = this.start): void {
    this.#next = mark;
  }
}
