/**
 * Address and port translation of the LAN to one outside address of either family, for TCP, UDP and ICMP echo, and for ICMP
 * errors about them (RFC 3022; RFC 4787, RFC 5382, RFC 5508, RFC 7857 for behaviour). A *forward* lets in what nobody inside has
 * asked for. What a LAN host sends to the outside address goes through outbound() and then through inbound(): it comes back as
 * from outside, with the outside address as its source (RFC 4787 REQ-9, hairpinning).
 *
 * Precondition of outbound() and inbound(): one whole packet of the translator's family (never a fragment: the router reassembles
 * first), whose IP header was checked. The transport header is checked here. Rewritten in place; on a
 * drop nothing was changed. The router makes its own ICMP errors to LAN senders before it calls outbound(), because
 * they must quote the packet as the sender knows it.
 */
import { Counters } from "../../lib/counters.ts";
import type { IpAddress } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import type { Slab } from "../../lib/slab.ts";
import { isAddressAt, readAddress } from "../../lib/words.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Packet } from "../packet.ts";
import { ICMP_HEADER_LEN } from "../wire/icmpv4.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_HEADER_LEN, tcpCheck, tcpDstPort, tcpFlags, tcpSrcPort } from "../wire/tcp.ts";
import { UDP_HEADER_LEN, udpCheck, udpDstPort, udpSrcPort } from "../wire/udp.ts";
import { addressWords, type Forward } from "./bindings.ts";
import { type NatFamily, Quote } from "./family.ts";
import { Sessions } from "./sessions.ts";
import { STATE_ICMP, STATE_UDP_NEW } from "./states.ts";
import { NatTable } from "./table.ts";

const NAT_DEFAULT_LIMIT = 32_768;
/** Sessions that one handleTimeout removes at most; the rest follows at once. */
const EXPIRE_AT_ONCE = 2048;

const COUNTER_NAMES = [
  "created",
  "out",
  "in",
  "errors-out",
  "errors-in",
  "expired",
  "evicted",
  "ports-changed",
  "flushes",
  "forwarded",
] as const;
export type NatCounterName = (typeof COUNTER_NAMES)[number];
const CREATED = 0;
const OUT = 1;
const IN = 2;
const ERRORS_OUT = 3;
const ERRORS_IN = 4;
const EXPIRED = 5;
const EVICTED = 6;
const PORTS_CHANGED = 7;
const FLUSHES = 8;
const FORWARDED = 9;

export interface NatOptions {
  readonly family: NatFamily;
  readonly slab: Slab;
  readonly random: Random;
  /** Sessions, NAT_DEFAULT_LIMIT unless given. */
  readonly limit?: number | undefined;
  /**
   * In a full table the neighbour that has most gives way ({@link Packet.neighbour}), however many addresses it has, and not the
   * inside address that has most.
   */
  readonly sharesByNeighbour?: boolean | undefined;
}

export class Nat {
  readonly #view: DataView;
  readonly #family: NatFamily;
  readonly #table: NatTable;
  readonly #sessions: Sessions;
  readonly #counters = new Counters<NatCounterName>(COUNTER_NAMES);
  /** The outside address; undefined where there is none, and #external, its words, mean nothing. */
  #address: IpAddress | undefined = undefined;
  readonly #external: Int32Array;
  readonly #quote = new Quote();
  readonly #sharesByNeighbour: boolean;
  /** Sessions of the packets that outbound() and inbound() translated last; 0: none, as of an error. */
  #left = 0;
  #arrived = 0;

