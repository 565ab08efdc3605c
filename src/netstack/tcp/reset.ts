/** TCP without connections: every segment is answered by a reset (RFC 9293 3.10.7.1), or by nothing. */

import type { FairLimit } from "../../lib/rate-limit.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Ip4Output } from "../ip4/output.ts";
import { Packet } from "../packet.ts";
import { IPV4_HEADER_LEN, ipv4Dst, ipv4Emit, ipv4Src, PROTO_TCP } from "../wire/ipv4.ts";
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

const RESET_LEN = IPV4_HEADER_LEN + TCP_HEADER_LEN;

export class TcpResetter {
  readonly #slab: Slab;
  readonly #output: Ip4Output;
  readonly #limit: FairLimit;
  readonly #reply = new Packet();

  /** @param limit that of ICMP errors: a reset is one refusal more */
  constructor(slab: Slab, output: Ip4Output, limit: FairLimit) {
    this.#slab = slab;
    this.#output = output;
    this.#limit = limit;
  }

  /**
   * None: the segment in `p` was answered by a reset.
   * @param silent answer nothing
   * @param known the checksum was verified, or has yet to be made
   */
  receive(now: number, p: Packet, silent: boolean, known: boolean): DropCode {
    const d = this.#slab.view;
    const len = p.at + p.len - p.l4;
    const bad = tcpCheck(d, p.l4, len);
    if (bad !== Drop.None) return bad;
    if (!known && !tcpChecksumValid(d, p.l4, len, p.pseudo)) return Drop.TcpBadChecksum;
    if (silent || (tcpFlags(d, p.l4) & TCP_RST) !== 0) return Drop.TcpNoPort; // a reset is not answered
    if (!this.#limit.take(now, ipv4Src(d, p.at))) return Drop.RateLimited;
    const out = this.#output;
    const neighbour = out.routeBack(now, p);
    if (neighbour === -Drop.NoRoute) return Drop.NoRoute;
    const to = out.link.frame(RESET_LEN);
    emitReset(d, p, to, out.nextId());
    out.sendOwn(this.#reply, to, neighbour);
    return Drop.None;
  }
}

/** Writes the reset for the checked segment to `to`. */
function emitReset(d: DataView, p: Packet, to: number, id: number): void {
  const tcp = p.l4;
  const flags = tcpFlags(d, tcp);
  const data = p.at + p.len - tcp - tcpHeaderLen(d, tcp);
  const segLen = data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
  const acked = (flags & TCP_ACK) !== 0;
  const seq = acked ? tcpAck(d, tcp) : 0;
  const ack = acked ? 0 : (tcpSeq(d, tcp) + segLen) | 0;
  const reply = acked ? TCP_RST : TCP_RST | TCP_ACK;
  const out = to + IPV4_HEADER_LEN;
  tcpEmit(d, out, tcpDstPort(d, tcp), tcpSrcPort(d, tcp), seq, ack, TCP_HEADER_LEN, reply, 0);
  tcpSetChecksum(d, out, TCP_HEADER_LEN, p.pseudo); // both ways the same
  ipv4Emit(d, to, RESET_LEN, id, 0, 64, PROTO_TCP, ipv4Dst(d, p.at), ipv4Src(d, p.at));
}
