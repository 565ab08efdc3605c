/**
 * What every AeadFactory must do, whoever implements it: published vectors, agreement with an independent
 * implementation, and refusal of anything that was changed.
 */
import { describe, expect, test } from "bun:test";
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { randomBelow, seededRandom } from "../../../src/lib/random.ts";
import type { Slab } from "../../../src/lib/slab.ts";
import type { AeadFactory, AeadKey, AeadName } from "../../../src/protocol/ports.ts";

export const AEAD_NAMES: readonly AeadName[] = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"];

interface Vector {
  readonly source: string;
  readonly name: AeadName;
  readonly key: string;
  readonly nonce: string;
  readonly aad: string;
  readonly plain: string;
  readonly sealed: string;
  readonly tag: string;
}

const GCM_PLAIN =
  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";

const VECTORS: readonly Vector[] = [
  {
    source: "McGrew and Viega, The Galois/Counter Mode of Operation, test case 4",
    name: "AES-128-GCM",
    key: "feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888",
    aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plain: GCM_PLAIN,
    sealed:
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
    tag: "5bc94fbc3221a5db94fae95ae7121a47",
  },
  {
    source: "McGrew and Viega, The Galois/Counter Mode of Operation, test case 16",
    name: "AES-256-GCM",
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888",
    aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plain: GCM_PLAIN,
    sealed:
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
    tag: "76fc6ece0f4e1768cddf8853bb2d551b",
  },
  {
    source: "McGrew and Viega, The Galois/Counter Mode of Operation, test case 13 (nothing to seal)",
    name: "AES-256-GCM",
    key: "00".repeat(32),
    nonce: "00".repeat(12),
    aad: "",
    plain: "",
    sealed: "",
    tag: "530f8afbc74536b9a963b4f1c4cb738b",
  },
  {
    source: "RFC 8439 2.8.2",
    name: "CHACHA20-POLY1305",
    key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    nonce: "070000004041424344454647",
    aad: "50515253c0c1c2c3c4c5c6c7",
    plain:
      "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e",
    sealed:
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
    tag: "1ae10b594f09e26a7e902ecbd0600691",
  },
];

/**
 * Runs the suite. Registers tests, so call it at the top level of a test file.
 * @param make a factory over `slab`, which has at least 16 KiB
 */
