/**
 * What two TLS peers of OpenVPN share, whoever is client: the control channel, key exchanges and renegotiations, data keys,
 * keepalive, goodbye. It knows nothing of logins and pushed options. The session of a role (client.ts, server.ts) owns one,
 * takes its events, and answers "exchanged" with installKeys, once it has settled what the keys are for.
 *
 * - commands: start, say, installKeys, keepAlive, renegotiate, sayLast, sayExit, end
 * - what comes in: handleRows, handleTimeout, handleTls; poll the events after each, and after a command
 * - what goes out: pollTransmit, pollAt
 * - the data path: sealBatch; handleRows opens
 */
import type { Batch } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import type { Random } from "../../lib/random.ts";
import type { ControlConfig, KeepaliveConfig, ReplayWindowConfig } from "../config/types.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import { ControlChannel } from "../control/channel.ts";
import { EARLY_NEGOTIATION_ID } from "../control/early-negotiation.ts";
import type { ControlMessage } from "../control/message.ts";
import { DATA_V1, DATA_V2, opcodeOf } from "../control/opcode.ts";
import { MAX_CONTROL_LEN, SESSION_ID_LEN } from "../control/packet.ts";
import { controlCrypto, renegotiationCrypto } from "../control/protection.ts";
import { ReplayGuard } from "../control/replay-guard.ts";
import type { DataChannel, TunnelTraffic } from "../data/channel.ts";
import { createDataChannel } from "../data/create-channel.ts";
import { createDataKey } from "../data/create-key.ts";
import type { Direct } from "../data/direct-keys.ts";
import type { KeyPlan } from "../data/key-plan.ts";
import { KeySlots } from "../data/key-slots.ts";
import { replayWindow } from "../data/replay.ts";
import {
  DROP_CONTROL_OVERSIZE,
  DROP_NONE,
  DROP_PACKET_EMPTY,
  DROP_SESSION_ENDED,
  SessionDrops,
  streamBreak,
} from "../drop.ts";
import type { ExchangeFailure } from "../exchange/failure.ts";
import type { KeyExchange, KeyExchangeEvent } from "../exchange/key-exchange.ts";
import type { KeyMethodText } from "../exchange/key-method.ts";
import { Rekey } from "../exchange/rekey.ts";
import { dataKey, type Side } from "../side.ts";
import type { AssociationEnd } from "./events.ts";
import { ExitNotices } from "./exit-notices.ts";
import { Liveness } from "./liveness.ts";
import type { AssociationConfig, AssociationStart, SessionPorts } from "./start.ts";

/**
 * Our choice: a handshake is over when so long nothing came from the peer, although it has something to acknowledge. It is
 * four transmissions of a packet, and most likely the peer was started anew and knows nothing of this session.
 */
const HANDSHAKE_SILENCE_MS = 15_000;

export type AssociationEvent =
  /** The first authentic packet of the peer has come. */
  | { readonly kind: "answered" }
  | { readonly kind: "tls-established"; readonly description: string; readonly warnings: readonly string[] }
  /** A key exchange is done. Its keys are used from installKeys on. */
  | { readonly kind: "exchanged"; readonly exchange: KeyExchange }
  | { readonly kind: "message"; readonly message: ControlMessage }
  /** The peer said over the data channel that it leaves. */
  | { readonly kind: "peer-exit" }
  /** It cannot go on, or the goodbye is said: the role says so and calls end(). */
  | { readonly kind: "over"; readonly end: AssociationEnd };

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
export const MESSAGES_IGNORED = counter("control-messages-ignored");

/** How the goodbye is said: as a control message whose acknowledgement is waited for until `at`, or so many notices over the data channel. */
type Goodbye = { readonly kind: "control"; readonly at: number } | ExitNotices;

