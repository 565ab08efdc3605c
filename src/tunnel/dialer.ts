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
import { BoundedLog } from "../lib/bounded-log.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { Log, LogFields } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import type { DialConfig, Remote, StaticConfig } from "../protocol/config/types.ts";
import { MAX_CONTROL_LEN } from "../protocol/control/packet.ts";
import { largestPlain } from "../protocol/data/mtu.ts";
import type { MachineInfo } from "../protocol/exchange/peer-info.ts";
import { serverTlsParameters, tlsParameters } from "../protocol/exchange/tls-parameters.ts";
import type {
  AeadFactory,
  CbcFactory,
  ControlPrimitives,
  Decompressors,
  TlsContext,
  TlsContextFactory,
} from "../protocol/ports.ts";
import type { AssociationStart } from "../protocol/session/association.ts";
import { ClientSession } from "../protocol/session/client.ts";
import type { DialSession } from "../protocol/session/dial-session.ts";
import type { LinkEnd, SessionEnd, SessionEvent } from "../protocol/session/events.ts";
import {
  type Explanation,
  explainEnd,
  explainSilence,
  explainStall,
  explainStaticEnd,
  inWordsOf,
  type Place,
} from "../protocol/session/explain.ts";
import { P2pSession } from "../protocol/session/p2p.ts";
import type { AttemptOutcome } from "../protocol/session/retry.ts";
import { StaticSession, type StaticStart } from "../protocol/session/static.ts";
import { Attempt } from "./attempt.ts";
import { type Begun, Callers } from "./callers.ts";
import type { GateLink } from "./gate-link.ts";
import type { DialHistory } from "./history.ts";
import type { Link, LinkFactory, LinkReceiver } from "./link.ts";
import type { ListenPorts } from "./listen.ts";
import { proxyDialogue } from "./proxy/proxy.ts";
import { RemoteFinder, type Way } from "./remote-finder.ts";
import type { Resolver } from "./resolve.ts";
import type { TunnelSide } from "./side.ts";
import { planTunnel, tunnelFields } from "./tunnel-plan.ts";

const OPEN_URL = "the login goes on at a web page: open it in a browser, on any machine; the tunnel comes up then";
const REPLACED = "the other end has begun another session, or another one with a right to it has";
const NEVER = Number.POSITIVE_INFINITY;
/** Rows that are opened or sealed at once. */
const ROWS = 1024;
/** Our choice: a link that is not open by then never will be, and an alternative, or the next try, is due. */
const OPENING_MS = 15_000;
/** Our choice: a port that is in use is asked for again. */
const LISTEN_AGAIN_MS = 5000;
/** What openvpn puts around a packet of the tunnel at most: header, packet id, HMAC, IV, padding, compression, fragment. */
const LONGEST_WRAP = 256;
/** Our choices: lines of one kind a minute and at once, of what the network causes, and of what a server says or does. */
const HEARD = [1, 3] as const;
const SAID = [6, 64] as const;

export interface DialerOptions {
  readonly config: DialConfig;
  /** Of this configuration. */
  readonly history: DialHistory;
  readonly side: TunnelSide;
  readonly links: LinkFactory;
  /** For an end that waits for its peer; undefined: it can only go to one. */
  readonly ports?: ListenPorts | undefined;
  readonly resolver: Resolver;
  /** Where packets lie. */
  readonly slab: Slab;
  /** For what a session makes; emptied by whoever owns it when what was delivered has gone on. */
  readonly scratch: Arena;
  /** Over `slab`. It outlives the dialer: a reload makes another one. */
  readonly aead: AeadFactory;
  readonly cbc: CbcFactory;
  readonly decompressors: Decompressors;
  readonly control: ControlPrimitives;
  readonly tls: TlsContextFactory;
  readonly log: Log;
  readonly random: Random;
  readonly unixSeconds: () => number;
  /** What push-peer-info tells of this machine. */
  readonly machine?: (() => MachineInfo) | undefined;
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
  readonly #log: Log;
  /** For what resolvers and networks can cause at will. */
  readonly #heard: BoundedLog;
  /** For what a server can say, or have us say, without end. */
  readonly #said: BoundedLog;
  readonly #history: DialHistory;
  readonly #finder: RemoteFinder;
  readonly #callers: Callers;
  readonly #opened = new Batch(ROWS);
  readonly #sealed = new Batch(ROWS);
  #state: State = { kind: "waiting" };
  /** Of all sessions; made for the first one, closed when this dialer has stopped. */
  #tls: TlsContext | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#heard = new BoundedLog(options.log, ...HEARD);
    this.#said = new BoundedLog(options.log, ...SAID);
    this.#history = options.history;
    this.#finder = new RemoteFinder({ ...options, retry: options.history.retry, heard: this.#heard });
    this.#callers = new Callers({
      ...options,
      ports: options.ports,
      longest: longestOf(options.config),
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

