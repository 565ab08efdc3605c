/**
 * TCP packets of one flow that follow each other, joined to a super-frame for the LAN: fewer frames for the device and the
 * LAN host, and fewer acknowledgements back. What may be joined is what Linux's GRO joins (net/ipv4/tcp_offload.c), with one
 * thing less: DF must be set in IPv4. Without it a router further on may fragment, and the identifications, which the device counts
 * up anew from the first segment's, would have to be those of the packets.
 *
 * Nothing moves. The headers of the first packet speak for all, and the payloads of the others are rows that continue its
 * frame (Batch.more). They may differ from the first in sequence number, PSH and IP identification only, and the last one in
 * length. Each checksum is verified before, since the device makes new ones for the segments.
 */
import { type Batch, GSO_TCPV4, GSO_TCPV6, MAX_PIECES, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop } from "../drop.ts";
import { type Packet, pseudoOf } from "../packet.ts";
import { ETHERNET_HEADER_LEN } from "../wire/ethernet.ts";
import {
  IPV4_HEADER_LEN,
  IPV4_MAX_LEN,
  ipv4DontFragment,
  ipv4SameKind,
  ipv4SetTotalLen,
  PROTO_TCP,
} from "../wire/ipv4.ts";
import { IPV6_HEADER_LEN, IPV6_MAX_PAYLOAD, ipv6SameKind, ipv6SetPayloadLen } from "../wire/ipv6.ts";
import {
  TCP_ACK,
  TCP_CHECKSUM_OFFSET,
  TCP_PSH,
  tcpCheck,
  tcpChecksumValid,
  tcpFlags,
  tcpHeaderLen,
  tcpSameFlow,
  tcpSeq,
  tcpSetFlags,
  tcpSetPartialChecksum,
} from "../wire/tcp.ts";

export class TcpCoalescer {
  readonly #slab: Slab;
  readonly #batch: Batch;
  readonly #linkLen: number;
  /** The first packet of the frame that may grow, or -1; its row, family and headers, and the payload bytes of each segment. */
  #head = -1;
  #row = 0;
  #isV6 = false;
  #ipLen = 0;
  #headerLen = 0;
  #size = 0;
  /** Bytes of the whole as an IP packet. */
  #len = 0;
  #nextSeq = 0;
  /** Where the batch ends, and how often it had been emptied, while that frame is the last one in it. */
  #end = 0;
  #generation = 0;

  /** @param batch the frames that are to be sent @param linkLen bytes of the link's header in front of each packet */
  constructor(slab: Slab, batch: Batch, linkLen = ETHERNET_HEADER_LEN) {
    this.#slab = slab;
    this.#batch = batch;
    this.#linkLen = linkLen;
  }

  /** The plain packet was sent: when it is the last frame of the batch, in place, others may join it. */
  start(p: Packet): void {
    this.#head = -1;
    const d = this.#slab.view;
    const batch = this.#batch;
    const row = batch.count - 1;
    if (row < 0 || batch.at[row] !== p.at - this.#linkLen) return;
    const ipLen = p.isV6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN;
    if (p.proto !== PROTO_TCP || p.l4 - p.at !== ipLen || p.isFragment) return;
    if (!p.isV6 && !ipv4DontFragment(d, p.at)) return;
    if (tcpCheck(d, p.l4, p.len - ipLen) !== Drop.None || tcpFlags(d, p.l4) !== TCP_ACK) return;
    const headerLen = ipLen + tcpHeaderLen(d, p.l4);
    if (p.len === headerLen) return;
    this.#head = p.at;
    this.#isV6 = p.isV6;
    this.#ipLen = ipLen;
    this.#row = row;
    this.#headerLen = headerLen;
    this.#size = p.len - headerLen;
    this.#len = p.len;
    this.#nextSeq = (tcpSeq(d, p.l4) + this.#size) | 0;
    this.#end = batch.count;
    this.#generation = batch.generation;
  }

  /** Joins the plain packet to the last frame. False: it cannot, and has to be sent by itself. */
  join(p: Packet): boolean {
    const head = this.#head;
    if (head < 0 || p.isV6 !== this.#isV6) return false;
    const d = this.#slab.view;
    const batch = this.#batch;
    const payload = p.len - this.#headerLen;
    const ipLen = this.#ipLen;
    const tcp = p.at + ipLen;
    const headTcp = head + ipLen;
    if (
      payload <= 0 ||
      payload > this.#size ||
      this.#len + payload > (p.isV6 ? IPV6_HEADER_LEN + IPV6_MAX_PAYLOAD : IPV4_MAX_LEN) ||
      batch.generation !== this.#generation ||
      batch.count !== this.#end ||
      batch.room === 0 ||
      this.#end - this.#row === MAX_PIECES ||
      !(p.isV6 ? ipv6SameKind(d, head, p.at) : ipv4SameKind(d, head, p.at)) ||
      tcpSeq(d, tcp) !== this.#nextSeq ||
      !tcpSameFlow(d, headTcp, tcp) ||
      (tcpFlags(d, tcp) & ~TCP_PSH) !== TCP_ACK
    )
      return false;
    const pseudo = pseudoOf(d, p); // the head's too: addresses and protocol are the same
    const isFirst = this.#len === this.#headerLen + this.#size;
    if (isFirst && !tcpChecksumValid(d, headTcp, this.#len - ipLen, pseudo)) {
      this.#head = -1;
      return false;
    }
    if (!tcpChecksumValid(d, tcp, p.len - ipLen, pseudo)) return false;
    if (isFirst) this.#describe();
    this.#len += payload;
    this.#nextSeq = (this.#nextSeq + payload) | 0;
    if (p.isV6) ipv6SetPayloadLen(d, head, this.#len - ipLen);
    else ipv4SetTotalLen(d, head, this.#len);
    tcpSetPartialChecksum(d, headTcp, this.#len - ipLen, pseudo);
    batch.more[this.#end - 1] = 1;
    batch.push(p.at + this.#headerLen, payload);
    this.#end++;
    const pushed = (tcpFlags(d, tcp) & TCP_PSH) !== 0;
    if (pushed) tcpSetFlags(d, headTcp, TCP_ACK | TCP_PSH);
    // a short segment or a push is the last one (the device puts PSH on the last segment alone)
    if (pushed || payload < this.#size) this.#head = -1;
    return true;
  }

  /** Makes the head's row a super-frame. */
  #describe(): void {
    const batch = this.#batch;
    const row = this.#row;
    batch.flags[row] = VNET_NEEDS_CSUM;
    batch.csumStart[row] = this.#linkLen + this.#ipLen;
    batch.csumOffset[row] = TCP_CHECKSUM_OFFSET;
    batch.gsoType[row] = this.#isV6 ? GSO_TCPV6 : GSO_TCPV4;
    batch.gsoSize[row] = this.#size;
    batch.hdrLen[row] = this.#linkLen + this.#headerLen;
  }
}
