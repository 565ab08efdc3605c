/** The segment in hand: one record, filled anew for each that arrives (RFC 9293 3.10: SEG.SEQ, SEG.ACK, SEG.LEN, SEG.WND). */
import type { Packet } from "../packet.ts";
import {
  TCP_FIN,
  TCP_SYN,
  tcpAck,
  tcpDstPort,
  tcpFlags,
  tcpHeaderLen,
  tcpSeq,
  tcpSrcPort,
  tcpWindow,
} from "../wire/tcp.ts";
import { TcpOptions, tcpOptionsRead } from "../wire/tcp-options.ts";

export class Segment {
  localPort = 0;
  remotePort = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  /** As it stands in the header, not scaled. */
  window = 0;
  /** Where the data is in the slab, and how much. */
  at = 0;
  len = 0;
  /** SEG.LEN: data, and one each for SYN and FIN. */
  span = 0;
  /** Data bytes of each segment that this one was put together from (a super-frame), else all. */
  pieceLen = 0;
  /** Congestion was marked on the way (RFC 3168 5). */
  isMarked = false;
  readonly options = new TcpOptions();

  /** Reads the segment of a packet whose TCP header was checked. */
  read(d: DataView, p: Packet, isMarked: boolean): void {
    const tcp = p.l4;
    const headerLen = tcpHeaderLen(d, tcp);
    this.localPort = tcpDstPort(d, tcp);
    this.remotePort = tcpSrcPort(d, tcp);
    this.seq = tcpSeq(d, tcp);
    this.ack = tcpAck(d, tcp);
    this.flags = tcpFlags(d, tcp);
    this.window = tcpWindow(d, tcp);
    this.at = tcp + headerLen;
    this.len = p.at + p.len - this.at;
    this.span = this.len + ((this.flags & TCP_SYN) !== 0 ? 1 : 0) + ((this.flags & TCP_FIN) !== 0 ? 1 : 0);
    this.pieceLen = p.gsoType !== 0 && p.gsoSize > 0 && p.gsoSize < this.len ? p.gsoSize : this.len;
    this.isMarked = isMarked;
    tcpOptionsRead(d, tcp, headerLen, (this.flags & TCP_SYN) !== 0, this.options);
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }
}
