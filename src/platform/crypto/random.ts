/** Random bytes for keys and identifiers. */
import type { Random } from "../../lib/random.ts";

/** The operating system's generator, by way of BoringSSL, which seeds itself from getrandom(2). */
export const systemRandom: Random = {
  fill(out) {
    // getRandomValues takes at most 65,536 bytes a call
    for (let at = 0; at < out.length; at += 65536) {
      crypto.getRandomValues(out.subarray(at, at + 65536) as Uint8Array<ArrayBuffer>);
    }
  },
};
