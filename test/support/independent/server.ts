/**
 * An OpenVPN server of one client for tests, written from OpenVPN's documents and checked against its published vectors
 * and its own client. It shares no code with the product: a mistake that the product makes at both of its ends cannot
 * cancel here. It is strict: what a client must never do is thrown.
 *
 * Two key ids live at a time, as with OpenVPN: the latest and the one before.
 */
import { type CipherName, direction, NO_PEER_ID, openPacket, sealPacket } from "./data.ts";
import { Exchange, type PeerTls } from "./exchange.ts";
import {
  DYNAMIC_LABEL,
  decodeClientMessage,
  EXPORTER_LABEL,
  encodeServerMessage,
  KEY_BLOCK,
  keysByPrf,
} from "./keys.ts";
import {
  ACK,
  CONTROL,
  CONTROL_WKC,
  type ControlPacket,
  DATA_V1,
  DATA_V2,
  decode,
  encode,
  HARD_RESET_CLIENT,
  HARD_RESET_CLIENT_WKC,
  HARD_RESET_SERVER,
  keyId,
  opcode,
  SOFT_RESET,
} from "./wire.ts";
import { type Opened, type ServerWrap, takeClientKey, unwrap, type Wrap, wrap } from "./wrap.ts";

const PING = Buffer.from("2a187bf3641eb4cb07ed2d0a981fc748", "hex");
/** A message of the options consistency check, 6: the client leaves. */
const EXIT = Buffer.from("287f346bd4ef7a812d56b8d3afc5459c06", "hex");
/** IV_PROTO: the client can derive its keys by the TLS exporter. */
const TLS_KEY_EXPORT = 8;
const DYN_TLS_CRYPT = 512;
const LARGEST_CONTROL = 1250 - 28;
/** The payload of a reset that asks for the wrapped key again: type 1, length 2, flag 1. */
const RESEND_WKC = Buffer.from([0, 1, 0, 2, 0, 1]);
const RETRANSMIT_MS = 2000;

export interface IndependentOptions {
  readonly wrap: Wrap | ServerWrap;
  readonly createTls: () => PeerTls;
  readonly random: (length: number) => Uint8Array;
  readonly cipher: CipherName;
  /** 0xffffff: the client gets none, and packets are DATA_V1. */
  readonly peerId: number;
  /** What is pushed beside cipher, peer-id and protocol-flags. */
  readonly push: readonly string[];
  /** Keys by the TLS exporter, else by the PRF. */
  readonly ekm: boolean;
  /** Renegotiations under a tls-crypt key of their own: exported of the first TLS session, xor the static key where there is one. */
  readonly dynamic?: boolean;
  /** Bytes of TLS in a control packet. */
  readonly payload?: number;
}

export class IndependentServer {
  /** Payloads of the data packets that arrived, without pings. */
  readonly received: Uint8Array[] = [];
  readonly messages: string[] = [];
  pings = 0;
  /** Of the latest data packet. */
  lastDataKeyId = -1;
  exited = false;
  /** It gets packets, but says nothing. */
  mute = false;
  /** Somebody forges packets of this server, so the client may say what it never would: it is ignored. */
  isForgiving = false;
  /** No push reply is sent. */
  withholdsPush = false;
  /** What the server says first through TLS. */
  keyMessage: (random1: Buffer, random2: Buffer) => Buffer = (random1, random2) =>
    encodeServerMessage(random1, random2, "V4,dev-type tun,tls-server");
  readonly #options: IndependentOptions;
  readonly #session: Buffer;
  #client: Buffer | undefined;
  /** With tls-crypt-v2, the client's own. */
  #clientKey: Buffer | undefined;
  /** Of key ids above 0. */
  #dynamicKey: Buffer | undefined;
  #dynamicId = 0;
  /** Answers for which nothing is kept. */
  readonly #stateless: Uint8Array[] = [];
  /** Latest first. */
  #exchanges: Exchange[] = [];
  #replayId = 0;
  /** Of its replay ids: of the moment of each answer for which nothing is kept, then it stays. */
  #time: number;
  #clientTime: number | undefined;
  /** The client's control packets by their replay id: each has one of its own. */
  readonly #replaySeen = new Map<number, string>();
  readonly #dynamicSeen = new Map<number, string>();
  #pushed = false;

  constructor(options: IndependentOptions, unixSeconds = 1_700_000_000) {
    this.#options = options;
    this.#session = this.#random(8);
    this.#time = unixSeconds;
  }

  /** Of the latest exchange; -1 before there is one. */
  get keyId(): number {
    return this.#exchanges[0]?.keyId ?? -1;
  }

