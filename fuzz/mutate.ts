/** Seeded mutations: flips, cuts, repeats, splices, lengths. */
import { concat } from "../src/lib/bytes.ts";
import { type Random, randomBelow } from "../src/lib/random.ts";

const LENGTHS = [0, 1, 0x7f, 0x80, 0xff];

/** A new input from one seed or two. */
export function mutate(random: Random, seeds: readonly Uint8Array[]): Uint8Array {
  const below = (n: number): number => randomBelow(random, Math.max(1, n));
  let bytes = Uint8Array.from(seeds[below(seeds.length)] as Uint8Array);
  for (let times = 1 + below(8); times > 0; times--) {
    const at = below(bytes.length);
    switch (below(6)) {
      case 0:
        if (bytes.length > 0) bytes[at] = (bytes[at] as number) ^ (1 << below(8));
        break;
      case 1:
        bytes = bytes.slice(0, at);
        break;
      case 2:
        bytes = concat(bytes.subarray(0, at), bytes.subarray(below(at + 1), at), bytes.subarray(at));
        break;
      case 3: {
        const other = seeds[below(seeds.length)] as Uint8Array;
        bytes = concat(bytes.subarray(0, at), other.subarray(below(other.length)));
        break;
      }
      case 4:
        if (bytes.length > 0) bytes[at] = LENGTHS[below(LENGTHS.length)] as number;
        break;
      default: {
        const noise = new Uint8Array(below(16));
        random.fill(noise);
        bytes = concat(bytes.subarray(0, at), noise, bytes.subarray(at));
      }
    }
    if (bytes.length > 70_000) bytes = bytes.slice(0, 70_000);
  }
  return bytes;
}
