/**
 * The forwarder's side to the servers, as a pure machine: a question is put to one server after the other (upstreams.ts), by UDP through
 * a socket of its own with a random port, or by TCP or TLS through whoever carries out pollDial(). What comes back is believed only if it
 * matches id, port, server and question to the letter (RFC 5452 9.1, with random capitals where others could forge it).
 *
 * Which answer counts for whom is decided by its owner (forwarder.ts), which is told through {@link AskingEvents}.
 */
import type { Counters } from "../../lib/counters.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Random } from "../../lib/random.ts";
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
  dnsEmitPadding,
  dnsPaddedLen,
  dnsSameName,
  dnsSetAdditionals,
  isLetter,
} from "../wire/dns-message.ts";
import { AnswerView } from "./answer.ts";
import { type Dial, Dials } from "./dials.ts";
import { Dns, type DnsCode, type DnsName } from "./forwarder-counters.ts";
import type { Attempt, Flight, InFlight } from "./in-flight.ts";
import { EDNS_SIZE, KEY_AD, KEY_CD, KEY_DO, KEY_RD } from "./query.ts";
import { nextUpstream, type Upstream } from "./upstreams.ts";

export type ServerEvent = { readonly kind: "server-down" | "server-up"; readonly server: string };

/** What became of a question that is asked on. */
export interface AskingEvents {
  /** A server said this about the name. */
  answered(now: number, flight: Flight, upstream: Upstream, payload: Uint8Array, view: AnswerView): void;
  /**
   * A server has more to say than came. @param isAll there is no way to get more
   * @returns whether somebody waits on who wants the whole, and so by TCP (RFC 5625 6.2)
   */
  truncated(flight: Flight, isAll: boolean): boolean;
  /** Nobody answered, or none could. */
  unanswered(now: number, flight: Flight): void;
  tell(event: ServerEvent): void;
}

// Our choices.
const MAX_ATTEMPTS = 6;
/** A handshake or two and an answer; ms. */
const DIAL_TIMEOUT = 3000;
/** So many wrong answers to one port are somebody who guesses: the question gets another one (RFC 5452 9.2). */
const MAX_WRONG = 16;
const RANDOM_POOL = 256;
const NEVER = Number.POSITIVE_INFINITY;

export class Asking implements UdpService {
  /** One for each question that a server was asked by UDP. */
  readonly sockets = new Map<number, number>();
  readonly #random: Random;
  readonly #flights: InFlight;
  readonly #counters: Counters<DnsName>;
  readonly #events: AskingEvents;
  readonly #answer = new AnswerView();
  readonly #attempts = new Map<number, Attempt>();
  #transmits: Datagram[] = [];
  readonly #dials = new Dials();
  #lastSocket = 0;
  #nextAt = NEVER;
  readonly #pool = new Uint8Array(RANDOM_POOL);
  #poolAt = RANDOM_POOL;

  constructor(random: Random, flights: InFlight, counters: Counters<DnsName>, events: AskingEvents) {
    this.#random = random;
    this.#flights = flights;
    this.#counters = counters;
    this.#events = events;
  }

  /** Whether pollTransmit(), pollDial() or pollHangUp() has something. */
  get hasWork(): boolean {
    return this.#transmits.length > 0 || !this.#dials.isEmpty;
  }

  /** Asks the first server for a flight, which is among the flights. */
  begin(now: number, flight: Flight): void {
    this.#attempt(now, flight);
  }

  /** A flight has ended: nothing that still comes for it counts. */
  end(flight: Flight): void {
    for (const attempt of flight.attempts) this.#close(attempt);
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift();
  }

  /** A question to put to a server by TCP, or undefined. */
  pollDial(): Dial | undefined {
    return this.#dials.poll();
  }

  /** The number of a dial that nobody needs any more, or undefined. */
  pollHangUp(): number | undefined {
    return this.#dials.pollHangUp();
  }

  pollAt(): number {
    return this.#nextAt;
  }

  handleTimeout(now: number): void {
    for (const flight of [...this.#flights]) {
      if (now >= flight.endsAt) this.#events.unanswered(now, flight);
      else if (now >= flight.attemptEndsAt) {
        const last = flight.attempts.at(-1);
        if (last !== undefined) this.#wasSilent(now, last.upstream);
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

  /** What a server said by TCP to the question with this number. */
  handleMessage(now: number, id: number, payload: Uint8Array): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined) return;
    this.#read(now, attempt, payload);
    // There is nothing more to come to it, whatever was said.
    if (this.#attempts.has(id)) this.handleDialEnd(now, id);
  }

  /** A server could not be reached by TCP, or said nothing. */
  handleDialEnd(now: number, id: number): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined) return;
    const { flight, upstream } = attempt;
    this.#attempts.delete(id);
    // It may well answer by UDP; but whom one asks by TLS alone one reaches so or not at all.
    if (upstream.tls !== undefined) this.#wasSilent(now, upstream);
    if (flight.attempts.at(-1) === attempt) this.#attempt(now, flight);
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
      if (upstream.failed(now)) this.#events.tell({ kind: "server-down", server: upstream.name });
      // What an earlier server says of itself does not end the wait for the one that is asked now.
      if (flight.attempts.at(-1) === attempt) this.#attempt(now, flight);
      return;
    }
    // How long TCP takes tells nothing of UDP.
    const isUsual = attempt.isDialed === (upstream.tls !== undefined);
    if (isUsual && upstream.answered(now - attempt.sentAt))
      this.#events.tell({ kind: "server-up", server: upstream.name });
    if (view.isTruncated) return this.#truncated(now, attempt);
    this.#events.answered(now, flight, upstream, payload, view);
  }

