/**
 * DNS forwarder (RFC 5625) for the hosts of a LAN, as a pure machine. A question is read and judged (query.ts), answered from what is
 * known (answer-cache.ts, names.ts), or joined with equal ones (in-flight.ts) and asked of a server (asking.ts, upstreams.ts); what is
 * believed is read once (answer.ts), kept, and passed on unchanged (reply.ts).
 *
 * It has two sides. To the LAN: ask() answers at once where it can, in `reply`; the other answers come from pollAnswer(). To the
 * servers: `asking`, a service over UDP (service.ts) whose sockets are the tunnel's, with questions for TCP beside it. Nothing is asked
 * without a server, and nothing knows a way but through that.
 */
import type { IpAddress } from "../../lib/ip.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import { FairLimit } from "../../lib/rate-limit.ts";
import { DNS_HEADER_LEN, dnsLabels, isLetter } from "../wire/dns-message.ts";
import type { AnswerView } from "./answer.ts";
import { AnswerCache, questionHash } from "./answer-cache.ts";
import { Asking, type AskingEvents, passedOn, type ServerEvent } from "./asking.ts";
import { Dns, type DnsCode, dnsCounters, extendedErrorOf, rcodeOf } from "./forwarder-counters.ts";
import { type Attempt, Flight, InFlight, type Waiter } from "./in-flight.ts";
import { isPrivateName, type LocalNames } from "./names.ts";
import { QueryView } from "./query.ts";
import { ReplyWriter } from "./reply.ts";
import { type DnsServerGroup, type Upstream, Upstreams } from "./upstreams.ts";

export interface DnsForwarderOptions {
  readonly random: Random;
  readonly names: LocalNames;
  /** Whether an address is of the LAN: nobody else is answered. */
  readonly isOfLan: (address: IpAddress) => boolean;
}

/** An answer that was not there when the question came. */
export interface DeferredAnswer {
  readonly to: IpAddress;
  readonly port: number;
  /** The TCP connection, 0: UDP. */
  readonly stream: number;
  readonly message: Uint8Array;
}

/** What a person may want to know; whoever logs it bounds it. */
export type ForwarderEvent =
  | { readonly kind: "no-server"; readonly name: string }
  | ServerEvent
  | { readonly kind: "private-answer"; readonly name: string; readonly server: string };

// Our choices.
/** Who asks waits for 5 s (resolv.conf(5), timeout), and should hear of a failure before that. */
const TOTAL_LIMIT = 4500;
/** RFC 9520 3.2 asks for 1 s at least. */
const FAILURE_TTL = 5;
const REFUSED_TTL = 30;
/** A question with options is short; who pads it (RFC 8467 4.1) takes blocks of 128. */
const MAX_QUERY = 1500;
/** Questions a second: all, of which half may be one host's; and those that are asked of a server. At once a quarter, and a half. */
const QUESTIONS = 200_000;
const ASKED_ON = 4000;
const SHARE = 0.5;
/** Our own capitals in a question of the LAN are no accident where there are so many letters. */
const LOOP_LETTERS = 12;
const MAX_EVENTS = 16;

export class DnsForwarder {
  /** The side to the servers. */
  readonly asking: Asking;
  readonly counters = dnsCounters();
  /** ask() leaves its answer here, until it is called again. */
  readonly reply: Uint8Array;

  readonly #names: LocalNames;
  readonly #isOfLan: (address: IpAddress) => boolean;
  readonly #writer = new ReplyWriter();
  readonly #in = new Uint8Array(MAX_QUERY);
  readonly #inView = new DataView(this.#in.buffer);
  readonly #query = new QueryView();
  readonly #cache: AnswerCache;
  readonly #flights: InFlight;
  readonly #upstreams = new Upstreams();
  readonly #questions: FairLimit;
  readonly #askedOn: FairLimit;
  #privateDomains: readonly (readonly string[])[] = [];
  #answers: DeferredAnswer[] = [];
  #events: ForwarderEvent[] = [];
  /** Whether there is anybody to ask. */
  #isOpen = false;

