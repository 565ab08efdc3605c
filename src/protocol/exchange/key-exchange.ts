/**
 * One negotiation of a key: resets, TLS handshake, key-method messages, and after that the control messages that
 * travel through its TLS session. It owns the reliability layer and the TLS engine of its key id.
 *
 *     reset --peer's reset--> tls --TLS up, certificate accepted--> key-exchange --peer's key method--> done
 *
 * Any of them can go to "failed". The session builds and wraps the packets and owns the deadlines.
 */
import { concat } from "../../lib/bytes.ts";
import { type ControlMessage, ControlMessages } from "../control/message.ts";
import { CONTROL_V1, HARD_RESET_CLIENT_V2, HARD_RESET_SERVER_V2, SOFT_RESET_V1 } from "../control/opcode.ts";
import type { ControlPacket } from "../control/packet.ts";
import { Reliable } from "../control/reliable.ts";
import type { AcceptPeer, TlsEngine } from "../ports.ts";
import type { CertificateProblem, SessionEnd } from "../session/events.ts";
import type { KeySource } from "./key-derive.ts";
import { type KeyMethodMessage, keyMethodEmit, keyMethodRead, MAX_KEY_METHOD_LEN } from "./key-method.ts";

export type KeyExchangeState = "reset" | "tls" | "key-exchange" | "done" | "failed";

export interface KeyExchangeOptions {
  readonly keyId: number;
  /** The opcode of this side's first packet. */
  readonly reset: number;
  readonly isServer: boolean;
  readonly now: number;
  readonly tlsTimeoutMs: number;
  /** Bytes of TLS in one control packet. */
  readonly maxPayload: number;
  readonly createTls: (accept: AcceptPeer) => TlsEngine;
  /** What else than a chain that holds is demanded of the peer's certificate. Asked within the handshake, so that a refusal reaches the peer. */
  readonly checkCertificates: (chain: readonly Uint8Array[]) => CertificateProblem | undefined;
  /** This side's key-method message. A server is asked after the client's message is there. */
  readonly ownMessage: () => KeyMethodMessage;
}

export class KeyExchange {
  readonly keyId: number;
  readonly startedAt: number;
  readonly reliable: Reliable;
  state: KeyExchangeState = "reset";
  failure: SessionEnd | undefined;
  ownSource: KeySource | undefined;
  peerMessage: KeyMethodMessage | undefined;
  readonly #options: KeyExchangeOptions;
  #tls: TlsEngine | undefined;
  #rejected: CertificateProblem | undefined;
  #tlsHeard = false;
  #toSend: Uint8Array[] = [];
  readonly #messages = new ControlMessages();
  #plain: Uint8Array = new Uint8Array(0);

  constructor(options: KeyExchangeOptions) {
    this.keyId = options.keyId;
    this.startedAt = options.now;
    this.#options = options;
    this.reliable = new Reliable(options.tlsTimeoutMs);
    this.reliable.queue(options.reset, new Uint8Array(0));
  }

  /** What it waits for; "hello": the peer acknowledges our first TLS records and says nothing to them. */
  get phase(): KeyExchangeState | "hello" {
    return this.state === "tls" && !this.#tlsHeard ? "hello" : this.state;
  }

  /** What was let pass in the peer's certificates. */
  get tlsWarnings(): readonly string[] {
    return this.#tls?.warnings ?? [];
  }

  get tlsDescription(): string {
    return this.#tls?.describe() ?? "";
  }

  /** The peer has said something on this key id. */
  get heardPeer(): boolean {
    return this.state !== "reset";
  }

  /** Everything that this side said is acknowledged, nothing waits. */
  get flushed(): boolean {
    return this.reliable.allAcked && this.#toSend.length === 0;
  }

  /** A packet of this key id, authenticated. False: outside of the receive window. */
  handle(packet: ControlPacket): boolean {
    this.reliable.acknowledge(packet.acks);
    if (packet.packetId === undefined) return true;
    return this.reliable.receive(packet.packetId, packet.opcode, packet.payload);
  }

