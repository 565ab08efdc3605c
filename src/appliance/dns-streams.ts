/** DNS over TCP (RFC 7766) for the LAN: connections of its hosts to port 53. */
import type { IpAddress } from "../lib/ip.ts";
import { DnsStream } from "../netstack/dns/stream.ts";
import { type Connection, ENDED, FINISHED } from "../netstack/tcp/connection.ts";
import type { ListenSocket } from "../netstack/tcp/listen-socket.ts";
import type { Tcp } from "../netstack/tcp/tcp.ts";
import { DNS_PORT } from "../netstack/wire/dns.ts";
import type { TcpUser } from "./wiring/tcp-users.ts";

/** Our choices. RFC 7766 6.2.3 leaves it open how long a connection may be idle, "of the order of a few seconds". */
const IDLE_MS = 10_000;
const MAX_STREAMS = 128;
const MAX_STREAMS_OF_HOST = 16;
const LONGEST_QUESTION = 1500;
const SERVED = { noDelay: true, receiveBuffer: 16_384, sendBuffer: 262_144, userTimeout: IDLE_MS, backlog: 32 };
const NEVER = Number.POSITIVE_INFINITY;

/** A connection of a host. */
interface Served {
  readonly id: number;
  readonly stream: DnsStream<Connection>;
  /** Questions that were not answered yet. */
  open: number;
  /** The host sends no more. */
  isFinished: boolean;
  idleAt: number;
}

/** Answers a question: the answer, where it is there at once. */
type Ask = (now: number, from: IpAddress, port: number, stream: number, message: Uint8Array) => Uint8Array | undefined;

export class DnsStreams {
  readonly #ask: Ask;
  readonly #listener: ListenSocket | undefined;
  readonly #served = new Map<number, Served>();
  #lastId = 0;

  constructor(tcp: Tcp, ask: Ask) {
    this.#ask = ask;
    this.#listener = tcp.listen(DNS_PORT, SERVED);
  }

  pollAt(): number {
    if ((this.#listener?.waiting ?? 0) > 0) return Number.NEGATIVE_INFINITY;
    let at = NEVER;
    for (const { idleAt } of this.#served.values()) at = Math.min(at, idleAt);
    return at;
  }

  poll(now: number): void {
    for (let c = this.#listener?.accept(); c !== undefined; c = this.#listener?.accept()) this.#accept(now, c);
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
    const served: Served = {
      id,
      stream,
      open: 0,
      isFinished: (c.takeEvents() & FINISHED) !== 0,
      idleAt: now + IDLE_MS,
    };
    c.user = { handleEvents: (at) => this.#handle(at, served) } satisfies TcpUser;
    this.#served.set(id, served);
    this.#serve(now, served);
  }

  #handle(now: number, served: Served): void {
    const events = served.stream.connection.takeEvents();
    if (!this.#served.has(served.id)) return;
    if ((events & FINISHED) !== 0) served.isFinished = true;
    if ((events & ENDED) !== 0) this.#served.delete(served.id);
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
