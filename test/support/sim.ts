/**
 * A client session and a server on a virtual network with virtual time: what is lost, doubled and overtaken is decided by
 * a seed. Packets take 20 ms and more; `run` jumps from one deadline to the next.
 */
import { expect } from "bun:test";
import { Batch } from "../../src/lib/batch.ts";
import { type Random, randomBelow, seededRandom } from "../../src/lib/random.ts";
import { Arena, slabOver } from "../../src/lib/slab.ts";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../src/protocol/data/noble-cbc.ts";
import { NO_DECOMPRESSORS, type TlsContext } from "../../src/protocol/ports.ts";
import type { AuthToken } from "../../src/protocol/push/collect.ts";
import { ClientSession, type ClientStart } from "../../src/protocol/session/client.ts";
import type { SessionEnd, SessionEvent } from "../../src/protocol/session/events.ts";
import type { SessionState } from "../../src/protocol/session/state.ts";
import { CERTIFICATE, clientConfig, PUSH, SERVER_KEY, TLS_CRYPT } from "./client-config.ts";
import { fakeTlsContext } from "./fake-tls.ts";
import type { PeerTls } from "./independent/exchange.ts";
import { IndependentServer } from "./independent/server.ts";
import type { ServerWrap, Wrap } from "./independent/wrap.ts";
import { OpenvpnPeer, type PeerOptions } from "./openvpn-peer.ts";
import { sessionTap } from "./pcap-tap.ts";

export interface Link {
  /** Probabilities. */
  loss: number;
  duplicate: number;
  /** ms; packets overtake each other within it. */
  jitter: number;
}

/** A server of one client, as the simulation drives it. */
export interface SimServer {
  readonly received: Uint8Array[];
  readonly exited: boolean;
  mute: boolean;
  withholdsPush: boolean;
  /** Somebody forges packets of this server to the client. */
  isForgiving: boolean;
  readonly keyId: number;
  readonly login: readonly (string | undefined)[];
  handle(now: number, packet: Uint8Array): void;
  renegotiate(now: number): void;
  say(text: string): void;
  seal(now: number, payload: Uint8Array): Uint8Array | undefined;
  handleTimeout(now: number): void;
  poll(now: number): Uint8Array | undefined;
  pollAt(): number;
}

/** The one that shares no code with the client, or the one that is made of the product's own modules. */
export type ServerKind = "independent" | "product";
export const SERVERS: readonly ServerKind[] = ["independent", "product"];

export interface SimOptions {
  wrap?: ControlWrap;
  lines?: readonly string[];
  link?: Partial<Link>;
  peer?: Partial<PeerOptions>;
  /** One of the two kinds, or a server that is there already. */
  server?: ServerKind | SimServer;
  /** With tls-crypt-v2: the independent server keeps nothing of the first packet. */
  cookie?: boolean;
  /** The independent server has a key of its own for renegotiations. */
  dynamic?: boolean;
  /** Instead of TLS without cryptography; the server is the independent one. */
  tls?: { readonly client: TlsContext; readonly server: () => PeerTls };
  authToken?: AuthToken;
  start?: Partial<ClientStart>;
  login?: boolean;
  /** The third row of auth.txt. */
  answer?: string | undefined;
}

const AT = 256;
const MOST_STEPS = 100_000;
const SCRATCH = 4096;

export class Sim {
  now = 1000;
  link: Link;
  readonly session: ClientSession;
  readonly peer: SimServer;
  readonly events: SessionEvent[] = [];
  /** The states that the session went through. */
  readonly moves: SessionState[] = [];
  readonly received: Uint8Array[] = [];
  readonly sentAt: number[] = [];
  /** Everything that the peer sent, and that was sent to it. */
  readonly fromPeer: Uint8Array[] = [];
  readonly toPeer: Uint8Array[] = [];
  readonly random: Random;
  readonly #slab = slabOver(new ArrayBuffer(16_384));
  readonly #tap = sessionTap();
  #flying: { at: number; toPeer: boolean; bytes: Uint8Array }[] = [];

