import { expect, test } from "bun:test";
import fc from "fast-check";
import { DROP_DATA_COMPRESSED, DROP_DATA_FRAMING, DROP_NONE } from "../drop.ts";
import {
  COMPRESSION_HEADER_LEN,
  type CompressionFraming,
  compressionCheck,
  compressionEmit,
  compressionStrip,
} from "./compression.ts";

const AT = 8;

/** The framed bytes, and what is around them. */
function framed(framing: CompressionFraming, packet: readonly number[]): number[] {
  const bytes = new Uint8Array(AT + packet.length + 8).fill(0xa5);
  bytes.set(packet, AT);
  const at = compressionEmit(bytes, framing, AT, packet.length);
  return [...bytes.subarray(at, at + packet.length + COMPRESSION_HEADER_LEN)];
}

test("comp-lzo no puts 0xfa in front; compress puts 0xfb there and the first byte at the end (comp.h)", () => {
  expect(framed("stub", [0x45, 1, 2])).toEqual([0xfa, 0x45, 1, 2]);
  expect(framed("stub-swap", [0x45, 1, 2])).toEqual([0xfb, 1, 2, 0x45]);
  expect(framed("stub-swap", [0x45])).toEqual([0xfb, 0x45]);
});

test("what is framed is found again where it stands", () => {
  const framings = fc.constantFrom<CompressionFraming>("stub", "stub-swap");
  fc.assert(
    fc.property(framings, fc.uint8Array({ minLength: 1, maxLength: 64 }), (framing, packet) => {
      const bytes = Uint8Array.from([0xa5, ...framed(framing, [...packet]), 0xa5]);
      const len = packet.length + COMPRESSION_HEADER_LEN;
      expect(compressionCheck(bytes, framing, 1, len)).toBe(DROP_NONE);
      const at = compressionStrip(bytes, framing, 1, len);
      expect(bytes.slice(at, at + packet.length)).toEqual(packet);
    }),
  );
});

test("compressed packets are told from packets without the framing", () => {
  const check = (framing: CompressionFraming, ...bytes: number[]): number =>
    compressionCheck(Uint8Array.from(bytes), framing, 0, bytes.length);
  expect(check("stub", 0x66, 1)).toBe(DROP_DATA_COMPRESSED);
  expect(check("stub-swap", 0x69, 1)).toBe(DROP_DATA_COMPRESSED);
  expect(check("stub", 0x45, 1)).toBe(DROP_DATA_FRAMING);
  expect(check("stub", 0xfb, 1)).toBe(DROP_DATA_FRAMING);
  expect(check("stub-swap", 0xfa, 1)).toBe(DROP_DATA_FRAMING);
  expect(check("stub")).toBe(DROP_DATA_FRAMING);
});
