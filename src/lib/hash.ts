/**
 * Hashing of words for tables in memory: a multiplication by 2^32 divided by the golden ratio (Knuth, The Art of Computer
 * Programming 3, 6.4), folded before and after so that the low bits, which choose the place, depend on the high ones. Start
 * with a random seed: what is hashed is chosen by others, who must not know what falls into one place.
 */
export function mix(hash: number, word: number): number {
  const sum = hash ^ word;
  const h = Math.imul(sum ^ (sum >>> 16), 0x9e3779b1);
  return h ^ (h >>> 15);
}

/** The same over the `count` words from `words[at]` on. */
export function mixWords(hash: number, words: Int32Array, at: number, count: number): number {
  let h = hash;
  for (let k = 0; k < count; k++) h = mix(h, words[at + k]!);
  return h;
}