  constructor(seed: number, options: SimOptions = {}) {
    const wrap = options.wrap ?? TLS_CRYPT;
    this.random = seededRandom(seed);
    this.link = { loss: 0, duplicate: 0, jitter: 0, ...options.link };
    const ports = {
      slab: this.#slab,
      aead: nobleAead(this.#slab),
      control: noblePrimitives,
      tls: options.tls?.client ?? fakeTlsContext(false, this.random, CERTIFICATE),
      random: this.random,
      scratch: new Arena(this.#slab, SCRATCH, 2 * SCRATCH),
      cbc: nobleCbc(this.#slab),
      decompressors: NO_DECOMPRESSORS,
    };
    const { authToken } = options;
    const start = {
      link: { overhead: 28, isStream: false },
      unixSeconds: 1_700_000_000,
      login: { authToken },
      ...options.start,
    } as const;
    const profile = clientConfig(options.lines ?? [], wrap, options.answer);
    const config = options.login === false ? { ...profile, login: undefined } : profile;
    this.session = new ClientSession(config, ports, start);
    const peer: PeerOptions = {
      wrap: wrap.kind === "tls-auth" ? { ...wrap, direction: 0 } : wrap,
      tls: fakeTlsContext(true, this.random, CERTIFICATE),
      random: this.random,
      cipher: "AES-256-GCM",
      peerId: 5,
      push: PUSH,
      ekm: true,
      ...options.peer,
    };
    if (typeof options.server === "object") this.peer = options.server;
    else this.peer = options.server === "product" ? new OpenvpnPeer(peer) : independentServer(peer, options);
  }

  get end(): SessionEnd | undefined {
    const event = this.events.find((e) => e.kind === "ended");
    return event?.kind === "ended" ? event.end : undefined;
  }

  /** What the server pushed when the tunnel came up. */
  options(kind: "up"): readonly string[] {
    const event = this.events.find((e) => e.kind === kind);
    return event?.kind === "up" ? event.options : [];
  }

  count(kind: SessionEvent["kind"]): number {
    return this.events.filter((e) => e.kind === kind).length;
  }

  /** Lets the time pass until the condition holds. @returns whether it came to hold within `ms` */
  run(ms: number, until: () => boolean = () => false): boolean {
    const end = this.now + ms;
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      this.#flush();
      if (until()) return true;
      if (!this.#advance(end)) return false;
    }
    throw new Error("the simulation does not come to rest");
  }

  /**
   * The same with a TLS of the server that works in the event loop: time stands still meanwhile.
   * @param settle lets it work. @returns whether there was anything to do
   */
  async runSettled(ms: number, settle: () => Promise<boolean>, until: () => boolean = () => false): Promise<boolean> {
    const end = this.now + ms;
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      while (await settle()) this.peer.handleTimeout(this.now);
      this.#flush();
      if (until()) return true;
      if (!this.#advance(end)) return false;
    }
    throw new Error("the simulation does not come to rest");
  }

  /** What is on its way does not arrive. */
  lose(): void {
    this.#flying = [];
  }

  /** To the client, at once. */
  deliver(bytes: Uint8Array): void {
    const [datagrams, plain] = [new Batch(1), new Batch(1)];
    this.#slab.bytes.set(bytes, AT);
    datagrams.push(AT, bytes.length);
    this.session.handleBatch(this.now, datagrams, plain);
    if (plain.count === 0) return;
    const packet = this.#slab.bytes.slice(plain.at[0]!, plain.at[0]! + plain.len[0]!);
    this.#tap.inner.record(this.now, packet);
    this.received.push(packet);
  }

  /** The client sends a packet of the tunnel. */
  sendData(payload: Uint8Array): void {
    const [plain, sealed] = [new Batch(1), new Batch(1)];
    this.#tap.inner.record(this.now, payload);
    this.#slab.bytes.set(payload, AT);
    plain.push(AT, payload.length);
    this.session.sealBatch(this.now, plain, sealed);
    if (sealed.count > 0) this.#send(true, this.#slab.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!));
  }

  /** The peer does. */
  answerData(payload: Uint8Array): void {
    const packet = this.peer.seal(this.now, payload);
    if (packet !== undefined) this.#send(false, packet);
  }

  /** A packet each way arrives unchanged. */
  expectFlow(): void {
    const [up, down] = [packet(this.now), packet(this.now + 1)];
    this.sendData(up);
    this.answerData(down);
    this.run(500);
    expect(this.peer.received.at(-1)).toEqual(up);
    expect(this.received.at(-1)).toEqual(down);
  }

  /** To the next deadline; what is due is done and delivered. @returns false: there is none until `end`, which is now */
  #advance(end: number): boolean {
    const next = Math.min(this.session.pollAt(), this.peer.pollAt(), ...this.#flying.map((p) => p.at));
    if (next > end) {
      this.now = end;
      return false;
    }
    this.now = Math.max(this.now, next);
    const due = this.#flying.filter((p) => p.at <= this.now).sort((a, b) => a.at - b.at);
    this.#flying = this.#flying.filter((p) => p.at > this.now);
    for (const { toPeer, bytes } of due) {
      if (toPeer) this.peer.handle(this.now, bytes);
      else this.deliver(bytes);
    }
    this.session.handleTimeout(this.now);
    this.peer.handleTimeout(this.now);
    return true;
  }

  #flush(): void {
    for (let p = this.session.pollTransmit(this.now); p !== undefined; p = this.session.pollTransmit(this.now)) {
      this.sentAt.push(this.now);
      this.#send(true, p);
    }
    for (let p = this.peer.poll(this.now); p !== undefined; p = this.peer.poll(this.now)) this.#send(false, p);
    for (let e = this.session.pollEvent(); e !== undefined; e = this.session.pollEvent()) {
      if (e.kind === "moved") this.moves.push(e.to);
      else this.events.push(e);
    }
  }

  #send(toPeer: boolean, bytes: Uint8Array): void {
    (toPeer ? this.toPeer : this.fromPeer).push(bytes);
    this.#tap.outer(this.now, toPeer, bytes);
    const { loss, duplicate, jitter } = this.link;
    const copies = this.#chance(duplicate) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (this.#chance(loss)) continue;
      this.#flying.push({ at: this.now + 20 + randomBelow(this.random, jitter + 1), toPeer, bytes });
    }
  }

