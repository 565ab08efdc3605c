/**
 * One side of the router: Ethernet, ARP, IPv4, ICMP and UDP sockets over batches of frames. LAN and WAN differ by policy:
 * the WAN answers nothing but ARP. Packets for others go to the forwarder (the router, on the LAN) or are counted.
 *
 * Read first: RFC 1122 3.2 (host), RFC 1812 4-5 (router). Way in, in the order of this file: ingest -> #arp | #ipv4 ->
 * #reassemble -> #deliver -> #icmp | #udp | #tcp. Way out: egress.ts.
 *
 * received = handled (named in `counters`) + the sum of `drops`. What is lost on the way out counts in `outDrops`.
 */
import { inSubnet, type Mac, prefixMask } from "../lib/address.ts";
import { type Batch, GSO_UDP_L4, VNET_DATA_VALID, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { Counters } from "../lib/counters.ts";
import type { Outlet } from "../lib/outlet.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import { Egress, type NextHopRoute } from "./egress.ts";
import { icmpErrorAllowed, icmpErrorEmit, icmpErrorLen, RateLimit } from "./icmp.ts";
import { Reassembler } from "./reassembly.ts";
import { emitReset } from "./tcp-refuse.ts";
import { type UdpReceiver, UdpSocket } from "./udp-socket.ts";
import {
  ARP_REPLY,
  ARP_REQUEST,
  arpCheck,
  arpOperation,
  arpSenderIp,
  arpSenderMacHi,
  arpSenderMacLo,
  arpTargetIp,
} from "./wire/arp.ts";
import {
  ETHERNET_HEADER_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherCheck,
  etherDstHi,
  etherDstLo,
  etherSrcHi,
  etherSrcLo,
  etherType,
  isBroadcastMac,
  isGroupMac,
} from "./wire/ethernet.ts";
import {
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HEADER_LEN,
  ICMP_UNREACHABLE,
  icmpCheck,
  icmpCode,
  icmpEmit,
  icmpIsError,
  icmpNextHopMtu,
  icmpType,
  UNREACHABLE_FRAGMENTATION_NEEDED,
  UNREACHABLE_PORT,
  UNREACHABLE_PROTOCOL,
} from "./wire/icmpv4.ts";
import {
  IPV4_HEADER_LEN,
  IPV4_MAX_LEN,
  ipv4Check,
  ipv4Dst,
  ipv4Emit,
  ipv4HeaderLen,
  ipv4IsFragment,
  ipv4OptionsCheck,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLen,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "./wire/ipv4.ts";
import { tcpCheck, tcpChecksumValid } from "./wire/tcp.ts";
import {
  UDP_CHECKSUM_OFFSET,
  UDP_HEADER_LEN,
  udpCheck,
  udpChecksumValid,
  udpDstPort,
  udpEmit,
  udpLen,
  udpSetChecksum,
  udpSetPartialChecksum,
  udpSrcPort,
} from "./wire/udp.ts";

export interface InterfacePolicy {
  /** Answer echo requests. */
  readonly echo: boolean;
  /** Send ICMP errors and resets. */
  readonly errors: boolean;
}

export interface InterfaceOptions {
  readonly slab: Slab;
  readonly outlet: Outlet;
  /** Frames that the interface makes (at least 256 KiB). Nobody else takes from it; the outlet's own when that holds for it. */
  readonly arena: Arena;
  /** Reassembled packets (at least 256 KiB): they live, like received frames, until the next ingest. */
  readonly scratch: Arena;
  readonly name: "wan" | "lan";
  readonly mac: Mac;
  readonly mtu: number;
  readonly random: Random;
  readonly policy: InterfacePolicy;
}

export interface InterfaceConfig {
  readonly address: number;
  readonly prefix: number;
  readonly gateway?: number | undefined;
  /** Routes beside the default one; a default route among them is passed over. */
  readonly routes?: readonly NextHopRoute[] | undefined;
}

/** Takes packets that are not for this host. */
export interface Forwarder {
  /**
   * A checked packet (header, options, no martian; TTL not looked at) at `at`; row `row` of `rx` has its vnet fields.
   * Returns None or why it was dropped (counted by the forwarder).
   */
  forward(now: number, rx: Batch, row: number, at: number): void;
}

const INTERFACE_COUNTERS = [
  "received",
  "receivedBytes",
  "arp",
  "echo",
  "icmpErrors",
  "udp",
  "tcpReset",
  "fragments",
  "answeredUnreachable",
  "forwarded",
] as const;
type InterfaceCounter = (typeof INTERFACE_COUNTERS)[number];
const RECEIVED = 0;
const RECEIVED_BYTES = 1;
const ARP = 2;
const ECHO = 3;
const ICMP_ERRORS = 4;
const UDP = 5;
const TCP_RESET = 6;
const FRAGMENTS = 7;
const ANSWERED_UNREACHABLE = 8;
const FORWARDED = 9;

/** Ports that bindUdp(0) picks from (RFC 6056 3.2 would allow from 1024 on). */
const EPHEMERAL_FIRST = 32768;
const EPHEMERAL_COUNT = 28232;
/** Our choice: errors, and resets, a second; enough for path MTU discovery of many hosts, too few to amplify. */
const ERRORS_PER_SECOND = 200;
const ERRORS_BURST = 100;
/** Answers to somebody else's claim of our address (RFC 5227 2.4 (b)). */
const DEFEND_MS = 10_000;

const CHECKSUM_KNOWN = VNET_NEEDS_CSUM | VNET_DATA_VALID;

export class Interface {
  readonly name: "wan" | "lan";
  readonly mtu: number;
  readonly counters: Counters<InterfaceCounter> = new Counters(INTERFACE_COUNTERS);
  readonly drops: Counters<DropName> = dropCounters();
  readonly outDrops: Counters<DropName> = dropCounters();
  readonly egress: Egress;
  forwarder: Forwarder | undefined = undefined;
  /** Another address that we answer for (the tunnel's, on the LAN), 0: none. */
  alias = 0;

  readonly #slab: Slab;
  readonly #scratch: Arena;
  readonly #policy: InterfacePolicy;
  readonly #random: Random;
  readonly #sockets = new Map<number, UdpSocket>();
  readonly #reassembler = new Reassembler();
  readonly #errorLimit = new RateLimit(ERRORS_PER_SECOND, ERRORS_BURST);
  readonly #resetLimit = new RateLimit(ERRORS_PER_SECOND, ERRORS_BURST);
  #defendAt = Number.NEGATIVE_INFINITY;

  constructor(options: InterfaceOptions) {
    this.name = options.name;
    this.mtu = options.mtu;
    this.#slab = options.slab;
    this.#scratch = options.scratch;
    this.#policy = options.policy;
    this.#random = options.random;
    this.egress = new Egress(
      options.slab,
      options.outlet,
      options.arena,
      options.mac.hi,
      options.mac.lo,
      options.mtu,
      randomBelow(options.random, 0x10000),
      this.outDrops.values,
    );
  }

  get address(): number {
    return this.egress.address;
  }

  get prefix(): number {
    return this.egress.prefix;
  }

  get gateway(): number {
    return this.egress.gateway;
  }

  get configured(): boolean {
    return this.egress.address !== 0;
  }

  /** Whether an address is of this interface's subnet. */
  onLink(address: number): boolean {
    return this.egress.address !== 0 && inSubnet(address, this.egress.address, this.egress.prefix);
  }

  /** Whether an address is the subnet's own name, its broadcast, or a broadcast to all. */
  isBroadcast(address: number): boolean {
    if (address === -1) return true;
    const { prefix } = this.egress;
    if (prefix >= 31 || !this.onLink(address)) return false;
    const host = address & ~prefixMask(prefix);
    return host === 0 || host === ~prefixMask(prefix);
  }

  /** Takes an address; on the LAN the neighbours are told. The neighbour cache survives only if nothing changed. */
  configure(config: InterfaceConfig, _now: number): void {
    const e = this.egress;
    const gateway = config.gateway ?? 0;
    if (e.address !== config.address || e.prefix !== config.prefix || e.gateway !== gateway) e.neighbors.clear();
    e.address = config.address;
    e.prefix = config.prefix;
    e.gateway = gateway;
    e.routes = (config.routes ?? []).filter((r) => r.prefix > 0).sort((a, b) => b.prefix - a.prefix);
    if (this.name === "lan") e.announce();
  }

  unconfigure(): void {
    const e = this.egress;
    e.neighbors.clear();
    e.address = 0;
    e.prefix = 32;
    e.gateway = 0;
    e.routes = [];
  }

  /** The link was lost or came back: what was known of the neighbours may be wrong. */
  linkChanged(): void {
    this.egress.neighbors.clear();
    if (this.name === "lan" && this.configured) this.egress.announce();
  }

  /** Binds a port, or a random free one for 0; undefined when the port is taken. */
  bindUdp(port: number, receiver: UdpReceiver): UdpSocket | undefined {
    let chosen = port;
    for (let tries = 0; chosen === 0 && tries < 100; tries++) {
      const candidate = EPHEMERAL_FIRST + randomBelow(this.#random, EPHEMERAL_COUNT);
      if (!this.#sockets.has(candidate)) chosen = candidate;
    }
    if (chosen === 0 || this.#sockets.has(chosen)) return undefined;
    const socket = new UdpSocket(chosen, receiver);
    this.#sockets.set(chosen, socket);
    return socket;
  }

  closeUdp(socket: UdpSocket): void {
    if (this.#sockets.get(socket.port) === socket) this.#sockets.delete(socket.port);
  }

  /** Handles a received batch. What it hands on aliases the batch's memory (or the scratch) until the next call. */
  ingest(now: number, rx: Batch): void {
    this.#scratch.reset();
    const n = rx.count;
    for (let row = 0; row < n; row++) {
      const drop = this.#frame(now, rx, row);
      if (drop !== Drop.None) this.drops.bump(drop);
    }
  }

  pollAt(): number {
    return Math.min(this.egress.neighbors.pollAt(), this.#reassembler.pollAt());
  }

  handleTimeout(now: number): void {
    this.egress.neighbors.handleTimeout(now);
    this.#reassembler.handleTimeout(now);
  }

  /** Packets that are being put together, and their bytes; for the status and for tests of the bounds. */
  get reassembly(): Reassembler {
    return this.#reassembler;
  }

  /** Sends a datagram of the control plane (copied). An unconfigured interface can broadcast, from 0.0.0.0. */
  sendUdp(now: number, socket: UdpSocket, dst: number, dstPort: number, payload: Uint8Array): DropCode {
    const e = this.egress;
    const len = IPV4_HEADER_LEN + UDP_HEADER_LEN + payload.length;
    if (len > IPV4_MAX_LEN) return this.#countOut(Drop.OutputTooLong);
    const toAll = dst === -1 || (e.address !== 0 && dst === e.broadcast);
    const hop = toAll ? -1 : e.nextHop(dst);
    if (hop === 0) return this.#countOut(e.address === 0 ? Drop.NotConfigured : Drop.NoRoute);
    // Fragments are copied from here, so a long packet is built in the scratch, beside the arena that they go to.
    const at = len <= this.mtu ? e.frame(len) : this.#scratch.take(len);
    if (at < 0) return this.#countOut(Drop.OutputTooLong);
    const d = this.#slab.view;
    const udp = at + IPV4_HEADER_LEN;
    this.#slab.bytes.set(payload, udp + UDP_HEADER_LEN);
    udpEmit(d, udp, socket.port, dstPort, payload.length);
    udpSetChecksum(d, udp, e.address, dst);
    ipv4Emit(d, at, len, e.nextId(), 0, 64, PROTO_UDP, e.address, dst);
    socket.sent++;
    if (!toAll) return this.#countOut(e.outputPlain(now, at, len, hop));
    if (len > this.mtu) return this.#countOut(Drop.TooBig);
    e.outputTo(at, len, 0xffff, -1);
    return Drop.None;
  }

  /**
   * Sends the rows (payloads with HEADROOM in front; their bytes are the caller's until the outlet is flushed) as
   * datagrams to one peer, in place. The UDP checksum is left to the device (VNET_NEEDS_CSUM).
   */
  sendUdpBatch(now: number, socket: UdpSocket, dst: number, dstPort: number, rows: Batch): void {
    const e = this.egress;
    const n = rows.count;
    const hop = e.nextHop(dst);
    if (hop === 0) {
      this.outDrops.values[e.address === 0 ? Drop.NotConfigured : Drop.NoRoute]! += n;
      return;
    }
    const d = this.#slab.view;
    const src = e.address;
    const max = this.mtu - IPV4_HEADER_LEN - UDP_HEADER_LEN;
    for (let i = 0; i < n; i++) {
      const payload = rows.len[i]!;
      const udp = rows.at[i]! - UDP_HEADER_LEN;
      const at = udp - IPV4_HEADER_LEN;
      const len = IPV4_HEADER_LEN + UDP_HEADER_LEN + payload;
      udpEmit(d, udp, socket.port, dstPort, payload);
      ipv4Emit(d, at, len, e.nextId(), 0, 64, PROTO_UDP, src, dst);
      let drop: DropCode;
      if (payload <= max) {
        udpSetPartialChecksum(d, udp, src, dst);
        drop = e.output(now, at, len, hop, VNET_NEEDS_CSUM, 0, 0, 0, IPV4_HEADER_LEN, UDP_CHECKSUM_OFFSET);
      } else {
        udpSetChecksum(d, udp, src, dst);
        drop = e.outputPlain(now, at, len, hop);
      }
      if (drop !== Drop.None) this.#countOut(drop);
    }
    socket.sent += n;
  }

  /**
   * Sends an ICMP error about the packet at `at` to its source, from our address, unless RFC 1122 3.2.2, policy or the
   * rate limit forbid it. `rest` is the second word (the next-hop MTU of "fragmentation needed"). True: it was sent.
   */
  sendIcmpError(now: number, type: number, code: number, rest: number, at: number): boolean {
    const e = this.egress;
    const d = this.#slab.view;
    if (!this.#policy.errors || e.address === 0 || !icmpErrorAllowed(d, at)) return false;
    const src = ipv4Src(d, at);
    if (this.isBroadcast(ipv4Dst(d, at)) || this.isBroadcast(src) || !this.onLink(src)) return false;
    if (!this.#errorLimit.take(now)) {
      this.#countOut(Drop.IcmpRateLimited);
      return false;
    }
    const to = e.frame(icmpErrorLen(ipv4TotalLen(d, at)));
    const len = icmpErrorEmit(this.#slab, to, e.address, e.nextId(), type, code, rest, at);
    return this.#countOut(e.outputPlain(now, to, len, src)) === Drop.None;
  }

  #countOut(drop: DropCode): DropCode {
    if (drop !== Drop.None) this.outDrops.bump(drop);
    return drop;
  }

  #handled(counter: number): DropCode {
    this.counters.bump(counter);
    return Drop.None;
  }

  #frame(now: number, rx: Batch, row: number): DropCode {
    const d = this.#slab.view;
    const at = rx.at[row]!;
    const len = rx.len[row]!;
    this.counters.bump(RECEIVED);
    this.counters.values[RECEIVED_BYTES]! += len;
    const bad = etherCheck(d, at, len);
    if (bad !== Drop.None) return bad;
    const dstHi = etherDstHi(d, at);
    const dstLo = etherDstLo(d, at);
    const srcHi = etherSrcHi(d, at);
    const { macHi, macLo } = this.egress;
    if (isGroupMac(srcHi) || (srcHi === macHi && etherSrcLo(d, at) === macLo)) return Drop.EtherBadSource;
    const unicast = dstHi === macHi && dstLo === macLo;
    if (!unicast && !isBroadcastMac(dstHi, dstLo)) {
      return etherType(d, at) === ETHERTYPE_IPV6 ? Drop.Ipv6 : Drop.EtherNotForUs;
    }
    const packet = at + ETHERNET_HEADER_LEN;
    const avail = len - ETHERNET_HEADER_LEN;
    switch (etherType(d, at)) {
      case ETHERTYPE_IPV4:
        return this.#ipv4(now, rx, row, packet, avail, unicast);
      case ETHERTYPE_ARP:
        return this.#arp(now, packet, avail, unicast);
      case ETHERTYPE_IPV6:
        return Drop.Ipv6;
      default:
        return Drop.EtherUnknownType;
    }
  }

  #arp(now: number, at: number, avail: number, unicast: boolean): DropCode {
    const d = this.#slab.view;
    const bad = arpCheck(d, at, avail);
    if (bad !== Drop.None) return bad;
    const e = this.egress;
    if (e.address === 0) return Drop.Ipv4Unconfigured;
    const operation = arpOperation(d, at);
    if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return Drop.ArpBadFormat;
    const ip = arpSenderIp(d, at);
    const macHi = arpSenderMacHi(d, at);
    const macLo = arpSenderMacLo(d, at);
    if (isGroupMac(macHi) || (macHi === 0 && macLo === 0)) return Drop.ArpBadSender;
    if (macHi === e.macHi && macLo === e.macLo) return Drop.ArpBadSender;
    if (ip === e.address) {
      if (now >= this.#defendAt) {
        this.#defendAt = now + DEFEND_MS;
        e.announce();
      }
      return Drop.ArpConflict;
    }
    // A gateway may lie outside of the subnet (providers that lease a /32).
    const believable = ip !== 0 && (ip === e.gateway || (this.onLink(ip) && !this.isBroadcast(ip)));
    if (arpTargetIp(d, at) !== e.address) return Drop.ArpNotForUs;
    if (operation === ARP_REPLY) {
      if (!believable || !unicast) return Drop.ArpBadSender;
      const claim = e.neighbors.onReply(now, ip, macHi, macLo);
      return claim === "learnt" || claim === "confirmed" ? this.#handled(ARP) : Drop.ArpUnsolicited;
    }
    // A probe (sender 0.0.0.0, RFC 5227) and a sender of another subnet get their answer, and nothing is learnt.
    if (believable) e.neighbors.onRequest(now, ip, macHi, macLo);
    e.answerArp(macHi, macLo, ip);
    return this.#handled(ARP);
  }

  #ipv4(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode {
    const d = this.#slab.view;
    const bad = ipv4Check(d, at, avail);
    if (bad !== Drop.None) return bad;
    if (ipv4HeaderLen(d, at) > IPV4_HEADER_LEN) {
      const options = ipv4OptionsCheck(d, at);
      if (options !== Drop.None) return options;
    }
    const e = this.egress;
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    const dstTop = dst >>> 24;
    if (dstTop === 127 || dstTop === 0) return Drop.Ipv4MartianDestination;
    if (e.address === 0) {
      // Answers of a DHCP server come before there is an address, broadcast or to the address that is offered.
      if (ipv4Protocol(d, at) !== PROTO_UDP || ipv4IsFragment(d, at)) return Drop.Ipv4Unconfigured;
      return this.#udp(now, rx, row, at, !unicast || dst === -1);
    }
    const srcTop = src >>> 24;
    const broadcast = dst === -1 || this.isBroadcast(dst);
    if (srcTop === 127 || srcTop >= 224 || (srcTop === 0 && !(src === 0 && dst === -1))) return Drop.Ipv4MartianSource;
    if (src === e.address || this.isBroadcast(src)) return Drop.Ipv4MartianSource;
    if (!broadcast && dst !== e.address && (dst !== this.alias || this.alias === 0)) {
      const forwarder = this.forwarder;
      // What was broadcast on the link is not forwarded (RFC 1812 5.3.4).
      if (forwarder === undefined || !unicast || dstTop >= 224) return Drop.Ipv4NotForUs;
      this.#handled(FORWARDED);
      forwarder.forward(now, rx, row, at);
      return Drop.None;
    }
    if (!unicast && !broadcast) return Drop.Ipv4NotForUs; // RFC 1122 3.3.6
    if (!ipv4IsFragment(d, at)) return this.#deliver(now, rx, row, at, broadcast, false);
    const whole = this.reassemble(now, at);
    if (whole < 0) return -whole as DropCode;
    if (whole === 0) return this.#handled(FRAGMENTS);
    return this.#deliver(now, rx, row, whole, broadcast, true);
  }

  /** Adds a fragment: offset of the packet that it completed (in the scratch), 0 when it is kept, or minus a drop code. */
  reassemble(now: number, at: number): number {
    const r = this.#reassembler;
    const drop = r.offer(now, this.#slab, at);
    if (drop !== Drop.None) return -drop;
    if (r.completeLen === 0) return 0;
    const whole = this.#scratch.take(r.completeLen);
    if (whole < 0) return -Drop.FragmentLimit;
    r.copyOut(this.#slab, whole);
    return whole;
  }

  #deliver(now: number, rx: Batch, row: number, at: number, broadcast: boolean, reassembled: boolean): DropCode {
    const d = this.#slab.view;
    const known = !reassembled && (rx.flags[row]! & CHECKSUM_KNOWN) !== 0;
    switch (ipv4Protocol(d, at)) {
      case PROTO_UDP:
        return reassembled ? this.#udpReassembled(now, at, broadcast) : this.#udp(now, rx, row, at, broadcast);
      case PROTO_ICMP:
        return this.#icmp(now, at, broadcast, known);
      case PROTO_TCP:
        return this.#tcp(now, at, broadcast, known);
      default:
        return this.#unreachable(now, at, broadcast, UNREACHABLE_PROTOCOL, Drop.Ipv4UnknownProtocol);
    }
  }

  #unreachable(now: number, at: number, broadcast: boolean, code: number, drop: DropCode): DropCode {
    if (broadcast || !this.sendIcmpError(now, ICMP_UNREACHABLE, code, 0, at)) return drop;
    return this.#handled(ANSWERED_UNREACHABLE);
  }

  #icmp(now: number, at: number, broadcast: boolean, known: boolean): DropCode {
    const d = this.#slab.view;
    const headerLen = ipv4HeaderLen(d, at);
    const icmp = at + headerLen;
    const len = ipv4TotalLen(d, at) - headerLen;
    const bad = icmpCheck(d, icmp, len, !known);
    if (bad !== Drop.None) return bad;
    const type = icmpType(d, icmp);
    if (type === ICMP_ECHO_REQUEST) {
      if (!this.#policy.echo || broadcast) return Drop.IcmpUnwanted;
      return this.#echo(now, at, icmp, len);
    }
    return icmpIsError(type) ? this.#icmpError(now, icmp, len) : Drop.IcmpBadType;
  }

  /** RFC 1122 3.2.2.6: the data comes back whole. */
  #echo(now: number, at: number, icmp: number, len: number): DropCode {
    const e = this.egress;
    const d = this.#slab.view;
    const src = ipv4Src(d, at);
    const hop = e.nextHop(src);
    if (hop === 0) return Drop.NoRoute;
    const total = IPV4_HEADER_LEN + len;
    // A long answer is made in place over the request, which is fragmented from there.
    const to = total <= this.mtu ? e.frame(total) : icmp - IPV4_HEADER_LEN;
    const dst = ipv4Dst(d, at);
    if (total <= this.mtu) this.#slab.bytes.copyWithin(to + IPV4_HEADER_LEN, icmp, icmp + len);
    icmpEmit(d, to + IPV4_HEADER_LEN, len, ICMP_ECHO_REPLY, 0, d.getInt32(icmp + 4));
    ipv4Emit(d, to, total, e.nextId(), 0, 64, PROTO_ICMP, dst, src);
    this.#countOut(e.outputPlain(now, to, total, hop));
    return this.#handled(ECHO);
  }

  /** An error about a datagram of ours goes to its socket. */
  #icmpError(now: number, icmp: number, len: number): DropCode {
    const d = this.#slab.view;
    const quote = icmp + ICMP_HEADER_LEN;
    const quoted = len - ICMP_HEADER_LEN;
    if (quoted < IPV4_HEADER_LEN || d.getUint8(quote) >> 4 !== 4) return Drop.IcmpBadQuote;
    const headerLen = ipv4HeaderLen(d, quote);
    if (headerLen < IPV4_HEADER_LEN || quoted < headerLen + UDP_HEADER_LEN) return Drop.IcmpBadQuote;
    if (ipv4Src(d, quote) !== this.address || ipv4Protocol(d, quote) !== PROTO_UDP) return Drop.IcmpBadQuote;
    const socket = this.#sockets.get(udpSrcPort(d, quote + headerLen));
    if (socket === undefined) return Drop.IcmpBadQuote;
    const type = icmpType(d, icmp);
    const code = icmpCode(d, icmp);
    const tooBig = type === ICMP_UNREACHABLE && code === UNREACHABLE_FRAGMENTATION_NEEDED;
    socket.receiver.onError?.(now, {
      type,
      code,
      mtu: tooBig ? icmpNextHopMtu(d, icmp) : 0,
      dst: ipv4Dst(d, quote),
      dstPort: udpDstPort(d, quote + headerLen),
    });
    return this.#handled(ICMP_ERRORS);
  }

  #udpReassembled(now: number, at: number, broadcast: boolean): DropCode {
    return this.#datagram(now, at, broadcast, false, 0);
  }

  #udp(now: number, rx: Batch, row: number, at: number, broadcast: boolean): DropCode {
    const gso = (rx.gsoType[row]! & 0x7f) === GSO_UDP_L4 ? rx.gsoSize[row]! : 0;
    return this.#datagram(now, at, broadcast, (rx.flags[row]! & CHECKSUM_KNOWN) !== 0, gso);
  }

  /** @param gso payload bytes of each datagram of a super-frame, 0: one datagram */
  #datagram(now: number, at: number, broadcast: boolean, known: boolean, gso: number): DropCode {
    const d = this.#slab.view;
    const headerLen = ipv4HeaderLen(d, at);
    const udp = at + headerLen;
    const bad = udpCheck(d, udp, ipv4TotalLen(d, at) - headerLen);
    if (bad !== Drop.None) return bad;
    const src = ipv4Src(d, at);
    if (!known && gso === 0 && !udpChecksumValid(d, udp, src, ipv4Dst(d, at))) return Drop.UdpBadChecksum;
    const socket = this.#sockets.get(udpDstPort(d, udp));
    // Without an address only a DHCP client (RFC 2131 4.1) may hear.
    if (this.address === 0 && udpDstPort(d, udp) !== DHCP_CLIENT_PORT) return Drop.Ipv4Unconfigured;
    if (socket === undefined) return this.#unreachable(now, at, broadcast, UNREACHABLE_PORT, Drop.UdpNoPort);
    const srcPort = udpSrcPort(d, udp);
    const payload = udp + UDP_HEADER_LEN;
    const end = udp + udpLen(d, udp);
    const step = gso === 0 ? IPV4_MAX_LEN : gso;
    const sink = socket.sink;
    if (sink !== undefined && (src !== socket.peer || srcPort !== socket.peerPort || broadcast))
      return Drop.UdpWrongPeer;
    let p = payload;
    do {
      const len = Math.min(step, end - p);
      socket.received++;
      if (sink === undefined) {
        socket.receiver.onDatagram(now, src, srcPort, p, len);
      } else {
        if (sink.batch.room === 0) sink.drain(now);
        if (sink.batch.push(p, len) < 0) return Drop.UdpQueueFull;
      }
      p += step;
    } while (p < end);
    return this.#handled(UDP);
  }

  #tcp(now: number, at: number, broadcast: boolean, known: boolean): DropCode {
    const d = this.#slab.view;
    const headerLen = ipv4HeaderLen(d, at);
    const tcp = at + headerLen;
    const len = ipv4TotalLen(d, at) - headerLen;
    const bad = tcpCheck(d, tcp, len);
    if (bad !== Drop.None) return bad;
    if (!known && !tcpChecksumValid(d, tcp, len, ipv4Src(d, at), ipv4Dst(d, at))) return Drop.TcpBadChecksum;
    if (broadcast || !this.#policy.errors) return Drop.TcpNoPort;
    if (!this.#resetLimit.take(now)) return Drop.IcmpRateLimited;
    const e = this.egress;
    const hop = e.nextHop(ipv4Src(d, at));
    if (hop === 0) return Drop.NoRoute;
    const to = e.frame(IPV4_HEADER_LEN + 20);
    const total = emitReset(d, at, to, e.nextId());
    if (total === 0) return Drop.TcpNoPort;
    this.#countOut(e.outputPlain(now, to, total, hop));
    return this.#handled(TCP_RESET);
  }
}

const DHCP_CLIENT_PORT = 68;