  counters(): Record<string, number> | undefined {
    const state = this.#state;
    if (!("attempt" in state)) return this.#callers.snapshot();
    const { session } = state.attempt;
    const fields: Record<string, number> = { ...session.counters.snapshot(), ...session.traffic() };
    Object.assign(fields, this.#callers.snapshot());
    const drops = { ...session.drops.snapshot(), ...state.attempt.link.drops() };
    for (const [name, count] of Object.entries(drops)) fields[`drop.${name}`] = (fields[`drop.${name}`] ?? 0) + count;
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
      (at, unsaid) => {
        if (this.#state === state) this.#backOff(at, { kind: "resolve-failed" }, unsaid);
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
    this.#heard.write(now, "error", "link.failed", problem);
    this.#state = { kind: "backing-off", until: now + LISTEN_AGAIN_MS };
  }

  /** Somebody has come. */
  #receive(now: number, way: Way, link: GateLink, resumed: AssociationStart["resumed"]): Begun | undefined {
    const { kind } = this.#state;
    if (kind !== "listening" && kind !== "connecting" && kind !== "up") return undefined;
    const session = this.#session(way, link, { resumed, waits: true });
    const attempt = new Attempt({ way, link, session, startedAt: now });
    session.start(now);
    return { attempt, receiver: this.#receiver(() => attempt) };
  }

  #silent(now: number, attempt: Attempt, seconds: number): void {
    const { config } = attempt.way;
    if (config.role === "static") return;
    const { message } = inWordsOf(config, explainSilence(seconds, config, this.#place(attempt), attempt.seen()));
    this.#said.write(now, "warn", "link.silent", message, attempt.where());
    // Somebody else may answer; without an alternative the same server is asked on, unless its name has moved.
    if (this.#history.retry.hasAlternative) this.#leaveFor(now, attempt, seconds);
    else this.#askAgain(now, attempt, seconds);
  }

  /** Goes where the name of a silent server leads now, if that is elsewhere. */
  #askAgain(now: number, attempt: Attempt, seconds: number): void {
    this.#finder.askAgain(now, attempt.way, (at, text) => {
      const state = this.#state;
      if (state.kind !== "connecting" || state.attempt !== attempt) return;
      if (text !== undefined) this.#log.write("info", "link.moved", text, { host: attempt.way.remote.host });
      this.#leaveFor(at, attempt, seconds);
    });
  }

  /** Connects to an address, of the profile or of a name's, unless it cannot be another host's. */
  #connect(now: number, way: Way): void {
    const { remote, config, server, address } = way;
    const isPlace = address.isHost || (address.isLoopback && this.#options.links.hasLoopback === true);
    const refusal = isPlace ? this.#options.links.refusal(address) : "no address of a host";
    if (refusal !== undefined) {
      const text = `the ${config.proxy ? "proxy" : "remote"} ${address} is ${refusal}; nothing is sent there`;
      const said = this.#heard.write(now, "warn", "link.failed", text);
      return this.#backOff(now, { kind: "link-failed" }, said ? "" : text);
    }
    const { links, random } = this.#options;
    const { protocol } = remote;
    const { proxy, listen, link: own } = config;
    const to = { address, port: proxy?.port ?? remote.port };
    if (listen?.protocol === "tcp") return this.#listen(now, to);
    const problem = listen && this.#callers.listen(now, to);
    if (problem !== undefined) return this.#cannotListen(now, problem);
    const receiver = this.#receiver(() => attempt);
    const over = {
      ...{ protocol, remote: to, float: own.float, longest: longestOf(config) },
      localPort: protocol === "tcp" || proxy !== undefined ? own.streamPort : own.localPort,
      proxy: proxy && {
        dialogue: proxyDialogue(proxy, remote, address, random),
        server: { address: server ?? address, port: remote.port },
      },
    };
    const link = (listen && this.#callers.dial(to, receiver)) ?? links.open(now, over, receiver);
    if (typeof link === "string") {
      const said = this.#heard.write(now, "error", "link.failed", link);
      return this.#backOff(now, { kind: "link-failed" }, said ? "" : link);
    }
    const session = this.#session(way, link, { begins: true });
    const attempt = new Attempt({ way, link, session, startedAt: now });
    this.#state = { kind: "connecting", attempt };
    this.#said.write(now, "info", "link.connecting", "", { ...attempt.where(), protocol });
    if (link.isOpen) this.#linkOpened(now, attempt);
    else attempt.openBy = now + Math.min(OPENING_MS, config.retry.connectTimeout * 1000);
  }

  /** What a link tells goes to the attempt that it is of, which may be made behind it. */
  #receiver(attempt: () => Attempt): LinkReceiver {
    return {
      opened: (at) => this.#linkOpened(at, attempt()),
      narrowed: (at) => this.#narrowed(at, attempt()),
      unreachable: (at) => this.#unreachable(at, attempt()),
      ended: (at, end) => this.#linkEnded(at, attempt(), end),
      handleRows: (at, path, rows) => this.#handleRows(at, attempt(), path, rows),
      looksLikeAnswer: (at, len) => attempt().session.looksLikeAnswer(at, len),
    };
  }

  #session(
    { config, remote }: Way,
    link: Link,
    how: Pick<AssociationStart, "resumed" | "begins"> & Pick<StaticStart, "waits">,
  ): DialSession {
    const { slab, aead, cbc, decompressors, control, random, scratch, unixSeconds: wallClock } = this.#options;
    const data = { slab, aead, cbc, decompressors, random, scratch };
    const start = { ...how, link, unixSeconds: wallClock(), wallClock };
    if (config.role === "static") return this.#staticSession(config, data, start, remote);
    const ports = { ...data, control, tls: this.#tlsOf(config) };
    const machine = config.peerInfo.pushPeerInfo ? this.#options.machine?.() : undefined;
    if (config.role === "p2p") return new P2pSession(config, ports, { ...start, machine });
    return new ClientSession(config, ports, { ...start, machine, login: this.#history.login });
  }

  /** Goes on with what the session before knew of this remote's packets, or of whoever comes. */
  #staticSession(
    config: StaticConfig,
    ports: ConstructorParameters<typeof StaticSession>[1],
    start: StaticStart,
    remote: Remote,
  ): StaticSession {
    const { guards } = this.#history;
    const who = start.waits === true ? "whoever comes" : remote;
    const session = new StaticSession(config, ports, { ...start, guard: guards.get(who) });
    guards.set(who, session.guard);
    return session;
  }

  /** Made for the first session. */
  #tlsOf({ role, tls, verify }: Exclude<DialConfig, StaticConfig>): TlsContext {
    const parameters = role === "p2p" ? serverTlsParameters(tls, verify, "require") : tlsParameters(tls, verify);
    this.#tls ??= this.#options.tls.context(parameters);
    return this.#tls;
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

  /** The way to the server takes less than before: so does the tunnel, and its packets go in one piece again. */
  #narrowed(now: number, attempt: Attempt): void {
    attempt.isNarrow = true;
    const { options } = attempt;
    if (options !== undefined && this.#state.kind === "up") this.#changed(now, attempt, options);
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
    this.#heard.write(now, "info", "link.floated", "the server answers from another address", attempt.where());
  }

  /** Lets the session do what is due, and does what it wants done. */
  #drive(now: number, attempt: Attempt): void {
    if (!attempt.isLinked) {
      if (now >= attempt.openBy) this.#linkEnded(now, attempt, { kind: "link-timed-out" });
      return;
    }
    const { session } = attempt;
    if (session.pollAt() <= now) session.handleTimeout(now);
    attempt.transmit(now);
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.#handle(now, attempt, event);
      if (!this.#isLive(attempt)) return;
    }
    attempt.transmit(now);
  }

  #handle(now: number, attempt: Attempt, event: SessionEvent): void {
    const log = this.#log;
    switch (event.kind) {
      case "moved":
        log.write("debug", "session.state", "", { from: event.from, to: event.to });
        return;
      case "server-answered":
        log.write("debug", "link.answered", "", attempt.where());
        return;
      case "silence":
        return this.#silent(now, attempt, event.seconds);
      case "stalled": {
        const { config } = attempt.way;
        if (config.role === "static") return;
        const { level, message } = inWordsOf(config, explainStall(event.phase, config, this.#place(attempt)));
        log.write(level, "link.stalled", message, attempt.where());
        return;
      }
      case "tls-established":
        this.#said.write(now, "info", "tls.established", "", { ...attempt.where(), tls: event.description });
        return;
      case "auth-pending":
        log.write("info", "auth.pending", "the server waits for another step of the login", { seconds: event.seconds });
        return;
      case "open-url":
        attempt.loginPage = event.url;
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
      case "up":
        return this.#up(now, attempt, event);
      case "changed":
        return this.#changed(now, attempt, event.options);
      case "ended":
        return this.#ended(now, attempt, event.end);
    }
    event satisfies never;
  }

  #up(now: number, attempt: Attempt, event: SessionEvent & { readonly kind: "up" }): void {
    const opened = this.#open(now, attempt, event.options);
    if (typeof opened === "string") return this.#ended(now, attempt, { kind: "push-rejected", problem: opened });
    attempt.isOpen = true;
    this.#takeOver(now, attempt);
    this.#state = { kind: "up", attempt };
    // When this one ends, the name may have moved.
    this.#finder.forget();
    this.#history.retry.succeeded(now);
    const { address, address6, peer, ...rest } = opened;
    const { server, proxy } = attempt.where();
    this.#log.write("info", "tunnel.up", "", { address, address6, peer, cipher: event.cipher, ...rest, server, proxy });
  }

  /** Of those who came this one is the peer: what was before is over, and its tunnel has become this one. */
  #takeOver(now: number, attempt: Attempt): void {
    if (!this.#callers.remove(attempt)) return;
    const state = this.#state;
    if (!("attempt" in state)) return;
    const { attempt: before } = state;
    if (state.kind === "up") this.#log.write("info", "tunnel.down", REPLACED, { reason: "replaced" });
    before.isOpen = false;
    this.#release(now, before);
  }

  /** The server changed what it pushed: the tunnel is opened anew as it is now. */
  #changed(now: number, attempt: Attempt, options: readonly string[]): void {
    const opened = this.#open(now, attempt, options);
    if (typeof opened === "string") return this.#ended(now, attempt, { kind: "push-rejected", problem: opened });
    this.#said.write(now, "info", "tunnel.changed", "", opened);
  }

  /** Opens the side for a tunnel as the server pushes it. @returns what to log of it, or why it cannot be used */
  #open(now: number, attempt: Attempt, options: readonly string[]): LogFields | string {
    const { side } = this.#options;
    const plan = planTunnel(attempt, options, side);
    if (typeof plan === "string") return plan;
    for (const { level, text } of plan.notes) this.#said.write(now, level, "tunnel.option", text);
    const problem = side.up(now, { ...plan.opened, send: (at, rows) => this.#send(at, attempt, rows) });
    if (problem !== undefined) return problem;
    attempt.options = options;
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
    const { level, message } = this.#explain(attempt, end);
    if (this.#callers.all.has(attempt)) {
      this.#heard.write(now, level, "link.failed", message, { ...attempt.where(), reason: end.kind });
      return this.#drop(now, attempt);
    }
    const state = this.#state.kind;
    const wasUp = state === "up" || state === "leaving";
    if (wasUp) this.#log.write(level, "tunnel.down", message, { reason: end.kind });
    else this.#said.write(now, level, "link.failed", message, { ...attempt.where(), reason: end.kind });
    if (!wasUp) this.#finder.hasFailed(attempt.way.address);
    this.#release(now, attempt);
    if (state === "leaving") return this.#setStopped();
    // A tunnel under a static key from whose other end nothing has ever come led nowhere, as an attempt that nobody answers.
    const ledNowhere = wasUp && !attempt.session.isAnswered;
    this.#backOff(now, ledNowhere ? { kind: "no-answer", seconds: secondsOf(now, attempt) } : end);
  }

  #explain(attempt: Attempt, end: SessionEnd): Explanation {
    const { config } = attempt.way;
    const place = this.#place(attempt);
    const said =
      config.role === "static" ? explainStaticEnd(end, place) : explainEnd(end, config, place, attempt.seen());
    return inWordsOf(config, said);
  }

  /** One of those who came goes. */
  #drop(now: number, attempt: Attempt): void {
    this.#callers.remove(attempt);
    this.#release(now, attempt);
  }