  exportKeyingMaterial(label: string, length: number): Uint8Array {
    if (this.#tls === undefined) throw new Error("no TLS session");
    return this.#tls.exportKeyingMaterial(label, length);
  }

  /** Sends a control message. Only when done. */
  send(plaintext: Uint8Array): void {
    this.#tls?.send(plaintext);
  }

  /** Moves everything on that can move; call it after handle() and send(). */
  pump(): void {
    if (this.state !== "failed") {
      this.#takePackets();
      this.#advance();
    }
    this.#pull();
    while (this.reliable.sendRoom > 0) {
      const payload = this.#toSend.shift();
      if (payload === undefined) break;
      this.reliable.queue(CONTROL_V1, payload);
    }
  }

  /** The control messages that arrived. */
  readMessages(): ControlMessage[] {
    if (this.peerMessage === undefined || this.#plain.length === 0) return [];
    const messages = this.#messages.feed(this.#plain);
    this.#plain = new Uint8Array(0);
    return messages;
  }

  close(): void {
    this.#tls?.close();
    if (this.ownSource !== undefined) for (const bytes of Object.values(this.ownSource)) bytes.fill(0);
  }

  #takePackets(): void {
    for (let packet = this.reliable.take(); packet !== undefined; packet = this.reliable.take()) {
      if (this.state === "reset") {
        const isReset =
          packet.opcode === SOFT_RESET_V1 ||
          packet.opcode === (this.#options.isServer ? HARD_RESET_CLIENT_V2 : HARD_RESET_SERVER_V2);
        if (!isReset)
          return this.#fail({ kind: "unusable", directive: "remote", problem: "the peer did not start with a reset" });
        try {
          this.#tls = this.#options.createTls((chain) => this.#accept(chain));
        } catch (error) {
          const problem = error instanceof Error ? error.message : String(error);
          return this.#fail({ kind: "unusable", directive: "tls", problem });
        }
        this.state = "tls";
      } else if (packet.opcode === CONTROL_V1 && packet.payload.length > 0) {
        this.#tlsHeard = true;
        this.#tls?.receive(packet.payload);
      }
    }
  }

  #advance(): void {
    const tls = this.#tls;
    if (tls === undefined) return;
    if (this.state === "tls" && tls.state === "established") {
      this.state = "key-exchange";
      if (!this.#options.isServer) this.#sendOwnMessage(tls);
    }
    if (this.state === "key-exchange" || this.state === "done") this.#readPlain(tls);
    // what the peer said before it ended TLS counts first
    if (tls.state === "failed" || tls.state === "closed") {
      const failure = tls.failure ?? { kind: "closed", code: "closed", message: "the TLS session is closed" };
      if (this.#rejected !== undefined) this.#fail({ kind: "certificate-rejected", problem: this.#rejected });
      else this.#fail({ kind: "tls-failed", failure });
    }
  }

  #accept(chain: readonly Uint8Array[]): boolean {
    this.#rejected = this.#options.checkCertificates(chain);
    return this.#rejected === undefined;
  }

  #readPlain(tls: TlsEngine): void {
    for (let chunk = tls.read(); chunk !== undefined; chunk = tls.read()) this.#plain = concat(this.#plain, chunk);
    if (this.state !== "key-exchange" || this.#plain.length === 0) return;
    const result = keyMethodRead(this.#plain, this.#options.isServer);
    if (result.kind === "message") {
      this.peerMessage = result.message;
      this.#plain = this.#plain.slice(result.length);
      if (this.#options.isServer) this.#sendOwnMessage(tls);
      this.state = "done";
    } else if (result.kind === "malformed" || this.#plain.length > MAX_KEY_METHOD_LEN) {
      const problem = result.kind === "malformed" ? result.problem : "the peer's key message does not end";
      this.#fail({ kind: "unusable", directive: "remote", problem });
    }
  }

  #sendOwnMessage(tls: TlsEngine): void {
    const message = this.#options.ownMessage();
    this.ownSource = message.source;
    const bytes = keyMethodEmit(message);
    tls.send(bytes);
    bytes.fill(0);
  }

  #pull(): void {
    const max = this.#options.maxPayload;
    for (let records = this.#tls?.pull(); records !== undefined; records = this.#tls?.pull()) {
      for (let at = 0; at < records.length; at += max) this.#toSend.push(records.slice(at, at + max));
    }
  }

  #fail(failure: SessionEnd): void {
    this.state = "failed";
    this.failure ??= failure;
  }
}
