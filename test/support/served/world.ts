/**
 * A listener of the product and many clients on a virtual network with virtual time: what is lost, doubled and overtaken is decided
 * by a seed. Datagrams take 20 ms and more; over a connection nothing is lost. `run` jumps from one deadline to the next.
 */
import { expect } from "bun:test";
import { Batch } from "../../../src/lib/batch.ts";
import { type Endpoint, formatEndpoint } from "../../../src/lib/endpoint.ts";
import { IpAddress } from "../../../src/lib/ip.ts";
import type { Log, LogFields, LogLevel } from "../../../src/lib/log.ts";
import { type Random, randomBelow, seededRandom } from "../../../src/lib/random.ts";
import { Arena, type Slab, slabOver } from "../../../src/lib/slab.ts";
import type { ListenConfig } from "../../../src/protocol/config/server-types.ts";
import type { ClientConfig, ControlWrap } from "../../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../../src/protocol/data/noble-cbc.ts";
import { NO_DECOMPRESSORS, type TlsContext, type TlsContextFactory } from "../../../src/protocol/ports.ts";
import { ClientSession } from "../../../src/protocol/session/client.ts";
import type { LinkEnd, SessionEvent } from "../../../src/protocol/session/events.ts";
import type {
  DatagramPort,
  ListenPorts,
  ListenReceiver,
  PeerLink,
  StreamReceiver,
} from "../../../src/tunnel/listen.ts";
import { Listener, type ListenerOptions } from "../../../src/tunnel/listener.ts";
import type { ServedClient, ServedTunnel, ServerSide } from "../../../src/tunnel/server-side.ts";
import { CERTIFICATE, clientConfig, TLS_CRYPT } from "../client-config.ts";
import { fakeTls, fakeTlsContext } from "../fake-tls.ts";
import { type Link, packet } from "../sim.ts";
import { type WholeConfig, wholeConfig } from "./config.ts";
import { FakeDesk, FakePasswords } from "./desk.ts";

const ROWS = 64;
const SLOT = 4096;
const AT = 256;
const MOST_STEPS = 200_000;
const UNIX = 1_700_000_000;

/** One slab for all: clients open and seal in a place of their own. */
const OWN = 2 * SLOT;

export interface WorldOptions {
  readonly wrap?: ControlWrap;
  readonly config?: Partial<WholeConfig>;
  readonly link?: Partial<Link>;
  readonly listener?: Partial<ListenerOptions>;
  readonly tls?: TlsContextFactory;
}

export interface ClientOptions {
  readonly lines?: readonly string[];
  readonly wrap?: ControlWrap;
  readonly password?: string;
  readonly endpoint?: Endpoint;
  /** Over a connection. */
  readonly isStream?: boolean;
  /** In the place of the stock one with `lines` and `wrap`. */
  readonly profile?: ClientConfig;
  readonly tls?: TlsContext;
}

export interface Line {
  readonly level: LogLevel;
  readonly event: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** The plain side: remembers who is in, and what came. */
export class FakeSide implements ServerSide {
  tunnel: ServedTunnel | undefined;
  readonly joined = new Map<number, ServedClient>();
  readonly received: { readonly peer: number; readonly bytes: Uint8Array }[] = [];
  readonly #slab: Slab;

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  open(_now: number, tunnel: ServedTunnel): undefined {
    this.tunnel = tunnel;
  }

  close(): void {
    this.tunnel = undefined;
  }

  join(_now: number, peer: number, client: ServedClient): void {
    this.joined.set(peer, client);
  }

  leave(_now: number, peer: number): void {
    if (!this.joined.delete(peer)) throw new Error(`${peer} leaves, and was not there`);
  }

