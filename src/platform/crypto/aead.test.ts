import { type Pointer, toArrayBuffer } from "bun:ffi";
import { describe, expect, spyOn, test } from "bun:test";
import { createCipheriv } from "node:crypto";
import { aeadContract } from "../../../test/support/contract/aead.ts";
import { AEAD_KEY_LEN } from "../../protocol/data/aead-key.ts";
import { nobleAead } from "../../protocol/data/noble-aead.ts";
import { AEAD_NAMES, type AeadFactory } from "../../protocol/ports.ts";
import { NativeMemory } from "../sys/memory.ts";
import { LibcryptoAead } from "./aead.ts";
import { libcrypto } from "./libcrypto.ts";
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

describe("keys that share a cipher context", () => {
  const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
  const iv = (fill: number): Uint8Array => new Uint8Array(12).fill(fill);

  test.each(AEAD_NAMES)("%s: more of them than contexts, by turns, seal and open as if each were alone", (name) => {
    const slab = new NativeMemory(4096);
    const [factory, other] = [new LibcryptoAead(slab, slab.pointer), nobleAead(slab)];
    const make = (of: AeadFactory, use: "seal" | "open") =>
      Array.from({ length: 70 }, (_, n) => of.create(name, key(n).subarray(0, AEAD_KEY_LEN[name]), iv(n), use));
    const [seal, open, expected] = [make(factory, "seal"), make(factory, "open"), make(other, "seal")];
    for (let id = 1; id < 4; id++)
      for (let n = 0; n < seal.length; n++) {
        slab.bytes.fill(n, 0, 256);
        expected[n]!.seal(0, id, 0, 8, 64, 40, 32);
        const right = slab.bytes.toHex();
        slab.bytes.fill(n, 0, 256);
        seal[n]!.seal(0, id, 0, 8, 64, 40, 32);
        expect(slab.bytes.toHex()).toBe(right);
        expect(open[n]!.open(0, id, 0, 8, 64, 40, 32)).toBe(true);
        expect(slab.bytes[64]).toBe(n);
      }
  });

  test("where one was, closed, the next one has nothing of it", () => {
    const slab = new NativeMemory(4096);
    const [factory, other] = [new LibcryptoAead(slab, slab.pointer), nobleAead(slab)];
    for (let n = 0; n < 100; n++) {
      const tags = [factory, other].map((of) => {
        const made = of.create("AES-256-GCM", key(n), iv(0), "seal");
        slab.bytes.fill(0);
        made.seal(0, 1, 0, 8, 64, 8, 32);
        made.close();
        return slab.bytes.slice(32, 48).toHex();
      });
      expect(tags[0]).toBe(tags[1]!);
    }
  });
});

describe("a key that is closed", () => {
  /** A key that has sealed once; what C was given of it: the cipher context, and the key's place. */
  function used() {
    const slab = new NativeMemory(4096);
    const lib = libcrypto();
    const seen = spyOn(lib, "EVP_CipherInit_ex");
    const key = new LibcryptoAead(slab, slab.pointer).create(
      "AES-256-GCM",
      new Uint8Array(32).fill(0x5a),
      new Uint8Array(12).fill(0xa5),
      "seal",
    );
    key.seal(0, 1, 0, 0, 64, 8, 32);
    const [context, , , at] = seen.mock.calls.at(-1)!;
    seen.mockRestore();
    return { slab, lib, key, context, cell: new Uint8Array(toArrayBuffer(at as Pointer, 0, 44)) };
  }

  test("is no more in memory, nor is its IV", () => {
    const { key, cell } = used();
    expect(cell.toHex()).toBe("5a".repeat(32) + "a5".repeat(12));
    key.close();
    expect(cell.toHex()).toBe("00".repeat(44));
  });

  test("has no schedule in a cipher context any more: that has the key of zeros", () => {
    const { slab, lib, key, context } = used();
    key.close();
    slab.bytes.fill(0, 0, 1024);
    const [nonce, length, text] = [slab.pointer + 64, slab.pointer + 128, slab.pointer + 256];
    lib.EVP_CipherInit_ex(context, 0, 0, 0, nonce, 1);
    lib.EVP_CipherUpdate(context, text, length, text, 32);
    const zeros = createCipheriv("aes-256-gcm", new Uint8Array(32), new Uint8Array(12)).update(new Uint8Array(32));
    expect(slab.bytes.slice(256, 288).toHex()).toBe(zeros.toHex());
  });
});
