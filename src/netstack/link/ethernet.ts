/**
 * Ethernet below an interface (RFC 894, RFC 2464): which frames are for us, ARP, the header in place, packets that wait for a
 * neighbour, and TCP packets that continue one another joined to super-frames.
 *
 * Frames that are made here come from `arena`, which nobody else takes from. When it or the outlet's batch is full, the
 * outlet is flushed (which sends everything) and the arena starts over.
 */
import { type Batch, GSO_NONE, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import type { Mac } from "../../lib/mac.ts";
import type { Outlet } from "../../lib/outlet.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import { type Arena, HEADROOM, type Slab, TAILROOM } from "../../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "../drop.ts";
import type { Addressing } from "../ip4/addressing.ts";
import type { Ip6Addressing } from "../ip6/addressing.ts";
import { TcpCoalescer } from "../offload/coalesce.ts";
import { Packet } from "../packet.ts";
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, arpEmit } from "../wire/arp.ts";
import {
  ETHERNET_HEADER_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherCheck,
  etherDstHi,
  etherDstLo,
  etherEmit,
  etherSrcHi,
  etherSrcLo,
  etherType,
  isBroadcastMac,
  isGroupMac,
} from "../wire/ethernet.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { IPV6_DST } from "../wire/ipv6.ts";
import { Arp } from "./arp.ts";
import type { LinkLayer, NetworkLayer } from "./layer.ts";
import { GROUP_MAC_HI, Nd, type NdLink } from "./nd.ts";
import { EVERYBODY, type NeighborPort, NeighborTable } from "./neighbor.ts";
import type { Parked } from "./parked.ts";

/** Rows that are kept free beside the one that is made, for questions about neighbours that it may cause; bytes of each. */
const SPARE_ROWS = 4;
const SPARE_BYTES = 256;

export interface EthernetLinkOptions {
  readonly slab: Slab;
  readonly outlet: Outlet;
  /** Frames that are made here (at least 256 KiB). Nobody else takes from it; the outlet's own when that holds for it. */
  readonly arena: Arena;
  readonly mac: Mac;
  readonly mtu: number;
  readonly random: Random;
}

export class EthernetLink implements LinkLayer, NeighborPort, NdLink {
  readonly everybody = EVERYBODY;
  readonly neighbors: NeighborTable;
  readonly arp: Arp;
  readonly nd: Nd;
  readonly macHi: number;
  readonly macLo: number;
  mtu: number;
  readonly drops: Counters<DropName> = dropCounters();
  /** A packet has waited for a neighbour that does not answer. */
  onUndeliverable: (now: number, packet: Uint8Array, isV6: boolean) => void = () => {};

  /** Of the device, and what the network has said; packets are no larger than either. */
  #mtuMax: number;
  #mtuLimit = Number.POSITIVE_INFINITY;
  readonly #slab: Slab;
  readonly #coalescer: TcpCoalescer;
  readonly #outlet: Outlet;
  readonly #arena: Arena;
  readonly #addressing: Addressing;
  readonly #released = new Packet();

  constructor(options: EthernetLinkOptions, addressing: Addressing, addressing6: Ip6Addressing) {
    const { slab, outlet, arena, mac, mtu, random } = options;
    const seed = (): number => randomBelow(random, 2 ** 32) | 0;
    this.#slab = slab;
    this.#coalescer = new TcpCoalescer(slab, outlet.batch);
    this.#outlet = outlet;
    this.#arena = arena;
    this.#addressing = addressing;
    this.macHi = mac.hi;
    this.macLo = mac.lo;
    this.mtu = mtu;
    this.#mtuMax = mtu;
    this.neighbors = new NeighborTable(1, seed(), this);
    this.arp = new Arp(slab, addressing, this);
    this.nd = new Nd(slab, addressing6, this, seed(), random);
  }

