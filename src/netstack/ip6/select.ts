/**
 * From which of its addresses a host sends (RFC 6724 5). Rules 4 (home addresses), 5 (other interfaces), 5.5 (which router
 * advertised it) and 7 (temporary addresses) have nothing to decide here.
 */

export interface Candidate {
  readonly words: Int32Array;
  readonly prefix: number;
  readonly isDeprecated: boolean;
}

/** The best of the candidates for the destination, undefined where there is none. */
export function selectSource<C extends Candidate>(candidates: readonly C[], dst: Int32Array): C | undefined {
  let best: C | undefined;
  for (const c of candidates) if (best === undefined || isBetter(c, best, dst)) best = c;
  return best;
}

/** Whether `a` is better than `b`; of two as good the first stays. */
function isBetter(a: Candidate, b: Candidate, dst: Int32Array): boolean {
  // Rule 1: the destination itself.
  if (commonBits(a.words, dst) === 128) return true;
  if (commonBits(b.words, dst) === 128) return false;
  // Rule 2: of the least scope that reaches the destination.
  const [scopeA, scopeB, scope] = [scopeOf(a.words), scopeOf(b.words), scopeOf(dst)];
  if (scopeA !== scopeB) return scopeA < scopeB ? scopeA >= scope : scopeB < scope;
  // Rule 3.
  if (a.isDeprecated !== b.isDeprecated) return b.isDeprecated;
  // Rule 6.
  const label = labelOf(dst);
  const [matchA, matchB] = [labelOf(a.words) === label, labelOf(b.words) === label];
  if (matchA !== matchB) return matchA;
  // Rule 8.
  return Math.min(a.prefix, commonBits(a.words, dst)) > Math.min(b.prefix, commonBits(b.words, dst));
}

const SCOPE_LINK = 2;
const SCOPE_SITE = 5;
const SCOPE_GLOBAL = 14;

/** RFC 6724 3.1; of a group its own (RFC 4291 2.7). */
function scopeOf(words: Int32Array): number {
  const top = words[0]! >>> 16;
  if (top >>> 8 === 0xff) return top & 15;
  if ((top & 0xffc0) === 0xfe80 || isLow(words, 1)) return SCOPE_LINK;
  return (top & 0xffc0) === 0xfec0 ? SCOPE_SITE : SCOPE_GLOBAL;
}

/** RFC 6724 2.1, the default policy table. */
function labelOf(words: Int32Array): number {
  const [w0, w1, w2] = [words[0]!, words[1]!, words[2]!];
  if (isLow(words, 1)) return 0;
  if (w0 === 0 && w1 === 0) {
    if (w2 === 0xffff) return 4;
    if (w2 === 0) return 3;
  }
  if (w0 >>> 16 === 0x2002) return 2;
  if (w0 === 0x20010000) return 5;
  if (w0 >>> 25 === 0x7e) return 13;
  if (w0 >>> 22 === 0x3fb) return 11;
  return w0 >>> 16 === 0x3ffe ? 12 : 1;
}

const isLow = (words: Int32Array, last: number): boolean =>
  words[3] === last && words[2] === 0 && words[1] === 0 && words[0] === 0;

/** How many of their first bits two addresses have in common. */
function commonBits(a: Int32Array, b: Int32Array): number {
  for (let k = 0; k < 4; k++) {
    const differ = a[k]! ^ b[k]!;
    if (differ !== 0) return 32 * k + Math.clz32(differ);
  }
  return 128;
}
