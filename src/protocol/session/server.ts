/**
 * A server's session with one client, without I/O: it is fed and asked as a client's is (client.ts). Who may log in, and what
 * is pushed, its owner decides: the event "login" is answered by the command decide().
 *
 *     handshake --keys exchanged--> login --accepted--> configured --asked for--> up --close--> closing
 *         |                          |                      |                     |               |
 *         +--------------------------+----------------------+---------------------+---------------+----> ended
 *
 * A client that says so (IV_PROTO) is pushed to without asking. Each renegotiation logs in again, while the tunnel stays up.
 */
import type { Batch } from "../../lib/batch.ts";
import type {
  ControlConfig,
  DataConfig,
  DeviceType,
  KeepaliveConfig,
  TunnelConfig,
  VerifyConfig,
} from "../config/types.ts";
import type { ControlMessage, TemporaryFailure } from "../control/message.ts";
import type { Direct } from "../data/direct-keys.ts";
import type { KeyPlan } from "../data/key-plan.ts";
import type { KeyExchange } from "../exchange/key-exchange.ts";
import { type ClientAbilities, clientAbilities, planKeys } from "../exchange/ncp.ts";
import { optionsString } from "../exchange/peer-info.ts";
import type { CipherName } from "../ports.ts";
import { composePlan, composePush } from "../push/compose.ts";
import { Association, type AssociationEvent, MESSAGES_IGNORED } from "./association.ts";
import type { ServerSessionEnd } from "./events.ts";
import { RoleSession } from "./role-session.ts";
import type { AssociationStart, SessionPorts } from "./start.ts";

/** A client that is refused hears why: so long the message is repeated (OpenVPN's scheduled exit of auth_failed). */
const REFUSED_S = 5;
/** As OpenVPN's own server says it (ssl_ncp.c): clients tell people of it. */
export const NO_CIPHER = "Data channel cipher negotiation failed (no shared cipher)";

export interface ServerSessionConfig {
  readonly control: ControlConfig;
  readonly verify: VerifyConfig;
  readonly data: DataConfig;
  readonly deviceType: DeviceType;
  /** The client is told of the MTU where it takes that. */
  readonly tunnel: Pick<TunnelConfig, "mtu" | "mtuMax">;
  readonly keepalive: KeepaliveConfig;
  /** explicit-exit-notify: how often the client is told that the server leaves; 0 = not. */
  readonly exitNotify: number;
  /** Clients that have the epoch format get it. */
  readonly epoch: boolean;
}

/** What a client shows of itself. Everything in it came from outside. */
export interface ClientLogin {
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** KEY=value lines. */
  readonly peerInfo: string | undefined;
  /** DER, leaf first; empty where it showed none. */
  readonly certificates: readonly Uint8Array[];
}

export type Verdict =
  /** `options` are pushed with what the data channel needs. In a renegotiation only that it is accepted counts. */
  | { readonly kind: "accept"; readonly peerId: number; readonly options: readonly string[] }
  | { readonly kind: "reject"; readonly reason: string; readonly temporary?: TemporaryFailure | undefined }
  /** Not decided yet: the client is asked to wait. Another verdict follows. */
  | { readonly kind: "pending"; readonly seconds: number };

export type ServerState =
  | { readonly kind: "idle" | "handshake" }
  /** Waits for the verdict. `asked`: the client has asked for its options. */
  | {
      readonly kind: "login";
      readonly exchange: KeyExchange;
      readonly client: ClientAbilities;
      readonly asked: boolean;
    }
  /** Accepted; `push` waits for PUSH_REQUEST. */
  | {
      readonly kind: "configured";
      readonly client: ClientAbilities;
      readonly plan: KeyPlan;
      readonly push: readonly string[];
    }
  /** `renewed`: a renegotiation that is done but for the verdict. */
  | {
      readonly kind: "up";
      readonly client: ClientAbilities;
      readonly plan: KeyPlan;
      readonly renewed: KeyExchange | undefined;
    }
  | { readonly kind: "closing" | "ended"; readonly end: ServerSessionEnd };

export type ServerStateKind = ServerState["kind"];

export type ServerSessionEvent =
  | { readonly kind: "moved"; readonly from: ServerStateKind; readonly to: ServerStateKind }
  /** Answered by decide(). `isRenewal`: the tunnel is up, and stays so if it is accepted. */
  | { readonly kind: "login"; readonly login: ClientLogin; readonly isRenewal: boolean }
  | { readonly kind: "up"; readonly cipher: CipherName; readonly peerId: number }
  | { readonly kind: "rekeyed"; readonly keyId: number; readonly cipher: CipherName }
  | { readonly kind: "ended"; readonly end: ServerSessionEnd };

export class ServerSession extends RoleSession<ServerStateKind, ServerSessionEvent, "handshake"> {
  readonly #config: ServerSessionConfig;
  /** By then the tunnel is up, or in a renegotiation the verdict is there. */
  #state: ServerState = { kind: "idle" };

