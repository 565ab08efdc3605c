/**
 * Address and port translation of the LAN to one outside address, for TCP, UDP and ICMP echo, and for ICMP errors
 * about them (RFC 3022; RFC 4787, RFC 5382, RFC 5508, RFC 7857 for behaviour).
 *
 * Precondition of outbound() and inbound(): one whole IPv4 packet (never a fragment: the router reassembles first),
 * whose IPv4 header was checked. The transport header is checked here. Rewritten in place; on a
 * drop nothing was changed. The router makes its own ICMP errors to LAN senders before it calls outbound(), because
 * they must quote the packet as the sender knows it.
 */
import { Counters } from "../../lib/counters.ts";
import type { Random } from "../../lib/random.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Packet } from "../packet.ts";
import {
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpCheck,
  icmpEchoId,
  icmpType,
} from "../wire/icmpv4.ts";
import {
  ipv4Dst,
  ipv4PseudoSum,
  ipv4RewriteDst,
  ipv4RewriteSrc,
  ipv4Src,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { TCP_FIN, TCP_RST, TCP_SYN, tcpCheck, tcpDstPort, tcpFlags, tcpSrcPort } from "../wire/tcp.ts";
import { udpCheck, udpDstPort, udpSrcPort } from "../wire/udp.ts";
import {
  QUOTED_ECHO_IN,
  QUOTED_ECHO_OUT,
  quoteCheck,
  quoteDst,
  quoteDstPort,
  quoteProtocol,
  quoteSrc,
  quoteSrcPort,
  rewriteQuote,
} from "./icmp-error.ts";
import { rewriteEndpoint } from "./rewrite.ts";
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
  readonly slab: Slab;
  readonly random: Random;
  /** Sessions, NAT_DEFAULT_LIMIT unless given. */
  readonly limit?: number | undefined;
}

export class Nat {
  readonly #view: DataView;
  readonly #table: NatTable;
  readonly #counters = new Counters<NatCounterName>(COUNTER_NAMES);
  #external = 0;

  constructor(options: NatOptions) {
    this.#view = options.slab.view;
    this.#table = new NatTable(1, options.limit ?? NAT_DEFAULT_LIMIT, options.random);
  }

  /** Sessions. */
  get size(): number {
    return this.#table.size;
  }

  get limit(): number {
    return this.#table.limit;
  }

  /** The outside address (int32), 0 when there is none. */
  get address(): number {
    return this.#external;
  }