  /** User and password of the latest exchange that got so far. */
  get login(): readonly (string | undefined)[] {
    const client = this.#exchanges.find((e) => e.client !== undefined)?.client;
    return [client?.user, client?.password];
  }

  get peerInfo(): string {
    return this.#exchanges.find((e) => e.client !== undefined)?.client?.peerInfo ?? "";
  }

  /** Starts a renegotiation. */
  renegotiate(_now: number): void {
    this.#begin(this.keyId === 7 ? 1 : this.keyId + 1, SOFT_RESET);
  }

  /** Says something over the control channel. */
  say(text: string): void {
    const exchange = this.#exchanges.find((e) => e.client !== undefined);
    exchange?.tls.send(Buffer.from(`${text}\0`));
    if (exchange !== undefined) this.#pull(exchange);
  }

  /** A data packet with this payload, sealed with the latest key that both sides have; undefined while there is none. */
  seal(_now: number, payload: Uint8Array): Uint8Array | undefined {
    const exchange = this.#exchanges.find((e) => e.keys !== undefined && e.isAllAcknowledged) ?? this.#lastWithKeys();
    if (exchange?.keys === undefined) return undefined;
    return sealPacket(exchange.keys.toClient, exchange.keyId, this.#options.peerId, ++exchange.lastDataId, payload);
  }

  /** The data packets of the latest key go on behind this id. */
  skipDataIds(id: number): void {
    for (const exchange of this.#exchanges.slice(0, 1)) exchange.lastDataId = id;
  }

  ping(now: number): Uint8Array | undefined {
    return this.seal(now, PING);
  }

  handle(_now: number, bytes: Uint8Array): void {
    const packet = Buffer.from(bytes);
    if (opcode(packet) === DATA_V1 || opcode(packet) === DATA_V2) return this.#data(packet);
    try {
      this.#control(packet);
    } catch (error) {
      if (!this.isForgiving) throw error;
    }
    this.pump();
  }

  /** Moves on what TLS has for either side. */
  handleTimeout(_now: number): void {
    this.pump();
  }

  /** The next packet for the client. */
  poll(now: number): Uint8Array | undefined {
    if (this.mute) return undefined;
    const reset = this.#stateless.shift();
    if (reset !== undefined) return reset;
    for (const exchange of this.#exchanges) {
      const due = exchange.due(now);
      if (due === undefined && exchange.toAck.length === 0) continue;
      const acks = exchange.toAck.splice(0, due === undefined ? 8 : 4);
      return this.#wrap({
        opcode: due?.opcode ?? ACK,
        keyId: exchange.keyId,
        from: this.#session,
        acks,
        to: this.#client,
        id: due?.id,
        payload: due?.payload ?? Buffer.alloc(0),
      });
    }
    return undefined;
  }

