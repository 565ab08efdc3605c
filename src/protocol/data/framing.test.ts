import { expect, test } from "bun:test";
import fc from "fast-check";
import { Arena, HEADROOM, slabOver, TAILROOM } from "../../lib/slab.ts";
import { DROP_DATA_COMPRESSED, DROP_DATA_DECOMPRESSION, DROP_DATA_FRAMING, DROP_DATA_NO_ROOM } from "../drop.ts";
import { type Decompressors, NO_DECOMPRESSORS } from "../ports.ts";
import type { CompressionFraming } from "./compression.ts";
import { createFraming, type Framing } from "./framing.ts";

const AT = 64;
const LARGEST = 100;
const slab = slabOver(new ArrayBuffer(1024));
const scratchOf = (packets: number): Arena => new Arena(slab, 512, 512 + packets * (HEADROOM + LARGEST + TAILROOM + 8));

/** Doubles every byte. */
const doubles: Decompressors["lzo"] = {
  decompress(at, len, to, room) {
    if (2 * len > room) return -1;
    for (let i = 0; i < 2 * len; i++) slab.bytes[to + i] = slab.bytes[at + (i >> 1)]!;
    return 2 * len;
  },
};

function framing(kind: CompressionFraming, decompressors: Decompressors = NO_DECOMPRESSORS, packets = 1): Framing {
  const made = createFraming(kind, { scratch: scratchOf(packets), decompressors, largest: LARGEST });
  if (made === undefined) throw new Error(kind);
  return made;
}

function put(packet: readonly number[]): void {
  slab.bytes.fill(0xa5);
  slab.bytes.set(packet, AT);
}

function framed(kind: CompressionFraming, packet: readonly number[]): number[] {
  const f = framing(kind);
  put(packet);
  const at = f.frame(AT, packet.length);
  return [...slab.bytes.subarray(at, at + f.len)];
}

/** The packet, or the drop code. */
function stripped(f: Framing, payload: readonly number[]): number[] | number {
  put(payload);
  const at = f.strip(AT, payload.length);
  return at < 0 ? at : [...slab.bytes.subarray(at, at + f.len)];
}

test("comp-lzo puts 0xfa in front; compress puts 0xfb there and the first byte at the end; v2 escapes 0x50 alone (comp.h)", () => {
  expect(framed("byte", [0x45, 1, 2])).toEqual([0xfa, 0x45, 1, 2]);
  expect(framed("swap", [0x45, 1, 2])).toEqual([0xfb, 1, 2, 0x45]);
  expect(framed("swap", [0x45])).toEqual([0xfb, 0x45]);
  expect(framed("v2", [0x45, 1, 2])).toEqual([0x45, 1, 2]);
  expect(framed("v2", [0x50, 1, 2])).toEqual([0x50, 0, 0x50, 1, 2]);
});

test("what is framed is found again where it stands", () => {
  const framings = fc.constantFrom<CompressionFraming>("byte", "swap", "v2");
  fc.assert(
    fc.property(framings, fc.uint8Array({ minLength: 1, maxLength: LARGEST }), (kind, packet) => {
      expect(stripped(framing(kind), framed(kind, [...packet]))).toEqual([...packet]);
    }),
  );
});

test("both ways of version 1 are read by each of them", () => {
  for (const kind of ["byte", "swap"] as const) {
    expect(stripped(framing(kind), [0xfa, 0x45, 1])).toEqual([0x45, 1]);
    expect(stripped(framing(kind), [0xfb, 1, 0x45])).toEqual([0x45, 1]);
  }
});

test("what is compressed is undone in the scratch: LZO by byte, LZ4 by swap and by v2", () => {
  const lzo = { ...NO_DECOMPRESSORS, lzo: doubles };
  const lz4 = { ...NO_DECOMPRESSORS, lz4: doubles };
  expect(stripped(framing("byte", lzo), [0x66, 7, 8])).toEqual([7, 7, 8, 8]);
  expect(stripped(framing("swap", lz4), [0x69, 8, 7])).toEqual([7, 7, 8, 8]);
  expect(stripped(framing("v2", lz4), [0x50, 1, 7, 8])).toEqual([7, 7, 8, 8]);
});

test("compressed packets without their library, damaged or too large ones, and those that find no room have their own drops", () => {
  const both = { lzo: doubles, lz4: doubles };
  expect(stripped(framing("byte", { ...both, lzo: undefined }), [0x66, 7])).toBe(DROP_DATA_COMPRESSED);
  expect(stripped(framing("v2", { ...both, lz4: undefined }), [0x50, 1, 7])).toBe(DROP_DATA_COMPRESSED);
  const large = new Array(1 + LARGEST / 2).fill(7);
  expect(stripped(framing("byte", both), [0x66, ...large])).toBe(DROP_DATA_DECOMPRESSION);
  expect(stripped(framing("byte", both), [0x66, ...large.slice(1)])).toHaveLength(LARGEST);
  expect(stripped(framing("byte", both), [0x66])).toBe(DROP_DATA_DECOMPRESSION);
  const once = framing("byte", both);
  expect([stripped(once, [0x66, ...large.slice(1)]), stripped(once, [0x66, 7])]).toEqual([
    large.slice(1).flatMap((byte) => [byte, byte]),
    DROP_DATA_NO_ROOM,
  ]);
});

test("what has no framing, or ends within it, is no packet", () => {
  for (const payload of [[], [0x45, 1], [0xfa], [0xfb]])
    expect([payload, stripped(framing("byte"), payload)]).toEqual([payload, DROP_DATA_FRAMING]);
  for (const payload of [[], [0x50], [0x50, 0], [0x50, 2, 1], [0x50, 3, 1]])
    expect([payload, stripped(framing("v2"), payload)]).toEqual([payload, DROP_DATA_FRAMING]);
  expect(stripped(framing("v2", { lzo: doubles, lz4: doubles }), [0x50, 1])).toBe(DROP_DATA_FRAMING);
});
