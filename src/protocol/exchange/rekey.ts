/**
 * The key exchanges of a session over its control channel: the one that settled the key in use, a renegotiation under way,
 * and the one before, whose late packets are still acknowledged and read. Knows when a renegotiation is due, and until when
 * it has to be done (man openvpn, --reneg-sec, --hand-window). Either side may begin one.
 */
import { randomBelow } from "../../lib/random.ts";
import { nextKeyId, SOFT_RESET_V1 } from "../control/opcode.ts";
import type { ControlPacket } from "../control/packet.ts";
import { DROP_CONTROL_KEY_ID, DROP_CONTROL_UNEXPECTED, DROP_CONTROL_WINDOW, DROP_NONE } from "../drop.ts";
import { type ExchangeParts, KeyExchange } from "./key-exchange.ts";

/** Our choice: a peer that begins one renegotiation after the other is heard once a second. It repeats its reset until then. */
const PEER_PAUSE_MS = 1000;

export class Rekey {
  readonly #parts: ExchangeParts;
  #active: KeyExchange | undefined;
  #pending: KeyExchange | undefined;
  #previous: KeyExchange | undefined;
  /** Those above that are there, in the order in which they are served. */
  #live: readonly KeyExchange[] = [];
  /** Those of them that send. */
  #senders: readonly KeyExchange[] = [];
  readonly #isStream: boolean;
  #renegotiateAt = Number.POSITIVE_INFINITY;
  #doneBy = Number.POSITIVE_INFINITY;
  #peerMayBeginAt = Number.NEGATIVE_INFINITY;
  /** Until then the peer may say something in the exchange before: what it holds of TLS is large. */
  #previousEndsAt = Number.POSITIVE_INFINITY;

  /**
   * @param isStream OpenVPN takes nothing of an exchange once it has seen the reset of the next one, and over a stream ends the connection
   * for it, an acknowledgement too (ssl.c, tls_pre_decrypt): there the youngest one alone sends. What it said before came, as all
   * of a stream does.
   */
  constructor(parts: ExchangeParts, isStream: boolean) {
    this.#parts = parts;
    this.#isStream = isStream;
  }

  /** The one that was done last, or the first one. Control messages go through it. */
  get active(): KeyExchange | undefined {
    return this.#active;
  }

  /** The renegotiation that is under way. */
  get pending(): KeyExchange | undefined {
    return this.#pending;
  }

  get live(): readonly KeyExchange[] {
    return this.#live;
  }

  /** @param begins the first exchange begins with the reset of this side, as a client's does, and not with the peer's */
  start(now: number, begins: boolean): void {
    if (begins) this.#begin(this.#parts.channel.reset, now);
  }

  /** A server's first exchange, whose resets were exchanged without keeping anything. */
  resume(now: number): void {
    this.#begin(undefined, now);
  }

  /** Settles when the key in use is to be replaced: `reneg-sec`. */
  schedule(now: number): void {
    const { random } = this.#parts;
    const { min, max } = this.#parts.control.renegSec;
    const spread = max > min ? randomBelow(random, Math.floor((max - min) * 1000) + 1) : 0;
    this.#renegotiateAt = max === 0 ? Number.POSITIVE_INFINITY : now + min * 1000 + spread;
  }

  /** The key in use is the last one. */
  unschedule(): void {
    this.#renegotiateAt = Number.POSITIVE_INFINITY;
  }

  /** The key in use is worn: it is replaced at the next opportunity. */
  hurry(): void {
    if (this.#pending === undefined) this.#renegotiateAt = Number.NEGATIVE_INFINITY;
  }

  /** Lets go of the exchange before when its time is over: whatever it would still acknowledge, the peer has given up by then. */
  handleTimeout(now: number): void {
    if (now < this.#previousEndsAt) return;
    this.#previousEndsAt = Number.POSITIVE_INFINITY;
    this.#previous?.close();
    this.#previous = undefined;
    this.#update();
  }

  isDue(now: number): boolean {
    return this.#pending === undefined && now >= this.#renegotiateAt;
  }

  isLate(now: number): boolean {
    return now >= this.#doneBy;
  }

  renegotiate(now: number): KeyExchange {
    this.#renegotiateAt = Number.POSITIVE_INFINITY;
    this.#doneBy = now + this.#parts.control.handWindow * 1000;
    this.#pending = new KeyExchange(this.#parts, nextKeyId(this.#active?.keyId ?? 0), SOFT_RESET_V1, now);
    this.#update();
    return this.#pending;
  }

  /** The renegotiation is done: its exchange takes the place of the active one. */
  promote(now: number): void {
    this.#previous?.close();
    this.#previous = this.#active;
    this.#active = this.#pending;
    this.#pending = undefined;
    this.#doneBy = Number.POSITIVE_INFINITY;
    this.#peerMayBeginAt = now + PEER_PAUSE_MS;
    this.#previousEndsAt = now + this.#parts.control.handWindow * 1000;
    this.#update();
  }

  /**
   * Takes an authentic packet in. @param mayRenegotiate the peer may start a renegotiation now
   * @returns DROP_NONE or the drop code
   */
  handle(now: number, packet: ControlPacket, mayRenegotiate: boolean): number {
    let exchange = this.#live.find((e) => e.keyId === packet.keyId);
    if (exchange === undefined && this.#active === undefined) exchange = this.#begin(this.#parts.channel.reset, now);
    if (exchange === undefined) {
      if (packet.opcode !== SOFT_RESET_V1) return DROP_CONTROL_KEY_ID;
      const expected = this.#active !== undefined && packet.keyId === nextKeyId(this.#active.keyId);
      const isAllowed = mayRenegotiate && this.#pending === undefined && now >= this.#peerMayBeginAt;
      if (!isAllowed || !expected || packet.packetId !== 0) return DROP_CONTROL_UNEXPECTED;
      exchange = this.renegotiate(now);
    }
    return exchange.handle(packet) ? DROP_NONE : DROP_CONTROL_WINDOW;
  }

  /** The next packet for the link. */
  poll(now: number): Uint8Array | undefined {
    for (const exchange of this.#senders) {
      const packet = this.#parts.channel.poll(exchange, now);
      if (packet !== undefined) return packet;
    }
    return undefined;
  }

  pollAt(): number {
    let at = Math.min(this.#renegotiateAt, this.#doneBy, this.#previousEndsAt);
    for (const { reliable } of this.#senders) {
      at = Math.min(at, reliable.acksPending ? Number.NEGATIVE_INFINITY : reliable.pollAt());
    }
    return at;
  }

  /** Ends all of them. @returns what is ready to go (a TLS alert, acknowledgements), to be sent once */
  close(now: number): Uint8Array[] {
    const last: Uint8Array[] = [];
    for (let packet = this.poll(now); packet !== undefined; packet = this.poll(now)) last.push(packet);
    for (const exchange of this.#live) exchange.close();
    this.#active = this.#pending = this.#previous = undefined;
    this.#renegotiateAt = this.#doneBy = this.#previousEndsAt = Number.POSITIVE_INFINITY;
    this.#update();
    return last;
  }

  #begin(reset: number | undefined, now: number): KeyExchange {
    this.#active = new KeyExchange(this.#parts, 0, reset, now);
    this.#update();
    return this.#active;
  }

  #update(): void {
    this.#live = [this.#pending, this.#active, this.#previous].filter((e) => e !== undefined);
    this.#senders = this.#isStream ? this.#live.slice(0, 1) : this.#live;
  }
}
