/** The hash of the translator's tables. */
import { mix } from "../../lib/hash.ts";
import { mixAddress, type Stride } from "../../lib/words.ts";

/**
 * Of the endpoint whose address is at `words[at]`.
 * @param seed keeps a sender from choosing addresses and ports that fall into one bucket
 */
export const endpointHash = (
  seed: number,
  protocol: number,
  words: Int32Array,
  at: number,
  stride: Stride,
  port: number,
): number => mix(mixAddress(seed ^ protocol, words, at, stride), port);
