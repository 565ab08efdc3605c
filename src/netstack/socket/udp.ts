/**
 * UDP of an interface (RFC 768, RFC 1122 4.1): which port is whose, delivery of datagrams and of ICMP errors about ours,
 * and sending. A socket itself, and what its owner implements, is in udp-socket.ts.
 */
import { type Batch, GSO_NONE, GSO_UDP_L4, MAX_SEGMENTS, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { IpAddress } from "../../lib/ip.ts";
import { leastMtu } from "../../lib/path-mtu.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import type { Arena, Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Addressing } from "../ip4/addressing.ts";
import type { Ip6Addressing } from "../ip6/addressing.ts";
import { type IpOutput, IpPath } from "../output.ts";
import { Packet, pseudoOf } from "../packet.ts";
import type { PathMtus } from "../path-mtus.ts";
import { type PortOwner, takePort } from "../port-owner.ts";
import { DHCP_CLIENT_PORT } from "../wire/dhcpv4.ts";
import {
  ICMP_HEADER_LEN,
  ICMP_UNREACHABLE,
  icmpCode,
  icmpNextHopMtu,
  icmpType,
  UNREACHABLE_FRAGMENTATION_NEEDED,
} from "../wire/icmpv4.ts";
import { ICMPV6_HEADER_LEN, ICMPV6_TOO_BIG, icmpv6Code, icmpv6Rest, icmpv6Type } from "../wire/icmpv6.ts";
import {
  IPV4_DF,
  IPV4_HEADER_LEN,
  IPV4_MAX_LEN,
  ipv4DontFragment,
  ipv4Dst,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLen,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_SRC,
  ipv6Address,
  ipv6IsWords,
  ipv6NextHeader,
  ipv6ReadWords,
  ipv6TotalLen,
} from "../wire/ipv6.ts";
import { EXT_FRAGMENT, FRAGMENT_HEADER_LEN, fragmentOffset } from "../wire/ipv6-ext.ts";
import {
  UDP_CHECKSUM_OFFSET,
  UDP_HEADER_LEN,
  udpCheck,
  udpChecksumValid,
  udpDstPort,
  udpEmit,
  udpHasChecksum,
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
/** UDP_MAX_SEGMENTS of Linux before 6.9 (include/linux/udp.h). */
const SENT_SEGMENTS = 64;

export interface UdpOptions {
  readonly slab: Slab;
  readonly addressing: Addressing;
  readonly addressing6: Ip6Addressing;
  readonly output: IpOutput;
  readonly pathMtu: PathMtus;
  /** The interface's: long datagrams are built there, beside the arena that their fragments go to. */
  readonly scratch: Arena;
  readonly random: Random;
}

export class Udp {
  /** All of them are asked before a port is bound. */
  owners: readonly PortOwner[] = [];

  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #addressing6: Ip6Addressing;
  readonly #output: IpOutput;
  readonly #pathMtu: PathMtus;
  readonly #scratch: Arena;
  readonly #random: Random;
  readonly #sockets = new Map<number, UdpSocket>();
  readonly #out = new Packet();
  readonly #path = new IpPath();
  readonly #words = new Int32Array(4);
  readonly #toWords = new Int32Array(4);

  constructor(options: UdpOptions) {
    this.#slab = options.slab;
    this.#addressing = options.addressing;
    this.#addressing6 = options.addressing6;
    this.#output = options.output;
    this.#pathMtu = options.pathMtu;
    this.#scratch = options.scratch;
    this.#random = options.random;
  }

  /** Binds a port, which a translator gives up for it, or a random free one for 0; undefined when the port is taken. */
  bind(port: number, receiver: UdpReceiver): UdpSocket | undefined {
    let chosen = port;
    for (let tries = 0; chosen === 0 && tries < 100; tries++) {
      const candidate = EPHEMERAL_FIRST + randomBelow(this.#random, EPHEMERAL_COUNT);
      if (this.#isFree(candidate, false)) chosen = candidate;
    }
    if (chosen === 0 || (port !== 0 && !this.#isFree(port, true))) return undefined;
    const socket = new UdpSocket(chosen, receiver);
    this.#sockets.set(chosen, socket);
    return socket;
  }

  close(socket: UdpSocket): void {
    if (this.#sockets.get(socket.port) !== socket) return;
    this.#sockets.delete(socket.port);
    for (const owner of this.owners) owner.release(PROTO_UDP, socket.port);
  }

  /** Whether a socket has the port. */
  isBound(port: number): boolean {
    return this.#sockets.has(port);
  }

  /** Whether nobody has the port; it is the socket's then. @param isFixed no other port will do */
  #isFree(port: number, isFixed: boolean): boolean {
    return !this.#sockets.has(port) && takePort(this.owners, PROTO_UDP, port, isFixed);
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
    const { isV6 } = packet;
    if (isV6 && !known && !udpHasChecksum(d, udp)) return Drop.UdpNoChecksum; // RFC 8200 8.1
    if (!known && gso === 0 && !udpChecksumValid(d, udp, pseudoOf(d, packet))) return Drop.UdpBadChecksum;
    const socket = this.#sockets.get(udpDstPort(d, udp));
    // Without an address only a DHCP client (RFC 2131 4.1) may hear.
    if (!isV6 && this.#addressing.address === 0 && udpDstPort(d, udp) !== DHCP_CLIENT_PORT)
      return Drop.Ipv4Unconfigured;
    if (socket === undefined) return Drop.UdpNoPort;
    const srcPort = udpSrcPort(d, udp);
    const { sink, openSink } = socket;
    const isStranger = sink !== undefined && (srcPort !== socket.peerPort || !this.#isPeer(packet, socket));
    if ((sink ?? openSink) !== undefined && broadcast) return Drop.UdpWrongPeer;
    const end = udp + udpLen(d, udp);
    if (gso !== 0 && end - udp > gso * MAX_SEGMENTS) return Drop.GsoTooManySegments;
    const step = gso === 0 ? IPV4_MAX_LEN : gso;
    const from = (sink ?? openSink) !== undefined ? NOBODY : this.#source(packet);
    let p = udp + UDP_HEADER_LEN;
    do {
      const len = Math.min(step, end - p);
      if (openSink !== undefined) {
        const refused = openSink.datagram(this.#sourceWords(packet), srcPort, this.#ownWords(packet), p, len);
        if (refused !== Drop.None) return refused;
      } else if (sink === undefined) {
        socket.receiver.onDatagram(now, from, srcPort, p, len);
      } else if (isStranger) {
        const refused = sink.stranger(this.#sourceWords(packet), srcPort, p, len);
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
    // No path refuses what is no larger than it takes, or what may be fragmented: whoever says so has not seen the packet.
    if (tooBig && (!ipv4DontFragment(d, quote) || ipv4TotalLen(d, quote) <= icmpNextHopMtu(d, icmp)))
      return Drop.IcmpBadQuote;
    if (tooBig && icmpNextHopMtu(d, icmp) > 0) {
      mapped(this.#words, ipv4Dst(d, quote));
      this.#pathMtu.lower(now, this.#words, icmpNextHopMtu(d, icmp));
    }
    socket.receiver.onError?.(now, {
      type,
      code,
      mtu: tooBig ? icmpNextHopMtu(d, icmp) : 0,
      src: IpAddress.fromIpv4(ipv4Src(d, quote)),
      dst: IpAddress.fromIpv4(ipv4Dst(d, quote)),
      dstPort: udpDstPort(d, quote + headerLen),
    });
    return Drop.None;
  }

  /** The same of the checked ICMPv6 error at `icmp`. What is too big for a path is noted (RFC 8201). */
  receiveError6(now: number, icmp: number, len: number): DropCode {
    const d = this.#slab.view;
    const quote = icmp + ICMPV6_HEADER_LEN;
    const quoted = len - ICMPV6_HEADER_LEN;
    if (quoted < IPV6_HEADER_LEN || d.getUint8(quote) >> 4 !== 6) return Drop.IcmpBadQuote;
    let proto = ipv6NextHeader(d, quote);
    let udp = quote + IPV6_HEADER_LEN;
    // Our own packets have no header in front of UDP but that of a fragment.
    if (proto === EXT_FRAGMENT && quoted >= IPV6_HEADER_LEN + FRAGMENT_HEADER_LEN) {
      if (fragmentOffset(d, udp) !== 0) return Drop.IcmpBadQuote;
      proto = d.getUint8(udp);
      udp += FRAGMENT_HEADER_LEN;
    }
    if (proto !== PROTO_UDP || udp + UDP_HEADER_LEN > quote + quoted) return Drop.IcmpBadQuote;
    if (!this.#addressing6.isOwn(d, quote + IPV6_SRC)) return Drop.IcmpBadQuote;
    const socket = this.#sockets.get(udpSrcPort(d, udp));
    if (socket === undefined) return Drop.IcmpBadQuote;
    const type = icmpv6Type(d, icmp);
    const mtu = type === ICMPV6_TOO_BIG ? icmpv6Rest(d, icmp) : 0;
    if (type === ICMPV6_TOO_BIG) {
      // No path refuses what is no larger than it takes: whoever says so has not seen the packet.
      if (ipv6TotalLen(d, quote) <= mtu) return Drop.IcmpBadQuote;
      ipv6ReadWords(d, quote + IPV6_DST, this.#words, 0);
      this.#pathMtu.lower(now, this.#words, mtu);
    }
    const [src, dst] = [ipv6Address(d, quote + IPV6_SRC), ipv6Address(d, quote + IPV6_DST)];
    socket.receiver.onError?.(now, { type, code: icmpv6Code(d, icmp), mtu, src, dst, dstPort: udpDstPort(d, udp) });
    return Drop.None;
  }

  /**
   * Sends a datagram of the control plane (copied). An interface without an IPv4 address can broadcast, from 0.0.0.0.
   * @param via the neighbour that gets it, where it is not whoever answers for the address
   * @param from the words of the address of ours that it comes from, where that is not the best one for `to`
   */
  send(
    now: number,
    socket: UdpSocket,
    to: IpAddress,
    dstPort: number,
    payload: Uint8Array,
    via?: number,
    from?: Int32Array,
  ): DropCode {
    const out = this.#output;
    const path = this.#path;
    const none = out.open(path, to, from);
    if (none !== Drop.None) return out.countDrop(none);
    const { headerLen } = path;
    const udpLength = UDP_HEADER_LEN + payload.length;
    const len = headerLen + udpLength;
    if (len > IPV4_MAX_LEN) return out.countDrop(Drop.OutputTooLong);
    const neighbour = via ?? out.route(now, path);
    if (neighbour === -Drop.NoRoute || neighbour === -Drop.NotConfigured) return out.countDrop(-neighbour as DropCode);
    const mtu = out.mtu(now, path);
    if (neighbour === out.link.everybody && len > mtu) return out.countDrop(Drop.TooBig);
    const at = len <= mtu ? out.link.frame(len) : this.#scratch.take(len);
    if (at < 0) return out.countDrop(Drop.OutputTooLong);
    const d = this.#slab.view;
    const udp = at + headerLen;
    this.#slab.bytes.set(payload, udp + UDP_HEADER_LEN);
    udpEmit(d, udp, socket.port, dstPort, payload.length);
    udpSetChecksum(d, udp, path.pseudo(PROTO_UDP));
    out.header(path, at, udpLength, PROTO_UDP);
    return out.sendOwn(now, this.#out, path, at, neighbour);
  }

  /**
   * Sends the rows (payloads with HEADROOM in front; their bytes are the caller's until the outlet is flushed) as
   * datagrams to one peer, in place; those of one size as super-frames where the device takes them. The UDP checksum is
   * left to the device (VNET_NEEDS_CSUM).
   * @param from as of {@link send} @param probe of this way, where the socket has several
   */
  sendBatch(
    now: number,
    socket: UdpSocket,
    to: IpAddress,
    dstPort: number,
    rows: Batch,
    from?: Int32Array,
    probe = socket.probe,
  ): void {
    const out = this.#output;
    const { link } = out;
    const path = this.#path;
    const n = rows.count;
    const none = out.open(path, to, from);
    const neighbour = none === Drop.None ? out.route(now, path) : -none;
    if (neighbour < 0) {
      link.drops.values[-neighbour]! += n;
      return;
    }
    const d = this.#slab.view;
    const { isV6, headerLen } = path;
    const pseudo = path.pseudo(PROTO_UDP);
    const headersLen = headerLen + UDP_HEADER_LEN;
    const max = out.mtu(now, path) - headersLen;
    const known = isV6 ? 0 : Math.min(max, this.#knownOf(now, path) - headersLen);
    const least = leastMtu(true) - headersLen;
    const p = this.#out;
    p.isV6 = isV6;
    p.proto = PROTO_UDP;
    p.isFragment = false;
    p.fragmentAt = 0;
    for (let i = 0; i < n; ) {
      const size = rows.len[i]!;
      let end = size > 0 && size <= max ? runEnd(rows, i, headersLen) : i + 1;
      if (end > i + 1 && !link.takesUdpGso(neighbour, end - i, isV6)) end = i + 1;
      const asks = size > least && size <= known && probe.asks();
      if (asks) end = i + 1;
      const payload = (end - i - 1) * size + rows.len[end - 1]!;
      const udp = rows.at[i]! - UDP_HEADER_LEN;
      const at = udp - headerLen;
      udpEmit(d, udp, socket.port, dstPort, payload);
      out.header(path, at, UDP_HEADER_LEN + payload, PROTO_UDP, end - i, asks ? IPV4_DF : 0);
      p.at = at;
      p.l4 = udp;
      p.len = headersLen + size;
      if (size <= max) {
        udpSetPartialChecksum(d, udp, pseudo);
        p.flags = VNET_NEEDS_CSUM;
        p.gsoType = end > i + 1 ? GSO_UDP_L4 : GSO_NONE;
        p.gsoSize = size;
        p.hdrLen = headersLen;
        p.csumStart = headerLen;
        p.csumOffset = UDP_CHECKSUM_OFFSET;
        out.countDrop(link.output(p, neighbour));
      } else {
        udpSetChecksum(d, udp, pseudo);
        out.sendOwn(now, p, path, at, neighbour);
      }
      for (i++; i < end; i++) link.extend(rows.at[i]!, rows.len[i]!);
    }
  }

  /** What routers have said of the way to an IPv4 address. */
  #knownOf(now: number, path: IpPath): number {
    mapped(this.#words, path.dst[0]!);
    return this.#pathMtu.get(now, this.#words);
  }

  #isPeer({ at, isV6 }: Packet, socket: UdpSocket): boolean {
    const d = this.#slab.view;
    if (isV6 !== socket.isPeerV6) return false;
    return isV6 ? ipv6IsWords(d, at + IPV6_SRC, socket.peerWords, 0) : ipv4Src(d, at) === socket.peerWord;
  }

  /** As the words of an address value: of IPv4 the mapped one. */
  #sourceWords({ at, isV6 }: Packet): Int32Array {
    const d = this.#slab.view;
    const words = this.#words;
    if (isV6) ipv6ReadWords(d, at + IPV6_SRC, words, 0);
    else mapped(words, ipv4Src(d, at));
    return words;
  }

  /** The same of the address that it came to. */
  #ownWords({ at, isV6 }: Packet): Int32Array {
    const d = this.#slab.view;
    const words = this.#toWords;
    if (isV6) ipv6ReadWords(d, at + IPV6_DST, words, 0);
    else mapped(words, ipv4Dst(d, at));
    return words;
  }

  #source({ at, isV6 }: Packet): IpAddress {
    const d = this.#slab.view;
    return isV6 ? ipv6Address(d, at + IPV6_SRC) : IpAddress.fromIpv4(ipv4Src(d, at));
  }
}

/** The words of an IPv4 address as a value. */
function mapped(words: Int32Array, address: number): void {
  words[0] = 0;
  words[1] = 0;
  words[2] = 0xffff;
  words[3] = address;
}

/** Where the run of payloads that can be one super-frame ends: all of one size, but for the last, which may be shorter. */
function runEnd(rows: Batch, first: number, headersLen: number): number {
  const size = rows.len[first]!;
  const limit = Math.min(rows.count, first + SENT_SEGMENTS, first + Math.floor((IPV4_MAX_LEN - headersLen) / size));
  let end = first + 1;
  while (end < limit && rows.len[end] === size) end++;
  if (end < limit && rows.len[end]! > 0 && rows.len[end]! < size) end++;
  return end;
}
