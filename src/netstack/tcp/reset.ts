/** TCP without connections: every segment is answered by a reset (RFC 9293 3.10.7.1), or by nothing. */

import { RateLimit } from "../../lib/rate-limit.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Addressing } from "../ip4/addressing.ts";
import type { EthernetLink } from "../link/ethernet.ts";
import { IPV4_HEADER_LEN, ipv4Dst, ipv4Emit, ipv4HeaderLen, ipv4Src, ipv4TotalLen, PROTO_TCP } from "../wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_HEADER_LEN,
  TCP_RST,
  TCP_SYN,
  tcpAck,
  tcpCheck,
  tcpChecksumValid,
  tcpDstPort,
  tcpEmit,
  tcpFlags,
  tcpHeaderLen,
  tcpSeq,
  tcpSetChecksum,
  tcpSrcPort,
} from "../wire/tcp.ts";

/** Our choice: resets a second, like the ICMP errors (icmp.ts). */
const RESETS_PER_SECOND = 200;
const RESETS_BURST = 100;

export class TcpResetter {
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #egress: EthernetLink;
  readonly #limit = new RateLimit(RESETS_PER_SECOND, RESETS_BURST);

  constructor(slab: Slab, addressing: Addressing, egress: EthernetLink) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#egress = egress;
  }

  /**
   * None: the segment in the packet at `at` was answered by a reset.
   * @param silent answer nothing
   * @param known the checksum was verified, or has yet to be made
   */
  receive(now: number, at: number, silent: boolean, known: boolean): DropCode {
    const d = this.#slab.view;
    const headerLen = ipv4HeaderLen(d, at);
    const tcp = at + headerLen;
    const len = ipv4TotalLen(d, at) - headerLen;
    const src = ipv4Src(d, at);
    const bad = tcpCheck(d, tcp, len);
    if (bad !== Drop.None) return bad;
    if (!known && !tcpChecksumValid(d, tcp, len, src, ipv4Dst(d, at))) return Drop.TcpBadChecksum;
    if (silent) return Drop.TcpNoPort;
    if (!this.#limit.take(now)) return Drop.IcmpRateLimited;
    const hop = this.#addressing.nextHop(src);
    if (hop === 0) return Drop.NoRoute;
    const e = this.#egress;
    const to = e.frame(IPV4_HEADER_LEN + TCP_HEADER_LEN);
    const total = emitReset(d, at, to, e.nextId());
    if (total === 0) return Drop.TcpNoPort;
    e.countDrop(e.outputPlain(now, to, total, hop));
    return Drop.None;
  }
}

/** Writes the reset for the checked segment in the IP packet at `at` to `to`; its length, or 0: a reset is not answered. */
function emitReset(d: DataView, at: number, to: number, id: number): number {
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
