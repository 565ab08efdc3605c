/**
 * One end of a tunnel with a key that both have (`secret`), without I/O: it is fed and asked, as a ClientSession. Nothing is agreed
 * on: it is up at once, and both ends are equal. There is no forward secrecy (man openvpn, static key mode).
 */
import type { Batch } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import type { StaticConfig } from "../config/types.ts";
import { ReplayGuard } from "../control/replay-guard.ts";
import type { DataChannel, TunnelTraffic } from "../data/channel.ts";
import { createDataChannel } from "../data/create-channel.ts";
import { KeySlots } from "../data/key-slots.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import { replayWindow } from "../data/replay.ts";
import { StaticDataKey } from "../data/static-data-key.ts";
import { DROP_PACKET_EMPTY, DROP_SESSION_ENDED, SessionDrops, streamBreak } from "../drop.ts";
import type { DialSession } from "./dial-session.ts";
import type { SessionEnd, SessionEvent } from "./events.ts";
import { ExitNotices, MAX_EXIT_NOTICES } from "./exit-notices.ts";
import { Liveness } from "./liveness.ts";
import type { AssociationStart, SessionPorts } from "./start.ts";
import { SILENCE_MS } from "./state.ts";

const SILENT =
  "nothing has come from the other end yet: it is down or has nothing to say, the port is blocked on the way, or its secret, key direction, " +
  "cipher or auth differs";

const COUNTERS = ["datagrams-received", "pings-sent"] as const;
const [DATAGRAMS, PINGS_SENT] = [0, 1];

export interface StaticStart extends Pick<AssociationStart, "link" | "unixSeconds"> {
  readonly wallClock: () => number;
  /** Of the session before with the same peer: what it opened is not opened again. */
  readonly guard?: ReplayGuard | undefined;
  /** Nobody knows yet who the peer is: whoever has the key. It is up, and says something, when the first packet has opened. */
  readonly waits?: boolean | undefined;
}

export class StaticSession implements DialSession {
  readonly drops = new SessionDrops();
  readonly counters = new Counters<(typeof COUNTERS)[number]>(COUNTERS);
  readonly loginMemory = {};
  /** For the next session with this peer. */
  readonly guard: ReplayGuard;
  readonly #config: StaticConfig;
  readonly #start: StaticStart;
  readonly #data: DataChannel;
  readonly #liveness: Liveness;
  readonly #key: StaticDataKey;
  readonly #slots: KeySlots;
  readonly #events: SessionEvent[] = [];
  readonly #outbox: Uint8Array[] = [];
  #goodbye: ExitNotices | undefined;
  #hasStarted = false;
  #hasEnded = false;
  #isAnswerTold = false;
  #silentAt = Number.POSITIVE_INFINITY;

  constructor(config: StaticConfig, ports: Omit<SessionPorts, "tls" | "control">, start: StaticStart) {
    const { data, secret, cipher, digest } = config;
    const { slab, cbc, random } = ports;
    const { link, unixSeconds } = start;
    this.#config = config;
    this.#start = start;
    this.#slots = new KeySlots(0, 0);
    this.#data = createDataChannel(config, ports, link.overhead, this.#slots, this.drops);
    this.#data.compression = data.compression;
    this.#liveness = new Liveness(this.#data);
    this.guard = start.guard ?? new ReplayGuard(unixSeconds, replayWindow(link.isStream, data.replayWindow));
    const { key, direction } = secret;
    const own = { slab, cbc, random, cipher, digest, direction, guard: this.guard, unixSeconds };
    this.#key = new StaticDataKey(key, own);
  }

  get isAnswered(): boolean {
    return this.proofs > 0;
  }

  get proofs(): number {
    const { opened, pings } = this.#data.traffic;
    return opened + pings;
  }

  get dataOverhead(): number {
    return this.#data.overhead;
  }

  payloadMax(size: number): number {
    return this.#data.payloadMax(size);
  }

  traffic(): TunnelTraffic {
    const { sealed, sealedBytes, opened, openedBytes, pings } = this.#data.traffic;
    return { sealed, sealedBytes, opened, openedBytes, pings };
  }

  looksLikeAnswer(): boolean {
    return false;
  }

