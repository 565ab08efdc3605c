/**
 * What a packet does to the session that it belongs to: the session is found, or made where the packet may begin one, and goes
 * from state to state (`states.ts`). The packet is known by the table's key, which the caller has filled, and by the flags of TCP.
 */
import { TCP_FIN, TCP_RST } from "../wire/tcp.ts";
import {
  opens,
  STATE_TCP_CLOSING,
  STATE_TCP_PICKUP,
  STATE_TCP_RESET,
  STATE_TCP_SYN,
  STATE_UDP,
  STATE_UDP_NEW,
  TCP_FIN_IN,
  TCP_FIN_OUT,
  tcpNext,
} from "./states.ts";
import type { NatTable } from "./table.ts";

export class Sessions {
  /** Totals: made, and of those begun from outside through a forward. */
  created = 0;
  forwarded = 0;
  readonly #table: NatTable;

  constructor(table: NatTable) {
    this.#table = table;
  }

  /** Finds or makes the key's session, of a UDP datagram or an echo request. */
  plainOut(now: number, state: number): number {
    const session = this.#table.find(now);
    if (session === 0) return this.#create(now, state);
    this.#plainStep(now, session, 0);
    return session;
  }

  /** The same of what came to an outside port; 0: nobody may send there. */
  plainIn(now: number, port: number): number {
    const session = this.#table.findOutside(now, port);
    if (session === 0) return this.#admit(now, STATE_UDP_NEW, port);
    this.#plainStep(now, session, 1);
    return session;
  }

  /** Finds or makes the key's session, of a TCP segment with these flags. */
  tcpOut(now: number, flags: number): number {
    const session = this.#table.find(now);
    if (session !== 0) {
      this.#tcpStep(now, session, flags, 0);
      return session;
    }
    // A connection that began before this table did (a restart of the router) goes on, for as long as it is answered.
    return this.#create(now, (flags & TCP_RST) !== 0 ? STATE_TCP_RESET : tcpBegins(flags));
  }

  /** The same of what came to an outside port; 0: nobody may send there. */
  tcpIn(now: number, port: number, flags: number): number {
    const session = this.#table.findOutside(now, port);
    if (session !== 0) {
      this.#tcpStep(now, session, flags, 1);
      return session;
    }
    if ((flags & TCP_RST) !== 0) return 0;
    return this.#admit(now, tcpBegins(flags), port);
  }

  /** The same of a datagram or an echo request from outside to an inside address itself, which is not translated. */
  directPlain(now: number, state: number): void {
    const session = this.#table.find(now);
    if (session !== 0) this.#plainStep(now, session, 1);
    else this.#createDirect(now, state);
  }

  /** The same of a segment. */
  directTcp(now: number, flags: number): void {
    const session = this.#table.find(now);
    if (session !== 0) this.#tcpStep(now, session, flags, 1);
    else if ((flags & TCP_RST) === 0) this.#createDirect(now, tcpBegins(flags));
  }

  /** @param inward 1: from outside */
  #plainStep(now: number, session: number, inward: 0 | 1): void {
    const table = this.#table;
    const state = table.state[session]!;
    const isAnswer = table.inbound[session] !== inward;
    table.touch(now, session, isAnswer && state === STATE_UDP_NEW ? STATE_UDP : state);
  }

  /** A segment of a session. @param inward 1: from outside */
  #tcpStep(now: number, session: number, flags: number, inward: 0 | 1): void {
    const table = this.#table;
    const before = table.state[session]!;
    const isOpener = table.inbound[session] === inward;
    let state = before;
    if ((flags & TCP_RST) !== 0) {
      state = STATE_TCP_RESET;
    } else if (opens(flags) && isOpener) {
      // A new connection from the port of one that has ended, or that one side has (RFC 7857 2.3); a repeated SYN changes nothing.
      if (state === STATE_TCP_RESET || table.fins[session] !== 0) {
        state = STATE_TCP_SYN;
        table.fins[session] = 0;
      }
    } else {
      state = tcpNext(state, opens(flags), isOpener, inward);
      if ((flags & TCP_FIN) !== 0) state = this.#finished(session, inward === 1 ? TCP_FIN_IN : TCP_FIN_OUT, state);
    }
    // Something from outside alone must not keep alive what was reset.
    if (inward === 0 || state !== STATE_TCP_RESET || before !== STATE_TCP_RESET) table.touch(now, session, state);
  }

  #finished(session: number, side: number, state: number): number {
    const fins = this.#table.fins[session]! | side;
    this.#table.fins[session] = fins;
    return fins === (TCP_FIN_OUT | TCP_FIN_IN) && state !== STATE_TCP_RESET ? STATE_TCP_CLOSING : state;
  }

  #create(now: number, state: number): number {
    const session = this.#table.create(now, state);
    if (session > 0) this.created++;
    return session;
  }

  #createDirect(now: number, state: number): void {
    this.#table.createDirect(now, state);
    this.created++;
  }

  /** Begins a session from outside where the port is a forward's; else 0. */
  #admit(now: number, state: number, port: number): number {
    const session = this.#table.createInbound(now, state, port);
    if (session === 0) return 0;
    this.created++;
    this.forwarded++;
    return session;
  }
}

/** The state of a connection whose first segment has these flags. */
const tcpBegins = (flags: number): number => (opens(flags) ? STATE_TCP_SYN : STATE_TCP_PICKUP);