  pollAt(): number {
    if (this.#stateless.length > 0 && !this.mute) return Number.NEGATIVE_INFINITY;
    return this.mute
      ? Number.POSITIVE_INFINITY
      : Math.min(Number.POSITIVE_INFINITY, ...this.#exchanges.map((e) => e.dueAt()));
  }

  /** Moves on what TLS has for either side; with a TLS that works in the event loop, after each of its turns. */
  pump(): void {
    for (const exchange of this.#exchanges) {
      for (let part = exchange.tls.read(); part !== undefined; part = exchange.tls.read())
        exchange.plain = Buffer.concat([exchange.plain, part]);
      if (exchange.client === undefined) this.#readKeyMessage(exchange);
      if (exchange.client !== undefined) this.#readMessages(exchange);
      this.#pull(exchange);
    }
  }

  #control(bytes: Buffer): void {
    if (bytes.length > LARGEST_CONTROL) throw new Error(`a control packet of ${bytes.length} bytes`);
    const { plain, replay } = this.#open(bytes);
    if (replay !== undefined) {
      const text = bytes.toString("latin1");
      const seen = this.#dynamicKey !== undefined && keyId(bytes) > 0 ? this.#dynamicSeen : this.#replaySeen;
      const before = seen.get(replay.id);
      if (replay.id === 0 || (before !== undefined && before !== text))
        throw new Error(`replay id ${replay.id} is used twice`);
      seen.set(replay.id, text);
      this.#clientTime ??= replay.time;
      if (replay.time !== this.#clientTime) throw new Error("the time of the replay ids changed within a session");
    }
    const packet = decode(plain);
    if (this.#client === undefined && this.#isStateless && packet.opcode === this.#firstOpcode)
      return this.#answerStateless(packet, bytes, replay);
    this.#client ??= this.#meet(packet);
    if (!packet.from.equals(this.#client)) throw new Error("a packet of another session");
    if (packet.to !== undefined && !packet.to.equals(this.#session))
      throw new Error("acknowledgements for another session");
    const exchange = this.#exchanges.find((e) => e.keyId === packet.keyId) ?? this.#beginFor(packet);
    exchange?.acknowledged(packet.acks, this.isForgiving);
    if (exchange === undefined || packet.id === undefined) return;
    for (const { opcode: op, payload } of exchange.arrived(packet.id, packet.opcode, packet.payload)) {
      if (op === CONTROL || op === CONTROL_WKC) exchange.tls.receive(payload);
      else if (op !== (exchange.keyId === 0 ? this.#firstOpcode : SOFT_RESET))
        throw new Error(`opcode ${op} in a session`);
    }
  }

  get #firstOpcode(): number {
    return this.#options.wrap.kind === "tls-crypt-v2" ? HARD_RESET_CLIENT_WKC : HARD_RESET_CLIENT;
  }

  get #isStateless(): boolean {
    return this.#options.wrap.kind === "tls-crypt-v2" && this.#options.wrap.cookie;
  }

  #open(bytes: Buffer): Opened {
    const how = this.#options.wrap;
    if (this.#dynamicKey !== undefined && keyId(bytes) > 0)
      return unwrap({ kind: "tls-crypt", key: this.#dynamicKey }, "server", bytes);
    if (how.kind !== "tls-crypt-v2") return unwrap(how, "server", bytes);
    if (opcode(bytes) !== HARD_RESET_CLIENT_WKC && opcode(bytes) !== CONTROL_WKC) {
      if (this.#clientKey === undefined) throw new Error("a packet of a client whose key is not known");
      return unwrap({ kind: "tls-crypt", key: this.#clientKey }, "server", bytes);
    }
    const { packet, key } = takeClientKey(how.serverKey, bytes);
    if (opcode(bytes) === CONTROL_WKC && !how.cookie) throw new Error("the wrapped key comes again, unasked");
    if (opcode(bytes) === CONTROL_WKC || !how.cookie) this.#clientKey = key;
    return unwrap({ kind: "tls-crypt", key }, "server", packet);
  }

  /** The client's first packet that something is kept of. @returns its session id */
  #meet(packet: ControlPacket): Buffer {
    if (this.#isStateless) {
      const answers = packet.opcode === CONTROL_WKC && packet.keyId === 0 && packet.id === 1;
      if (!answers || packet.acks.join() !== "0" || !packet.to?.equals(this.#session))
        throw new Error("what follows the reset is not packet 1, or does not acknowledge the reset alone");
      // The answer had replay id 1.
      this.#replayId = 1;
      this.#exchanges = [new Exchange(0, this.#options.createTls(), RETRANSMIT_MS, 1)];
    } else {
      const isFirst = packet.opcode === this.#firstOpcode && packet.keyId === 0 && packet.id === 0;
      if (!isFirst || packet.acks.length > 0)
        throw new Error("the first packet is no reset, or acknowledges something");
    }
    return packet.from;
  }

  #answerStateless(packet: ControlPacket, bytes: Buffer, replay: Opened["replay"]): void {
    const how = this.#options.wrap;
    if (how.kind !== "tls-crypt-v2") return;
    if (((replay?.id ?? 0) & 0xff000000) >>> 0 !== 0x0f000000)
      throw new Error("the client does not say that it reads what the reset asks for");
    const { key } = takeClientKey(how.serverKey, bytes);
    const reset = {
      opcode: HARD_RESET_SERVER,
      keyId: 0,
      from: this.#session,
      acks: [0],
      to: packet.from,
      id: 0,
      payload: RESEND_WKC,
    };
    this.#stateless.push(wrap({ kind: "tls-crypt", key }, "server", 1, ++this.#time, encode(reset)));
  }

  /** The client begins an exchange, or repeats itself on a key id that is gone. */
  #beginFor(packet: ControlPacket): Exchange | undefined {
    const isFirst = this.#exchanges.length === 0;
    const next = this.keyId === 7 ? 1 : this.keyId + 1;
    if (!isFirst && (packet.opcode !== SOFT_RESET || packet.keyId !== next)) return undefined;
    return this.#begin(packet.keyId, isFirst ? HARD_RESET_SERVER : SOFT_RESET);
  }

  #begin(id: number, reset: number): Exchange {
    const exchange = new Exchange(id, this.#options.createTls(), RETRANSMIT_MS);
    exchange.queue(reset, Buffer.alloc(0));
    this.#exchanges = [exchange, ...this.#exchanges].slice(0, 2);
    return exchange;
  }

  #pull(exchange: Exchange): void {
    const size = this.#options.payload ?? 1100;
    for (let records = exchange.tls.pull(); records !== undefined; records = exchange.tls.pull()) {
      for (let at = 0; at < records.length; at += size)
        exchange.queue(CONTROL, Buffer.from(records.subarray(at, at + size)));
    }
  }

  #readKeyMessage(exchange: Exchange): void {
    if (exchange.tls.state !== "established") return;
    const found = decodeClientMessage(exchange.plain);
    if (found === undefined) return;
    const { ekm, cipher } = this.#options;
    const client = found.message;
    exchange.plain = exchange.plain.subarray(found.length);
    exchange.client = client;
    const protocol = Number(/^IV_PROTO=(\d+)$/m.exec(client.peerInfo)?.[1] ?? 0);
    if (ekm && (protocol & TLS_KEY_EXPORT) === 0) throw new Error("the client does not announce the TLS exporter");
    if (this.#options.dynamic === true && exchange.keyId === 0) {
      if ((protocol & DYN_TLS_CRYPT) === 0) throw new Error("the client does not announce dynamic tls-crypt");
      this.#dynamicKey = this.#makeDynamicKey(exchange.tls);
    }
    const own = { random1: this.#random(32), random2: this.#random(32) };
    exchange.tls.send(this.keyMessage(own.random1, own.random2));
    const block = ekm
      ? exchange.tls.exportKeyingMaterial(EXPORTER_LABEL, KEY_BLOCK)
      : keysByPrf(client, own, this.#client as Buffer, this.#session);
    exchange.keys = { fromClient: direction(cipher, block, 0), toClient: direction(cipher, block, 1) };
  }

  #makeDynamicKey(tls: PeerTls): Buffer {
    const how = this.#options.wrap;
    const own = how.kind === "none" ? Buffer.alloc(256) : how.kind === "tls-crypt-v2" ? this.#clientKey : how.key;
    const exported = tls.exportKeyingMaterial(DYNAMIC_LABEL, 256);
    return Buffer.from(exported.map((byte, i) => byte ^ ((own as Uint8Array)[i] as number)));
  }

  #readMessages(exchange: Exchange): void {
    for (let end = exchange.plain.indexOf(0); end >= 0; end = exchange.plain.indexOf(0)) {
      const text = exchange.plain.toString("utf8", 0, end);
      exchange.plain = exchange.plain.subarray(end + 1);
      this.messages.push(text);
      if (text === "EXIT") this.exited = true;
      if (text === "PUSH_REQUEST" && !this.withholdsPush) this.#reply(exchange);
    }
  }

  #reply(exchange: Exchange): void {
    const { push, ekm, peerId, cipher } = this.#options;
    const flags = ekm ? [`protocol-flags cc-exit tls-ekm${this.#dynamicKey ? " dyn-tls-crypt" : ""}`] : [];
    const id = peerId === NO_PEER_ID ? [] : [`peer-id ${peerId}`];
    exchange.tls.send(Buffer.from(`${["PUSH_REPLY", ...push, ...flags, ...id, `cipher ${cipher}`].join(",")}\0`));
    this.#pushed = true;
  }

  #data(packet: Buffer): void {
    const exchange = this.#exchanges.find((e) => e.keyId === keyId(packet));
    if (exchange?.keys === undefined) return;
    if (!this.#pushed) throw new Error("data before the push reply");
    const { id, payload } = openPacket(exchange.keys.fromClient, this.#options.peerId, packet);
    const text = packet.toString("latin1");
    const before = exchange.dataSeen.get(id);
    if (id === 0 || (before !== undefined && before !== text)) throw new Error(`data packet id ${id} is used twice`);
    exchange.dataSeen.set(id, text);
    if (before !== undefined) return;
    this.lastDataKeyId = exchange.keyId;
    if (payload.equals(PING)) this.pings++;
    else if (payload.equals(EXIT)) this.exited = true;
    else this.received.push(Uint8Array.from(payload));
  }

  #wrap(packet: ControlPacket): Uint8Array {
    const how = this.#options.wrap;
    if (this.#dynamicKey !== undefined && packet.keyId > 0) {
      const dynamic: Wrap = { kind: "tls-crypt", key: this.#dynamicKey };
      return Uint8Array.from(wrap(dynamic, "server", ++this.#dynamicId, this.#time, encode(packet)));
    }
    const own: Wrap = how.kind === "tls-crypt-v2" ? { kind: "tls-crypt", key: this.#clientKey as Buffer } : how;
    return Uint8Array.from(wrap(own, "server", ++this.#replayId, this.#time, encode(packet)));
  }

  #lastWithKeys(): Exchange | undefined {
    return this.#exchanges.findLast((e) => e.keys !== undefined);
  }

  #random(length: number): Buffer {
    return Buffer.from(this.#options.random(length));
  }
}