  deliver(_now: number, rows: Batch): void {
    for (let i = 0; i < rows.count; i++) {
      const peer = rows.peer[i]!;
      if (!this.joined.has(peer)) continue;
      this.received.push({ peer, bytes: this.#slab.bytes.slice(rows.at[i]!, rows.at[i]! + rows.len[i]!) });
    }
  }
}

export class SimClient {
  readonly session: ClientSession;
  readonly events: SessionEvent[] = [];
  readonly received: Uint8Array[] = [];
  /** Everything that it sent. */
  readonly sent: Uint8Array[] = [];
  readonly name: string;
  endpoint: Endpoint;
  stream: StreamReceiver | undefined;
  /** Gone without a word: nothing comes from it or to it any more. */
  isDead = false;

  constructor(name: string, endpoint: Endpoint, session: ClientSession) {
    this.name = name;
    this.endpoint = endpoint;
    this.session = session;
  }

  get end() {
    const event = this.events.find((e) => e.kind === "ended");
    return event?.kind === "ended" ? event.end : undefined;
  }

  get isUp(): boolean {
    return this.session.isUp;
  }

  count(kind: SessionEvent["kind"]): number {
    return this.events.filter((e) => e.kind === kind).length;
  }

  get options(): readonly string[] {
    const event = this.events.findLast((e) => e.kind === "up" || e.kind === "changed");
    return event?.kind === "up" || event?.kind === "changed" ? event.options : [];
  }
}

export interface IdleStream {
  isOpen: boolean;
  /** What came over it. */
  readonly sent: readonly Uint8Array[];
  receiver: StreamReceiver | undefined;
}

type Flight = { readonly at: number; readonly bytes: Uint8Array } & (
  | { readonly from: Endpoint; readonly client?: undefined }
  | { readonly client: SimClient; readonly toServer: boolean; readonly from?: undefined }
);

export class World implements ListenPorts {
  now = 1000;
  link: Link;
  /** Wall clock at the beginning. */
  readonly slab: Slab;
  readonly side: FakeSide;
  readonly desk = new FakeDesk();
  readonly passwords = new FakePasswords();
  readonly lines: Line[] = [];
  readonly clients: SimClient[] = [];
  readonly random: Random;
  readonly config: WholeConfig;
  listener: Listener;
  /** What the server sent to addresses, whoever was there. */
  readonly sent: { readonly to: Endpoint; readonly bytes: Uint8Array }[] = [];
  readonly #wrap: ControlWrap;
  readonly #rows = new Batch(ROWS);
  readonly #from = { words: new Int32Array(4 * ROWS), port: new Uint16Array(ROWS) };
  readonly #ports = new Map<ListenConfig, { readonly port: DatagramPort; readonly receiver: ListenReceiver }>();
  readonly #clientAt: number;
  readonly #makeListener: () => Listener;
  #flying: Flight[] = [];
  #addresses = 0;

  constructor(seed: number, options: WorldOptions = {}) {
    const wrap = options.wrap ?? TLS_CRYPT;
    const slab = slabOver(new ArrayBuffer(ROWS * SLOT + 2 * OWN + OWN));
    this.slab = slab;
    this.side = new FakeSide(slab);
    this.#clientAt = ROWS * SLOT + OWN;
    this.#wrap = wrap;
    this.random = seededRandom(seed);
    this.link = { loss: 0, duplicate: 0, jitter: 0, ...options.link };
    this.config = wholeConfig(wrap, options.config);
    this.desk.isSingle = !this.config.entry.duplicateNames;
    const log: Log = {
      enabled: () => true,
      write: (level, event, message, fields = {}) => void this.lines.push({ level, event, message, fields }),
    };
    this.#makeListener = () =>
      new Listener({
        ...{
          config: this.config,
          entrance: this.desk,
          side: this.side,
          ports: this,
          passwords: this.passwords,
          slab,
          log,
        },
        scratch: new Arena(slab, ROWS * SLOT, ROWS * SLOT + OWN),
        ...{ aead: nobleAead(slab), cbc: nobleCbc(slab), decompressors: NO_DECOMPRESSORS, control: noblePrimitives },
        tls: options.tls ?? fakeTls(this.random, CERTIFICATE),
        cookieKey: new Uint8Array(32).fill(7),
        random: this.random,
        unixSeconds: () => this.unixSeconds,
        ...options.listener,
      });
    this.listener = this.#makeListener();
    this.listener.networkUp(this.now);
  }

  get unixSeconds(): number {
    return UNIX + Math.floor(this.now / 1000);
  }

  listen(_now: number, config: ListenConfig, _longest: number, receiver: ListenReceiver) {
    const port: DatagramPort = {
      config,
      answer: (_at, to, bytes) => this.#toClient(to, bytes),
      peer: (endpoint) => this.#datagramLink(endpoint),
    };
    this.#ports.set(config, { port, receiver });
    return { drops: () => ({}), close: () => void this.#ports.delete(config) };
  }

  /** What the host below knows of ways to clients by itself, by the text of where they are. */
  readonly known = new Map<string, number>();

  /** Somebody says that the way to an address takes no more. */
  narrow(to: Endpoint, mtu: number): void {
    for (const { port, receiver } of this.#ports.values()) receiver.narrowed(this.now, port, to, mtu);
  }

  /** Log lines of one event. */
  said(event: string): Line[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** The server leaves, and is started again. */
  restart(): void {
    this.listener.leave(this.now);
    expect(this.run(5000, () => this.listener.left)).toBe(true);
    this.listener = this.#makeListener();
    this.listener.networkUp(this.now);
  }

  /** A client is looked at no more. */
  forget(client: SimClient): void {
    client.isDead = true;
    this.clients.splice(this.clients.indexOf(client), 1);
  }

  /** A client that starts now, at an address of its own. */
  client(name: string, options: ClientOptions = {}): SimClient {
    const endpoint = options.endpoint ?? this.newEndpoint();
    const wrap = options.wrap ?? this.#wrap;
    const profile = options.profile ?? clientConfig(options.lines ?? [], wrap);
    const login = profile.login && { ...profile.login, user: name, password: options.password ?? "pw" };
    const start = this.#clientAt + SLOT;
    const session = new ClientSession(
      { ...profile, login },
      {
        ...{ slab: this.slab, aead: nobleAead(this.slab), cbc: nobleCbc(this.slab), decompressors: NO_DECOMPRESSORS },
        ...{
          control: noblePrimitives,
          tls: options.tls ?? fakeTlsContext(false, this.random, CERTIFICATE),
          random: this.random,
        },
        scratch: new Arena(this.slab, start, start + SLOT),
      },
      { link: { overhead: 28, isStream: options.isStream ?? false }, unixSeconds: this.unixSeconds, login: {} },
    );
    const client = new SimClient(name, endpoint, session);
    this.clients.push(client);
    if (options.isStream) client.stream = this.#connect(client);
    session.start(this.now);
    return client;
  }

  /** A client that is up. */
  joined(name: string, options: ClientOptions = {}): SimClient {
    const client = this.client(name, options);
    expect(this.run(60_000, () => client.isUp)).toBe(true);
    this.run(200);
    return client;
  }

  newEndpoint(): Endpoint {
    const n = this.#addresses++;
    return { address: IpAddress.fromIpv4((198 << 24) | (51 << 16) | n), port: 1024 + (n % 60_000) };
  }

  /** Datagrams to the server, from anywhere, at once. */
  strange(from: Endpoint, ...datagrams: Uint8Array[]): void {
    this.#deliver(datagrams.map((bytes) => ({ at: this.now, from, bytes })));
  }

  /** The number under which a client is in; -1: it is not. */
  peerOf(client: SimClient): number {
    return this.listener.peers().find((peer) => peer.endpoint === formatEndpoint(client.endpoint))?.id ?? -1;
  }

  /** The client sends a packet of the tunnel. */
  sendUp(client: SimClient, payload: Uint8Array): void {
    this.#toServer(client, this.sealUp(client, payload));
  }

  /** A packet of the tunnel as the client would send it. */
  sealUp(client: SimClient, payload: Uint8Array): Uint8Array {
    const [plain, sealed] = [new Batch(1), new Batch(1)];
    const at = this.#clientAt + AT;
    this.slab.bytes.set(payload, at);
    plain.push(at, payload.length);
    client.session.sealBatch(this.now, plain, sealed);
    return this.slab.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!);
  }

  /** The server's side sends one to a peer. */
  sendDown(peer: number, payload: Uint8Array): void {
    const plain = new Batch(1);
    const at = this.#clientAt + AT;
    this.slab.bytes.set(payload, at);
    plain.push(at, payload.length);
    this.side.joined.get(peer)?.send(this.now, plain);
  }

  /** A packet each way arrives unchanged, under the client's number. */
  expectFlow(client: SimClient): void {
    const [up, down] = [packet(this.now + client.endpoint.port), packet(this.now + client.endpoint.port + 1)];
    const peer = this.peerOf(client);
    this.sendUp(client, up);
    this.sendDown(peer, down);
    this.run(500);
    expect(this.side.received.findLast((row) => row.peer === peer)?.bytes).toEqual(up);
    expect(client.received.at(-1)).toEqual(down);
  }

  /** Lets the time pass until the condition holds. @returns whether it came to hold within `ms` */
  run(ms: number, until: () => boolean = () => false): boolean {
    const end = this.now + ms;
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      this.#flush();
      if (until()) return true;
      const next = this.#next();
      if (next > end) {
        this.now = end;
        return false;
      }
      this.now = Math.max(this.now, next);
      this.#deliver(this.#due());
      if (this.passwords.isPrompt) this.passwords.settle(this.now);
      this.listener.poll(this.now);
      for (const client of this.clients) if (!client.isDead) client.session.handleTimeout(this.now);
    }
    throw new Error("the simulation does not come to rest");
  }

  #next(): number {
    let next = this.passwords.isPrompt && this.passwords.waiting > 0 ? this.now : this.listener.pollAt();
    for (const { at } of this.#flying) next = Math.min(next, at);
    for (const { isDead, session } of this.clients) if (!isDead) next = Math.min(next, session.pollAt());
    return next;
  }

  #due(): Flight[] {
    const due = this.#flying.filter((flight) => flight.at <= this.now).sort((a, b) => a.at - b.at);
    this.#flying = this.#flying.filter((flight) => flight.at > this.now);
    return due;
  }

  #deliver(flights: readonly Flight[]): void {
    const datagrams: Flight[] = [];
    for (const flight of flights) {
      if (flight.client === undefined) datagrams.push(flight);
      else if (flight.toServer) this.#deliverStream(flight.client, flight.bytes);
      else this.#deliverTo(flight.client, flight.bytes);
    }
    const [listened] = this.#ports.values();
    for (let i = 0; i < datagrams.length && listened !== undefined; i += ROWS) {
      this.#rows.clear();
      for (const { from, bytes } of datagrams.slice(i, i + ROWS)) {
        if (from === undefined) continue;
        const row = this.#rows.push(this.#rows.count * SLOT + AT, bytes.length);
        this.slab.bytes.set(bytes, this.#rows.at[row]!);
        const { w0, w1, w2, w3 } = from.address;
        this.#from.words.set([w0, w1, w2, w3], 4 * row);
        this.#from.port[row] = from.port;
      }
      listened.receiver.handleDatagrams(this.now, listened.port, this.#rows, this.#from);
    }
  }

  #deliverStream(client: SimClient, bytes: Uint8Array): void {
    this.#rows.clear();
    this.slab.bytes.set(bytes, AT);
    this.#rows.push(AT, bytes.length);
    client.stream?.handleRows(this.now, this.#rows);
  }

  #deliverTo(client: SimClient, bytes: Uint8Array): void {
    if (client.isDead) return;
    const [datagrams, plain] = [new Batch(1), new Batch(1)];
    const at = this.#clientAt + AT;
    this.slab.bytes.set(bytes, at);
    datagrams.push(at, bytes.length);
    client.session.handleBatch(this.now, datagrams, plain);
    if (plain.count > 0) client.received.push(this.slab.bytes.slice(plain.at[0]!, plain.at[0]! + plain.len[0]!));
  }

  #flush(): void {
    for (const client of this.clients) {
      const { session } = client;
      if (client.isDead) continue;
      for (let p = session.pollTransmit(this.now); p !== undefined; p = session.pollTransmit(this.now))
        this.#toServer(client, p);
      for (let e = session.pollEvent(); e !== undefined; e = session.pollEvent()) client.events.push(e);
    }
  }

  #toServer(client: SimClient, bytes: Uint8Array): void {
    client.sent.push(bytes);
    if (client.stream !== undefined) this.#flying.push({ at: this.now + 20, client, toServer: true, bytes });
    else for (const at of this.#arrivals()) this.#flying.push({ at, from: client.endpoint, bytes });
  }

  #toClient(to: Endpoint, bytes: Uint8Array): void {
    this.sent.push({ to, bytes });
    const client = this.clients.findLast(
      ({ endpoint, stream }) =>
        stream === undefined && endpoint.port === to.port && endpoint.address.equals(to.address),
    );
    if (client === undefined) return;
    for (const at of this.#arrivals()) this.#flying.push({ at, client, toServer: false, bytes });
  }

  /** When copies of a datagram arrive. */
  #arrivals(): number[] {
    const { loss, duplicate, jitter } = this.link;
    const copies = this.#chance(duplicate) ? 2 : 1;
    return Array.from({ length: copies }, () => this.now + 20 + randomBelow(this.random, jitter + 1)).filter(
      () => !this.#chance(loss),
    );
  }

