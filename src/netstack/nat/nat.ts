/**
 * Address and port translation of the LAN to one outside address of either family, for TCP, UDP and ICMP echo, and for ICMP
 * errors about them (RFC 3022; RFC 4787, RFC 5382, RFC 5508, RFC 7857 for behaviour).
 *
 * Precondition of outbound() and inbound(): one whole packet of the translator's family (never a fragment: the router reassembles
 * first), whose IP header was checked. The transport header is checked here. Rewritten in place; on a
 * drop nothing was changed. The router makes its own ICMP errors to LAN senders before it calls outbound(), because
 * they must quote the packet as the sender knows it.
 */
import { Counters } from "../../lib/counters.ts";
import { type IpAddress, wordsOf } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Packet } from "../packet.ts";
import { ICMP_HEADER_LEN } from "../wire/icmpv4.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_FIN, TCP_RST, TCP_SYN, tcpCheck, tcpDstPort, tcpFlags, tcpSrcPort } from "../wire/tcp.ts";
import { udpCheck, udpDstPort, udpSrcPort } from "../wire/udp.ts";
import { type NatFamily, Quote } from "./family.ts";
import {
  NatTable,
  STATE_ICMP,
  STATE_TCP_CLOSING,
  STATE_TCP_ESTABLISHED,
  STATE_TCP_PICKUP,
  STATE_TCP_RESET,
  STATE_TCP_SYN,
  STATE_TCP_SYN_ACK,
  STATE_UDP,
  STATE_UDP_NEW,
  TCP_FIN_IN,
  TCP_FIN_OUT,
} from "./table.ts";

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

export interface NatOptions {
  readonly family: NatFamily;
  readonly slab: Slab;
  readonly random: Random;
  /** Sessions, NAT_DEFAULT_LIMIT unless given. */
  readonly limit?: number | undefined;
}

export class Nat {
  readonly #view: DataView;
  readonly #family: NatFamily;
  readonly #table: NatTable;
  readonly #counters = new Counters<NatCounterName>(COUNTER_NAMES);
  /** The outside address; undefined where there is none, and #external, its words, mean nothing. */
  #address: IpAddress | undefined = undefined;
  readonly #external: Int32Array;
  readonly #quote = new Quote();

  constructor(options: NatOptions) {
    this.#view = options.slab.view;
    const { family } = options;
    this.#family = family;
    this.#external = new Int32Array(family.stride);
    this.#table = new NatTable(family.stride, options.limit ?? NAT_DEFAULT_LIMIT, options.random);
  }

  /** Sessions. */
  get size(): number {
    return this.#table.size;
  }

  get limit(): number {
    return this.#table.limit;
  }

