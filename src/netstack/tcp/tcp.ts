/**
 * TCP of one interface, both families (RFC 9293): whose a segment is, listeners, connections that we begin, and the turn of all of
 * them. Sans I/O: segments and time in, rows of the link's outlet out.
 *
 * Way in: ip4/deliver.ts -> receive -> receive.ts (connection) | backlog.ts (SYN, half open) | time-wait.ts.
 * Way out: what was touched waits for `transmit`, which the interface calls behind each batch and in its handleTimeout; send.ts
 * decides, writer.ts writes.
 *
 * Bounds: connections, half-open ones and those in TIME-WAIT are rows of one table of fixed size; what they buffer are pages
 * of one pool, which no connection may take for itself (pages.ts).
 */
import type { Counters } from "../../lib/counters.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import { seqAdd, seqLess } from "../../lib/seq32.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import { type Packet, pseudoOf } from "../packet.ts";
import type { PortOwner } from "../port-owner.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_HEADER_LEN,
  TCP_RST,
  TCP_SYN,
  tcpCheck,
  tcpChecksumValid,
  tcpDstPort,
  tcpSrcPort,
} from "../wire/tcp.ts";
import { establish } from "./acknowledge.ts";
import { Backlog, type Handshake, LATER } from "./backlog.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import {
  ACCEPTED,
  PATH_MTU_ERRORS,
  REFUSED,
  SEGMENTS_RECEIVED,
  SOFT_ERRORS,
  type TcpCounter,
  TIME_WAIT_REUSED,
} from "./counters.ts";
import { Engine } from "./engine.ts";
import { FLOW_CONNECTION, FLOW_HALF_OPEN, FLOW_TIME_WAIT, TUPLE_PORTS, TUPLE_REMOTE, TUPLE_WORDS } from "./flows.ts";
import type { IpPort } from "./ip-port.ts";
import { ListenSocket, type ListenSocketOptions } from "./listen-socket.ts";
import { LocalPorts } from "./local-ports.ts";
import type { PagePool } from "./pages.ts";
import { receive } from "./receive.ts";
import { Segment } from "./segment.ts";
import { fitMss, stampOf, transmit } from "./send.ts";
import { SYN_RECEIVED, SYN_SENT } from "./state.ts";
import { TimeWait } from "./time-wait.ts";
import { handleDue } from "./timers.ts";

export interface TcpOptions {
  /** Memory of all that is buffered. */
  readonly pool: PagePool;
  /** Connections at most (default 1024), half-open ones (256), those in TIME-WAIT (1024). */
  readonly connections?: number;
  readonly halfOpen?: number;
  readonly timeWait?: number;
}

/** Why a connection cannot even be tried: there is no address to send from, no free port, or the table is full. */
type ConnectProblem = "no-address" | "no-port" | "full";

/** What the network says of a segment of ours (RFC 1122 4.2.3.9, RFC 5461). */
export const ERROR_SOFT = 0;
export const ERROR_HARD = 1;
export const ERROR_TOO_BIG = 2;

/** What is done of what is due in one call; the rest is due at the next. */
const DUE_BUDGET = 256;
/** RFC 1191 5: a router that says no size. */
const UNSAID_MTU = 1280;

export class Tcp {
  readonly #engine: Engine;
  readonly #slab: Slab;
  readonly #v4: IpPort;
  readonly #v6: IpPort | undefined;
  readonly #limit: number;
  readonly #backlog: Backlog;
  readonly #timeWait: TimeWait;
  readonly #listeners = new Map<number, ListenSocket>();
  readonly #tuple = new Int32Array(TUPLE_WORDS);
  readonly #segment = new Segment();
  readonly #ports: LocalPorts;

