/**
 * The client's side of the tunnel: one session after the other, as the retry policy decides, for as long as there is a
 * network. It stands between links and a tunnel side, and knows neither what they are made of.
 *
 *   waiting -> (backing-off) -> resolving -> connecting -> up -> backing-off ...;  leaving -> stopped
 *   waiting -> listening -> up -> listening ...                         an end that waits for its peer (callers.ts)
 *
 * It opens the side when a session is up and closes it when the session ends, and puts into words why.
 */
import { Batch } from "../lib/batch.ts";
import { addCounts } from "../lib/counters.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { Log, LogFields } from "../lib/log.ts";
import type { DialConfig } from "../protocol/config/types.ts";
import type { LinkEnd, SessionEnd, SessionEvent } from "../protocol/session/events.ts";
import type { AttemptOutcome } from "../protocol/session/retry.ts";
import type { AssociationStart } from "../protocol/session/start.ts";
import { Attempt } from "./attempt.ts";
import { type Begun, Callers } from "./callers.ts";
import { DialLog } from "./dial-log.ts";
import type { DialStatus } from "./dial-report.ts";
import type { GateLink } from "./gate-link.ts";
import type { DialHistory } from "./history.ts";
import type { LinkFactory, LinkReceiver } from "./link.ts";
import { linkRequest, wayRefusal } from "./link-request.ts";
import type { ListenPorts } from "./listen.ts";
import { RemoteFinder, type Way } from "./remote-finder.ts";
import type { Resolver } from "./resolve.ts";
import { longestPacket, SessionMaker, type SessionSupplies } from "./session-maker.ts";
import type { TunnelSide } from "./side.ts";
import { planTunnel, tunnelFields } from "./tunnel-plan.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** Rows that are opened or sealed at once. */
const ROWS = 1024;
/** Our choice: a link that is not open by then never will be, and an alternative, or the next try, is due. */
const OPENING_MS = 15_000;
/** Our choice: a port that is in use is asked for again. */
const LISTEN_AGAIN_MS = 5000;
const NARROWED = "the way to the server takes only smaller packets";
const TRIED_ANEW = "larger packets to the server are tried anew";
const ANOTHER_WAY = "the way to the server is another one";

export interface DialerOptions extends SessionSupplies {
  readonly config: DialConfig;
  /** Of this configuration. */
  readonly history: DialHistory;
  readonly side: TunnelSide;
  readonly links: LinkFactory;
  /** For an end that waits for its peer; undefined: it can only go to one. */
  readonly ports?: ListenPorts | undefined;
  readonly resolver: Resolver;
  readonly log: Log;
}

type State =
  | { readonly kind: "waiting" }
  | { readonly kind: "backing-off"; readonly until: number }
  | { readonly kind: "resolving" }
  /** Listens: whoever proves to be the peer is. */
  | { readonly kind: "listening" }
  | { readonly kind: "connecting" | "up" | "leaving"; readonly attempt: Attempt }
  | { readonly kind: "stopped" };

