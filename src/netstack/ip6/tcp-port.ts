/** IPv6 as TCP sees it. */
import { GSO_TCPV6 } from "../../lib/batch.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { LinkLayer } from "../link/layer.ts";
import type { Packet } from "../packet.ts";
import { TUPLE_PORTS, TUPLE_REMOTE, TUPLE_WORDS } from "../tcp/flows.ts";
import type { IpPort } from "../tcp/ip-port.ts";
import { ERROR_HARD, ERROR_SOFT, ERROR_TOO_BIG, type Tcp } from "../tcp/tcp.ts";
import {
  ICMPV6_HEADER_LEN,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TOO_BIG,
  ICMPV6_UNREACHABLE,
  icmpv6Code,
  icmpv6Rest,
  icmpv6Type,
  PROBLEM_NEXT_HEADER,
  UNREACHABLE6_PORT,
} from "../wire/icmpv6.ts";
import { ECN_CE, PROTO_TCP } from "../wire/ipv4.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_MIN_MTU,
  IPV6_SRC,
  ipv6Ecn,
  ipv6Emit,
  ipv6NextHeader,
  ipv6PutWords,
  ipv6ReadWords,
} from "../wire/ipv6.ts";
import { tcpDstPort, tcpSeq, tcpSrcPort } from "../wire/tcp.ts";
import type { Ip6Addressing } from "./addressing.ts";
import type { Ip6Output } from "./output.ts";

/** Of a quoted segment ports and sequence number are there. */
const QUOTED_TCP = 8;

export class Ip6TcpPort implements IpPort {
  readonly link: LinkLayer;
  readonly isV6 = true;
  readonly headerLen = IPV6_HEADER_LEN;
  readonly gsoType = GSO_TCPV6;
  readonly leastMtu = IPV6_MIN_MTU;
  readonly defaultMss = 1220;
  readonly #slab: Slab;
  readonly #addressing: Ip6Addressing;
  readonly #output: Ip6Output;
  readonly #quoted = new Int32Array(TUPLE_WORDS);
  readonly #words = new Int32Array(4);

  constructor(slab: Slab, addressing: Ip6Addressing, output: Ip6Output) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#output = output;
    this.link = output.link;
  }

  get mtu(): number {
    return this.#output.mtu;
  }

  addresses(p: Packet, tuple: Int32Array): void {
    const d = this.#slab.view;
    ipv6ReadWords(d, p.at + IPV6_DST, tuple, 0);
    ipv6ReadWords(d, p.at + IPV6_SRC, tuple, TUPLE_REMOTE);
  }

  source(tuple: Int32Array): boolean {
    const own = this.#addressing.source(this.#copy(tuple, TUPLE_REMOTE));
    if (own !== undefined) tuple.set(own.words);
    return own !== undefined;
  }

  isOwn(words: Int32Array, at: number): boolean {
    return this.#addressing.isOwnWords(words, at);
  }

  isMarked(p: Packet): boolean {
    return ipv6Ecn(this.#slab.view, p.at) === ECN_CE;
  }

  route(now: number, words: Int32Array, at: number): number {
    const neighbour = this.#output.route(now, this.#copy(words, at + TUPLE_REMOTE));
    return neighbour === this.link.everybody ? -Drop.NoRoute : neighbour;
  }

  routeBack(now: number, p: Packet): number {
    return this.#output.routeBack(now, p);
  }

  emit(out: Packet, to: number, len: number, ecn: number, words: Int32Array, at: number): void {
    const d = this.#slab.view;
    ipv6Emit(d, to, len - IPV6_HEADER_LEN, PROTO_TCP, this.#addressing.hopLimit, ecn);
    ipv6PutWords(d, to + IPV6_SRC, words, at);
    ipv6PutWords(d, to + IPV6_DST, words, at + TUPLE_REMOTE);
    out.setPlain();
    out.isV6 = true;
    out.at = to;
    out.len = len;
    out.l4 = to + IPV6_HEADER_LEN;
    out.proto = PROTO_TCP;
    out.isFragment = false;
    out.fragmentAt = 0;
  }

  send(out: Packet, neighbour: number): DropCode {
    return this.#output.countDrop(this.link.output(out, neighbour));
  }

  /** Tells TCP of the checked ICMPv6 error at `icmp`, which quotes a segment ({@link ip6QuotesTcp}). */
  receiveError(tcp: Tcp | undefined, icmp: number): DropCode {
    const d = this.#slab.view;
    const quote = icmp + ICMPV6_HEADER_LEN;
    const segment = quote + IPV6_HEADER_LEN;
    const tuple = this.#quoted;
    ipv6ReadWords(d, quote + IPV6_SRC, tuple, 0);
    ipv6ReadWords(d, quote + IPV6_DST, tuple, TUPLE_REMOTE);
    tuple[TUPLE_PORTS] = (tcpSrcPort(d, segment) << 16) | tcpDstPort(d, segment);
    const type = icmpv6Type(d, icmp);
    const code = icmpv6Code(d, icmp);
    const tooBig = type === ICMPV6_TOO_BIG;
    // RFC 5461 2: what says that nobody speaks TCP there, or not on that port.
    const hard =
      (type === ICMPV6_UNREACHABLE && code === UNREACHABLE6_PORT) ||
      (type === ICMPV6_PARAMETER_PROBLEM && code === PROBLEM_NEXT_HEADER);
    const kind = tooBig ? ERROR_TOO_BIG : hard ? ERROR_HARD : ERROR_SOFT;
    return tcp?.receiveError(tuple, tcpSeq(d, segment), kind, tooBig ? icmpv6Rest(d, icmp) : 0) ?? Drop.IcmpBadQuote;
  }

  #copy(words: Int32Array, at: number): Int32Array {
    const to = this.#words;
    for (let k = 0; k < 4; k++) to[k] = words[at + k]!;
    return to;
  }
}

/** Whether the checked ICMPv6 error of `len` bytes at `icmp` quotes the beginning of a TCP segment. Ours have no extension headers. */
export function ip6QuotesTcp(d: DataView, icmp: number, len: number): boolean {
  const quote = icmp + ICMPV6_HEADER_LEN;
  if (len < ICMPV6_HEADER_LEN + IPV6_HEADER_LEN + QUOTED_TCP || d.getUint8(quote) >> 4 !== 6) return false;
  return ipv6NextHeader(d, quote) === PROTO_TCP;
}