  /** @param v4,v6 IP of the interface */
  constructor(slab: Slab, random: Random, v4: IpPort, v6: IpPort | undefined, options: TcpOptions) {
    const { connections = 1024, halfOpen = 256, timeWait = 1024 } = options;
    this.#slab = slab;
    this.#v4 = v4;
    this.#v6 = v6;
    this.#limit = connections;
    this.#engine = new Engine(slab, options.pool, random, v4, connections + halfOpen + timeWait);
    this.#backlog = new Backlog(this.#engine, halfOpen, random, (now, listener, ip, row, shake) =>
      this.#promote(now, listener, ip, row, shake),
    );
    this.#timeWait = new TimeWait(this.#engine, timeWait);
    this.#ports = new LocalPorts(random, this.#engine.flows, (port) => this.#listeners.has(port));
  }

  /** All of them are asked before a port is taken to connect from. */
  set owners(owners: readonly PortOwner[]) {
    this.#ports.owners = owners;
  }

  /** Whether {@link pollReady} has a connection. */
  get isReady(): boolean {
    return this.#engine.hasReady;
  }

  /** Whether a packet that came is of a connection here; nothing of it is checked but that its ports are there. */
  has(p: Packet, ip: IpPort): boolean {
    // Asked of every segment for a translator's outside, where most often there is none of our own.
    if (this.#engine.flows.count === 0 || p.at + p.len - p.l4 < TCP_HEADER_LEN) return false;
    const d = this.#slab.view;
    ip.addresses(p, this.#tuple);
    this.#tuple[TUPLE_PORTS] = (tcpDstPort(d, p.l4) << 16) | tcpSrcPort(d, p.l4);
    return this.#engine.flows.find(this.#tuple) !== 0;
  }

  get counters(): Counters<TcpCounter> {
    return this.#engine.counters;
  }

  /** How many there are of each kind now. */
  get census(): { readonly connections: number; readonly halfOpen: number; readonly timeWait: number } {
    return { connections: this.#engine.open, halfOpen: this.#backlog.count, timeWait: this.#timeWait.count };
  }

  /** Accepts connections to a port, which a translator gives up for it; undefined: somebody does already. */
  listen(port: number, options: ListenSocketOptions = {}): ListenSocket | undefined {
    if (this.#listeners.has(port) || !this.#ports.claim(port)) return undefined;
    const listener = new ListenSocket(port, options);
    this.#listeners.set(port, listener);
    return listener;
  }

  /** The four words of the address of ours that a connection is to; undefined: it is over. */
  ownAddress({ row }: Connection): Int32Array | undefined {
    const at = row * TUPLE_WORDS;
    return row === 0 ? undefined : this.#engine.flows.words.slice(at, at + TUPLE_REMOTE);
  }

  /** No more are accepted; those that wait are broken off. */
  unlisten(listener: ListenSocket): void {
    if (this.#listeners.get(listener.port) === listener) {
      this.#listeners.delete(listener.port);
      this.#ports.unclaim(listener.port);
    }
    listener.isClosed = true;
    for (let c = listener.accept(); c !== undefined; c = listener.accept()) c.abort();
  }

  /**
   * Begins a connection. CONNECTED or ENDED follows. The caller closes or aborts it in the end.
   * @param localPort that it is begun from; undefined: any
   */
  connect(
    now: number,
    remote: Endpoint,
    options: ConnectionOptions = {},
    localPort?: number,
  ): Connection | ConnectProblem {
    const e = this.#engine;
    const ip = remote.address.isIpv4 ? this.#v4 : this.#v6;
    const tuple = this.#tuple;
    const { w0, w1, w2, w3 } = remote.address;
    tuple.set([w0, w1, w2, w3], TUPLE_REMOTE);
    if (ip === undefined || !ip.source(tuple)) return "no-address";
    if (e.open >= this.#limit) return "full";
    const port =
      localPort === undefined
        ? this.#ports.take(tuple, remote.port)
        : this.#takeFixed(now, tuple, remote.port, localPort);
    if (port === 0) return "no-port";
    const row = e.flows.add(tuple, FLOW_CONNECTION);
    if (row === 0) {
      this.#ports.release(port);
      return "full";
    }
    const c = new Connection(e, ip, e.pool, remote, port, options);
    this.#adopt(c, row);
    c.stateCode = SYN_SENT;
    c.una = e.isnOf(now, tuple, 0);
    c.nxt = seqAdd(c.una, 1);
    c.sendBase = c.nxt;
    c.board.reset(c.nxt, c.mss);
    c.pathMtu = ip.mtu;
    c.hasEcn = options.ecn ?? false;
    c.hasSack = true;
    c.hasTimestamps = true;
    c.hasScale = true;
    c.tsOffset = e.stampOffsetOf(tuple, 0);
    e.touch(c);
    return c;
  }

  /** The next connection that has events ({@link Connection.takeEvents}); it may still wait in its listener. */
  pollReady(): Connection | undefined {
    return this.#engine.takeReady();
  }

  /**
   * Handles the segment in `p`. TcpNoPort: nobody has it, and the caller may answer with a reset.
   * @param known the checksum was verified, or has yet to be made
   */
  receive(now: number, p: Packet, ip: IpPort, known: boolean): DropCode {
    const d = this.#slab.view;
    const len = p.at + p.len - p.l4;
    const bad = tcpCheck(d, p.l4, len);
    if (bad !== Drop.None) return bad;
    if (!known && !tcpChecksumValid(d, p.l4, len, pseudoOf(d, p))) return Drop.TcpBadChecksum;
    const e = this.#engine;
    const seg = this.#segment;
    const tuple = this.#tuple;
    seg.read(d, p, ip.isMarked(p));
    e.counters.bump(SEGMENTS_RECEIVED);
    ip.addresses(p, tuple);
    tuple[TUPLE_PORTS] = (seg.localPort << 16) | seg.remotePort;
    const row = e.flows.find(tuple);
    if (row === 0) return this.#unknown(now, seg, ip, p, undefined);
    switch (e.flows.kind[row]) {
      case FLOW_HALF_OPEN:
        if (this.#backlog.answersCookie(now, row, tuple, seg)) {
          this.#backlog.remove(row);
          return this.#unknown(now, seg, ip, p, undefined);
        }
        if (!this.#backlog.segment(now, row, this.#listeners.get(seg.localPort), seg, ip, p)) return Drop.None;
        break;
      case FLOW_TIME_WAIT:
        if (!this.#timeWait.receive(now, row, seg, ip)) return Drop.None;
        e.counters.bump(TIME_WAIT_REUSED);
        return this.#unknown(now, seg, ip, p, this.#timeWait.lastSent);
    }
    return receive(e, e.connections[row]!, now, seg, this.#timeWait);
  }

  /**
   * Handles an ICMP error about a segment of ours: anybody can forge one, so it has to name a sequence number that is under
   * way (RFC 5927 4), and ends nothing but an attempt to connect.
   * @param tuple of the segment that it quotes @param seq its sequence number
   * @param kind ERROR_SOFT, ERROR_HARD or ERROR_TOO_BIG @param mtu that the router names, 0: none
   */
  receiveError(tuple: Int32Array, seq: number, kind: number, mtu: number): DropCode {
    const e = this.#engine;
    const row = e.flows.find(tuple);
    if (row === 0) return Drop.IcmpBadQuote;
    if (e.flows.kind[row] !== FLOW_CONNECTION) {
      if (e.flows.kind[row] === FLOW_HALF_OPEN && !this.#backlog.isSequence(row, seq)) return Drop.IcmpBadQuote;
      return Drop.None;
    }
    const c = e.connections[row]!;
    if (seqLess(seq, c.una) || !seqLess(seq, c.nxt)) return Drop.IcmpBadQuote;
    if (kind === ERROR_TOO_BIG) return this.#tooBig(c, mtu);
    e.counters.bump(SOFT_ERRORS);
    if (kind === ERROR_HARD && (c.stateCode === SYN_SENT || c.stateCode === SYN_RECEIVED)) {
      e.counters.bump(REFUSED);
      e.finish(c, "refused");
    } else c.softError = true;
    return Drop.None;
  }

  /** Ends the connections whose local address is not ours any more. */
  addressesChanged(): void {
    const e = this.#engine;
    for (const c of e.connections) {
      if (c !== undefined && !c.ip.isOwn(e.flows.words, c.row * TUPLE_WORDS)) e.finish(c, "address-lost");
    }
  }

  /** Sends what the connections that were touched may send. Bounded: each has one turn. */
  transmit(now: number): void {
    const e = this.#engine;
    let again: Connection | undefined;
    for (let c = e.takeTouched(); c !== undefined && c !== again; c = e.takeTouched()) {
      if (!transmit(e, c, now)) continue;
      again ??= c;
      e.touch(c);
    }
    if (again !== undefined) e.touch(again);
  }

  /** When handleTimeout wants to be called, absolute ms; 0: at once. */
  pollAt(): number {
    const e = this.#engine;
    return e.hasTouched ? 0 : Math.min(e.deadlines.firstAt, this.#timeWait.pollAt());
  }

  handleTimeout(now: number): void {
    const e = this.#engine;
    let left = this.#timeWait.handleTimeout(now, DUE_BUDGET);
    for (; left > 0 && e.deadlines.firstAt <= now; left--) {
      const row = e.deadlines.first;
      e.deadlines.set(row, Number.POSITIVE_INFINITY);
      const c = e.connections[row];
      if (c !== undefined) handleDue(e, c, now);
      else this.#backlog.handleDue(now, row, this.#listenerOf(row), this.#ipOf(row));
    }
    this.transmit(now);
  }

  /** RFC 9293 3.10.7.1 and 3.10.7.2: no connection has it. */
  #unknown(now: number, seg: Segment, ip: IpPort, p: Packet, beyond: number | undefined): DropCode {
    const listener = this.#listeners.get(seg.localPort);
    if (listener === undefined) return Drop.TcpNoPort;
    const tuple = this.#tuple;
    if (seg.has(TCP_RST) || listener.options.listensAt?.(tuple) === false) return Drop.TcpNoPort;
    if (seg.has(TCP_ACK)) {
      const row = seg.has(TCP_SYN) ? 0 : this.#backlog.cookie(now, listener, tuple, seg, ip);
      if (row === 0) return Drop.TcpNoPort;
      if (row === LATER) return Drop.TcpBacklogFull;
      const e = this.#engine;
      return receive(e, e.connections[row]!, now, seg, this.#timeWait);
    }
    if (!seg.has(TCP_SYN) || seg.has(TCP_FIN)) return Drop.TcpUnacceptable;
    return this.#backlog.syn(now, listener, tuple, seg, ip, p, beyond);
  }

  /** Makes the connection of a handshake that is over. */
  /** @returns the port, 0: it is in use. What is left of a connection between the same ends gives way to the new one. */
  #takeFixed(now: number, tuple: Int32Array, remotePort: number, port: number): number {
    const e = this.#engine;
    tuple[TUPLE_PORTS] = (port << 16) | remotePort;
    const row = e.flows.find(tuple);
    if (row !== 0) {
      const before = e.connections[row];
      // The numbers of the new one go on from a clock, and so do its timestamps, which tell what is late (RFC 6191 2, RFC 7323 5).
      if (e.flows.kind[row] === FLOW_TIME_WAIT) this.#timeWait.remove(row);
      // Its reset goes first.
      else if (before?.isAborted === true) transmit(e, before, now);
      else return 0;
    }
    return this.#ports.takeFixed(port) ? port : 0;
  }

  #promote(now: number, listener: ListenSocket, ip: IpPort, row: number, shake: Handshake): boolean {
    const e = this.#engine;
    if (e.open >= this.#limit) return false;
    const { words } = e.flows;
    const at = row * TUPLE_WORDS + TUPLE_REMOTE;
    const address = new IpAddress(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
    const ports = words[row * TUPLE_WORDS + TUPLE_PORTS]!;
    const c = new Connection(e, ip, e.pool, { address, port: ports & 0xffff }, ports >>> 16, listener.options);
    e.flows.kind[row] = FLOW_CONNECTION;
    this.#adopt(c, row);
    c.nxt = seqAdd(shake.iss, 1);
    c.una = c.nxt;
    c.sendBase = c.nxt;
    c.board.reset(c.nxt, c.mss);
    // The segment that ends the handshake says what the window is.
    c.wl1 = shake.irs;
    c.rcvNxt = seqAdd(shake.irs, 1);
    c.receiveBase = c.rcvNxt;
    c.lastAckSent = c.rcvNxt;
    c.rcvAdv = seqAdd(c.rcvNxt, Math.min(0xffff, listener.window));
    c.hasScale = shake.windowScale >= 0;
    c.sndShift = Math.max(0, shake.windowScale);
    if (!c.hasScale) c.rcvShift = 0;
    c.hasTimestamps = shake.hasTimestamps;
    c.hasSack = shake.hasSack;
    c.hasEcn = shake.hasEcn;
    c.tsRecent = shake.tsRecent;
    c.tsRecentAt = now;
    c.tsOffset = shake.tsOffset;
    c.peerMss = shake.mss;
    c.pathMtu = ip.mtu;
    fitMss(c);
    c.tries = shake.wasLate ? 1 : 0;
    const { options } = this.#segment;
    if (shake.sentAt >= 0 && !shake.wasLate) c.rtt.sample(now, now - shake.sentAt);
    else if (c.hasTimestamps && options.hasTimestamps && shake.sentAt >= 0)
      c.rtt.sample(now, (stampOf(c, now) - options.tsEcr) >>> 0);
    establish(e, c, now);
    e.counters.bump(ACCEPTED);
    listener.push(c);
    return true;
  }

  #adopt(c: Connection, row: number): void {
    const e = this.#engine;
    c.row = row;
    while (e.connections.length <= row) e.connections.push(undefined);
    e.connections[row] = c;
    e.open++;
  }

  /** RFC 1191, RFC 8201: what is under way is sent again in segments that fit, and that is no congestion. */
  #tooBig(c: Connection, said: number): DropCode {
    const e = this.#engine;
    const mtu = Math.max(c.ip.leastMtu, said === 0 ? Math.min(UNSAID_MTU, c.pathMtu - 1) : said);
    if (mtu >= c.pathMtu) return Drop.IcmpBadQuote;
    e.counters.bump(PATH_MTU_ERRORS);
    c.pathMtu = mtu;
    fitMss(c);
    if (c.stateCode !== SYN_SENT && c.stateCode !== SYN_RECEIVED) c.board.loseAll();
    e.touch(c);
    return Drop.None;
  }

  #listenerOf(row: number): ListenSocket | undefined {
    return this.#listeners.get(this.#engine.flows.words[row * TUPLE_WORDS + TUPLE_PORTS]! >>> 16);
  }

  #ipOf(row: number): IpPort {
    const { words } = this.#engine.flows;
    const at = row * TUPLE_WORDS;
    const isV4 = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff;
    return isV4 ? this.#v4 : (this.#v6 ?? this.#v4);
  }
}
