/** Serial numbers modulo 2^32 (RFC 1982, RFC 9293 3.4). Values may be int32 or uint32; results are int32 or boolean. */
export const seqLess = (a: number, b: number): boolean => ((a - b) | 0) < 0;
export const seqLessEq = (a: number, b: number): boolean => ((a - b) | 0) <= 0;
export const seqAdd = (a: number, n: number): number => (a + n) | 0;
/** Signed distance a - b, in [-2^31, 2^31). */
export const seqDiff = (a: number, b: number): number => (a - b) | 0;
/** Whether start <= x < start + size. */
export const seqInWindow = (x: number, start: number, size: number): boolean => (x - start) >>> 0 < size;