  #chance(p: number): boolean {
    return p > 0 && randomBelow(this.random, 1_000_000) < p * 1_000_000;
  }

  #datagramLink(endpoint: Endpoint): PeerLink {
    const link = this.#peerLink(endpoint, false, (bytes) => this.#toClient(endpoint, bytes));
    return { ...link, mtu: 1500, pathMtu: () => this.known.get(formatEndpoint(endpoint)) ?? Number.POSITIVE_INFINITY };
  }

  #connect(client: SimClient): StreamReceiver | undefined {
    const [listened] = this.#ports.values();
    const link = this.#peerLink(client.endpoint, true, (bytes) => {
      this.#flying.push({ at: this.now + 20, client, toServer: false, bytes });
    });
    const close = (): void => {
      client.stream = undefined;
    };
    return listened?.receiver.accepted(this.now, { ...link, close });
  }

  /** A connection that nobody has said anything over yet. */
  idleStream(): IdleStream {
    const sent: Uint8Array[] = [];
    const link = this.#peerLink(this.newEndpoint(), true, (bytes) => void sent.push(bytes));
    const stream: IdleStream = { isOpen: true, sent, receiver: undefined };
    const close = (): void => {
      stream.isOpen = false;
    };
    const [listened] = this.#ports.values();
    stream.receiver = listened?.receiver.accepted(this.now, { ...link, close });
    if (stream.receiver === undefined) stream.isOpen = false;
    return stream;
  }

  /** A packet over such a connection, at once. */
  sayStream({ receiver }: IdleStream, bytes: Uint8Array): void {
    this.#rows.clear();
    this.slab.bytes.set(bytes, AT);
    this.#rows.push(AT, bytes.length);
    receiver?.handleRows(this.now, this.#rows);
  }

  /** A client's connection breaks. */
  disconnect(client: SimClient, end: LinkEnd = { kind: "link-reset" }): void {
    const { stream } = client;
    client.stream = undefined;
    stream?.ended(this.now, end);
  }

  #peerLink(endpoint: Endpoint, isStream: boolean, send: (bytes: Uint8Array) => void): PeerLink {
    return {
      ...{ overhead: isStream ? 42 : 28, isStream, mtu: 1500, endpoint },
      admit: (rows) => rows.count,
      send: (_now, rows) => {
        for (let i = 0; i < rows.count; i++) send(this.slab.bytes.slice(rows.at[i]!, rows.at[i]! + rows.len[i]!));
      },
      sendPacket: (_now, bytes) => send(bytes.slice()),
      close: () => {},
    };
  }
}