  start(now: number): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.#liveness.besideReceivedAt = now;
    this.#slots.install(this.#key, now, now);
    if (this.#start.waits === true) return;
    this.#silentAt = now + SILENCE_MS;
    this.#open(now);
  }

  close(now: number): void {
    if (this.#hasEnded || this.#goodbye !== undefined) return;
    const left = Math.min(this.#config.exitNotify, MAX_EXIT_NOTICES);
    if (!this.#hasStarted || left === 0) return this.#end({ kind: "closed" });
    this.#liveness.unwatch();
    this.#goodbye = new ExitNotices(now, left);
    this.#sayExit(now);
  }

  abandon(): void {
    this.#end({ kind: "closed" });
  }

  handleBatch(now: number, datagrams: Batch, plain: Batch): void {
    let end: SessionEnd | undefined;
    for (let i = 0; i < datagrams.count; i++) {
      this.counters.values[DATAGRAMS]!++;
      const len = datagrams.len[i]!;
      if (len === 0) this.drops.drop(DROP_PACKET_EMPTY);
      else if (this.#hasEnded || end !== undefined) this.drops.drop(DROP_SESSION_ENDED);
      else {
        const drop = this.#data.openBare(now, datagrams.at[i]!, len, plain);
        const broken = streamBreak(this.#start.link.isStream, drop);
        if (broken !== undefined) end = { kind: "stream-broken", drop: broken };
      }
    }
    if (!this.#isAnswerTold && this.isAnswered) {
      this.#isAnswerTold = true;
      this.#silentAt = Number.POSITIVE_INFINITY;
      this.#events.push({ kind: "server-answered" });
      if (this.#start.waits === true) this.#open(now);
    }
    if (this.#data.exitReceived) this.#end({ kind: "server-exit" });
    else if (end !== undefined) this.#end(end);
  }

  sealBatch(now: number, plain: Batch, sealed: Batch): void {
    this.#data.sealBatch(now, plain, sealed);
    if (this.#key.isWorn) this.#key.renew(this.#start.wallClock());
  }

  handleTimeout(now: number): void {
    if (this.#hasEnded) return;
    if (now >= this.#silentAt) {
      this.#silentAt = Number.POSITIVE_INFINITY;
      this.#events.push({ kind: "warning", text: SILENT });
    }
    const end = this.#liveness.expired(now);
    if (end !== undefined) this.#end(end);
    if (this.#goodbye !== undefined && now >= this.#goodbye.at) this.#sayExit(now);
  }

  pollTransmit(now: number): Uint8Array | undefined {
    const packet = this.#outbox.shift() ?? this.#pollPing(now);
    if (packet !== undefined) this.#liveness.besideSentAt = now;
    return packet;
  }

  pollEvent(): SessionEvent | undefined {
    return this.#events.shift();
  }

  pollAt(): number {
    if (this.#outbox.length > 0 || this.#events.length > 0) return Number.NEGATIVE_INFINITY;
    if (this.#hasEnded) return Number.POSITIVE_INFINITY;
    return Math.min(this.#silentAt, this.#goodbye?.at ?? Number.POSITIVE_INFINITY, this.#liveness.pollAt());
  }

  #open(now: number): void {
    this.#liveness.watch(now, this.#config.keepalive);
    this.#events.push({ kind: "up", options: [], cipher: this.#config.cipher, peerId: PEER_ID_NONE });
  }

  #pollPing(now: number): Uint8Array | undefined {
    const ping = this.#liveness.pollPing(now);
    if (ping !== undefined) this.counters.values[PINGS_SENT]!++;
    return ping;
  }

  #sayExit(now: number): void {
    const goodbye = this.#goodbye;
    if (goodbye === undefined) return;
    const notice = goodbye.next(now, this.#data);
    if (notice !== undefined) this.#outbox.push(notice);
    if (goodbye.areSaid) this.#end({ kind: "closed" });
  }

  /** Lets go of the key; what is ready to be sent still goes. */
  #end(end: SessionEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#slots.closeAll();
    if (!this.#hasStarted) this.#key.close();
    this.#liveness.unwatch();
    this.#goodbye = undefined;
    this.#events.push({ kind: "ended", end });
  }
}
