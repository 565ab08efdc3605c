/** Source of random bytes; the core never makes its own. */
export interface Random {
  /** Fills `out` with random bytes. */
  fill(out: Uint8Array): void;
}

/** A uniform integer in [0, n), n up to 2^32, without modulo bias. */
export function randomBelow(random: Random, n: number): number {
  const word = new Uint8Array(4);
  const limit = Math.floor(0x1_0000_0000 / n) * n;
  for (;;) {
    random.fill(word);
    const x = new DataView(word.buffer).getUint32(0);
    if (x < limit) return x % n;
  }
}

/** A deterministic source for simulations (xorshift128, Marsaglia 2003): the same seed gives the same bytes. Not for secrets. */
export function seededRandom(seed: number): Random {
  let x = seed | 0 || 0x9e3779b9;
  let y = 0x243f6a88;
  let z = 0xb7e15162;
  let w = 0x6a09e667 ^ seed;
  const next = (): number => {
    const t = x ^ (x << 11);
    x = y;
    y = z;
    z = w;
    w = w ^ (w >>> 19) ^ t ^ (t >>> 8);
    return w;
  };
  for (let i = 0; i < 16; i++) next();
  return {
    fill(out) {
      for (let i = 0; i < out.length; i++) out[i] = next() >>> 12;
    },
  };
}