  constructor(options: NatOptions) {
    this.#view = options.slab.view;
    const { family } = options;
    this.#family = family;
    this.#external = new Int32Array(family.stride);
    this.#table = new NatTable(family.stride, options.limit ?? NAT_DEFAULT_LIMIT, options.random);
    this.#sessions = new Sessions(this.#table);
    this.#sharesByNeighbour = options.sharesByNeighbour === true;
    if (this.#sharesByNeighbour) this.#table.key.holder = new Int32Array(family.stride);
  }

  /** Sessions. */
  get size(): number {
    return this.#table.size;
  }

  get limit(): number {
    return this.#table.limit;
  }

  /** The outside address, undefined where there was none yet. */
  get address(): IpAddress | undefined {
    return this.#address;
  }

  get hasAddress(): boolean {
    return this.#address !== undefined;
  }

  /** Whether the address at that place is the outside address. */
  isOutside(d: DataView, at: number): boolean {
    return this.#address !== undefined && isAddressAt(d, at, this.#external, 0, this.#family.stride);
  }

  /** Sessions of one LAN host. */
  sessionsOf(host: IpAddress): number {
    return this.#table.sessionsOf(addressWords(host, this.#family.stride));
  }

  /** Totals since the start: packets each way, sessions created, expired, evicted, ... */
  get counters(): Counters<NatCounterName> {
    const { values } = this.#counters;
    values[CREATED] = this.#sessions.created;
    values[FORWARDED] = this.#sessions.forwarded;
    values[EXPIRED] = this.#table.expired;
    values[EVICTED] = this.#table.evicted;
    values[PORTS_CHANGED] = this.#table.portsChanged;
    return this.#counters;
  }

  /**
   * Sets the outside address (undefined: none for now, everything is refused). Another one than before forgets all sessions,
   * the same one keeps them.
   * @returns whether sessions were forgotten
   */
  setAddress(address: IpAddress | undefined): boolean {
    const before = this.#address;
    if (address === undefined ? before === undefined : before?.equals(address) === true) return false;
    this.#address = address;
    if (address !== undefined) this.#external.set(addressWords(address, this.#family.stride));
    const flushed = this.#table.size > 0;
    if (flushed) this.#counters.bump(FLUSHES);
    this.#table.clear();
    return flushed;
  }

  /** Keeps an outside port for a socket of this host, whatever the outside address is. @returns false: a session has it */
  reserve(protocol: number, port: number): boolean {
    return this.#table.reserve(protocol, port);
  }

  /** The same for a port that nothing else will do for: sessions that have it end. @returns false: it is a forward's */
  claim(protocol: number, port: number): boolean {
    return this.#table.claim(protocol, port);
  }

  /** Gives a reserved port back. */
  release(protocol: number, port: number): void {
    this.#table.release(protocol, port);
  }

  /** Removes what is overdue. */
  handleTimeout(now: number): void {
    this.#table.expire(now, EXPIRE_AT_ONCE);
  }

  /** When handleTimeout is due next, Infinity when there is no session. */
  pollAt(): number {
    return this.#table.nextExpiry();
  }

  /** Sets the forwards to addresses of this family. Sessions of those that are new or gone end, the others go on. */
  setForwards(forwards: readonly Forward[]): void {
    this.#table.setForwards(forwards);
  }

  /** Whether a packet to the outside address is for somebody inside, or an error about what one has sent; whoever it is from. */
  isForInside(p: Packet): boolean {
    const d = this.#view;
    const { l4, proto } = p;
    const avail = p.at + p.len - l4;
    const family = this.#family;
    if (proto === family.icmp) {
      if (avail < ICMP_HEADER_LEN) return false;
      const type = d.getUint8(l4);
      if (type === family.echoReply) return this.#table.isBound(proto, d.getUint16(l4 + ECHO_ID));
      const quote = this.#quote;
      if (!family.isTranslatedError(type) || family.readQuote(d, l4, avail, family.echoRequest, quote) !== Drop.None)
        return false;
      return this.#table.isBound(quote.proto, quote.srcPort);
    }
    if (proto === PROTO_TCP) return avail >= TCP_HEADER_LEN && this.#table.isBound(proto, tcpDstPort(d, l4));
    return proto === PROTO_UDP && avail >= UDP_HEADER_LEN && this.#table.isBound(proto, udpDstPort(d, l4));
  }

  /** Whether inbound() would let a packet to the outside address in. Not asked of ICMP errors: of those nobody is told. */
  isExpected(now: number, p: Packet): boolean {
    const port = this.#readInbound(p);
    return port >= 0 && (this.#table.isForward(p.proto, port) || this.#table.findOutside(now, port) !== 0);
  }

  /** A packet of a LAN host that goes into the tunnel: its source becomes the outside address and a port. */
  outbound(now: number, p: Packet): DropCode {
    this.#left = 0;
    if (this.#address === undefined) return Drop.NatNoAddress;
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto: protocol } = p;
    const avail = at + p.len - l4;
    const { key } = this.#table;
    key.protocol = protocol;
    readAddress(d, at + family.srcAt, key.inside, 0, family.stride);
    readAddress(d, at + family.dstAt, key.remote, 0, family.stride);
    if (this.#sharesByNeighbour) key.holder[0] = p.neighbour;
    let session: number;
    if (protocol === PROTO_TCP) {
      if (tcpCheck(d, l4, avail) !== Drop.None) return Drop.NatMalformed;
      key.insidePort = tcpSrcPort(d, l4);
      key.remotePort = tcpDstPort(d, l4);
      session = this.#sessions.tcpOut(now, tcpFlags(d, l4));
    } else if (protocol === PROTO_UDP) {
      if (udpCheck(d, l4, avail) !== Drop.None) return Drop.NatMalformed;
      key.insidePort = udpSrcPort(d, l4);
      key.remotePort = udpDstPort(d, l4);
      session = this.#sessions.plainOut(now, STATE_UDP_NEW);
    } else if (protocol === family.icmp) {
      if (avail < ICMP_HEADER_LEN) return Drop.NatMalformed;
      const type = d.getUint8(l4);
      if (family.isTranslatedError(type)) return this.#errorOut(now, at, l4, avail);
      if (type !== family.echoRequest && type !== family.echoReply) return Drop.NatUnsupported;
      key.insidePort = d.getUint16(l4 + ECHO_ID);
      key.remotePort = 0;
      // Nobody outside can have asked but by the inside address itself.
      if (type === family.echoReply && !this.#table.isDirect(this.#table.find(now))) return Drop.NatNoMapping;
      session = this.#sessions.plainOut(now, STATE_ICMP);
    } else {
      return Drop.NatUnsupported;
    }
    if (session <= 0) return Drop.NatTableFull;
    if (this.#table.isDirect(session)) return Drop.None;
    this.#left = session;
    this.#rewrite(p, true, this.#external, 0, this.#table.outsidePort[session]!);
    this.#counters.bump(OUT);
    return Drop.None;
  }

  /** A packet to the outside address: passes as an answer or by a forward; its destination becomes the LAN host and its port. */
  inbound(now: number, p: Packet): DropCode {
    this.#arrived = 0;
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto } = p;
    const avail = at + p.len - l4;
    if (!this.isOutside(d, at + family.dstAt)) return Drop.NatNoMapping;
    if (proto === family.icmp && avail >= ICMP_HEADER_LEN && family.isTranslatedError(d.getUint8(l4)))
      return this.#errorIn(now, at, l4, avail);
    const port = this.#readInbound(p);
    if (port < 0) return -port as DropCode;
    const session =
      proto === PROTO_TCP ? this.#sessions.tcpIn(now, port, tcpFlags(d, l4)) : this.#sessions.plainIn(now, port);
    if (session === 0) return Drop.NatNoMapping;
    this.#arrived = session;
    const table = this.#table;
    this.#rewrite(p, false, table.inside, session * family.stride, table.insidePort(session));
    this.#counters.bump(IN);
    return Drop.None;
  }

  /**
   * A packet from outside to an inside address itself, by which the outside may begin too: it passes unaltered, and so does what
   * answers it.
   */
  direct(now: number, p: Packet): DropCode {
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto } = p;
    const avail = at + p.len - l4;
    const { key } = this.#table;
    key.protocol = proto;
    readAddress(d, at + family.srcAt, key.remote, 0, family.stride);
    readAddress(d, at + family.dstAt, key.inside, 0, family.stride);
    if (proto === family.icmp) {
      if (avail < ICMP_HEADER_LEN) return Drop.NatMalformed;
      const type = d.getUint8(l4);
      if (family.isTranslatedError(type)) return Drop.None;
      if (type !== family.echoRequest) return Drop.NatUnsupported;
      key.insidePort = d.getUint16(l4 + ECHO_ID);
      key.remotePort = 0;
    } else if (proto === PROTO_TCP || proto === PROTO_UDP) {
      const isTcp = proto === PROTO_TCP;
      if ((isTcp ? tcpCheck(d, l4, avail) : udpCheck(d, l4, avail)) !== Drop.None) return Drop.NatMalformed;
      key.insidePort = isTcp ? tcpDstPort(d, l4) : udpDstPort(d, l4);
      key.remotePort = isTcp ? tcpSrcPort(d, l4) : udpSrcPort(d, l4);
    } else {
      return Drop.NatUnsupported;
    }
    if (proto === PROTO_TCP) this.#sessions.directTcp(now, tcpFlags(d, l4));
    else this.#sessions.directPlain(now, proto === PROTO_UDP ? STATE_UDP_NEW : STATE_ICMP);
    return Drop.None;
  }

  /** Gives the packet that outbound() has just translated, and nothing else since, its own source back: for an error about it. */
  undoOutbound(p: Packet): void {
    const session = this.#left;
    const table = this.#table;
    if (session !== 0) this.#rewrite(p, true, table.inside, session * table.stride, table.insidePort(session));
  }

  /** The same for inbound() and the destination. */
  undoInbound(p: Packet): void {
    const session = this.#arrived;
    if (session !== 0) this.#rewrite(p, false, this.#external, 0, this.#table.outsidePort[session]!);
  }

  /**
   * Gives a packet that inbound() let in some time ago the addresses back that it came with, for an error about it; of a hairpin its
   * sender's own source as well. @returns false: it belongs to no session, and is unchanged
   */
  undoKeptInbound(now: number, p: Packet): boolean {
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto } = p;
    const table = this.#table;
    const { key } = table;
    const isEcho = proto === family.icmp;
    if (at + p.len < l4 + UDP_HEADER_LEN || !(isEcho || proto === PROTO_TCP || proto === PROTO_UDP)) return false;
    key.protocol = proto;
    readAddress(d, at + family.dstAt, key.inside, 0, family.stride);
    readAddress(d, at + family.srcAt, key.remote, 0, family.stride);
    key.insidePort = isEcho ? d.getUint16(l4 + ECHO_ID) : udpDstPort(d, l4);
    key.remotePort = isEcho ? 0 : udpSrcPort(d, l4);
    const session = table.find(now);
    if (session === 0 || table.isDirect(session)) return false;
    this.#rewrite(p, false, this.#external, 0, table.outsidePort[session]!);
    if (!this.isOutside(d, at + family.srcAt)) return true;
    key.remote.set(this.#external);
    key.remotePort = udpDstPort(d, l4);
    const asker = table.findOutside(now, udpSrcPort(d, l4));
    if (asker !== 0) this.#rewrite(p, true, table.inside, asker * table.stride, table.insidePort(asker));
    return true;
  }

  /** The same for what outbound() sent on some time ago, and its source. */
  undoKeptOutbound(now: number, p: Packet): boolean {
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto } = p;
    const { key } = this.#table;
    const isEcho = proto === family.icmp;
    if (at + p.len < l4 + UDP_HEADER_LEN || !(isEcho || proto === PROTO_TCP || proto === PROTO_UDP)) return false;
    if (!this.isOutside(d, at + family.srcAt)) return false;
    key.protocol = proto;
    readAddress(d, at + family.dstAt, key.remote, 0, family.stride);
    key.remotePort = isEcho ? 0 : udpDstPort(d, l4);
    const session = this.#table.findOutside(now, isEcho ? d.getUint16(l4 + ECHO_ID) : udpSrcPort(d, l4));
    if (session === 0) return false;
    this.#rewrite(p, true, this.#table.inside, session * family.stride, this.#table.insidePort(session));
    return true;
  }

  #rewrite(p: Packet, isSource: boolean, words: Int32Array, i: number, port: number): void {
    this.#family.rewriteEndpoint(this.#view, p.at, p.l4, p.proto, isSource, words, i, port);
  }

  /** Reads what a packet from outside is found by into the key, but for ICMP errors. @returns the outside port, or minus a drop code */
  #readInbound(p: Packet): number {
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto } = p;
    const avail = at + p.len - l4;
    const { key } = this.#table;
    key.protocol = proto;
    readAddress(d, at + family.srcAt, key.remote, 0, family.stride);
    if (proto === PROTO_TCP) {
      if (tcpCheck(d, l4, avail) !== Drop.None) return -Drop.NatMalformed;
      key.remotePort = tcpSrcPort(d, l4);
      return tcpDstPort(d, l4);
    }
    if (proto === PROTO_UDP) {
      if (udpCheck(d, l4, avail) !== Drop.None) return -Drop.NatMalformed;
      key.remotePort = udpSrcPort(d, l4);
      return udpDstPort(d, l4);
    }
    if (proto !== family.icmp) return -Drop.NatUnsupported;
    if (avail < ICMP_HEADER_LEN) return -Drop.NatMalformed;
    const type = d.getUint8(l4);
    if (type === family.echoRequest) return -Drop.NatNoMapping;
    if (type !== family.echoReply) return -Drop.NatUnsupported;
    key.remotePort = 0;
    return d.getUint16(l4 + ECHO_ID);
  }

  /** An error of a LAN host about a packet that came in: quotes it with the LAN host as destination. */
  #errorOut(now: number, at: number, icmp: number, len: number): DropCode {
    const d = this.#view;
    const family = this.#family;
    const quote = this.#quote;
    // It quotes a packet that came in.
    const bad = family.readQuote(d, icmp, len, family.echoReply, quote);
    if (bad !== Drop.None) return bad;
    const table = this.#table;
    const { key } = table;
    key.protocol = quote.proto;
    readAddress(d, quote.at + family.dstAt, key.inside, 0, family.stride);
    key.insidePort = quote.dstPort;
    readAddress(d, quote.at + family.srcAt, key.remote, 0, family.stride);
    key.remotePort = quote.proto === family.icmp ? 0 : quote.srcPort;
    const session = table.find(now);
    if (session === 0) return Drop.IcmpBadQuote;
    if (table.isDirect(session)) return Drop.None;
    family.rewriteQuote(d, icmp, len, quote, false, this.#external, 0, table.outsidePort[session]!);
    family.rewriteAddress(d, at, icmp, true, this.#external, 0);
    this.#counters.bump(ERRORS_OUT);
    return Drop.None;
  }

  /** An error from outside about a packet that went out: quotes it with the outside address as source. It ends no session (RFC 5508 REQ-6). */
  #errorIn(now: number, at: number, icmp: number, len: number): DropCode {
    const d = this.#view;
    const family = this.#family;
    const quote = this.#quote;
    // It quotes a packet that went out.
    const bad = family.readQuote(d, icmp, len, family.echoRequest, quote);
    if (bad !== Drop.None) return bad;
    if (!this.isOutside(d, quote.at + family.srcAt)) return Drop.IcmpBadQuote;
    const table = this.#table;
    const { key } = table;
    key.protocol = quote.proto;
    readAddress(d, quote.at + family.dstAt, key.remote, 0, family.stride);
    key.remotePort = quote.proto === family.icmp ? 0 : quote.dstPort;
    const session = table.findOutside(now, quote.srcPort);
    if (session === 0) return Drop.IcmpBadQuote;
    const inside = session * family.stride;
    family.rewriteQuote(d, icmp, len, quote, true, table.inside, inside, table.insidePort(session));
    family.rewriteAddress(d, at, icmp, false, table.inside, inside);
    this.#counters.bump(ERRORS_IN);
    return Drop.None;
  }
}

/** Offset of an echo's identifier, in ICMP and ICMPv6; their headers have one length. */
const ECHO_ID = 4;
