/**
 * One side of the router: Ethernet, ARP, IPv4, ICMP and UDP sockets over batches of frames. LAN and WAN differ by policy:
 * the WAN answers nothing but ARP. Packets for others go to the forwarder (the router, on the LAN) or are counted.
 *
 * Read first: RFC 1122 3.2 (host), RFC 1812 4-5 (router). Way in, in the order of this file: ingest -> #ethernet ->
 * arp.ts | #ipv4 -> reassembly.ts -> #deliver -> udp.ts | #icmpIn | tcp-refuse.ts. Way out: udp.ts, icmp.ts -> egress.ts.
 *
 * received = handled (named in `counters`) + the sum of `drops`. What is lost later (while it waits for its other
 * fragments or for ARP, or on the way out) counts in `outDrops`.
 */

import { type Batch, GSO_ECN, GSO_UDP_L4, VNET_DATA_VALID, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { Cidr } from "../lib/cidr.ts";
import { Counters } from "../lib/counters.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Mac } from "../lib/mac.ts";
import type { Outlet } from "../lib/outlet.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import { Addressing, type InterfaceConfig } from "./ip4/addressing.ts";
import { Icmp } from "./ip4/icmp.ts";
import { Reassembler } from "./ip4/reassembly.ts";
import { Arp, type ConflictHandler } from "./link/arp.ts";
import { EthernetLink } from "./link/ethernet.ts";
import { Udp } from "./socket/udp.ts";
import type { UdpReceiver, UdpSocket } from "./socket/udp-socket.ts";
import { TcpResetter } from "./tcp/reset.ts";
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
  ICMP_ECHO_REQUEST,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpCheck,
  icmpIsError,
  icmpType,
  TIME_EXCEEDED_REASSEMBLY,
  UNREACHABLE_PORT,
  UNREACHABLE_PROTOCOL,
} from "./wire/icmpv4.ts";
import {
  IPV4_HEADER_LEN,
  ipv4Check,
  ipv4Dst,
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

/** Takes packets that are not for this host. */
export interface Forwarder {
  /**
   * A checked packet (header, options, no martian; TTL not looked at) at `at`; row `row` of `rx` has its vnet fields.
   * The forwarder counts what becomes of it.
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

const CHECKSUM_KNOWN = VNET_NEEDS_CSUM | VNET_DATA_VALID;

export class Interface {
  readonly name: "wan" | "lan";
  readonly counters: Counters<InterfaceCounter> = new Counters(INTERFACE_COUNTERS);
  readonly drops: Counters<DropName> = dropCounters();
  readonly outDrops: Counters<DropName>;
  readonly egress: EthernetLink;
  readonly reassembler: Reassembler;
  forwarder: Forwarder | undefined = undefined;
  /** Another address that we answer for (the tunnel's, on the LAN), 0: none. */
  alias = 0;

  readonly #slab: Slab;
  /** Of the device. */
  readonly #mtuMax: number;
  readonly #scratch: Arena;
  readonly #policy: InterfacePolicy;
  readonly addressing = new Addressing();
  readonly #arp: Arp;
  readonly #icmp: Icmp;
  readonly #udp: Udp;
  readonly #tcp: TcpResetter;

  constructor(options: InterfaceOptions) {
    const { slab, outlet, arena, scratch, mac, mtu, random } = options;
    const addressing = this.addressing;
    this.name = options.name;
    this.#mtuMax = mtu;
    this.#slab = slab;
    this.#scratch = scratch;
    this.#policy = options.policy;
    this.egress = new EthernetLink(slab, outlet, arena, addressing, mac, mtu, randomBelow(random, 0x10000));
    this.outDrops = this.egress.drops;
    this.reassembler = new Reassembler(this.outDrops, (now, first) => this.#reassemblyTimeout(now, first));
    this.#arp = new Arp(slab, addressing, this.egress);
    this.#icmp = new Icmp(slab, addressing, this.egress);
    this.#udp = new Udp(slab, addressing, this.egress, scratch, random);
    this.#tcp = new TcpResetter(slab, addressing, this.egress);
  }

  /** Its address and subnet, undefined while it has none. */
  get address(): Cidr | undefined {
    const { address, prefix } = this.addressing;
    return address === 0 ? undefined : new Cidr(IpAddress.fromIpv4(address), prefix);
  }

  get gateway(): IpAddress | undefined {
    const { gateway } = this.addressing;
    return gateway === 0 ? undefined : IpAddress.fromIpv4(gateway);
  }

  get configured(): boolean {
    return this.addressing.address !== 0;
  }

  /** Largest IP packet: what the device takes, or less where the network has said so. */
  get mtu(): number {
    return this.egress.mtu;
  }

  /** Takes an address; on the LAN the neighbours are told. The neighbour cache survives only if nothing changed. */
  configure(config: InterfaceConfig, _now: number): void {
    if (this.addressing.configure(config)) this.egress.neighbors.clear();
    this.egress.mtu = Math.min(config.mtu ?? this.#mtuMax, this.#mtuMax);
    if (this.name === "lan") this.egress.announce();
  }

  unconfigure(): void {
    this.egress.neighbors.clear();
    this.addressing.unconfigure();
    this.egress.mtu = this.#mtuMax;
  }

  /** Asks whether anybody else has our address (an ARP probe, RFC 5227 2.1.1): who has is told to `onConflict`. */
  probe(): void {
    this.egress.probe();
  }

  set onConflict(handler: ConflictHandler) {
    this.#arp.onConflict = handler;
  }

  /** The link was lost or came back: what was known of the neighbours may be wrong. */
  linkChanged(): void {
    this.egress.neighbors.clear();
    if (this.name === "lan" && this.configured) this.egress.announce();
  }

  /** Binds a port, or a random free one for 0; undefined when the port is taken. */
  bindUdp(port: number, receiver: UdpReceiver): UdpSocket | undefined {
    return this.#udp.bind(port, receiver);
  }

  closeUdp(socket: UdpSocket): void {
    this.#udp.close(socket);
  }

  /** Sends a datagram of the control plane: {@link Udp.send}. */
  sendUdp(now: number, socket: UdpSocket, dst: IpAddress, dstPort: number, payload: Uint8Array): DropCode {
    return this.#udp.send(now, socket, dst, dstPort, payload);
  }

  /** Sends payloads of the data path to one peer, in place: {@link Udp.sendBatch}. */
  sendUdpBatch(now: number, socket: UdpSocket, dst: IpAddress, dstPort: number, rows: Batch): void {
    this.#udp.sendBatch(now, socket, dst, dstPort, rows);
  }

  /** Tells the source of the packet at `at` of an error, where policy allows: {@link Icmp.sendError}. */
  sendIcmpError(now: number, type: number, code: number, rest: number, at: number): boolean {
    return this.#policy.errors && this.#icmp.sendError(now, type, code, rest, at);
  }

  pollAt(): number {
    return Math.min(this.egress.neighbors.pollAt(), this.reassembler.pollAt());
  }

  handleTimeout(now: number): void {
    this.egress.neighbors.handleTimeout(now);
    this.reassembler.handleTimeout(now);
  }

  /** Handles a received batch. What it hands on aliases the batch's memory (or the scratch) until the next call. */
  ingest(now: number, rx: Batch): void {
    this.#scratch.reset();
    const n = rx.count;
    for (let row = 0; row < n; row++) {
      const drop = this.#ethernet(now, rx, row);
      if (drop !== Drop.None) this.drops.bump(drop);
    }
  }

  #ethernet(now: number, rx: Batch, row: number): DropCode {
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
        return this.#handled(this.#arp.receive(now, packet, avail, unicast), ARP);
      case ETHERTYPE_IPV6:
        return Drop.Ipv6;
      default:
        return Drop.EtherUnknownType;
    }
  }

  #ipv4(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode {
    const d = this.#slab.view;
    const bad = ipv4Check(d, at, avail);
    if (bad !== Drop.None) return bad;
    if (ipv4HeaderLen(d, at) > IPV4_HEADER_LEN) {
      const options = ipv4OptionsCheck(d, at);
      if (options !== Drop.None) return options;
    }
    const own = this.addressing;
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    const dstTop = dst >>> 24;
    if (dstTop === 127 || dstTop === 0) return Drop.Ipv4MartianDestination;
    if (own.address === 0) {
      // Answers of a DHCP server come before there is an address, broadcast or to the address that is offered.
      if (ipv4Protocol(d, at) !== PROTO_UDP || ipv4IsFragment(d, at)) return Drop.Ipv4Unconfigured;
      return this.#deliver(now, rx, row, at, !unicast || dst === -1, false);
    }
    const srcTop = src >>> 24;
    const broadcast = dst === -1 || own.isBroadcast(dst);
    if (srcTop === 127 || srcTop >= 224 || (srcTop === 0 && !(src === 0 && dst === -1))) return Drop.Ipv4MartianSource;
    if (src === own.address || own.isBroadcast(src)) return Drop.Ipv4MartianSource;
    if (!broadcast && dst !== own.address && (dst !== this.alias || this.alias === 0)) {
      const forwarder = this.forwarder;
      // What was broadcast on the link is not forwarded (RFC 1812 5.3.4).
      if (forwarder === undefined || !unicast || dstTop >= 224) return Drop.Ipv4NotForUs;
      this.counters.bump(FORWARDED);
      forwarder.forward(now, rx, row, at);
      return Drop.None;
    }
    if (!unicast && !broadcast) return Drop.Ipv4NotForUs; // RFC 1122 3.3.6
    if (!ipv4IsFragment(d, at)) return this.#deliver(now, rx, row, at, broadcast, false);
    const whole = this.reassemble(now, at);
    if (whole < 0) return -whole as DropCode;
    if (whole === 0) return this.#handled(Drop.None, FRAGMENTS);
    return this.#deliver(now, rx, row, whole, broadcast, true);
  }

  /** Adds a fragment: what {@link Reassembler.add} returns. A whole packet lives until the next `ingest`. */
  reassemble(now: number, at: number): number {
    return this.reassembler.add(now, this.#slab, at, this.#scratch);
  }

  /** Tells the sender of fragments that the rest of them did not come (RFC 1122 3.3.2). */
  #reassemblyTimeout(now: number, first: Uint8Array): void {
    const at = this.#scratch.take(first.length);
    if (at < 0) return;
    this.#slab.bytes.set(first, at);
    this.sendIcmpError(now, ICMP_TIME_EXCEEDED, TIME_EXCEEDED_REASSEMBLY, 0, at);
  }

  #deliver(now: number, rx: Batch, row: number, at: number, broadcast: boolean, reassembled: boolean): DropCode {
    // The row's vnet fields are about the frame, not about what was put together from it.
    const known = !reassembled && (rx.flags[row]! & CHECKSUM_KNOWN) !== 0;
    switch (ipv4Protocol(this.#slab.view, at)) {
      case PROTO_UDP: {
        const gso = !reassembled && (rx.gsoType[row]! & ~GSO_ECN) === GSO_UDP_L4 ? rx.gsoSize[row]! : 0;
        const drop = this.#udp.receive(now, at, broadcast, known, gso);
        if (drop === Drop.UdpNoPort) return this.#unreachable(now, at, broadcast, UNREACHABLE_PORT, drop);
        return this.#handled(drop, UDP);
      }
      case PROTO_ICMP:
        return this.#icmpIn(now, at, broadcast, known);
      case PROTO_TCP:
        return this.#handled(this.#tcp.receive(now, at, broadcast || !this.#policy.errors, known), TCP_RESET);
      default:
        return this.#unreachable(now, at, broadcast, UNREACHABLE_PROTOCOL, Drop.Ipv4UnknownProtocol);
    }
  }

  #icmpIn(now: number, at: number, broadcast: boolean, known: boolean): DropCode {
    const d = this.#slab.view;
    const headerLen = ipv4HeaderLen(d, at);
    const icmp = at + headerLen;
    const len = ipv4TotalLen(d, at) - headerLen;
    const bad = icmpCheck(d, icmp, len, !known);
    if (bad !== Drop.None) return bad;
    const type = icmpType(d, icmp);
    if (icmpIsError(type)) return this.#handled(this.#udp.receiveError(now, icmp, len), ICMP_ERRORS);
    if (type !== ICMP_ECHO_REQUEST) return Drop.IcmpBadType;
    if (!this.#policy.echo || broadcast) return Drop.IcmpUnwanted;
    return this.#handled(this.#icmp.answerEcho(now, at), ECHO);
  }

  #unreachable(now: number, at: number, broadcast: boolean, code: number, drop: DropCode): DropCode {
    if (broadcast || !this.sendIcmpError(now, ICMP_UNREACHABLE, code, 0, at)) return drop;
    return this.#handled(Drop.None, ANSWERED_UNREACHABLE);
  }

  /** Counts what was handled under its name; hands back a drop, which `ingest` counts. */
  #handled(drop: DropCode, counter: number): DropCode {
    if (drop === Drop.None) this.counters.bump(counter);
    return drop;
  }
}
