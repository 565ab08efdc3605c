/**
 * IPv4 of one interface (RFC 1122 3.2, RFC 1812 5): what comes in is checked, and delivered (UDP, ICMP, TCP), handed to the
 * forwarder, or refused by name. Fragments for this host are put together first.
 */
import { type Batch, GSO_ECN, GSO_UDP_L4, VNET_DATA_VALID, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import type { Arena, Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Forwarder } from "../forwarder.ts";
import {
  ANSWERED_UNREACHABLE,
  ECHO,
  FORWARDED,
  FRAGMENTS,
  ICMP_ERRORS,
  TCP,
  TCP_RESET,
  UDP,
} from "../interface-counters.ts";
import type { LinkLayer } from "../link/layer.ts";
import { Packet } from "../packet.ts";
import { Reassembler } from "../reassembly.ts";
import type { Udp } from "../socket/udp.ts";
import { TcpResetter } from "../tcp/reset.ts";
import type { Tcp } from "../tcp/tcp.ts";
import {
  ICMP_ECHO_REQUEST,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpCheck,
  icmpIsError,
  icmpType,
  TIME_EXCEEDED_REASSEMBLY,
  UNREACHABLE_PORT,
  UNREACHABLE_PROTOCOL,
} from "../wire/icmpv4.ts";
import { IPV4_SRC, ipv4Dst, ipv4Src, PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { UDP_HEADER_LEN, udpDstPort } from "../wire/udp.ts";
import type { Addressing } from "./addressing.ts";
import { ip4Check, ip4Read } from "./check.ts";
import { IPV4_FRAGMENTS } from "./fragment.ts";
import { Icmp, type IcmpLimits } from "./icmp.ts";
import type { Ip4Output } from "./output.ts";
import { Ip4TcpPort, ip4QuotesTcp } from "./tcp-port.ts";

export interface Ip4Options {
  readonly slab: Slab;
  readonly addressing: Addressing;
  readonly link: LinkLayer;
  readonly output: Ip4Output;
  readonly udp: Udp;
  /** Packets that are put together, and long ones of our own. */
  readonly scratch: Arena;
  readonly policy: { readonly echo: boolean; readonly errors: boolean };
  readonly limits: IcmpLimits;
  readonly counters: Counters;
}

const CHECKSUM_KNOWN = VNET_NEEDS_CSUM | VNET_DATA_VALID;

export class Ip4 {
  readonly addressing: Addressing;
  readonly output: Ip4Output;
  readonly udp: Udp;
  readonly reassembler: Reassembler;
  forwarder: Forwarder | undefined = undefined;
  /** Our address is a translator's outside: but for echo requests and our own sockets, what comes to it is the forwarder's. */
  isTranslated = false;
  /** Connections and listeners; undefined: every segment is refused. */
  tcp: Tcp | undefined = undefined;
  readonly tcpPort: Ip4TcpPort;

  readonly #slab: Slab;
  readonly #scratch: Arena;
  readonly #policy: Ip4Options["policy"];
  readonly #counters: Counters;
  readonly #icmp: Icmp;
  readonly #resetter: TcpResetter;
  readonly #in = new Packet();
  readonly #kept = new Packet();

  constructor(options: Ip4Options) {
    const { slab, addressing, link, output, scratch, limits } = options;
    this.addressing = addressing;
    this.output = output;
    this.udp = options.udp;
    this.#slab = slab;
    this.#scratch = scratch;
    this.#policy = options.policy;
    this.#counters = options.counters;
    this.reassembler = new Reassembler(IPV4_FRAGMENTS, link.drops, (now, first) => this.#reassemblyTimeout(now, first));
    this.#icmp = new Icmp(slab, addressing, this.output, limits);
    this.tcpPort = new Ip4TcpPort(slab, addressing, this.output);
    this.#resetter = new TcpResetter(slab, this.tcpPort, limits.errors);
  }

  /** Handles the packet in a row, of which `avail` bytes are there. */
  receive(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode {
    const d = this.#slab.view;
    const p = this.#in;
    const { mark } = this.#scratch;
    const bad = ip4Check(d, p, at, avail);
    if (bad !== Drop.None) return bad;
    p.setRow(rx, row, at);
    const own = this.addressing;
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    const dstTop = dst >>> 24;
    if (dstTop === 127 || dstTop === 0) return Drop.Ipv4MartianDestination;
    if (own.address === 0) {
      // Answers of a DHCP server come before there is an address, broadcast or to the address that is offered.
      if (p.proto !== PROTO_UDP || p.isFragment) return Drop.Ipv4Unconfigured;
      return this.#deliver(now, p, !unicast || dst === -1);
    }
    const srcTop = src >>> 24;
    const broadcast = dst === -1 || own.isBroadcast(dst);
    if (srcTop === 127 || srcTop >= 224 || (srcTop === 0 && !(src === 0 && dst === -1))) return Drop.Ipv4MartianSource;
    if (src === own.address || own.isBroadcast(src)) return Drop.Ipv4MartianSource;
    // A host that asks for an address has none yet.
    if (this.forwarder !== undefined && src !== 0) {
      const foreign = this.forwarder.checkSource(p);
      if (foreign !== Drop.None) return foreign;
    }
    if (!broadcast && !own.isOwn(dst)) {
      // What was broadcast on the link is not forwarded (RFC 1812 5.3.4).
      if (this.forwarder === undefined || !unicast || dstTop >= 224) return Drop.Ipv4NotForUs;
      return this.#forward(now, p, mark);
    }
    if (!unicast && !broadcast) return Drop.Ipv4NotForUs; // RFC 1122 3.3.6
    if (p.isFragment) {
      const drop = this.reassemble(now, p);
      if (drop !== Drop.None) return drop;
      if (p.isFragment) return this.#handled(Drop.None, FRAGMENTS);
    }
    if (this.isTranslated ? !this.#isForHost(p) : this.forwarder?.isForwarded(p) === true)
      return this.#forward(now, p, mark);
    return this.#deliver(now, p, broadcast);
  }

  /**
   * Adds the fragment `p` to its packet; `p` becomes the whole packet when it is the last one that was missing, and is still a
   * fragment when it was kept. A whole packet lies in the scratch until the next batch.
   */
  reassemble(now: number, p: Packet): DropCode {
    const at = this.reassembler.add(now, this.#slab, p.at, p.neighbour, this.#scratch);
    if (at < 0) return -at as DropCode;
    if (at === 0) return Drop.None;
    // The row's fields are about the frame, not about what was put together from it.
    p.setPlain();
    ip4Read(this.#slab.view, p, at);
    p.isReassembled = true;
    return Drop.None;
  }

  /**
   * Tells the source of `p` of an error: {@link Icmp.sendError}.
   * @param isMapped it belongs to a translator's mapping, and is told whatever policy says and however far its source is
   */
  sendError(now: number, type: number, code: number, rest: number, p: Packet, isMapped = false): boolean {
    return (this.#policy.errors || isMapped) && this.#icmp.sendError(now, type, code, rest, p, isMapped);
  }

  /** Tells the sender of fragments that the rest of them did not come (RFC 1122 3.3.2); behind a translator nobody is told whose it was. */
  #reassemblyTimeout(now: number, first: Uint8Array): void {
    if (this.isTranslated || !this.#policy.errors) return;
    this.withKept(first, (p) => {
      // Who sent them may have gone: whoever has the address now is told.
      p.neighbour = this.output.onLink(now, p.at + IPV4_SRC);
      this.sendError(now, ICMP_TIME_EXCEEDED, TIME_EXCEEDED_REASSEMBLY, 0, p);
    });
  }

  /** Gives `use` a packet that was kept, in the scratch, if there is room. */
  withKept(bytes: Uint8Array, use: (p: Packet) => void): void {
    const { mark } = this.#scratch;
    const at = this.#scratch.take(bytes.length);
    if (at < 0) return;
    this.#slab.bytes.set(bytes, at);
    ip4Read(this.#slab.view, this.#kept, at);
    use(this.#kept);
    this.#scratch.reset(mark);
  }

  /** @param mark of the scratch: what the forwarder had put together it has copied */
  #forward(now: number, p: Packet, mark: number): DropCode {
    this.#counters.bump(FORWARDED);
    this.forwarder?.forward(now, p);
    this.#scratch.reset(mark);
    return Drop.None;
  }

  /** Whether a packet is an echo request, or for a socket or a connection of our own, whose ports the translator does not give out. */
  #isForHost(p: Packet): boolean {
    if (p.proto === PROTO_ICMP) return p.at + p.len > p.l4 && this.#slab.view.getUint8(p.l4) === ICMP_ECHO_REQUEST;
    if (p.proto === PROTO_TCP) return this.tcp?.has(p, this.tcpPort) === true;
    const avail = p.at + p.len - p.l4;
    return p.proto === PROTO_UDP && avail >= UDP_HEADER_LEN && this.udp.isBound(udpDstPort(this.#slab.view, p.l4));
  }

  #deliver(now: number, p: Packet, broadcast: boolean): DropCode {
    const known = (p.flags & CHECKSUM_KNOWN) !== 0;
    switch (p.proto) {
      case PROTO_UDP: {
        const gso = (p.gsoType & ~GSO_ECN) === GSO_UDP_L4 ? p.gsoSize : 0;
        const drop = this.udp.receive(now, p, broadcast, known, gso);
        if (drop === Drop.UdpNoPort) return this.#unreachable(now, p, UNREACHABLE_PORT, drop);
        return this.#handled(drop, UDP);
      }
      case PROTO_ICMP:
        return this.#icmpIn(now, p, broadcast, known);
      case PROTO_TCP:
        return this.#tcpIn(now, p, broadcast, known);
      default:
        return this.#unreachable(now, p, UNREACHABLE_PROTOCOL, Drop.Ipv4UnknownProtocol);
    }
  }

  /** RFC 9293 3.10.7: what no connection has is answered by a reset, where policy allows. */
  #tcpIn(now: number, p: Packet, broadcast: boolean, known: boolean): DropCode {
    if (this.tcp !== undefined && !broadcast) {
      const drop = this.tcp.receive(now, p, this.tcpPort, known);
      if (drop !== Drop.TcpNoPort) return this.#handled(drop, TCP);
    }
    return this.#handled(this.#resetter.receive(now, p, broadcast || !this.#policy.errors, known), TCP_RESET);
  }

  #icmpIn(now: number, p: Packet, broadcast: boolean, known: boolean): DropCode {
    const d = this.#slab.view;
    const len = p.at + p.len - p.l4;
    const bad = icmpCheck(d, p.l4, len, !known);
    if (bad !== Drop.None) return bad;
    const type = icmpType(d, p.l4);
    if (icmpIsError(type)) {
      const isTcp = this.tcp !== undefined && ip4QuotesTcp(d, p.l4, len);
      const drop = isTcp ? this.tcpPort.receiveError(this.tcp, p.l4) : this.udp.receiveError(now, p.l4, len);
      return this.#handled(drop, ICMP_ERRORS);
    }
    if (type !== ICMP_ECHO_REQUEST) return Drop.IcmpBadType;
    if (!this.#policy.echo || broadcast) return Drop.IcmpUnwanted;
    return this.#handled(this.#icmp.answerEcho(now, p), ECHO);
  }

  #unreachable(now: number, p: Packet, code: number, drop: DropCode): DropCode {
    if (!this.sendError(now, ICMP_UNREACHABLE, code, 0, p)) return drop;
    return this.#handled(Drop.None, ANSWERED_UNREACHABLE);
  }

  /** Counts what was handled under its name; hands back a drop, which the interface counts. */
  #handled(drop: DropCode, counter: number): DropCode {
    if (drop === Drop.None) this.#counters.bump(counter);
    return drop;
  }
}
