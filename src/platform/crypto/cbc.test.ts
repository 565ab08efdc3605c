import { type Pointer, toArrayBuffer } from "bun:ffi";
import { expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { slabOver } from "../../lib/slab.ts";
import type { DigestName } from "../../protocol/config/types.ts";
import { DIGEST_LEN } from "../../protocol/control/tls-auth.ts";
import { nobleCbc } from "../../protocol/data/noble-cbc.ts";
import { CBC_NAMES, type CbcKey } from "../../protocol/ports.ts";
import { NativeMemory } from "../sys/memory.ts";
import { LibcryptoCbc } from "./cbc.ts";
import { libcrypto } from "./libcrypto.ts";

const slab = new NativeMemory(4096);
const factory = new LibcryptoCbc(slab, slab.pointer);
const [MAC, IV, DATA] = [64, 256, 272];

test("CBC and HMAC are those of another implementation, and each opens the other's", () => {
  const digests = fc.constantFrom<DigestName>("MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512");
  const bytes = (n: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: n, maxLength: n });
  const blocks = fc.integer({ min: 1, max: 20 }).chain((n) => bytes(16 * n));
  const inputs = fc.tuple(fc.constantFrom(...CBC_NAMES), digests, bytes(32), bytes(64), bytes(16), blocks);
  fc.assert(
    fc.property(inputs, ([cipher, digest, key, macKey, iv, data]) => {
      const other = slabOver(new ArrayBuffer(4096));
      const keyBytes = key.subarray(0, Number(/\d+/.exec(cipher)![0]) / 8);
      const macBytes = macKey.subarray(0, DIGEST_LEN[digest]);
      const keys = { cipher, key: keyBytes, digest, macKey: macBytes };
      const make = (use: "seal" | "open"): [CbcKey, CbcKey] => [
        factory.create(keys, use),
        nobleCbc(other).create(keys, use),
      ];
      const [seals, opens] = [make("seal"), make("open")];
      for (const memory of [slab, other]) {
        memory.bytes.fill(0xa5);
        memory.bytes.set(iv, IV);
        memory.bytes.set(data, DATA);
      }
      for (const one of seals) one.seal(IV, DATA, data.length, MAC);
      expect(slab.bytes.toHex()).toBe(other.bytes.toHex());
      for (const one of opens) expect(one.open(IV, DATA, data.length, MAC)).toBe(true);
      expect(slab.bytes.slice(DATA, DATA + data.length)).toEqual(Uint8Array.from(data));
      expect(slab.bytes.toHex()).toBe(other.bytes.toHex());
      slab.bytes[MAC + macBytes.length - 1]! ^= 1;
      const before = slab.bytes.slice();
      expect(opens[0].open(IV, DATA, data.length, MAC)).toBe(false);
      expect(slab.bytes.slice()).toEqual(before);
      for (const one of [...seals, ...opens]) one.close();
    }),
  );
});

test("offsets outside the slab and use after close are refused before C sees them", () => {
  const keys = {
    cipher: "AES-256-CBC",
    key: new Uint8Array(32),
    digest: "SHA256",
    macKey: new Uint8Array(32),
  } as const;
  const key = factory.create(keys, "seal");
  expect(() => key.seal(IV, 4000, 112, MAC)).toThrow(RangeError);
  expect(() => key.seal(IV, DATA, 16, 4065)).toThrow(RangeError);
  expect(() => key.seal(-16, 0, 16, MAC)).toThrow(RangeError);
  expect(() => key.open(4090, 4090, 0, MAC)).toThrow(RangeError);
  key.seal(IV, DATA, 16, MAC);
  key.close();
  expect(() => key.seal(IV, DATA, 16, MAC)).toThrow(RangeError);
});

test("neither key is left in the place that it passed through on its way to the library", () => {
  const seen = spyOn(libcrypto(), "EVP_CipherInit_ex");
  const [key, macKey] = [new Uint8Array(32).fill(0x5a), new Uint8Array(64).fill(0xa5)];
  factory.create({ cipher: "AES-256-CBC", key, digest: "SHA512", macKey }, "seal");
  const [, , , at] = seen.mock.calls.at(-1)!;
  seen.mockRestore();
  expect(new Uint8Array(toArrayBuffer(at as Pointer, 0, 64)).toHex()).toBe("00".repeat(64));
});
