/**
 * The negotiations of a session over its control channel: the one that settled the key in use, a renegotiation under way,
 * and the one before, whose late packets are still acknowledged and read. Knows when a renegotiation is due, and until when
 * it has to be done (man openvpn, --reneg-sec, --hand-window).
 */
import { type Random, randomBelow } from "../../lib/random.ts";
import type { ControlConfig, VerifyConfig } from "../config/types.ts";
import type { ControlChannel } from "../control/channel.ts";
import { HARD_RESET_CLIENT_V2, nextKeyId, SOFT_RESET_V1 } from "../control/opcode.ts";
import type { ControlPacket } from "../control/packet.ts";
import { DROP_CONTROL_KEY_ID, DROP_CONTROL_UNEXPECTED, DROP_CONTROL_WINDOW, DROP_NONE } from "../drop.ts";
import type { TlsContext } from "../ports.ts";
import { checkPeerCertificate } from "./certificate-check.ts";
import { KeyExchange } from "./key-exchange.ts";
import type { KeyMethodMessage } from "./key-method.ts";

/** Our choice: a peer that begins one renegotiation after the other is heard once a second. It repeats its reset until then. */
const PEER_PAUSE_MS = 1000;

export interface RekeyOptions {
  readonly control: ControlConfig;
  readonly verify: VerifyConfig;
  readonly channel: ControlChannel;
  readonly tls: TlsContext;
  readonly random: Random;
  readonly ownMessage: () => KeyMethodMessage;
}

export class Rekey {
  /** The renegotiation that is under way. */
  pending: KeyExchange | undefined;
  readonly #options: RekeyOptions;
  #active: KeyExchange | undefined;
  #previous: KeyExchange | undefined;
  /** Those above that are there, in the order in which they are served. */
  #live: readonly KeyExchange[] = [];
  #renegotiateAt = Number.POSITIVE_INFINITY;
  #doneBy = Number.POSITIVE_INFINITY;
  #peerMayBeginAt = Number.NEGATIVE_INFINITY;

  constructor(options: RekeyOptions) {
    this.#options = options;
  }

  /** The one that was done last, or the first one. Control messages go through it. */
  get active(): KeyExchange | undefined {
    return this.#active;
  }

  get live(): readonly KeyExchange[] {
    return this.#live;
  }

  start(now: number): void {
    this.#active = this.#create(0, HARD_RESET_CLIENT_V2, now);
    this.#update();
  }

  /** Settles when the key in use is to be replaced: `reneg-sec`. */
  schedule(now: number): void {
    const { random } = this.#options;
    const { min, max } = this.#options.control.renegSec;
    const spread = max > min ? randomBelow(random, Math.floor((max - min) * 1000) + 1) : 0;
    this.#renegotiateAt = max === 0 ? Number.POSITIVE_INFINITY : now + min * 1000 + spread;
  }

  /** The key in use is the last one. */
  unschedule(): void {
    this.#renegotiateAt = Number.POSITIVE_INFINITY;
  }

  /** The key in use is worn: it is replaced at the next opportunity. */
  hurry(): void {
    if (this.pending === undefined) this.#renegotiateAt = Number.NEGATIVE_INFINITY;
  }

  isDue(now: number): boolean {
    return this.pending === undefined && now >= this.#renegotiateAt;
  }

  isLate(now: number): boolean {
    return now >= this.#doneBy;
  }

  renegotiate(now: number): KeyExchange {
    this.#renegotiateAt = Number.POSITIVE_INFINITY;
    this.#doneBy = now + this.#options.control.handWindow * 1000;
    this.pending = this.#create(nextKeyId(this.#active?.keyId ?? 0), SOFT_RESET_V1, now);
    this.#update();
    return this.pending;
  }

  /** The renegotiation is done: its key takes the place of the one in use. */
  promote(now: number): void {
    this.#previous?.close();
    this.#previous = this.#active;
    this.#active = this.pending;
    this.pending = undefined;
    this.#doneBy = Number.POSITIVE_INFINITY;
    this.#peerMayBeginAt = now + PEER_PAUSE_MS;
    this.#update();
  }

  /**
   * Takes an authentic packet in. @param mayRenegotiate the peer may start a renegotiation now
   * @returns DROP_NONE or the drop code
   */
  handle(now: number, packet: ControlPacket, mayRenegotiate: boolean): number {
    let negotiation = this.#live.find((n) => n.keyId === packet.keyId);
    if (negotiation === undefined) {
      if (packet.opcode !== SOFT_RESET_V1) return DROP_CONTROL_KEY_ID;
      const expected = this.#active !== undefined && packet.keyId === nextKeyId(this.#active.keyId);
      const isAllowed = mayRenegotiate && now >= this.#peerMayBeginAt;
      if (!isAllowed || !expected || packet.packetId !== 0) return DROP_CONTROL_UNEXPECTED;
      negotiation = this.renegotiate(now);
    }
    return negotiation.handle(packet) ? DROP_NONE : DROP_CONTROL_WINDOW;
  }

  /** The next packet for the link. */
  poll(now: number): Uint8Array | undefined {
    for (const negotiation of this.#live) {
      const packet = this.#options.channel.poll(negotiation, now);
      if (packet !== undefined) return packet;
    }
    return undefined;
  }

  pollAt(): number {
    let at = Math.min(this.#renegotiateAt, this.#doneBy);
    for (const { reliable } of this.#live) {
      at = Math.min(at, reliable.acksPending ? Number.NEGATIVE_INFINITY : reliable.pollAt());
    }
    return at;
  }

  /** Ends all of them. @returns what is ready to go (a TLS alert, acknowledgements), to be sent once */
  close(now: number): Uint8Array[] {
    const last: Uint8Array[] = [];
    for (const negotiation of this.#live) negotiation.pump();
    for (let packet = this.poll(now); packet !== undefined; packet = this.poll(now)) last.push(packet);
    for (const negotiation of this.#live) negotiation.close();
    this.#active = this.pending = this.#previous = undefined;
    this.#renegotiateAt = this.#doneBy = Number.POSITIVE_INFINITY;
    this.#update();
    return last;
  }

  #update(): void {
    this.#live = [this.pending, this.#active, this.#previous].filter((n) => n !== undefined);
  }

  #create(keyId: number, reset: number, now: number): KeyExchange {
    const { control, verify, channel, tls, ownMessage } = this.#options;
    return new KeyExchange({
      keyId,
      reset,
      isServer: false,
      now,
      tlsTimeoutMs: control.tlsTimeout * 1000,
      maxPayload: channel.maxPayload,
      createTls: (accept) => tls.engine(accept),
      checkCertificates: (chain) => checkPeerCertificate(verify, chain),
      ownMessage,
    });
  }
}