  /** The device takes packets of another size from now on. */
  setMtu(mtu: number): void {
    this.#mtuMax = mtu;
    this.mtu = Math.min(mtu, this.#mtuLimit);
  }

  receive(now: number, rx: Batch, row: number, up: NetworkLayer): DropCode {
    const d = this.#slab.view;
    const at = rx.at[row]!;
    const len = rx.len[row]!;
    const bad = etherCheck(d, at, len);
    if (bad !== Drop.None) return bad;
    const dstHi = etherDstHi(d, at);
    const dstLo = etherDstLo(d, at);
    const srcHi = etherSrcHi(d, at);
    if (isGroupMac(srcHi)) return Drop.EtherBadSource;
    const unicast = dstHi === this.macHi && dstLo === this.macLo;
    if (srcHi === this.macHi && etherSrcLo(d, at) === this.macLo) {
      // Switches take us to be where that came from, until we send something. (A broadcast may be our own that came back.)
      if (unicast) this.arp.defend(now);
      return Drop.EtherBadSource;
    }
    const type = etherType(d, at);
    if (!unicast && !isBroadcastMac(dstHi, dstLo) && !(type === ETHERTYPE_IPV6 && dstHi === GROUP_MAC_HI))
      return Drop.EtherNotForUs;
    const packet = at + ETHERNET_HEADER_LEN;
    const avail = len - ETHERNET_HEADER_LEN;
    if (type === ETHERTYPE_IPV4) return up.ip4(now, rx, row, packet, avail, unicast);
    if (type === ETHERTYPE_IPV6) return up.ip6(now, rx, row, packet, avail, unicast);
    if (type !== ETHERTYPE_ARP) return Drop.EtherUnknownType;
    const drop = this.arp.receive(now, packet, avail, unicast);
    if (drop === Drop.None) up.arp();
    return drop;
  }

  limitMtu(mtu = Number.POSITIVE_INFINITY): void {
    this.#mtuLimit = mtu;
    this.mtu = Math.min(mtu, this.#mtuMax);
  }

  frame(len: number): number {
    const outlet = this.#outlet;
    if (
      outlet.batch.room <= SPARE_ROWS ||
      this.#arena.room < len + HEADROOM + TAILROOM + 8 + SPARE_ROWS * SPARE_BYTES
    ) {
      outlet.flush();
      this.#arena.reset();
    }
    return this.#arena.take(len);
  }

  resolve(now: number, hop: Int32Array): number {
    return (hop.length === 1 ? this.neighbors : this.nd.neighbors).lookup(now, hop, 0);
  }

  answerVia(now: number, _request: Packet, hop: Int32Array): number {
    return this.resolve(now, hop);
  }

  output(p: Packet, neighbour: number): DropCode {
    const neighbors = p.isV6 ? this.nd.neighbors : this.neighbors;
    if (p.isV6 && neighbour === EVERYBODY) {
      // In IPv6 everybody is a group: its MAC is in the destination (RFC 2464 7).
      this.#push(p, GROUP_MAC_HI, this.#slab.view.getInt32(p.at + IPV6_DST + 12));
      return Drop.None;
    }
    if (!neighbors.isKnown(neighbour)) return this.#park(p, neighbour, neighbors);
    const plainTcp = p.proto === PROTO_TCP && p.flags === 0 && p.gsoType === GSO_NONE;
    if (plainTcp && this.#coalescer.join(p)) return Drop.None;
    this.#push(p, neighbors.macHi[neighbour]!, neighbors.macLo[neighbour]!);
    if (plainTcp) this.#coalescer.start(p);
    return Drop.None;
  }

  isKnown(neighbour: number, isV6: boolean): boolean {
    return (isV6 ? this.nd : this).neighbors.isKnown(neighbour);
  }

  takesUdpGso(neighbour: number, rows: number, isV6: boolean): boolean {
    return this.#outlet.udpGso === true && this.gathers(neighbour, rows, isV6);
  }

  gathers(neighbour: number, rows: number, isV6: boolean): boolean {
    const outlet = this.#outlet;
    const { neighbors } = isV6 ? this.nd : this;
    // What waits is kept packet by packet.
    if (!neighbors.isKnown(neighbour)) return false;
    // The frame of the headers is taken next: that must not flush what follows.
    if (outlet.batch.room < rows + SPARE_ROWS) outlet.flush();
    return outlet.batch.room >= rows;
  }

  extend(at: number, len: number): void {
    const { batch } = this.#outlet;
    batch.more[batch.count - 1] = 1;
    batch.push(at, len);
  }

  forget(): void {
    this.neighbors.clear();
    this.arp.reset();
  }

  pollAt(): number {
    return Math.min(this.neighbors.pollAt(), this.arp.pollAt(), this.nd.pollAt());
  }

  handleTimeout(now: number): void {
    this.neighbors.handleTimeout(now);
    this.arp.handleTimeout(now);
    this.nd.handleTimeout(now);
  }

  /** Answers an ARP request. */
  answerArp(toMacHi: number, toMacLo: number, toIp: number): void {
    const at = this.frame(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REPLY, toMacHi, toMacLo, toIp, this.#addressing.address);
  }

  /** Tells everybody our MAC (RFC 5227 3, an announcement). */
  announce(): void {
    const at = this.frame(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REQUEST, 0xffff, -1, this.#addressing.address, this.#addressing.address);
  }

  /**
   * Asks for an address as somebody without one: nobody's cache is changed by it (RFC 5227 2.1.1). Who has our own, which is the
   * default, is told to `arp.onConflict`, who has another one to `arp.onHeard`.
   */
  probe(address = this.#addressing.address): void {
    const at = this.frame(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REQUEST, 0xffff, -1, address, 0);
  }

  solicit(n: number, macHi: number, macLo: number): void {
    if (this.#addressing.address === 0) return;
    const at = this.#spareFrame(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REQUEST, macHi, macLo, this.neighbors.words[n]!, this.#addressing.address);
  }

  frame6(len: number, spare: boolean): number {
    const whole = ETHERNET_HEADER_LEN + len;
    return (spare ? this.#spareFrame(whole) : this.frame(whole)) + ETHERNET_HEADER_LEN;
  }

  send6(at: number, len: number, macHi: number, macLo: number): void {
    const start = at - ETHERNET_HEADER_LEN;
    etherEmit(this.#slab.view, start, macHi, macLo, this.macHi, this.macLo, ETHERTYPE_IPV6);
    this.#outlet.batch.push(start, ETHERNET_HEADER_LEN + len);
  }

  release(n: number, parked: readonly Parked[], { macHi, macLo } = this.neighbors, isV6 = false): void {
    const p = this.#released;
    p.isV6 = isV6;
    for (const { bytes, ...vnet } of parked) {
      p.at = this.frame(bytes.length);
      p.len = bytes.length;
      Object.assign(p, vnet);
      this.#slab.bytes.set(bytes, p.at);
      this.#push(p, macHi[n]!, macLo[n]!);
    }
  }

  abandon(_n: number, parked: readonly Parked[], now: number | undefined, isV6 = false): void {
    this.drops.values[Drop.NeighborUnreachable]! += parked.length;
    if (now !== undefined) for (const { bytes } of parked) this.onUndeliverable(now, bytes, isV6);
  }

  conflict(now: number, n: number, otherHi: number, otherLo: number): void {
    this.arp.neighborConflict(now, n, otherHi, otherLo);
  }

  /** Within the spare rows of a frame that is under way, so that this one is not flushed away from under it. */
  #spareFrame(len: number): number {
    const outlet = this.#outlet;
    if (outlet.batch.room === 0 || this.#arena.room < SPARE_BYTES) {
      outlet.flush();
      this.#arena.reset();
    }
    return this.#arena.take(len);
  }

  #park(p: Packet, neighbour: number, neighbors: NeighborTable): DropCode {
    if (!neighbors.hasRoomFor(neighbour, p.len)) return Drop.NeighborPendingFull;
    const { flags, gsoType, gsoSize, hdrLen, csumStart, csumOffset } = p;
    const bytes = this.#slab.bytes.slice(p.at, p.at + p.len);
    neighbors.park(neighbour, { bytes, flags, gsoType, gsoSize, hdrLen, csumStart, csumOffset });
    return Drop.None;
  }

  /** @param toIp target address; the target's MAC is the frame's in a reply, and unknown in a request */
  #arp(at: number, operation: number, dstHi: number, dstLo: number, toIp: number, senderIp: number): void {
    const d = this.#slab.view;
    const body = at + ETHERNET_HEADER_LEN;
    const isReply = operation === ARP_REPLY;
    etherEmit(d, at, dstHi, dstLo, this.macHi, this.macLo, ETHERTYPE_ARP);
    arpEmit(d, body, operation, this.macHi, this.macLo, senderIp, isReply ? dstHi : 0, isReply ? dstLo : 0, toIp);
    this.#outlet.batch.push(at, ETHERNET_HEADER_LEN + ARP_LEN);
  }

  #push(p: Packet, macHi: number, macLo: number): void {
    const { batch } = this.#outlet;
    // The packet's own bytes stay as they are: nothing is taken from the arena before the push.
    if (batch.room === 0) this.#outlet.flush();
    const start = p.at - ETHERNET_HEADER_LEN;
    etherEmit(this.#slab.view, start, macHi, macLo, this.macHi, this.macLo, p.isV6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
    const i = batch.push(start, p.len + ETHERNET_HEADER_LEN);
    batch.flags[i] = p.flags;
    if ((p.flags & VNET_NEEDS_CSUM) !== 0) {
      batch.csumStart[i] = p.csumStart + ETHERNET_HEADER_LEN;
      batch.csumOffset[i] = p.csumOffset;
    }
    if (p.gsoType !== GSO_NONE) {
      batch.gsoType[i] = p.gsoType;
      batch.gsoSize[i] = p.gsoSize;
      batch.hdrLen[i] = p.hdrLen + ETHERNET_HEADER_LEN;
    }
  }
}
