/**
 * How somebody becomes a peer: from a packet that is nobody's, or a connection, to a session that has begun. Nothing is kept of a
 * stranger before its address is proved (strangers.ts); of two at one address who have not logged in the later one is the client.
 */
import type { Batch } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import type { ServerPart } from "../config/server-types.ts";
import type { ServerConfig } from "../config/types.ts";
import { CONTROL_HEADER_LEN } from "../control/packet.ts";
import { SESSION_DROP_NAMES, type SessionDrops } from "../drop.ts";
import type { TlsContext } from "../ports.ts";
import { type Admitted, beginSession } from "./begin-session.ts";
import type { Demux } from "./demux.ts";
import { type Peer, type PeerEnd, STREAM } from "./peer.ts";
import { type DatagramSource, type PeerLink, type Sources, sourceOf } from "./peer-link.ts";
import type { Renegotiations } from "./renegotiations.ts";
import type { Roster } from "./roster.ts";
import {
  ANSWERED,
  BEGUN,
  CLOSED,
  FIRST_LIMITED,
  FULL,
  SESSIONS_LIMITED,
  type ServerCounter,
} from "./server-counters.ts";
import type { ServerParts } from "./server-parts.ts";
import { LIMITED, Strangers } from "./strangers.ts";

/** Our choice: over a connection the first packet comes within so long. A client sends it at once. */
export const FIRST_PACKET_MS = 10_000;

/** What there is of those who are peers already. */
export interface ArrivalsOwner {
  readonly roster: Roster;
  readonly demux: Demux;
  readonly renegotiations: Renegotiations;
  readonly counters: Counters<ServerCounter>;
  /** Of packets that no session took. */
  readonly drops: SessionDrops;
  /** A peer goes, without a word. */
  end(now: number, peer: Peer, end: PeerEnd): void;
  /** Something threw: whoever it was about goes. */
  fault(now: number, peer: Peer | undefined, error: unknown): void;
}

export class Arrivals {
  /** Nobody new is let in, or answered: who is told that the server leaves would be back before it has left. */
  isClosed = false;
  readonly #parts: ServerParts;
  readonly #owner: ArrivalsOwner;
  readonly #strangers: Strangers;
  #config: ServerConfig & ServerPart;
  #tls: TlsContext;

  constructor(parts: ServerParts, owner: ArrivalsOwner) {
    this.#parts = parts;
    this.#owner = owner;
    this.#strangers = new Strangers(parts.config, parts.ports.control, parts.cookieKey);
    this.#config = parts.config;
    this.#tls = parts.tls;
  }

  /** From now on others come in, and handshakes go by other material. */
  reload(config: ServerConfig & ServerPart, tls: TlsContext): void {
    this.#config = config;
    this.#tls = tls;
    this.#strangers.reload(config);
  }

  /**
   * Row `i`, a control packet of an address without a session, or of another session than is there.
   * @returns whose first packet it is; undefined: nobody's, or there is no room
   */
  ofDatagram(
    now: number,
    source: DatagramSource,
    socket: number,
    rows: Batch,
    i: number,
    from: Sources,
  ): Peer | undefined {
    const { counters, drops, demux } = this.#owner;
    if (this.isClosed) return this.#count(CLOSED);
    let peer: Peer | undefined;
    const { bytes } = this.#parts.ports.slab;
    const at = rows.at[i]!;
    try {
      const admission = this.#strangers.judge(now, this.#parts.unixSeconds(), bytes, at, rows.len[i]!, from, i);
      if (admission === LIMITED) return this.#count(FIRST_LIMITED);
      if (typeof admission === "number") {
        drops.drop(admission);
        return undefined;
      }
      if (admission.kind === "answer") {
        counters.bump(ANSWERED);
        source.answer(now, sourceOf(from, i), admission.packet);
        return undefined;
      }
      if (!this.#makeRoom(now, socket, from, i)) return undefined;
      peer = this.#enter(now, socket, source.peer(sourceOf(from, i)));
      if (peer === undefined) return undefined;
      demux.arrive(peer.id, bytes.subarray(at + 1, at + CONTROL_HEADER_LEN), from, i, socket);
      this.#begin(now, peer, admission);
      this.#strangers.begun(admission);
      return peer;
    } catch (error) {
      this.#owner.fault(now, peer, error);
      return undefined;
    }
  }

  /** Somebody has connected. @returns undefined: there is no room */
  ofConnection(now: number, link: PeerLink): Peer | undefined {
    const peer = this.#mayBegin(now) ? this.#enter(now, STREAM, link) : undefined;
    if (peer !== undefined) this.#owner.roster.touchAt(peer, now + FIRST_PACKET_MS);
    return peer;
  }

  /** The first packet over a connection: it begins a session, or the connection is over. */
  ofStream(now: number, peer: Peer, rows: Batch): void {
    const { drops, end, fault } = this.#owner;
    const { bytes } = this.#parts.ports.slab;
    const at = rows.at[0]!;
    try {
      const packet = bytes.slice(at, at + rows.len[0]!);
      const admission = this.#strangers.judgeStream(this.#parts.unixSeconds(), packet);
      if (typeof admission !== "number") return this.#begin(now, peer, admission);
      drops.drop(admission);
      end(now, peer, { kind: "stream-stranger", drop: SESSION_DROP_NAMES[~admission]! });
    } catch (error) {
      fault(now, peer, error);
    }
  }

  #begin(now: number, peer: Peer, admission: Admitted): void {
    const { counters, renegotiations } = this.#owner;
    const { link } = peer;
    const start = { admission, link, unixSeconds: this.#parts.unixSeconds() };
    peer.session = beginSession(this.#config, this.#parts.ports, start, {
      verify: () => this.#config.verify,
      tls: () => {
        peer.authority = renegotiations.authority;
        return this.#tls;
      },
    });
    peer.session.start(now);
    counters.bump(BEGUN);
  }

  #mayBegin(now: number): boolean {
    if (this.#strangers.mayBegin(now)) return true;
    this.#count(SESSIONS_LIMITED);
    return false;
  }

  /** Somebody begins where row `i` came from: of two there who have not logged in the later one is the client. */
  #makeRoom(now: number, socket: number, from: Sources, i: number): boolean {
    if (!this.#mayBegin(now)) return false;
    const { roster, demux, end } = this.#owner;
    const there = roster.at(demux.find(from, i, socket));
    const stale = there === undefined || there.guest === undefined ? there : roster.at(demux.rivalOf(there.id));
    if (stale !== undefined) end(now, stale, { kind: "replaced" });
    return true;
  }

  /** A number for somebody new; where there are too many that have not logged in, one of them goes. */
  #enter(now: number, socket: number, link: PeerLink): Peer | undefined {
    const { roster, end } = this.#owner;
    const { surplus } = roster;
    if (surplus !== undefined) end(now, surplus, { kind: "crowded-out" });
    return roster.enter(now, socket, link) ?? this.#count(FULL);
  }

  #count(counter: number): undefined {
    this.#owner.counters.bump(counter);
  }
}
