/** How much is allocated from the C library, of whose heap OpenSSL is nearly the only user here. Of x86-64 only. */
import { dlopen, FFIType } from "bun:ffi";
import { NativeMemory } from "../../src/platform/sys/memory.ts";

const libc = dlopen("libc.so.6", { mallinfo2: { args: [FFIType.ptr], returns: FFIType.void } });
const place = new NativeMemory(4096);
const HBLKHD = 4 * 8;
const UORDBLKS = 7 * 8;

/** In bytes. */
export function allocated(): number {
  // A structure of ten size_t that is returned by value: the caller passes its place as if it were the first argument (x86-64).
  const mallinfo2 = libc.symbols.mallinfo2 as unknown as (place: number) => void;
  mallinfo2(place.pointer);
  return Number(place.view.getBigUint64(UORDBLKS, true)) + Number(place.view.getBigUint64(HBLKHD, true));
}
