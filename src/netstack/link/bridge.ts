/**
 * A bridge between the LAN and the peers of a tunnel of Ethernet frames (dev tap): IEEE 802.1Q without a spanning tree. No address of
 * ours is in the way: nothing is answered, and nothing but what is said here is altered.
 *
 * A frame: its source is checked and learnt (`mac-table.ts`), what is for a station that is known goes to its port alone, the rest
 * to all others, within a limit. Into the tunnel checksums are complete, a super-frame of the LAN is split, and a SYN announces no more
 * than fits; to the LAN, TCP segments that continue each other leave as one super-frame. VLAN tags stay as they are; a station is one
 * of its VLAN. What a bridge must not forward (01:80:c2:00:00:01 to 0f, IEEE 802.1Q 8.6.3) it does not; what spanning trees
 * say passes, so that those on both sides see a loop that leads through us.
 *
 * Rows are as with the router: what goes on unaltered goes in place, until its outlet is flushed. Since sealing alters the bytes, who
 * gets a copy beside others gets one of his own.
 *
 * In frames (a super-frame is one): fromLan + fromPeers = toLan + toPeer + flooded + the sum of the drops.
 */
import { type Batch, GSO_ECN, GSO_NONE, GSO_UDP_L4, MAX_SEGMENTS } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import type { Mac } from "../../lib/mac.ts";
import { ensureRoom, type Outlet } from "../../lib/outlet.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import { FairLimit } from "../../lib/rate-limit.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "../drop.ts";
import { type Family, IPV4, IPV6 } from "../family.ts";
import { ip4Check } from "../ip4/check.ts";
import { ip6Check } from "../ip6/check.ts";
import { TcpCoalescer } from "../offload/coalesce.ts";
import { clampTo, complete, isSyn, largestTcp, superHeaderLen } from "../offload/form.ts";
import { segmentCount, tcpSegmentCopy, udpSegmentCopy } from "../offload/split.ts";
import { Packet } from "../packet.ts";
import { Peers } from "../peers.ts";
import {
  ETHERNET_HEADER_LEN,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherCheck,
  etherDstHi,
  etherDstLo,
  etherSrcHi,
  etherSrcLo,
  etherType,
  isGroupMac,
} from "../wire/ethernet.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { ExtensionChain } from "../wire/ipv6-ext.ts";
import { MacTable, NO_PORT } from "./mac-table.ts";

export interface BridgeOptions {
  readonly slab: Slab;
  /** Frames to the LAN's device; undefined: there are only the peers. */
  readonly lan: Outlet | undefined;
  /** Frames into the tunnel, by Batch.peer; its arena has room for a super-frame in segments. */
  readonly tunnel: Outlet;
  readonly random: Random;
  /** Peers are numbered below this. */
  readonly maxPeers: number;
}

export interface BridgeTunnel {
  /** Largest packet behind the header of a frame and its VLAN tags. */
  readonly mtu: number;
  /** Largest TCP payload by configuration (mssfix), 0: what follows from the MTU. */
  readonly mssClamp: number;
  /** Peers reach each other, and not the LAN alone. */
  readonly peerToPeer: boolean;
}

export interface BridgePeer {
  readonly mssClamp: number;
  /** The stations that are behind it; undefined: any, as far as the table goes. */
  readonly macs?: readonly Mac[] | undefined;
}

const BRIDGE_COUNTERS = ["fromLan", "fromPeers", "toLan", "toPeer", "flooded"] as const;
const FROM_LAN = 0;
const FROM_PEERS = 1;
const TO_LAN = 2;
const TO_PEER = 3;
const FLOODED = 4;

/** Our choices: stations in all, and of one peer. */
const STATIONS = 4096;
const STATIONS_OF_PEER = 256;
/** Copies that flooding may make a second, and at once: of them a quarter for the frames of one port. */
const COPIES_PER_SECOND = 100_000;
const COPIES_BURST = 40_000;
const PORT_SHARE = 0.25;

/** Ports of the table: 0 is the LAN, peer P is P + 1. */
export const LAN_PORT = 0;

/** IEEE 802.1Q 9.6, 802.1ad: what stands in front of a VLAN's number. */
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_SERVICE_VLAN = 0x88a8;
const VLAN_TAG_LEN = 4;
const VLAN_MASK = 0xfff;
const MAX_TAGS = 2;
/** 01:80:c2:00:00:0x. */
const RESERVED_HI = 0x0180;
const RESERVED_LO = 0xc2000000 | 0;

