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
import { Packet } from "../packet.ts";
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

export class SegmentWriter {
  /** SACK blocks of the segment to be written: left, right of each. */
  readonly sack = new Int32Array(8);
  sackCount = 0;
  /** Timestamps of the segment to be written. */
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

  constructor(slab: Slab, counters: Counters<TcpCounter>) {
    this.#slab = slab;
    this.#counters = counters;
  }

  /** Nothing of the segment before stays: no options. */
  clear(): void {
    this.sackCount = 0;
    this.hasTimestamps = false;
  }

  /** Sends a SYN or SYN-ACK. @param at of the tuple in `words` */
  syn(
    ip: IpPort,
    neighbour: number,
    words: Int32Array,
    at: number,
    seq: number,
    ack: number,
    flags: number,
    window: number,
  ): void {
    const to = ip.link.frame(ip.headerLen + MAX_HEADER);
    const { mss, windowScale, sackPermitted, hasTimestamps, tsVal, tsEcr } = this;
    const options = to + ip.headerLen + TCP_HEADER_LEN;
    const d = this.#slab.view;
    const len = tcpSynOptionsEmit(d, options, mss, windowScale, sackPermitted, hasTimestamps, tsVal, tsEcr);
    this.#finish(ip, neighbour, words, at, to, TCP_HEADER_LEN + len, 0, 0, seq, ack, flags, window);
  }

  /** Sends a segment without data. */
  bare(
    ip: IpPort,
    neighbour: number,
    words: Int32Array,
    at: number,
    seq: number,
    ack: number,
    flags: number,
    window: number,
  ): void {
    const to = ip.link.frame(ip.headerLen + MAX_HEADER);
    this.#finish(ip, neighbour, words, at, to, this.#options(ip, to), 0, 0, seq, ack, flags, window);
  }

  /**
   * Sends `len` bytes of the ring from `offset` on, in segments of `mss` bytes; at most {@link superLimit} of them. FIN and PSH go with
   * the last one, CWR with the first.
   */
  data(
    ip: IpPort,
    neighbour: number,
    words: Int32Array,
    at: number,
    seq: number,
    ack: number,
    flags: number,
    window: number,
    ecn: number,
    ring: Ring,
    offset: number,
    len: number,
    mss: number,
  ): void {
    const { link } = ip;
    const rows = piecesOf(ring, offset, len);
    if (!link.gathers(neighbour, rows + 1, ip.isV6)) {
      for (let done = 0; done < len; done += mss) {
        const n = Math.min(mss, len - done);
        const last = done + n === len;
        const own = (last ? flags : flags & ~(TCP_FIN | TCP_PSH)) & (done === 0 ? ~0 : ~TCP_CWR);
        const to = link.frame(ip.headerLen + MAX_HEADER + n);
        const headerLen = this.#options(ip, to);
        copyOut(this.#slab, ring, offset + done, n, to + ip.headerLen + headerLen);
        this.#finish(ip, neighbour, words, at, to, headerLen, n, ecn, (seq + done) | 0, ack, own, window);
      }
      return;
    }
    const out = this.#out;
    const d = this.#slab.view;
    const to = link.frame(ip.headerLen + MAX_HEADER);
    const headerLen = this.#options(ip, to);
    const tcp = to + ip.headerLen;
    const packets = Math.ceil(len / mss);
    const ports = words[at + TUPLE_PORTS]!;
    ip.emit(out, to, ip.headerLen + headerLen + len, ecn, words, at, packets);
    tcpEmit(d, tcp, ports >>> 16, ports & 0xffff, seq, ack, headerLen, flags, window);
    tcpSetPartialChecksum(d, tcp, headerLen + len, out.pseudo);
    out.flags = VNET_NEEDS_CSUM;
    out.csumStart = ip.headerLen;
    out.csumOffset = TCP_CHECKSUM_OFFSET;
    if (packets > 1) {
      out.gsoType = (flags & TCP_CWR) === 0 ? ip.gsoType : ip.gsoType | GSO_ECN;
      out.gsoSize = mss;
      out.hdrLen = ip.headerLen + headerLen;
    } else {
      out.gsoType = GSO_NONE;
    }
    out.len = ip.headerLen + headerLen;
    this.#counters.values[SEGMENTS_SENT]! += packets;
    if (ip.send(out, neighbour) !== Drop.None) return;
    for (let done = 0; done < len; ) {
      const n = Math.min(len - done, ring.run(offset + done));
      link.extend(ring.at(offset + done), n);
      done += n;
    }
  }

  /** How many bytes of payload one call of `data` takes: whole segments that fit an IP packet. */
  superLimit(ip: IpPort, mss: number): number {
    return Math.max(1, Math.floor((MAX_PACKET - ip.headerLen - MAX_HEADER) / mss)) * mss;
  }

  /** Writes the options of a segment that is no SYN; returns the length of the header with them. */
  #options(ip: IpPort, to: number): number {
    const at = to + ip.headerLen + TCP_HEADER_LEN;
    const { hasTimestamps, tsVal, tsEcr, sack, sackCount } = this;
    return TCP_HEADER_LEN + tcpSegmentOptionsEmit(this.#slab.view, at, hasTimestamps, tsVal, tsEcr, sack, sackCount);
  }

  /** Writes IP header, TCP header and checksum around options and `len` bytes of payload that are there, and sends it. */
  #finish(
    ip: IpPort,
    neighbour: number,
    words: Int32Array,
    at: number,
    to: number,
    headerLen: number,
    len: number,
    ecn: number,
    seq: number,
    ack: number,
    flags: number,
    window: number,
  ): void {
    const d = this.#slab.view;
    const out = this.#out;
    const tcp = to + ip.headerLen;
    const ports = words[at + TUPLE_PORTS]!;
    ip.emit(out, to, ip.headerLen + headerLen + len, ecn, words, at, 1);
    tcpEmit(d, tcp, ports >>> 16, ports & 0xffff, seq, ack, headerLen, flags, window);
    tcpSetChecksum(d, tcp, headerLen + len, out.pseudo);
    this.#counters.bump(SEGMENTS_SENT);
    ip.send(out, neighbour);
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
