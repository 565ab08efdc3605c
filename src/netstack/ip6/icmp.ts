/** ICMPv6 that an interface makes (RFC 4443): echo replies, and errors: when, how long, how often. */
import { mixWords } from "../../lib/hash.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { IcmpLimits } from "../ip4/icmp.ts";
import { Packet } from "../packet.ts";
import {
  ICMPV6_ECHO_REPLY,
  ICMPV6_HEADER_LEN,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TOO_BIG,
  icmpv6Emit,
  icmpv6IsError,
  PROBLEM_OPTION,
} from "../wire/icmpv6.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_MIN_MTU,
  IPV6_SRC,
  ipv6Copy,
  ipv6Emit,
  ipv6IsMulticast,
  ipv6IsUnspecified,
  ipv6PseudoSum,
  ipv6PutWords,
  ipv6ReadWords,
  PROTO_ICMPV6,
} from "../wire/ipv6.ts";
import { fragmentOffset } from "../wire/ipv6-ext.ts";
import type { Ip6Addressing } from "./addressing.ts";
import type { Ip6Output } from "./output.ts";

export class Icmp6 {
  readonly #slab: Slab;
  readonly #addressing: Ip6Addressing;
  readonly #output: Ip6Output;
  readonly #limits: IcmpLimits;
  readonly #reply = new Packet(true);
  readonly #words = new Int32Array(4);