export class Dialer {
  readonly #options: DialerOptions;
  readonly #log: DialLog;
  readonly #history: DialHistory;
  readonly #finder: RemoteFinder;
  readonly #callers: Callers;
  readonly #sessions: SessionMaker;
  readonly #opened = new Batch(ROWS);
  readonly #sealed = new Batch(ROWS);
  #state: State = { kind: "waiting" };

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#log = new DialLog(options.log, options.unixSeconds);
    this.#history = options.history;
    this.#finder = new RemoteFinder({ ...options, retry: options.history.retry, heard: this.#log.heard });
    this.#sessions = new SessionMaker(options, options.history);
    this.#callers = new Callers({
      ...options,
      ports: options.ports,
      longest: longestPacket(options.config),
      begin: (now, way, link, resumed) => this.#receive(now, way, link, resumed),
      crowdedOut: (now, attempt) => this.#ended(now, attempt, { kind: "closed" }),
    });
  }

  /** The goodbye is said, or there was nobody to say it to. */
  get left(): boolean {
    return this.#state.kind === "stopped";
  }

  /** There is a network, or another one: connect, or connect anew. */
  networkUp(now: number): void {
    if (this.#state.kind === "leaving" || this.#state.kind === "stopped") return;
    this.#abandon(now, "the WAN address changed");
    this.#finder.forget();
    this.#history.retry.reset();
    if (now < this.#history.loginAt) this.#state = { kind: "backing-off", until: this.#history.loginAt };
    else this.#next(now);
  }

  networkDown(now: number, reason: string): void {
    if (this.#state.kind === "leaving" || this.#state.kind === "stopped") return;
    this.#abandon(now, reason);
    this.#log.report.failed(reason);
    this.#callers.close();
    this.#state = { kind: "waiting" };
  }

  /** Says goodbye to the server; `left` is true when that is done. */
  leave(now: number): void {
    const state = this.#state;
    if (state.kind === "up") {
      this.#state = { kind: "leaving", attempt: state.attempt };
      for (const attempt of this.#callers.all) this.#drop(now, attempt);
      state.attempt.session.close(now);
      this.#drive(now, state.attempt);
    } else if (state.kind !== "leaving") {
      this.stop(now, "shutdown");
    }
  }

  /** Ends at once, without waiting for anything. */
  stop(now: number, reason: string): void {
    const state = this.#state;
    if (state.kind === "up") {
      state.attempt.session.close(now);
      state.attempt.transmit(now);
    }
    this.#abandon(now, reason);
    this.#setStopped();
  }

  /** For a dialer that has failed in its own stop(): the keys of its session and TLS are closed, nothing else is touched. */
  discard(now: number): void {
    const state = this.#state;
    try {
      if ("attempt" in state) {
        this.#history.login = state.attempt.session.loginMemory;
        state.attempt.session.abandon(now);
      }
      for (const { session } of this.#callers.all) session.abandon(now);
    } catch {
      // What failed before may fail here again; TLS is closed all the same.
    }
    this.#setStopped();
  }

  pollAt(): number {
    const state = this.#state;
    const own = state.kind === "backing-off" ? state.until : "attempt" in state ? state.attempt.pollAt() : NEVER;
    return Math.min(own, this.#callers.pollAt(), this.#options.resolver.pollAt());
  }

  /** Timers, events and what they want sent. */
  poll(now: number): void {
    this.#options.resolver.poll(now);
    const state = this.#state;
    if (state.kind === "backing-off" && now >= state.until) this.#next(now);
    else if ("attempt" in state) this.#drive(now, state.attempt);
    for (const attempt of this.#callers.all) this.#drive(now, attempt);
  }

  /** The web page at which the login goes on, while it waits for that. */
  get loginPage(): string | undefined {
    return this.#state.kind === "connecting" ? this.#state.attempt.loginPage : undefined;
  }

  /** For whoever looks on. */
  get status(): DialStatus {
    const state = this.#state;
    return this.#log.report.status(state.kind, "attempt" in state ? state.attempt : undefined);
  }

  counters(): Record<string, number> | undefined {
    const state = this.#state;
    if (!("attempt" in state)) return this.#callers.snapshot();
    const { session } = state.attempt;
    const fields: Record<string, number> = { ...session.counters.snapshot(), ...session.traffic() };
    Object.assign(fields, this.#callers.snapshot());
    for (const drops of [session.drops.snapshot(), state.attempt.link.drops()]) addCounts(fields, drops, "drop.");
    return fields;
  }

  /** The next attempt, now. */
  #next(now: number): void {
    if (this.#options.config.remotes.length === 0) return this.#listen(now, undefined);
    const state: State = { kind: "resolving" };
    this.#state = state;
    this.#finder.find(
      now,
      (at, way) => {
        if (this.#state === state) this.#connect(at, way);
      },
      (at, problem, isSaid) => {
        if (this.#state !== state) return;
        this.#log.report.failed(problem);
        this.#backOff(at, { kind: "resolve-failed" }, isSaid ? "" : problem);
      },
    );
  }

  /** Waits for the peer, whose packets or connections come by themselves. */
  #listen(now: number, only: Endpoint | undefined): void {
    const problem = this.#callers.listen(now, only);
    if (problem === undefined) this.#state = { kind: "listening" };
    else this.#cannotListen(now, problem);
  }

  #cannotListen(now: number, problem: string): void {
    this.#log.noLink(now, "error", problem);
    this.#state = { kind: "backing-off", until: now + LISTEN_AGAIN_MS };
  }

  /** Somebody has come. */
  #receive(now: number, way: Way, link: GateLink, resumed: AssociationStart["resumed"]): Begun | undefined {
    const { kind } = this.#state;
    if (kind !== "listening" && kind !== "connecting" && kind !== "up") return undefined;
    const session = this.#sessions.session(way, link, { resumed, waits: true });
    const attempt = new Attempt({ way, link, session, startedAt: now });
    session.start(now);
    return { attempt, receiver: this.#receiver(() => attempt) };
  }

  #silent(now: number, attempt: Attempt, seconds: number): void {
    if (attempt.way.config.role === "static") return;
    this.#log.silent(now, attempt, seconds);
    // Somebody else may answer; without an alternative the same server is asked on, unless its name has moved.
    if (this.#history.retry.hasAlternative) this.#leaveFor(now, attempt, seconds);
    else this.#askAgain(now, attempt, seconds);
  }

  /** Goes where the name of a silent server leads now, if that is elsewhere. */
  #askAgain(now: number, attempt: Attempt, seconds: number): void {
    this.#finder.askAgain(now, attempt.way, (at, text) => {
      const state = this.#state;
      if (state.kind !== "connecting" || state.attempt !== attempt) return;
      if (text !== undefined) this.#log.moved(attempt.way, text);
      this.#leaveFor(at, attempt, seconds);
    });
  }

  /** Connects to an address, of the profile or of a name's, unless it cannot be another host's. */
  #connect(now: number, way: Way): void {
    const { links, random } = this.#options;
    const refusal = wayRefusal(way, links);
    if (refusal !== undefined)
      return this.#backOff(now, { kind: "link-failed" }, this.#log.noLink(now, "warn", refusal));
    const { listen, retry } = way.config;
    const request = linkRequest(way, random);
    if (listen?.protocol === "tcp") return this.#listen(now, request.remote);
    const problem = listen && this.#callers.listen(now, request.remote);
    if (problem !== undefined) return this.#cannotListen(now, problem);
    const receiver = this.#receiver(() => attempt);
    const link = (listen && this.#callers.dial(request.remote, receiver)) ?? links.open(now, request, receiver);
    if (typeof link === "string")
      return this.#backOff(now, { kind: "link-failed" }, this.#log.noLink(now, "error", link));
    const session = this.#sessions.session(way, link, { begins: true });
    const attempt = new Attempt({ way, link, session, startedAt: now });
    this.#state = { kind: "connecting", attempt };
    this.#log.connecting(now, attempt);
    if (link.isOpen) this.#linkOpened(now, attempt);
    else attempt.openBy = now + Math.min(OPENING_MS, retry.connectTimeout * 1000);
  }

  /** What a link tells goes to the attempt that it is of, which may be made behind it. */
  #receiver(attempt: () => Attempt): LinkReceiver {
    return {
      opened: (at) => this.#linkOpened(at, attempt()),
      narrowed: (at, to, mtu) => this.#narrowed(at, attempt(), to, mtu),
      unreachable: (at) => this.#unreachable(at, attempt()),
      ended: (at, end) => this.#linkEnded(at, attempt(), end),
      handleRows: (at, path, rows) => this.#handleRows(at, attempt(), path, rows),
      looksLikeAnswer: (at, len) => attempt().session.looksLikeAnswer(at, len),
    };
  }

  /** It is under way, or the tunnel goes over it. */
  #isLive(attempt: Attempt): boolean {
    return ("attempt" in this.#state && this.#state.attempt === attempt) || this.#callers.all.has(attempt);
  }

  /** The link can be sent over: the session begins. */
  #linkOpened(now: number, attempt: Attempt): void {
    attempt.openBy = NEVER;
    attempt.session.start(now, attempt.startedAt);
    this.#drive(now, attempt);
  }

  /** The way to the server takes less: so does the tunnel, and its packets go in one piece again. */
  #narrowed(now: number, attempt: Attempt, to: IpAddress, mtu: number): void {
    if (attempt.narrow(now, to, mtu)) this.#pathChanged(now, attempt, NARROWED);
  }

  /** The way to the server is another one, or takes more or less: so does the tunnel, where there is one. */
  #pathChanged(now: number, attempt: Attempt, why: string): void {
    const state = this.#state;
    const { options } = attempt;
    if (options === undefined || state.kind !== "up" || state.attempt !== attempt) return;
    this.#changed(now, attempt, options, `${why} (${attempt.mtu} bytes)`);
  }

  /** Who has somewhere else to go does not wait for a server to which there is no way. Once it has answered, nobody is believed but it. */
  #unreachable(now: number, attempt: Attempt): void {
    const { kind } = this.#state;
    const isCurrent = (kind === "connecting" || kind === "up") && this.#state.attempt === attempt;
    if (!isCurrent || attempt.session.isAnswered || !this.#history.retry.hasAlternative) return;
    // Under a static key it is up before anything has come.
    if (kind === "up") this.#ended(now, attempt, { kind: "link-unreachable" });
    else this.#silent(now, attempt, secondsOf(now, attempt));
  }

  #linkEnded(now: number, attempt: Attempt, end: LinkEnd): void {
    // What the server said before it hung up comes first.
    if (attempt.isLinked) this.#drive(now, attempt);
    if (this.#isLive(attempt)) this.#ended(now, attempt, end);
  }

  /** Packets of the link: those of the tunnel are opened in place and go to the side. */
  #handleRows(now: number, attempt: Attempt, path: number, rows: Batch): void {
    const { session } = attempt;
    const opened = this.#opened;
    const proofs = session.proofs;
    opened.clear();
    session.handleBatch(now, rows, opened);
    if (path !== attempt.path && session.proofs > proofs) this.#float(now, attempt, path);
    if (opened.count > 0) this.#options.side.deliver(now, opened);
  }

  /** The server has proved that it is at another address now. */
  #float(now: number, attempt: Attempt, path: number): void {
    attempt.path = path;
    attempt.link.settle(path);
    this.#log.floated(now, attempt);
    if (attempt.forgetPath(now)) this.#pathChanged(now, attempt, ANOTHER_WAY);
  }

  /** Lets the session do what is due, and does what it wants done. */
  #drive(now: number, attempt: Attempt): void {
    if (!attempt.isLinked) {
      if (now >= attempt.openBy) this.#linkEnded(now, attempt, { kind: "link-timed-out" });
      return;
    }
    const { session } = attempt;
    if (session.pollAt() <= now) session.handleTimeout(now);
    if (attempt.pathMtu.forgetAt <= now && attempt.forgetPath(now)) this.#pathChanged(now, attempt, TRIED_ANEW);
    attempt.transmit(now);
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.#handle(now, attempt, event);
      if (!this.#isLive(attempt)) return;
    }
    attempt.transmit(now);
  }

  #handle(now: number, attempt: Attempt, event: SessionEvent): void {
    switch (event.kind) {
      case "silence":
        return this.#silent(now, attempt, event.seconds);
      case "up":
        return this.#up(now, attempt, event);
      case "changed":
        return this.#changed(now, attempt, event.options);
      case "ended":
        return this.#ended(now, attempt, event.end);
      case "open-url":
        attempt.loginPage = event.url;
    }
    this.#log.event(now, attempt, event);
  }

  #up(now: number, attempt: Attempt, event: SessionEvent & { readonly kind: "up" }): void {
    attempt.learnPath(now);
    const opened = this.#open(now, attempt, event.options);
    if (typeof opened === "string") return this.#ended(now, attempt, { kind: "push-rejected", problem: opened });
    attempt.isOpen = true;
    this.#takeOver(now, attempt);
    this.#state = { kind: "up", attempt };
    // When this one ends, the name may have moved.
    this.#finder.forget();
    this.#history.retry.succeeded(now);
    this.#log.up(now, attempt, event.cipher, opened);
  }

  /** Of those who came this one is the peer: what was before is over, and its tunnel has become this one. */
  #takeOver(now: number, attempt: Attempt): void {
    if (!this.#callers.remove(attempt)) return;
    const state = this.#state;
    if (!("attempt" in state)) return;
    const { attempt: before } = state;
    if (state.kind === "up") this.#log.replaced();
    before.isOpen = false;
    this.#release(now, before);
  }

  /** The server changed what it pushed, or the way to it is another: the tunnel is opened anew as it is now. @param why for a person */
  #changed(now: number, attempt: Attempt, options: readonly string[], why = ""): void {
    const opened = this.#open(now, attempt, options);
    if (typeof opened === "string") return this.#ended(now, attempt, { kind: "push-rejected", problem: opened });
    this.#log.changed(now, why, opened);
  }

  /** Opens the side for a tunnel as the server pushes it. @returns what to log of it, or why it cannot be used */
  #open(now: number, attempt: Attempt, options: readonly string[]): LogFields | string {
    const { side } = this.#options;
    const plan = planTunnel(attempt, options, side);
    if (typeof plan === "string") return plan;
    this.#log.notes(now, plan);
    const problem = side.up(now, { ...plan.opened, send: (at, rows) => this.#send(at, attempt, rows) });
    if (problem !== undefined) return problem;
    attempt.options = options;
    this.#log.report.opened(plan.opened);
    return tunnelFields(plan.opened, side.lan);
  }

  /** Packets of the side, as many as the link takes: sealed in place and sent. */
  #send(now: number, { session, link, path }: Attempt, rows: Batch): void {
    const sealed = this.#sealed;
    sealed.clear();
    rows.count = link.admit(rows, session.dataOverhead);
    session.sealBatch(now, rows, sealed);
    if (sealed.count > 0) link.send(now, path, sealed);
  }

  #ended(now: number, attempt: Attempt, end: SessionEnd): void {
    attempt.transmit(now);
    if (this.#callers.all.has(attempt)) {
      this.#log.failed(now, attempt, end, true);
      return this.#drop(now, attempt);
    }
    const state = this.#state.kind;
    const wasUp = state === "up" || state === "leaving";
    if (wasUp) this.#log.down(now, attempt, end);
    else this.#log.failed(now, attempt, end, false);
    if (!wasUp) this.#finder.hasFailed(attempt.way.address);
    this.#release(now, attempt);
    if (state === "leaving") return this.#setStopped();
    // A tunnel under a static key from whose other end nothing has ever come led nowhere, as an attempt that nobody answers.
    const ledNowhere = wasUp && !attempt.session.isAnswered;
    this.#backOff(now, ledNowhere ? { kind: "no-answer", seconds: secondsOf(now, attempt) } : end);
  }

  /** One of those who came goes. */
  #drop(now: number, attempt: Attempt): void {
    this.#callers.remove(attempt);
    this.#release(now, attempt);
  }

  #setStopped(): void {
    this.#callers.close();
    this.#state = { kind: "stopped" };
    this.#sessions.close();
  }

  /** Gives up on a silent server for the next remote or address. */
  #leaveFor(now: number, attempt: Attempt, seconds: number): void {
    this.#finder.hasFailed(attempt.way.address);
    this.#release(now, attempt);
    this.#backOff(now, { kind: "no-answer", seconds });
  }

  /** @param unsaid why, where the line that says it was held back: whoever looks at the last lines sees it here */
  #backOff(now: number, outcome: AttemptOutcome, unsaid = ""): void {
    // Nobody is asked who waits, so it does not wait for a time either.
    if (this.#options.config.remotes.length === 0) return this.#next(now);
    const delay = this.#history.retry.ended(outcome, now);
    if (outcome.kind === "auth-failed" || outcome.kind === "proxy-login-refused") this.#history.loginAt = now + delay;
    this.#state = { kind: "backing-off", until: now + delay };
    this.#log.waiting(delay, unsaid);
  }

  /** Forgets what is under way, without a word to the server. */
  #abandon(now: number, reason: string): void {
    const state = this.#state;
    this.#finder.cancel();
    for (const attempt of this.#callers.all) this.#drop(now, attempt);
    if (!("attempt" in state)) return;
    if (state.kind === "up") this.#log.abandoned(now, reason);
    this.#release(now, state.attempt);
  }

  #release(now: number, { session, link, isOpen }: Attempt): void {
    this.#history.login = session.loginMemory;
    // Where it has not ended by itself: its keys and its TLS are not the collector's.
    session.abandon(now);
    if (isOpen) this.#options.side.down(now);
    link.close();
  }
}

/** How long it has lasted. */
const secondsOf = (now: number, { startedAt }: Attempt): number => Math.round((now - startedAt) / 1000);
