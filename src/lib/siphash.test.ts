import { expect, test } from "bun:test";
import fc from "fast-check";
import { SipHash } from "./siphash.ts";

const MASK = (1n << 64n) - 1n;
const rotate = (x: bigint, n: bigint): bigint => ((x << n) | (x >> (64n - n))) & MASK;
const littleEndian = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** The paper's algorithm over bytes, with its names. */
function paper(key: Uint8Array, message: Uint8Array): bigint {
  const [k0, k1] = [littleEndian(key.subarray(0, 8)), littleEndian(key.subarray(8))];
  let [v0, v1, v2, v3] = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ];
  const rounds = (n: number): void => {
    for (let i = 0; i < n; i++) {
      v0 = (v0 + v1) & MASK;
      v2 = (v2 + v3) & MASK;
      v1 = rotate(v1, 13n) ^ v0;
      v3 = rotate(v3, 16n) ^ v2;
      v0 = rotate(v0, 32n);
      v2 = (v2 + v1) & MASK;
      v0 = (v0 + v3) & MASK;
      v1 = rotate(v1, 17n) ^ v2;
      v3 = rotate(v3, 21n) ^ v0;
      v2 = rotate(v2, 32n);
    }
  };
  const padded = new Uint8Array((Math.floor(message.length / 8) + 1) * 8);
  padded.set(message);
  padded[padded.length - 1] = message.length & 0xff;
  for (let i = 0; i < padded.length; i += 8) {
    const m = littleEndian(padded.subarray(i, i + 8));
    v3 ^= m;
    rounds(2);
    v0 ^= m;
  }
  v2 ^= 0xffn;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

const ours = (key: Uint8Array, words: Int32Array): bigint => {
  const sip = new SipHash(key);
  const low = sip.hash(Int32Array.of(7, ...words, 7), 1, words.length);
  return (BigInt(sip.high >>> 0) << 32n) | BigInt(low >>> 0);
};

const KEY = Uint8Array.from({ length: 16 }, (_, i) => i);

test("the paper's vector: 15 bytes 00 to 0e under the key 00 to 0f (appendix A)", () => {
  expect(
    paper(
      KEY,
      Uint8Array.from({ length: 15 }, (_, i) => i),
    ),
  ).toBe(0xa129ca6149be45e5n);
});

test("known hashes of the reference program's list: no bytes, 8 bytes", () => {
  expect(ours(KEY, new Int32Array(0))).toBe(0x726fdb47dd0e0e31n);
  expect(ours(KEY, Int32Array.of(0x03020100, 0x07060504))).toBe(0x93f5f5799a932462n);
});

test("it is what the paper's algorithm gives, for any key and words", () => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.array(word, { maxLength: 70 }), (key, list) => {
      const words = Int32Array.from(list);
      expect(ours(key, words)).toBe(paper(key, new Uint8Array(words.buffer)));
    }),
  );
});
