/**
 * DNS forwarder (RFC 5625) for the hosts of a LAN, as a pure machine. A question is read and judged (query.ts), answered from what is
 * known (answer-cache.ts, names.ts), or asked of a server (upstreams.ts) and joined with equal ones (in-flight.ts); what comes back is
 * believed only if it matches id, port, server and question to the letter (RFC 5452 9.1, with random capitals), read once
 * (answer.ts), kept, and passed on unchanged (reply.ts).
 *
 * It has two sides. To the LAN: ask() answers at once where it can, in `reply`; the other answers come from pollAnswer(). To the
 * servers it is a service over UDP (service.ts) whose sockets are the tunnel's; each question has one of its own, with a random
 * port. Nothing is asked without a server, and nothing knows a way but through that service.
 */
import type { Endpoint } from "../../lib/endpoint.ts";
import type { IpAddress } from "../../lib/ip.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import { FairLimit } from "../../lib/rate-limit.ts";
import type { Datagram, UdpService } from "../service.ts";
import {
  DNS_AD,
  DNS_CD,
  DNS_HEADER_LEN,
  DNS_OPT_LEN,
  DNS_RD,
  DnsRcode,
  dnsEmitHeader,
  dnsEmitOpt,
  dnsLabels,
  dnsSameName,
  dnsSetAdditionals,
} from "../wire/dns-message.ts";
import { AnswerView } from "./answer.ts";
import { AnswerCache, questionHash } from "./answer-cache.ts";
import { Dns, type DnsCode, dnsCounters, extendedErrorOf, rcodeOf } from "./forwarder-counters.ts";
import { type Attempt, Flight, InFlight, type Waiter } from "./in-flight.ts";
import { isPrivateName, type LocalNames } from "./names.ts";
import { EDNS_SIZE, KEY_AD, KEY_CD, KEY_DO, KEY_RD, QueryView } from "./query.ts";
import { ReplyWriter } from "./reply.ts";
import { type DnsServerGroup, nextUpstream, type Upstream, Upstreams } from "./upstreams.ts";

export interface DnsForwarderOptions {
  readonly random: Random;
  readonly names: LocalNames;
  /** Whether an address is of the LAN: nobody else is answered. */
  readonly isOfLan: (address: IpAddress) => boolean;
  /** Whether somebody carries out pollDial(). */
  readonly canDial?: boolean;
}

/** A question for a server by TCP. What comes of it is told to handleMessage() or handleDialEnd(). */
export interface Dial {
  readonly id: number;
  readonly server: Endpoint;
  readonly question: Uint8Array;
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
  | { readonly kind: "server-down"; readonly server: string }
  | { readonly kind: "server-up"; readonly server: string }
  | { readonly kind: "private-answer"; readonly name: string; readonly server: string };

// Our choices.
/** Who asks waits for 5 s (resolv.conf(5), timeout), and should hear of a failure before that. */
const TOTAL_LIMIT = 4500;
const MAX_ATTEMPTS = 6;
/** A handshake and an answer; who waits came by TCP, and is patient. */
const DIAL_TIMEOUT = 3000;
/** RFC 9520 3.2 asks for 1 s at least. */
const FAILURE_TTL = 5;
const REFUSED_TTL = 30;
/** A question with options is short; who pads it (RFC 8467 4.1) takes blocks of 128. */
const MAX_QUERY = 1500;
/** Questions a second: all, of which half may be one host's; and those that are asked of a server. At once a quarter, and a half. */
const QUESTIONS = 200_000;
const ASKED_ON = 4000;
const SHARE = 0.5;
/** So many wrong answers to one port are somebody who guesses: the question gets another one (RFC 5452 9.2). */
const MAX_WRONG = 16;
/** Our own capitals in a question of the LAN are no accident where there are so many letters. */
const LOOP_LETTERS = 12;
const MAX_EVENTS = 16;
const RANDOM_POOL = 256;
const NEVER = Number.POSITIVE_INFINITY;

export class DnsForwarder implements UdpService {
  /** One for each question that a server was asked. */
  readonly sockets = new Map<number, number>();
  readonly counters = dnsCounters();
  /** ask() leaves its answer here, until it is called again. */
  readonly reply: Uint8Array;

