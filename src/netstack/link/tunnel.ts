/**
 * The way into the tunnel: a packet in place, in fragments, or a super-frame in segments; and what the router itself says
 * there (echo replies, ICMP errors from the tunnel's address), rate limited.
 *
 * A row made in place points to where the packet was received; whatever else is made here lies in the tunnel's arena, and
 * the outlet is flushed when that or its batch is full.
 */
import { ensureRoom, type Outlet } from "../../lib/outlet.ts";
import { RateLimit } from "../../lib/rate-limit.ts";
import type { Arena, Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import { fragmentCopy, fragmentCount } from "../ip4/fragment.ts";
import {
  echoReplyEmit,
  echoReplyInPlace,
  echoReplyLen,
  icmpErrorAllowed,
  icmpErrorEmit,
  icmpErrorLen,
} from "../ip4/icmp.ts";
import { segmentCount, tcpSegmentCopy, udpSegmentCopy } from "../offload/split.ts";
import { ipv4TotalLen } from "../wire/ipv4.ts";

/** Our choice: what we say into the tunnel of our own accord, a second. */
const ERRORS_PER_SECOND = 100;
const ERRORS_BURST = 50;
const ECHO_PER_SECOND = 500;
const ECHO_BURST = 200;

export class TunnelLink {
  /** Our own in the tunnel. */
  address = 0;
  /** Largest IP packet. */
  mtu = 1500;

  readonly #slab: Slab;
  readonly #outlet: Outlet;
  readonly #scratch: Arena;
  readonly #errorLimit = new RateLimit(ERRORS_PER_SECOND, ERRORS_BURST);
  readonly #echoLimit = new RateLimit(ECHO_PER_SECOND, ECHO_BURST);
  #id = 1;

  /** @param scratch emptied for each datagram of a UDP super-frame that has to be fragmented */
  constructor(slab: Slab, outlet: Outlet, scratch: Arena) {
    this.#slab = slab;
    this.#outlet = outlet;
    this.#scratch = scratch;
  }

  /** Sends the packet at `at`: in place, or in fragments where it exceeds the MTU. */
  output(at: number, len: number): void {
    if (len > this.mtu) {
      this.#fragments(at);
      return;
    }
    const outlet = this.#outlet;
    if (outlet.batch.room === 0) outlet.flush();
    outlet.batch.push(at, len);
  }

  /** Sends a TCP super-packet as segments of `size` payload bytes, which fit the MTU. */
  outputTcpSegments(at: number, len: number, headerLen: number, size: number): void {
    const n = segmentCount(len, headerLen, size);
    for (let i = 0; i < n; i++) {
      const to = this.#frame(headerLen + size);
      this.#outlet.batch.push(to, tcpSegmentCopy(this.#slab, at, headerLen, size, i, to));
    }
  }

  /** Sends a UDP super-packet as datagrams of `size` payload bytes, in fragments where these exceed the MTU. */
  outputUdpSegments(at: number, len: number, headerLen: number, size: number): void {
    const n = segmentCount(len, headerLen, size);
    const fits = headerLen + size <= this.mtu;
    for (let i = 0; i < n; i++) {
      if (fits) {
        const to = this.#frame(headerLen + size);
        this.#outlet.batch.push(to, udpSegmentCopy(this.#slab, at, size, i, to));
      } else {
        this.#scratch.reset();
        const whole = this.#scratch.take(headerLen + size);
        udpSegmentCopy(this.#slab, at, size, i, whole);
        this.#fragments(whole);
      }
    }
  }

  /** Answers the checked echo request at `at`; a long one is overwritten by its answer. */
  answerEcho(now: number, at: number): DropCode {
    if (!this.#echoLimit.take(now)) return Drop.IcmpRateLimited;
    const d = this.#slab.view;
    const len = echoReplyLen(d, at);
    if (len > this.mtu) {
      const to = echoReplyInPlace(d, at);
      echoReplyEmit(this.#slab, to, this.#nextId(), at);
      this.#fragments(to);
    } else {
      const to = this.#frame(len);
      echoReplyEmit(this.#slab, to, this.#nextId(), at);
      this.#outlet.batch.push(to, len);
    }
    return Drop.None;
  }

  /** Sends an error about the packet from the tunnel at `at` back into it, unless RFC 1122 3.2.2 or the rate limit forbid it. */
  sendError(now: number, type: number, code: number, rest: number, at: number): void {
    const d = this.#slab.view;
    if (!icmpErrorAllowed(d, at) || !this.#errorLimit.take(now)) return;
    const len = icmpErrorLen(ipv4TotalLen(d, at));
    const to = this.#frame(len);
    icmpErrorEmit(this.#slab, to, this.address, this.#nextId(), type, code, rest, at);
    this.#outlet.batch.push(to, len);
  }

  #fragments(at: number): void {
    const n = fragmentCount(this.#slab.view, at, this.mtu);
    for (let i = 0; i < n; i++) {
      const to = this.#frame(this.mtu);
      this.#outlet.batch.push(to, fragmentCopy(this.#slab, at, i, this.mtu, to));
    }
  }

  /** Offset of `len` bytes of the tunnel's arena, with the outlet ready to take them. */
  #frame(len: number): number {
    ensureRoom(this.#outlet, 1, len);
    return this.#outlet.arena.take(len);
  }

  #nextId(): number {
    this.#id = (this.#id + 1) & 0xffff;
    return this.#id;
  }
}
