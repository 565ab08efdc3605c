/**
 * SYN cookies (RFC 4987 3.6): while the backlog is full, a half-open connection is not kept here but in the numbers that the
 * peer sends back.
 *
 *   ISS     mask(tuple, peer's ISN) ^ ( slot 5 | MSS class 3 | MAC(tuple, peer's ISN, slot and class) 24 )
 *   TSval   the time with its lowest 6 bits replaced: ECN 1 | SACK 1 | window shift 4 (15: none), as Linux does
 *
 * A peer without timestamps loses window scale, SACK and ECN; every peer may lose some MSS. A cookie is good for 64 to 128 s, and
 * only while cookies are given out: otherwise no ACK costs a hash. Within that time the same peer may come back with the same cookie, which
 * is worth no more to it than a SYN; the connections that come of it are bounded as all are.
 */
import type { Random } from "../../lib/random.ts";
import { SipHash } from "../../lib/siphash.ts";

/** Duration of a slot (Linux: TCP_SYNCOOKIE_PERIOD, 60 s). */
const SLOT_MS = 64_000;
const SLOTS = 32;
/** What SYNs say most: the least of both families, tunnels, DSL, Ethernet with and without timestamps of a proxy, jumbo frames. */
const MSS_CLASSES = Int32Array.of(0, 536, 1220, 1300, 1360, 1440, 1460, 8940);
const MAC_MASK = 0x00ffffff;
/** Words of a tuple at most: two addresses of four words, two ports in one. */
const MAX_TUPLE = 9;

export class SynCookies {
  readonly #mask: SipHash;
  readonly #mac: SipHash;
  readonly #words = new Int32Array(MAX_TUPLE + 2);
  #issuedAt = Number.NEGATIVE_INFINITY;

  constructor(random: Random) {
    const keys = new Uint8Array(32);
    random.fill(keys);
    this.#mask = new SipHash(keys.subarray(0, 16));
    this.#mac = new SipHash(keys.subarray(16));
  }

  /**
   * The ISS of a SYN-ACK.
   * @param tuple addresses and ports of the connection, always in the same order, at most 9 words
   * @param mss what may be sent to the peer; counts as the class below it
   */
  issue(now: number, tuple: Int32Array, peerIsn: number, mss: number): number {
    this.#issuedAt = now;
    const n = this.#load(tuple, peerIsn);
    const top = (slotOf(now) << 3) | classOf(mss);
    return this.#mask.hash(this.#words, 0, n) ^ ((top << 24) | this.#macOf(n, top));
  }

  /**
   * The MSS of the connection that the ACK of a SYN-ACK with this ISS completes, or 0: we did not give it to that peer, it is
   * too old, or no cookie was given out lately.
   * @param peerIsn SEG.SEQ - 1
   * @param iss SEG.ACK - 1
   */
  check(now: number, tuple: Int32Array, peerIsn: number, iss: number): number {
    if (!this.isLive(now)) return 0;
    const n = this.#load(tuple, peerIsn);
    const cookie = iss ^ this.#mask.hash(this.#words, 0, n);
    const top = cookie >>> 24;
    const age = (slotOf(now) - (top >> 3)) & (SLOTS - 1);
    if (age > 1 || (cookie & MAC_MASK) !== this.#macOf(n, top)) return 0;
    return MSS_CLASSES[top & 7]!;
  }

  /** Whether one that was given out may still come back. */
  isLive(now: number): boolean {
    return now - this.#issuedAt < 2 * SLOT_MS;
  }

  #load(tuple: Int32Array, peerIsn: number): number {
    const n = tuple.length;
    for (let i = 0; i < n; i++) this.#words[i] = tuple[i]!;
    this.#words[n] = peerIsn;
    return n + 1;
  }

  #macOf(n: number, top: number): number {
    this.#words[n] = top;
    return this.#mac.hash(this.#words, 0, n + 1) & MAC_MASK;
  }
}

const slotOf = (now: number): number => Math.floor(now / SLOT_MS) & (SLOTS - 1);

/** The largest class that is not more than `mss`, and at least 536, which every host takes (RFC 9293 3.7.1). */
function classOf(mss: number): number {
  let i = MSS_CLASSES.length - 1;
  while (i > 1 && MSS_CLASSES[i]! > mss) i--;
  return i;
}

const STAMP_BITS = 6;
const STAMP_MASK = (1 << STAMP_BITS) - 1;
const STAMP_SACK = 0x10;
const STAMP_ECN = 0x20;
const NO_SCALE = 0xf;

/** TSval of a SYN-ACK with a cookie: at most `tsVal`, less than 64 before it, so that time does not go back. `windowScale` -1: none. */
export function cookieStamp(tsVal: number, windowScale: number, sackPermitted: boolean, ecn: boolean): number {
  const bits = (windowScale < 0 ? NO_SCALE : windowScale) | (sackPermitted ? STAMP_SACK : 0) | (ecn ? STAMP_ECN : 0);
  const stamp = (tsVal & ~STAMP_MASK) | bits;
  return ((stamp - tsVal) | 0) > 0 ? (stamp - (STAMP_MASK + 1)) | 0 : stamp;
}

/** The peer's window shift in what it echoes of {@link cookieStamp}; -1: none. What is forged there harms who forged it. */
export function cookieWindowScale(tsEcr: number): number {
  const shift = tsEcr & 0xf;
  return shift === NO_SCALE ? -1 : shift;
}
export const cookieSackPermitted = (tsEcr: number): boolean => (tsEcr & STAMP_SACK) !== 0;
export const cookieEcn = (tsEcr: number): boolean => (tsEcr & STAMP_ECN) !== 0;