  readonly #random: Random;
  readonly #names: LocalNames;
  readonly #isOfLan: (address: IpAddress) => boolean;
  readonly #writer = new ReplyWriter();
  readonly #in = new Uint8Array(MAX_QUERY);
  readonly #inView = new DataView(this.#in.buffer);
  readonly #query = new QueryView();
  readonly #answer = new AnswerView();
  readonly #cache: AnswerCache;
  readonly #flights: InFlight;
  readonly #upstreams = new Upstreams();
  readonly #questions: FairLimit;
  readonly #askedOn: FairLimit;
  readonly #attempts = new Map<number, Attempt>();
  #privateDomains: readonly (readonly string[])[] = [];
  #transmits: Datagram[] = [];
  #answers: DeferredAnswer[] = [];
  #events: ForwarderEvent[] = [];
  readonly #canDial: boolean;
  #dials: Dial[] = [];
  #hangUps: number[] = [];
  /** Whether there is anybody to ask. */
  #isOpen = false;
  #lastSocket = 0;
  #nextAt = NEVER;
  readonly #pool = new Uint8Array(RANDOM_POOL);
  #poolAt = RANDOM_POOL;

  constructor({ random, names, isOfLan, canDial = false }: DnsForwarderOptions) {
    const seed = (): number => randomBelow(random, 2 ** 32) | 0;
    this.#random = random;
    this.#names = names;
    this.#isOfLan = isOfLan;
    this.#canDial = canDial;
    this.#cache = new AnswerCache({ seed: seed() });
    this.#flights = new InFlight(seed());
    this.#questions = new FairLimit(QUESTIONS, QUESTIONS / 4, SHARE, seed());
    this.#askedOn = new FairLimit(ASKED_ON, ASKED_ON / 2, SHARE, seed());
    this.reply = this.#writer.bytes;
  }

  /** Bytes that answers are kept in. */
  get cacheBytes(): number {
    return this.#cache.bytes;
  }

  /** Whether pollAnswer(), pollTransmit() or pollEvent() has something. */
  get hasWork(): boolean {
    const { length } = this.#answers;
    return length > 0 || [this.#transmits, this.#events, this.#dials, this.#hangUps].some((list) => list.length > 0);
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

  /** A question to put to a server by TCP, or undefined. */
  pollDial(): Dial | undefined {
    return this.#dials.shift();
  }

  /** The number of a dial that nobody needs any more, or undefined. */
  pollHangUp(): number | undefined {
    return this.#hangUps.shift();
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift();
  }

  pollAt(): number {
    return this.#nextAt;
  }

  handleTimeout(now: number): void {
    for (const flight of [...this.#flights]) {
      if (now >= flight.endsAt) this.#unanswered(now, flight);
      else if (now >= flight.attemptEndsAt) {
        const last = flight.attempts.at(-1);
        if (last?.upstream.wasSilent(now) === true) this.#tell({ kind: "server-down", server: last.upstream.name });
        this.#attempt(now, flight);
      }
    }
    this.#nextAt = NEVER;
    for (const flight of this.#flights) this.#due(flight);
  }

  /** A datagram that came to one of the sockets. */
  handle(now: number, { socket, peer, payload }: Datagram): string | undefined {
    const attempt = this.#attempts.get(socket);
    if (attempt === undefined) return this.#ignore(Dns.Unexpected);
    if (!isFrom(attempt.upstream.server, peer)) return this.#wrong(now, attempt, Dns.WrongServer);
    return this.#read(now, attempt, payload);
  }

  /** What a server said by TCP; the connection is closed. */
  handleMessage(now: number, id: number, payload: Uint8Array): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined) return;
    this.#read(now, attempt, payload);
    // There is nothing more to come from it, whatever it said.
    if (this.#attempts.has(id)) this.handleDialEnd(now, id);
  }

  /** A server could not be reached by TCP, or said nothing. */
  handleDialEnd(now: number, id: number): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined) return;
    this.#attempts.delete(id);
    if (attempt.flight.attempts.at(-1) === attempt) this.#attempt(now, attempt.flight);
  }

  #read(now: number, attempt: Attempt, payload: Uint8Array): string | undefined {
    const view = this.#answer;
    const form = view.read(new DataView(payload.buffer, payload.byteOffset, payload.length), payload.length);
    if (form === "unreadable") return this.#ignore(Dns.BadAnswer);
    if (view.id !== attempt.id) return this.#wrong(now, attempt, Dns.WrongId);
    if (form === "whole" && !this.#isQuestionOf(payload, attempt, attempt.mixesCase)) {
      if (!this.#isQuestionOf(payload, attempt, false)) return this.#wrong(now, attempt, Dns.WrongQuestion);
      // Id, port and server are right: a server that does not keep capitals. It is asked again without them, with another id and port.
      attempt.upstream.missedCase(now);
      this.#askAgain(now, attempt, attempt.hasEdns, false);
      return this.#ignore(Dns.WrongCase);
    }
    this.#answered(now, attempt, payload);
    return undefined;
  }

  #answered(now: number, attempt: Attempt, payload: Uint8Array): void {
    const { flight, upstream } = attempt;
    const view = this.#answer;
    if (attempt.mixesCase) upstream.keptCase();
    const isOldFashioned = view.rcode === DnsRcode.FormErr || view.rcode === DnsRcode.NotImp;
    if (isOldFashioned && attempt.hasEdns && !view.hasEdns) {
      // RFC 6891 7: it may be the OPT record that it does not know.
      upstream.refusedEdns(now);
      return this.#askAgain(now, attempt, false, attempt.mixesCase);
    }
    if (!isAboutName(view.rcode)) {
      if (view.questionEnd > 0 && !view.isTruncated && view.rcode <= 15 && view.end > 0)
        flight.failure = passedOn(payload, view);
      if (!flight.failed.includes(upstream)) flight.failed.push(upstream);
      if (upstream.failed(now)) this.#tell({ kind: "server-down", server: upstream.name });
      // What an earlier server says of itself does not end the wait for the one that is asked now.
      if (flight.attempts.at(-1) === attempt) this.#attempt(now, flight);
      return;
    }
    if (!attempt.isDialed && upstream.answered(now - attempt.sentAt))
      this.#tell({ kind: "server-up", server: upstream.name });
    if (view.isTruncated) return this.#truncated(now, attempt);
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

  #isQuestionOf(payload: Uint8Array, { flight, sent }: Attempt, exactly: boolean): boolean {
    const { nameEnd } = flight;
    for (let i = nameEnd; i < nameEnd + 4; i++) if (payload[i] !== sent[i]) return false;
    const len = nameEnd - DNS_HEADER_LEN;
    if (!exactly) return dnsSameName(payload, DNS_HEADER_LEN, sent, DNS_HEADER_LEN, len);
    for (let i = DNS_HEADER_LEN; i < nameEnd; i++) if (payload[i] !== sent[i]) return false;
    return true;
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
    this.#attempt(now, flight);
    return 0;
  }