  #setStopped(): void {
    this.#callers.close();
    this.#state = { kind: "stopped" };
    this.#tls?.close();
    this.#tls = undefined;
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
    if (delay >= 2000) this.#log.write("info", "link.waiting", unsaid, { seconds: Math.round(delay / 100) / 10 });
  }

  /** Forgets what is under way, without a word to the server. */
  #abandon(now: number, reason: string): void {
    const state = this.#state;
    this.#finder.cancel();
    for (const attempt of this.#callers.all) this.#drop(now, attempt);
    if (!("attempt" in state)) return;
    if (state.kind === "up") this.#log.write("warn", "tunnel.down", reason, { reason: "abandoned" });
    this.#release(now, state.attempt);
  }

  #release(now: number, { session, link, isOpen }: Attempt): void {
    this.#history.login = session.loginMemory;
    // Where it has not ended by itself: its keys and its TLS are not the collector's.
    session.abandon(now);
    if (isOpen) this.#options.side.down(now);
    link.close();
  }

  #place(attempt: Attempt): Place {
    return attempt.place(this.#options.unixSeconds());
  }
}

/** How long it has lasted. */
const secondsOf = (now: number, { startedAt }: Attempt): number => Math.round((now - startedAt) / 1000);

const longestOf = ({ deviceType, tunnel }: DialConfig): number =>
  Math.max(MAX_CONTROL_LEN, largestPlain(deviceType, tunnel) + LONGEST_WRAP);
