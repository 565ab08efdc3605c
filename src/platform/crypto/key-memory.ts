/** What the keys of a factory on OpenSSL share: the slab that offsets refer to, and cells for what C is handed beside it. */
import type { Slab } from "../../lib/slab.ts";
import { NativeMemory } from "../sys/memory.ts";
import { type Libcrypto, libcrypto } from "./libcrypto.ts";

export class KeyMemory {
  readonly lib: Libcrypto;
  /** Address of the slab's byte 0, and its bytes. */
  readonly base: number;
  readonly size: number;
  /** All keys of a factory use the same places of it: a call is over before the next one begins. */
  readonly cell: NativeMemory;

  /**
   * @param slab it must be native memory @param pointer address of its byte 0
   * @throws Error when libcrypto.so.3 is not there
   */
  constructor(slab: Slab, pointer: number, cellBytes: number) {
    this.lib = libcrypto();
    this.base = pointer;
    this.size = slab.bytes.length;
    this.cell = new NativeMemory(cellBytes);
  }
}