  /** Whether the address at that place is the outside address. */
  isOutside(d: DataView, at: number): boolean {
    if (this.#address === undefined) return false;
    const own = this.#external;
    for (let k = 0; k < own.length; k++) if (d.getInt32(at + 4 * k) !== own[k]) return false;
    return true;
  }

  /** Sessions of one LAN host. */
  sessionsOf(host: IpAddress): number {
    return this.#table.sessionsOf(keyOf(host, this.#family.stride));
  }

  /** Totals since the start: packets each way, sessions created, expired, evicted, ... */
  get counters(): Counters<NatCounterName> {
    const { values } = this.#counters;
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
    if (address !== undefined) this.#external.set(keyOf(address, this.#family.stride));
    const flushed = this.#table.size > 0;
    if (flushed) this.#counters.bump(FLUSHES);
    this.#table.clear();
    return flushed;
  }

  /** Keeps an outside port for a socket of this host, whatever the outside address is. @returns false: a session has it */
  reserve(protocol: number, port: number): boolean {
    return this.#table.reserve(protocol, port);
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

  /** A packet of a LAN host that goes into the tunnel: its source becomes the outside address and a port. */
  outbound(now: number, p: Packet): DropCode {
    if (this.#address === undefined) return Drop.NatNoAddress;
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto: protocol } = p;
    const avail = at + p.len - l4;
    const { key } = this.#table;
    key.protocol = protocol;
    readWords(d, at + family.srcAt, key.inside);
    readWords(d, at + family.dstAt, key.remote);
    let session: number;
    if (protocol === PROTO_TCP) {
      if (tcpCheck(d, l4, avail) !== Drop.None) return Drop.NatMalformed;
      key.insidePort = tcpSrcPort(d, l4);
      key.remotePort = tcpDstPort(d, l4);
      session = this.#tcpOut(now, tcpFlags(d, l4));
    } else if (protocol === PROTO_UDP) {
      if (udpCheck(d, l4, avail) !== Drop.None) return Drop.NatMalformed;
      key.insidePort = udpSrcPort(d, l4);
      key.remotePort = udpDstPort(d, l4);
      session = this.#plainOut(now, STATE_UDP_NEW);
    } else if (protocol === family.icmp) {
      if (avail < ICMP_HEADER_LEN) return Drop.NatMalformed;
      const type = d.getUint8(l4);
      if (family.isTranslatedError(type)) return this.#errorOut(now, at, l4, avail);
      if (type === family.echoReply) return Drop.NatNoMapping; // nobody outside can have asked
      if (type !== family.echoRequest) return Drop.NatUnsupported;
      key.insidePort = d.getUint16(l4 + ECHO_ID);
      key.remotePort = 0;
      session = this.#plainOut(now, STATE_ICMP);
    } else {
      return Drop.NatUnsupported;
    }
    if (session <= 0) return Drop.NatTableFull;
    family.rewriteEndpoint(d, at, l4, protocol, true, this.#external, 0, this.#table.outsidePort[session]!);
    p.pseudo = family.pseudo(d, at, protocol);
    this.#counters.bump(OUT);
    return Drop.None;
  }

  /** A packet from the tunnel: passes only as an answer; its destination becomes the LAN host and its port. */
  inbound(now: number, p: Packet): DropCode {
    const d = this.#view;
    const family = this.#family;
    const { at, l4, proto: protocol } = p;
    const avail = at + p.len - l4;
    if (!this.isOutside(d, at + family.dstAt)) return Drop.NatNoMapping;
    const table = this.#table;
    const { key } = table;
    key.protocol = protocol;
    readWords(d, at + family.srcAt, key.remote);
    let session: number;
    if (protocol === PROTO_TCP) {
      if (tcpCheck(d, l4, avail) !== Drop.None) return Drop.NatMalformed;
      key.remotePort = tcpSrcPort(d, l4);
      session = table.findOutside(now, tcpDstPort(d, l4));
      if (session === 0) return Drop.NatNoMapping;
      this.#tcpIn(now, session, tcpFlags(d, l4));
    } else if (protocol === PROTO_UDP) {
      if (udpCheck(d, l4, avail) !== Drop.None) return Drop.NatMalformed;
      key.remotePort = udpSrcPort(d, l4);
      session = table.findOutside(now, udpDstPort(d, l4));
      if (session === 0) return Drop.NatNoMapping;
      table.touch(now, session, STATE_UDP);
    } else if (protocol === family.icmp) {
      if (avail < ICMP_HEADER_LEN) return Drop.NatMalformed;
      const type = d.getUint8(l4);
      if (family.isTranslatedError(type)) return this.#errorIn(now, at, l4, avail);
      if (type === family.echoRequest) return Drop.NatNoMapping;
      if (type !== family.echoReply) return Drop.NatUnsupported;
      key.remotePort = 0;
      session = table.findOutside(now, d.getUint16(l4 + ECHO_ID));
      if (session === 0) return Drop.NatNoMapping;
      table.touch(now, session, STATE_ICMP);
    } else {
      return Drop.NatUnsupported;
    }
    const inside = session * family.stride;
    family.rewriteEndpoint(d, at, l4, protocol, false, table.inside, inside, table.insidePort[session]!);
    p.pseudo = family.pseudo(d, at, protocol);
    this.#counters.bump(IN);
    return Drop.None;
  }

  /** Finds or makes the key's session, of a UDP datagram or an echo request. */
  #plainOut(now: number, state: number): number {
    const session = this.#table.find(now);
    if (session === 0) return this.#create(now, state);
    this.#table.touch(now, session, this.#table.state[session]!);
    return session;
  }

  #tcpOut(now: number, flags: number): number {
    const table = this.#table;
    const session = table.find(now);
    const opens = (flags & (TCP_SYN | TCP_RST)) === TCP_SYN;
    if (session === 0) {
      // A connection that began before this table did (a restart of the router) goes on, for as long as it is answered.
      const state = (flags & TCP_RST) !== 0 ? STATE_TCP_RESET : opens ? STATE_TCP_SYN : STATE_TCP_PICKUP;
      return this.#create(now, state);
    }
    let state = table.state[session]!;
    if ((flags & TCP_RST) !== 0) {
      state = STATE_TCP_RESET;
    } else if (opens) {
      // A new connection from the port of one that has ended, or that one side has (RFC 7857 2.3); a repeated SYN changes nothing.
      if (state === STATE_TCP_RESET || table.fins[session] !== 0) {
        state = STATE_TCP_SYN;
        table.fins[session] = 0;
      }
    } else {
      if (state === STATE_TCP_SYN_ACK) state = STATE_TCP_ESTABLISHED;
      else if (state === STATE_TCP_RESET) state = STATE_TCP_PICKUP;
      if ((flags & TCP_FIN) !== 0) state = this.#finished(session, TCP_FIN_OUT, state);
    }
    table.touch(now, session, state);
    return session;
  }

  #tcpIn(now: number, session: number, flags: number): void {
    const table = this.#table;
    let state = table.state[session]!;
    if ((flags & TCP_RST) !== 0) {
      state = STATE_TCP_RESET;
    } else if (state === STATE_TCP_SYN) {
      if ((flags & TCP_SYN) !== 0) state = STATE_TCP_SYN_ACK;
    } else if (state === STATE_TCP_PICKUP) {
      state = STATE_TCP_ESTABLISHED;
    }
    if ((flags & TCP_FIN) !== 0) state = this.#finished(session, TCP_FIN_IN, state);
    // Something from outside alone must not keep alive what was reset.
    if (state !== STATE_TCP_RESET || table.state[session] !== STATE_TCP_RESET) table.touch(now, session, state);
  }

