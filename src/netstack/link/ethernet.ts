/**
 * The way out of an interface: ARP, Ethernet header in place, fragments.
 *
 * Frames that are made here come from `arena`, which nobody else takes from. When it or the outlet's batch is full, the
 * outlet is flushed (which sends everything) and the arena starts over; so an offset from {@link EthernetLink.frame} is good
 * until the next call of `frame`.
 */

import type { Counters } from "../../lib/counters.ts";
import type { Mac } from "../../lib/mac.ts";
import type { Outlet } from "../../lib/outlet.ts";
import { type Arena, HEADROOM, type Slab, TAILROOM } from "../../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "../drop.ts";
import type { Addressing } from "../ip4/addressing.ts";
import { fragmentCopy, fragmentCount } from "../ip4/fragment.ts";
import { TcpCoalescer } from "../offload/coalesce.ts";
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, arpEmit } from "../wire/arp.ts";
import { ETHERNET_HEADER_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, etherEmit } from "../wire/ethernet.ts";
import { ipv4DontFragment } from "../wire/ipv4.ts";
import { FOUND, NeighborCache, type NeighborPort, type Parked, PENDING } from "./neighbor.ts";

/** Rows that are kept free beside the one that is made, for ARP requests that it may cause. */
const SPARE_ROWS = 4;

export class EthernetLink implements NeighborPort {
  readonly slab: Slab;
  readonly neighbors: NeighborCache;
  readonly macHi: number;
  readonly macLo: number;
  /** Largest IP packet. */
  mtu: number;
  /** What was lost on the way out. */
  readonly drops: Counters<DropName> = dropCounters();

  readonly #coalescer: TcpCoalescer;
  readonly #outlet: Outlet;
  readonly #arena: Arena;
  readonly #addressing: Addressing;
  #id: number;

  /** @param firstId of the IPv4 identifications */
  constructor(
    slab: Slab,
    outlet: Outlet,
    arena: Arena,
    addressing: Addressing,
    mac: Mac,
    mtu: number,
    firstId: number,
  ) {
    this.slab = slab;
    this.#coalescer = new TcpCoalescer(slab, outlet.batch);
    this.#outlet = outlet;
    this.#arena = arena;
    this.#addressing = addressing;
    this.macHi = mac.hi;
    this.macLo = mac.lo;
    this.mtu = mtu;
    this.#id = firstId & 0xffff;
    this.neighbors = new NeighborCache(this);
  }

