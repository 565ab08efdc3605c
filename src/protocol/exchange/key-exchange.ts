/**
 * One key exchange: resets, TLS handshake, key-method messages, and after that the control messages that travel through its
 * TLS session. It owns the reliability layer and the TLS engine of its key id.
 *
 *     reset --peer's reset--> tls --TLS established--> key-exchange --peer's key method--> done
 *
 * Any of them can go to "failed". What happens is put into a queue, in its order. Whoever owns the exchange builds the packets
 * and keeps the deadlines.
 */
import { concat } from "../../lib/bytes.ts";
import type { Random } from "../../lib/random.ts";
import type { ControlConfig, VerifyConfig } from "../config/types.ts";
import type { ControlChannel } from "../control/channel.ts";
import { earlyNegotiationRead } from "../control/early-negotiation.ts";
import { type ControlMessage, ControlMessages } from "../control/message.ts";
import { CONTROL_V1, CONTROL_WKC_V1, SOFT_RESET_V1 } from "../control/opcode.ts";
import type { ControlPacket } from "../control/packet.ts";
import { Reliable } from "../control/reliable.ts";
import { STATIC_KEY_LEN } from "../control/static-key.ts";
import type { TlsContext, TlsEngine } from "../ports.ts";
import { clientFirst, otherSide, type Side } from "../side.ts";
import { checkPeerCertificate } from "./certificate-check.ts";
import type { CertificateProblem, ExchangeFailure } from "./failure.ts";
import {
  DYNAMIC_TLS_CRYPT_LABEL,
  deriveByPrf,
  EXPORTER_LABEL,
  EXPORTER_LENGTH,
  type KeyDerivation,
  type KeySource,
  P2P_PEER_ID_LABEL,
} from "./key-derive.ts";
import {
  type KeyMethodMessage,
  type KeyMethodText,
  keyMethodEmit,
  keyMethodRead,
  makeKeySource,
} from "./key-method.ts";

export type KeyExchangeState = "reset" | "tls" | "key-exchange" | "done" | "failed";

/** What all key exchanges of a session have in common. */
export interface ExchangeParts {
  readonly side: Side;
  readonly control: ControlConfig;
  /** Asked in each handshake: a server takes other settings while its sessions last. */
  readonly verify: () => VerifyConfig;
  readonly tls: TlsContext;
  readonly random: Random;
  readonly channel: ControlChannel;
  /** What this side says in its key-method message. A server is asked after the client's message is there. */
  readonly ownText: () => KeyMethodText;
}

export type KeyExchangeEvent =
  | { readonly kind: "tls-established"; readonly description: string; readonly warnings: readonly string[] }
  | { readonly kind: "done" }
  | { readonly kind: "message"; readonly message: ControlMessage }
  | { readonly kind: "failed"; readonly failure: ExchangeFailure };

/** As OpenVPN: a packet with a large wrapped key carries so much of TLS, though it becomes larger than it should be. */
const LEAST_PAYLOAD = 16;
/** Bytes that TLS adds to a message at most: header, IV, HMAC-SHA384 and padding of a suite with CBC (RFC 5246 6.2.3.2). */
const TLS_RECORD = 5 + 16 + 48 + 16;

export class KeyExchange {
  readonly keyId: number;
  readonly startedAt: number;
  readonly reliable: Reliable;
  /** What the peer said, once done. */
  peerMessage: KeyMethodMessage | undefined;
  readonly #parts: ExchangeParts;
  readonly #events: KeyExchangeEvent[] = [];
  #state: KeyExchangeState = "reset";
  #failure: ExchangeFailure | undefined;
  #ownSource: KeySource | undefined;
  #tls: TlsEngine | undefined;
  #rejected: CertificateProblem | undefined;
  /** TLS records, not yet in packets. */
  #toSend: Uint8Array[] = [];
  /** The next packet carries the wrapped tls-crypt-v2 key: the server kept nothing of the first one. */
  #owesWrappedKey = false;
  readonly #messages = new ControlMessages();
  #plain: Uint8Array = new Uint8Array(0);
  /** The peer has sent something of TLS. */
  #tlsHeard = false;

  /**
   * @param reset the opcode of this side's first packet; undefined: the resets were exchanged before there was a session (a
   * server that answers the first packet without keeping anything), and the next packet of either side is number 1
   */
  constructor(parts: ExchangeParts, keyId: number, reset: number | undefined, now: number) {
    this.keyId = keyId;
    this.startedAt = now;
    this.#parts = parts;
    this.reliable = new Reliable(parts.control.tlsTimeout * 1000, reset === undefined ? 1 : 0);
    if (reset === undefined) this.#startTls();
    else this.reliable.queue(reset, new Uint8Array(0));
  }

