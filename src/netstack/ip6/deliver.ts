/**
 * IPv6 of one interface (RFC 8200, RFC 4443, RFC 8504): what comes in is checked, and delivered (UDP, ICMPv6, neighbour
 * discovery), handed to the forwarder, or refused by name. Fragments for this host are put together first. Without an address
 * IPv6 is off, and nothing of it is heard or said.
 */
import { type Batch, GSO_ECN, GSO_UDP_L4, VNET_DATA_VALID, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import { type IpAddress, wordsOf } from "../../lib/ip.ts";
import { RateLimit } from "../../lib/rate-limit.ts";
import type { Arena, Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Forwarder } from "../forwarder.ts";
import {
  ANSWERED_UNREACHABLE,
  ECHO,
  FORWARDED,
  FRAGMENTS,
  ICMP_ERRORS,
  LISTENERS,
  NEIGHBOR_DISCOVERY,
  TCP,
  TCP_RESET,
  UDP,
} from "../interface-counters.ts";
import type { IcmpLimits } from "../ip4/icmp.ts";
import type { LinkLayer } from "../link/layer.ts";
import { Packet, pseudoOf } from "../packet.ts";
import { Reassembler } from "../reassembly.ts";
import type { Udp } from "../socket/udp.ts";
import { TcpResetter } from "../tcp/reset.ts";
import type { Tcp } from "../tcp/tcp.ts";
import {
  ICMPV6_ECHO_REQUEST,
  ICMPV6_MLD_QUERY,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  icmpv6Check,
  icmpv6Emit,
  icmpv6Type,
  PROBLEM_FIELD,
  PROBLEM_FIRST_FRAGMENT,
  PROBLEM_NEXT_HEADER,
  PROBLEM_OPTION,
  TIME_EXCEEDED6_REASSEMBLY,
  UNREACHABLE6_PORT,
} from "../wire/icmpv6.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_MIN_MTU,
  IPV6_SRC,
  ipv6Address,
  ipv6Emit,
  ipv6IsLinkLocal,
  ipv6IsLoopback,
  ipv6IsMapped,
  ipv6IsMulticast,
  ipv6IsUnspecified,
  ipv6MulticastScope,
  ipv6PseudoSum,
  ipv6PutWords,
  PROTO_ICMPV6,
} from "../wire/ipv6.ts";
import {
  EXT_NONE,
  ExtensionChain,
  extOptionsCheck,
  OPTIONS_FINE,
  OPTIONS_TELL,
  OPTIONS_TELL_UNICAST,
  ROUTING_TYPE_OFFSET,
  routingSegmentsLeft,
} from "../wire/ipv6-ext.ts";
import {
  NDP_ADVERT,
  NDP_HOP_LIMIT,
  NDP_ROUTER_ADVERT,
  NDP_ROUTER_SOLICIT,
  NDP_SOLICIT,
  ndpCheck,
  ndpIsType,
} from "../wire/ndp.ts";
import { UDP_HEADER_LEN, udpDstPort } from "../wire/udp.ts";
import type { Ip6Addressing } from "./addressing.ts";
import { ip6Check, ip6Read } from "./check.ts";
import { IPV6_FRAGMENTS } from "./fragment.ts";
import { Icmp6 } from "./icmp.ts";
import type { MulticastListener } from "./mld.ts";
import type { Ip6Output } from "./output.ts";
import { Ip6TcpPort, ip6QuotesTcp } from "./tcp-port.ts";

/**
 * Router discovery (ra/): a solicitation or an advertisement that came in, whose hop limit, checksum, sender and options are
 * right. @param message from its type on; the receiver's own
 */
export type RouterMessageHandler = (now: number, source: IpAddress, message: Uint8Array) => void;

export interface Ip6Options {
  readonly slab: Slab;
  readonly addressing: Ip6Addressing;
  readonly link: LinkLayer;
  readonly output: Ip6Output;
  readonly udp: Udp;
  /** Undefined: nobody is told what we listen to. */
  readonly listener: MulticastListener | undefined;
  /** Packets that are put together, and long ones of our own. */
  readonly scratch: Arena;
  readonly policy: { readonly echo: boolean; readonly errors: boolean };
  readonly limits: IcmpLimits;
  readonly counters: Counters;
}

