import { dlopen, FFIType, ptr } from "bun:ffi";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { NativeMemory } from "../sys/memory.ts";
import { findDecompressors } from "./decompressors.ts";

const { i32, ptr: pointer } = FFIType;
const MOST = 4096;
const memory = new NativeMemory(4 * MOST);
const found = findDecompressors(memory, memory.pointer);
/** Where the result goes, and what must stay as it is behind it. */
const TO = 2 * MOST;

const lzo = dlopen("liblzo2.so.2", {
  lzo1x_1_compress: { args: [pointer, FFIType.u64, pointer, pointer, pointer], returns: i32 },
}).symbols;
const lz4 = dlopen("liblz4.so.1", {
  LZ4_compress_default: { args: [pointer, pointer, i32, i32], returns: i32 },
}).symbols;

/** The libraries' own compressors, which is what openvpn calls. */
const COMPRESS = {
  lzo(data: Uint8Array): Uint8Array {
    const [out, length] = [new Uint8Array(2 * MOST), new BigUint64Array(1)];
    // LZO1X_1_MEM_COMPRESS: 16,384 pointers
    lzo.lzo1x_1_compress(ptr(data), BigInt(data.length), ptr(out), ptr(length), ptr(new Uint8Array(8 * 16_384)));
    return out.slice(0, Number(length[0]));
  },
  lz4(data: Uint8Array): Uint8Array {
    const out = new Uint8Array(2 * MOST);
    return out.slice(0, lz4.LZ4_compress_default(ptr(data), ptr(out), data.length, out.length));
  },
};

/** Bytes that compress more or less. */
const data = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 40 })), { minLength: 1 })
  .map((runs) => Uint8Array.from(runs.flatMap(([bytes, n]) => Array.from({ length: n }, () => [...bytes]).flat())))
  .map((bytes) => bytes.slice(0, MOST));

test.each(["lzo", "lz4"] as const)("%s: what its library compresses comes back, if there is room for all", (name) => {
  const undo = found[name];
  if (undo === undefined) throw new Error(`the library of ${name} is not there`);
  fc.assert(
    fc.property(data, (bytes) => {
      const packed = COMPRESS[name](bytes);
      memory.bytes.fill(0xa5);
      memory.bytes.set(packed);
      expect(undo.decompress(0, packed.length, TO, bytes.length)).toBe(bytes.length);
      expect(memory.bytes.slice(TO, TO + bytes.length)).toEqual(bytes);
      expect(memory.bytes[TO + bytes.length]).toBe(0xa5);
      expect(undo.decompress(0, packed.length, TO, bytes.length - 1)).toBeLessThanOrEqual(0);
    }),
  );
});

test.each(["lzo", "lz4"] as const)("%s: anything at all is read and written within its bounds", (name) => {
  const undo = found[name]!;
  const damaged = fc
    .tuple(data, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))))
    .map(([bytes, hits]) => {
      const packed = COMPRESS[name](bytes);
      for (const [at, byte] of hits) packed[at % packed.length] = byte;
      return packed;
    });
  fc.assert(
    fc.property(
      fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })),
      fc.integer({ min: 0, max: 1600 }),
      (bytes, room) => {
        memory.bytes.fill(0xa5);
        memory.bytes.set(bytes);
        const len = undo.decompress(0, bytes.length, TO, room);
        expect(len).toBeLessThanOrEqual(room);
        expect(memory.bytes.subarray(TO + room).every((byte) => byte === 0xa5)).toBe(true);
        expect(memory.bytes.subarray(bytes.length, TO).every((byte) => byte === 0xa5)).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test("places outside of the slab are refused", () => {
  const places: [number, number, number, number][] = [
    [-1, 1, 0, 1],
    [0, memory.bytes.length + 1, 0, 1],
    [0, 1, memory.bytes.length, 1],
    [0, 1, 0, -1],
  ];
  for (const place of places)
    for (const undo of [found.lzo!, found.lz4!]) expect(() => undo.decompress(...place)).toThrow(RangeError);
});
