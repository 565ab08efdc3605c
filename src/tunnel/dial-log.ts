/**
 * What the log is told of a dialer's tunnel and of the attempts at one, in words, of which the last are kept for whoever looks on. Lines that
 * the network or the peer can cause at will are bounded.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import type { Log, LogFields } from "../lib/log.ts";
import type { CipherName } from "../protocol/ports.ts";
import type { SessionEnd, SessionEvent } from "../protocol/session/events.ts";
import {
  type Explanation,
  explainEnd,
  explainSilence,
  explainStall,
  explainStaticEnd,
  inWordsOf,
  type Place,
} from "../protocol/session/explain.ts";
import type { Attempt } from "./attempt.ts";
import { DialReport } from "./dial-report.ts";
import type { Way } from "./remote-finder.ts";
import type { TunnelPlan } from "./tunnel-plan.ts";

const OPEN_URL = "the login goes on at a web page: open it in a browser, on any machine; the tunnel comes up then";
const REPLACED = "the peer has begun a new session, or another peer with a valid key has taken its place";
/** Our choices: lines of one kind a minute and at once, of what the network causes, and of what a server says or does. */
const HEARD = [1, 3] as const;
const SAID = [6, 64] as const;
/** Of a way that is narrow, and tried anew every ten minutes. */
const PATHS = [1 / 30, 8] as const;
/** Our choice: a shorter wait is not worth a line. */
const SHORT_WAIT_MS = 2000;

/** Events of a session that change nothing but the log. */
export type MereEvent = Exclude<SessionEvent, { readonly kind: "silence" | "up" | "changed" | "ended" }>;

export class DialLog {
  /** For what resolvers and networks can cause at will. */
  readonly heard: BoundedLog;
  /** For what a server can say, or have us say, without end. */
  readonly #said: BoundedLog;
  readonly #paths: BoundedLog;
  readonly report = new DialReport();
  readonly #log: Log;
  readonly #unixSeconds: () => number;

  constructor(log: Log, unixSeconds: () => number) {
    this.#log = log;
    this.heard = new BoundedLog(log, ...HEARD);
    this.#said = new BoundedLog(log, ...SAID);
    this.#paths = new BoundedLog(log, ...PATHS);
    this.#unixSeconds = unixSeconds;
  }

  /** There is nothing to send over, or to listen on. @returns what `waiting` should say, because this was held back */
  noLink(now: number, level: "warn" | "error", problem: string): string {
    this.report.failed(problem);
    return this.heard.write(now, level, "link.failed", problem) ? "" : problem;
  }

  connecting(now: number, attempt: Attempt): void {
    this.#said.write(now, "info", "link.connecting", "", { ...attempt.where(), protocol: attempt.way.remote.protocol });
  }

  /** The name of a silent server leads elsewhere now. */
  moved({ remote }: Way, text: string): void {
    this.#log.write("info", "link.moved", text, { host: remote.host });
  }

  /** The server has not answered for so long. */
  silent(now: number, attempt: Attempt, seconds: number): void {
    const { config } = attempt.way;
    if (config.role === "static") return;
    const { message } = inWordsOf(config, explainSilence(seconds, config, this.#place(attempt), attempt.seen()));
    this.report.failed(message);
    this.#said.write(now, "warn", "link.silent", message, attempt.where());
  }

  floated(now: number, attempt: Attempt): void {
    this.heard.write(now, "info", "link.floated", "the server answers from another address", attempt.where());
  }

  event(now: number, attempt: Attempt, event: MereEvent): void {
    const log = this.#log;
    switch (event.kind) {
      case "moved":
        log.write("debug", "session.state", "", { from: event.from, to: event.to });
        return;
      case "server-answered":
        log.write("debug", "link.answered", "", attempt.where());
        return;
      case "stalled":
        return this.#stalled(attempt, event.phase);
      case "tls-established":
        this.#said.write(now, "info", "tls.established", "", { ...attempt.where(), tls: event.description });
        return;
      case "auth-pending":
        log.write("info", "auth.pending", "the server waits for another step of the login", { seconds: event.seconds });
        return;
      case "open-url":
        this.#said.write(now, "warn", "auth.url", OPEN_URL, { url: event.url });
        return;
      case "info":
        this.#said.write(now, "info", "server.info", event.text);
        return;
      case "warning": {
        const { message } = inWordsOf(attempt.way.config, { level: "warn", message: event.text });
        this.#said.write(now, "warn", "session.warning", message);
        return;
      }
      case "rekeyed":
        this.#said.write(now, "info", "tunnel.rekeyed", "", { key: event.keyId, cipher: event.cipher });
        return;
    }
    event satisfies never;
  }

  /** What a person should know of the options that were pushed. */
  notes(now: number, { notes }: TunnelPlan): void {
    for (const { level, text } of notes) this.#said.write(now, level, "tunnel.option", text);
  }

  up(now: number, attempt: Attempt, cipher: CipherName, { address, address6, peer, ...rest }: LogFields): void {
    this.report.up(now, cipher);
    const { server, proxy } = attempt.where();
    this.#log.write("info", "tunnel.up", "", { address, address6, peer, cipher, ...rest, server, proxy });
  }

  /** @param why the way to the server is another one; empty: the server pushes something else */
  changed(now: number, why: string, fields: LogFields): void {
    const log = why === "" ? this.#said : this.#paths;
    log.write(now, "info", "tunnel.changed", why, fields);
  }

  /** The tunnel that was up gave its place to one that somebody who came has. */
  replaced(): void {
    this.#log.write("info", "tunnel.down", REPLACED, { reason: "replaced" });
  }

  /** The tunnel that was up is given up here. */
  abandoned(now: number, reason: string): void {
    this.report.down(now, reason);
    this.#log.write("warn", "tunnel.down", reason, { reason: "abandoned" });
  }

  /** The tunnel that was up is over, by itself or by the peer. */
  down(now: number, attempt: Attempt, end: SessionEnd): void {
    const { level, message } = this.#explain(attempt, end);
    this.report.down(now, message);
    this.#log.write(level, "tunnel.down", message, { reason: end.kind });
  }

  /** @param isCaller it was of somebody who came, and anybody can */
  failed(now: number, attempt: Attempt, end: SessionEnd, isCaller: boolean): void {
    const { level, message } = this.#explain(attempt, end);
    const log = isCaller ? this.heard : this.#said;
    if (!isCaller) this.report.failed(message);
    log.write(now, level, "link.failed", message, { ...attempt.where(), reason: end.kind });
  }

  /** The next attempt is so many milliseconds away. @param unsaid why, where the line that says it was held back */
  waiting(delay: number, unsaid: string): void {
    if (delay < SHORT_WAIT_MS) return;
    this.#log.write("info", "link.waiting", unsaid, { seconds: Math.round(delay / 100) / 10 });
  }

  #stalled(attempt: Attempt, phase: string): void {
    const { config } = attempt.way;
    if (config.role === "static") return;
    const { level, message } = inWordsOf(config, explainStall(phase, config, this.#place(attempt)));
    this.#log.write(level, "link.stalled", message, attempt.where());
  }

  #explain(attempt: Attempt, end: SessionEnd): Explanation {
    const { config } = attempt.way;
    const place = this.#place(attempt);
    const said =
      config.role === "static" ? explainStaticEnd(end, place) : explainEnd(end, config, place, attempt.seen());
    return inWordsOf(config, said);
  }

  #place(attempt: Attempt): Place {
    return attempt.place(this.#unixSeconds());
  }
}
