/**
 * Syslog over UDP (RFC 5426), a datagram for each line. Nothing says whether one arrives; so that it can, a line waits until the
 * collector is known to be on the link, and lines go in a measured flow, as there is no other (RFC 5426 4.3).
 */
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Datagram, UdpService } from "../service.ts";
import type { SyslogEvent, SyslogLines } from "./lines.ts";

export const SYSLOG_PORT = 514;
/** RFC 5426 3.2, RFC 5424 6.1: what every collector should take. */
export const DATAGRAM_MOST = 2048;

const SOCKET = 0;
/** Our choices: a thousand lines a second at most, some at once. */
const BURST = 20;
const PACE_MS = 20;
/** How long to wait before the collector is looked for again: at first, and at most. */
const FIRST_WAIT_MS = 50;
const MOST_WAIT_MS = 1000;
/** Who was not there at so many looks is not there. */
const AWAY_WAIT_MS = 400;
/** So long it may be away before that is told. */
const SILENT_MS = 10_000;
/** Refusals within so long of each other are one. */
const QUIET_MS = 60_000;
const NEVER = Number.POSITIVE_INFINITY;

export class SyslogDatagrams implements UdpService {
  /** From any port (RFC 5426 3.3). */
  sockets: ReadonlyMap<number, number> = new Map([[SOCKET, 0]]);
  sent = 0;
  readonly #to: Endpoint;
  readonly #lines: SyslogLines;
  readonly #reaches: (now: number) => boolean;
  /** How many may go now. */
  #credit = 0;
  #at = Number.NEGATIVE_INFINITY;
  #wait = FIRST_WAIT_MS;
  /** Since when it has been looked for in vain; NEVER: it was there at the last look. */
  #awaySince = NEVER;
  #isSilent = false;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #isHurried = false;
  readonly #events: SyslogEvent[] = [];

  /** @param reaches whether a packet to the collector would leave now; asks for the way, where it would not */
  constructor(to: Endpoint, lines: SyslogLines, reaches: (now: number) => boolean) {
    this.#to = to;
    this.#lines = lines;
    this.#reaches = reaches;
  }

  /** Command: the last lines, which nothing can be sent behind. */
  hurry(): void {
    this.#isHurried = true;
    this.#at = Number.NEGATIVE_INFINITY;
  }

  /** Command: nothing is sent any more. */
  stop(): void {
    this.sockets = new Map();
    this.#at = NEVER;
    this.#credit = 0;
  }

  handle(): string {
    return "a collector has nothing to say";
  }

  /** The collector's host says that nobody listens at the port, which it does of each line. */
  handleRefusal(now: number): void {
    if (now - this.#refusedAt > QUIET_MS) this.#events.push("refused");
    this.#refusedAt = now;
  }

  /** Lines wait, and need not wait for long. */
  get isBusy(): boolean {
    return this.#lines.hasNext && this.#wait < AWAY_WAIT_MS;
  }

  pollAt(): number {
    return this.#lines.hasNext ? this.#at : NEVER;
  }

  handleTimeout(now: number): void {
    if (!this.#reaches(now)) return this.#lookAgain(now);
    if (this.#isSilent) this.#events.push("reached");
    this.#isSilent = false;
    this.#awaySince = NEVER;
    this.#wait = FIRST_WAIT_MS;
    this.#credit = this.#isHurried ? NEVER : BURST;
    this.#at = now + PACE_MS;
  }

  pollTransmit(): Datagram | undefined {
    const payload = this.#credit > 0 ? this.#lines.take() : undefined;
    if (payload === undefined) {
      // What is not used is no right to be used later.
      this.#credit = 0;
      return undefined;
    }
    this.#credit--;
    this.#lines.settle(1);
    this.sent++;
    return { socket: SOCKET, peer: this.#to, payload };
  }

  pollEvent(): SyslogEvent | undefined {
    return this.#events.shift();
  }

  #lookAgain(now: number): void {
    this.#credit = 0;
    this.#at = now + this.#wait;
    this.#wait = Math.min(2 * this.#wait, MOST_WAIT_MS);
    this.#awaySince = Math.min(this.#awaySince, now);
    if (this.#isSilent || now - this.#awaySince < SILENT_MS) return;
    this.#isSilent = true;
    this.#events.push("silent");
  }
}
