/**
 * Addresses as words in tables and headers: `stride` words of 32 bits in network order, 1 of IPv4 or 4 of IPv6. On the data path
 * most look-ups begin here, and for one word a loop costs more than what it does: there is none.
 */
import { mix } from "./hash.ts";

/** Words of an address. */
export type Stride = 1 | 4;

/** Whether the addresses at `a[i]` and at `b[j]` are the same. */
export const sameAddress = (a: Int32Array, i: number, b: Int32Array, j: number, stride: Stride): boolean =>
  a[i] === b[j] && (stride === 1 || (a[i + 1] === b[j + 1] && a[i + 2] === b[j + 2] && a[i + 3] === b[j + 3]));

/** Whether the address in the header at `at` is the one at `words[i]`. */
export const isAddressAt = (d: DataView, at: number, words: Int32Array, i: number, stride: Stride): boolean =>
  d.getInt32(at) === words[i] &&
  (stride === 1 ||
    (d.getInt32(at + 4) === words[i + 1] &&
      d.getInt32(at + 8) === words[i + 2] &&
      d.getInt32(at + 12) === words[i + 3]));

/** Copies the address at `from[i]` to `to[j]`. */
export function copyAddress(from: Int32Array, i: number, to: Int32Array, j: number, stride: Stride): void {
  to[j] = from[i]!;
  if (stride === 1) return;
  to[j + 1] = from[i + 1]!;
  to[j + 2] = from[i + 2]!;
  to[j + 3] = from[i + 3]!;
}

/** Reads the address in the header at `at` into `words[i]`. */
export function readAddress(d: DataView, at: number, words: Int32Array, i: number, stride: Stride): void {
  words[i] = d.getInt32(at);
  if (stride === 1) return;
  words[i + 1] = d.getInt32(at + 4);
  words[i + 2] = d.getInt32(at + 8);
  words[i + 3] = d.getInt32(at + 12);
}

/** Mixes the address in the header at `at` into a hash. */
export function mixAddressAt(hash: number, d: DataView, at: number, stride: Stride): number {
  const first = mix(hash, d.getInt32(at));
  if (stride === 1) return first;
  return mix(mix(mix(first, d.getInt32(at + 4)), d.getInt32(at + 8)), d.getInt32(at + 12));
}

/** Mixes the address at `words[i]` into a hash. */
export function mixAddress(hash: number, words: Int32Array, i: number, stride: Stride): number {
  const first = mix(hash, words[i]!);
  if (stride === 1) return first;
  return mix(mix(mix(first, words[i + 1]!), words[i + 2]!), words[i + 3]!);
}