/** Our choice, of solicitations and of advertisements: each is an object or more, so what a flood costs is bounded here. */
const ROUTER_MESSAGES_PER_SECOND = 10;
const ROUTER_MESSAGES_BURST = 20;
const CHECKSUM_KNOWN = VNET_NEEDS_CSUM | VNET_DATA_VALID;
/** Where the payload length stands, which a fragment of a wrong size is told of. */
const PAYLOAD_LENGTH_AT = 4;

export class Ip6 {
  readonly addressing: Ip6Addressing;
  readonly output: Ip6Output;
  readonly reassembler: Reassembler;
  forwarder: Forwarder | undefined = undefined;
  /** Our address is a translator's outside: but for echo requests and neighbours, what comes to it is the forwarder's. */
  isTranslated = false;
  /** Undefined until connections can be made and accepted. */
  tcp: Tcp | undefined = undefined;
  readonly tcpPort: Ip6TcpPort;
  onRouterSolicit: RouterMessageHandler | undefined = undefined;
  onRouterAdvert: RouterMessageHandler | undefined = undefined;

  readonly #slab: Slab;
  readonly #link: LinkLayer;
  readonly #scratch: Arena;
  readonly #policy: Ip6Options["policy"];
  readonly #counters: Counters;
  readonly #udp: Udp;
  readonly #icmp: Icmp6;
  readonly #listener: MulticastListener | undefined;
  readonly #resetter: TcpResetter;
  readonly #in = new Packet(true);
  readonly #kept = new Packet(true);
  readonly #own = new Packet(true);
  readonly #chain = new ExtensionChain();
  readonly #adverts = new RateLimit(ROUTER_MESSAGES_PER_SECOND, ROUTER_MESSAGES_BURST);
  readonly #solicits = new RateLimit(ROUTER_MESSAGES_PER_SECOND, ROUTER_MESSAGES_BURST);