  /** Asks the next server, of this round or of another one. */
  #attempt(now: number, flight: Flight): void {
    let next = nextUpstream(now, flight.upstreams, [...flight.asked, ...flight.failed]);
    if (next === undefined) {
      flight.asked = [];
      next = nextUpstream(now, flight.upstreams, flight.failed);
    }
    if (next === undefined || flight.attempts.length >= MAX_ATTEMPTS) return this.#unanswered(now, flight);
    flight.asked.push(next);
    next.asked(now);
    this.#send(now, flight, next, next.hasEdns(now), next.mixesCase(now), false);
  }

  /** The same server again, otherwise; the socket of before is closed. */
  #askAgain(now: number, attempt: Attempt, hasEdns: boolean, mixesCase: boolean): void {
    const { flight, upstream, isDialed } = attempt;
    this.#close(attempt);
    if (flight.attempts.length >= MAX_ATTEMPTS) return;
    this.#send(now, flight, upstream, hasEdns, mixesCase, isDialed);
  }

  #send(
    now: number,
    flight: Flight,
    upstream: Upstream,
    hasEdns: boolean,
    mixesCase: boolean,
    isDialed: boolean,
  ): void {
    const socket = ++this.#lastSocket;
    const id = (this.#randomByte() << 8) | this.#randomByte();
    const sent = this.#question(flight, id, hasEdns, mixesCase);
    const attempt: Attempt = {
      flight,
      socket,
      upstream,
      id,
      sent,
      sentAt: now,
      hasEdns,
      mixesCase,
      isDialed,
      wrong: 0,
    };
    flight.attempts.push(attempt);
    flight.attemptEndsAt = Math.min(now + (isDialed ? DIAL_TIMEOUT : upstream.timeout), flight.endsAt);
    this.#due(flight);
    this.#attempts.set(socket, attempt);
    if (isDialed) this.#dials.push({ id: socket, server: upstream.server, question: sent });
    else {
      this.sockets.set(socket, 0);
      this.#transmits.push({ socket, peer: upstream.server, payload: sent });
    }
  }

  /** The question as a server is asked, with letters that are capitals or not by chance (0x20), so that an answer proves that its sender saw it. */
  #question({ message, nameEnd, key }: Flight, id: number, hasEdns: boolean, mixesCase: boolean): Uint8Array {
    const end = nameEnd + 4;
    const out = new Uint8Array(end + (hasEdns ? DNS_OPT_LEN : 0));
    const d = new DataView(out.buffer);
    out.set(message);
    const flags = (key & KEY_RD ? DNS_RD : 0) | (key & KEY_AD ? DNS_AD : 0) | (key & KEY_CD ? DNS_CD : 0);
    dnsEmitHeader(d, id, flags, 0, 0, hasEdns ? 1 : 0);
    if (hasEdns) dnsEmitOpt(d, end, EDNS_SIZE, 0, (key & KEY_DO) !== 0);
    let bits = 0;
    let left = 0;
    for (let i = DNS_HEADER_LEN; i < nameEnd && mixesCase; i++) {
      if (!isLetter(out[i]!)) continue;
      if (left === 0) {
        bits = this.#randomByte();
        left = 8;
      }
      out[i] = (out[i]! & ~0x20) | ((bits & 1) << 5);
      bits >>= 1;
      left--;
    }
    return out;
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

  /** The server has more to say than fits into UDP: so it is told who asked by UDP, and for the others it is asked by TCP (RFC 5625 6.2). */
  #truncated(now: number, attempt: Attempt): void {
    const { flight } = attempt;
    const streams = flight.waiters.filter(({ stream }) => stream !== 0);
    if (!this.#canDial || attempt.isDialed || streams.length === 0) return this.#endTruncated(flight);
    for (const waiter of flight.waiters)
      if (waiter.stream === 0) this.#answerLater(waiter, this.#writer.truncated(waiter, waiter.message));
    flight.waiters.splice(0, flight.waiters.length, ...streams);
    this.#close(attempt);
    if (flight.attempts.length < MAX_ATTEMPTS)
      this.#send(now, flight, attempt.upstream, attempt.hasEdns, attempt.mixesCase, true);
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
    for (const attempt of flight.attempts) this.#close(attempt);
    return true;
  }

  #close({ socket, isDialed }: Attempt): void {
    if (!this.#attempts.delete(socket)) return;
    if (isDialed) {
      const unsent = this.#dials.findIndex(({ id }) => id === socket);
      if (unsent >= 0) this.#dials.splice(unsent, 1);
      else this.#hangUps.push(socket);
      return;
    }
    this.sockets.delete(socket);
    const unsent = this.#transmits.findIndex((datagram) => datagram.socket === socket);
    if (unsent >= 0) this.#transmits.splice(unsent, 1);
  }

  /** The answer that was just written, for somebody who waits. */
  #answerLater({ from, port, stream }: Waiter, len: number): void {
    this.#answers.push({ to: from, port, stream, message: this.reply.slice(0, len) });
  }

  /** An answer that is not the one that was asked for. */
  #wrong(now: number, attempt: Attempt, code: DnsCode): string {
    if (++attempt.wrong === MAX_WRONG) this.#askAgain(now, attempt, attempt.hasEdns, attempt.mixesCase);
    return this.#ignore(code);
  }

  #ignore(code: DnsCode): string {
    this.counters.bump(code);
    return this.counters.names[code] as string;
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

  #due({ endsAt, attemptEndsAt }: Flight): void {
    this.#nextAt = Math.min(this.#nextAt, endsAt, attemptEndsAt);
  }

  #randomByte(): number {
    if (this.#poolAt === RANDOM_POOL) {
      this.#random.fill(this.#pool);
      this.#poolAt = 0;
    }
    return this.#pool[this.#poolAt++]!;
  }
}

const NO_TTLS = new Uint16Array(0);

const isLetter = (byte: number): boolean => (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;

const isFrom = (server: Endpoint, peer: Endpoint): boolean =>
  server.port === peer.port && server.address.equals(peer.address);

/** Whether an RCODE says something about the name, and not about the server (RFC 1035 4.1.1, RFC 2136 2.2 for DNAME). */
const isAboutName = (rcode: number): boolean =>
  rcode === DnsRcode.NoError || rcode === DnsRcode.NxDomain || rcode === 6;

/** A server's answer without its OPT record, which is about the way from it to here. */
function passedOn(payload: Uint8Array, view: AnswerView): Uint8Array {
  const answer = payload.slice(0, view.end);
  dnsSetAdditionals(new DataView(answer.buffer), view.additionals);
  return answer;
}

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