  #chance(p: number): boolean {
    return randomBelow(this.random, 1_000_000) < p * 1_000_000;
  }
}

function independentServer(options: PeerOptions, how: SimOptions): IndependentServer {
  const { wrap, tls, random, cipher, peerId, push, ekm } = options;
  return new IndependentServer({
    wrap: serverWrap(wrap, how.cookie ?? false),
    createTls: how.tls?.server ?? (() => tls.engine(() => true)),
    random: (length) => {
      const bytes = new Uint8Array(length);
      random.fill(bytes);
      return bytes;
    },
    cipher,
    peerId,
    push,
    ekm,
    dynamic: how.dynamic ?? false,
  });
}

const serverWrap = (wrap: ControlWrap, cookie: boolean): Wrap | ServerWrap =>
  wrap.kind === "tls-crypt-v2" ? { kind: wrap.kind, serverKey: SERVER_KEY, cookie } : independentWrap(wrap);

/** @param wrap of the side that wraps */
export function independentWrap(wrap: ControlWrap): Wrap {
  if (wrap.kind === "none") return { kind: "none" };
  if (wrap.kind === "tls-crypt" || wrap.kind === "tls-crypt-v2") return { kind: "tls-crypt", key: wrap.key };
  return { kind: "tls-auth", key: wrap.key, direction: wrap.direction, digest: wrap.digest };
}

/** Looks like IPv4, and is like no other. */
export const packet = (n: number): Uint8Array =>
  Uint8Array.from({ length: 60 }, (_, i) => (i === 0 ? 0x45 : (n >> ((i % 4) * 8)) & 0xff));

export function up(seed: number, options: SimOptions = {}): Sim {
  const sim = new Sim(seed, options);
  sim.session.start(sim.now);
  expect(sim.run(60_000, () => sim.session.isUp)).toBe(true);
  sim.run(500);
  return sim;
}

export const LOSSY = { loss: 0.15, duplicate: 0.1, jitter: 80 };
