/** A scripted server of one client for simulations, made of the client's own wire and key modules. */
import { Batch } from "../../src/lib/batch.ts";
import type { Random } from "../../src/lib/random.ts";
import { type Slab, slabOver } from "../../src/lib/slab.ts";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { ControlChannel } from "../../src/protocol/control/channel.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import {
  DATA_V1,
  DATA_V2,
  HARD_RESET_SERVER_V2,
  keyIdOf,
  nextKeyId,
  opcodeOf,
  SOFT_RESET_V1,
} from "../../src/protocol/control/opcode.ts";
import { controlCrypto } from "../../src/protocol/control/protection.ts";
import { ReplayGuard } from "../../src/protocol/control/replay-guard.ts";
import { AeadDataKey } from "../../src/protocol/data/aead-key.ts";
import { DataChannel } from "../../src/protocol/data/channel.ts";
import { KeySlots } from "../../src/protocol/data/key-slots.ts";
import { nobleAead } from "../../src/protocol/data/noble-aead.ts";
import { SessionDrops } from "../../src/protocol/drop.ts";
import { deriveByPrf, EXPORTER_LABEL, EXPORTER_LENGTH } from "../../src/protocol/exchange/key-derive.ts";
import { KeyExchange } from "../../src/protocol/exchange/key-exchange.ts";
import { makeKeySource, utf8Encode } from "../../src/protocol/exchange/key-method.ts";
import type { AeadFactory, AeadName, TlsContext } from "../../src/protocol/ports.ts";

export interface PeerOptions {
  readonly wrap: ControlWrap;
  /** Of a server. */
  readonly tls: TlsContext;
  readonly random: Random;
  readonly cipher: AeadName;
  readonly peerId: number;
  /** What is pushed beside cipher, peer-id and protocol-flags. */
  readonly push: readonly string[];
  readonly ekm: boolean;
  /** Where `data` opens and seals, and with what; default: a slab of its own, and noble. */
  readonly memory?: { readonly slab: Slab; readonly aead: AeadFactory };
}

const AT = 256;
const replayWindow = { packets: 64, seconds: 15 };

export class OpenvpnPeer {
  /** Payloads of the data packets that arrived. */
  readonly received: Uint8Array[] = [];
  readonly messages: string[] = [];
  exited = false;
  /** It gets packets, but says nothing. */
  mute = false;
  /** Somebody forges packets of this server to the client; it never minds. */
  isForgiving = true;
  /** No push reply is sent. */
  withholdsPush = false;
  readonly #options: PeerOptions;
  readonly #slab: Slab;
  readonly #aead: AeadFactory;
  readonly #slots = new KeySlots(3600_000, 3000);
  /** For whole batches; handle() and seal() are for a peer with a slab of its own. */
  readonly data: DataChannel;
  readonly #channel: ControlChannel;
  #negotiations: KeyExchange[] = [];
  readonly #keyed = new Set<KeyExchange>();
  #pushed = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#slab = options.memory?.slab ?? slabOver(new ArrayBuffer(8192));
    this.#aead = options.memory?.aead ?? nobleAead(this.#slab);
    this.data = new DataChannel(this.#slab, this.#slots, new SessionDrops());
    this.data.peerId = options.peerId;
    const ownSessionId = new Uint8Array(8);
    options.random.fill(ownSessionId);
    const protection = {
      crypto: controlCrypto(options.wrap, "server", noblePrimitives),
      guard: new ReplayGuard(1_700_000_000, replayWindow),
    };
    this.#channel = new ControlChannel({ side: "server", ownSessionId, protection, linkOverhead: 28 });
  }

  get keyId(): number {
    return this.#negotiations[0]?.keyId ?? -1;
  }

  /** User and password that the client sent in the latest key exchange. */
  get login(): readonly (string | undefined)[] {
    const message = this.#negotiations.find((n) => n.state === "done")?.peerMessage;
    return [message?.user, message?.password];
  }

