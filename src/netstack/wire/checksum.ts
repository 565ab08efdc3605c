/**
 * The internet checksum: RFC 1071 (full sum), RFC 1624 (update), RFC 9293 3.1 and RFC 768 (pseudo-header).
 *
 * A "sum" is the folded 16-bit one's complement sum of big-endian words, not yet complemented; sums add up in any order
 * and grouping as long as each part starts at an even offset. A "checksum" is what stands in a header: the complement.
 */

/** Folds a value of up to 32 bits to 16, adding the carries back. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/**
 * The sum of `len` bytes (up to 128 KiB) plus `sum`. The slow twin that says what this means is in the test.
 * The sum does not depend on the byte order but for one swap at the end (RFC 1071 2 B), so it reads 32 bits little
 * endian, the machine's own order.
 */
export function sumBytes(d: DataView, at: number, len: number, sum = 0): number {
  let low = 0;
  let high = 0;
  let p = at;
  const end = at + len;
  for (const end16 = at + (len & ~15); p < end16; p += 16) {
    const w0 = d.getInt32(p, true);
    const w1 = d.getInt32(p + 4, true);
    const w2 = d.getInt32(p + 8, true);
    const w3 = d.getInt32(p + 12, true);
    low += (w0 & 0xffff) + (w1 & 0xffff) + (w2 & 0xffff) + (w3 & 0xffff);
    high += (w0 >>> 16) + (w1 >>> 16) + (w2 >>> 16) + (w3 >>> 16);
  }
  for (const last = end - 1; p < last; p += 2) low += d.getUint16(p, true);
  if (p < end) low += d.getUint8(p); // an odd byte is padded with zero on its right
  const le = fold(fold(low) + fold(high));
  return fold(sum + (((le & 0xff) << 8) | (le >>> 8)));
}

/** The same for the 20 bytes of an IPv4 header without options: one is verified in every packet, so there is no loop. */
export function sumHeader(d: DataView, at: number): number {
  const w0 = d.getInt32(at, true);
  const w1 = d.getInt32(at + 4, true);
  const w2 = d.getInt32(at + 8, true);
  const w3 = d.getInt32(at + 12, true);
  const w4 = d.getInt32(at + 16, true);
  const low = (w0 & 0xffff) + (w1 & 0xffff) + (w2 & 0xffff) + (w3 & 0xffff) + (w4 & 0xffff);
  const high = (w0 >>> 16) + (w1 >>> 16) + (w2 >>> 16) + (w3 >>> 16) + (w4 >>> 16);
  const le = fold(low + high);
  return ((le & 0xff) << 8) | (le >>> 8);
}

/** The checksum of `len` bytes whose checksum field is zero; of a whole valid message it is 0. */
export const checksum = (d: DataView, at: number, len: number): number => ~sumBytes(d, at, len) & 0xffff;

/** Sum of the pseudo-header: source, destination, protocol, length of transport header and data. */
export const pseudoSum = (src: number, dst: number, protocol: number, len: number): number =>
  fold((src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + len);

/** What a sum gains when a 16-bit word of what it covers becomes `after`; not folded. */
export const change16 = (before: number, after: number): number => (~before & 0xffff) + (after & 0xffff);

/** The same of a 32-bit field. */
export const change32 = (before: number, after: number): number =>
  (~before >>> 16) + (~before & 0xffff) + (after >>> 16) + (after & 0xffff);

/** The checksum after what it covers gained `change`: HC' = ~(~HC + ~m + m') (RFC 1624 eqn. 3). */
export const checksumChanged = (check: number, change: number): number => ~fold((~check & 0xffff) + change) & 0xffff;

/** The checksum after a 16-bit word that it covers became `after`. */
export const checksumUpdate16 = (check: number, before: number, after: number): number =>
  checksumChanged(check, change16(before, after));

/** The checksum after a 32-bit field that it covers became `after`. */
export const checksumUpdate32 = (check: number, before: number, after: number): number =>
  checksumChanged(check, change32(before, after));
