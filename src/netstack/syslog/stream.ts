/**
 * Syslog over TCP (RFC 6587), each line behind its length (3.4.1, octet counting): whose connection it is told and asked.
 *
 *   waiting --time--> wanted --pollDial--> dialing --opened--> open
 *      ^                                      |                  |
 *      +----------------- ended --------------+------------------+
 *
 * A line is settled when the collector's host has acknowledged it. What was not goes again over the next connection, so that a line
 * can come twice; what that host has acknowledged and the collector never read is lost, which RFC 6587 cannot help.
 */
import { ascii, concat } from "../../lib/bytes.ts";
import type { SyslogEvent, SyslogLines } from "./lines.ts";

/** RFC 3195 and IANA have given this port to syslog over TCP (syslog-conn). */
export const SYSLOG_TCP_PORT = 601;
/** Our choice, which collectors take without being told to. */
export const STREAM_MOST = 8192;

/** Our choices: how long to wait for the next connection, doubled each time that one has carried nothing. */
const FIRST_WAIT_MS = 1000;
const MOST_WAIT_MS = 60_000;
const NEVER = Number.POSITIVE_INFINITY;

type State =
  | { readonly kind: "waiting"; readonly until: number }
  | { readonly kind: "wanted" }
  | { readonly kind: "dialing" }
  | { readonly kind: "open" };

export class SyslogStream {
  /** Lines that were acknowledged. */
  sent = 0;
  /** Lines that went once more. */
  repeated = 0;
  readonly #lines: SyslogLines;
  #state: State = { kind: "wanted" };
  #wait = FIRST_WAIT_MS;
  /** Of this connection: bytes that it took, and where in them each line ends that is not settled. */
  #written = 0;
  readonly #ends: number[] = [];
  /** What it has not taken of a line. */
  #rest: Uint8Array | undefined;
  /** It takes no more for now. */
  #isFull = false;
  /** It takes no other line. */
  #isLast = false;
  /** Nobody was told since it worked the last time. */
  #isWell = true;
  readonly #events: SyslogEvent[] = [];

  constructor(lines: SyslogLines) {
    this.#lines = lines;
  }

  get isOpen(): boolean {
    return this.#state.kind === "open";
  }

  /** Lines are under way, or can go at once. */
  get isBusy(): boolean {
    const isMore = !this.#isLast && (this.#rest !== undefined || this.#lines.hasNext);
    return this.isOpen && (this.#ends.length > 0 || isMore);
  }

  pollAt(): number {
    const state = this.#state;
    switch (state.kind) {
      case "waiting":
        return state.until;
      case "wanted":
        return Number.NEGATIVE_INFINITY;
      case "dialing":
        return NEVER;
      case "open":
        return !this.#isFull && !this.#isLast && this.#lines.hasNext ? Number.NEGATIVE_INFINITY : NEVER;
      default:
        return state satisfies never;
    }
  }

  handleTimeout(now: number): void {
    if (this.#state.kind === "waiting" && now >= this.#state.until) this.#state = { kind: "wanted" };
  }

  /** Whether a connection is to be begun now: opened or ended follows. */
  pollDial(): boolean {
    if (this.#state.kind !== "wanted") return false;
    this.#state = { kind: "dialing" };
    return true;
  }

  opened(): void {
    this.#state = { kind: "open" };
    this.#written = 0;
    this.#isFull = false;
    this.#isLast = false;
  }

  /** Nothing is written to this connection any more; what was is acknowledged until it has ended. */
  finish(): void {
    this.#isLast = true;
  }

  /** There is room again in the connection. */
  handleWritable(): void {
    this.#isFull = false;
  }

  /** @param unacknowledged bytes of those that the connection took */
  acknowledged(unacknowledged: number): void {
    const arrived = this.#written - unacknowledged;
    let n = 0;
    while (n < this.#ends.length && this.#ends[n]! <= arrived) n++;
    if (n === 0) return;
    this.#ends.splice(0, n);
    this.#lines.settle(n);
    this.sent += n;
    this.#wait = FIRST_WAIT_MS;
    if (!this.#isWell) this.#events.push("reached");
    this.#isWell = true;
  }

  /** The connection is over, or there was none. */
  ended(now: number, why: Exclude<SyslogEvent, "reached">): void {
    this.repeated += this.#ends.length;
    this.#ends.length = 0;
    this.#rest = undefined;
    this.#lines.rewind();
    this.#state = { kind: "waiting", until: now + this.#wait };
    this.#wait = Math.min(2 * this.#wait, MOST_WAIT_MS);
    if (this.#isWell) this.#events.push(why);
    this.#isWell = false;
  }

  /** Bytes for the connection; {@link took} follows. */
  pollTransmit(): Uint8Array | undefined {
    if (!this.isOpen || this.#isFull || this.#isLast) return undefined;
    if (this.#rest === undefined) {
      const line = this.#lines.take();
      this.#rest = line && concat(ascii(`${line.length} `), line);
    }
    return this.#rest;
  }

  /** @param n how many of the bytes of {@link pollTransmit} the connection took */
  took(n: number): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    this.#written += n;
    this.#isFull = n < rest.length;
    this.#rest = this.#isFull ? rest.subarray(n) : undefined;
    if (!this.#isFull) this.#ends.push(this.#written);
  }

  pollEvent(): SyslogEvent | undefined {
    return this.#events.shift();
  }
}