  constructor(options: Ip6Options) {
    const { slab, addressing, link, output, udp, listener, scratch, limits } = options;
    this.addressing = addressing;
    this.output = output;
    this.#slab = slab;
    this.#link = link;
    this.#scratch = scratch;
    this.#policy = options.policy;
    this.#counters = options.counters;
    this.#udp = udp;
    this.#listener = listener;
    this.reassembler = new Reassembler(IPV6_FRAGMENTS, link.drops, (now, first) => this.#reassemblyTimeout(now, first));
    this.#icmp = new Icmp6(slab, addressing, output, limits);
    this.tcpPort = new Ip6TcpPort(slab, addressing, output);
    this.#resetter = new TcpResetter(slab, this.tcpPort, limits.errors);
  }

  /** Handles the packet in a row, of which `avail` bytes are there. */
  receive(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode {
    const own = this.addressing;
    if (!own.isOn) return Drop.Ipv6;
    const d = this.#slab.view;
    const p = this.#in;
    const { mark } = this.#scratch;
    const bad = ip6Check(d, p, this.#chain, at, avail);
    if (bad === Drop.Ipv6Truncated || bad === Drop.Ipv6BadVersion || bad === Drop.Ipv6BadLength) return bad;
    const martian = martianOf(d, at);
    if (martian !== Drop.None) return martian;
    // Who has an address of ours beside us is heard as a neighbour, which tells of the conflict, and as nothing else.
    if (own.isOwn(d, at + IPV6_SRC) && (bad !== Drop.None || !this.#isOfNeighbor(p))) return Drop.Ipv6MartianSource;
    p.setRow(rx, row, at);
    if (bad !== Drop.None) return this.#refuse(now, p, bad, unicast);
    const nobody = ipv6IsUnspecified(d, at + IPV6_SRC);
    const isLocal = nobody || ipv6IsLinkLocal(d, at + IPV6_SRC);
    // A link whose neighbours are known without asking has no use for addresses of its own.
    if ((!isLocal || this.#link.nd === undefined) && this.forwarder !== undefined) {
      const foreign = this.forwarder.checkSource(p);
      if (foreign !== Drop.None) return foreign;
    }
    const multicast = ipv6IsMulticast(d, at + IPV6_DST);
    if (multicast ? !own.isListening(d, at + IPV6_DST) : !own.isOwn(d, at + IPV6_DST)) {
      // What the link sent to all is not forwarded, nor what is for the link alone (RFC 4291 2.5.6).
      if (this.forwarder === undefined || !unicast || multicast || isLocal || ipv6IsLinkLocal(d, at + IPV6_DST))
        return Drop.Ipv6NotForUs;
      return this.#forward(now, p, mark);
    }
    if (!unicast && !multicast) return Drop.Ipv6NotForUs;
    if (nobody && !multicast) return Drop.Ipv6MartianSource;
    const refused = this.#headers(now, p);
    if (refused !== Drop.None) return refused;
    if (p.isFragment) {
      const drop = this.reassemble(now, p);
      if (drop !== Drop.None) return this.#badFragment(now, p, drop);
      if (p.isFragment) return this.#handled(Drop.None, FRAGMENTS);
      const later = this.#headers(now, p);
      if (later !== Drop.None) return later;
    }
    if (this.isTranslated ? !this.#isForHost(p) : this.forwarder?.isForwarded(p) === true)
      return this.#forward(now, p, mark);
    return this.#deliver(now, p, multicast);
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
    const drop = ip6Read(this.#slab.view, p, this.#chain, at);
    p.isReassembled = true;
    p.fragmentLen = Math.max(IPV6_MIN_MTU, this.reassembler.largest);
    return drop;
  }

  /**
   * Tells the source of `p` of an error: {@link Icmp6.sendError}.
   * @param isMapped it belongs to a translator's mapping, and is told whatever policy says and however far its source is
   */
  sendError(now: number, type: number, code: number, rest: number, p: Packet, isMapped = false): boolean {
    return (this.#policy.errors || isMapped) && this.#icmp.sendError(now, type, code, rest, p, isMapped);
  }

  /** Sends a message of router discovery (ra/). @param message from its type on; the checksum is computed here */
  sendNd(now: number, source: IpAddress, destination: IpAddress, message: Uint8Array): DropCode {
    const out = this.output;
    const d = this.#slab.view;
    const at = out.link.frame(IPV6_HEADER_LEN + message.length);
    const body = at + IPV6_HEADER_LEN;
    this.#slab.bytes.set(message, body);
    ipv6Emit(d, at, message.length, PROTO_ICMPV6, NDP_HOP_LIMIT);
    ipv6PutWords(d, at + IPV6_SRC, wordsOf(source), 0);
    const to = wordsOf(destination);
    ipv6PutWords(d, at + IPV6_DST, to, 0);
    const [type, code] = [d.getUint8(body), d.getUint8(body + 1)];
    icmpv6Emit(d, body, message.length, type, code, d.getInt32(body + 4), ipv6PseudoSum(d, at, PROTO_ICMPV6));
    return out.sendOwn(now, this.#own, at, out.route(now, to));
  }

  pollAt(): number {
    return Math.min(this.reassembler.pollAt(), this.#listener?.pollAt() ?? Number.POSITIVE_INFINITY);
  }

  handleTimeout(now: number): void {
    this.reassembler.handleTimeout(now);
    this.#listener?.handleTimeout(now);
  }

  /** IPv6 is off from now on; whoever listened is not told that we do not any more: there is no address to say it from. */
  unconfigure(): void {
    this.addressing.unconfigure();
    this.#listener?.clear();
    this.output.pathMtu.clear();
  }

  /** Addresses are others than before. */
  changed(now: number): void {
    this.#listener?.update(now);
  }

  /** A chain that is refused: who sent it to us is told where the RFCs say so. */
  #refuse(now: number, p: Packet, bad: DropCode, unicast: boolean): DropCode {
    const d = this.#slab.view;
    if (!unicast || !this.addressing.isOwn(d, p.at + IPV6_DST)) return bad;
    // Whatever the transport is, it is none that must not be answered: nobody has looked that far.
    p.proto = EXT_NONE;
    p.fragmentAt = 0;
    if (bad === Drop.Ipv6RoutingHeader) return this.#problem(now, p, PROBLEM_FIELD, this.#chain.problem, bad);
    if (bad === Drop.FragmentIncompleteChain) return this.#problem(now, p, PROBLEM_FIRST_FRAGMENT, 0, bad);
    return bad;
  }

  /** What a destination looks at in front of the transport (RFC 8200 4.2, 4.4). */
  #headers(now: number, p: Packet): DropCode {
    const chain = this.#chain;
    const d = this.#slab.view;
    if (chain.routingAt !== 0 && routingSegmentsLeft(d, chain.routingAt) > 0) {
      const pointer = chain.routingAt + ROUTING_TYPE_OFFSET - p.at;
      return this.#problem(now, p, PROBLEM_FIELD, pointer, Drop.Ipv6RoutingHeader);
    }
    if (!chain.hasOptions) return Drop.None;
    const found = extOptionsCheck(d, p.at, chain);
    if (found === OPTIONS_FINE) return Drop.None;
    const isTold = found === OPTIONS_TELL || (found === OPTIONS_TELL_UNICAST && !ipv6IsMulticast(d, p.at + IPV6_DST));
    return isTold ? this.#problem(now, p, PROBLEM_OPTION, chain.problem, Drop.Ipv6BadOption) : Drop.Ipv6BadOption;
  }

  /** RFC 8200 4.5: who makes fragments of a wrong size is told. */
  #badFragment(now: number, p: Packet, drop: DropCode): DropCode {
    if (drop === Drop.FragmentBadLength) return this.#problem(now, p, PROBLEM_FIELD, PAYLOAD_LENGTH_AT, drop);
    if (drop === Drop.FragmentTooLong) return this.#problem(now, p, PROBLEM_FIELD, p.fragmentAt + 2 - p.at, drop);
    return drop;
  }

  #problem(now: number, p: Packet, code: number, pointer: number, drop: DropCode): DropCode {
    this.sendError(now, ICMPV6_PARAMETER_PROBLEM, code, pointer, p);
    return drop;
  }

  /** Tells the sender of fragments that the rest of them did not come; behind a translator nobody is told whose it was. */
  #reassemblyTimeout(now: number, first: Uint8Array): void {
    if (this.isTranslated) return;
    this.withKept(first, (p) => {
      // Who sent them may have gone: whoever has the address now is told.
      p.neighbour = this.output.onLink(now, p.at + IPV6_SRC);
      this.sendError(now, ICMPV6_TIME_EXCEEDED, TIME_EXCEEDED6_REASSEMBLY, 0, p);
    });
  }

  /** Gives `use` a packet that was kept, in the scratch, if there is room. */
  withKept(bytes: Uint8Array, use: (p: Packet) => void): void {
    const { mark } = this.#scratch;
    const at = this.#scratch.take(bytes.length);
    if (at < 0) return;
    this.#slab.bytes.set(bytes, at);
    if (ip6Read(this.#slab.view, this.#kept, this.#chain, at) === Drop.None) use(this.#kept);
    this.#scratch.reset(mark);
  }

  /** @param mark of the scratch: what the forwarder had put together it has copied */
  #forward(now: number, p: Packet, mark: number): DropCode {
    this.#counters.bump(FORWARDED);
    this.forwarder?.forward(now, p);
    this.#scratch.reset(mark);
    return Drop.None;
  }

  /** Whether a packet is this host's although its address is a translator's. */
  #isForHost(p: Packet): boolean {
    const avail = p.at + p.len - p.l4;
    const d = this.#slab.view;
    // A port of our own is one that the translator does not give out.
    if (p.proto === PROTO_UDP) return avail >= UDP_HEADER_LEN && this.#udp.isBound(udpDstPort(d, p.l4));
    if (p.proto === PROTO_TCP) return this.tcp?.has(p, this.tcpPort) === true;
    if (p.proto !== PROTO_ICMPV6 || avail <= 0) return false;
    const type = d.getUint8(p.l4);
    return type === ICMPV6_ECHO_REQUEST || ndpIsType(type) || type === ICMPV6_MLD_QUERY;
  }

  /** A solicitation or an advertisement, as it seems. */
  #isOfNeighbor(p: Packet): boolean {
    if (p.proto !== PROTO_ICMPV6 || p.at + p.len <= p.l4) return false;
    const type = this.#slab.view.getUint8(p.l4);
    return type === NDP_SOLICIT || type === NDP_ADVERT;
  }

  #deliver(now: number, p: Packet, multicast: boolean): DropCode {
    const known = (p.flags & CHECKSUM_KNOWN) !== 0;
    switch (p.proto) {
      case PROTO_UDP: {
        const gso = (p.gsoType & ~GSO_ECN) === GSO_UDP_L4 ? p.gsoSize : 0;
        const drop = this.#udp.receive(now, p, multicast, known, gso);
        if (drop === Drop.UdpNoPort) return this.#unreachable(now, p, drop);
        return this.#handled(drop, UDP);
      }
      case PROTO_ICMPV6:
        return this.#icmpIn(now, p, known);
      case PROTO_TCP:
        return this.#tcpIn(now, p, multicast, known);
      case EXT_NONE:
        return Drop.Ipv6UnknownProtocol; // RFC 8200 4.7: nothing is there to be refused
      default:
        this.sendError(now, ICMPV6_PARAMETER_PROBLEM, PROBLEM_NEXT_HEADER, this.#chain.protoAt - p.at, p);
        return Drop.Ipv6UnknownProtocol;
    }
  }

  /** RFC 9293 3.10.7: what no connection has is answered by a reset, where policy allows. */
  #tcpIn(now: number, p: Packet, multicast: boolean, known: boolean): DropCode {
    if (this.tcp !== undefined && !multicast) {
      const drop = this.tcp.receive(now, p, this.tcpPort, known);
      if (drop !== Drop.TcpNoPort) return this.#handled(drop, TCP);
    }
    return this.#handled(this.#resetter.receive(now, p, multicast || !this.#policy.errors, known), TCP_RESET);
  }

  #icmpIn(now: number, p: Packet, known: boolean): DropCode {
    const d = this.#slab.view;
    const len = p.at + p.len - p.l4;
    const bad = icmpv6Check(d, p.l4, len, pseudoOf(d, p), !known);
    if (bad !== Drop.None) return bad;
    const type = icmpv6Type(d, p.l4);
    if (ndpIsType(type)) return this.#handled(this.#ndIn(now, p, len, type), NEIGHBOR_DISCOVERY);
    if (type < 128) {
      const isTcp = this.tcp !== undefined && ip6QuotesTcp(d, p.l4, len);
      const drop = isTcp ? this.tcpPort.receiveError(this.tcp, p.l4) : this.#udp.receiveError6(now, p.l4, len);
      return this.#handled(drop, ICMP_ERRORS);
    }
    if (type === ICMPV6_MLD_QUERY && this.#listener !== undefined)
      return this.#handled(this.#listener.handleQuery(now, p), LISTENERS);
    if (type !== ICMPV6_ECHO_REQUEST) return Drop.IcmpBadType;
    if (!this.#policy.echo || ipv6IsUnspecified(d, p.at + IPV6_SRC)) return Drop.IcmpUnwanted;
    return this.#handled(this.#icmp.answerEcho(now, p), ECHO);
  }

  #ndIn(now: number, p: Packet, len: number, type: number): DropCode {
    const { nd } = this.#link;
    // RFC 6980 5: never in fragments, not even in one.
    if (nd === undefined || p.isReassembled || p.fragmentAt !== 0) return Drop.NdNotLocal;
    const d = this.#slab.view;
    const bad = ndpCheck(d, p.at, p.l4, len);
    if (bad !== Drop.None) return bad;
    if (type === NDP_SOLICIT || type === NDP_ADVERT) return nd.receive(now, p);
    // A redirect is not heeded: the gateway is always asked.
    if (type !== NDP_ROUTER_ADVERT && type !== NDP_ROUTER_SOLICIT) return Drop.IcmpBadType;
    const isAdvert = type === NDP_ROUTER_ADVERT;
    const handler = isAdvert ? this.onRouterAdvert : this.onRouterSolicit;
    if (handler === undefined) return Drop.IcmpBadType;
    if (!(isAdvert ? this.#adverts : this.#solicits).take(now)) return Drop.NdRouterLimit;
    handler(now, ipv6Address(d, p.at + IPV6_SRC), this.#slab.bytes.slice(p.l4, p.l4 + len));
    return Drop.None;
  }

  #unreachable(now: number, p: Packet, drop: DropCode): DropCode {
    if (!this.sendError(now, ICMPV6_UNREACHABLE, UNREACHABLE6_PORT, 0, p)) return drop;
    return this.#handled(Drop.None, ANSWERED_UNREACHABLE);
  }

  /** Counts what was handled under its name; hands back a drop, which the interface counts. */
  #handled(drop: DropCode, counter: number): DropCode {
    if (drop === Drop.None) this.#counters.bump(counter);
    return drop;
  }
}

/** Addresses that never stand in a packet on a link (RFC 4291 2.5.2, 2.5.3, 2.7; RFC 6890 for mapped ones). */
function martianOf(d: DataView, at: number): DropCode {
  const src = at + IPV6_SRC;
  const dst = at + IPV6_DST;
  if (ipv6IsMulticast(d, src) || ipv6IsLoopback(d, src) || ipv6IsMapped(d, src)) return Drop.Ipv6MartianSource;
  if (ipv6IsMulticast(d, dst)) return ipv6MulticastScope(d, dst) < 2 ? Drop.Ipv6MartianDestination : Drop.None;
  if (ipv6IsUnspecified(d, dst) || ipv6IsLoopback(d, dst) || ipv6IsMapped(d, dst)) return Drop.Ipv6MartianDestination;
  return Drop.None;
}