export class Bridge {
  readonly counters = new Counters<(typeof BRIDGE_COUNTERS)[number]>(BRIDGE_COUNTERS);
  readonly drops: Counters<DropName> = dropCounters();
  readonly stations: MacTable;

  readonly #slab: Slab;
  readonly #lan: Outlet | undefined;
  readonly #tunnel: Outlet;
  readonly #maxPeers: number;
  readonly #coalescer: TcpCoalescer | undefined;
  readonly #floods: FairLimit;
  readonly #peers = new Peers<BridgePeer>();
  /** Those that are there, for flooding. */
  #present: readonly number[] = [];
  #open: BridgeTunnel | undefined = undefined;
  #most = 0;
  readonly #p = new Packet();
  readonly #chain = new ExtensionChain();
  /** Of the frame in hand: bytes in front of what it carries, what that is, and its VLAN in the upper half of a word. */
  #linkLen = 0;
  #type = 0;
  #vlan = 0;
  /** Where the last frame to the LAN begins, which TCP segments may join. */
  #lastToLan = -1;

  constructor({ slab, lan, tunnel, random, maxPeers }: BridgeOptions) {
    const seed = (): number => randomBelow(random, 2 ** 32) | 0;
    this.#slab = slab;
    this.#lan = lan;
    this.#tunnel = tunnel;
    this.#maxPeers = maxPeers;
    this.#coalescer = lan === undefined ? undefined : new TcpCoalescer(slab, lan.batch);
    this.stations = new MacTable(STATIONS, maxPeers + 1, STATIONS_OF_PEER, seed());
    this.#floods = new FairLimit(COPIES_PER_SECOND, COPIES_BURST, PORT_SHARE, seed());
  }

