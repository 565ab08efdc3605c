/**
 * Sequence numbers modulo 2^32 (RFC 9293 3.4), as int32: what `getInt32` reads and `setInt32` writes. Two numbers compare
 * rightly while they are less than 2^31 apart.
 */

/** How far `a` is behind `b`: negative when `a` comes first. */
export const seqDiff = (a: number, b: number): number => (a - b) | 0;
export const seqAdd = (seq: number, n: number): number => (seq + n) | 0;
export const seqLess = (a: number, b: number): boolean => ((a - b) | 0) < 0;
export const seqLessEq = (a: number, b: number): boolean => ((a - b) | 0) <= 0;
export const seqMax = (a: number, b: number): number => (((a - b) | 0) < 0 ? b : a);
export const seqMin = (a: number, b: number): number => (((a - b) | 0) < 0 ? a : b);
