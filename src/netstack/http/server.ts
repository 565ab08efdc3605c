/**
 * An HTTP server (RFC 9112), sans I/O, for one small site: a connection has one request and one answer, and then it ends. Whoever owns it
 * joins its connections to TCP, and answers the requests.
 *
 *   reading -- a whole request --> waiting -- answer() --> sending -- all of it is written --> lingering --> gone
 *      |                                                      ^
 *      `-- a request that is none, too large, too slow -------'
 *
 * - in: `open`, `handle`, `handleFinished`, `handleEnd`, `handleWritable`, `answer`;
 * - out: `pollQuestion`, `pollTransmit` (and then `sent`), `pollEnding`;
 * - time: `pollAt`, `handleTimeout`.
 *
 * Bounds, all of them our choices: connections, in all and of a host; the bytes of a request (request.ts); the time of a request, of its
 * answer, and of who reads it; answers a second; bytes of answers that wait. A host that holds the most gives way.
 */
import { ascii, EMPTY } from "../../lib/bytes.ts";
import type { IpAddress } from "../../lib/ip.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import { FairLimit } from "../../lib/rate-limit.ts";
import { HttpCounters } from "./counters.ts";
import { type HttpRequest, type Refusal, RequestReader } from "./request.ts";
import { encodeResponse, type HttpResponse, REASONS } from "./response.ts";

export interface HttpQuestion {
  /** Of the connection. */
  readonly id: number;
  readonly from: IpAddress;
  readonly request: HttpRequest;
}

/** What is to be done about a connection: nothing more is sent over it; it is let go of; it is broken off. */
export interface Ending {
  readonly id: number;
  readonly how: "shutdown" | "close" | "abort";
}

export const MOST_CONNECTIONS = 32;
export const MOST_OF_HOST = 8;
export const READ_MS = 10_000;
/** A password takes a tenth of a second, and others may wait before it. */
export const ANSWER_MS = 20_000;
export const SEND_MS = 30_000;
/** RFC 9112 9.6: who still sends would not see the answer if the connection was gone at once. */
export const LINGER_MS = 2000;
const MOST_IGNORED = 65_536;
/** Bytes of all answers that are under way; a single one may be larger. */
const MOST_WAITING = 2 << 20;
/** Answers a second, at once, and what of both one host gets. */
const RATE = [10, 60, 0.5] as const;
const NEVER = Number.POSITIVE_INFINITY;
const TEXT = "text/plain; charset=utf-8";

interface Exchange {
  readonly id: number;
  readonly from: IpAddress;
  readonly reader: RequestReader;
  state: "reading" | "waiting" | "sending" | "lingering";
  until: number;
  /** It answers a HEAD. */
  isHead: boolean;
  /** What is left of the answer. */
  out: Uint8Array;
  /** What was written last found no room. */
  isFull: boolean;
  /** The other end sends no more. */
  isFinished: boolean;
  /** Bytes that came behind the request. */
  ignored: number;
}

export class HttpServer {
  readonly counters = new HttpCounters();
  readonly #exchanges = new Map<number, Exchange>();
  readonly #questions: HttpQuestion[] = [];
  readonly #endings: Ending[] = [];
  readonly #limit: FairLimit;
  #lastId = 0;

  constructor(random: Random) {
    this.#limit = new FairLimit(...RATE, randomBelow(random, 2 ** 32) | 0);
  }

  /** How many connections there are. */
  get count(): number {
    return this.#exchanges.size;
  }

