/** The bytes that the web host serves: the same on each run, and their digests. */

const MIB = 1 << 20;
let made = new Uint8Array(0);

/** The first `length` bytes of the content. */
export function content(length: number): Uint8Array<ArrayBuffer> {
  if (made.length < length) made = fill(Math.ceil(length / MIB) * MIB);
  return made.subarray(0, length);
}

export function digest(data: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(data).digest("hex");
}

/** Marsaglia's xorshift with 32 bits. */
function fill(length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(length / 4);
  let x = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer);
}