  constructor({ random, names, isOfLan }: DnsForwarderOptions) {
    const seed = (): number => randomBelow(random, 2 ** 32) | 0;
    this.#names = names;
    this.#isOfLan = isOfLan;
    this.#cache = new AnswerCache({ seed: seed() });
    this.#flights = new InFlight(seed());
    this.#questions = new FairLimit(QUESTIONS, QUESTIONS / 4, SHARE, seed());
    this.#askedOn = new FairLimit(ASKED_ON, ASKED_ON / 2, SHARE, seed());
    this.asking = new Asking(random, this.#flights, this.counters, this.#askingEvents());
    this.reply = this.#writer.bytes;
  }

  /** Bytes that answers are kept in. */
  get cacheBytes(): number {
    return this.#cache.bytes;
  }

  /** Whether pollAnswer(), pollEvent() or the side to the servers has something. */
  get hasWork(): boolean {
    return this.#answers.length > 0 || this.#events.length > 0 || this.asking.hasWork;
  }

  /**
   * Other servers, or none: what is under way ends, and what is known is forgotten, because other servers may say otherwise.
   * @param privateDomains those whose names may have private addresses
   */
  setServers(now: number, groups: readonly DnsServerGroup[], privateDomains: readonly string[]): void {
    this.#privateDomains = privateDomains.map((domain) => domain.split("."));
    if (groups.length === 0) {
      // With the tunnel gone nothing is given that came through it; the same servers may come back, and what they said with them.
      this.#isOpen = false;
      this.#endAll(now);
      return;
    }
    this.#isOpen = true;
    if (!this.#upstreams.set(groups)) return;
    this.#endAll(now);
    this.#cache.clear();
  }

  /**
   * A question: `len` bytes at `at`.
   * @param stream the TCP connection that it came by, 0: UDP
   * @returns the length of the answer in `reply`; 0: it comes later or never
   */
  ask(now: number, from: IpAddress, port: number, stream: number, bytes: Uint8Array, at: number, len: number): number {
    this.counters.bump(Dns.Asked);
    if (len < DNS_HEADER_LEN) return this.#drop(Dns.Short);
    if (len > MAX_QUERY) return this.#drop(Dns.Long);
    if (!this.#isOfLan(from)) return this.#drop(Dns.ForeignAsker);
    const host = from.isIpv4 ? from.w3 : from.w2 ^ from.w3;
    if (!this.#questions.take(now, host)) return this.#drop(Dns.RateLimited);
    const message = this.#in;
    for (let i = 0; i < len; i++) message[i] = bytes[at + i]!;
    const q = this.#query;
    const bad = q.read(this.#inView, len, stream !== 0);
    if (bad !== Dns.None) return this.#refuse(bad);
    const hash = questionHash(this.#cache.seed, message, q.nameEnd, q.type, q.key);
    if (this.#isOpen) {
      const i = this.#cache.find(now, hash, message, q.nameEnd, q.type, q.key);
      if (i !== 0) {
        this.counters.bump(Dns.Cached);
        const cache = this.#cache;
        return this.#writer.stored(q, message, cache.message(i), cache.ttls(i), cache.age(now, i), true);
      }
    }
    const labels = dnsLabels(message, DNS_HEADER_LEN);
    const local = this.#names.answer(labels, q.type, this.#isOpen && this.#upstreams.isSplit(labels));
    if (local !== undefined) {
      this.counters.bump(Dns.Local);
      return this.#writer.local(q, message, local);
    }
    const upstreams = this.#isOpen ? this.#upstreams.for(labels) : [];
    if (upstreams.length === 0) {
      this.#tell({ kind: "no-server", name: labels.join(".") });
      return this.#refuse(Dns.NoServer);
    }
    const waiter: Waiter = {
      from,
      port,
      stream,
      id: q.id,
      flags: q.flags,
      nameEnd: q.nameEnd,
      questionEnd: q.questionEnd,
      type: q.type,
      hasEdns: q.hasEdns,
      dnssecOk: q.dnssecOk,
      room: q.room,
      message: message.slice(0, q.questionEnd),
    };
    const flight = this.#flights.find(hash, message, q.nameEnd, q.type, q.key);
    if (flight !== undefined) return this.#join(flight, waiter);
    return this.#begin(now, waiter, hash, q.key, labels, host, upstreams);
  }

  /** An answer to pass to the LAN, or undefined. */
  pollAnswer(): DeferredAnswer | undefined {
    return this.#answers.shift();
  }

  pollEvent(): ForwarderEvent | undefined {
    return this.#events.shift();
  }

  #askingEvents(): AskingEvents {
    return {
      answered: (now, flight, upstream, payload, view) => this.#answered(now, flight, upstream, payload, view),
      truncated: (flight, isAll) => this.#truncated(flight, isAll),
      unanswered: (now, flight) => this.#unanswered(now, flight),
      tell: (event) => this.#tell(event),
    };
  }

  #answered(now: number, flight: Flight, upstream: Upstream, payload: Uint8Array, view: AnswerView): void {
    if (view.isPrivate && !this.#mayBePrivate(flight.labels)) {
      this.#tell({ kind: "private-answer", name: flight.labels.join("."), server: upstream.name });
      return this.#endFailed(now, flight, Dns.PrivateAnswer, REFUSED_TTL);
    }
    const answer = passedOn(payload, view);
    const ttls = view.ttlAt.slice(0, view.ttlCount);
    this.#cache.put(now, flight.hash, answer, flight.nameEnd, flight.type, flight.key, ttls, view.ttl, flight.host);
    this.#end(flight, answer, ttls, Dns.Answered);
  }

  #mayBePrivate(labels: readonly string[]): boolean {
    if (isPrivateName(labels) || this.#upstreams.isSplit(labels)) return true;
    return this.#privateDomains.some((domain) =>
      domain.every((label, i) => label === labels[labels.length - domain.length + i]),
    );
  }

  #join(flight: Flight, waiter: Waiter): number {
    if (flight.attempts.some((attempt) => isOwnQuestion(attempt, waiter.message))) return this.#refuse(Dns.Loop);
    if (!flight.join(waiter)) return this.#refuse(Dns.Busy);
    this.counters.bump(Dns.Joined);
    return 0;
  }

  #begin(
    now: number,
    waiter: Waiter,
    hash: number,
    key: number,
    labels: readonly string[],
    host: number,
    upstreams: readonly Upstream[],
  ): number {
    const owner = this.#flights.ownerOf(host);
    const room = this.#askedOn.take(now, host) ? this.#flights.roomFor(owner) : "no";
    if (room === "no") return this.#refuse(Dns.Busy);
    if (room !== "yes") this.#endFailed(now, room, Dns.Busy, 0);
    const flight = new Flight(hash, waiter, key, labels, owner, host, upstreams, now + TOTAL_LIMIT);
    this.#flights.add(flight);
    this.counters.bump(Dns.Forwarded);
    this.asking.begin(now, flight);
    return 0;
  }

  #unanswered(now: number, flight: Flight): void {
    if (flight.failure === undefined) return this.#endFailed(now, flight, Dns.Unanswered, FAILURE_TTL);
    this.#cache.put(
      now,
      flight.hash,
      flight.failure,
      flight.nameEnd,
      flight.type,
      flight.key,
      NO_TTLS,
      FAILURE_TTL,
      flight.host,
    );
    this.#end(flight, flight.failure, NO_TTLS, Dns.ServerFailure);
  }

  /** Everybody who waits is told of a failure, which is remembered for `ttl` s. */
  #endFailed(now: number, flight: Flight, code: DnsCode, ttl: number): void {
    if (!this.#remove(flight)) return;
    this.counters.bump(code);
    const { waiters, hash, nameEnd, type, key, host } = flight;
    for (const waiter of waiters)
      this.#answerLater(waiter, this.#writer.refusal(waiter, waiter.message, rcodeOf(code), extendedErrorOf(code)));
    if (ttl === 0) return;
    const bare = { ...(waiters[0] as Waiter), hasEdns: false };
    const len = this.#writer.refusal(bare, bare.message, rcodeOf(code), 0);
    this.#cache.put(now, hash, this.reply.slice(0, len), nameEnd, type, key, NO_TTLS, ttl, host);
  }

  /** So is told who asked by UDP; @returns whether there are others, who wait on. */
  #truncated(flight: Flight, isAll: boolean): boolean {
    const streams = flight.waiters.filter(({ stream }) => stream !== 0);
    if (isAll || streams.length === 0) {
      this.#endTruncated(flight);
      return false;
    }
    for (const waiter of flight.waiters)
      if (waiter.stream === 0) this.#answerLater(waiter, this.#writer.truncated(waiter, waiter.message));
    flight.waiters.splice(0, flight.waiters.length, ...streams);
    return true;
  }

  #endTruncated(flight: Flight): void {
    if (!this.#remove(flight)) return;
    this.counters.bump(Dns.Truncated);
    for (const waiter of flight.waiters) {
      const { message, stream } = waiter;
      const code = Dns.TooLongForUdp;
      const len =
        stream === 0
          ? this.#writer.truncated(waiter, message)
          : this.#writer.refusal(waiter, message, rcodeOf(code), 0);
      this.#answerLater(waiter, len);
    }
  }

  #end(flight: Flight, answer: Uint8Array, ttls: Uint16Array, code: DnsCode): void {
    if (!this.#remove(flight)) return;
    this.counters.bump(code);
    for (const waiter of flight.waiters)
      this.#answerLater(waiter, this.#writer.stored(waiter, waiter.message, answer, ttls, 0, false));
  }

  #endAll(now: number): void {
    for (const flight of [...this.#flights]) this.#endFailed(now, flight, Dns.NoServer, 0);
  }

  #remove(flight: Flight): boolean {
    if (!this.#flights.remove(flight)) return false;
    this.asking.end(flight);
    return true;
  }

  /** The answer that was just written, for somebody who waits. */
  #answerLater({ from, port, stream }: Waiter, len: number): void {
    this.#answers.push({ to: from, port, stream, message: this.reply.slice(0, len) });
  }

  #drop(code: DnsCode): 0 {
    this.counters.bump(code);
    return 0;
  }

  /** Refuses the question in hand, where it gets an answer at all. */
  #refuse(code: DnsCode): number {
    this.counters.bump(code);
    const rcode = rcodeOf(code);
    return rcode < 0 ? 0 : this.#writer.refusal(this.#query, this.#in, rcode, extendedErrorOf(code));
  }

  #tell(event: ForwarderEvent): void {
    if (this.#events.length < MAX_EVENTS) this.#events.push(event);
  }
}

const NO_TTLS = new Uint16Array(0);

/** Whether a question of the LAN is one of ours, to the letter. */
function isOwnQuestion({ sent, mixesCase, flight }: Attempt, message: Uint8Array): boolean {
  if (!mixesCase) return false;
  let letters = 0;
  for (let i = DNS_HEADER_LEN; i < flight.nameEnd; i++) {
    if (message[i] !== sent[i]) return false;
    if (isLetter(sent[i]!)) letters++;
  }
  return letters >= LOOP_LETTERS;
}