  /** Somebody has connected. @returns the connection's number from now on; 0: there is no room */
  open(now: number, from: IpAddress): number {
    if (!this.#makeRoom(from)) {
      this.counters.drop("no-room");
      return 0;
    }
    const id = ++this.#lastId;
    this.#exchanges.set(id, {
      ...{ id, from, reader: new RequestReader(), state: "reading", until: now + READ_MS },
      ...{ isHead: false, out: EMPTY, isFull: false, isFinished: false, ignored: 0 },
    });
    this.counters.count("connections");
    return id;
  }

  /** Bytes that came over a connection; nobody needs them any more when it returns. */
  handle(now: number, id: number, bytes: Uint8Array): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    if (exchange.state === "reading") this.#read(now, exchange, bytes);
    else {
      exchange.ignored += bytes.length;
      if (exchange.ignored > MOST_IGNORED) this.#end(exchange, "abort");
    }
  }

  /** The other end of a connection sends no more. */
  handleFinished(id: number): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    exchange.isFinished = true;
    if (exchange.state === "reading" || exchange.state === "lingering") this.#end(exchange, "close");
  }

  /** A connection is over. */
  handleEnd(id: number): void {
    this.#exchanges.delete(id);
  }

  /** There is room again for what is to be sent. */
  handleWritable(id: number): void {
    const exchange = this.#exchanges.get(id);
    if (exchange !== undefined) exchange.isFull = false;
  }

  /** The next request, which is to be answered; undefined: there is none. */
  pollQuestion(): HttpQuestion | undefined {
    return this.#questions.shift();
  }

  /** The answer to a request. It has no meaning where nobody waits for it any more. */
  answer(now: number, id: number, response: HttpResponse): void {
    const exchange = this.#exchanges.get(id);
    if (exchange?.state !== "waiting") return;
    let waiting = 0;
    for (const { out } of this.#exchanges.values()) waiting += out.length;
    const isTooMuch = waiting > 0 && waiting + response.content.length > MOST_WAITING;
    if (isTooMuch) this.counters.drop("busy");
    else this.counters.count("answers");
    this.#send(now, exchange, isTooMuch ? plain(503, "Too many answers wait for slow readers.") : response);
  }

  /** What is to be sent next over some connection; {@link sent} follows. undefined: nothing. */
  pollTransmit(): { readonly id: number; readonly bytes: Uint8Array } | undefined {
    for (const { id, state, isFull, out } of this.#exchanges.values())
      if (state === "sending" && !isFull) return { id, bytes: out };
    return undefined;
  }

  /** So many of the bytes were taken; where that are not all, {@link handleWritable} says when there is room. */
  sent(now: number, id: number, n: number): void {
    const exchange = this.#exchanges.get(id);
    if (exchange?.state !== "sending") return;
    exchange.out = exchange.out.subarray(n);
    exchange.isFull = exchange.out.length > 0;
    if (exchange.isFull) return;
    exchange.out = EMPTY;
    if (exchange.isFinished) return this.#end(exchange, "close");
    exchange.state = "lingering";
    exchange.until = now + LINGER_MS;
    this.#endings.push({ id, how: "shutdown" });
  }

  /** What is to be done next about some connection; undefined: nothing. */
  pollEnding(): Ending | undefined {
    return this.#endings.shift();
  }

  /** When {@link handleTimeout} is due; in the past when something waits to be polled. */
  pollAt(): number {
    if (this.#questions.length > 0 || this.#endings.length > 0) return Number.NEGATIVE_INFINITY;
    let at = NEVER;
    for (const { until, state, isFull } of this.#exchanges.values()) {
      if (state === "sending" && !isFull) return Number.NEGATIVE_INFINITY;
      at = Math.min(at, until);
    }
    return at;
  }

  handleTimeout(now: number): void {
    for (const exchange of [...this.#exchanges.values()]) if (now >= exchange.until) this.#expire(now, exchange);
  }

  #expire(now: number, exchange: Exchange): void {
    switch (exchange.state) {
      case "reading":
        this.counters.drop("slow");
        if (exchange.reader.isBegun) this.#refuse(now, exchange, 408);
        else this.#end(exchange, "close");
        return;
      case "waiting":
        this.counters.drop("late");
        this.#send(now, exchange, plain(503, "It takes too long; try again."));
        return;
      case "sending":
        this.counters.drop("unread");
        this.#end(exchange, "abort");
        return;
      case "lingering":
        this.#end(exchange, "close");
        return;
      default:
        exchange.state satisfies never;
    }
  }

  #read(now: number, exchange: Exchange, bytes: Uint8Array): void {
    const request = exchange.reader.feed(bytes);
    if (request === undefined) return;
    if (typeof request === "number") {
      this.counters.drop("malformed");
      return this.#refuse(now, exchange, request);
    }
    this.counters.count("requests");
    exchange.state = "waiting";
    exchange.until = now + ANSWER_MS;
    exchange.isHead = request.method === "HEAD";
    const { id, from } = exchange;
    if (this.#limit.take(now, from.w3)) {
      this.#questions.push({ id, from, request });
      return;
    }
    this.counters.drop("limited");
    this.#send(now, exchange, { ...plain(429, "Too many requests; wait a second."), fields: [["Retry-After", "1"]] });
  }

  #refuse(now: number, exchange: Exchange, status: Refusal | 408): void {
    this.#send(now, exchange, plain(status, `${REASONS[status]}.`));
  }

  #send(now: number, exchange: Exchange, response: HttpResponse): void {
    exchange.state = "sending";
    exchange.until = now + SEND_MS;
    exchange.isFull = false;
    exchange.out = encodeResponse(response, exchange.isHead);
  }

  #end({ id }: Exchange, how: "close" | "abort"): void {
    this.#exchanges.delete(id);
    this.#endings.push({ id, how });
  }

  /** Where there are too many, one that has asked nothing, or was answered, gives way: of the host that has most of all, the oldest. */
  #makeRoom(from: IpAddress): boolean {
    const hosts = new Map<string, Exchange[]>();
    for (const exchange of this.#exchanges.values()) {
      const host = `${exchange.from}`;
      const found = hosts.get(host);
      if (found === undefined) hosts.set(host, [exchange]);
      else found.push(exchange);
    }
    const own = hosts.get(`${from}`) ?? [];
    if (own.length >= MOST_OF_HOST) return this.#giveUpOne(own);
    if (this.#exchanges.size < MOST_CONNECTIONS) return true;
    const byCount = [...hosts.values()].sort((a, b) => b.length - a.length);
    return byCount.some((all) => this.#giveUpOne(all));
  }

  #giveUpOne(exchanges: readonly Exchange[]): boolean {
    const idle = exchanges.find(({ state }) => state === "reading" || state === "lingering");
    if (idle === undefined) return false;
    this.counters.drop("crowded-out");
    this.#end(idle, "abort");
    return true;
  }
}

const plain = (status: number, text: string): HttpResponse => ({ status, type: TEXT, content: ascii(`${text}\n`) });
