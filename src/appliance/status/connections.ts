/** Joins an HTTP server (netstack/http/server.ts) to the TCP of an interface, at some addresses of it and nowhere else. */
import type { IpAddress } from "../../lib/ip.ts";
import type { HttpServer } from "../../netstack/http/server.ts";
import { type Connection, ENDED, FINISHED, WRITABLE } from "../../netstack/tcp/connection.ts";
import type { ListenSocket } from "../../netstack/tcp/listen-socket.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { TcpUser } from "../wiring/tcp-users.ts";

/** Our choices. The memory is shared with the LAN's DNS, so one connection takes little of it; who takes no answer for so long is gone. */
const SERVED = { noDelay: true, receiveBuffer: 8192, sendBuffer: 32_768, userTimeout: 30_000, backlog: 16 };
const PIECE = 4096;

export class HttpConnections {
  readonly #server: HttpServer;
  readonly #listener: ListenSocket | undefined;
  readonly #connections = new Map<number, Connection>();
  readonly #piece = new Uint8Array(PIECE);

  /** @param addresses of the interface at which connections are accepted */
  constructor(tcp: Tcp, port: number, addresses: readonly IpAddress[], server: HttpServer) {
    this.#server = server;
    const listensAt = ([w0, w1, w2, w3]: Int32Array): boolean =>
      addresses.some((own) => own.w0 === w0 && own.w1 === w1 && own.w2 === w2 && own.w3 === w3);
    this.#listener = tcp.listen(port, { ...SERVED, listensAt });
  }

  /** false: another service has the port. */
  get isListening(): boolean {
    return this.#listener !== undefined;
  }

  /** When {@link poll} is due. */
  pollAt(): number {
    return (this.#listener?.waiting ?? 0) > 0 ? Number.NEGATIVE_INFINITY : this.#server.pollAt();
  }

  /** Takes new connections, sends what there is to send, and ends what is to end. What comes over a connection is told by its events. */
  poll(now: number): void {
    const server = this.#server;
    for (let c = this.#listener?.accept(); c !== undefined; c = this.#listener?.accept()) this.#accept(now, c);
    if (server.pollAt() <= now) server.handleTimeout(now);
    for (let next = server.pollTransmit(); next !== undefined; next = server.pollTransmit())
      server.sent(now, next.id, this.#connections.get(next.id)?.writeBytes(next.bytes) ?? next.bytes.length);
    for (let next = server.pollEnding(); next !== undefined; next = server.pollEnding()) {
      const c = this.#connections.get(next.id);
      if (next.how !== "shutdown") this.#connections.delete(next.id);
      c?.[next.how]();
    }
  }

  #accept(now: number, c: Connection): void {
    const id = this.#server.open(now, c.remote.address);
    if (id === 0) return c.abort();
    this.#connections.set(id, c);
    c.user = { handleEvents: (at) => this.#handle(at, id, c, c.takeEvents()) } satisfies TcpUser;
    this.#handle(now, id, c, c.takeEvents());
  }

  #handle(now: number, id: number, c: Connection, events: number): void {
    const server = this.#server;
    if (this.#connections.get(id) !== c) return;
    for (let n = c.read(this.#piece); n > 0; n = c.read(this.#piece))
      server.handle(now, id, this.#piece.subarray(0, n));
    if ((events & WRITABLE) !== 0) server.handleWritable(id);
    if ((events & ENDED) !== 0) {
      server.handleEnd(id);
      this.#connections.delete(id);
      c.close();
    } else if ((events & FINISHED) !== 0) server.handleFinished(id);
  }
}
