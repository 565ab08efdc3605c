/**
 * An OpenVPN client session, without I/O: it is fed and asked.
 *
 * - commands: start, close, abandon
 * - what comes in: handleBatch (datagrams), handleTimeout
 * - what goes out: pollTransmit (control packets, pings), pollEvent, pollAt
 * - the data path: sealBatch; handleBatch opens
 *
 * After any call of the first two kinds: poll pollTransmit until undefined, then pollEvent until undefined, then
 * pollAt. `now` is monotonic and never
 * goes back. See README.md for the states.
 */
import type { Batch } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import { Deadlines } from "../../lib/deadlines.ts";
import type { Random } from "../../lib/random.ts";
import type { Arena, Slab } from "../../lib/slab.ts";
import type { ClientConfig, ControlConfig } from "../config/types.ts";
import { ControlChannel } from "../control/channel.ts";
import type { ControlMessage } from "../control/message.ts";
import { DATA_V1, DATA_V2, opcodeOf } from "../control/opcode.ts";
import { MAX_CONTROL_LEN, SESSION_ID_LEN } from "../control/packet.ts";
import { controlCrypto } from "../control/protection.ts";
import { ReplayGuard } from "../control/replay-guard.ts";
import { AeadDataKey } from "../data/aead-key.ts";
import { DataChannel, type Traffic } from "../data/channel.ts";
import { KeySlots } from "../data/key-slots.ts";
import { EXIT_LEN, exitEmit, PING_LEN, pingEmit } from "../data/magic.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import {
  DROP_CONTROL_OVERSIZE,
  DROP_DATA_COMPRESSED,
  DROP_NONE,
  DROP_PACKET_EMPTY,
  DROP_SESSION_ENDED,
  SessionDrops,
} from "../drop.ts";
import { deriveByPrf, EXPORTER_LABEL, EXPORTER_LENGTH } from "../exchange/key-derive.ts";
import type { KeyExchange } from "../exchange/key-exchange.ts";
import { type KeyMethodMessage, makeKeySource, utf8Encode } from "../exchange/key-method.ts";
import { clientOptionsString, clientPeerInfo } from "../exchange/peer-info.ts";
import { Rekey } from "../exchange/rekey.ts";
import type { AeadFactory, AeadName, ControlPrimitives, TlsContext } from "../ports.ts";
import { type AuthToken, type Pushed, PushReply, renewedToken, serverMismatches } from "../push/collect.ts";
import { dataKey } from "../side.ts";
import type { SessionEnd, SessionEvent } from "./events.ts";
import { Keepalive, keepaliveOptions } from "./keepalive.ts";
import { Login } from "./login.ts";
import { nextState, type SessionInput, type SessionState } from "./state.ts";

/** The request is repeated until a reply comes, as OpenVPN does (PUSH_REQUEST_INTERVAL). */
const PUSH_REQUEST_MS = 5000;
/** Our choice: silence is told by then. */
const SILENCE_MS = 15_000;
/** Our choice: no goodbye takes longer, whatever explicit-exit-notify says. */
const MAX_EXIT_NOTICES = 5;
/** Our choice: so many texts of the server (INFO, AUTH_PENDING, what it pushed in vain) are told in one session, the rest is counted. */
const MAX_INFOS = 20;

const COMPRESSED_DATA =
  "the server compresses what it sends, and what is compressed is lost here: turn compression off on the server";

export interface SessionPorts {
  readonly slab: Slab;
  readonly aead: AeadFactory;
  readonly control: ControlPrimitives;
  /** Made of the same configuration. It outlives the session. */
  readonly tls: TlsContext;
  readonly random: Random;
  /** Room for one ping; nothing in it outlives a call. */
  readonly scratch: Arena;
}

export interface SessionStart {
  readonly protocol: "udp";
  /** Bytes of the headers below (IP and UDP): 28. */
  readonly linkOverhead: number;
  /** Wall clock, for the replay ids of tls-auth and tls-crypt. */
  readonly unixSeconds: number;
  /** Of the session before: it takes the place of the password. */
  readonly authToken?: AuthToken | undefined;
}

type Timer = "answer" | "handshake" | "silence" | "push-request" | "push-wait" | "session" | "exit";

