/** TCP without connections: every segment is answered by a reset (RFC 9293 3.10.7.1), or by nothing. */

import { mixWords } from "../../lib/hash.ts";
import type { FairLimit } from "../../lib/rate-limit.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import { Packet, pseudoOf } from "../packet.ts";
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
import { TUPLE_REMOTE, TUPLE_WORDS } from "./flows.ts";
import type { IpPort } from "./ip-port.ts";

export class TcpResetter {
  readonly #slab: Slab;
  readonly #ip: IpPort;
  readonly #limit: FairLimit;
  readonly #reply = new Packet();
  readonly #tuple = new Int32Array(TUPLE_WORDS);

  /** @param limit that of ICMP errors: a reset is one refusal more */
  constructor(slab: Slab, ip: IpPort, limit: FairLimit) {
    this.#slab = slab;
    this.#ip = ip;
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
    if (!known && !tcpChecksumValid(d, p.l4, len, pseudoOf(d, p))) return Drop.TcpBadChecksum;
    if (silent || (tcpFlags(d, p.l4) & TCP_RST) !== 0) return Drop.TcpNoPort; // a reset is not answered
    const ip = this.#ip;
    const tuple = this.#tuple;
    ip.addresses(p, tuple);
    // The host as ICMP's errors name it: it has one share of both.
    const host = ip.isV6 ? mixWords(0, tuple, TUPLE_REMOTE, 4) : tuple[TUPLE_REMOTE + 3]!;
    if (!this.#limit.take(now, host)) return Drop.RateLimited;
    const neighbour = ip.routeBack(now, p);
    if (neighbour === -Drop.NoRoute) return Drop.NoRoute;
    if (neighbour < 0) {
      ip.link.drops.bump(-neighbour as DropCode);
      return Drop.None;
    }
    const to = ip.link.frame(ip.headerLen + TCP_HEADER_LEN);
    resetEmit(d, p, to + ip.headerLen);
    ip.emit(this.#reply, to, ip.headerLen + TCP_HEADER_LEN, 0, tuple, 0, 1);
    ip.send(this.#reply, neighbour);
    return Drop.None;
  }
}

/** Writes the reset for the checked segment to `out`. */
function resetEmit(d: DataView, p: Packet, out: number): void {
  const tcp = p.l4;
  const flags = tcpFlags(d, tcp);
  const data = p.at + p.len - tcp - tcpHeaderLen(d, tcp);
  const segLen = data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
  const acked = (flags & TCP_ACK) !== 0;
  const seq = acked ? tcpAck(d, tcp) : 0;
  const ack = acked ? 0 : (tcpSeq(d, tcp) + segLen) | 0;
  const reply = acked ? TCP_RST : TCP_RST | TCP_ACK;
  tcpEmit(d, out, tcpDstPort(d, tcp), tcpSrcPort(d, tcp), seq, ack, TCP_HEADER_LEN, reply, 0);
  tcpSetChecksum(d, out, TCP_HEADER_LEN, pseudoOf(d, p)); // both ways the same
}
