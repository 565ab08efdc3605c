/** The reset that answers a segment for which there is no connection (RFC 9293 3.10.7.1). */
import { IPV4_HEADER_LEN, ipv4Dst, ipv4Emit, ipv4HeaderLen, ipv4Src, ipv4TotalLen, PROTO_TCP } from "./wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_HEADER_LEN,
  TCP_RST,
  TCP_SYN,
  tcpAck,
  tcpDstPort,
  tcpEmit,
  tcpFlags,
  tcpHeaderLen,
  tcpSeq,
  tcpSetChecksum,
  tcpSrcPort,
} from "./wire/tcp.ts";

/** Writes the reset for the checked segment in the IP packet at `at` to `to`; its length, or 0: a reset is not answered. */
export function emitReset(d: DataView, at: number, to: number, id: number): number {
  const headerLen = ipv4HeaderLen(d, at);
  const tcp = at + headerLen;
  const flags = tcpFlags(d, tcp);
  if ((flags & TCP_RST) !== 0) return 0;
  const data = ipv4TotalLen(d, at) - headerLen - tcpHeaderLen(d, tcp);
  const segLen = data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
  const acked = (flags & TCP_ACK) !== 0;
  const src = ipv4Dst(d, at);
  const dst = ipv4Src(d, at);
  const seq = acked ? tcpAck(d, tcp) : 0;
  const ack = acked ? 0 : (tcpSeq(d, tcp) + segLen) | 0;
  const out = to + IPV4_HEADER_LEN;
  tcpEmit(
    d,
    out,
    tcpDstPort(d, tcp),
    tcpSrcPort(d, tcp),
    seq,
    ack,
    TCP_HEADER_LEN,
    acked ? TCP_RST : TCP_RST | TCP_ACK,
    0,
  );
  tcpSetChecksum(d, out, TCP_HEADER_LEN, src, dst);
  ipv4Emit(d, to, IPV4_HEADER_LEN + TCP_HEADER_LEN, id, 0, 64, PROTO_TCP, src, dst);
  return IPV4_HEADER_LEN + TCP_HEADER_LEN;
}