  /** @param start `resumed` where the client's first packet was answered without a session */
  constructor(config: ServerSessionConfig, ports: SessionPorts, start: AssociationStart) {
    const ownText = () => ({
      options: optionsString("server", config, config.control.wrap, start.link.isStream),
      user: undefined,
      password: undefined,
      peerInfo: undefined,
    });
    super(new Association("server", config, ports, start, ownText));
    this.#config = config;
  }

  override get state(): ServerStateKind {
    return this.#state.kind;
  }

  /** What the client can do; undefined until it has logged in. */
  get client(): ClientAbilities | undefined {
    return "client" in this.#state ? this.#state.client : undefined;
  }

  /** Before the client's first packet, or its second one where the first was answered without a session. */
  start(now: number): void {
    if (this.#state.kind !== "idle") return;
    this.#move({ kind: "handshake" });
    this.#allow(now, this.#config.control.handWindow);
    this.association.start(now);
  }

  /** The answer to the event "login". Without one to answer it has no meaning. */
  decide(now: number, verdict: Verdict): void {
    const state = this.#state;
    const isAsked = state.kind === "login" || (state.kind === "up" && state.renewed !== undefined);
    if (!isAsked) return;
    switch (verdict.kind) {
      case "accept":
        if (state.kind === "login") this.#configure(now, state, verdict);
        else if (state.kind === "up") this.#renew(now, state);
        break;
      case "reject":
        this.#refuse(now, verdict.reason, verdict.temporary);
        break;
      case "pending":
        this.association.say(`AUTH_PENDING,timeout ${verdict.seconds}`);
        this.#allow(now, verdict.seconds);
        break;
    }
    this.settle(now);
  }

  /** Says something to the client over the control channel, once keys are exchanged. */
  say(message: string): void {
    this.association.say(message);
  }

  /** Says goodbye where that was agreed on, then ends. */
  close(now: number): void {
    const state = this.#state;
    if (state.kind === "ended" || state.kind === "closing") return;
    const { exitNotify } = this.#config;
    if (state.kind !== "up" || exitNotify === 0) return this.#end(now, { kind: "closed" });
    this.timers.clearAll();
    this.#move({ kind: "closing", end: { kind: "closed" } });
    if (state.client.controlExit) this.association.sayLast(now, "EXIT", exitNotify);
    else this.association.sayExit(now, exitNotify);
    this.settle(now);
  }

  /** Tells a client whose tunnel is up something that ends it there too (RESTART, HALT), then ends; so long it is repeated. */
  dismiss(now: number, message: string, seconds: number): void {
    if (this.#state.kind !== "up") return this.close(now);
    this.#move({ kind: "closing", end: { kind: "closed" } });
    this.timers.clearAll();
    this.association.sayLast(now, message, seconds);
    this.settle(now);
  }

  /** Ends at once, without a word to the client. */
  override abandon(now: number): void {
    this.#end(now, { kind: "closed" });
  }

  /**
   * The rows [from, end) of `datagrams` are from this client; as ClientSession.handleBatch.
   * @returns false: there is nothing to poll, and pollAt is no earlier than before
   */
  handleRows(now: number, datagrams: Batch, from: number, end: number, plain: Batch): boolean {
    for (let i = from; i < end; ) {
      i = this.association.handleRows(now, datagrams, i, end, plain);
      this.settle(now);
    }
    return this.association.takeStirred();
  }

  /** What the client's data packets need that have nothing out of the ordinary; good until something else is done with the session. */
  get direct(): Direct | undefined {
    return this.#state.kind === "up" ? this.association.direct : undefined;
  }

  /** The client has said over the data channel that it leaves, in a packet that went the direct way. Poll afterwards. */
  handleExit(now: number): void {
    this.association.handleExit();
    this.settle(now);
  }

  handleTimeout(now: number): void {
    if (this.#state.kind === "ended") return;
    this.association.handleTimeout(now);
    this.settle(now);
    if (this.timers.expired("handshake", now)) {
      this.#end(now, { kind: "handshake-timeout", phase: this.association.phase, silentSeconds: undefined });
    }
  }

  protected override take(now: number, event: AssociationEvent): void {
    switch (event.kind) {
      case "answered":
      case "tls-established":
        return;
      case "exchanged":
        return this.#handleExchanged(now, event.exchange);
      case "message":
        return this.#handleMessage(now, event.message);
      case "peer-exit":
        return this.#end(now, { kind: "client-exit" });
      case "over":
        return this.#end(now, this.#state.kind === "closing" ? this.#state.end : event.end);
    }
    event satisfies never;
  }

  #handleExchanged(now: number, exchange: KeyExchange): void {
    const state = this.#state;
    const said = exchange.peerMessage;
    if (said === undefined) return;
    if (state.kind === "handshake") {
      const client = clientAbilities(said.peerInfo, said.options);
      this.#move({ kind: "login", exchange, client, asked: false });
    } else if (state.kind === "up") {
      this.#state = { ...state, renewed: exchange };
      // The client goes over to the new key, which does not open anything here before the verdict.
      this.#allow(now, this.#config.control.handWindow);
    } else return;
    const { user, password, peerInfo } = said;
    const login = { user, password, peerInfo, certificates: exchange.peerCertificates };
    this.events.push({ kind: "login", login, isRenewal: state.kind === "up" });
  }

  #handleMessage(now: number, message: ControlMessage): void {
    const state = this.#state;
    if (message.kind === "exit") this.#end(now, { kind: "client-exit" });
    else if (message.kind === "push-request" && state.kind === "login") this.#state = { ...state, asked: true };
    else if (message.kind === "push-request" && state.kind === "configured") this.#push(now, state);
    else this.counters.bump(MESSAGES_IGNORED);
  }

  #configure(now: number, state: ServerState & { kind: "login" }, verdict: Verdict & { kind: "accept" }): void {
    const { client, asked } = state;
    const plan = planKeys(this.#config.data, client, verdict.peerId, this.#config.epoch);
    if (plan === undefined) return this.#refuse(now, NO_CIPHER);
    const isSaid = verdict.options.some((option) => option.startsWith("tun-mtu "));
    const mtu = client.takesMtu && !isSaid ? [`tun-mtu ${this.#config.tunnel.mtu}`] : [];
    const framing = plan.compression === this.#config.data.compression ? [] : [plan.compression];
    const push = composePush([...verdict.options, ...composePlan(plan, client.controlExit), ...framing, ...mtu]);
    if (typeof push === "string") return this.#end(now, { kind: "unusable", directive: "push", problem: push });
    const configured = { kind: "configured", client, plan, push } as const;
    this.#move(configured);
    if (asked || client.takesPush) this.#push(now, configured);
  }

  #push(now: number, { client, plan, push }: ServerState & { kind: "configured" }): void {
    const failure = this.association.installKeys(now, plan);
    if (failure !== undefined) return this.#end(now, failure);
    for (const message of push) this.association.say(message);
    this.association.keepAlive(now, this.#config.keepalive);
    this.timers.clearAll();
    this.#move({ kind: "up", client, plan, renewed: undefined });
    this.events.push({ kind: "up", cipher: plan.cipher, peerId: plan.peerId });
  }

  #renew(now: number, state: ServerState & { kind: "up" }): void {
    const { plan, renewed } = state;
    if (renewed === undefined) return;
    this.#state = { ...state, renewed: undefined };
    this.timers.clearAll();
    const failure = this.association.installKeys(now, plan, renewed);
    if (failure !== undefined) return this.#end(now, failure);
    this.events.push({ kind: "rekeyed", keyId: renewed.keyId, cipher: plan.cipher });
  }

