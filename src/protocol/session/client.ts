/**
 * An OpenVPN client session, without I/O: it is fed and asked.
 *
 * - commands: start, close, abandon
 * - what comes in: handleBatch (datagrams), handleTimeout, handleTls
 * - what goes out: pollTransmit (control packets, pings), pollEvent, pollAt
 * - the data path: sealBatch; handleBatch opens
 *
 * After any call of the first two kinds: poll pollTransmit until undefined, then pollEvent until undefined, then pollAt. `now`
 * is monotonic and never goes back. The states are in state.ts.
 */
import type { Batch } from "../../lib/batch.ts";
import { encodeBase64 } from "../config/material.ts";
import type { ClientConfig } from "../config/types.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import type { ControlMessage, PushedOptions } from "../control/message.ts";
import { DROP_DATA_COMPRESSED } from "../drop.ts";
import type { KeyExchange } from "../exchange/key-exchange.ts";
import { clientPeerInfo, optionsString } from "../exchange/peer-info.ts";
import type { Decompressors } from "../ports.ts";
import { type Pushed, PushReply, renewedToken } from "../push/collect.ts";
import { PushUpdates } from "../push/update.ts";
import { agree, keyPlan } from "./agreement.ts";
import { Association, type AssociationEvent, MESSAGES_IGNORED } from "./association.ts";
import type { DialSession } from "./dial-session.ts";
import type { SessionEnd, SessionEvent } from "./events.ts";
import { MAX_EXIT_NOTICES } from "./exit-notices.ts";
import { unanswered } from "./explain.ts";
import { pushedKeepalive } from "./keepalive.ts";
import { COMPRESSED_DATA, keyWarnings } from "./key-warnings.ts";
import { Login, type LoginMemory } from "./login.ts";
import { RoleSession } from "./role-session.ts";
import type { AssociationStart, SessionPorts } from "./start.ts";
import { type ClientState, type SessionState, SILENCE_MS, TRANSITIONS } from "./state.ts";

/** The request is repeated until a reply comes, as OpenVPN does (PUSH_REQUEST_INTERVAL). */
const PUSH_REQUEST_MS = 5000;
/** Our choice: what the server changes is applied so often at most, because each time the tunnel is set up anew. */
const CHANGE_MS = 1000;
/** Our choice: so many texts of the server (INFO, AUTH_PENDING, options that are ignored) are told in one session, the rest is counted. */
const MAX_INFOS = 20;

export interface ClientStart extends Omit<AssociationStart, "resumed"> {
  /** Of the session before. */
  readonly login?: LoginMemory | undefined;
  /** Seconds of the wall clock, for logins with codes that change with time; default: the clock stands at `unixSeconds`. */
  readonly wallClock?: (() => number) | undefined;
}

type Timer =
  /** The server's first packet (connect-timeout). */
  | "answer"
  /** The end of the first key exchange (hand-window). */
  | "handshake"
  /** Nothing has come of the attempt yet, which a person should know by now. */
  | "silence"
  /** The next PUSH_REQUEST. */
  | "push-request"
  /** The reply to it: hand-window, or longer where the server asks for patience (AUTH_PENDING). */
  | "push-wait"
  /** What the server has changed is said (PUSH_UPDATE). */
  | "change";

export class ClientSession extends RoleSession<SessionState, SessionEvent, Timer> implements DialSession {
  readonly #config: ClientConfig;
  readonly #decompressors: Decompressors;
  readonly #login: Login;
  #state: ClientState = { kind: "idle" };
  #startedAt = 0;
  #infosLeft = MAX_INFOS;
  /** When a change was said last. */
  #changedAt = Number.NEGATIVE_INFINITY;
  #compressedTold = false;

  constructor(config: ClientConfig, ports: SessionPorts, start: ClientStart) {
    const login = new Login(config.login, start.login ?? {}, start.wallClock ?? (() => start.unixSeconds));
    const ownText = () => ({
      options: optionsString("client", config, config.control.wrap, start.link.isStream),
      ...login.next(),
      peerInfo: clientPeerInfo(
        config.data,
        config.tunnel,
        config.peerInfo,
        ports.decompressors,
        config.login?.answer !== undefined,
        config.pull !== undefined,
        start.machine,
      ),
    });
    super(new Association("client", config, ports, start, ownText));
    this.#config = config;
    this.#decompressors = ports.decompressors;
    this.#login = login;
  }

  override get state(): SessionState {
    return this.#state.kind;
  }

  /** What the next session logs in with. */
  get loginMemory(): LoginMemory {
    return this.#login.memory;
  }

