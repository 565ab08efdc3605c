import { expect, test } from "bun:test";
import { aeadContract } from "../../../test/support/contract/aead.ts";
import { NativeMemory } from "../sys/memory.ts";
import { LibcryptoAead } from "./aead.ts";
import { systemRandom } from "./random.ts";

aeadContract("libcrypto by FFI", () => {
  const slab = new NativeMemory(64 * 1024);
  return { slab, factory: new LibcryptoAead(slab, slab.pointer) };
});

test("offsets outside the slab and use after close are refused before C sees them", () => {
  const slab = new NativeMemory(4096);
  const key = new LibcryptoAead(slab, slab.pointer).create(
    "AES-256-GCM",
    new Uint8Array(32),
    new Uint8Array(12),
    "seal",
  );
  expect(() => key.seal(1, 0, 0, 8, 4000, 97, 16)).toThrow(RangeError);
  expect(() => key.seal(1, 0, 0, 8, 64, 8, 4081)).toThrow(RangeError);
  expect(() => key.seal(1, 0, -1, 8, 64, 8, 16)).toThrow(RangeError);
  key.seal(1, 0, 0, 8, 64, 8, 16);
  key.close();
  expect(() => key.seal(1, 0, 0, 8, 64, 8, 16)).toThrow(RangeError);
});

test("there is no number of keys that is too many: three for each of thousands of peers", () => {
  const slab = new NativeMemory(4096);
  const factory = new LibcryptoAead(slab, slab.pointer);
  const iv = new Uint8Array(12);
  const keys = Array.from({ length: 9000 }, (_, i) =>
    factory.create("AES-256-GCM", new Uint8Array(32).fill(i), iv, "seal"),
  );
  const tags = new Set<string>();
  for (const key of keys) {
    slab.bytes.fill(0);
    key.seal(1, 0, 0, 8, 64, 8, 32);
    tags.add(slab.bytes.slice(32, 48).toHex());
  }
  expect(tags.size).toBe(256);
  for (const key of keys) key.close();
});

test("the system's random bytes differ, also beyond 64 KiB", () => {
  const out = new Uint8Array(65536 * 2);
  systemRandom.fill(out);
  expect(new Set(out.subarray(65536, 65536 + 4096)).size).toBeGreaterThan(200);
  expect(out.subarray(0, 65536)).not.toEqual(out.subarray(65536));
});