  #allow(now: number, seconds: number): void {
    this.timers.set("handshake", now + seconds * 1000);
  }

  #refuse(now: number, reason: string, temporary?: TemporaryFailure): void {
    const reads = this.client?.temporaryFailures === true;
    this.#move({ kind: "closing", end: { kind: "refused", reason } });
    this.timers.clearAll();
    // Who does not read of a temporary failure would never come back after AUTH_FAILED, but does after RESTART.
    const word = temporary === undefined || reads ? authFailed(reason, temporary) : `RESTART,${reason}`;
    this.association.sayLast(now, word, REFUSED_S);
  }

  #end(now: number, end: ServerSessionEnd): void {
    if (this.#state.kind === "ended") return;
    this.association.end(now);
    this.timers.clearAll();
    this.#move({ kind: "ended", end });
    this.events.push({ kind: "ended", end });
  }

  #move(to: ServerState): void {
    const from = this.#state.kind;
    if (!SERVER_TRANSITIONS[from].includes(to.kind))
      throw new Error(`a session does not go from ${from} to ${to.kind}`);
    this.#state = to;
    this.events.push({ kind: "moved", from, to: to.kind });
  }
}

/** Where each state may lead. */
export const SERVER_TRANSITIONS: Readonly<Record<ServerStateKind, readonly ServerStateKind[]>> = Object.freeze({
  idle: ["handshake", "ended"],
  handshake: ["login", "ended"],
  login: ["configured", "closing", "ended"],
  configured: ["up", "ended"],
  up: ["closing", "ended"],
  closing: ["ended"],
  ended: [],
});

/** AUTH_FAILED as a client reads it (message.ts). */
function authFailed(reason: string, temporary: TemporaryFailure | undefined): string {
  if (temporary === undefined) return reason === "" ? "AUTH_FAILED" : `AUTH_FAILED,${reason}`;
  const { backoff, advance } = temporary;
  const flags = [
    ...(backoff === undefined ? [] : [`backoff ${backoff}`]),
    ...(advance === undefined ? [] : [`advance ${advance}`]),
  ];
  return `AUTH_FAILED,TEMP${flags.length === 0 ? "" : `[${flags.join(",")}]`}:${reason}`;
}