  /** The server has more to say than fits: who wants the whole gets it by TCP. */
  #truncated(now: number, attempt: Attempt): void {
    const { flight, upstream, hasEdns, mixesCase } = attempt;
    if (!this.#events.truncated(flight, attempt.isDialed)) return;
    this.#close(attempt);
    if (flight.attempts.length < MAX_ATTEMPTS) this.#send(now, flight, upstream, hasEdns, mixesCase, true);
  }

  #isQuestionOf(payload: Uint8Array, { flight, sent }: Attempt, exactly: boolean): boolean {
    const { nameEnd } = flight;
    for (let i = nameEnd; i < nameEnd + 4; i++) if (payload[i] !== sent[i]) return false;
    const len = nameEnd - DNS_HEADER_LEN;
    if (!exactly) return dnsSameName(payload, DNS_HEADER_LEN, sent, DNS_HEADER_LEN, len);
    for (let i = DNS_HEADER_LEN; i < nameEnd; i++) if (payload[i] !== sent[i]) return false;
    return true;
  }

  /** Asks the next server, of this round or of another one. */
  #attempt(now: number, flight: Flight): void {
    let next = nextUpstream(now, flight.upstreams, [...flight.asked, ...flight.failed]);
    if (next === undefined) {
      flight.asked = [];
      next = nextUpstream(now, flight.upstreams, flight.failed);
    }
    if (next === undefined || flight.attempts.length >= MAX_ATTEMPTS) return this.#events.unanswered(now, flight);
    flight.asked.push(next);
    next.asked(now);
    this.#send(now, flight, next, next.hasEdns(now), next.mixesCase(now), next.tls !== undefined);
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
    const { server, tls } = upstream;
    const socket = ++this.#lastSocket;
    const id = (this.#randomByte() << 8) | this.#randomByte();
    const sent = this.#question(flight, id, hasEdns, mixesCase, tls !== undefined);
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
    if (isDialed) this.#dials.add({ id: socket, server, tls, question: sent });
    else {
      this.sockets.set(socket, 0);
      this.#transmits.push({ socket, peer: server, payload: sent });
    }
  }

  /**
   * The question as a server is asked, with letters that are capitals or not by chance (0x20), so that an answer proves that its sender saw
   * it. @param isPadded its length tells nothing of the name (RFC 8467)
   */
  #question(
    { message, nameEnd, key }: Flight,
    id: number,
    hasEdns: boolean,
    mixesCase: boolean,
    isPadded: boolean,
  ): Uint8Array {
    const end = nameEnd + 4;
    const optEnd = end + DNS_OPT_LEN;
    const out = new Uint8Array(hasEdns ? (isPadded ? dnsPaddedLen(optEnd) : optEnd) : end);
    const d = new DataView(out.buffer);
    out.set(message);
    const flags = (key & KEY_RD ? DNS_RD : 0) | (key & KEY_AD ? DNS_AD : 0) | (key & KEY_CD ? DNS_CD : 0);
    dnsEmitHeader(d, id, flags, 0, 0, hasEdns ? 1 : 0);
    if (hasEdns) dnsEmitOpt(d, end, EDNS_SIZE, 0, (key & KEY_DO) !== 0);
    if (hasEdns && isPadded) dnsEmitPadding(d, optEnd);
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

  #close({ socket, isDialed }: Attempt): void {
    if (!this.#attempts.delete(socket)) return;
    if (isDialed) return this.#dials.withdraw(socket);
    this.sockets.delete(socket);
    const unsent = this.#transmits.findIndex((datagram) => datagram.socket === socket);
    if (unsent >= 0) this.#transmits.splice(unsent, 1);
  }

  #wasSilent(now: number, upstream: Upstream): void {
    if (upstream.wasSilent(now)) this.#events.tell({ kind: "server-down", server: upstream.name });
  }

  /** An answer that is not the one that was asked for. */
  #wrong(now: number, attempt: Attempt, code: DnsCode): string {
    if (++attempt.wrong === MAX_WRONG) this.#askAgain(now, attempt, attempt.hasEdns, attempt.mixesCase);
    return this.#ignore(code);
  }

  #ignore(code: DnsCode): string {
    this.#counters.bump(code);
    return this.#counters.names[code] as string;
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

const isFrom = (server: Endpoint, peer: Endpoint): boolean =>
  server.port === peer.port && server.address.equals(peer.address);

/** Whether an RCODE says something about the name, and not about the server (RFC 1035 4.1.1, RFC 2136 2.2 for DNAME). */
const isAboutName = (rcode: number): boolean =>
  rcode === DnsRcode.NoError || rcode === DnsRcode.NxDomain || rcode === 6;

/** A server's answer without its OPT record, which is about the way from it to here. */
export function passedOn(payload: Uint8Array, view: AnswerView): Uint8Array {
  const answer = payload.slice(0, view.end);
  dnsSetAdditionals(new DataView(answer.buffer), view.additionals);
  return answer;
}