export class Association {
  readonly drops = new SessionDrops();
  readonly #counters = new Counters<SessionCounter>(COUNTERS);
  readonly #side: Side;
  readonly #config: AssociationConfig;
  readonly #ports: SessionPorts;
  readonly #start: AssociationStart;
  readonly #channel: ControlChannel;
  readonly #slots: KeySlots;
  readonly #data: DataChannel;
  readonly #liveness: Liveness;
  readonly #rekey: Rekey;
  readonly #events: AssociationEvent[] = [];
  readonly #renegBytes: number;
  readonly #renegPkts: number;
  /** Packets that go whatever happens to the session. */
  readonly #outbox: Uint8Array[] = [];
  /** Messages that wait for room in the send window, or for the end of a renegotiation. */
  readonly #unsaid: string[] = [];
  #goodbye: Goodbye | undefined;
  #hasKeys = false;
  /** An exchange is done whose keys are not installed yet: the role decides on them, and no other one begins meanwhile. */
  #owesKeys = false;
  #hasEnded = false;
  /** There are events. */
  #isEventful = false;
  /** Something has come of what was handled that cannot wait until {@link pollAt}. */
  #isStirred = false;
  #exitTold = false;

  constructor(
    side: Side,
    config: AssociationConfig,
    ports: SessionPorts,
    start: AssociationStart,
    ownText: () => KeyMethodText,
  ) {
    const { control } = config;
    const { random, tls } = ports;
    const { resumed, link } = start;
    this.#side = side;
    this.#config = config;
    this.#ports = ports;
    this.#start = start;
    this.#renegBytes = control.renegBytes > 0 ? control.renegBytes : Number.POSITIVE_INFINITY;
    this.#renegPkts = control.renegPkts > 0 ? control.renegPkts : Number.POSITIVE_INFINITY;
    const { wrap } = control;
    const wrappedKey = wrap.kind === "tls-crypt-v2" ? wrap.wrapped : undefined;
    const crypto = controlCrypto(wrap, side, ports.control);
    const firstId = side === "client" && wrappedKey !== undefined ? EARLY_NEGOTIATION_ID : 0;
    // The answer without a session had id 1.
    const guard = new ReplayGuard(
      start.unixSeconds,
      this.#window(control.replayWindow),
      resumed === undefined ? firstId : 1,
    );
    const ownSessionId = resumed?.ownSessionId ?? freshSessionId(random);
    const protection = { crypto, guard };
    const channel = new ControlChannel({ side, ownSessionId, protection, wrappedKey, linkOverhead: link.overhead });
    channel.peerSessionId = resumed?.peerSessionId;
    this.#channel = channel;
    this.#slots = new KeySlots(control.tranWindow * 1000, switchDelay(control) * 1000);
    this.#data = createDataChannel(config, ports, link.overhead, this.#slots, this.drops);
    this.#liveness = new Liveness(this.#data);
    const parts = { side, control, verify: () => config.verify, tls, random, channel, ownText };
    this.#rekey = new Rekey(parts, link.isStream);
  }

  get counters(): Counters<SessionCounter> {
    this.#counters.values[DATAGRAMS] = this.#data.traffic.datagrams;
    return this.#counters;
  }

  /** An authentic packet of the peer has come. */
  get isAnswered(): boolean {
    return this.#channel.peerSessionId !== undefined;
  }

  /** Whether `len` bytes at `at` of the slab, from anywhere, have the looks of the peer's first answer to us. */
  looksLikeAnswer(at: number, len: number): boolean {
    return this.#channel.looksLikeAnswer(this.#ports.slab.bytes, at, len);
  }

  /** What the handshake waits for. */
  get phase(): string {
    return this.#rekey.active?.phase ?? "reset";
  }

  /** The peer's options string, once the first exchange is done. */
  get peerOptions(): string {
    return this.#rekey.active?.peerMessage?.options ?? "";
  }

  /** Bytes that sealing adds to a packet at most; 0 while there are no keys. */
  get dataOverhead(): number {
    return this.#data.overhead;
  }

  /** The largest packet of the tunnel that becomes one packet of at most `size` bytes. Once there are keys. */
  payloadMax(size: number): number {
    return this.#data.payloadMax(size);
  }