  /** The next IPv4 identification, or the first of so many. */
  nextId(count = 1): number {
    const id = (this.#id + 1) & 0xffff;
    this.#id = (this.#id + count) & 0xffff;
    return id;
  }

  /** Whether a UDP super-frame of so many rows can be sent to `hop` now: what waits for ARP is kept packet by packet. */
  takesUdpGso(now: number, hop: number, rows: number): boolean {
    const outlet = this.#outlet;
    if (outlet.udpGso !== true || this.neighbors.lookup(now, hop) !== FOUND) return false;
    if (outlet.batch.room < rows) outlet.flush();
    return outlet.batch.room >= rows;
  }

  /** Offset of `len` bytes for an IP packet of our own, with the outlet ready to take it. */
  frame(len: number): number {
    const outlet = this.#outlet;
    if (outlet.batch.room <= SPARE_ROWS || this.#arena.room < len + HEADROOM + TAILROOM + 8 + SPARE_ROWS * 256) {
      outlet.flush();
      this.#arena.reset();
    }
    return this.#arena.take(len);
  }

  /**
   * Sends the IP packet at `at` (14 bytes in front of it are free) to the neighbour `hop`, with vnet fields relative to the
   * packet. NeighborUnreachable and NeighborPendingFull are the refusals; a packet that waits for ARP was copied.
   */
  output(
    now: number,
    at: number,
    len: number,
    hop: number,
    flags: number,
    gsoType: number,
    gsoSize: number,
    hdrLen: number,
    csumStart: number,
    csumOffset: number,
  ): DropCode {
    const neighbors = this.neighbors;
    const found = neighbors.lookup(now, hop);
    if (found === FOUND) {
      this.#push(at, len, neighbors.macHi, neighbors.macLo, flags, gsoType, gsoSize, hdrLen, csumStart, csumOffset);
      return Drop.None;
    }
    if (found !== PENDING) return Drop.NeighborUnreachable;
    if (!neighbors.hasRoomFor(hop, len)) return Drop.NeighborPendingFull;
    const bytes = this.slab.bytes.slice(at, at + len);
    neighbors.park(hop, { bytes, flags, gsoType, gsoSize, hdrLen, csumStart, csumOffset });
    return Drop.None;
  }

  /** Continues the frame that was sent last; before that one {@link takesUdpGso} has said that there is room. */
  extend(at: number, len: number): void {
    const { batch } = this.#outlet;
    batch.more[batch.count - 1] = 1;
    batch.push(at, len);
  }

  /** The same as outputPlain, but a TCP packet that continues the one before it joins that one's frame. */
  outputJoining(now: number, at: number, len: number, hop: number): DropCode {
    if (this.#coalescer.join(at, len)) return Drop.None;
    const drop = this.outputPlain(now, at, len, hop);
    if (drop === Drop.None) this.#coalescer.start(at, len);
    return drop;
  }

  /** Sends a plain IP packet (checksums complete), in fragments where it exceeds the MTU: TooBig where that is forbidden. */
  outputPlain(now: number, at: number, len: number, hop: number): DropCode {
    if (len <= this.mtu) return this.output(now, at, len, hop, 0, 0, 0, 0, 0, 0);
    const d = this.slab.view;
    if (ipv4DontFragment(d, at)) return Drop.TooBig;
    const n = fragmentCount(d, at, this.mtu);
    for (let i = 0; i < n; i++) {
      const to = this.frame(this.mtu);
      const drop = this.output(now, to, fragmentCopy(this.slab, at, i, this.mtu, to), hop, 0, 0, 0, 0, 0, 0);
      if (drop !== Drop.None) return drop;
    }
    return Drop.None;
  }

  /** Sends a plain IP packet of at most the MTU to a MAC that the caller knows. */
  outputTo(at: number, len: number, macHi: number, macLo: number): void {
    this.#push(at, len, macHi, macLo, 0, 0, 0, 0, 0, 0);
  }

  /** Counts a packet that was refused on the way out (None counts nothing), and hands the code back. */
  countDrop(drop: DropCode): DropCode {
    if (drop !== Drop.None) this.drops.bump(drop);
    return drop;
  }

  /** Answers an ARP request. */
  answerArp(toMacHi: number, toMacLo: number, toIp: number): void {
    const at = this.frame(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REPLY, toMacHi, toMacLo, toMacHi, toMacLo, toIp);
  }

  /** Tells everybody our MAC (RFC 5227 3, an announcement). */
  announce(): void {
    const at = this.frame(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REQUEST, 0xffff, -1, 0, 0, this.#addressing.address);
  }

  /** Asks for our own address as somebody without one: nobody's cache is changed by it (RFC 5227 2.1.1). */
  probe(): void {
    const at = this.frame(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REQUEST, 0xffff, -1, 0, 0, this.#addressing.address, 0);
  }

  requestArp(ip: number, macHi: number, macLo: number): void {
    if (this.#addressing.address === 0) return;
    const outlet = this.#outlet;
    // Within the spare rows of a frame that is under way, so that this one is not flushed away from under it.
    if (outlet.batch.room === 0 || this.#arena.room < 256) {
      outlet.flush();
      this.#arena.reset();
    }
    const at = this.#arena.take(ETHERNET_HEADER_LEN + ARP_LEN);
    this.#arp(at, ARP_REQUEST, macHi, macLo, 0, 0, ip);
  }

  release(_ip: number, macHi: number, macLo: number, parked: readonly Parked[]): void {
    for (const p of parked) {
      const len = p.bytes.length;
      const at = this.frame(len);
      if (at < 0) continue;
      this.slab.bytes.set(p.bytes, at);
      this.#push(at, len, macHi, macLo, p.flags, p.gsoType, p.gsoSize, p.hdrLen, p.csumStart, p.csumOffset);
    }
  }

  abandon(_ip: number, parked: readonly Parked[]): void {
    this.drops.values[Drop.NeighborUnreachable]! += parked.length;
  }

  #arp(
    at: number,
    operation: number,
    dstHi: number,
    dstLo: number,
    targetHi: number,
    targetLo: number,
    targetIp: number,
    senderIp = this.#addressing.address,
  ): void {
    const d = this.slab.view;
    etherEmit(d, at, dstHi, dstLo, this.macHi, this.macLo, ETHERTYPE_ARP);
    arpEmit(d, at + ETHERNET_HEADER_LEN, operation, this.macHi, this.macLo, senderIp, targetHi, targetLo, targetIp);
    this.#outlet.batch.push(at, ETHERNET_HEADER_LEN + ARP_LEN);
  }

  #push(
    at: number,
    len: number,
    macHi: number,
    macLo: number,
    flags: number,
    gsoType: number,
    gsoSize: number,
    hdrLen: number,
    csumStart: number,
    csumOffset: number,
  ): void {
    const batch = this.#outlet.batch;
    if (batch.room === 0) {
      // The packet's own bytes stay as they are: nothing is taken from the arena before the push.
      this.#outlet.flush();
    }
    const start = at - ETHERNET_HEADER_LEN;
    etherEmit(this.slab.view, start, macHi, macLo, this.macHi, this.macLo, ETHERTYPE_IPV4);
    const i = batch.push(start, len + ETHERNET_HEADER_LEN);
    batch.flags[i] = flags;
    if ((flags & 1) !== 0) {
      batch.csumStart[i] = csumStart + ETHERNET_HEADER_LEN;
      batch.csumOffset[i] = csumOffset;
    }
    if (gsoType !== 0) {
      batch.gsoType[i] = gsoType;
      batch.gsoSize[i] = gsoSize;
      batch.hdrLen[i] = hdrLen + ETHERNET_HEADER_LEN;
    }
  }
}