  /** Sessions of one LAN host. */
  sessionsOf(host: number): number {
    return this.#table.sessionsOf(Int32Array.of(host));
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
   * Sets the outside address (0: none for now, everything is refused). Another one than before forgets all sessions,
   * the same one keeps them.
   * @returns whether sessions were forgotten
   */
  setAddress(external: number): boolean {
    if (external === this.#external) return false;
    this.#external = external;
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
    if (this.#external === 0) return Drop.NatNoAddress;
    const d = this.#view;
    const { at, l4, proto: protocol } = p;
    const avail = at + p.len - l4;
    const { key } = this.#table;
    key.protocol = protocol;
    key.inside[0] = ipv4Src(d, at);
    key.remote[0] = ipv4Dst(d, at);
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
    } else if (protocol === PROTO_ICMP) {
      if (icmpCheck(d, l4, avail, false) !== Drop.None) return Drop.NatMalformed;
      const type = icmpType(d, l4);
      if (isTranslatedError(type)) return this.#errorOut(now, at, l4, avail);
      if (type === ICMP_ECHO_REPLY) return Drop.NatNoMapping; // nobody outside can have asked
      if (type !== ICMP_ECHO_REQUEST) return Drop.NatUnsupported;
      key.insidePort = icmpEchoId(d, l4);
      key.remotePort = 0;
      session = this.#plainOut(now, STATE_ICMP);
    } else {
      return Drop.NatUnsupported;
    }
    if (session <= 0) return Drop.NatTableFull;
    rewriteEndpoint(d, at, l4, protocol, true, this.#external, this.#table.outsidePort[session]!);
    p.pseudo = ipv4PseudoSum(d, at);
    this.#counters.bump(OUT);
    return Drop.None;
  }

  /** A packet from the tunnel: passes only as an answer; its destination becomes the LAN host and its port. */
  inbound(now: number, p: Packet): DropCode {
    const d = this.#view;
    const { at, l4, proto: protocol } = p;
    const avail = at + p.len - l4;
    const dst = ipv4Dst(d, at);
    if (this.#external === 0 || dst !== this.#external) return Drop.NatNoMapping;
    const table = this.#table;
    const { key } = table;
    key.protocol = protocol;
    key.remote[0] = ipv4Src(d, at);
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
    } else if (protocol === PROTO_ICMP) {
      if (icmpCheck(d, l4, avail, false) !== Drop.None) return Drop.NatMalformed;
      const type = icmpType(d, l4);
      if (isTranslatedError(type)) return this.#errorIn(now, at, l4, avail);
      if (type === ICMP_ECHO_REQUEST) return Drop.NatNoMapping;
      if (type !== ICMP_ECHO_REPLY) return Drop.NatUnsupported;
      key.remotePort = 0;
      session = table.findOutside(now, icmpEchoId(d, l4));
      if (session === 0) return Drop.NatNoMapping;
      table.touch(now, session, STATE_ICMP);
    } else {
      return Drop.NatUnsupported;
    }
    rewriteEndpoint(d, at, l4, protocol, false, table.inside[session]!, table.insidePort[session]!);
    p.pseudo = ipv4PseudoSum(d, at);
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
    const bad = quoteCheck(d, icmp, len, QUOTED_ECHO_IN);
    if (bad !== Drop.None) return bad;
    const table = this.#table;
    const { key } = table;
    key.protocol = quoteProtocol(d, icmp);
    key.inside[0] = quoteDst(d, icmp);
    key.insidePort = quoteDstPort(d, icmp);
    key.remote[0] = quoteSrc(d, icmp);
    key.remotePort = key.protocol === PROTO_ICMP ? 0 : quoteSrcPort(d, icmp);
    const session = table.find(now);
    if (session === 0) return Drop.IcmpBadQuote;
    rewriteQuote(d, icmp, len, false, this.#external, table.outsidePort[session]!);
    ipv4RewriteSrc(d, at, this.#external);
    this.#counters.bump(ERRORS_OUT);
    return Drop.None;
  }

  /** An error from outside about a packet that went out: quotes it with the outside address as source. It ends no session (RFC 5508 REQ-6). */
  #errorIn(now: number, at: number, icmp: number, len: number): DropCode {
    const d = this.#view;
    const bad = quoteCheck(d, icmp, len, QUOTED_ECHO_OUT);
    if (bad !== Drop.None) return bad;
    if (quoteSrc(d, icmp) !== this.#external) return Drop.IcmpBadQuote;
    const table = this.#table;
    const { key } = table;
    key.protocol = quoteProtocol(d, icmp);
    key.remote[0] = quoteDst(d, icmp);
    key.remotePort = key.protocol === PROTO_ICMP ? 0 : quoteDstPort(d, icmp);
    const session = table.findOutside(now, quoteSrcPort(d, icmp));
    if (session === 0) return Drop.IcmpBadQuote;
    const inside = table.inside[session]!;
    rewriteQuote(d, icmp, len, true, inside, table.insidePort[session]!);
    ipv4RewriteDst(d, at, inside);
    this.#counters.bump(ERRORS_IN);
    return Drop.None;
  }
}

/** Redirect and source quench end here: they would only be of use to an attacker (RFC 6633; RFC 5508 10). */
const isTranslatedError = (type: number): boolean =>
  type === ICMP_UNREACHABLE || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM;
