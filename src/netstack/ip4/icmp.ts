/**
 * ICMP that we make (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3): echo replies, and errors: when, how long, how often. The
 * class answers on an interface's link; tunnel-egress.ts, with the functions below it, into the tunnel.
 */

import { RateLimit } from "../../lib/rate-limit.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { EthernetLink } from "../link/ethernet.ts";
import {
  ICMP_ECHO_REPLY,
  ICMP_HEADER_LEN,
  ICMP_UNREACHABLE,
  icmpEmit,
  icmpIsError,
  UNREACHABLE_FRAGMENTATION_NEEDED,
} from "../wire/icmpv4.ts";
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
} from "../wire/ipv4.ts";
import type { Addressing } from "./addressing.ts";

/** Our choice: errors a second; enough for many hosts, too few to amplify. */
const ERRORS_PER_SECOND = 200;
const ERRORS_BURST = 100;
/** RFC 1812 4.3.2.3: as much of the packet as fits without the error exceeding 576 bytes. */
const ICMP_ERROR_MAX = 576;

export class Icmp {
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #egress: EthernetLink;
  readonly #errorLimit = new RateLimit(ERRORS_PER_SECOND, ERRORS_BURST);

  constructor(slab: Slab, addressing: Addressing, egress: EthernetLink) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#egress = egress;
  }

  /** Answers the checked echo request at `at`; a long one is overwritten by its answer. */
  answerEcho(now: number, at: number): DropCode {
    const e = this.#egress;
    const d = this.#slab.view;
    const hop = this.#addressing.nextHop(ipv4Src(d, at));
    if (hop === 0) return Drop.NoRoute;
    const len = echoReplyLen(d, at);
    // A long answer is made in place and fragmented from there.
    const to = len <= e.mtu ? e.frame(len) : echoReplyInPlace(d, at);
    echoReplyEmit(this.#slab, to, e.nextId(), at);
    e.countDrop(e.outputPlain(now, to, len, hop));
    return Drop.None;
  }

  /**
   * Sends an error about the packet at `at` to its source, from our address, unless RFC 1122 3.2.2 or the rate limit
   * forbid it. `rest` is the second word (the next-hop MTU of "fragmentation needed"). True: it was sent.
   */
  sendError(now: number, type: number, code: number, rest: number, at: number): boolean {
    const own = this.#addressing;
    const d = this.#slab.view;
    if (own.address === 0 || !icmpErrorAllowed(d, at)) return false;
    const src = ipv4Src(d, at);
    if (own.isBroadcast(ipv4Dst(d, at)) || own.isBroadcast(src) || !own.onLink(src)) return false;
    const e = this.#egress;
    // Path MTU discovery is not limited, as in Linux: errors of another kind must not starve it, and what is too
    // big is longer than what is said of it.
    const unlimited = type === ICMP_UNREACHABLE && code === UNREACHABLE_FRAGMENTATION_NEEDED;
    if (!unlimited && !this.#errorLimit.take(now)) {
      e.countDrop(Drop.IcmpRateLimited);
      return false;
    }
    const to = e.frame(icmpErrorLen(ipv4TotalLen(d, at)));
    const len = icmpErrorEmit(this.#slab, to, own.address, e.nextId(), type, code, rest, at);
    return e.countDrop(e.outputPlain(now, to, len, src)) === Drop.None;
  }
}

/** Bytes of the answer to the echo request in the packet at `at`. */
export const echoReplyLen = (d: DataView, at: number): number =>
  IPV4_HEADER_LEN + ipv4TotalLen(d, at) - ipv4HeaderLen(d, at);

/** Where the answer to the echo request in the packet at `at` replaces it: the message stays, options in front of it go. */
export const echoReplyInPlace = (d: DataView, at: number): number => at + ipv4HeaderLen(d, at) - IPV4_HEADER_LEN;

/** Writes the answer to the checked echo request in the packet at `at` to `to`. The data comes back whole (RFC 1122 3.2.2.6). */
export function echoReplyEmit(slab: Slab, to: number, id: number, at: number): void {
  const d = slab.view;
  const src = ipv4Dst(d, at);
  const dst = ipv4Src(d, at);
  const len = echoReplyLen(d, at);
  const request = at + ipv4HeaderLen(d, at);
  const reply = to + IPV4_HEADER_LEN;
  const messageLen = len - IPV4_HEADER_LEN;
  if (reply !== request) slab.bytes.copyWithin(reply, request, request + messageLen);
  icmpEmit(d, reply, messageLen, ICMP_ECHO_REPLY, 0, d.getInt32(reply + 4)); // identifier and sequence as they came
  ipv4Emit(d, to, len, id, 0, 64, PROTO_ICMP, src, dst);
}

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
