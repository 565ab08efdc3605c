/**
 * Forwarding between the LAN and the tunnel (RFC 1812 5). There is no other way: what the tunnel does not take is refused.
 *
 * LAN -> tunnel: source and destination, TTL, tunnel and route, checksums that the sender's kernel left partial, fragments
 *   put together for the translator, size (all refusals quote the packet as it was sent), NAT, TTL - 1, MSS clamp; then in
 *   place, in fragments, or a super-frame in segments.
 * Tunnel -> LAN: IPv4 checks, our own address (echo), fragments, size, NAT, TTL - 1, MSS clamp, Ethernet in place.
 *
 * lanReceived = toTunnel + lanHeld + sum of lanDrops; tunnelReceived = toLan + tunnelHeld + tunnelEcho + sum of tunnelDrops,
 * in packets (a super-frame is one).
 */
import {
  type Batch,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_UDP,
  GSO_UDP_L4,
  MAX_SEGMENTS,
  VNET_NEEDS_CSUM,
} from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";
import { Counters } from "../lib/counters.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { Outlet } from "../lib/outlet.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import type { Forwarder, Interface } from "./interface.ts";
import { inSubnet } from "./ip4/addressing.ts";
import { Reassembler } from "./ip4/reassembly.ts";
import { TunnelLink } from "./link/tunnel.ts";
import type { PacketTranslator } from "./nat-port.ts";
import { clampMss } from "./offload/mss.ts";
import { segmentCount, tcpSuperHeaderLen } from "./offload/split.ts";
import type { RouteTable } from "./route.ts";
import { checksum } from "./wire/checksum.ts";
import {
  ICMP_ECHO_REQUEST,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpCheck,
  TIME_EXCEEDED_REASSEMBLY,
  TIME_EXCEEDED_TTL,
  UNREACHABLE_FRAGMENTATION_NEEDED,
  UNREACHABLE_HOST,
  UNREACHABLE_NET,
} from "./wire/icmpv4.ts";
import {
  IPV4_HEADER_LEN,
  ipv4Check,
  ipv4DecrementTtl,
  ipv4DontFragment,
  ipv4Dst,
  ipv4FragmentOffset,
  ipv4HeaderLen,
  ipv4IsFragment,
  ipv4OptionsCheck,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLen,
  ipv4Ttl,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "./wire/ipv4.ts";
import { tcpCheck } from "./wire/tcp.ts";
import { UDP_HEADER_LEN, udpCheck } from "./wire/udp.ts";

export interface RouterOptions {
  readonly slab: Slab;
  readonly lan: Interface;
  /** IP packets into the tunnel. */
  readonly tunnel: Outlet;
  /** Packets from the tunnel that are put together from fragments: at least 80 KiB, the router's alone. */
  readonly scratch: Arena;
  readonly nat: PacketTranslator | undefined;
}

export interface TunnelConfig {
  /** With the prefix of the tunnel's subnet; 32 where there is only a peer. */
  readonly address: Cidr;
  /** The other end (net30, p2p). */
  readonly peer: IpAddress | undefined;
  /** Largest IP packet into the tunnel, at least 68. */
  readonly mtu: number;
  /** Largest TCP payload by configuration (mssfix), 0: what follows from the MTU. */
  readonly mssClamp: number;
  readonly routes: RouteTable;
}

const ROUTER_COUNTERS = [
  "lanReceived",
  "lanHeld",
  "toTunnel",
  "tunnelReceived",
  "tunnelHeld",
  "tunnelEcho",
  "toLan",
] as const;
type RouterCounter = (typeof ROUTER_COUNTERS)[number];
const LAN_RECEIVED = 0;
const LAN_HELD = 1;
const TO_TUNNEL = 2;
const TUNNEL_RECEIVED = 3;
const TUNNEL_HELD = 4;
const TUNNEL_ECHO = 5;
const TO_LAN = 6;

export class Router implements Forwarder {
  readonly counters: Counters<RouterCounter> = new Counters(ROUTER_COUNTERS);
  /** Packets of LAN hosts, and packets from the tunnel, that were dropped. */
  readonly lanDrops: Counters<DropName> = dropCounters();
  readonly tunnelDrops: Counters<DropName> = dropCounters();

  readonly #slab: Slab;
  readonly #lan: Interface;
  readonly #tunnel: TunnelLink;
  readonly #scratch: Arena;
  readonly #nat: PacketTranslator | undefined;
  /** Of packets for the LAN: what is lost while it waits counts there. */
  readonly #reassembler: Reassembler;
  #open = false;
  #prefix = 32;
  #peer = 0;
  #mss = 1460;
  #routes: RouteTable | undefined = undefined;

  /** Becomes the LAN interface's forwarder. */
  constructor(options: RouterOptions) {
    this.#slab = options.slab;
    this.#lan = options.lan;
    this.#tunnel = new TunnelLink(options.slab, options.tunnel, options.scratch);
    this.#scratch = options.scratch;
    this.#nat = options.nat;
    this.#reassembler = new Reassembler(options.lan.outDrops, (now, first) => this.#reassemblyTimeout(now, first));
    options.lan.forwarder = this;
  }

  /** From now on packets go into the tunnel. A new address makes the translator forget, an unchanged one does not. */
  openTunnel(tunnel: TunnelConfig): void {
    this.#open = true;
    const address = tunnel.address.address.w3;
    this.#tunnel.address = address;
    this.#prefix = tunnel.address.prefix;
    this.#peer = tunnel.peer?.w3 ?? 0;
    this.#tunnel.mtu = tunnel.mtu;
    const fits = tunnel.mtu - 40;
    this.#mss = tunnel.mssClamp > 0 ? Math.min(tunnel.mssClamp, fits) : fits;
    this.#routes = tunnel.routes;
    // A LAN host that has the tunnel's address keeps it.
    this.#lan.alias = this.#lan.addressing.onLink(address) ? 0 : address;
    this.#nat?.setAddress(address);
  }

  /** From now on LAN senders are told that there is no way. Mappings stay, for the case that the address does. */
  closeTunnel(): void {
    this.#open = false;
    this.#lan.alias = 0;
  }

  /** Handles frames from the LAN device: what is for the gateway itself, and what is to be forwarded. */
  lanIn(now: number, rx: Batch): void {
    this.#lan.ingest(now, rx);
  }

  /** Handles IP packets from the tunnel (rows with headroom, which are sent on in place). */
  tunnelIn(now: number, plain: Batch): void {
    const n = plain.count;
    for (let i = 0; i < n; i++) {
      this.counters.bump(TUNNEL_RECEIVED);
      const drop = this.#fromTunnel(now, plain.at[i]!, plain.len[i]!);
      if (drop !== Drop.None) this.tunnelDrops.bump(drop);
    }
  }

  /** A packet of the LAN that is not for the gateway: called by the interface. */
  forward(now: number, rx: Batch, row: number, at: number): void {
    this.counters.bump(LAN_RECEIVED);
    const drop = this.#fromLan(now, rx, row, at);
    if (drop !== Drop.None) this.lanDrops.bump(drop);
  }

  /** Of the router's own parts and the translator; the interface has its own. */
  pollAt(): number {
    return Math.min(this.#reassembler.pollAt(), this.#nat?.pollAt() ?? Number.POSITIVE_INFINITY);
  }

  handleTimeout(now: number): void {
    this.#reassembler.handleTimeout(now);
    this.#nat?.handleTimeout(now);
  }

  #handled(counter: number): DropCode {
    this.counters.bump(counter);
    return Drop.None;
  }

  #fromLan(now: number, rx: Batch, row: number, received: number): DropCode {
    const d = this.#slab.view;
    const lan = this.#lan;
    let at = received;
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    if (!lan.addressing.onLink(src) || lan.addressing.isBroadcast(src)) return Drop.ForeignSource;
    if (lan.addressing.onLink(dst)) return Drop.LanToLan;
    if (dst >>> 16 === 0xa9fe) return Drop.Ipv4MartianDestination; // RFC 3927 2.7: link-local stays on its link
    if (ipv4Ttl(d, at) <= 1) {
      lan.sendIcmpError(now, ICMP_TIME_EXCEEDED, TIME_EXCEEDED_TTL, 0, at);
      return Drop.Ipv4TtlExpired;
    }
    if (!this.#open) {
      lan.sendIcmpError(now, ICMP_UNREACHABLE, UNREACHABLE_NET, 0, at);
      return Drop.TunnelClosed;
    }
    if (!inSubnet(dst, this.#tunnel.address, this.#prefix) && dst !== this.#peer && this.#routes?.has(dst) !== true) {
      lan.sendIcmpError(now, ICMP_UNREACHABLE, UNREACHABLE_NET, 0, at);
      return Drop.NoRoute;
    }
    const gsoType = rx.gsoType[row]! & ~GSO_ECN;
    if (gsoType === GSO_TCPV4) return this.#superTcp(now, at, rx.gsoSize[row]!);
    if (gsoType === GSO_UDP_L4) return this.#superUdp(now, at, rx.gsoSize[row]!);
    if (gsoType !== GSO_NONE && gsoType !== GSO_UDP) return Drop.GsoMalformed;
    if ((rx.flags[row]! & VNET_NEEDS_CSUM) !== 0) {
      const bad = this.#completeChecksum(rx, row, at);
      if (bad !== Drop.None) return bad;
    }
    if (this.#nat !== undefined && ipv4IsFragment(d, at)) {
      const whole = lan.reassemble(now, at);
      if (whole < 0) return -whole as DropCode;
      if (whole === 0) return this.#handled(LAN_HELD);
      at = whole;
    }
    const len = ipv4TotalLen(d, at);
    if (len > this.#tunnel.mtu && ipv4DontFragment(d, at)) return this.#tooBig(now, at);
    const refused = this.#translate(now, at, len);
    if (refused !== Drop.None) return refused;
    this.#clamp(at, len);
    this.#tunnel.output(at, len);
    return this.#handled(TO_TUNNEL);
  }

  /** NAT and TTL: from here on the packet is the router's. */
  #translate(now: number, at: number, len: number): DropCode {
    if (this.#nat !== undefined) {
      const refused = this.#nat.outbound(now, at, len);
      if (refused !== 0) return refused as DropCode;
    }
    ipv4DecrementTtl(this.#slab.view, at);
    return Drop.None;
  }

  #tooBig(now: number, at: number): DropCode {
    this.#lan.sendIcmpError(now, ICMP_UNREACHABLE, UNREACHABLE_FRAGMENTATION_NEEDED, this.#tunnel.mtu, at);
    return Drop.TooBig;
  }

  #clamp(at: number, len: number): void {
    const d = this.#slab.view;
    if (ipv4Protocol(d, at) !== PROTO_TCP || ipv4FragmentOffset(d, at) !== 0) return;
    const headerLen = ipv4HeaderLen(d, at);
    if (tcpCheck(d, at + headerLen, len - headerLen) === Drop.None) clampMss(d, at + headerLen, this.#mss);
  }

  /** A TCP super-frame of a local sender, or one that the device coalesced: split while it is copied into the arena. */
  #superTcp(now: number, at: number, gsoSize: number): DropCode {
    const d = this.#slab.view;
    const len = ipv4TotalLen(d, at);
    const ipLen = ipv4HeaderLen(d, at);
    if (ipv4Protocol(d, at) !== PROTO_TCP || ipv4IsFragment(d, at) || gsoSize === 0) return Drop.GsoMalformed;
    if (tcpCheck(d, at + ipLen, len - ipLen) !== Drop.None) return Drop.GsoMalformed;
    const headerLen = tcpSuperHeaderLen(d, at);
    let size = Math.max(1, Math.min(gsoSize, len - headerLen));
    if (headerLen + size > this.#tunnel.mtu) {
      if (ipv4DontFragment(d, at)) return this.#tooBig(now, at);
      size = this.#tunnel.mtu - headerLen; // without DF smaller segments do what fragments would
      if (size <= 0) return Drop.GsoMalformed;
    }
    if (segmentCount(len, headerLen, size) > MAX_SEGMENTS) return Drop.GsoTooManySegments;
    const refused = this.#translate(now, at, len);
    if (refused !== Drop.None) return refused;
    this.#tunnel.outputTcpSegments(at, len, headerLen, size);
    return this.#handled(TO_TUNNEL);
  }

  #superUdp(now: number, at: number, gsoSize: number): DropCode {
    const d = this.#slab.view;
    const len = ipv4TotalLen(d, at);
    const ipLen = ipv4HeaderLen(d, at);
    if (ipv4Protocol(d, at) !== PROTO_UDP || ipv4IsFragment(d, at) || gsoSize === 0) return Drop.GsoMalformed;
    if (udpCheck(d, at + ipLen, len - ipLen) !== Drop.None) return Drop.GsoMalformed;
    const headerLen = ipLen + UDP_HEADER_LEN;
    const size = Math.max(1, Math.min(gsoSize, len - headerLen));
    if (headerLen + size > this.#tunnel.mtu && ipv4DontFragment(d, at)) return this.#tooBig(now, at);
    if (segmentCount(len, headerLen, size) > MAX_SEGMENTS) return Drop.GsoTooManySegments;
    const refused = this.#translate(now, at, len);
    if (refused !== Drop.None) return refused;
    this.#tunnel.outputUdpSegments(at, len, headerLen, size);
    return this.#handled(TO_TUNNEL);
  }

  /**
   * A checksum that the sender's kernel left to a device (VNET_NEEDS_CSUM, virtio 1.2 5.1.6.2.1): nothing behind us would
   * complete it. It is where the row says, which may be in a packet within the packet (VXLAN), over all that follows.
   */
  #completeChecksum(rx: Batch, row: number, at: number): DropCode {
    const d = this.#slab.view;
    const start = rx.at[row]! + rx.csumStart[row]!;
    const field = start + rx.csumOffset[row]!;
    const end = at + ipv4TotalLen(d, at);
    if (start < at + ipv4HeaderLen(d, at) || field + 2 > end || ipv4IsFragment(d, at))
      return Drop.ChecksumPartialMalformed;
    d.setUint16(field, checksum(d, start, end - start) || 0xffff); // 0 would mean none with UDP (RFC 768); both say the same
    return Drop.None;
  }

  /** As for a TTL that ended: behind the translator nobody is told, whose packet it was is not known. */
  #reassemblyTimeout(now: number, first: Uint8Array): void {
    if (this.#nat !== undefined || !this.#open) return;
    this.#scratch.reset();
    const at = this.#scratch.take(first.length);
    this.#slab.bytes.set(first, at);
    this.#tunnel.sendError(now, ICMP_TIME_EXCEEDED, TIME_EXCEEDED_REASSEMBLY, 0, at);
  }

  #fromTunnel(now: number, received: number, avail: number): DropCode {
    const d = this.#slab.view;
    let at = received;
    if (avail > 0 && d.getUint8(at) >> 4 === 6) return Drop.Ipv6;
    const bad = ipv4Check(d, at, avail);
    if (bad !== Drop.None) return bad;
    if (ipv4HeaderLen(d, at) > IPV4_HEADER_LEN) {
      const options = ipv4OptionsCheck(d, at);
      if (options !== Drop.None) return options;
    }
    if (!this.#open) return Drop.TunnelClosed;
    const lan = this.#lan;
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    const srcTop = src >>> 24;
    if (srcTop === 0 || srcTop === 127 || srcTop >= 224 || src === this.#tunnel.address || lan.addressing.onLink(src))
      return Drop.Ipv4MartianSource;
    const dstTop = dst >>> 24;
    if (dstTop === 0 || dstTop === 127 || dstTop >= 224) return Drop.Ipv4MartianDestination;

    const nat = this.#nat;
    const ours = dst === this.#tunnel.address || (nat === undefined && dst === lan.addressing.address);
    if (!ours && (nat !== undefined || !lan.addressing.onLink(dst) || lan.addressing.isBroadcast(dst)))
      return Drop.TunnelNotForLan;
    let whole = false;
    if ((ours || nat !== undefined) && ipv4IsFragment(d, at)) {
      this.#scratch.reset();
      at = this.#reassembler.add(now, this.#slab, at, this.#scratch);
      if (at < 0) return -at as DropCode;
      if (at === 0) return this.#handled(TUNNEL_HELD);
      whole = true;
    }
    const len = ipv4TotalLen(d, at);
    if (ours) {
      if (ipv4Protocol(d, at) === PROTO_ICMP) {
        const headerLen = ipv4HeaderLen(d, at);
        if (len > headerLen && d.getUint8(at + headerLen) === ICMP_ECHO_REQUEST) return this.#echo(now, at, len);
      }
      if (nat === undefined) return Drop.Ipv4NotForUs;
    }
    if (ipv4Ttl(d, at) <= 1) {
      if (nat === undefined) this.#tunnel.sendError(now, ICMP_TIME_EXCEEDED, TIME_EXCEEDED_TTL, 0, at);
      return Drop.Ipv4TtlExpired;
    }
    if (len > lan.mtu && ipv4DontFragment(d, at)) {
      this.#tunnel.sendError(now, ICMP_UNREACHABLE, UNREACHABLE_FRAGMENTATION_NEEDED, lan.mtu, at);
      return Drop.TooBig;
    }
    if (nat !== undefined) {
      const refused = nat.inbound(now, at, len);
      if (refused !== 0) return refused as DropCode;
    }
    const host = ipv4Dst(d, at);
    if (!lan.addressing.onLink(host) || host === lan.addressing.address || lan.addressing.isBroadcast(host))
      return Drop.TunnelNotForLan;
    ipv4DecrementTtl(d, at);
    this.#clamp(at, len);
    const egress = lan.egress;
    if (whole && len <= lan.mtu) {
      // The scratch is used again before the frame is sent.
      const to = egress.frame(len);
      this.#slab.bytes.copyWithin(to, at, at + len);
      at = to;
    }
    const drop = egress.outputJoining(now, at, len, host);
    if (drop === Drop.None) return this.#handled(TO_LAN);
    if (drop === Drop.NeighborUnreachable && nat === undefined)
      this.#tunnel.sendError(now, ICMP_UNREACHABLE, UNREACHABLE_HOST, 0, at);
    return drop;
  }

  /** Answers an echo request to the tunnel's address (without NAT also to the gateway's LAN address). */
  #echo(now: number, at: number, len: number): DropCode {
    const d = this.#slab.view;
    const headerLen = ipv4HeaderLen(d, at);
    const bad = icmpCheck(d, at + headerLen, len - headerLen, true);
    if (bad !== Drop.None) return bad;
    const refused = this.#tunnel.answerEcho(now, at);
    return refused === Drop.None ? this.#handled(TUNNEL_ECHO) : refused;
  }
}