  #finished(session: number, side: number, state: number): number {
    const fins = this.#table.fins[session]! | side;
    this.#table.fins[session] = fins;
    return fins === (TCP_FIN_OUT | TCP_FIN_IN) && state !== STATE_TCP_RESET ? STATE_TCP_CLOSING : state;
  }

  #create(now: number, state: number): number {
    const session = this.#table.create(now, state);
    if (session > 0) this.#counters.bump(CREATED);
    return session;
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
    readWords(d, quote.at + family.dstAt, key.inside);
    key.insidePort = quote.dstPort;
    readWords(d, quote.at + family.srcAt, key.remote);
    key.remotePort = quote.proto === family.icmp ? 0 : quote.srcPort;
    const session = table.find(now);
    if (session === 0) return Drop.IcmpBadQuote;
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
    readWords(d, quote.at + family.dstAt, key.remote);
    key.remotePort = quote.proto === family.icmp ? 0 : quote.dstPort;
    const session = table.findOutside(now, quote.srcPort);
    if (session === 0) return Drop.IcmpBadQuote;
    const inside = session * family.stride;
    family.rewriteQuote(d, icmp, len, quote, true, table.inside, inside, table.insidePort[session]!);
    family.rewriteAddress(d, at, icmp, false, table.inside, inside);
    this.#counters.bump(ERRORS_IN);
    return Drop.None;
  }
}

/** Offset of an echo's identifier, in ICMP and ICMPv6; their headers have one length. */
const ECHO_ID = 4;

function readWords(d: DataView, at: number, words: Int32Array): void {
  for (let k = 0; k < words.length; k++) words[k] = d.getInt32(at + 4 * k);
}

const keyOf = (address: IpAddress, stride: 1 | 4): Int32Array =>
  stride === 1 ? Int32Array.of(address.w3) : wordsOf(address);
