/**
 * UDP of an interface (RFC 768, RFC 1122 4.1): which port is whose, delivery of datagrams and of ICMP errors about ours,
 * and sending. A socket itself, and what its owner implements, is in udp-socket.ts.
 */
import { type Batch, GSO_NONE, GSO_UDP_L4, MAX_SEGMENTS, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { IpAddress } from "../../lib/ip.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import type { Arena, Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Addressing } from "../ip4/addressing.ts";
import type { Ip4Output } from "../ip4/output.ts";
import { Packet } from "../packet.ts";
import { pseudoSum } from "../wire/checksum.ts";
import { DHCP_CLIENT_PORT } from "../wire/dhcpv4.ts";
import {
  ICMP_HEADER_LEN,
  ICMP_UNREACHABLE,
  icmpCode,
  icmpNextHopMtu,
  icmpType,
  UNREACHABLE_FRAGMENTATION_NEEDED,
} from "../wire/icmpv4.ts";
import {
  IPV4_HEADER_LEN,
  IPV4_MAX_LEN,
  ipv4Dst,
  ipv4Emit,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4Src,
  PROTO_UDP,
} from "../wire/ipv4.ts";
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
} from "../wire/udp.ts";
import { type UdpReceiver, UdpSocket } from "./udp-socket.ts";

/** Ports that bind(0) picks from (RFC 6056 3.2 would allow from 1024 on). */
const EPHEMERAL_FIRST = 32768;
const EPHEMERAL_COUNT = 28232;

/** What a collector needs no address value for. */
const NOBODY = IpAddress.fromIpv4(0);
const HEADERS_LEN = IPV4_HEADER_LEN + UDP_HEADER_LEN;
/** UDP_MAX_SEGMENTS of Linux before 6.9 (include/linux/udp.h). */
const SENT_SEGMENTS = 64;

/** Who else gives out ports of the interface's address, as its translator does. */
export interface PortOwner {
  /** Takes a port for a socket. @returns false: it is in use */
  reserve(protocol: number, port: number): boolean;
  release(protocol: number, port: number): void;
}

export class Udp {
  /** Asked before a port is bound. */
  owner: PortOwner | undefined = undefined;

  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #output: Ip4Output;
  readonly #scratch: Arena;
  readonly #random: Random;
  readonly #sockets = new Map<number, UdpSocket>();
  readonly #out = new Packet();

