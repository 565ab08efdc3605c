/**
 * Writes segments and sends them. Payload is not copied where the link gathers: a frame is one row of headers and rows that point
 * into the ring (Batch.more), up to 64 KiB of it with one header, which the device splits (GSO) and whose checksums it makes.
 * Where the link does not (a tunnel, a neighbour that has not answered yet) segments are copied one by one.
 *
 * The rows point into the ring until the outlet is flushed, which happens before the next batch is handled: no acknowledgement can
 * have freed those bytes meanwhile.
 */
import { GSO_ECN, GSO_NONE, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop } from "../drop.ts";
import { Packet, pseudoOf } from "../packet.ts";
import {
  TCP_CHECKSUM_OFFSET,
  TCP_CWR,
  TCP_FIN,
  TCP_HEADER_LEN,
  TCP_PSH,
  tcpEmit,
  tcpSetChecksum,
  tcpSetPartialChecksum,
} from "../wire/tcp.ts";
import { tcpSegmentOptionsEmit, tcpSynOptionsEmit } from "../wire/tcp-options.ts";
import { SEGMENTS_SENT, type TcpCounter } from "./counters.ts";
import { TUPLE_PORTS } from "./flows.ts";
import type { IpPort } from "./ip-port.ts";
import type { Ring } from "./pages.ts";

/** Options take at most 40 bytes (RFC 9293 3.1). */
const MAX_HEADER = TCP_HEADER_LEN + 40;
/** An IP packet has no more bytes, a super-frame neither. */
const MAX_PACKET = 65535;
/** ECT(0), for data that may be marked (RFC 3168 5). */
export const ECT = 2;

/**
 * One segment after the other: `begin` says whose it is, then fields and options are set, then `syn`, `bare` or `data` writes and sends it.
 */
export class SegmentWriter {
  // Of the header.
  seq = 0;
  ack = 0;
  flags = 0;
  /** As it stands in the header. */
  window = 0;
  /** Codepoint of RFC 3168 5 in the IP header. */
  ecn = 0;
  /** SACK blocks: left, right of each. */
  readonly sack = new Int32Array(8);
  sackCount = 0;
  hasTimestamps = false;
  tsVal = 0;
  tsEcr = 0;
  // Those of a SYN; windowScale -1: none.
  mss = 0;
  windowScale = -1;
  sackPermitted = false;

  readonly #slab: Slab;
  readonly #counters: Counters<TcpCounter>;
  readonly #out = new Packet();
  // Whose it is.
  #ip: IpPort;
  #neighbour = 0;
  #words: Int32Array;
  #at = 0;

  /** @param ip,words what `begin` sets anew */
  constructor(slab: Slab, counters: Counters<TcpCounter>, ip: IpPort, words: Int32Array) {
    this.#slab = slab;
    this.#counters = counters;
    this.#ip = ip;
    this.#words = words;
  }

  /** A segment through `neighbour` of the tuple at `words[at]`, without options and, until they are set, with all fields 0. */
  begin(ip: IpPort, neighbour: number, words: Int32Array, at: number): void {
    this.#ip = ip;
    this.#neighbour = neighbour;
    this.#words = words;
    this.#at = at;
    this.seq = 0;
    this.ack = 0;
    this.flags = 0;
    this.window = 0;
    this.ecn = 0;
    this.sackCount = 0;
    this.hasTimestamps = false;
  }

  /** Sends a SYN or SYN-ACK. */
  syn(): void {
    const to = this.#frame(0);
    const { mss, windowScale, sackPermitted, hasTimestamps, tsVal, tsEcr } = this;
    const options = to + this.#ip.headerLen + TCP_HEADER_LEN;
    const d = this.#slab.view;
    const len = tcpSynOptionsEmit(d, options, mss, windowScale, sackPermitted, hasTimestamps, tsVal, tsEcr);
    this.#finish(to, TCP_HEADER_LEN + len, 0);
  }

  /** Sends a segment without data. */
  bare(): void {
    const to = this.#frame(0);
    this.#finish(to, this.#options(to), 0);
  }