  handle(now: number, packet: Uint8Array): void {
    const opcode = opcodeOf(packet[0]!);
    if (opcode === DATA_V1 || opcode === DATA_V2) {
      // OpenVPN has room for two keys: the one of the latest negotiation, done or not, and the one before
      if (!this.#negotiations.slice(0, 2).some((n) => n.keyId === keyIdOf(packet[0]!))) return;
      this.#slab.bytes.set(packet, AT);
      const plain = new Batch(1);
      this.data.open(now, AT, packet.length, plain);
      if (plain.count > 0) this.received.push(this.#slab.bytes.slice(plain.at[0]!, plain.at[0]! + plain.len[0]!));
      this.exited ||= this.data.exitReceived;
      return;
    }
    const control = this.#channel.receive(packet, now);
    if (typeof control === "number") return;
    let negotiation = this.#negotiations.find((n) => n.keyId === control.keyId);
    if (negotiation === undefined) {
      const isFirst = this.#negotiations.length === 0 && control.keyId === 0;
      const isNext = control.opcode === SOFT_RESET_V1 && control.keyId === nextKeyId(this.keyId);
      if (!isFirst && !isNext) return;
      negotiation = this.#negotiate(control.keyId, isFirst ? HARD_RESET_SERVER_V2 : SOFT_RESET_V1, now);
    }
    negotiation.handle(control);
    this.#pump(now);
  }

  /** Starts a renegotiation. */
  renegotiate(now: number): void {
    this.#negotiate(nextKeyId(this.keyId), SOFT_RESET_V1, now);
  }

  /** Says something over the control channel. */
  say(text: string): void {
    const active = this.#negotiations.find((n) => n.state === "done");
    active?.send(utf8Encode(`${text}\0`));
    active?.pump();
  }

  /** A data packet with this payload; undefined while there is no key. */
  seal(now: number, payload: Uint8Array): Uint8Array | undefined {
    const [plain, sealed] = [new Batch(1), new Batch(1)];
    this.#slab.bytes.set(payload, AT);
    plain.push(AT, payload.length);
    this.data.sealBatch(now, plain, sealed);
    if (sealed.count === 0) return undefined;
    return this.#slab.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!);
  }

  handleTimeout(now: number): void {
    this.#slots.handleTimeout(now);
  }

  poll(now: number): Uint8Array | undefined {
    if (this.mute) return undefined;
    for (const negotiation of this.#negotiations) {
      const packet = this.#channel.poll(negotiation, now);
      if (packet !== undefined) return packet;
    }
    return undefined;
  }

  pollAt(): number {
    let at = this.#slots.pollAt();
    if (this.mute) return at;
    for (const { reliable } of this.#negotiations) {
      at = Math.min(at, reliable.acksPending ? Number.NEGATIVE_INFINITY : reliable.pollAt());
    }
    return at;
  }

  #negotiate(keyId: number, reset: number, now: number): KeyExchange {
    const { tls, random } = this.#options;
    const negotiation = new KeyExchange({
      keyId,
      reset,
      isServer: true,
      now,
      tlsTimeoutMs: 2000,
      maxPayload: this.#channel.maxPayload,
      createTls: (accept) => tls.engine(accept),
      checkCertificates: () => undefined,
      ownMessage: () => ({
        source: makeKeySource(random, true),
        options: "V4,dev-type tun,tls-server",
        user: undefined,
        password: undefined,
        peerInfo: undefined,
      }),
    });
    this.#negotiations = [negotiation, ...this.#negotiations].slice(0, 3);
    return negotiation;
  }

  #pump(now: number): void {
    for (const negotiation of this.#negotiations) {
      negotiation.pump();
      for (const message of negotiation.readMessages()) {
        this.messages.push(message.kind === "unknown" ? message.text : message.kind);
        if (message.kind === "exit") this.exited = true;
        if (message.kind === "unknown" && message.text === "PUSH_REQUEST" && !this.withholdsPush) {
          this.#reply(negotiation, now);
        }
      }
      if (negotiation.state === "done" && this.#pushed) this.#install(negotiation, now);
      negotiation.pump();
    }
  }

  #reply(negotiation: KeyExchange, now: number): void {
    const { cipher, peerId, ekm, push } = this.#options;
    const flags = ekm ? ["protocol-flags cc-exit tls-ekm"] : [];
    negotiation.send(
      utf8Encode(`${["PUSH_REPLY", ...push, ...flags, `peer-id ${peerId}`, `cipher ${cipher}`].join(",")}\0`),
    );
    this.#pushed = true;
    this.#install(negotiation, now);
  }

  #install(negotiation: KeyExchange, now: number): void {
    if (this.#keyed.has(negotiation)) return;
    this.#keyed.add(negotiation);
    const { ekm, cipher, peerId } = this.#options;
    const { ownSessionId, peerSessionId } = this.#channel;
    const block = ekm
      ? negotiation.exportKeyingMaterial(EXPORTER_LABEL, EXPORTER_LENGTH)
      : deriveByPrf(negotiation.peerMessage!.source, negotiation.ownSource!, peerSessionId!, ownSessionId);
    const aead = this.#aead;
    const { keyId } = negotiation;
    this.#slots.install(
      new AeadDataKey(block, { slab: this.#slab, aead, cipher, keyId, peerId, replayWindow, sendKey: 1 }),
      now,
    );
  }
}
