/**
 * Questions for servers by TCP (RFC 7766) and by TLS over it (RFC 7858). A server has one connection, which all questions for it share,
 * in any order (RFC 7766 6.2.1), and which is closed once it has been idle.
 *
 * The ids on a connection are numbers of its own: who asks has chosen by chance, and two may have chosen the same.
 */
import { formatEndpoint } from "../lib/endpoint.ts";
import type { Dial } from "../netstack/dns/dials.ts";
import { DnsStream } from "../netstack/dns/stream.ts";
import type { DnsTls } from "../netstack/dns/upstreams.ts";
import { CONNECTED, type Connection, ENDED, FINISHED } from "../netstack/tcp/connection.ts";
import type { Tcp } from "../netstack/tcp/tcp.ts";
import { DNS_MAX_LEN } from "../netstack/wire/dns-message.ts";
import type { TlsEngine, TlsFailure } from "../protocol/ports.ts";
import { TlsBytes } from "./tls-bytes.ts";
import type { TcpUser } from "./wiring/tcp-users.ts";

/** Our choices. */
/** Who has said nothing for so long, to a question that nobody waits for any more, may not be there any more: another connection tells. */
const SILENT_MS = 2000;
const MAX_WAITING = 512;
const DIALED = { noDelay: true, receiveBuffer: 131_072, sendBuffer: 262_144, userTimeout: 10_000 };
const NEVER = Number.POSITIVE_INFINITY;

/** What comes of the question that was put to a server. */
export interface DialEvents {
  message(now: number, id: number, message: Uint8Array): void;
  /** There is no answer: it could not be reached, or said nothing of use. */
  ended(now: number, id: number): void;
}

/** Sessions for servers that are asked by TLS. */
export interface DialTls {
  /** A new session with a server that is to prove itself so. */
  engine(tls: DnsTls): TlsEngine;
  /** A server is there, and TLS with it fails. */
  refused(now: number, server: string, tls: DnsTls, failure: TlsFailure): void;
}

interface Question {
  readonly dial: Dial;
  /** NEVER: not yet. */
  sentAt: number;
}

/** A connection to a server. */
interface Channel {
  readonly id: number;
  readonly server: string;
  readonly tls: DnsTls | undefined;
  readonly connection: Connection;
  /** undefined: in the clear. */
  readonly session: TlsBytes | undefined;
  readonly stream: DnsStream;
  /** By their ids on this connection. */
  readonly waiting: Map<number, Question>;
  isOpen: boolean;
  lastId: number;
  heardAt: number;
  idleAt: number;
}

export class DnsDials {
  readonly #tcp: Tcp;
  readonly #events: DialEvents;
  readonly #tls: DialTls | undefined;
  readonly #idleMs: number;
  readonly #channels = new Map<number, Channel>();
  /** Where a dial waits. */
  readonly #places = new Map<number, { readonly channel: Channel; readonly wireId: number }>();
  #lastChannel = 0;

  /**
   * @param idleMs how long a connection waits for another question (RFC 7766 6.2.3: "of the order of a few seconds")
   * @param tls undefined: nobody is asked so
   */
  constructor(tcp: Tcp, events: DialEvents, idleMs: number, tls?: DialTls) {
    this.#tcp = tcp;
    this.#events = events;
    this.#tls = tls;
    this.#idleMs = idleMs;
  }

