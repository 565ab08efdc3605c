/**
 * Native memory: the only memory that C code is given a pointer to on the data path. It is mapped by the kernel and
 * viewed as an ArrayBuffer, so the garbage collector neither moves nor frees it; it lives as long as the process.
 */
import { toArrayBuffer } from "bun:ffi";
import { assert } from "../../lib/assert.ts";
import type { Slab } from "../../lib/slab.ts";
import { check } from "./errno.ts";
import { libc } from "./libc.ts";

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_FIXED = 0x10;
const PAGE = 4096;

/** A piece of native memory: `pointer` for C, `at` for the views of the {@link NativeMemory} that it was taken from. */
export interface Piece {
  readonly pointer: number;
  readonly at: number;
  readonly length: number;
}

export class NativeMemory implements Slab {
  /** Address of byte 0, a multiple of the page size. */
  readonly pointer: number;
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  #next = 0;

  /** Maps at least `length` zeroed bytes. Pages take memory when they are first touched. @throws SysError */
  constructor(length: number) {
    const size = Math.ceil(length / PAGE) * PAGE;
    this.pointer = map(0, size, 0);
    this.buffer = toArrayBuffer(this.pointer as never, 0, size);
    this.bytes = new Uint8Array(this.buffer);
    this.view = new DataView(this.buffer);
  }

  /** Carves the next `length` bytes; they are only given back all at once. @param align a power of two */
  take(length: number, align = 16): Piece {
    const at = (this.#next + align - 1) & ~(align - 1);
    assert(at + length <= this.bytes.length, `native memory is used up: ${length} bytes wanted, ${this.room} left`);
    this.#next = at + length;
    return { pointer: this.pointer + at, at, length };
  }

  /** Takes every piece back, for whoever comes next: the memory is as new. Pieces that were taken before must not be used any more. @throws SysError */
  reset(): void {
    map(this.pointer, this.bytes.length, MAP_FIXED);
    this.#next = 0;
  }

  get room(): number {
    return this.bytes.length - this.#next;
  }
}

const map = (address: number, size: number, flags: number): number =>
  check("mmap", libc.mmap(address, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS | flags, -1, 0));