  /** @param scratch the interface's: long datagrams are built there, beside the arena that their fragments go to */
  constructor(slab: Slab, addressing: Addressing, output: Ip4Output, scratch: Arena, random: Random) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#output = output;
    this.#scratch = scratch;
    this.#random = random;
  }

  /** Binds a port, or a random free one for 0; undefined when the port is taken. */
  bind(port: number, receiver: UdpReceiver): UdpSocket | undefined {
    let chosen = port;
    for (let tries = 0; chosen === 0 && tries < 100; tries++) {
      const candidate = EPHEMERAL_FIRST + randomBelow(this.#random, EPHEMERAL_COUNT);
      if (this.#isFree(candidate)) chosen = candidate;
    }
    if (chosen === 0 || (port !== 0 && !this.#isFree(port))) return undefined;
    const socket = new UdpSocket(chosen, receiver);
    this.#sockets.set(chosen, socket);
    return socket;
  }

  close(socket: UdpSocket): void {
    if (this.#sockets.get(socket.port) !== socket) return;
    this.#sockets.delete(socket.port);
    this.owner?.release(PROTO_UDP, socket.port);
  }

  /** Whether a socket has the port. */
  isBound(port: number): boolean {
    return this.#sockets.has(port);
  }

  /** Whether nobody has the port; it is the socket's then. */
  #isFree(port: number): boolean {
    return !this.#sockets.has(port) && this.owner?.reserve(PROTO_UDP, port) !== false;
  }

  /**
   * Hands the datagrams of the packet to their socket; UdpNoPort when there is none.
   * @param known the checksum was verified, or has yet to be made
   * @param gso payload bytes of each datagram of a super-frame, 0: one datagram
   */
  receive(now: number, packet: Packet, broadcast: boolean, known: boolean, gso: number): DropCode {
    const d = this.#slab.view;
    const udp = packet.l4;
    const bad = udpCheck(d, udp, packet.at + packet.len - udp);
    if (bad !== Drop.None) return bad;
    const src = ipv4Src(d, packet.at);
    if (!known && gso === 0 && !udpChecksumValid(d, udp, packet.pseudo)) return Drop.UdpBadChecksum;
    const socket = this.#sockets.get(udpDstPort(d, udp));
    // Without an address only a DHCP client (RFC 2131 4.1) may hear.
    if (this.#addressing.address === 0 && udpDstPort(d, udp) !== DHCP_CLIENT_PORT) return Drop.Ipv4Unconfigured;
    if (socket === undefined) return Drop.UdpNoPort;
    const srcPort = udpSrcPort(d, udp);
    const sink = socket.sink;
    const isStranger = sink !== undefined && (src !== socket.peerWord || srcPort !== socket.peerPort);
    if (sink !== undefined && broadcast) return Drop.UdpWrongPeer;
    const end = udp + udpLen(d, udp);
    if (gso !== 0 && end - udp > gso * MAX_SEGMENTS) return Drop.GsoTooManySegments;
    const step = gso === 0 ? IPV4_MAX_LEN : gso;
    const from = sink === undefined ? IpAddress.fromIpv4(src) : NOBODY;
    let p = udp + UDP_HEADER_LEN;
    do {
      const len = Math.min(step, end - p);
      if (sink === undefined) {
        socket.receiver.onDatagram(now, from, srcPort, p, len);
      } else if (isStranger) {
        const refused = sink.stranger(src, srcPort, p, len);
        if (refused !== Drop.None) return refused;
      } else {
        if (sink.batch.room === 0) sink.drain(now);
        if (sink.batch.push(p, len) < 0) return Drop.UdpQueueFull;
      }
      p += step;
    } while (p < end);
    return Drop.None;
  }

  /** Tells a socket of the checked ICMP error at `icmp` about a datagram that it sent. */
  receiveError(now: number, icmp: number, len: number): DropCode {
    const d = this.#slab.view;
    const quote = icmp + ICMP_HEADER_LEN;
    const quoted = len - ICMP_HEADER_LEN;
    if (quoted < IPV4_HEADER_LEN || d.getUint8(quote) >> 4 !== 4) return Drop.IcmpBadQuote;
    const headerLen = ipv4HeaderLen(d, quote);
    if (headerLen < IPV4_HEADER_LEN || quoted < headerLen + UDP_HEADER_LEN) return Drop.IcmpBadQuote;
    if (ipv4Src(d, quote) !== this.#addressing.address || ipv4Protocol(d, quote) !== PROTO_UDP)
      return Drop.IcmpBadQuote;
    const socket = this.#sockets.get(udpSrcPort(d, quote + headerLen));
    if (socket === undefined) return Drop.IcmpBadQuote;
    const type = icmpType(d, icmp);
    const code = icmpCode(d, icmp);
    const tooBig = type === ICMP_UNREACHABLE && code === UNREACHABLE_FRAGMENTATION_NEEDED;
    socket.receiver.onError?.(now, {
      type,
      code,
      mtu: tooBig ? icmpNextHopMtu(d, icmp) : 0,
      dst: IpAddress.fromIpv4(ipv4Dst(d, quote)),
      dstPort: udpDstPort(d, quote + headerLen),
    });
    return Drop.None;
  }

  /**
   * Sends a datagram of the control plane (copied). An unconfigured interface can broadcast, from 0.0.0.0.
   * @param neighbour who gets it, where it is not whoever answers for the address
   */
  send(
    now: number,
    socket: UdpSocket,
    to: IpAddress,
    dstPort: number,
    payload: Uint8Array,
    neighbour = this.#output.route(now, to.w3),
  ): DropCode {
    const out = this.#output;
    const src = this.#addressing.address;
    const dst = to.w3;
    const len = HEADERS_LEN + payload.length;
    if (len > IPV4_MAX_LEN) return out.countDrop(Drop.OutputTooLong);
    if (neighbour === -Drop.NoRoute || neighbour === -Drop.NotConfigured) return out.countDrop(-neighbour as DropCode);
    if (neighbour === out.link.everybody && len > out.link.mtu) return out.countDrop(Drop.TooBig);
    const at = len <= out.link.mtu ? out.link.frame(len) : this.#scratch.take(len);
    if (at < 0) return out.countDrop(Drop.OutputTooLong);
    const d = this.#slab.view;
    const udp = at + IPV4_HEADER_LEN;
    this.#slab.bytes.set(payload, udp + UDP_HEADER_LEN);
    udpEmit(d, udp, socket.port, dstPort, payload.length);
    udpSetChecksum(d, udp, pseudoSum(src, dst, PROTO_UDP, 0));
    ipv4Emit(d, at, len, out.nextId(), 0, 64, PROTO_UDP, src, dst);
    return out.sendOwn(this.#out, at, neighbour);
  }

  /**
   * Sends the rows (payloads with HEADROOM in front; their bytes are the caller's until the outlet is flushed) as
   * datagrams to one peer, in place; those of one size as super-frames where the device takes them. The UDP checksum is
   * left to the device (VNET_NEEDS_CSUM).
   */
  sendBatch(now: number, socket: UdpSocket, to: IpAddress, dstPort: number, rows: Batch): void {
    const out = this.#output;
    const { link } = out;
    const n = rows.count;
    const src = this.#addressing.address;
    const dst = to.w3;
    const neighbour = out.route(now, dst);
    if (neighbour < 0) {
      link.drops.values[-neighbour]! += n;
      return;
    }
    const d = this.#slab.view;
    const pseudo = pseudoSum(src, dst, PROTO_UDP, 0);
    const max = link.mtu - HEADERS_LEN;
    const p = this.#out;
    p.proto = PROTO_UDP;
    p.pseudo = pseudo;
    p.isFragment = false;
    for (let i = 0; i < n; ) {
      const size = rows.len[i]!;
      let end = size > 0 && size <= max ? runEnd(rows, i) : i + 1;
      if (end > i + 1 && !link.takesUdpGso(neighbour, end - i)) end = i + 1;
      const payload = (end - i - 1) * size + rows.len[end - 1]!;
      const udp = rows.at[i]! - UDP_HEADER_LEN;
      const at = udp - IPV4_HEADER_LEN;
      udpEmit(d, udp, socket.port, dstPort, payload);
      ipv4Emit(d, at, HEADERS_LEN + payload, out.nextId(end - i), 0, 64, PROTO_UDP, src, dst);
      p.at = at;
      p.l4 = udp;
      p.len = HEADERS_LEN + size;
      if (size <= max) {
        udpSetPartialChecksum(d, udp, pseudo);
        p.flags = VNET_NEEDS_CSUM;
        p.gsoType = end > i + 1 ? GSO_UDP_L4 : GSO_NONE;
        p.gsoSize = size;
        p.hdrLen = HEADERS_LEN;
        p.csumStart = IPV4_HEADER_LEN;
        p.csumOffset = UDP_CHECKSUM_OFFSET;
        out.countDrop(link.output(p, neighbour));
      } else {
        udpSetChecksum(d, udp, pseudo);
        p.setPlain();
        out.countDrop(out.send(p, neighbour));
      }
      for (i++; i < end; i++) link.extend(rows.at[i]!, rows.len[i]!);
    }
  }
}

/** Where the run of payloads that can be one super-frame ends: all of one size, but for the last, which may be shorter. */
function runEnd(rows: Batch, first: number): number {
  const size = rows.len[first]!;
  const limit = Math.min(rows.count, first + SENT_SEGMENTS, first + Math.floor((IPV4_MAX_LEN - HEADERS_LEN) / size));
  let end = first + 1;
  while (end < limit && rows.len[end] === size) end++;
  if (end < limit && rows.len[end]! > 0 && rows.len[end]! < size) end++;
  return end;
}