  pollAt(): number {
    let at = NEVER;
    for (const { idleAt } of this.#channels.values()) at = Math.min(at, idleAt);
    return at;
  }

  dial(now: number, dial: Dial): void {
    const channel = this.#channelTo(now, dial);
    if (channel === undefined || channel.waiting.size >= MAX_WAITING) return this.#events.ended(now, dial.id);
    // Nobody waits for so long that the number comes around.
    channel.lastId = (channel.lastId + 1) & 0xffff;
    const question = { dial, sentAt: NEVER };
    channel.waiting.set(channel.lastId, question);
    this.#places.set(dial.id, { channel, wireId: channel.lastId });
    channel.idleAt = NEVER;
    if (channel.isOpen && !this.#put(now, channel, channel.lastId, question)) this.#end(now, channel);
  }

  /** Nobody waits for an answer any more. */
  hangUp(now: number, id: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    const { channel, wireId } = place;
    const sentAt = channel.waiting.get(wireId)?.sentAt ?? NEVER;
    this.#forget(now, channel, wireId);
    const isDeaf = sentAt > channel.heardAt && now - sentAt >= SILENT_MS;
    if (isDeaf || (!channel.isOpen && channel.waiting.size === 0)) this.#end(now, channel);
  }

  /** The way to the servers is gone. */
  closeAll(now: number): void {
    for (const channel of this.#channels.values()) this.#end(now, channel);
  }

  poll(now: number): void {
    for (const channel of this.#channels.values()) if (now >= channel.idleAt) this.#end(now, channel);
  }

  #channelTo(now: number, { server, tls }: Dial): Channel | undefined {
    const name = formatEndpoint(server);
    for (const known of this.#channels.values())
      if (known.server === name && (known.tls === undefined) === (tls === undefined) && known.tls?.name === tls?.name)
        return known;
    const engine = tls && this.#tls?.engine(tls);
    // What is to be asked by TLS is never asked without.
    if (tls !== undefined && engine === undefined) return undefined;
    const connection = this.#tcp.connect(now, server, DIALED);
    if (typeof connection === "string") {
      engine?.close();
      return undefined;
    }
    const id = ++this.#lastChannel;
    const session = engine && new TlsBytes(connection, engine);
    const channel: Channel = {
      id,
      server: name,
      tls,
      connection,
      session,
      stream: new DnsStream(session ?? connection, DNS_MAX_LEN),
      waiting: new Map(),
      isOpen: false,
      lastId: 0,
      heardAt: Number.NEGATIVE_INFINITY,
      idleAt: NEVER,
    };
    connection.user = { handleEvents: (at) => this.#serve(at, channel, connection.takeEvents()) } satisfies TcpUser;
    this.#channels.set(id, channel);
    return channel;
  }

  #serve(now: number, channel: Channel, events: number): void {
    if (!this.#channels.has(channel.id)) return;
    const { session, stream } = channel;
    session?.pump();
    const isReady = session === undefined ? (events & CONNECTED) !== 0 : session.isEstablished;
    if (!channel.isOpen && isReady && !this.#open(now, channel)) return this.#end(now, channel);
    for (let message = stream.next(); message !== undefined; message = stream.next())
      this.#deliver(now, channel, message);
    const failure = session?.engine.failure;
    if (failure !== undefined && channel.tls !== undefined && failure.kind !== "closed")
      this.#tls?.refused(now, channel.server, channel.tls, failure);
    if (failure !== undefined || stream.isBroken || (events & (FINISHED | ENDED)) !== 0) this.#end(now, channel);
  }

  /** @returns false: it does not take what waits */
  #open(now: number, channel: Channel): boolean {
    channel.isOpen = true;
    return [...channel.waiting].every(([wireId, question]) => this.#put(now, channel, wireId, question));
  }

  #put(now: number, { stream }: Channel, wireId: number, question: Question): boolean {
    const message = question.dial.question.slice();
    message[0] = wireId >> 8;
    message[1] = wireId;
    question.sentAt = now;
    return stream.send(message);
  }

  #deliver(now: number, channel: Channel, message: Uint8Array): void {
    channel.heardAt = now;
    const wireId = (message[0]! << 8) | message[1]!;
    const question = channel.waiting.get(wireId);
    if (question === undefined) return;
    const { dial } = question;
    message[0] = dial.question[0]!;
    message[1] = dial.question[1]!;
    this.#forget(now, channel, wireId);
    this.#events.message(now, dial.id, message);
  }

  #forget(now: number, channel: Channel, wireId: number): void {
    const question = channel.waiting.get(wireId);
    if (question === undefined) return;
    channel.waiting.delete(wireId);
    this.#places.delete(question.dial.id);
    if (channel.waiting.size === 0) channel.idleAt = now + this.#idleMs;
  }

  /** The connection is closed, and who still waits is told. */
  #end(now: number, channel: Channel): void {
    if (!this.#channels.delete(channel.id)) return;
    const { connection, session, waiting } = channel;
    session?.close();
    if (channel.isOpen && waiting.size === 0) connection.close();
    else connection.abort();
    for (const { dial } of waiting.values()) {
      this.#places.delete(dial.id);
      this.#events.ended(now, dial.id);
    }
  }
}
