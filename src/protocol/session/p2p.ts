/**
 * One end of a tunnel of two, which is the TLS server, without I/O: it is fed and asked, as a ClientSession. Nothing is pushed:
 * each end's profile says what its end of the tunnel is, and what else both have to know they read out of what both announced
 * (NCP_P2P). Source: OpenVPN's ssl_ncp.c (p2p_mode_ncp) and ssl.c.
 *
 *     idle --start--> handshake --keys exchanged--> push --> up --close--> closing --> ended
 *
 * The states are the client's (state.ts); "push" is left as soon as it is entered.
 */
import type { Batch } from "../../lib/batch.ts";
import type { P2pConfig } from "../config/types.ts";
import type { ControlMessage } from "../control/message.ts";
import type { KeyPlan } from "../data/key-plan.ts";
import { DROP_DATA_COMPRESSED } from "../drop.ts";
import type { KeyExchange } from "../exchange/key-exchange.ts";
import { clientPeerInfo, optionsString } from "../exchange/peer-info.ts";
import type { Decompressors } from "../ports.ts";
import { agree, keyPlan } from "./agreement.ts";
import { Association, type AssociationEvent, MESSAGES_IGNORED } from "./association.ts";
import type { DialSession } from "./dial-session.ts";
import type { SessionEnd, SessionEvent } from "./events.ts";
import { MAX_EXIT_NOTICES } from "./exit-notices.ts";
import { COMPRESSED_DATA, keyWarnings } from "./key-warnings.ts";
import { RoleSession } from "./role-session.ts";
import type { AssociationStart, SessionPorts } from "./start.ts";
import { type SessionState, SILENCE_MS, TRANSITIONS } from "./state.ts";

const PULLS =
  "the other end asks to be told its settings (client, pull), and nothing is pushed here: write tls-client and ifconfig there, or mode server here";

/** Our choice: so soon the first packet follows of somebody who has come here. A client sends it at once. */
const FIRST_PACKET_MS = 10_000;

type Timer =
  /** The peer's first packet: connect-timeout, where this end began. */
  | "answer"
  /** The end of the first key exchange (hand-window). */
  | "handshake"
  /** Nothing has come of the attempt yet, which a person should know by now. */
  | "silence";

type State =
  | { readonly kind: Exclude<SessionState, "up"> }
  | { readonly kind: "up"; readonly plan: KeyPlan; readonly ccExit: boolean };

export class P2pSession extends RoleSession<SessionState, SessionEvent, Timer> implements DialSession {
  readonly loginMemory = {};
  readonly #config: P2pConfig;
  readonly #decompressors: Decompressors;
  readonly #begins: boolean;
  #state: State = { kind: "idle" };
  #startedAt = 0;
  #isCompressedTold = false;
  #isPullTold = false;

  /** @param start `begins` where it is known who the peer is; `resumed` where its first packet was answered without a session */
  constructor(config: P2pConfig, ports: SessionPorts, start: AssociationStart) {
    const { data, tunnel, control, peerInfo } = config;
    const { decompressors } = ports;
    const ownText = () => ({
      options: optionsString("server", config, control.wrap, start.link.isStream),
      user: undefined,
      password: undefined,
      peerInfo: clientPeerInfo(data, tunnel, peerInfo, decompressors, false, false, start.machine),
    });
    super(new Association("server", config, ports, start, ownText));
    this.#config = config;
    this.#decompressors = decompressors;
    this.#begins = start.begins === true;
  }

  override get state(): SessionState {
    return this.#state.kind;
  }