const COUNTERS = [
  "datagrams-received",
  "control-received",
  "control-sent",
  "pings-sent",
  "renegotiations",
  "control-messages-ignored",
] as const;
export type SessionCounter = (typeof COUNTERS)[number];
const counter = (name: SessionCounter): number => COUNTERS.indexOf(name);
const DATAGRAMS = counter("datagrams-received");
const CONTROL_RECEIVED = counter("control-received");
const CONTROL_SENT = counter("control-sent");
const PINGS_SENT = counter("pings-sent");
const RENEGOTIATIONS = counter("renegotiations");
const MESSAGES_IGNORED = counter("control-messages-ignored");

export class ClientSession {
  readonly drops = new SessionDrops();
  readonly counters = new Counters<SessionCounter>(COUNTERS);
  readonly #config: ClientConfig;
  readonly #ports: SessionPorts;
  readonly #channel: ControlChannel;
  readonly #slots: KeySlots;
  readonly #data: DataChannel;
  readonly #negotiations: Rekey;
  readonly #login: Login;
  readonly #timers = new Deadlines<Timer>();
  readonly #events: SessionEvent[] = [];
  /** Packets that go whatever happens to the session. */
  readonly #outbox: Uint8Array[] = [];
  #state: SessionState = "idle";
  #push = new PushReply();
  #pushed: Pushed | undefined;
  #keepalive: Keepalive | undefined;
  #tlsSeen = false;
  #startedAt = 0;
  #negotiatedAt = 0;
  #controlSentAt = Number.NEGATIVE_INFINITY;
  #controlReceivedAt = Number.NEGATIVE_INFINITY;
  #exitNoticesLeft = 0;
  #infosLeft = MAX_INFOS;
  #compressedTold = false;