export function aeadContract(title: string, make: () => { readonly factory: AeadFactory; readonly slab: Slab }): void {
  describe(`AEAD contract: ${title}`, () => {
    const { factory, slab } = make();
    // additional data, tag and data apart and at odd places, as the wire may want them
    const aadAt = 1001;
    const tagAt = 2003;
    const at = 3007;
    const random = seededRandom(1);
    const bytes = (n: number): Uint8Array => {
      const out = new Uint8Array(n);
      random.fill(out);
      return out;
    };
    const put = (where: number, data: Uint8Array): void => slab.bytes.set(data, where);
    const cut = (where: number, n: number): Uint8Array => slab.bytes.slice(where, where + n);

    test.each(VECTORS)("$name: $source", (v) => {
      const key = Uint8Array.fromHex(v.key);
      const plain = Uint8Array.fromHex(v.plain);
      const aad = Uint8Array.fromHex(v.aad);
      slab.bytes.fill(0xa5);
      put(aadAt, aad);
      put(at, plain);
      const nonce = Uint8Array.fromHex(v.nonce);
      const seal = factory.create(v.name, key, nonce, "seal");
      seal.seal(0, 0, aadAt, aad.length, at, plain.length, tagAt);
      expect(cut(at, plain.length).toHex()).toBe(v.sealed);
      expect(cut(tagAt, 16).toHex()).toBe(v.tag);
      const open = factory.create(v.name, key, nonce, "open");
      expect(open.open(0, 0, aadAt, aad.length, at, plain.length, tagAt)).toBe(true);
      expect(cut(at, plain.length).toHex()).toBe(v.plain);
      seal.close();
      open.close();
    });

    describe.each(AEAD_NAMES)("%s", (name) => {
      const keyBytes = name === "AES-128-GCM" ? 16 : 32;

      test("agrees with @noble/ciphers at every length around a block, and touches nothing else", () => {
        const key = bytes(keyBytes);
        const iv = bytes(12);
        const seal = factory.create(name, key, iv, "seal");
        const open = factory.create(name, key, iv, "open");
        for (const length of [0, 1, 15, 16, 17, 31, 63, 64, 65, 1400, 1499, 9000]) {
          const [high, low] = [randomBelow(random, 2 ** 31), 0xffff_fff0 + randomBelow(random, 16)];
          const nonce = iv.slice();
          const words = new DataView(nonce.buffer);
          words.setInt32(0, words.getInt32(0) ^ high);
          words.setInt32(4, words.getInt32(4) ^ low);
          const aad = bytes(8);
          const plain = bytes(length);
          const expected = (name === "CHACHA20-POLY1305" ? chacha20poly1305 : gcm)(key, nonce, aad).encrypt(plain);
          slab.bytes.fill(0xa5);
          put(aadAt, aad);
          put(at, plain);
          seal.seal(high, low, aadAt, 8, at, length, tagAt);
          expect(cut(at, length)).toEqual(expected.slice(0, length));
          expect(cut(tagAt, 16)).toEqual(expected.slice(length));
          for (const [from, to] of [
            [0, aadAt],
            [aadAt + 8, tagAt],
            [tagAt + 16, at],
            [at + length, at + length + 64],
          ] as const) {
            expect(slab.bytes.subarray(from, to).every((b) => b === 0xa5)).toBe(true);
          }
          expect(open.open(high, low, aadAt, 8, at, length, tagAt)).toBe(true);
          expect(cut(at, length)).toEqual(plain);
        }
        seal.close();
        open.close();
      });

      test("refuses a changed bit in data, tag, additional data or nonce, and works again after it", () => {
        const key = bytes(keyBytes);
        const iv = bytes(12);
        const seal = factory.create(name, key, iv, "seal");
        const open = factory.create(name, key, iv, "open");
        const plain = bytes(100);
        put(aadAt, bytes(8));
        put(at, plain);
        seal.seal(7, 0, aadAt, 8, at, 100, tagAt);
        const good = cut(0, at + 100);
        for (const where of [aadAt, aadAt + 7, tagAt, tagAt + 15, at, at + 99]) {
          put(0, good);
          slab.bytes[where]! ^= 0x10;
          expect(open.open(7, 0, aadAt, 8, at, 100, tagAt)).toBe(false);
        }
        put(0, good);
        expect(open.open(6, 0, aadAt, 8, at, 100, tagAt)).toBe(false);
        put(0, good);
        expect(open.open(7, 1, aadAt, 8, at, 100, tagAt)).toBe(false);
        put(0, good);
        expect(open.open(7, 0, aadAt, 8, at, 100, tagAt)).toBe(true);
        expect(cut(at, 100)).toEqual(plain);
        seal.close();
        open.close();
      });
    });

    test("keys do not disturb each other, whichever is made, used or closed in between", () => {
      const iv = bytes(12);
      const make = (fill: number) => factory.create("AES-256-GCM", new Uint8Array(32).fill(fill), iv, "seal");
      const sealed = (key: AeadKey): string => {
        slab.bytes.fill(0, 0, 256);
        key.seal(1, 2, 0, 8, 64, 40, 32);
        return cut(32, 72).toHex();
      };
      const [first, second] = [make(1), make(2)];
      const expected = [sealed(first), sealed(second)];
      for (let i = 0; i < 100; i++) {
        const other = make(3);
        sealed(other);
        other.close();
        other.close();
        expect([sealed(first), sealed(second)]).toEqual(expected);
      }
      first.close();
      expect(sealed(second)).toBe(expected[1]!);
      second.close();
    });
  });
}
