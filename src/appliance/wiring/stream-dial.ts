/**
 * The way to an open stream: a connection to the server, or one to a proxy, with which is spoken until it leads to the server.
 * Then the owner has the connection, with what came behind the proxy's last word unread in it.
 */
import type { Endpoint } from "../../lib/endpoint.ts";
import {
  CONNECTED,
  type Connection,
  type ConnectionOptions,
  ENDED,
  type EndReason,
  FINISHED,
} from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import type { ProxyDialogue } from "../../tunnel/proxy/dialogue.ts";
import type { TcpUser } from "./tcp-users.ts";

export interface DialOwner {
  /** @param relay where datagrams go, where the proxy was asked for that */
  opened(now: number, connection: Connection, relay: Endpoint | undefined): void;
  ended(now: number, end: LinkEnd): void;
}

/**
 * Small packets go at once. Whether the peer is there is for the session to say, by ping-restart; without one a connection ends
 * as it does in Linux, after a quarter of an hour (tcp_retries2).
 */
const OPTIONS: ConnectionOptions = {
  noDelay: true,
  receiveBuffer: 4 << 20,
  sendBuffer: 4 << 20,
  userTimeout: 15 * 60_000,
};
/** Bytes that the dialogue is given at once; it fails before it wants more. */
const LONGEST_WORD = 32 << 10;

export class StreamDial implements TcpUser {
  readonly remote: Endpoint;
  readonly #tcp: Tcp;
  readonly #dialogue: ProxyDialogue | undefined;
  readonly #owner: DialOwner;
  readonly #localPort: number | undefined;
  #connection: Connection | undefined;

  /** @param localPort that connections are begun from; undefined: any */
  constructor(
    tcp: Tcp,
    remote: Endpoint,
    dialogue: ProxyDialogue | undefined,
    owner: DialOwner,
    localPort: number | undefined,
  ) {
    this.#tcp = tcp;
    this.remote = remote;
    this.#dialogue = dialogue;
    this.#owner = owner;
    this.#localPort = localPort;
  }

  /** @returns why no connection can be begun, in words */
  connect(now: number): string | undefined {
    const connection = this.#tcp.connect(now, this.remote, OPTIONS, this.#localPort);
    if (connection === "no-port" && this.#localPort !== undefined) return `the local port ${this.#localPort} is in use`;
    if (typeof connection === "string") return PROBLEMS[connection];
    connection.user = this;
    this.#connection = connection;
    return undefined;
  }

  /** Ends an attempt to which the network has no way (RFC 5461 4.1: who has other addresses to try waits for nothing). */
  checkWay(now: number): void {
    if (this.#connection?.isUnreachable === true) this.#owner.ended(now, { kind: "link-unreachable" });
  }

  handleEvents(now: number): void {
    const c = this.#connection;
    if (c === undefined) return;
    const events = c.takeEvents();
    if ((events & CONNECTED) !== 0) {
      if (this.#dialogue === undefined) return this.#open(now, c, undefined);
      c.writeBytes(this.#dialogue.begin());
    }
    if (c.readable > 0 && this.#dialogue !== undefined) this.#speak(now, c, this.#dialogue);
    if (this.#connection === c && (events & (FINISHED | ENDED)) !== 0) this.#owner.ended(now, endOf(c));
  }

  /** Gives up. */
  close(): void {
    this.#connection?.abort();
    this.#connection = undefined;
  }

  #speak(now: number, c: Connection, dialogue: ProxyDialogue): void {
    while (c.readable > 0) {
      const heard = c.peek(Math.min(c.readable, LONGEST_WORD));
      const step = dialogue.feed(heard);
      switch (step.kind) {
        case "wait":
          return;
        case "say":
          c.consume(heard.length);
          c.writeBytes(step.bytes);
          break;
        case "again": {
          this.close();
          const problem = this.connect(now);
          if (problem !== undefined)
            this.#owner.ended(now, { kind: "proxy-failed", text: `cannot be connected to again: ${problem}` });
          return;
        }
        case "open":
          c.consume(step.used);
          return this.#open(now, c, step.relay);
        case "failed":
          return this.#owner.ended(now, { kind: "proxy-failed", text: step.text });
        case "login-refused":
          return this.#owner.ended(now, { kind: "proxy-login-refused", text: step.text });
      }
    }
  }

  #open(now: number, c: Connection, relay: Endpoint | undefined): void {
    this.#connection = undefined;
    this.#owner.opened(now, c, relay);
  }
}

/** Why a connection is over, or will be. */
export const endOf = (c: Connection): LinkEnd =>
  c.end === undefined ? { kind: "link-closed" } : { kind: ENDS[c.end] };

const ENDS = Object.freeze({
  closed: "link-closed",
  refused: "link-refused",
  reset: "link-reset",
  "timed-out": "link-timed-out",
  unreachable: "link-unreachable",
  aborted: "link-closed",
  "address-lost": "link-closed",
} as const satisfies Record<EndReason, LinkEnd["kind"]>);

const PROBLEMS = Object.freeze({
  "no-address": "there is no address to connect from",
  "no-port": "there is no free port to connect from",
  full: "too many connections are open",
} as const);
