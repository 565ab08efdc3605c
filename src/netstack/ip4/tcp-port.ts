/** IPv4 as TCP sees it. Tuples hold IPv4-mapped addresses (RFC 4291 2.5.5.2). */
import { GSO_TCPV4 } from "../../lib/batch.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { LinkLayer } from "../link/layer.ts";
import type { Packet } from "../packet.ts";
import { TUPLE_PORTS, TUPLE_WORDS } from "../tcp/flows.ts";
import type { IpPort } from "../tcp/ip-port.ts";
import { ERROR_HARD, ERROR_SOFT, ERROR_TOO_BIG, type Tcp } from "../tcp/tcp.ts";
import {
  ICMP_HEADER_LEN,
  ICMP_UNREACHABLE,
  icmpCode,
  icmpNextHopMtu,
  icmpType,
  UNREACHABLE_FRAGMENTATION_NEEDED,
  UNREACHABLE_PORT,
  UNREACHABLE_PROTOCOL,
} from "../wire/icmpv4.ts";
import {
  ECN_CE,
  IPV4_DF,
  IPV4_HEADER_LEN,
  ipv4Dst,
  ipv4Ecn,
  ipv4Emit,
  ipv4FragmentOffset,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4Src,
  PROTO_TCP,
} from "../wire/ipv4.ts";
import { tcpDstPort, tcpSeq, tcpSrcPort } from "../wire/tcp.ts";
import type { Addressing } from "./addressing.ts";
import { ip4Read } from "./check.ts";
import type { Ip4Output } from "./output.ts";

/** Of a quoted segment ports and sequence number are there (RFC 792). */
const QUOTED_TCP = 8;
const MAPPED = 0xffff;
/** RFC 791 asks for 68, RFC 1122 3.3.3 for 576; Linux believes 552 (net.ipv4.route.min_pmtu). */
const LEAST_MTU = 552;

export class Ip4TcpPort implements IpPort {
  readonly link: LinkLayer;
  readonly isV6 = false;
  readonly headerLen = IPV4_HEADER_LEN;
  readonly gsoType = GSO_TCPV4;
  readonly leastMtu = LEAST_MTU;
  readonly defaultMss = 536;
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #output: Ip4Output;
  readonly #quoted = new Int32Array(TUPLE_WORDS);

  constructor(slab: Slab, addressing: Addressing, output: Ip4Output) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#output = output;
    this.link = output.link;
  }

  get mtu(): number {
    return this.link.mtu;
  }

  addresses(p: Packet, tuple: Int32Array): void {
    const d = this.#slab.view;
    this.#write(tuple, ipv4Dst(d, p.at), ipv4Src(d, p.at));
  }

  source(tuple: Int32Array): boolean {
    const { address } = this.#addressing;
    this.#write(tuple, address, tuple[7]!);
    return address !== 0;
  }

  isOwn(words: Int32Array, at: number): boolean {
    return this.#addressing.isOwn(words[at + 3]!);
  }

  isMarked(p: Packet): boolean {
    return ipv4Ecn(this.#slab.view, p.at) === ECN_CE;
  }

  route(now: number, words: Int32Array, at: number): number {
    const neighbour = this.#output.route(now, words[at + 7]!);
    return neighbour === this.link.everybody ? -Drop.NoRoute : neighbour;
  }

  routeBack(now: number, p: Packet): number {
    return this.#output.routeBack(now, p);
  }

  emit(out: Packet, to: number, len: number, ecn: number, words: Int32Array, at: number, packets: number): void {
    const d = this.#slab.view;
    // Don't Fragment: what is too large for a router comes back as an error, and the segments become smaller (RFC 1191).
    const id = this.#output.nextId(packets);
    ipv4Emit(d, to, len, id, IPV4_DF, 64, PROTO_TCP, words[at + 3]!, words[at + 7]!, ecn);
    out.setPlain();
    out.isV6 = false;
    ip4Read(d, out, to);
  }

  send(out: Packet, neighbour: number): DropCode {
    return this.#output.countDrop(this.link.output(out, neighbour));
  }

  /** Tells TCP of the checked ICMP error at `icmp`, which quotes a segment ({@link ip4QuotesTcp}). */
  receiveError(tcp: Tcp | undefined, icmp: number): DropCode {
    const d = this.#slab.view;
    const quote = icmp + ICMP_HEADER_LEN;
    const segment = quote + ipv4HeaderLen(d, quote);
    const tuple = this.#quoted;
    this.#write(tuple, ipv4Src(d, quote), ipv4Dst(d, quote));
    tuple[TUPLE_PORTS] = (tcpSrcPort(d, segment) << 16) | tcpDstPort(d, segment);
    const type = icmpType(d, icmp);
    const code = icmpCode(d, icmp);
    const isUnreachable = type === ICMP_UNREACHABLE;
    const tooBig = isUnreachable && code === UNREACHABLE_FRAGMENTATION_NEEDED;
    const hard = isUnreachable && (code === UNREACHABLE_PROTOCOL || code === UNREACHABLE_PORT);
    const kind = tooBig ? ERROR_TOO_BIG : hard ? ERROR_HARD : ERROR_SOFT;
    return (
      tcp?.receiveError(tuple, tcpSeq(d, segment), kind, tooBig ? icmpNextHopMtu(d, icmp) : 0) ?? Drop.IcmpBadQuote
    );
  }

  #write(tuple: Int32Array, local: number, remote: number): void {
    tuple[0] = 0;
    tuple[1] = 0;
    tuple[2] = MAPPED;
    tuple[3] = local;
    tuple[4] = 0;
    tuple[5] = 0;
    tuple[6] = MAPPED;
    tuple[7] = remote;
  }
}

/** Whether the checked ICMP error of `len` bytes at `icmp` quotes the beginning of a TCP segment. */
export function ip4QuotesTcp(d: DataView, icmp: number, len: number): boolean {
  const quote = icmp + ICMP_HEADER_LEN;
  const quoted = len - ICMP_HEADER_LEN;
  if (quoted < IPV4_HEADER_LEN || d.getUint8(quote) >> 4 !== 4) return false;
  const headerLen = ipv4HeaderLen(d, quote);
  if (headerLen < IPV4_HEADER_LEN || quoted < headerLen + QUOTED_TCP) return false;
  return ipv4Protocol(d, quote) === PROTO_TCP && ipv4FragmentOffset(d, quote) === 0;
}
