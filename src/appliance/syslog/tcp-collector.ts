/** A collector over TCP: its sender (netstack/syslog/stream.ts) over connections of an interface. */
import type { Endpoint } from "../../lib/endpoint.ts";
import type { SyslogEvent, SyslogLines } from "../../netstack/syslog/lines.ts";
import { SyslogStream } from "../../netstack/syslog/stream.ts";
import {
  CONNECTED,
  type Connection,
  ENDED,
  type EndReason,
  FINISHED,
  WRITABLE,
} from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { TcpUser } from "../wiring/tcp-users.ts";
import type { Collector } from "./collector.ts";

/** Our choices. The memory is shared with the LAN's DNS; who acknowledges nothing for so long is gone. */
const OPTIONS = { noDelay: true, receiveBuffer: 4096, sendBuffer: 32_768, userTimeout: 30_000 };

type Failure = Exclude<SyslogEvent, "reached">;

export class TcpCollector implements Collector, TcpUser {
  readonly #tcp: Tcp;
  readonly #to: Endpoint;
  readonly #stream: SyslogStream;
  #connection: Connection | undefined;

  constructor(tcp: Tcp, to: Endpoint, lines: SyslogLines) {
    this.#tcp = tcp;
    this.#to = to;
    this.#stream = new SyslogStream(lines);
  }

  get isBusy(): boolean {
    return this.#stream.isBusy;
  }

  get counts(): Readonly<Record<string, number>> {
    const { sent, repeated } = this.#stream;
    return { sent, repeated };
  }

  get drops() {
    return {};
  }

  pollAt(): number {
    return this.#stream.pollAt();
  }

  poll(now: number): void {
    const stream = this.#stream;
    if (stream.pollAt() <= now) stream.handleTimeout(now);
    if (stream.pollDial()) this.#dial(now);
    this.#write();
  }

  pollEvent(): SyslogEvent | undefined {
    return this.#stream.pollEvent();
  }

  handleEvents(now: number): void {
    const c = this.#connection;
    if (c === undefined) return;
    const events = c.takeEvents();
    if ((events & CONNECTED) !== 0) this.#stream.opened();
    if ((events & WRITABLE) !== 0) this.#stream.handleWritable();
    // A collector has nothing to say (RFC 6587 3.1); its window for it stays open.
    if (c.readable > 0) c.consume(c.readable);
    // What is queued says nothing of an acknowledgement once it is over.
    if ((events & FINISHED) !== 0 && c.end === undefined) this.#finish(c);
    if ((events & ENDED) !== 0) this.#end(now, c);
  }

  close(_now: number, isEnd: boolean): void {
    if (isEnd) this.#write();
    this.#connection?.close();
    this.#connection = undefined;
  }

  #dial(now: number): void {
    const c = this.#tcp.connect(now, this.#to, OPTIONS);
    if (typeof c === "string") return this.#stream.ended(now, "silent");
    c.user = this;
    this.#connection = c;
  }

  #write(): void {
    const c = this.#connection;
    const stream = this.#stream;
    if (c === undefined || !stream.isOpen) return;
    stream.acknowledged(c.queued);
    for (let bytes = stream.pollTransmit(); bytes !== undefined; bytes = stream.pollTransmit())
      stream.took(c.writeBytes(bytes));
  }

  /** The collector says no more, and may go on reading: what finds room goes there, and is not sent once more in vain. */
  #finish(c: Connection): void {
    this.#write();
    this.#stream.finish();
    c.shutdown();
  }

  #end(now: number, c: Connection): void {
    // Both directions have come to their ends, and all of ours was acknowledged; behind any other end nothing is known.
    if (c.end === "closed") this.#stream.acknowledged(0);
    this.#connection = undefined;
    c.abort();
    this.#stream.ended(now, FAILURES[c.end ?? "closed"]);
  }
}

const FAILURES = Object.freeze({
  closed: "ended",
  refused: "refused",
  reset: "ended",
  "timed-out": "silent",
  unreachable: "silent",
  aborted: "ended",
  "address-lost": "ended",
} as const satisfies Record<EndReason, Failure>);