  get state(): KeyExchangeState {
    return this.#state;
  }

  get failure(): ExchangeFailure | undefined {
    return this.#failure;
  }

  /** What is waited for, for a person: "hello" until the peer has answered in TLS, "push" when the exchange is done. */
  get phase(): string {
    if (this.#state === "tls") return this.#tlsHeard ? "tls" : "hello";
    return this.#state === "done" ? "push" : this.#state;
  }

  /** DER certificates of the peer, leaf first, once TLS is established. */
  get peerCertificates(): readonly Uint8Array[] {
    return this.#tls?.peerCertificates() ?? [];
  }

  /** Everything that this side said is acknowledged, nothing waits. */
  get flushed(): boolean {
    return this.reliable.allAcked && this.#toSend.length === 0;
  }

  /** Whether a control message of so many bytes becomes packets that go at once. One that no window holds goes when nothing is under way. */
  takesWhole(length: number): boolean {
    const packets = Math.ceil((length + TLS_RECORD) / this.#parts.channel.maxPayload(this.keyId));
    // Where something waits to become packets there is no room at all.
    return this.flushed || packets <= this.reliable.sendRoom;
  }

  /** What happened, in its order. */
  poll(): KeyExchangeEvent | undefined {
    return this.#events.shift();
  }

  /** A packet of this key id, authenticated. False: outside of the receive window. */
  handle(packet: ControlPacket): boolean {
    this.reliable.acknowledge(packet.acks);
    const isInWindow =
      packet.packetId === undefined || this.reliable.receive(packet.packetId, packet.opcode, packet.payload);
    if (this.#state !== "failed") this.#takePackets();
    this.#fillWindow();
    return isInWindow;
  }

  /** Takes what an engine that works between calls has done since the last one. */
  handleTls(): void {
    if (this.#state !== "failed") this.#advance();
    this.#fillWindow();
  }

  /** Sends a control message. Only when done. */
  send(plaintext: Uint8Array): void {
    this.#tls?.send(plaintext);
    this.#fillWindow();
  }

  /** 256 bytes of data-channel keys (static-key.ts). Once, when done: what they were made of is wiped. */
  deriveKeys(derivation: KeyDerivation): Uint8Array {
    const { side, channel } = this.#parts;
    const [own, peer, peerSessionId] = [this.#ownSource, this.peerMessage?.source, channel.peerSessionId];
    if (this.#tls === undefined || own === undefined || peer === undefined || peerSessionId === undefined) {
      throw new Error("keys are derived of an exchange that is done, and once");
    }
    const block =
      derivation === "ekm"
        ? this.#tls.exportKeyingMaterial(EXPORTER_LABEL, EXPORTER_LENGTH)
        : deriveByPrf(clientFirst(side, own, peer), clientFirst(side, channel.ownSessionId, peerSessionId));
    this.#wipe();
    return block;
  }

  /** 256 bytes of a static key for the renegotiations that follow. Only when done. */
  deriveRenegotiationKey(): Uint8Array {
    if (this.#tls === undefined) throw new Error("keys are derived of an exchange that is done");
    return this.#tls.exportKeyingMaterial(DYNAMIC_TLS_CRYPT_LABEL, STATIC_KEY_LEN);
  }

  /** The peer id of a point-to-point tunnel, which both ends export (ssl_ncp.c). Only when done. */
  exportPeerId(): number {
    if (this.#tls === undefined) throw new Error("a peer id is exported of an exchange that is done");
    const [high = 0, middle = 0, low = 0] = this.#tls.exportKeyingMaterial(P2P_PEER_ID_LABEL, 3);
    return (high << 16) | (middle << 8) | low;
  }

  close(): void {
    this.#tls?.close();
    this.#wipe();
  }

  #takePackets(): void {
    for (let packet = this.reliable.take(); packet !== undefined; packet = this.reliable.take()) {
      if (this.#state === "reset") {
        const { side, channel } = this.#parts;
        if (packet.opcode !== SOFT_RESET_V1 && packet.opcode !== channel.peerReset) {
          return this.#fail({ kind: "unusable", directive: "remote", problem: "the peer did not start with a reset" });
        }
        if (side === "client" && channel.wrappedKey !== undefined) {
          const early = earlyNegotiationRead(packet.payload);
          if (early === undefined)
            return this.#fail({ kind: "unusable", directive: "remote", problem: "the server's reset is malformed" });
          this.#owesWrappedKey = early.resendWrappedKey && this.keyId === 0;
        }
        this.#startTls();
      } else if (packet.opcode === CONTROL_V1 && packet.payload.length > 0) {
        this.#tlsHeard = true;
        this.#tls?.receive(packet.payload);
      }
    }
    this.#advance();
  }

  #startTls(): void {
    this.#tls = this.#parts.tls.engine((chain) => this.#accept(chain));
    this.#state = "tls";
  }

  /** What else is demanded of the peer's certificate. Asked within the handshake, so that the peer hears of a refusal. */
  #accept(chain: readonly Uint8Array[]): boolean {
    this.#rejected = checkPeerCertificate(this.#parts.verify(), chain);
    return this.#rejected === undefined;
  }

  #advance(): void {
    const tls = this.#tls;
    if (tls === undefined) return;
    if (this.#state === "tls" && tls.state === "established") {
      this.#state = "key-exchange";
      this.#events.push({ kind: "tls-established", description: tls.describe(), warnings: tls.warnings });
      if (this.#parts.side === "client") this.#sendOwnMessage(tls);
    }
    if (this.#state === "key-exchange" || this.#state === "done") this.#readPlain(tls);
    // What the peer said before it ended TLS counts first.
    if (tls.state === "failed" || tls.state === "closed") {
      const failure = tls.failure ?? { kind: "closed", code: "closed", message: "the TLS session is closed" };
      this.#fail(
        this.#rejected === undefined
          ? { kind: "tls-failed", failure }
          : { kind: "certificate-rejected", problem: this.#rejected },
      );
    }
  }

  #readPlain(tls: TlsEngine): void {
    for (let chunk = tls.read(); chunk !== undefined; chunk = tls.read()) this.#plain = concat(this.#plain, chunk);
    if (this.#state === "key-exchange") this.#readKeyMethod(tls);
    if (this.#state !== "done" || this.#plain.length === 0) return;
    for (const message of this.#messages.feed(this.#plain)) this.#events.push({ kind: "message", message });
    this.#plain = new Uint8Array(0);
  }

  #readKeyMethod(tls: TlsEngine): void {
    if (this.#plain.length === 0) return;
    const result = keyMethodRead(this.#plain, otherSide(this.#parts.side));
    if (result.kind === "message") {
      this.peerMessage = result.message;
      this.#plain = this.#plain.slice(result.length);
      if (this.#parts.side === "server") this.#sendOwnMessage(tls);
      this.#state = "done";
      this.#events.push({ kind: "done" });
    } else if (result.kind === "malformed") {
      this.#fail({ kind: "unusable", directive: "remote", problem: result.problem });
    }
  }

  #sendOwnMessage(tls: TlsEngine): void {
    const { random, side, ownText } = this.#parts;
    const source = makeKeySource(random, side);
    this.#ownSource = source;
    const bytes = keyMethodEmit({ source, ...ownText() });
    tls.send(bytes);
    bytes.fill(0);
  }

  /** What TLS wants sent becomes packets, as many as the send window takes. */
  #fillWindow(): void {
    for (let records = this.#tls?.pull(); records !== undefined; records = this.#tls?.pull()) {
      if (records.length > 0) this.#toSend.push(records);
    }
    const { channel } = this.#parts;
    const maxPayload = channel.maxPayload(this.keyId);
    while (this.reliable.sendRoom > 0) {
      const records = this.#toSend.shift();
      if (records === undefined) break;
      const size = this.#owesWrappedKey
        ? Math.max(LEAST_PAYLOAD, maxPayload - (channel.wrappedKey?.length ?? 0))
        : maxPayload;
      this.reliable.queue(this.#owesWrappedKey ? CONTROL_WKC_V1 : CONTROL_V1, records.slice(0, size));
      this.#owesWrappedKey = false;
      if (records.length > size) this.#toSend.unshift(records.subarray(size));
    }
  }

  #fail(failure: ExchangeFailure): void {
    this.#state = "failed";
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#events.push({ kind: "failed", failure });
  }

  #wipe(): void {
    for (const source of [this.#ownSource, this.peerMessage?.source]) {
      if (source !== undefined) for (const bytes of Object.values(source)) bytes.fill(0);
    }
    this.#ownSource = undefined;
  }
}
