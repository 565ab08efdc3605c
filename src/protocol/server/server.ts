/**
 * A server of many clients, without I/O: whose packets are whose, who may begin a session, when whose time is up. It is fed with
 * what arrives and asked when it wants to be called (`poll`, `pollAt`); packets leave by the links of the peers, and what happens
 * is told to its watcher.
 *
 *     datagram -- number of a peer that is at this address --------------------------> its session
 *              -- ... at another one: opened first, and only then is the peer there -> its session (float)
 *              -- address of a peer, and of control packets its session id ----------> its session
 *              -- anything else: admission.ts -- nothing kept --> an answer
 *                                             -- address proved --> a new session, which takes the place of the one at its
 *                                                                   address only when its login is accepted
 *
 * What a packet costs does not depend on how many peers there are: only those that something came from, and those whose time is
 * up, are looked at. Whatever one peer's packet or timer throws ends that peer alone.
 */
import { Batch } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { wordsOf } from "../../lib/ip.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import type { ServerPart } from "../config/server-types.ts";
import type { ServerConfig } from "../config/types.ts";
import { DATA_V1, DATA_V2, opcodeOf } from "../control/opcode.ts";
import { DirectKeys } from "../data/direct-keys.ts";
import { DROP_PACKET_EMPTY, SessionDrops } from "../drop.ts";
import type { TlsContext } from "../ports.ts";
import { composeChange, composePush } from "../push/compose.ts";
import { nameOf } from "../push/update.ts";
import type { LinkEnd } from "../session/events.ts";
import type { ServerSession, ServerSessionEvent } from "../session/server.ts";
import { Arrivals, FIRST_PACKET_MS } from "./arrivals.ts";
import { Demux, FLOAT, STRANGER, UNKNOWN_PEER } from "./demux.ts";
import type { EntryDesk } from "./entry.ts";
import type { Guest } from "./guest.ts";
import { type Peer, type PeerEnd, STREAM } from "./peer.ts";
import { type DatagramSource, type PeerLink, type Sources, sourceOf } from "./peer-link.ts";
import { Reception } from "./reception.ts";
import { Renegotiations } from "./renegotiations.ts";
import { Roster } from "./roster.ts";
import { RowGroups } from "./row-groups.ts";
import { COUNTERS, FLOATS, FLOATS_REFUSED, PEER_UNKNOWN, type ServerCounter } from "./server-counters.ts";
import type { ServerParts, ServerWatcher } from "./server-parts.ts";

/** Rows that are opened or sealed at once. */
const ROWS = 1024;

export class Server {
  /** Of packets that no session took, or one that is over. */
  readonly drops = new SessionDrops();
  readonly counters = new Counters<ServerCounter>(COUNTERS);
  readonly #parts: ServerParts;
  readonly #watcher: ServerWatcher;
  readonly #roster: Roster;
  readonly #demux: Demux;
  readonly #arrivals: Arrivals;
  readonly #reception: Reception;
  readonly #sources: DatagramSource[] = [];
  readonly #groups: RowGroups;
  readonly #direct: DirectKeys;
  readonly #opened = new Batch(ROWS);
  readonly #sealed = new Batch(ROWS);
  readonly #renegotiations = new Renegotiations();

