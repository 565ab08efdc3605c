/**
 * The framing of comp-lzo and compress, inside of the encryption: what says of each packet whether it is compressed. What is
 * sent is not. Both ways of version 1 are read whichever of them is sent; the byte tells them apart.
 *
 *     byte   comp-lzo              0xfa  packet                                   0x66  packet by LZO
 *     swap   compress [stub|lz4]   0xfb  packet without byte 0  byte 0            0x69  packet by LZ4 without byte 0  byte 0
 *     v2     compress ...-v2       packet, or  0x50  0x00  packet                 0x50  0x01  packet by LZ4
 *
 * Version 2 escapes only a payload that starts with 0x50, which no IP packet does. Source: OpenVPN's comp.h, comp-lz4.c, lzo.c,
 * compstub.c.
 */
import type { Arena } from "../../lib/slab.ts";
import { DROP_DATA_COMPRESSED, DROP_DATA_DECOMPRESSION, DROP_DATA_FRAMING, DROP_DATA_NO_ROOM } from "../drop.ts";
import type { Decompress, Decompressors } from "../ports.ts";
import type { CompressionFraming } from "./compression.ts";

const LZO = 0x66;
const LZ4 = 0x69;
const NOT_COMPRESSED = 0xfa;
const NOT_COMPRESSED_SWAP = 0xfb;
const V2 = 0x50;
const V2_NOT_COMPRESSED = 0;
const V2_LZ4 = 1;
/** Bytes that any of them adds at most. */
export const FRAMING_MOST = 2;

export interface FramingMemory {
  /** Over the slab that packets lie in; what was compressed lies in it. */
  readonly scratch: Arena;
  readonly decompressors: Decompressors;
  /** Bytes of a packet at most: compressed ones that would become larger are drops. */
  readonly largest: number;
}

export abstract class Framing {
  /** Bytes that it adds to an IP packet. */
  abstract readonly overhead: number;
  /** Bytes of what the last call returned. */
  len = 0;
  protected readonly bytes: Uint8Array;
  readonly #memory: FramingMemory;

  constructor(memory: FramingMemory) {
    this.bytes = memory.scratch.slab.bytes;
    this.#memory = memory;
  }

  /**
   * Frames the packet [at, at + len), len > 0, where it stands; one byte behind it, or two in front, are written to.
   * @returns where it starts now, with `len` bytes
   */
  abstract frame(at: number, len: number): number;
  /**
   * Takes the framing off an opened payload, in place or, of a compressed one, into the scratch.
   * @returns where the packet starts, with `len` bytes, or the drop code
   */
  abstract strip(at: number, len: number): number;

  protected get decompressors(): Decompressors {
    return this.#memory.decompressors;
  }

  protected found(at: number, len: number): number {
    this.len = len;
    return len > 0 ? at : DROP_DATA_FRAMING;
  }

  protected expand(algorithm: Decompress | undefined, at: number, len: number): number {
    if (algorithm === undefined) return DROP_DATA_COMPRESSED;
    const { scratch, largest } = this.#memory;
    const { mark } = scratch;
    const to = scratch.take(largest);
    if (to < 0) return DROP_DATA_NO_ROOM;
    this.len = algorithm.decompress(at, len, to, largest);
    scratch.reset(mark);
    return this.len > 0 ? scratch.take(this.len) : DROP_DATA_DECOMPRESSION;
  }
}

/** What both ways of version 1 read. */
abstract class Version1 extends Framing {
  readonly overhead = 1;

  strip(at: number, len: number): number {
    switch (len > 0 ? this.bytes[at] : -1) {
      case NOT_COMPRESSED:
        return this.found(at + 1, len - 1);
      case NOT_COMPRESSED_SWAP:
        return this.found(this.#unswap(at, len), len - 1);
      case LZO:
        return this.expand(this.decompressors.lzo, at + 1, len - 1);
      case LZ4:
        return this.expand(this.decompressors.lz4, this.#unswap(at, len), len - 1);
      default:
        return DROP_DATA_FRAMING;
    }
  }

  #unswap(at: number, len: number): number {
    this.bytes[at] = this.bytes[at + len - 1]!;
    return at;
  }
}

class ByteFraming extends Version1 {
  frame(at: number, len: number): number {
    this.bytes[at - 1] = NOT_COMPRESSED;
    this.len = len + 1;
    return at - 1;
  }
}

class SwapFraming extends Version1 {
  frame(at: number, len: number): number {
    this.bytes[at + len] = this.bytes[at]!;
    this.bytes[at] = NOT_COMPRESSED_SWAP;
    this.len = len + 1;
    return at;
  }
}

class Version2 extends Framing {
  readonly overhead = 0;

  frame(at: number, len: number): number {
    this.len = len;
    if (this.bytes[at] !== V2) return at;
    this.bytes[at - 2] = V2;
    this.bytes[at - 1] = V2_NOT_COMPRESSED;
    this.len = len + 2;
    return at - 2;
  }

  strip(at: number, len: number): number {
    if (len > 0 && this.bytes[at] !== V2) return this.found(at, len);
    switch (len > 2 ? this.bytes[at + 1] : -1) {
      case V2_NOT_COMPRESSED:
        return this.found(at + 2, len - 2);
      case V2_LZ4:
        return this.expand(this.decompressors.lz4, at + 2, len - 2);
      default:
        return DROP_DATA_FRAMING;
    }
  }
}

/** @returns undefined: packets are as they are */
export function createFraming(framing: CompressionFraming, memory: FramingMemory): Framing | undefined {
  switch (framing) {
    case "none":
      return undefined;
    case "byte":
      return new ByteFraming(memory);
    case "swap":
      return new SwapFraming(memory);
    case "v2":
      return new Version2(memory);
  }
}
