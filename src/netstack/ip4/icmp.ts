/** ICMP that an interface makes (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3): echo replies, and errors: when, how long, how often. */

import type { FairLimit, RateLimit } from "../../lib/rate-limit.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import { Packet } from "../packet.ts";
import {
  ICMP_ECHO_REPLY,
  ICMP_HEADER_LEN,
  ICMP_UNREACHABLE,
  icmpEmit,
  icmpIsError,
  UNREACHABLE_FRAGMENTATION_NEEDED,
} from "../wire/icmpv4.ts";
import { IPV4_HEADER_LEN, ipv4Dst, ipv4Emit, ipv4FragmentOffset, ipv4Src, PROTO_ICMP } from "../wire/ipv4.ts";
import type { Addressing } from "./addressing.ts";
import type { Ip4Output } from "./output.ts";

/** RFC 1812 4.3.2.3: as much of the packet as fits without the error exceeding 576 bytes. */
const ICMP_ERROR_MAX = 576;

export interface IcmpLimits {
  /** Of errors, and of resets. */
  readonly errors: FairLimit;
  /** Of echo replies; undefined: none. */
  readonly echo: RateLimit | undefined;
}

export class Icmp {
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #output: Ip4Output;
  readonly #limits: IcmpLimits;
  readonly #reply = new Packet();

  constructor(slab: Slab, addressing: Addressing, output: Ip4Output, limits: IcmpLimits) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#output = output;
    this.#limits = limits;
  }

  /** Answers the checked echo request in `p`; a long one is overwritten by its answer. */
  answerEcho(now: number, p: Packet): DropCode {
    const { echo } = this.#limits;
    if (echo !== undefined && !echo.take(now)) return Drop.RateLimited;
    const out = this.#output;
    const neighbour = out.routeBack(now, p);
    if (neighbour === -Drop.NoRoute) return Drop.NoRoute;
    const len = echoReplyLen(p);
    // A long answer is made in place and fragmented from there.
    const to = len <= out.link.mtu ? out.link.frame(len) : echoReplyInPlace(p);
    echoReplyEmit(this.#slab, to, out.nextId(), p);
    out.sendOwn(this.#reply, to, neighbour);
    return Drop.None;
  }

  /**
   * Sends an error about the packet `p` to its source, from our address, unless RFC 1122 3.2.2 or the rate limit
   * forbid it. `rest` is the second word (the next-hop MTU of "fragmentation needed"). True: it was sent.
   * @param isFar its source need not be a host of the link
   */
  sendError(now: number, type: number, code: number, rest: number, p: Packet, isFar: boolean): boolean {
    const own = this.#addressing;
    const d = this.#slab.view;
    if (own.address === 0 || !icmpErrorAllowed(d, p)) return false;
    const src = ipv4Src(d, p.at);
    if (own.isBroadcast(ipv4Dst(d, p.at)) || own.isBroadcast(src)) return false;
    // Only hosts of the link itself hear of errors.
    if (!isFar && own.nextHop(src) !== src) return false;
    const out = this.#output;
    // Path MTU discovery is not limited, as in Linux: errors of another kind must not starve it, and what is too
    // big is longer than what is said of it.
    const unlimited = type === ICMP_UNREACHABLE && code === UNREACHABLE_FRAGMENTATION_NEEDED;
    if (!unlimited && !this.#limits.errors.take(now, src)) {
      out.countDrop(Drop.RateLimited);
      return false;
    }
    const to = out.link.frame(icmpErrorLen(p));
    icmpErrorEmit(this.#slab, to, own.address, out.nextId(), type, code, rest, p);
    return out.sendOwn(this.#reply, to, out.routeBack(now, p)) === Drop.None;
  }
}

/** Bytes of the answer to the echo request in the packet: without its options. */
const echoReplyLen = (p: Packet): number => IPV4_HEADER_LEN + p.at + p.len - p.l4;

/** Where the answer replaces the request: the message stays, options in front of it go. */
const echoReplyInPlace = (p: Packet): number => p.l4 - IPV4_HEADER_LEN;

/** Writes the answer to the checked echo request to `to`. The data comes back whole (RFC 1122 3.2.2.6). */
function echoReplyEmit(slab: Slab, to: number, id: number, p: Packet): void {
  const d = slab.view;
  const src = ipv4Dst(d, p.at);
  const dst = ipv4Src(d, p.at);
  const len = echoReplyLen(p);
  const reply = to + IPV4_HEADER_LEN;
  const messageLen = len - IPV4_HEADER_LEN;
  if (reply !== p.l4) slab.bytes.copyWithin(reply, p.l4, p.l4 + messageLen);
  icmpEmit(d, reply, messageLen, ICMP_ECHO_REPLY, 0, d.getInt32(reply + 4)); // identifier and sequence as they came
  ipv4Emit(d, to, len, id, 0, 64, PROTO_ICMP, src, dst);
}

/** Whether an error about this checked packet is allowed: RFC 1122 3.2.2, RFC 1812 4.3.2.7. Broadcast of a subnet and of the link are the caller's. */
export function icmpErrorAllowed(d: DataView, p: Packet): boolean {
  const src = ipv4Src(d, p.at) >>> 0;
  const dst = ipv4Dst(d, p.at) >>> 0;
  if (ipv4FragmentOffset(d, p.at) !== 0) return false;
  if (src < 0x01000000 || src >>> 24 === 127 || src >= 0xe0000000 || dst >= 0xe0000000) return false;
  return p.proto !== PROTO_ICMP || (p.at + p.len > p.l4 && !icmpIsError(d.getUint8(p.l4)));
}

/** Bytes of the error about a packet. */
export const icmpErrorLen = (p: Packet): number => Math.min(ICMP_ERROR_MAX, IPV4_HEADER_LEN + ICMP_HEADER_LEN + p.len);

/** Writes the error about the packet to `to`: from `address` to the packet's source. */
export function icmpErrorEmit(
  slab: Slab,
  to: number,
  address: number,
  id: number,
  type: number,
  code: number,
  rest: number,
  p: Packet,
): void {
  const d = slab.view;
  const len = icmpErrorLen(p);
  const quoted = len - IPV4_HEADER_LEN - ICMP_HEADER_LEN;
  slab.bytes.copyWithin(to + IPV4_HEADER_LEN + ICMP_HEADER_LEN, p.at, p.at + quoted);
  icmpEmit(d, to + IPV4_HEADER_LEN, len - IPV4_HEADER_LEN, type, code, rest);
  ipv4Emit(d, to, len, id, 0, 64, PROTO_ICMP, address, ipv4Src(d, p.at), 0xc0); // precedence 6: RFC 1812 4.3.2.5
}