  constructor(parts: ServerParts) {
    const { config, ports, watcher, desk, passwords } = parts;
    const { limits } = config;
    const roster = new Roster(limits.maxClients, seed(ports.random));
    const { capacity } = roster;
    this.#parts = parts;
    this.#watcher = watcher;
    this.#roster = roster;
    this.#demux = new Demux(ports.slab, capacity, seed(ports.random));
    this.#groups = new RowGroups(capacity, ROWS);
    this.#direct = new DirectKeys(ports.slab, capacity);
    this.#arrivals = new Arrivals(parts, {
      ...{ roster, demux: this.#demux, renegotiations: this.#renegotiations },
      ...{ counters: this.counters, drops: this.drops },
      end: (now, peer, end) => this.end(now, peer, end),
      fault: (now, peer, error) => this.#fault(now, peer, error),
    });
    this.#reception = new Reception(
      {
        unixSeconds: parts.unixSeconds,
        replace: (now, peer) => this.end(now, peer, { kind: "replaced" }),
        admitted: (now, peer) => this.#admitted(now, peer),
        refused: (now, peer, shown, cause) => watcher.refused(now, peer, shown, cause),
        attend: (now, peer, act) => this.#attend(now, peer, act),
      },
      { desk, passwords, limits },
    );
  }

  /** Clients whose login was accepted. */
  get count(): number {
    return this.#reception.count;
  }

  /** All that there are, also those that have not logged in yet. */
  peers(): Iterable<Peer> {
    return this.#roster;
  }

  /** Those under a name. */
  named(name: string): readonly Peer[] {
    return this.#reception.named(name);
  }

  /** Datagrams of one source, in the order of their arrival. They are opened in place, and are nobody's when this returns. */
  handleDatagrams(now: number, source: DatagramSource, rows: Batch, from: Sources): void {
    const socket = this.#socketOf(source);
    const { bytes } = this.#parts.ports.slab;
    for (let i = 0; i < rows.count; ) {
      const id = this.#demux.match(rows, i, from, socket);
      let end = i + 1;
      if (id >= 0 && isData(bytes[rows.at[i]!]!)) end = this.#handleData(now, rows, i, id, from, socket);
      else if (id >= 0) this.#handleRun(now, this.#roster.at(id), rows, i, end);
      else if (id <= FLOAT) this.#float(now, this.#roster.at(FLOAT - id), rows, i, from, socket);
      else if (id === STRANGER) this.#handleStranger(now, source, socket, rows, i, from);
      else if (id === UNKNOWN_PEER) this.counters.bump(PEER_UNKNOWN);
      else this.drops.drop(DROP_PACKET_EMPTY);
      i = end;
    }
    this.#flush(now);
  }

  /** A router has said that the way from a source to an address takes packets of no more than `mtu` bytes; a client may be there. */
  narrowed(now: number, source: DatagramSource, { address, port }: Endpoint, mtu: number): void {
    const socket = this.#sources.indexOf(source);
    const from: Sources = { words: Int32Array.from(wordsOf(address)), port: Uint16Array.of(port) };
    const peer = socket < 0 ? undefined : this.#roster.at(this.#demux.find(from, 0, socket));
    if (peer?.narrow(now, mtu) !== true) return;
    // When it is due to be forgotten is among its deadlines.
    this.#roster.touch(peer);
    this.#guard(now, () => this.#watcher.pathChanged(now, peer));
  }

  /** Somebody has connected. @returns undefined: there is no room */
  openStream(now: number, link: PeerLink): Peer | undefined {
    return this.#arrivals.ofConnection(now, link);
  }

  /** Packets of a connection, in their order. */
  handleStream(now: number, peer: Peer, rows: Batch): void {
    if (!this.#roster.has(peer) || rows.count === 0) return;
    if (peer.session === undefined) this.#arrivals.ofStream(now, peer, rows);
    if (peer.session !== undefined) this.#handleRun(now, peer, rows, 0, rows.count);
    this.#flush(now);
  }

  /** There is no connection any more. */
  streamEnded(now: number, peer: Peer, end: LinkEnd): void {
    if (this.#roster.has(peer)) this.end(now, peer, end);
  }

  /** Seals packets of the tunnel, as many as the link takes, in place and sends them. */
  send(now: number, peer: Peer, rows: Batch): void {
    const { session, link } = peer;
    if (session === undefined) return;
    const sealed = this.#sealed;
    sealed.clear();
    try {
      rows.count = link.admit(rows, session.dataOverhead);
      session.sealBatch(now, rows, sealed);
      if (sealed.count > 0) link.send(now, sealed);
    } catch (error) {
      this.#fault(now, peer, error);
    }
  }

  /** When {@link poll} wants to be called; in the past when at once, Infinity when never. */
  pollAt(): number {
    return Math.min(this.#roster.pollAt(), this.#renegotiations.at);
  }

  /** Does what is due. */
  poll(now: number): void {
    this.#flush(now);
    this.#roster.touchDue(now);
    const renegotiates = this.#renegotiations.next(now);
    if (renegotiates !== undefined) this.command(now, renegotiates, (session) => session.renegotiate(now));
    this.#flush(now);
  }

  /** Ends a session without a word. */
  end(now: number, peer: Peer, end: PeerEnd): void {
    if (!this.#roster.has(peer)) return;
    const { guest, isUp, link, session } = peer;
    this.#leave(peer);
    this.#guard(now, () => {
      session?.abandon(now);
      this.#transmit(now, peer);
    });
    if (session !== undefined) this.drops.add(session.drops);
    this.#guard(now, () => link.close());
    this.#guard(now, () => this.#reception.leave(peer));
    this.#guard(now, () => {
      if (isUp && guest !== undefined) this.#watcher.down(now, peer, guest, end);
      else if (!peer.isRefused) this.#watcher.failed(now, peer, guest, end);
    });
  }

  /** Tells a peer to come again, and ends it: within so many seconds, or as soon as it has heard. */
  dismiss(now: number, peer: Peer, farewell: PeerEnd, seconds: number, message = "RESTART"): void {
    if (!peer.isUp) return this.end(now, peer, farewell);
    peer.farewell = farewell;
    this.command(now, peer, (session) => session.dismiss(now, message, seconds));
  }

  /**
   * A client gets something else than it has: those that can be told while their tunnel is up are.
   * @returns names of the options that count for it only when it comes again
   */
  update(now: number, peer: Peer, guest: Guest): readonly string[] {
    const { items, later } = composeChange(peer.guest?.options ?? [], guest.options);
    this.#reception.rename(peer, guest);
    if (items.length === 0 || !peer.isUp) return later;
    const messages = peer.session?.client?.pushUpdate === true ? composePush(items, "PUSH_UPDATE") : "";
    if (typeof messages === "string")
      return [...new Set([...items.map((item) => nameOf(item.replace(/^-/, ""))), ...later])];
    this.command(now, peer, (session) => {
      for (const message of messages) session.say(message);
    });
    return later;
  }

  /**
   * Certificates that were good may be so no longer: every peer shows its own again. They renegotiate one after the other, so that none
   * of them waits long for the others; one that is in the midst of a handshake does it behind that.
   */
  renegotiateAll(now: number): void {
    this.#renegotiations.all(now, this.#roster);
  }

  /** From now on nobody new is let in, or answered. */
  shut(): void {
    this.#arrivals.isClosed = true;
  }

  /** Has something done by a session, and then what comes of it. */
  command(now: number, peer: Peer, act: (session: ServerSession) => void): void {
    const { session } = peer;
    if (session !== undefined && this.#roster.has(peer)) this.#attend(now, peer, () => act(session));
  }

  /**
   * Takes another configuration and what was made of it, as far as that goes: what is settled between the ends of a session
   * stays as it is until it is over. What is bound to the tunnel itself and to ports is not looked at.
   */
  reload(config: ServerConfig & ServerPart, tls: TlsContext, desk: EntryDesk): void {
    const { limits } = config;
    this.#arrivals.reload(config, tls);
    const { passwords } = this.#parts;
    this.#reception.replaceOptions({ desk, passwords, limits });
  }

  /** What all sessions that there are have counted, and what no session took. */
  snapshot(): Record<string, number> {
    const drops = new SessionDrops();
    drops.add(this.drops);
    for (const { session } of this.#roster) if (session !== undefined) drops.add(session.drops);
    const fields: Record<string, number> = { ...this.counters.snapshot() };
    for (const [name, n] of Object.entries(drops.snapshot())) fields[`drop.${name}`] = n;
    return fields;
  }

  /**
   * Data packets from where their peers are, from row `i` on up to the first other packet: peer by peer, so that each of them is looked at
   * once. Control packets stay where they are between them: what they come to may concern whoever comes behind.
   * @param id whose row `i` is @returns the first row that is not handled
   */
  #handleData(now: number, rows: Batch, i: number, id: number, from: Sources, socket: number): number {
    const groups = this.#groups;
    const { bytes } = this.#parts.ports.slab;
    groups.open();
    let end = i;
    for (let peer = id; ; ) {
      groups.take(peer, rows.at[end]!, rows.len[end]!);
      if (++end === rows.count || groups.isFull || !isData(bytes[rows.at[end]!]!)) break;
      peer = this.#demux.match(rows, end, from, socket);
      if (peer < 0) break;
    }
    groups.close();
    // All of them in a row: the processor fetches what it has not at hand for many peers at the same time.
    const direct = this.#direct;
    direct.touch(groups.peer, groups.count);
    for (let group = 0, start = 0; group < groups.count; group++) {
      const peer = groups.peer[group]!;
      const after = groups.end[group]!;
      start = this.#openDirect(now, peer, groups.rows, start, after);
      if (start < after) this.#handleRun(now, this.#roster.at(peer), groups.rows, start, after);
      start = after;
    }
    return end;
  }

  /** Rows of one peer, as far as there is nothing out of the ordinary. @returns the first row that is not handled */
  #openDirect(now: number, id: number, rows: Batch, from: number, end: number): number {
    const direct = this.#direct;
    if (this.#opened.room < end - from) this.#flush(now);
    const opened = this.#opened;
    const first = opened.count;
    let next = end;
    try {
      next = direct.open(now, id, rows, from, end, opened);
    } catch (error) {
      opened.count = first;
      this.#fault(now, this.#roster.at(id), error);
    }
    for (let row = first; row < opened.count; row++) opened.peer[row] = id;
    if (direct.hasExit) this.#exit(now, this.#roster.at(id));
    return next;
  }

  /** A peer said in a packet that went the direct way that it leaves. */
  #exit(now: number, peer: Peer | undefined): void {
    if (peer?.session === undefined) return;
    this.#disturb(peer);
    try {
      peer.session.handleExit(now);
    } catch (error) {
      this.#fault(now, peer, error);
    }
  }

  /** Rows of one peer. */
  #handleRun(now: number, peer: Peer | undefined, rows: Batch, from: number, end: number): void {
    const session = peer?.session;
    if (peer === undefined || session === undefined) return this.counters.bump(PEER_UNKNOWN);
    if (this.#opened.room < end - from) this.#flush(now);
    const opened = this.#opened;
    const first = opened.count;
    try {
      if (session.handleRows(now, rows, from, end, opened)) this.#disturb(peer);
    } catch (error) {
      opened.count = first;
      return this.#fault(now, peer, error);
    }
    opened.peer.fill(peer.id, first, opened.count);
  }

  /** A packet with the number of a peer that is elsewhere: if it opens, the peer is here now. */
  #float(now: number, peer: Peer | undefined, rows: Batch, i: number, from: Sources, socket: number): void {
    const session = peer?.session;
    if (peer === undefined || session === undefined) return this.counters.bump(PEER_UNKNOWN);
    const before = this.#opened.count;
    const { proofs } = session;
    this.#handleRun(now, peer, rows, i, i + 1);
    if (session.proofs === proofs || !this.#roster.has(peer)) return;
    const other = this.#roster.at(this.#demux.find(from, i, socket));
    if (other !== undefined && other.guest !== undefined) {
      this.#opened.count = Math.min(before, this.#opened.count);
      return this.counters.bump(FLOATS_REFUSED);
    }
    const rival = this.#roster.at(this.#demux.rivalOf(peer.id));
    for (const newcomer of [other, rival]) if (newcomer !== undefined) this.end(now, newcomer, { kind: "replaced" });
    const { mtu } = peer;
    const { endpoint, overhead } = peer.link;
    this.#demux.move(peer.id, from, i, socket);
    peer.link = this.#sources[socket]!.peer(sourceOf(from, i));
    peer.forgetPath(now);
    this.counters.bump(FLOATS);
    this.#watcher.floated(now, peer, { endpoint, overhead, mtu });
  }

  /** A control packet of an address without a session, or of another session than is there. */
  #handleStranger(now: number, source: DatagramSource, socket: number, rows: Batch, i: number, from: Sources): void {
    const peer = this.#arrivals.ofDatagram(now, source, socket, rows, i, from);
    if (peer !== undefined) this.#handleRun(now, peer, rows, i, i + 1);
  }

  /** Its login was accepted: whoever was at its address before is gone now. */
  #admitted(now: number, peer: Peer): void {
    this.#roster.admit(peer);
    const owner = this.#roster.at(this.#demux.ownerOf(peer.id));
    if (owner !== undefined) this.end(now, owner, { kind: "replaced" });
  }

  /** Takes a peer out of all tables. */
  #leave(peer: Peer): void {
    this.#direct.clear(peer.id);
    this.#demux.leave(peer.id);
    this.#roster.leave(peer);
  }

  /** Does something for a peer, and then what comes of it. */
  #attend(now: number, peer: Peer, act: () => void): void {
    try {
      act();
    } catch (error) {
      return this.#fault(now, peer, error);
    }
    this.#service(now, peer);
  }

  /** Something has come of a peer's packets: until that is looked at, all of them go through its session. */
  #disturb(peer: Peer): void {
    this.#direct.clear(peer.id);
    this.#roster.touch(peer);
  }

  /** Does what came of what was handled, and delivers what was opened. */
  #flush(now: number): void {
    const roster = this.#roster;
    for (let peer = roster.take(); peer !== undefined; peer = roster.take()) this.#service(now, peer);
    const opened = this.#opened;
    if (opened.count === 0) return;
    try {
      this.#watcher.deliver(now, opened);
    } catch (error) {
      this.#watcher.fault(now, undefined, error);
    }
    opened.clear();
  }

  /** Lets a session do what is due, and does what it wants done. */
  #service(now: number, peer: Peer): void {
    const { session } = peer;
    if (!this.#roster.has(peer)) return;
    if (session === undefined) {
      if (now - peer.since >= FIRST_PACKET_MS) this.end(now, peer, { kind: "stream-silent" });
      else this.#roster.touchAt(peer, peer.since + FIRST_PACKET_MS);
      return;
    }
    try {
      if (session.pollAt() <= now) session.handleTimeout(now);
      if (peer.tokenAt <= now) this.#reception.renewToken(now, peer);
      if (peer.pathMtu.forgetAt <= now && peer.forgetPath(now)) this.#watcher.pathChanged(now, peer);
      this.#transmit(now, peer);
      for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
        this.#handle(now, peer, event);
        if (!this.#roster.has(peer)) return;
        this.#transmit(now, peer);
      }
      this.#roster.touchAt(peer, Math.min(session.pollAt(), peer.tokenAt, peer.pathMtu.forgetAt));
      const direct = peer.socket === STREAM ? undefined : session.direct;
      if (direct === undefined) this.#direct.clear(peer.id);
      else this.#direct.set(peer.id, direct);
    } catch (error) {
      this.#fault(now, peer, error);
    }
  }

  #transmit(now: number, { session, link }: Peer): void {
    if (session === undefined) return;
    for (let packet = session.pollTransmit(now); packet !== undefined; packet = session.pollTransmit(now))
      link.sendPacket(now, packet);
  }

  #handle(now: number, peer: Peer, event: ServerSessionEvent): void {
    switch (event.kind) {
      case "moved":
        return;
      case "rekeyed":
        return this.#renegotiations.judge(now, peer);
      case "login":
        return this.#reception.handle(now, peer, event.login, event.isRenewal);
      case "up": {
        const { guest } = peer;
        if (guest === undefined) throw new Error("a tunnel is up whose login nobody accepted");
        peer.isUp = true;
        peer.learnPath(now);
        this.#watcher.up(now, peer, guest, event.cipher);
        return this.#renegotiations.judge(now, peer);
      }
      case "ended":
        return this.end(now, peer, peer.farewell ?? event.end);
    }
    event satisfies never;
  }

  /** What one peer's packet or timer threw ends that peer. */
  #fault(now: number, peer: Peer | undefined, error: unknown): void {
    this.#watcher.fault(now, peer, error);
    if (peer !== undefined) this.end(now, peer, { kind: "fault" });
  }

  /** For what is done whatever fails before it. */
  #guard(now: number, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#watcher.fault(now, undefined, error);
    }
  }

  #socketOf(source: DatagramSource): number {
    const known = this.#sources.indexOf(source);
    return known >= 0 ? known : this.#sources.push(source) - 1;
  }
}

const seed = (random: Random): number => randomBelow(random, 2 ** 32) | 0;

const isData = (first: number): boolean => opcodeOf(first) === DATA_V2 || opcodeOf(first) === DATA_V1;