  constructor(slab: Slab, addressing: Ip6Addressing, output: Ip6Output, limits: IcmpLimits) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#output = output;
    this.#limits = limits;
  }

  /**
   * Answers the checked echo request in `p`; a long one is overwritten by its answer. One that was sent to a group is answered
   * from an address of ours (RFC 4443 4.2), within the limit of errors: it has many answers.
   */
  answerEcho(now: number, p: Packet): DropCode {
    const { echo } = this.#limits;
    const d = this.#slab.view;
    if (echo !== undefined && !echo.take(now)) return Drop.RateLimited;
    if (ipv6IsMulticast(d, p.at + IPV6_DST) && !this.#mayTell(now, p)) return Drop.RateLimited;
    const out = this.#output;
    const source = this.#sourceFor(p);
    const neighbour = out.routeBack(now, p);
    if (source === undefined || neighbour === -Drop.NoRoute) return Drop.NoRoute;
    const messageLen = p.at + p.len - p.l4;
    const len = IPV6_HEADER_LEN + messageLen;
    // A long answer is made in place and fragmented from there.
    const to = len <= out.mtu ? out.link.frame(len) : p.l4 - IPV6_HEADER_LEN;
    const reply = to + IPV6_HEADER_LEN;
    // In place the header of the answer may lie over the addresses of the request.
    ipv6ReadWords(d, p.at + IPV6_SRC, this.#words, 0);
    if (reply !== p.l4) this.#slab.bytes.copyWithin(reply, p.l4, p.l4 + messageLen);
    ipv6Emit(d, to, messageLen, PROTO_ICMPV6, this.#addressing.hopLimit);
    ipv6PutWords(d, to + IPV6_SRC, source, 0);
    ipv6PutWords(d, to + IPV6_DST, this.#words, 0);
    const pseudo = ipv6PseudoSum(d, to, PROTO_ICMPV6);
    icmpv6Emit(d, reply, messageLen, ICMPV6_ECHO_REPLY, 0, d.getInt32(reply + 4), pseudo); // identifier and sequence as they came
    out.sendOwn(now, this.#reply, to, neighbour);
    return Drop.None;
  }

  /**
   * Sends an error about the packet `p` to its source, unless RFC 4443 2.4 (e) or the rate limit forbid it. `rest` is the second
   * word (MTU, pointer). True: it was sent.
   * @param isFar its source need not be a host of the link
   */
  sendError(now: number, type: number, code: number, rest: number, p: Packet, isFar: boolean): boolean {
    const own = this.#addressing;
    const d = this.#slab.view;
    if (!own.isOn || !icmp6ErrorAllowed(d, p, type, code)) return false;
    // Only hosts of the link itself hear of errors.
    ipv6ReadWords(d, p.at + IPV6_SRC, this.#words, 0);
    if (!isFar && !own.onLink(this.#words)) return false;
    const out = this.#output;
    // As in Linux (net.ipv6.icmp.ratemask): errors of another kind must not starve path MTU discovery.
    if (type !== ICMPV6_TOO_BIG && !this.#mayTell(now, p)) {
      out.countDrop(Drop.RateLimited);
      return false;
    }
    const source = this.#sourceFor(p);
    if (source === undefined) return false;
    const to = out.link.frame(icmp6ErrorLen(p));
    ipv6PutWords(d, to + IPV6_SRC, source, 0);
    icmp6ErrorEmit(this.#slab, to, to + IPV6_SRC, own.hopLimit, type, code, rest, p);
    return out.sendOwn(now, this.#reply, to, out.routeBack(now, p)) === Drop.None;
  }

  /** The address that an answer to `p` comes from (RFC 4443 2.2): the one that it was sent to, else one for its sender. */
  #sourceFor(p: Packet): Int32Array | undefined {
    const d = this.#slab.view;
    const own = this.#addressing;
    const asked = own.find(d, p.at + IPV6_DST);
    if (asked?.state === "usable") return asked.words;
    if (own.isOwn(d, p.at + IPV6_DST)) {
      ipv6ReadWords(d, p.at + IPV6_DST, this.#words, 0);
      return this.#words.slice();
    }
    ipv6ReadWords(d, p.at + IPV6_SRC, this.#words, 0);
    return own.source(this.#words)?.words;
  }

  #mayTell(now: number, p: Packet): boolean {
    ipv6ReadWords(this.#slab.view, p.at + IPV6_SRC, this.#words, 0);
    return this.#limits.errors.take(now, mixWords(0, this.#words, 0, 4));
  }
}

/** Whether an error about this checked packet is allowed (RFC 4443 2.4 (e)). What the link sent to a group is not told of by the caller. */
export function icmp6ErrorAllowed(d: DataView, p: Packet, type: number, code: number): boolean {
  const src = p.at + IPV6_SRC;
  if (ipv6IsMulticast(d, src) || ipv6IsUnspecified(d, src)) return false;
  // A group hears of two things (e.3): path MTU, and an option whose type asks for it.
  const forGroups = type === ICMPV6_TOO_BIG || (type === ICMPV6_PARAMETER_PROBLEM && code === PROBLEM_OPTION);
  if (ipv6IsMulticast(d, p.at + IPV6_DST) && !forGroups) return false;
  if (p.proto !== PROTO_ICMPV6) return true;
  // Of a later fragment nobody knows what it is.
  if (p.fragmentAt !== 0 && fragmentOffset(d, p.fragmentAt) !== 0) return false;
  return p.at + p.len > p.l4 && !icmpv6IsError(d.getUint8(p.l4));
}

/** Bytes of the error about a packet: as much of it as fits the least MTU (RFC 4443 2.4 (c)). */
export const icmp6ErrorLen = (p: Packet): number => Math.min(IPV6_MIN_MTU, IPV6_HEADER_LEN + ICMPV6_HEADER_LEN + p.len);

/** Writes the error about the packet to `to`: from the address at `from`, which may be its own place in the header, to the packet's source. */
export function icmp6ErrorEmit(
  slab: Slab,
  to: number,
  from: number,
  hopLimit: number,
  type: number,
  code: number,
  rest: number,
  p: Packet,
): void {
  const d = slab.view;
  const messageLen = icmp6ErrorLen(p) - IPV6_HEADER_LEN;
  const message = to + IPV6_HEADER_LEN;
  const quoted = messageLen - ICMPV6_HEADER_LEN;
  slab.bytes.copyWithin(message + ICMPV6_HEADER_LEN, p.at, p.at + quoted);
  ipv6Emit(d, to, messageLen, PROTO_ICMPV6, hopLimit);
  if (from !== to + IPV6_SRC) ipv6Copy(d, from, to + IPV6_SRC);
  ipv6Copy(d, p.at + IPV6_SRC, to + IPV6_DST);
  icmpv6Emit(d, message, messageLen, type, code, rest, ipv6PseudoSum(d, to, PROTO_ICMPV6));
}