  start(now: number, since = now): void {
    if (this.#state.kind !== "idle") return;
    const { retry, control } = this.#config;
    this.#move({ kind: "handshake" });
    this.#startedAt = since;
    const wait = this.#begins ? retry.connectTimeout * 1000 : FIRST_PACKET_MS;
    this.timers.set("answer", since + wait);
    this.timers.set("handshake", now + control.handWindow * 1000);
    this.timers.set("silence", since + SILENCE_MS);
    this.association.start(now);
  }

  close(now: number): void {
    const state = this.#state;
    if (state.kind === "ended" || state.kind === "closing") return;
    const notices = Math.min(this.#config.exitNotify, MAX_EXIT_NOTICES);
    if (state.kind !== "up" || notices === 0) return this.#end(now, { kind: "closed" });
    this.#move({ kind: "closing" });
    if (state.ccExit) this.association.sayLast(now, "EXIT", notices);
    else this.association.sayExit(now, notices);
    this.settle(now);
  }

  override abandon(now: number): void {
    this.#end(now, { kind: "closed" });
  }

  handleBatch(now: number, datagrams: Batch, plain: Batch): void {
    for (let i = 0; i < datagrams.count; ) {
      i = this.association.handleRows(now, datagrams, i, datagrams.count, plain);
      this.settle(now);
    }
    if (this.#isCompressedTold || this.drops.values[~DROP_DATA_COMPRESSED] === 0) return;
    this.#isCompressedTold = true;
    this.#warn(COMPRESSED_DATA);
  }

  handleTimeout(now: number): void {
    if (this.#state.kind === "ended") return;
    this.association.handleTimeout(now);
    this.settle(now);
    const timers = this.timers;
    const { isAnswered, phase } = this.association;
    const seconds = Math.round((now - this.#startedAt) / 1000);
    if (timers.expired("silence", now)) {
      if (isAnswered) this.events.push({ kind: "stalled", seconds, phase });
      else if (this.#begins) this.events.push({ kind: "silence", seconds });
    }
    const [noAnswer, isLate] = [timers.expired("answer", now), timers.expired("handshake", now)];
    if (!noAnswer && !isLate) return;
    if (isAnswered) this.#end(now, { kind: "handshake-timeout", phase, silentSeconds: undefined });
    else this.#end(now, { kind: "no-answer", seconds });
  }

  protected override take(now: number, event: AssociationEvent): void {
    switch (event.kind) {
      case "answered":
        this.timers.clear("answer");
        this.events.push({ kind: "server-answered" });
        return;
      case "tls-established":
        for (const text of event.warnings) this.#warn(text);
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
    if (state.kind === "handshake") return this.#open(now, exchange);
    if (state.kind !== "up") return;
    const failure = this.association.installKeys(now, state.plan, exchange);
    if (failure !== undefined) return this.#end(now, failure);
    this.events.push({ kind: "rekeyed", keyId: exchange.keyId, cipher: state.plan.cipher });
  }

  #handleMessage(now: number, { kind }: ControlMessage): void {
    if (kind === "exit") return this.#end(now, { kind: "server-exit" });
    this.counters.bump(MESSAGES_IGNORED);
    if (kind !== "push-request" || this.#isPullTold) return;
    this.#isPullTold = true;
    this.#warn(PULLS);
  }

  #open(now: number, exchange: KeyExchange): void {
    const { data, keepalive } = this.#config;
    const agreed = agree("server", data, exchange);
    if (typeof agreed === "string") return this.#end(now, { kind: "push-rejected", problem: agreed });
    const plan = keyPlan(agreed, data);
    const failure = this.association.installKeys(now, plan, exchange);
    if (failure !== undefined) return this.#end(now, failure);
    this.association.keepAlive(now, keepalive);
    this.timers.clearAll();
    this.#move({ kind: "push" });
    this.#move({ kind: "up", plan, ccExit: agreed.session.ccExit });
    for (const text of keyWarnings(agreed, this.#config, this.association.peerOptions, this.#decompressors))
      this.#warn(text);
    this.events.push({ kind: "up", options: [], cipher: plan.cipher, peerId: plan.peerId });
  }

  #warn(text: string): void {
    this.events.push({ kind: "warning", text });
  }

  #end(now: number, cause: SessionEnd): void {
    if (this.#state.kind === "ended") return;
    // Whatever happens while the goodbye is on its way, this side closed the session.
    const end: SessionEnd = this.#state.kind === "closing" ? { kind: "closed" } : cause;
    this.association.end(now);
    this.timers.clearAll();
    this.#move({ kind: "ended" });
    this.events.push({ kind: "ended", end });
  }

  #move(to: State): void {
    const from = this.#state.kind;
    if (!TRANSITIONS[from].includes(to.kind)) throw new Error(`a session does not go from ${from} to ${to.kind}`);
    this.#state = to;
    this.events.push({ kind: "moved", from, to: to.kind });
  }
}