  constructor(config: ClientConfig, ports: SessionPorts, options: SessionStart) {
    this.#config = config;
    this.#ports = ports;
    this.#login = new Login(config.login, options.authToken);
    const ownSessionId = new Uint8Array(SESSION_ID_LEN);
    ports.random.fill(ownSessionId);
    const protection = {
      crypto: controlCrypto(config.control.wrap, "client", ports.control),
      guard: new ReplayGuard(options.unixSeconds, config.control.replayWindow),
    };
    const { linkOverhead } = options;
    this.#channel = new ControlChannel({ side: "client", ownSessionId, protection, linkOverhead });
    this.#slots = new KeySlots(config.control.tranWindow * 1000, switchDelay(config.control) * 1000);
    this.#data = new DataChannel(ports.slab, this.#slots, this.drops);
    this.#negotiations = new Rekey({
      control: config.control,
      verify: config.verify,
      channel: this.#channel,
      tls: ports.tls,
      random: ports.random,
      ownMessage: () => this.#ownMessage(),
    });
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Packets can be sealed. */
  get isUp(): boolean {
    return this.#state === "up";
  }

  /** What the server gave to log in with from now on. */
  get authToken(): AuthToken | undefined {
    return this.#login.token;
  }

  /** Bytes that sealing adds to a packet. Once up. */
  get dataOverhead(): number {
    return this.#data.overhead;
  }

  /** Tunnel packets and bytes so far. */
  traffic(): Readonly<Traffic> {
    return this.#data.traffic;
  }

  start(now: number): void {
    if (!this.#transition("start")) return;
    this.#startedAt = now;
    this.#timers.set("answer", now + this.#config.retry.connectTimeout * 1000);
    this.#timers.set("handshake", now + this.#config.control.handWindow * 1000);
    this.#timers.set("silence", now + SILENCE_MS);
    this.#negotiations.start(now);
  }

  /** Says goodbye where that was agreed on, then ends. */
  close(now: number): void {
    if (this.#state === "ended" || this.#state === "closing") return;
    const wasUp = this.#state === "up";
    const notices = Math.min(this.#pushed?.session.explicitExitNotify ?? this.#config.exitNotify, MAX_EXIT_NOTICES);
    if (!wasUp || notices === 0) return this.#end(now, { kind: "closed" });
    this.#transition("close");
    this.#timers.clearAll();
    this.#negotiations.unschedule();
    if (this.#pushed?.session.ccExit === true) {
      this.#say("EXIT");
      this.#timers.set("exit", now + notices * 1000);
    } else {
      this.#exitNoticesLeft = notices;
      this.#timers.set("exit", now);
      this.handleTimeout(now);
    }
  }

  /** Ends at once, without a word to the server: for an owner that has no way to it any more. */
  abandon(now: number): void {
    this.#end(now, { kind: "closed" });
  }

  /**
   * Datagrams of the link: data packets are opened in place and become rows of `plain` (which must have room for all),
   * control packets are taken in.
   */
  handleBatch(now: number, datagrams: Batch, plain: Batch): void {
    const { bytes } = this.#ports.slab;
    const count = datagrams.count;
    this.counters.values[DATAGRAMS]! += count;
    for (let i = 0; i < count; i++) {
      const at = datagrams.at[i]!;
      const len = datagrams.len[i]!;
      if (len === 0) {
        this.#drop(DROP_PACKET_EMPTY);
      } else if (this.#state === "ended") {
        this.#drop(DROP_SESSION_ENDED);
      } else {
        const opcode = opcodeOf(bytes[at]!);
        if (opcode === DATA_V2 || opcode === DATA_V1) this.#data.open(now, at, len, plain);
        else if (len > MAX_CONTROL_LEN) this.#drop(DROP_CONTROL_OVERSIZE);
        else this.#handleControl(now, bytes.slice(at, at + len));
      }
    }
    if (this.#data.exitReceived && this.#state !== "ended") this.#end(now, { kind: "server-exit" });
    if (!this.#compressedTold && this.drops.values[~DROP_DATA_COMPRESSED]! > 0) {
      this.#compressedTold = true;
      this.#events.push({ kind: "warning", text: COMPRESSED_DATA });
    }
    this.#checkWear();
  }

  /** Seals IP packets in place; the rows of `sealed` are datagrams for the link and start in the headroom of `plain`'s. */
  sealBatch(now: number, plain: Batch, sealed: Batch): void {
    this.#data.sealBatch(now, plain, sealed);
    this.#checkWear();
  }

  /** Does everything that is due. */
  handleTimeout(now: number): void {
    if (this.#state === "ended") return;
    this.#pump(now);
    this.#slots.handleTimeout(now);
    this.#handleDeadlines(now);
    if (this.#state === "up") this.#handleKeepalive(now);
  }

  /** The next control packet or ping for the link. */
  pollTransmit(now: number): Uint8Array | undefined {
    const packet = this.#outbox.shift() ?? this.#pollNegotiations(now) ?? this.#pollPing(now);
    if (packet !== undefined) this.#controlSentAt = now;
    return packet;
  }

  pollEvent(): SessionEvent | undefined {
    return this.#events.shift();
  }

  /** When handleTimeout or pollTransmit wants to be called; in the past when at once, Infinity when never. */
  pollAt(): number {
    if (this.#outbox.length > 0) return Number.NEGATIVE_INFINITY;
    if (this.#state === "ended") return Number.POSITIVE_INFINITY;
    const at = Math.min(this.#timers.next(), this.#slots.pollAt(), this.#negotiations.pollAt());
    if (this.#state !== "up" || this.#keepalive === undefined) return at;
    return Math.min(at, this.#keepalive.pollAt(this.#sentAt(), this.#receivedAt()));
  }

  #handleControl(now: number, bytes: Uint8Array): void {
    const first = this.#channel.peerSessionId === undefined;
    const packet = this.#channel.receive(bytes, now);
    if (typeof packet === "number") return this.#drop(packet);
    const drop = this.#negotiations.handle(now, packet, this.#state === "up");
    if (drop !== DROP_NONE) return this.#drop(drop);
    this.counters.bump(CONTROL_RECEIVED);
    this.#controlReceivedAt = now;
    if (first) {
      this.#timers.clear("answer");
      this.#events.push({ kind: "server-answered" });
    }
    this.#pump(now);
  }

  #ownMessage(): KeyMethodMessage {
    return {
      source: makeKeySource(this.#ports.random, false),
      options: clientOptionsString(this.#config.data, this.#config.tunnel, this.#config.control.wrap),
      ...this.#login.next(),
      peerInfo: clientPeerInfo(this.#config.data, this.#config.tunnel, this.#config.peerInfo),
    };
  }

  /** Moves the negotiations on and acts on what came of it. */
  #pump(now: number): void {
    const { live } = this.#negotiations;
    for (const negotiation of live) {
      negotiation.pump();
      if (this.#state === "handshake") continue; // messages wait until the first exchange is settled below
      for (const message of negotiation.readMessages()) {
        if (this.#state !== "ended") this.#handleMessage(message, now);
      }
    }
    if (this.#state === "handshake") this.#handleFirst(now);
    const { active } = this.#negotiations;
    if (this.#state === "push" && active?.failure !== undefined) this.#end(now, active.failure);
    if (this.#state === "up") this.#handleRenegotiation(now);
    if (this.#state === "closing" && this.#exitNoticesLeft === 0 && active?.flushed === true) {
      this.#end(now, { kind: "closed" });
    }
  }

  #handleFirst(now: number): void {
    const first = this.#negotiations.active;
    if (first === undefined) return;
    if (!this.#tlsSeen && (first.state === "key-exchange" || first.state === "done")) {
      this.#tlsSeen = true;
      this.#events.push({ kind: "tls-established", description: first.tlsDescription });
      for (const text of first.tlsWarnings) this.#events.push({ kind: "warning", text });
    }
    if (first.state === "failed" && first.failure !== undefined) this.#end(now, first.failure);
    if (first.state !== "done") return;
    this.#transition("negotiated");
    this.#negotiatedAt = now;
    this.#timers.clear("handshake");
    this.#timers.set("push-wait", now + this.#config.control.handWindow * 1000);
    this.#requestPush(now);
    // the reply may have come along with the key exchange
    for (const message of first.readMessages()) if (this.state !== "ended") this.#handleMessage(message, now);
  }

  #requestPush(now: number): void {
    this.#say("PUSH_REQUEST");
    this.#timers.set("push-request", now + PUSH_REQUEST_MS);
  }

  /** Sends a control message. */
  #say(message: string): void {
    const { active } = this.#negotiations;
    active?.send(utf8Encode(`${message}\0`));
    active?.pump();
  }

  #handleRenegotiation(now: number): void {
    const { pending } = this.#negotiations;
    if (pending === undefined) return;
    this.#slots.takeOver(now);
    if (pending.state === "failed" && pending.failure !== undefined) {
      const { failure } = pending;
      const problem = failure.kind === "tls-failed" ? failure.failure.message : failure.kind;
      this.#end(now, failure.kind === "certificate-rejected" ? failure : { kind: "renegotiation-failed", problem });
    } else if (pending.state === "done") {
      this.#negotiations.promote(now);
      this.counters.bump(RENEGOTIATIONS);
      const cipher = this.#installKey(pending, now);
      if (cipher !== undefined) this.#events.push({ kind: "rekeyed", keyId: pending.keyId, cipher });
    }
  }

  /** Derives the data-channel key of a negotiation that is done. */
  #installKey(negotiation: KeyExchange, now: number): AeadName | undefined {
    const pushed = this.#pushed;
    const { ownSource, peerMessage } = negotiation;
    const { ownSessionId, peerSessionId } = this.#channel;
    if (pushed === undefined || !ownSource || !peerMessage || !peerSessionId) return undefined;
    const block =
      pushed.session.keyDerivation === "ekm"
        ? negotiation.exportKeyingMaterial(EXPORTER_LABEL, EXPORTER_LENGTH)
        : deriveByPrf(ownSource, peerMessage.source, ownSessionId, peerSessionId);
    const key = new AeadDataKey(block, {
      slab: this.#ports.slab,
      aead: this.#ports.aead,
      cipher: pushed.cipher,
      keyId: negotiation.keyId,
      sendKey: dataKey("client"),
      peerId: pushed.session.peerId ?? PEER_ID_NONE,
      replayWindow: this.#config.data.replayWindow,
    });
    block.fill(0);
    this.#slots.install(key, now);
    this.#negotiations.schedule(now);
    return pushed.cipher;
  }

  #handleMessage(message: ControlMessage, now: number): void {
    switch (message.kind) {
      case "push-reply":
        if (this.#state === "push") this.#handlePushReply(message, now);
        else if (this.#state === "up") {
          this.#login.renew(renewedToken(this.#config.pull, this.#config.data, message.options));
        }
        return;
      case "auth-failed":
        return this.#end(now, this.#login.refused(message));
      case "auth-pending":
        return this.#handleAuthPending(message.seconds);
      case "info":
      case "info-pre":
        return this.#tell({ kind: "info", text: message.text });
      case "restart":
        return this.#end(now, { kind: "server-restart", message: message.message, nextRemote: message.nextRemote });
      case "halt":
        return this.#end(now, { kind: "server-halt", message: message.message });
      case "exit":
        return this.#end(now, { kind: "server-exit" });
      case "unknown":
      case "malformed":
        this.counters.bump(MESSAGES_IGNORED);
        return;
    }
    message satisfies never;
  }

  /** What the server may have told without end. */
  #tell(event: SessionEvent): void {
    if (this.#infosLeft-- > 0) this.#events.push(event);
    else this.counters.bump(MESSAGES_IGNORED);
  }

  #handlePushReply(message: ControlMessage & { readonly kind: "push-reply" }, now: number): void {
    const complete = this.#push.add(message);
    if (complete === false) return;
    const { active } = this.#negotiations;
    // TLS broke right behind the reply: there is nothing to export keys from any more
    if (active?.failure !== undefined) return this.#end(now, active.failure);
    const peerOptions = active?.peerMessage?.options ?? "";
    const pushed =
      typeof complete === "string" ? complete : this.#push.settle(this.#config.pull, this.#config.data, peerOptions);
    if (active === undefined || typeof pushed === "string") {
      return this.#end(now, { kind: "push-rejected", problem: String(pushed) });
    }
    this.#pushed = pushed;
    const { session } = pushed;
    this.#login.pushed(pushed);
    this.#data.peerId = session.peerId ?? PEER_ID_NONE;
    this.#data.framing = pushed.framing;
    this.#transition("pushed");
    for (const timer of ["silence", "push-request", "push-wait"] as const) this.#timers.clear(timer);
    this.#installKey(active, now);
    this.#startKeepalive(pushed, now);
    for (const text of session.ignored) this.#tell({ kind: "warning", text: `the server pushed ${text}; ignored` });
    for (const text of serverMismatches(pushed, peerOptions)) this.#events.push({ kind: "warning", text });
    const peerId = session.peerId ?? PEER_ID_NONE;
    this.#events.push({ kind: "up", options: pushed.options, cipher: pushed.cipher, peerId });
  }

  #startKeepalive({ session }: Pushed, now: number): void {
    this.#keepalive = new Keepalive(keepaliveOptions(this.#config.keepalive, session), now);
    const timeout = session.sessionTimeout ?? this.#config.keepalive.sessionTimeout;
    if (timeout > 0) this.#timers.set("session", now + timeout * 1000);
  }

  #handleAuthPending(seconds: number | undefined): void {
    // as OpenVPN: what the server says, within the larger of hand-window and half of reneg-sec, since the handshake
    const limit = Math.max(this.#config.control.handWindow, this.#config.control.renegSec.max / 2);
    const wait = Math.min(seconds ?? this.#config.control.handWindow, limit);
    this.#tell({ kind: "auth-pending", seconds: wait });
    if (this.#state !== "push") return;
    // it is known now what is waited for
    this.#timers.clear("silence");
    this.#timers.set("push-wait", Math.max(this.#timers.at("push-wait"), this.#negotiatedAt + wait * 1000));
  }

  #handleDeadlines(now: number): void {
    const timers = this.#timers;
    if (timers.expired("silence", now)) {
      const seconds = Math.round((now - this.#startedAt) / 1000);
      const silent = this.#channel.peerSessionId === undefined;
      if (silent) this.#events.push({ kind: "silence", seconds });
      else this.#events.push({ kind: "stalled", seconds, phase: this.#phase });
    }
    if (timers.expired("answer", now) || timers.expired("handshake", now)) {
      const seconds = Math.round((now - this.#startedAt) / 1000);
      if (this.#channel.peerSessionId === undefined) return this.#end(now, { kind: "no-answer", seconds });
      return this.#end(now, { kind: "handshake-timeout", phase: this.#phase });
    }
    if (timers.expired("push-wait", now)) return this.#end(now, { kind: "handshake-timeout", phase: this.#phase });
    if (timers.expired("push-request", now)) this.#requestPush(now);
    if (this.#negotiations.isLate(now)) {
      const problem = `not finished within hand-window (${this.#config.control.handWindow} s)`;
      return this.#end(now, { kind: "renegotiation-failed", problem });
    }
    if (timers.expired("session", now)) return this.#end(now, { kind: "session-timeout" });
    if (timers.expired("exit", now)) this.#handleExit(now);
    if (this.#state === "up" && this.#negotiations.isDue(now)) {
      this.#negotiations.renegotiate(now);
      this.#handleRenegotiation(now);
    }
  }

  #handleExit(now: number): void {
    if (this.#exitNoticesLeft === 0) return this.#end(now, { kind: "closed" });
    this.#exitNoticesLeft--;
    const notice = this.#sealSmall(EXIT_LEN, exitEmit);
    if (notice !== undefined) this.#outbox.push(notice);
    if (this.#exitNoticesLeft === 0) this.#end(now, { kind: "closed" });
    else this.#timers.set("exit", now + 1000);
  }

  #handleKeepalive(now: number): void {
    const keepalive = this.#keepalive;
    if (keepalive === undefined) return;
    const { sealedBytes, openedBytes } = this.#data.traffic;
    const end = keepalive.expired(now, this.#receivedAt(), sealedBytes + openedBytes);
    if (end !== undefined) this.#end(now, end);
  }

  #pollNegotiations(now: number): Uint8Array | undefined {
    if (this.#state === "ended") return undefined;
    const packet = this.#negotiations.poll(now);
    if (packet !== undefined) this.counters.bump(CONTROL_SENT);
    return packet;
  }

  #pollPing(now: number): Uint8Array | undefined {
    if (this.#state !== "up" || this.#keepalive === undefined) return undefined;
    if (now < this.#keepalive.pingAt(this.#sentAt())) return undefined;
    this.counters.bump(PINGS_SENT);
    return this.#sealSmall(PING_LEN, pingEmit);
  }

  /** A data packet of our own making, copied out of the slab. */
  #sealSmall(len: number, emit: (bytes: Uint8Array, at: number) => void): Uint8Array | undefined {
    const { slab, scratch } = this.#ports;
    const key = this.#slots.sending;
    scratch.reset();
    const at = scratch.take(len);
    if (key === undefined || at < 0) return undefined;
    emit(slab.bytes, at);
    const start = this.#data.seal(key, at, len);
    return start < 0 ? undefined : slab.bytes.slice(start, start + len + this.#data.overhead);
  }

  #checkWear(): void {
    const key = this.#slots.newest;
    if (key === undefined || this.#state !== "up") return;
    const { renegBytes, renegPkts } = this.#config.control;
    const isWorn =
      key.isWorn || (renegBytes > 0 && key.bytes >= renegBytes) || (renegPkts > 0 && key.packets >= renegPkts);
    if (isWorn) this.#negotiations.hurry();
  }

  /** What the handshake waits for. */
  get #phase(): string {
    return this.#state === "push" ? "push" : (this.#negotiations.active?.phase ?? "reset");
  }

  #sentAt(): number {
    return Math.max(this.#controlSentAt, this.#data.sealedAt);
  }

  #receivedAt(): number {
    return Math.max(this.#controlReceivedAt, this.#data.openedAt);
  }

  #drop(code: number): void {
    this.drops.drop(code);
  }

  #transition(input: SessionInput): boolean {
    const before = this.#state;
    this.#state = nextState(before, input);
    return this.#state !== before;
  }

  #end(now: number, end: SessionEnd): void {
    if (this.#state === "ended") return;
    this.#outbox.push(...this.#negotiations.close(now));
    this.#transition("end");
    this.#timers.clearAll();
    this.#slots.closeAll();
    this.#events.push({ kind: "ended", end });
  }
}

/** As OpenVPN: a new key waits this long for the server to have it too, but never longer than the old one is good there. */
function switchDelay({ handWindow, tranWindow, renegSec }: ControlConfig): number {
  return Math.min(handWindow, tranWindow, renegSec.max > 0 ? renegSec.max / 2 : handWindow);
}
