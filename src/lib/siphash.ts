/**
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) over 32-bit words, for what others must not be able to
 * compute although they see many results: initial sequence numbers, cookies. 64-bit words are pairs of int32, the low one first.
 */
const BYTES_A_WORD = 4;

export class SipHash {
  readonly #k: Int32Array;
  /** The high 32 bits of the last hash, as int32. */
  high = 0;

  /** @param key 16 bytes */
  constructor(key: Uint8Array) {
    const d = new DataView(key.buffer, key.byteOffset, 16);
    this.#k = Int32Array.of(d.getInt32(0, true), d.getInt32(4, true), d.getInt32(8, true), d.getInt32(12, true));
  }

  /** The low 32 bits, as int32, of the hash of the `count` words (little endian) from `words[at]` on. */
  hash(words: Int32Array, at: number, count: number): number {
    const k = this.#k;
    let v0 = k[0]! ^ 0x70736575;
    let h0 = k[1]! ^ 0x736f6d65;
    let v1 = k[2]! ^ 0x6e646f6d;
    let h1 = k[3]! ^ 0x646f7261;
    let v2 = k[0]! ^ 0x6e657261;
    let h2 = k[1]! ^ 0x6c796765;
    let v3 = k[2]! ^ 0x79746573;
    let h3 = k[3]! ^ 0x74656462;
    const pairs = count >> 1;
    for (let pair = 0; pair < pairs + 3; pair++) {
      // The words in pairs, the rest with the length in bytes, then four rounds to end: two of the loop's steps.
      let low = 0;
      let high = 0;
      if (pair < pairs) {
        low = words[at + 2 * pair]!;
        high = words[at + 2 * pair + 1]!;
      } else if (pair === pairs) {
        low = (count & 1) === 0 ? 0 : words[at + count - 1]!;
        high = ((count * BYTES_A_WORD) & 0xff) << 24;
      } else if (pair === pairs + 1) v2 ^= 0xff;
      v3 ^= low;
      h3 ^= high;
      for (let round = 0; round < 2; round++) {
        let low0 = (v0 >>> 0) + (v1 >>> 0);
        h0 = (h0 + h1 + (low0 > 0xffffffff ? 1 : 0)) | 0;
        v0 = low0 | 0;
        let t = (v1 << 13) | (h1 >>> 19);
        h1 = ((h1 << 13) | (v1 >>> 19)) ^ h0;
        v1 = t ^ v0;
        t = v0;
        v0 = h0;
        h0 = t;

        low0 = (v2 >>> 0) + (v3 >>> 0);
        h2 = (h2 + h3 + (low0 > 0xffffffff ? 1 : 0)) | 0;
        v2 = low0 | 0;
        t = (v3 << 16) | (h3 >>> 16);
        h3 = ((h3 << 16) | (v3 >>> 16)) ^ h2;
        v3 = t ^ v2;

        low0 = (v0 >>> 0) + (v3 >>> 0);
        h0 = (h0 + h3 + (low0 > 0xffffffff ? 1 : 0)) | 0;
        v0 = low0 | 0;
        t = (v3 << 21) | (h3 >>> 11);
        h3 = ((h3 << 21) | (v3 >>> 11)) ^ h0;
        v3 = t ^ v0;

        low0 = (v2 >>> 0) + (v1 >>> 0);
        h2 = (h2 + h1 + (low0 > 0xffffffff ? 1 : 0)) | 0;
        v2 = low0 | 0;
        t = (v1 << 17) | (h1 >>> 15);
        h1 = ((h1 << 17) | (v1 >>> 15)) ^ h2;
        v1 = t ^ v2;
        t = v2;
        v2 = h2;
        h2 = t;
      }
      v0 ^= low;
      h0 ^= high;
    }
    this.high = h0 ^ h1 ^ h2 ^ h3;
    return v0 ^ v1 ^ v2 ^ v3;
  }
}
