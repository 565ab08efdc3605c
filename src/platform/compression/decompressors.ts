/**
 * What a peer compressed, undone by liblzo2's and liblz4's safe functions, which check every byte that they read and write.
 * Either library may be missing: then that algorithm is.
 */
import { FFIType } from "bun:ffi";
import type { Slab } from "../../lib/slab.ts";
import type { Decompress, Decompressors } from "../../protocol/ports.ts";
import { findLibrary } from "../sys/library.ts";
import { NativeMemory } from "../sys/memory.ts";

const { i32, ptr, u64_fast } = FFIType;
/** lzo/lzoconf.h */
const LZO_E_OK = 0;
/** Bytes of an lzo_uint, which is as wide as a pointer. */
const LZO_UINT = 8;
const NULL = 0;

interface Lzo {
  lzo1x_decompress_safe(from: number, length: number, to: number, lengthAt: number, workspace: number): number;
}

interface Lz4 {
  LZ4_decompress_safe(from: number, to: number, length: number, room: number): number;
}

/**
 * @param slab the memory that offsets refer to; it must be native memory
 * @param base address of the slab's byte 0
 */
export function findDecompressors(slab: Slab, base: number): Decompressors {
  const lzo = findLibrary<Lzo>("liblzo2.so.2", {
    lzo1x_decompress_safe: { args: [ptr, u64_fast, ptr, ptr, ptr], returns: i32 },
  });
  const lz4 = findLibrary<Lz4>("liblz4.so.1", {
    LZ4_decompress_safe: { args: [ptr, ptr, i32, i32], returns: i32 },
  });
  return {
    lzo: typeof lzo === "string" ? undefined : new LzoDecompress(lzo, slab, base),
    lz4: typeof lz4 === "string" ? undefined : new Lz4Decompress(lz4, slab, base),
  };
}

class LzoDecompress implements Decompress {
  readonly #lib: Lzo;
  readonly #size: number;
  readonly #base: number;
  readonly #length = new NativeMemory(LZO_UINT);

  constructor(lib: Lzo, slab: Slab, base: number) {
    this.#lib = lib;
    this.#size = slab.bytes.length;
    this.#base = base;
  }

  decompress(at: number, len: number, to: number, room: number): number {
    checkBounds(this.#size, at, len, to, room);
    const { view, pointer } = this.#length;
    view.setUint32(0, room, true);
    view.setUint32(4, 0, true);
    const result = this.#lib.lzo1x_decompress_safe(this.#base + at, len, this.#base + to, pointer, NULL);
    return result === LZO_E_OK ? view.getUint32(0, true) : -1;
  }
}

class Lz4Decompress implements Decompress {
  readonly #lib: Lz4;
  readonly #size: number;
  readonly #base: number;

  constructor(lib: Lz4, slab: Slab, base: number) {
    this.#lib = lib;
    this.#size = slab.bytes.length;
    this.#base = base;
  }

  decompress(at: number, len: number, to: number, room: number): number {
    checkBounds(this.#size, at, len, to, room);
    return this.#lib.LZ4_decompress_safe(this.#base + at, this.#base + to, len, room);
  }
}

/** C has no bounds: a wrong offset of ours would read or write anything. */
function checkBounds(size: number, at: number, len: number, to: number, room: number): void {
  if ((at | len | to | room) < 0 || at + len > size || to + room > size)
    throw new RangeError("decompression outside of the slab");
}