  /** From now on frames pass. */
  open(config: BridgeTunnel): void {
    this.#open = config;
    this.#most = largestTcp(config.mssClamp, config.mtu);
    for (const [peer, one] of this.#peers) this.#peers.set(peer, one, largestTcp(one.mssClamp, config.mtu));
  }

  close(): void {
    this.#open = undefined;
  }

  /** A peer is there from now on, or another one under that number. */
  join(peer: number, config: BridgePeer): void {
    this.leave(peer);
    this.#peers.set(peer, config, largestTcp(config.mssClamp, this.#open?.mtu ?? 0));
    this.#present = [...this.#present, peer];
  }

  /** The peer is not there any more, and none of the stations behind it. */
  leave(peer: number): void {
    if (this.#peers.get(peer) === undefined) return;
    this.#peers.delete(peer);
    this.#present = this.#present.filter((one) => one !== peer);
    this.stations.forget(peer + 1);
  }

  /** Frames that the LAN's device received; they are the bridge's until the outlets are flushed. */
  fromLan(now: number, rx: Batch): void {
    for (let row = 0; row < rx.count; row++) {
      this.counters.bump(FROM_LAN);
      this.#count(this.#pass(now, rx, row, LAN_PORT));
    }
  }

  /** Frames of peers: `rx.peer` says of which. */
  fromPeers(now: number, rx: Batch): void {
    for (let row = 0; row < rx.count; row++) {
      const peer = rx.peer[row]!;
      this.counters.bump(FROM_PEERS);
      const isThere = peer >= 0 && peer < this.#maxPeers && this.#peers.get(peer) !== undefined;
      this.#count(isThere ? this.#pass(now, rx, row, peer + 1) : Drop.PeerGone);
    }
  }

  #count(drop: DropCode): void {
    if (drop !== Drop.None) this.drops.bump(drop);
  }

  #pass(now: number, rx: Batch, row: number, port: number): DropCode {
    const open = this.#open;
    if (open === undefined) return Drop.TunnelClosed;
    const d = this.#slab.view;
    const at = rx.at[row]!;
    const bad = this.#read(d, at, rx.len[row]!);
    if (bad !== Drop.None) return bad;
    const srcHi = etherSrcHi(d, at);
    const srcLo = etherSrcLo(d, at);
    if (isGroupMac(srcHi) || (srcHi === 0 && srcLo === 0)) return Drop.EtherBadSource;
    const dstHi = etherDstHi(d, at);
    const dstLo = etherDstLo(d, at);
    if (dstHi === RESERVED_HI && (dstLo & ~15) === RESERVED_LO && dstLo !== RESERVED_LO) return Drop.BridgeReserved;
    if (port !== LAN_PORT && !this.#hasMac(port - 1, srcHi, srcLo)) return Drop.BridgeForeignMac;
    if (!this.stations.learn(now, srcHi | this.#vlan, srcLo, port)) return Drop.BridgeMacHeld;
    const to = isGroupMac(dstHi) ? NO_PORT : this.stations.find(now, dstHi | this.#vlan, dstLo);
    if (to === port) return Drop.BridgeNoPort;
    if (port !== LAN_PORT && to > LAN_PORT && !open.peerToPeer) return Drop.PeerToPeer;
    const inTunnel = port === LAN_PORT || open.peerToPeer ? this.#present.length - (port === LAN_PORT ? 0 : 1) : 0;
    const toLan = port !== LAN_PORT && this.#lan !== undefined && to <= LAN_PORT;
    const copies = to === NO_PORT ? inTunnel : to === LAN_PORT ? 0 : 1;
    if (copies === 0 && !toLan) return Drop.BridgeNoPort;
    const p = this.#packet(d, rx, row, at);
    const badForm = copies === 0 ? Drop.None : this.#fits(d, p, rx.len[row]!, open.mtu);
    if (badForm !== Drop.None) return badForm;
    if (copies + (toLan ? 1 : 0) > 1 && !this.#floods.take(now, port, Math.min(copies, COPIES_BURST * PORT_SHARE)))
      return Drop.BridgeFlood;
    this.#clamp(d, p, port, to);
    const len = rx.len[row]!;
    if (to > LAN_PORT) this.#intoTunnel(at, len, to - 1, false);
    else if (copies > 0)
      for (const peer of this.#present) if (peer + 1 !== port) this.#intoTunnel(at, len, peer, copies > 1 || toLan);
    if (toLan) this.#toLan(d, p, at, len);
    this.counters.bump(to === NO_PORT ? FLOODED : toLan ? TO_LAN : TO_PEER);
    return Drop.None;
  }

  /** Checks the frame's header and its tags, and notes what they say. */
  #read(d: DataView, at: number, len: number): DropCode {
    const bad = etherCheck(d, at, len);
    if (bad !== Drop.None) return bad;
    let type = etherType(d, at);
    let linkLen = ETHERNET_HEADER_LEN;
    this.#vlan = 0;
    for (let tags = 0; tags < MAX_TAGS && (type === ETHERTYPE_VLAN || type === ETHERTYPE_SERVICE_VLAN); tags++) {
      if (len < linkLen + VLAN_TAG_LEN) return Drop.EtherTruncated;
      if (tags === 0) this.#vlan = (d.getUint16(at + linkLen) & VLAN_MASK) << 16;
      type = d.getUint16(at + linkLen + 2);
      linkLen += VLAN_TAG_LEN;
    }
    this.#linkLen = linkLen;
    this.#type = type;
    return Drop.None;
  }

  #hasMac(peer: number, hi: number, lo: number): boolean {
    const macs = this.#peers.get(peer)?.macs;
    if (macs === undefined) return true;
    for (let i = 0; i < macs.length; i++) if (macs[i]!.lo === lo && macs[i]!.hi === hi) return true;
    return false;
  }

  /** The packet in the frame, as far as it is one of IP: else all behind the header, of no protocol. */
  #packet(d: DataView, rx: Batch, row: number, at: number): Packet {
    const p = this.#p;
    const ip = at + this.#linkLen;
    const avail = rx.len[row]! - this.#linkLen;
    p.isV6 = this.#type === ETHERTYPE_IPV6;
    p.fragmentAt = 0;
    const isIp = p.isV6
      ? ip6Check(d, p, this.#chain, ip, avail) === Drop.None
      : this.#type === ETHERTYPE_IPV4 && ip4Check(d, p, ip, avail) === Drop.None;
    if (!isIp) {
      p.at = ip;
      p.len = avail;
      p.l4 = ip;
      p.proto = -1;
      p.isFragment = false;
    }
    p.setRow(rx, row, ip);
    return p;
  }

  /** Whether the frame can go into the tunnel, where nothing is left to a device: what a device would have done is done, or can be. */
  #fits(d: DataView, p: Packet, len: number, mtu: number): DropCode {
    const gsoType = p.gsoType & ~GSO_ECN;
    if (gsoType === GSO_NONE) {
      const bad = complete(d, p);
      if (bad < 0) return -bad as DropCode;
      return len - this.#linkLen > mtu ? Drop.TooBig : Drop.None;
    }
    const family = familyOf(p);
    const isTcp = gsoType === family.tcpSuper;
    if (!isTcp && gsoType !== GSO_UDP_L4) return Drop.GsoMalformed;
    const headerLen = superHeaderLen(d, p, isTcp);
    if (headerLen < 0) return -headerLen as DropCode;
    if (headerLen + p.gsoSize > mtu && p.len > mtu) return Drop.TooBig;
    return segmentCount(p.len, headerLen, p.gsoSize) > MAX_SEGMENTS ? Drop.GsoTooManySegments : Drop.None;
  }

  #clamp(d: DataView, p: Packet, port: number, to: number): void {
    const family = familyOf(p);
    if (p.proto !== PROTO_TCP || !isSyn(d, family, p)) return;
    let most = this.#peers.limit(port - 1, this.#most);
    if (to > LAN_PORT) most = this.#peers.limit(to - 1, most);
    clampTo(d, family, p, most);
  }

  /** @param isShared others get the frame too */
  #intoTunnel(at: number, len: number, peer: number, isShared: boolean): void {
    const outlet = this.#tunnel;
    const p = this.#p;
    if (p.gsoType !== GSO_NONE) return this.#segments(at, peer);
    let start = at;
    if (isShared) {
      ensureRoom(outlet, 1, len);
      start = outlet.arena.take(len);
      this.#slab.bytes.copyWithin(start, at, at + len);
    } else if (outlet.batch.room === 0) {
      outlet.flush();
    }
    outlet.batch.peer[outlet.batch.push(start, len)] = peer;
  }

  /** The super-frame in hand as frames, each with the header of all. */
  #segments(at: number, peer: number): void {
    const outlet = this.#tunnel;
    const slab = this.#slab;
    const p = this.#p;
    const isTcp = p.proto === PROTO_TCP;
    const headerLen = superHeaderLen(slab.view, p, isTcp);
    const size = Math.max(1, Math.min(p.gsoSize, p.len - headerLen));
    const n = segmentCount(p.len, headerLen, size);
    const linkLen = p.at - at;
    const copy = isTcp ? tcpSegmentCopy : udpSegmentCopy;
    for (let i = 0; i < n; i++) {
      ensureRoom(outlet, 1, linkLen + headerLen + size);
      const start = outlet.arena.take(linkLen + headerLen + size);
      slab.bytes.copyWithin(start, at, at + linkLen);
      const len = linkLen + copy(slab, p, headerLen, size, i, start + linkLen);
      outlet.batch.peer[outlet.batch.push(start, len)] = peer;
    }
  }

  #toLan(d: DataView, p: Packet, at: number, len: number): void {
    const outlet = this.#lan!;
    const coalescer = this.#coalescer!;
    // Frames are joined by their packets: their headers have to be the same as well, and nothing may lie behind the packet.
    const isPlainTcp = p.proto === PROTO_TCP && this.#linkLen === ETHERNET_HEADER_LEN && p.at + p.len === at + len;
    if (isPlainTcp && this.#lastToLan >= 0 && sameHeader(d, this.#lastToLan, at) && coalescer.join(p)) return;
    if (outlet.batch.room === 0) outlet.flush();
    outlet.batch.push(at, len);
    this.#lastToLan = isPlainTcp ? at : -1;
    if (isPlainTcp) coalescer.start(p);
  }
}

const familyOf = (p: Packet): Family => (p.isV6 ? IPV6 : IPV4);

/** Whether two frames have the same Ethernet header. */
const sameHeader = (d: DataView, a: number, b: number): boolean =>
  d.getInt32(a) === d.getInt32(b) &&
  d.getInt32(a + 4) === d.getInt32(b + 4) &&
  d.getInt32(a + 8) === d.getInt32(b + 8) &&
  d.getUint16(a + 12) === d.getUint16(b + 12);