  /**
   * Sends `len` bytes of the ring from `offset` on, in segments of `payload` bytes; at most {@link superLimit} of them. FIN and PSH go
   * with the last one, CWR with the first.
   */
  data(ring: Ring, offset: number, len: number, payload: number): void {
    const rows = piecesOf(ring, offset, len);
    if (this.#ip.link.gathers(this.#neighbour, rows + 1, this.#ip.isV6)) this.#gather(ring, offset, len, payload);
    else this.#copy(ring, offset, len, payload);
  }

  /** Each segment by itself. */
  #copy(ring: Ring, offset: number, len: number, payload: number): void {
    const { seq, flags } = this;
    for (let done = 0; done < len; done += payload) {
      const n = Math.min(payload, len - done);
      const last = done + n === len;
      this.seq = (seq + done) | 0;
      this.flags = (last ? flags : flags & ~(TCP_FIN | TCP_PSH)) & (done === 0 ? ~0 : ~TCP_CWR);
      const to = this.#frame(n);
      const headerLen = this.#options(to);
      copyOut(this.#slab, ring, offset + done, n, to + this.#ip.headerLen + headerLen);
      this.#finish(to, headerLen, n);
    }
  }

  /** One row of headers, and rows that point into the ring. */
  #gather(ring: Ring, offset: number, len: number, payload: number): void {
    const ip = this.#ip;
    const out = this.#out;
    const to = this.#frame(0);
    const headerLen = this.#options(to);
    const packets = Math.ceil(len / payload);
    this.#emit(to, headerLen, len, packets);
    tcpSetPartialChecksum(this.#slab.view, to + ip.headerLen, headerLen + len, pseudoOf(this.#slab.view, out));
    out.flags = VNET_NEEDS_CSUM;
    out.csumStart = ip.headerLen;
    out.csumOffset = TCP_CHECKSUM_OFFSET;
    if (packets > 1) {
      out.gsoType = (this.flags & TCP_CWR) === 0 ? ip.gsoType : ip.gsoType | GSO_ECN;
      out.gsoSize = payload;
      out.hdrLen = ip.headerLen + headerLen;
    } else {
      out.gsoType = GSO_NONE;
    }
    out.len = ip.headerLen + headerLen;
    this.#counters.values[SEGMENTS_SENT]! += packets;
    if (ip.send(out, this.#neighbour) !== Drop.None) return;
    for (let done = 0; done < len; ) {
      const n = Math.min(len - done, ring.run(offset + done));
      ip.link.extend(ring.at(offset + done), n);
      done += n;
    }
  }

  /** How many bytes of payload one call of `data` takes: whole segments that fit an IP packet. */
  superLimit(ip: IpPort, mss: number): number {
    return Math.max(1, Math.floor((MAX_PACKET - ip.headerLen - MAX_HEADER) / mss)) * mss;
  }

  /** Room for a packet with `len` bytes of payload. */
  #frame(len: number): number {
    return this.#ip.link.frame(this.#ip.headerLen + MAX_HEADER + len);
  }

  /** Writes the options of a segment that is no SYN; returns the length of the header with them. */
  #options(to: number): number {
    const at = to + this.#ip.headerLen + TCP_HEADER_LEN;
    const { hasTimestamps, tsVal, tsEcr, sack, sackCount } = this;
    return TCP_HEADER_LEN + tcpSegmentOptionsEmit(this.#slab.view, at, hasTimestamps, tsVal, tsEcr, sack, sackCount);
  }

  /** Writes IP header and TCP header in front of options and `len` bytes of payload, of what becomes `packets` packets. */
  #emit(to: number, headerLen: number, len: number, packets: number): void {
    const ip = this.#ip;
    const words = this.#words;
    const ports = words[this.#at + TUPLE_PORTS]!;
    ip.emit(this.#out, to, ip.headerLen + headerLen + len, this.ecn, words, this.#at, packets);
    const { seq, ack, flags, window } = this;
    tcpEmit(this.#slab.view, to + ip.headerLen, ports >>> 16, ports & 0xffff, seq, ack, headerLen, flags, window);
  }

  /** Sends a packet whose options and `len` bytes of payload are there. */
  #finish(to: number, headerLen: number, len: number): void {
    this.#emit(to, headerLen, len, 1);
    tcpSetChecksum(this.#slab.view, to + this.#ip.headerLen, headerLen + len, pseudoOf(this.#slab.view, this.#out));
    this.#counters.bump(SEGMENTS_SENT);
    this.#ip.send(this.#out, this.#neighbour);
  }
}

function piecesOf(ring: Ring, offset: number, len: number): number {
  let pieces = 0;
  for (let done = 0; done < len; pieces++) done += Math.min(len - done, ring.run(offset + done));
  return pieces;
}

function copyOut(slab: Slab, ring: Ring, offset: number, len: number, to: number): void {
  for (let done = 0; done < len; ) {
    const n = Math.min(len - done, ring.run(offset + done));
    const at = ring.at(offset + done);
    slab.bytes.copyWithin(to + done, at, at + n);
    done += n;
  }
}
