/**
 * DNS over TCP (RFC 7766) beside the forwarder: connections of LAN hosts to port 53, and those to servers that have more to say
 * than a datagram takes. Each side is the only one that uses the TCP of its interface.
 */
import type { Endpoint } from "../lib/endpoint.ts";
import type { IpAddress } from "../lib/ip.ts";
import { DnsStream } from "../netstack/dns/stream.ts";
import { CONNECTED, type Connection, ENDED, FINISHED } from "../netstack/tcp/connection.ts";
import type { Listener } from "../netstack/tcp/listener.ts";
import type { Tcp } from "../netstack/tcp/tcp.ts";
import { DNS_PORT } from "../netstack/wire/dns.ts";
import { DNS_MAX_LEN } from "../netstack/wire/dns-message.ts";

/** Our choices. RFC 7766 6.2.3 leaves it open how long a connection may be idle, "of the order of a few seconds". */
const IDLE_MS = 10_000;
const MAX_STREAMS = 128;
const MAX_STREAMS_OF_HOST = 16;
const LONGEST_QUESTION = 1500;
const SERVED = { noDelay: true, receiveBuffer: 16_384, sendBuffer: 262_144, userTimeout: IDLE_MS, backlog: 32 };
const DIALED = { noDelay: true, receiveBuffer: 131_072, sendBuffer: 16_384, userTimeout: IDLE_MS };
const NEVER = Number.POSITIVE_INFINITY;

/** A connection of a host. */
interface Served {
  readonly id: number;
  readonly stream: DnsStream;
  /** Questions that were not answered yet. */
  open: number;
  /** The host sends no more. */
  isFinished: boolean;
  idleAt: number;
}

/** Answers a question: the answer, where it is there at once. */
type Ask = (now: number, from: IpAddress, port: number, stream: number, message: Uint8Array) => Uint8Array | undefined;

export class DnsStreams {
  readonly #tcp: Tcp;
  readonly #ask: Ask;
  readonly #listener: Listener | undefined;
  readonly #served = new Map<number, Served>();
  #lastId = 0;

  constructor(tcp: Tcp, ask: Ask) {
    this.#tcp = tcp;
    this.#ask = ask;
    this.#listener = tcp.listen(DNS_PORT, SERVED);
  }

  pollAt(): number {
    if (this.#tcp.isReady) return Number.NEGATIVE_INFINITY;
    let at = NEVER;
    for (const { idleAt } of this.#served.values()) at = Math.min(at, idleAt);
    return at;
  }

  poll(now: number): void {
    for (let c = this.#listener?.accept(); c !== undefined; c = this.#listener?.accept()) this.#accept(now, c);
    for (let c = this.#tcp.pollReady(); c !== undefined; c = this.#tcp.pollReady()) {
      const events = c.takeEvents();
      const served = this.#served.get(c.user as number);
      if (served === undefined) continue;
      if ((events & FINISHED) !== 0) served.isFinished = true;
      if ((events & ENDED) !== 0) this.#served.delete(served.id);
      this.#serve(now, served);
    }
    for (const served of this.#served.values()) if (now >= served.idleAt) this.#close(served);
  }

  /** An answer that was not there when the question came. */
  answer(now: number, id: number, message: Uint8Array): void {
    const served = this.#served.get(id);
    if (served === undefined) return;
    this.#send(now, served, message);
    if (served.isFinished && served.open === 0) this.#close(served);
  }

  #accept(now: number, c: Connection): void {
    let ofHost = 0;
    for (const { stream } of this.#served.values())
      if (stream.connection.remote.address.equals(c.remote.address)) ofHost++;
    if (this.#served.size >= MAX_STREAMS || ofHost >= MAX_STREAMS_OF_HOST) return c.abort();
    const id = ++this.#lastId;
    const stream = new DnsStream(c, LONGEST_QUESTION);
    const served = { id, stream, open: 0, isFinished: (c.takeEvents() & FINISHED) !== 0, idleAt: now + IDLE_MS };
    c.user = id;
    this.#served.set(id, served);
    this.#serve(now, served);
  }

  #serve(now: number, served: Served): void {
    const { stream, id } = served;
    const { address, port } = stream.connection.remote;
    for (let message = stream.next(); message !== undefined; message = stream.next()) {
      served.open++;
      served.idleAt = now + IDLE_MS;
      const answer = this.#ask(now, address, port, id, message);
      if (answer !== undefined) this.#send(now, served, answer);
    }
    if (stream.isBroken) {
      this.#served.delete(id);
      stream.connection.abort();
    } else if (served.isFinished && served.open === 0) this.#close(served);
  }

  #send(now: number, served: Served, message: Uint8Array): void {
    served.open--;
    served.idleAt = now + IDLE_MS;
    if (served.stream.send(message)) return;
    // Who asks and does not read the answers is kept no longer.
    this.#served.delete(served.id);
    served.stream.connection.abort();
  }

  #close({ id, stream }: Served): void {
    this.#served.delete(id);
    stream.connection.close();
  }
}

/** What comes of the question that was put to a server by TCP. */
export interface DialEvents {
  message(now: number, id: number, message: Uint8Array): void;
  /** There is no answer: it could not be reached, or said nothing of use. */
  ended(now: number, id: number): void;
}

export class DnsDials {
  readonly #tcp: Tcp;
  readonly #events: DialEvents;
  readonly #dials = new Map<number, { readonly stream: DnsStream; readonly question: Uint8Array }>();

  constructor(tcp: Tcp, events: DialEvents) {
    this.#tcp = tcp;
    this.#events = events;
  }

  pollAt(): number {
    return this.#tcp.isReady ? Number.NEGATIVE_INFINITY : NEVER;
  }

  dial(now: number, id: number, server: Endpoint, question: Uint8Array): void {
    const connection = this.#tcp.connect(now, server, DIALED);
    if (typeof connection === "string") return this.#events.ended(now, id);
    connection.user = id;
    this.#dials.set(id, { stream: new DnsStream(connection, DNS_MAX_LEN), question });
  }

  /** Nobody waits for an answer any more. */
  hangUp(id: number): void {
    const dial = this.#dials.get(id);
    this.#dials.delete(id);
    dial?.stream.connection.abort();
  }

  poll(now: number): void {
    for (let c = this.#tcp.pollReady(); c !== undefined; c = this.#tcp.pollReady()) {
      const events = c.takeEvents();
      const id = c.user as number;
      const dial = this.#dials.get(id);
      if (dial === undefined) continue;
      const { stream, question } = dial;
      if ((events & CONNECTED) !== 0) stream.send(question);
      const message = stream.next();
      if (message === undefined && !stream.isBroken && (events & (FINISHED | ENDED)) === 0) continue;
      this.#dials.delete(id);
      c.close();
      if (message === undefined) this.#events.ended(now, id);
      else this.#events.message(now, id, message);
    }
  }
}