  /** @param since when the attempt began: what a link needed to be open is of the time that the server has to answer */
  start(now: number, since = now): void {
    if (this.#state.kind !== "idle") return;
    const { retry, control } = this.#config;
    this.#move({ kind: "handshake" });
    this.#startedAt = since;
    this.timers.set("answer", since + retry.connectTimeout * 1000);
    this.timers.set("handshake", now + control.handWindow * 1000);
    this.timers.set("silence", since + SILENCE_MS);
    this.association.start(now);
  }

  /** Says goodbye where that was agreed on, then ends. */
  close(now: number): void {
    const state = this.#state;
    if (state.kind === "ended" || state.kind === "closing") return;
    if (state.kind !== "up") return this.#end(now, { kind: "closed" });
    const { explicitExitNotify, ccExit } = state.pushed.session;
    const notices = Math.min(explicitExitNotify ?? this.#config.exitNotify, MAX_EXIT_NOTICES);
    if (notices === 0) return this.#end(now, { kind: "closed" });
    this.#move({ kind: "closing" });
    if (ccExit) this.association.sayLast(now, "EXIT", notices);
    else this.association.sayExit(now, notices);
    this.settle(now);
  }

  /** Ends at once, without a word to the server: for an owner that has no way to it any more. */
  override abandon(now: number): void {
    this.#end(now, { kind: "closed" });
  }

  /**
   * Datagrams of the link: data packets are opened in place and become rows of `plain` (which must have room for all),
   * control packets are taken in.
   */
  handleBatch(now: number, datagrams: Batch, plain: Batch): void {
    for (let i = 0; i < datagrams.count; ) {
      i = this.association.handleRows(now, datagrams, i, datagrams.count, plain);
      this.settle(now);
    }
    if (!this.#compressedTold && this.drops.values[~DROP_DATA_COMPRESSED]! > 0) {
      this.#compressedTold = true;
      this.events.push({ kind: "warning", text: COMPRESSED_DATA });
    }
  }

  /** Does everything that is due. */
  handleTimeout(now: number): void {
    if (this.#state.kind === "ended") return;
    this.association.handleTimeout(now);
    this.settle(now);
    this.#handleTimers(now);
  }

  protected override take(now: number, event: AssociationEvent): void {
    switch (event.kind) {
      case "answered":
        this.timers.clear("answer");
        this.events.push({ kind: "server-answered" });
        return;
      case "tls-established":
        for (const text of event.warnings) this.events.push({ kind: "warning", text });
        this.events.push({ kind: "tls-established", description: event.description });
        return;
      case "exchanged":
        return this.#handleExchanged(now, event.exchange);
      case "message":
        return this.#handleMessage(now, event.message);
      case "peer-exit":
        return this.#end(now, { kind: "server-exit" });
      case "over":
        return this.#end(now, event.end);
    }
    event satisfies never;
  }

  #handleExchanged(now: number, exchange: KeyExchange): void {
    const state = this.#state;
    if (state.kind === "handshake") {
      if (this.#config.pull === undefined) return this.#openWithoutPush(now, exchange);
      this.#move({ kind: "push", since: now, reply: new PushReply() });
      this.timers.clear("handshake");
      this.timers.set("push-wait", now + this.#config.control.handWindow * 1000);
      this.#requestPush(now);
    } else if (state.kind === "up") {
      const failure = this.association.installKeys(now, state.plan, exchange);
      if (failure !== undefined) return this.#end(now, failure);
      this.events.push({ kind: "rekeyed", keyId: exchange.keyId, cipher: state.plan.cipher });
    }
  }

  #requestPush(now: number): void {
    this.association.say("PUSH_REQUEST");
    this.timers.set("push-request", now + PUSH_REQUEST_MS);
  }

  #handleMessage(now: number, message: ControlMessage): void {
    switch (message.kind) {
      case "push-reply":
        return this.#handlePushReply(now, message);
      case "push-update":
        return this.#handlePushUpdate(now, message);
      case "auth-failed":
        return this.#end(now, this.#login.refused(message));
      case "auth-pending":
        return this.#handleAuthPending(message.seconds);
      case "info":
      case "info-pre":
        return this.#tell({ kind: "info", text: message.text });
      case "open-url":
        return this.#tell({ kind: "open-url", url: message.url });
      case "challenge-text":
        return this.#handleQuestion(message);
      case "restart":
        return this.#end(now, { kind: "server-restart", message: message.message, nextRemote: message.nextRemote });
      case "halt":
        return this.#end(now, { kind: "server-halt", message: message.message, nextRemote: message.nextRemote });
      case "exit":
        return this.#end(now, { kind: "server-exit" });
      case "push-request":
      case "unknown":
      case "malformed":
        this.counters.bump(MESSAGES_IGNORED);
        return;
    }
    message satisfies never;
  }

  /** For texts that a server can send without end: it stops at a number, and the rest is counted. */
  #tell(event: SessionEvent): void {
    if (this.#infosLeft-- > 0) this.events.push(event);
    else this.counters.bump(MESSAGES_IGNORED);
  }

  /** As long as the tunnel is not up the server may ask; as often as it may tell. */
  #handleQuestion({ text, needsAnswer }: ControlMessage & { readonly kind: "challenge-text" }): void {
    const answer = this.#login.answer();
    if (!needsAnswer) return this.#tell({ kind: "info", text });
    if (answer === undefined) return this.#tell({ kind: "warning", text: unanswered(text, this.#config.login) });
    if (this.#infosLeft > 0 && this.#state.kind === "push")
      this.association.say(`CR_RESPONSE,${encodeBase64(encodeUtf8(answer))}`);
    this.#tell({ kind: "info", text: `${text} (answered)` });
  }

  #handlePushReply(now: number, message: ControlMessage & { readonly kind: "push-reply" }): void {
    const state = this.#state;
    const { pull, data } = this.#config;
    if (pull === undefined) return this.counters.bump(MESSAGES_IGNORED);
    if (state.kind === "up") this.#login.renew(renewedToken(pull, data, message.options));
    if (state.kind !== "push") return;
    const complete = state.reply.add(message);
    if (complete === false) return;
    const { peerOptions } = this.association;
    const pushed = typeof complete === "string" ? complete : state.reply.settle(pull, data, peerOptions);
    if (typeof pushed === "string") return this.#end(now, { kind: "push-rejected", problem: pushed });
    this.#open(now, pushed, peerOptions);
  }

  #handlePushUpdate(now: number, message: PushedOptions): void {
    const state = this.#state;
    const { pull } = this.#config;
    if (state.kind !== "up" || pull === undefined) return this.counters.bump(MESSAGES_IGNORED);
    const { updates } = state;
    const problem = updates.add(message, pull);
    for (const text of updates.ignored) this.#tell({ kind: "warning", text: `the server updates ${text}; ignored` });
    if (problem !== undefined) return this.#end(now, { kind: "push-rejected", problem });
    if (updates.isComplete) this.timers.set("change", Math.max(now, this.#changedAt + CHANGE_MS));
  }

  /** In the midst of an update nothing is said: its last part sets the timer again. */
  #sayChanged(now: number): void {
    const state = this.#state;
    if (state.kind !== "up" || !state.updates.isComplete) return;
    this.#changedAt = now;
    this.events.push({ kind: "changed", options: state.updates.options });
  }

  /** Point-to-point: what both ends announced stands for what a server would push. */
  #openWithoutPush(now: number, exchange: KeyExchange): void {
    const agreed = agree("client", this.#config.data, exchange);
    if (typeof agreed === "string") return this.#end(now, { kind: "push-rejected", problem: agreed });
    this.#move({ kind: "push", since: now, reply: new PushReply() });
    this.#open(now, agreed, this.association.peerOptions);
  }

  #open(now: number, pushed: Pushed, peerOptions: string): void {
    const { session, cipher } = pushed;
    const plan = keyPlan(pushed, this.#config.data);
    const failure = this.association.installKeys(now, plan);
    if (failure !== undefined) return this.#end(now, failure);
    this.association.keepAlive(now, pushedKeepalive(this.#config.keepalive, session));
    this.#login.pushed(pushed);
    this.timers.clearAll();
    this.#move({ kind: "up", pushed, plan, updates: new PushUpdates(pushed.options) });
    for (const text of session.ignored) this.#tell({ kind: "warning", text: `the server pushed ${text}; ignored` });
    for (const text of keyWarnings(pushed, this.#config, peerOptions, this.#decompressors))
      this.events.push({ kind: "warning", text });
    this.events.push({ kind: "up", options: pushed.options, cipher, peerId: plan.peerId });
  }

  #handleAuthPending(seconds: number | undefined): void {
    // As OpenVPN: what the server says, within the larger of hand-window and half of reneg-sec, since the handshake.
    const { handWindow, renegSec } = this.#config.control;
    const wait = Math.min(seconds ?? handWindow, Math.max(handWindow, renegSec.max / 2));
    this.#tell({ kind: "auth-pending", seconds: wait });
    const state = this.#state;
    if (state.kind !== "push") return;
    // It is known now what is waited for.
    this.timers.clear("silence");
    this.timers.set("push-wait", Math.max(this.timers.at("push-wait"), state.since + wait * 1000));
  }

  #handleTimers(now: number): void {
    const timers = this.timers;
    const seconds = Math.round((now - this.#startedAt) / 1000);
    if (timers.expired("silence", now)) {
      if (this.association.isAnswered) this.events.push({ kind: "stalled", seconds, phase: this.association.phase });
      else this.events.push({ kind: "silence", seconds });
    }
    const isLate =
      timers.expired("answer", now) || timers.expired("handshake", now) || timers.expired("push-wait", now);
    if (isLate && !this.association.isAnswered) return this.#end(now, { kind: "no-answer", seconds });
    if (isLate) {
      return this.#end(now, { kind: "handshake-timeout", phase: this.association.phase, silentSeconds: undefined });
    }
    if (timers.expired("push-request", now)) this.#requestPush(now);
    if (timers.expired("change", now)) this.#sayChanged(now);
  }

  #end(now: number, cause: SessionEnd): void {
    if (this.#state.kind === "ended") return;
    // Whatever happens while the goodbye is on its way, this side closed the session.
    const end: SessionEnd = this.#state.kind === "closing" ? { kind: "closed" } : cause;
    this.association.end(now);
    this.timers.clearAll();
    this.#move({ kind: "ended", end });
    this.events.push({ kind: "ended", end });
  }

  #move(to: ClientState): void {
    const from = this.#state.kind;
    if (!TRANSITIONS[from].includes(to.kind)) throw new Error(`a session does not go from ${from} to ${to.kind}`);
    this.#state = to;
    this.events.push({ kind: "moved", from, to: to.kind });
  }
}
