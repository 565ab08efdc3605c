/** ICMP errors that we make (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3.2): when, how long, how often. */
import type { Slab } from "../lib/slab.ts";
import { ICMP_HEADER_LEN, icmpEmit, icmpIsError } from "./wire/icmpv4.ts";
import {
  IPV4_HEADER_LEN,
  ipv4Dst,
  ipv4Emit,
  ipv4FragmentOffset,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLen,
  PROTO_ICMP,
} from "./wire/ipv4.ts";

/** RFC 1812 4.3.2.3: as much of the packet as fits without the error exceeding 576 bytes. */
export const ICMP_ERROR_MAX = 576;

/** Whether an error about this checked packet is allowed: RFC 1122 3.2.2, RFC 1812 4.3.2.7. Broadcast of a subnet and of the link are the caller's. */
export function icmpErrorAllowed(d: DataView, at: number): boolean {
  const src = ipv4Src(d, at) >>> 0;
  const dst = ipv4Dst(d, at) >>> 0;
  if (ipv4FragmentOffset(d, at) !== 0) return false;
  if (src < 0x01000000 || src >>> 24 === 127 || src >= 0xe0000000 || dst >= 0xe0000000) return false;
  if (ipv4Protocol(d, at) !== PROTO_ICMP) return true;
  const headerLen = ipv4HeaderLen(d, at);
  return ipv4TotalLen(d, at) > headerLen && !icmpIsError(d.getUint8(at + headerLen));
}

/** Bytes of the error about a packet of `len` bytes. */
export const icmpErrorLen = (len: number): number => Math.min(ICMP_ERROR_MAX, IPV4_HEADER_LEN + ICMP_HEADER_LEN + len);

/** Writes the error about the packet at `at` to `to`: from `address` to the packet's source. Returns its length. */
export function icmpErrorEmit(
  slab: Slab,
  to: number,
  address: number,
  id: number,
  type: number,
  code: number,
  rest: number,
  at: number,
): number {
  const d = slab.view;
  const len = icmpErrorLen(ipv4TotalLen(d, at));
  const quoted = len - IPV4_HEADER_LEN - ICMP_HEADER_LEN;
  slab.bytes.copyWithin(to + IPV4_HEADER_LEN + ICMP_HEADER_LEN, at, at + quoted);
  icmpEmit(d, to + IPV4_HEADER_LEN, len - IPV4_HEADER_LEN, type, code, rest);
  ipv4Emit(d, to, len, id, 0, 64, PROTO_ICMP, address, ipv4Src(d, at), 0xc0); // precedence 6: RFC 1812 4.3.2.5
  return len;
}

/** A token bucket: `perSecond` on average, `burst` at once. */
export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  take(now: number): boolean {
    if (this.#at > Number.NEGATIVE_INFINITY)
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