  /** Tunnel packets and bytes so far. */
  get traffic(): TunnelTraffic {
    const { sealed, sealedBytes, opened, openedBytes, pings } = this.#data.traffic;
    return { sealed, sealedBytes, opened, openedBytes, pings };
  }

  /** What the peer's data packets need that have nothing out of the ordinary; undefined: each may have. */
  get direct(): Direct | undefined {
    const isCounted = this.#renegBytes < Number.POSITIVE_INFINITY || this.#renegPkts < Number.POSITIVE_INFINITY;
    const key = this.#hasEnded || isCounted ? undefined : this.#data.directKey;
    return key === undefined ? undefined : { key, traffic: this.#data.traffic, drops: this.drops };
  }

  /** The peer has said over the data channel that it leaves, in a packet that went the direct way. */
  handleExit(): void {
    this.#data.exitReceived = true;
    this.#heedExit();
  }

  /**
   * Packets so far that only the peer can have made: once there are keys, those that they opened; until then, control packets
   * of this session, which without tls-auth or tls-crypt whoever sees the session can forge.
   */
  get proofs(): number {
    const { opened, pings } = this.#data.traffic;
    return this.#hasKeys ? opened + pings : this.#counters.values[CONTROL_RECEIVED]!;
  }

  start(now: number): void {
    if (this.#start.resumed === undefined)
      this.#rekey.start(now, this.#side === "client" || this.#start.begins === true);
    else this.#rekey.resume(now);
    this.#liveness.besideReceivedAt = now;
  }

  /**
   * Sends a control message through the last exchange that is done; while a renegotiation is under way, through that once it is done, as
   * OpenVPN does, which takes nothing of the one before any more (ssl.c, tls_send_payload and tls_pre_decrypt).
   */
  say(message: string): void {
    this.#unsaid.push(message);
    this.#sayWaiting();
  }

  /** What does not go at once could be cut off by a renegotiation, so it waits here, where the next exchange finds it. */
  #sayWaiting(): void {
    const exchange = this.#rekey.active;
    while (exchange !== undefined && this.#rekey.pending === undefined && this.#unsaid.length > 0) {
      const bytes = encodeUtf8(`${this.#unsaid[0]}\0`);
      if (!exchange.takesWhole(bytes.length)) return;
      this.#unsaid.shift();
      exchange.send(bytes);
    }
  }

  /**
   * Makes the data key of an exchange that is done, and schedules the next renegotiation. The first key is sent with at once.
   * @returns why it cannot: TLS broke right behind the message that led here, so there is nothing to export keys from
   */
  installKeys(now: number, plan: KeyPlan, exchange = this.#rekey.active): ExchangeFailure | undefined {
    if (exchange === undefined) throw new Error("keys are installed after an exchange");
    if (exchange.failure !== undefined) return exchange.failure;
    const block = exchange.deriveKeys(plan.derivation);
    const key = createDataKey(block, plan, this.#ports, {
      keyId: exchange.keyId,
      sendKey: dataKey(this.#side),
      replayWindow: this.#window(this.#config.data.replayWindow),
      used: this.#hasKeys ? undefined : this.#start.keyUse,
    });
    block.fill(0);
    if (plan.dynamicTlsCrypt && !this.#hasKeys) this.#protectRenegotiations(exchange);
    this.#data.peerId = plan.peerId;
    this.#data.compression = plan.compression;
    this.#slots.install(key, now, exchange.startedAt);
    this.#hasKeys = true;
    this.#owesKeys = false;
    this.#rekey.schedule(now);
    return undefined;
  }

  keepAlive(now: number, config: KeepaliveConfig): void {
    this.#liveness.watch(now, config);
  }

  /** Begins a renegotiation now, unless one is under way or waits for its keys. */
  renegotiate(now: number): void {
    if (!this.#mayRenegotiate || this.#rekey.pending !== undefined) return;
    // What was said before goes before the reset: behind it nobody may take it.
    for (let packet = this.#pollControl(now); packet !== undefined; packet = this.#pollControl(now))
      this.#outbox.push(packet);
    this.#rekey.renegotiate(now);
    this.#advance(now);
  }

  /** Says a last control message. "over" comes when it is acknowledged, or after so many seconds. */
  sayLast(now: number, message: string, seconds: number): void {
    this.#takeLeave({ kind: "control", at: now + seconds * 1000 });
    this.say(message);
  }

  /** Says over the data channel that this side leaves, so many times a second apart. "over" comes behind the last one. */
  sayExit(now: number, notices: number): void {
    const goodbye = new ExitNotices(now, notices);
    this.#takeLeave(goodbye);
    this.#sayExitNotice(now, goodbye);
  }

  /** Lets go of all keys; what is ready to be sent still goes. */
  end(now: number): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#outbox.push(...this.#rekey.close(now));
    this.#slots.closeAll();
    this.#liveness.unwatch();
    this.#goodbye = undefined;
  }

  /**
   * Whether, since it was asked last, anything was handled but data packets that opened: then there may be events or packets to
   * send, and {@link pollAt} may be earlier than it was. Otherwise it is no earlier.
   */
  takeStirred(): boolean {
    const was = this.#isStirred;
    this.#isStirred = false;
    return was;
  }

  /**
   * Packets of the link, the rows [from, end) of `datagrams`: data packets are opened in place and become rows of `plain`
   * (which must have room for all), control packets are taken in. Stops behind a packet that causes an event, because what
   * comes of it may concern the next one.
   * @returns the first row that is not handled yet
   */
  handleRows(now: number, datagrams: Batch, from: number, end: number, plain: Batch): number {
    const { bytes } = this.#ports.slab;
    const { switches } = this.#slots;
    let i = from;
    while (i < end && !this.#isEventful) {
      const at = datagrams.at[i]!;
      const len = datagrams.len[i]!;
      i++;
      const drop = this.#handlePacket(now, bytes, at, len, plain);
      if (drop !== DROP_NONE) this.#checkStream(drop);
    }
    this.#data.traffic.datagrams += i - from;
    this.#checkWear();
    if (this.#isEventful || switches !== this.#slots.switches) this.#isStirred = true;
    return i;
  }

  /** A stream cannot go on behind a packet that was dropped for some reasons. */
  #checkStream(drop: number): void {
    const broken = streamBreak(this.#start.link.isStream, drop);
    if (broken !== undefined) this.#over({ kind: "stream-broken", drop: broken });
  }

  /** @returns why it was dropped, which is counted, or DROP_NONE */
  #handlePacket(now: number, bytes: Uint8Array, at: number, len: number, plain: Batch): number {
    if (len === 0) return this.#drop(DROP_PACKET_EMPTY);
    if (this.#hasEnded) return this.#drop(DROP_SESSION_ENDED);
    const opcode = opcodeOf(bytes[at]!);
    if (opcode === DATA_V2 || opcode === DATA_V1) return this.#handleData(now, at, len, plain);
    if (len > MAX_CONTROL_LEN) return this.#drop(DROP_CONTROL_OVERSIZE);
    return this.#handleControl(now, bytes.slice(at, at + len));
  }

  /** Seals IP packets in place; the rows of `sealed` are datagrams for the link and start in the headroom of `plain`'s. */
  sealBatch(now: number, plain: Batch, sealed: Batch): void {
    this.#data.sealBatch(now, plain, sealed);
    this.#checkWear();
  }

  /** Does everything that is due. */
  handleTimeout(now: number): void {
    if (this.#hasEnded) return;
    this.#slots.handleTimeout(now);
    this.#rekey.handleTimeout(now);
    const end = this.#expired(now);
    if (end !== undefined) {
      this.#over(end);
      return;
    }
    if (this.#rekey.isDue(now)) this.renegotiate(now);
    const goodbye = this.#goodbye;
    if (goodbye === undefined || now < goodbye.at) return;
    if (goodbye.kind === "control") this.#over({ kind: "closed" });
    else this.#sayExitNotice(now, goodbye);
  }

  /** The TLS engine has done something since the last call. */
  handleTls(now: number): void {
    for (const exchange of this.#rekey.live) exchange.handleTls();
    this.#advance(now);
  }

  /** What happened, in its order. */
  poll(): AssociationEvent | undefined {
    if (!this.#isEventful) return undefined;
    const event = this.#events.shift();
    this.#isEventful = this.#events.length > 0;
    return event;
  }

  /** The next control packet or ping for the link. */
  pollTransmit(now: number): Uint8Array | undefined {
    const packet = this.#outbox.shift() ?? this.#pollControl(now) ?? this.#pollPing(now);
    if (packet !== undefined) this.#liveness.besideSentAt = now;
    return packet;
  }

  /** When handleTimeout or pollTransmit wants to be called; in the past when at once, Infinity when never. */
  pollAt(): number {
    if (this.#outbox.length > 0 || this.#isEventful) return Number.NEGATIVE_INFINITY;
    if (this.#hasEnded) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.#slots.pollAt(),
      this.#rekey.pollAt(),
      this.#silentAt(),
      this.#goodbye?.at ?? Number.POSITIVE_INFINITY,
      this.#liveness.pollAt(),
    );
  }

  #takeLeave(goodbye: Goodbye): void {
    this.#rekey.unschedule();
    this.#liveness.unwatch();
    this.#goodbye = goodbye;
  }

  #protectRenegotiations(exchange: KeyExchange): void {
    const { wrap, replayWindow } = this.#config.control;
    const exported = exchange.deriveRenegotiationKey();
    const crypto = renegotiationCrypto(exported, wrap, this.#side, this.#ports.control);
    exported.fill(0);
    this.#channel.protectRenegotiations({ crypto, guard: new ReplayGuard(this.#start.unixSeconds, replayWindow) });
  }

  get #mayRenegotiate(): boolean {
    return this.#hasKeys && !this.#owesKeys && this.#goodbye === undefined;
  }

  #handleData(now: number, at: number, len: number, plain: Batch): number {
    const drop = this.#data.open(now, at, len, plain);
    if (this.#data.exitReceived) this.#heedExit();
    return drop;
  }

  #heedExit(): void {
    if (this.#exitTold) return;
    this.#exitTold = true;
    this.#happen({ kind: "peer-exit" });
  }

  #handleControl(now: number, bytes: Uint8Array): number {
    this.#isStirred = true;
    const isFirst = !this.isAnswered;
    const packet = this.#channel.receive(bytes, now);
    if (typeof packet === "number") return this.#drop(packet);
    const drop = this.#rekey.handle(now, packet, this.#mayRenegotiate);
    if (drop !== DROP_NONE) return this.#drop(drop);
    this.#counters.bump(CONTROL_RECEIVED);
    this.#liveness.besideReceivedAt = now;
    if (isFirst) this.#happen({ kind: "answered" });
    this.#advance(now);
    return DROP_NONE;
  }

  #drop(code: number): number {
    this.drops.drop(code);
    return code;
  }

  #window(configured: ReplayWindowConfig): ReplayWindowConfig {
    return replayWindow(this.#start.link.isStream, configured);
  }

  /** Acts on what came of the exchanges. */
  #advance(now: number): void {
    // Who begins a renegotiation keeps the youngest key only beside the coming one.
    if (this.#rekey.pending !== undefined) this.#slots.takeOver(now);
    for (const exchange of this.#rekey.live) {
      for (let event = exchange.poll(); event !== undefined; event = exchange.poll()) this.#take(now, exchange, event);
    }
    this.#sayWaiting();
    const isSaid = this.#unsaid.length === 0 && this.#rekey.active?.flushed === true;
    if (this.#goodbye?.kind === "control" && isSaid) this.#over({ kind: "closed" });
  }

  #take(now: number, exchange: KeyExchange, event: KeyExchangeEvent): void {
    const isFirst = !this.#hasKeys && exchange === this.#rekey.active;
    switch (event.kind) {
      case "tls-established":
        if (isFirst) this.#happen(event);
        return;
      case "done":
        if (exchange === this.#rekey.pending) {
          this.#rekey.promote(now);
          this.#counters.bump(RENEGOTIATIONS);
        }
        this.#owesKeys = true;
        this.#happen({ kind: "exchanged", exchange });
        return;
      case "message":
        this.#happen(event);
        return;
      case "failed":
        if (isFirst) this.#over(event.failure);
        else if (exchange === this.#rekey.pending) this.#over(renegotiationFailed(event.failure));
        return;
    }
    event satisfies never;
  }

  #expired(now: number): AssociationEnd | undefined {
    if (now >= this.#silentAt()) {
      const silentSeconds = Math.round((now - this.#liveness.besideReceivedAt) / 1000);
      return { kind: "handshake-timeout", phase: this.phase, silentSeconds };
    }
    if (this.#rekey.isLate(now)) {
      const problem = `not finished within hand-window (${this.#config.control.handWindow} s)`;
      return { kind: "renegotiation-failed", problem };
    }
    return this.#liveness.expired(now);
  }

  /** When the first handshake counts as dead. */
  #silentAt(): number {
    if (this.#hasKeys || !this.isAnswered) return Number.POSITIVE_INFINITY;
    const waitingSince = this.#rekey.active?.reliable.waitingSince ?? Number.POSITIVE_INFINITY;
    return Math.max(waitingSince, this.#liveness.besideReceivedAt) + HANDSHAKE_SILENCE_MS;
  }

  #sayExitNotice(now: number, goodbye: ExitNotices): void {
    const notice = goodbye.next(now, this.#data);
    if (notice !== undefined) this.#outbox.push(notice);
    if (goodbye.areSaid) this.#over({ kind: "closed" });
  }

  #pollControl(now: number): Uint8Array | undefined {
    if (this.#hasEnded) return undefined;
    const packet = this.#rekey.poll(now);
    if (packet !== undefined) this.#counters.bump(CONTROL_SENT);
    return packet;
  }

  #pollPing(now: number): Uint8Array | undefined {
    const ping = this.#liveness.pollPing(now);
    if (ping !== undefined) this.#counters.bump(PINGS_SENT);
    return ping;
  }

  /** A key that has done enough is replaced: near its end, or as reneg-bytes and reneg-pkts say. */
  #checkWear(): void {
    const key = this.#slots.newest;
    if (key === undefined) return;
    const isWorn = key.isWorn || key.bytes >= this.#renegBytes || key.packets >= this.#renegPkts;
    if (!isWorn || !this.#mayRenegotiate) return;
    this.#rekey.hurry();
    this.#isStirred = true;
  }

  #over(end: AssociationEnd): void {
    this.#happen({ kind: "over", end });
  }

  #happen(event: AssociationEvent): void {
    this.#events.push(event);
    this.#isEventful = true;
  }
}

function freshSessionId(random: Random): Uint8Array {
  const id = new Uint8Array(SESSION_ID_LEN);
  random.fill(id);
  return id;
}

/** As OpenVPN: a new key waits this long for the peer to have it too, but never longer than the old one is good there. */
function switchDelay({ handWindow, tranWindow, renegSec }: ControlConfig): number {
  return Math.min(handWindow, tranWindow, renegSec.max > 0 ? renegSec.max / 2 : handWindow);
}

function renegotiationFailed(failure: ExchangeFailure): AssociationEnd {
  if (failure.kind === "certificate-rejected") return failure;
  const problem = failure.kind === "tls-failed" ? failure.failure.message : failure.problem;
  return { kind: "renegotiation-failed", problem };
}
