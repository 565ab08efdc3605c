/**
 * Ends of tunnels of two on a virtual network with virtual time, each a dialer of its own: what one sends to the address and port
 * of another arrives there after a while. UDP and TCP are the same here, but that a connection has two ends which know each other.
 */
import { readFileSync } from "node:fs";
import { Batch } from "../../src/lib/batch.ts";
import { type Endpoint, formatEndpoint } from "../../src/lib/endpoint.ts";
import { parseIp, wordsOf } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena, slabOver } from "../../src/lib/slab.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { ListenConfig } from "../../src/protocol/config/server-types.ts";
import type { DialConfig } from "../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../src/protocol/data/noble-cbc.ts";
import { NO_DECOMPRESSORS } from "../../src/protocol/ports.ts";
import { NOTHING_SEEN } from "../../src/protocol/session/sightings.ts";
import { Dialer } from "../../src/tunnel/dialer.ts";
import { DialHistory } from "../../src/tunnel/history.ts";
import type { Link, LinkFactory, LinkReceiver, LinkRequest } from "../../src/tunnel/link.ts";
import type {
  DatagramPort,
  ListenPorts,
  ListenReceiver,
  OpenPort,
  PeerLink,
  StreamReceiver,
} from "../../src/tunnel/listen.ts";
import type { OpenTunnel, TunnelSide } from "../../src/tunnel/side.ts";
import { CERTIFICATE } from "./client-config.ts";
import { fakeTls } from "./fake-tls.ts";

const AT = 512;
const SCRATCH = 16_384;
const DELAY_MS = 10;
const pem = readFileSync(new URL("../configs/client.crt", import.meta.url), "utf8");
const key = readFileSync(new URL("../configs/client.key", import.meta.url), "utf8");
const ta = readFileSync(new URL("../configs/ta.key", import.meta.url), "utf8");

export const TLS_LINES = `dev tun\n<ca>\n${pem}</ca>\n<cert>\n${pem}</cert>\n<key>\n${key}</key>\n`;
export const SECRET_LINES = `dev tun\ncipher AES-128-CBC\n<secret>\n${ta}</secret>\n`;
export const TLS_CRYPT_LINES = `<tls-crypt>\n${ta}</tls-crypt>\n`;
/** The same lines with another key. */
export const withOtherKey = (lines: string): string =>
  lines.replace(
    ta,
    ta.replace(/^[0-9a-f]{32}$/gm, (row) => [...row].reverse().join("")),
  );

const endpoint = (text: string): Endpoint => {
  const colon = text.lastIndexOf(":");
  return { address: parseIp(text.slice(0, colon))!, port: Number(text.slice(colon + 1)) };
};

type Arrival = (now: number, from: Endpoint, packet: Uint8Array) => void;

/** Who is where, and what is on the way. */
export class Net {
  now = 1000;
  readonly ends: End[] = [];
  /** Of everything that was sent: from, to. */
  readonly sent: { readonly from: string; readonly to: string; readonly packet: Uint8Array }[] = [];
  /** The next one that is sent goes out from there instead. */
  from: Endpoint | undefined;
  readonly places = new Map<string, Arrival>();
  readonly listeners = new Map<string, (now: number, from: Stream) => Stream | undefined>();
  #flying: { readonly at: number; readonly arrive: (now: number) => void }[] = [];

  send(own: Endpoint, to: Endpoint, packet: Uint8Array): void {
    const bytes = packet.slice();
    const from = this.from ?? own;
    this.from = undefined;
    this.sent.push({ from: formatEndpoint(from), to: formatEndpoint(to), packet: bytes });
    this.fly((now) => this.places.get(formatEndpoint(to))?.(now, from, bytes));
  }

  fly(arrive: (now: number) => void): void {
    this.#flying.push({ at: this.now + DELAY_MS, arrive });
  }

  /** Lets the time pass until the condition holds, or for so many ms. @returns whether it holds */
  until(condition: () => boolean, ms = 120_000): boolean {
    for (const end = this.now + ms; this.now < end; this.now += 10) {
      const due = this.#flying.filter(({ at }) => at <= this.now);
      this.#flying = this.#flying.filter(({ at }) => at > this.now);
      for (const { arrive } of due) arrive(this.now);
      for (const each of this.ends) each.dialer.poll(this.now);
      if (condition()) return true;
    }
    return false;
  }

  /** What went from one host to another. */
  between(from: string, to: string): number {
    return this.sent.filter((each) => each.from.startsWith(`${from}:`) && each.to.startsWith(`${to}:`)).length;
  }
}

/** One end of a connection. */
interface Stream {
  readonly at: Endpoint;
  readonly take: (now: number, packet: Uint8Array) => void;
  readonly end: (now: number) => void;
}

export class End implements TunnelSide, LinkFactory, ListenPorts {
  readonly lan = [];
  readonly lines: string[] = [];
  readonly delivered: number[] = [];
  tunnel: OpenTunnel | undefined;
  /** How often a tunnel was opened and closed. */
  ups = 0;
  downs = 0;
  readonly net: Net;
  readonly host: string;
  readonly dialer: Dialer;
  /** What the host below knows of ways by itself, by the text of the other end. */
  readonly known = new Map<string, number>();
  /** UDP ports that are listened on. */
  readonly #gates = new Map<DatagramPort, ListenReceiver>();
  readonly #slab = slabOver(new ArrayBuffer(2 * SCRATCH));
  #port: number;

  /** @param host its address @param text of its profile @param port the first of its own that is free */
  constructor(net: Net, host: string, text: string, port = 40_000) {
    this.net = net;
    this.host = host;
    this.#port = port;
    const random = seededRandom(net.ends.length + 1);
    const result = parseConfig({ file: "x", text }, () => undefined, { roles: ["client", "p2p", "static"] });
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    const config: DialConfig = result.config;
    this.dialer = new Dialer({
      ...{ config, side: this, links: this, ports: this, slab: this.#slab, random },
      history: new DialHistory(config, random),
      resolver: { resolve: () => {}, cancel: () => {}, pollAt: () => Number.POSITIVE_INFINITY, poll: () => {} },
      scratch: new Arena(this.#slab, SCRATCH, 2 * SCRATCH),
      cbc: nobleCbc(this.#slab),
      aead: nobleAead(this.#slab),
      decompressors: NO_DECOMPRESSORS,
      control: noblePrimitives,
      tls: fakeTls(random, CERTIFICATE),
      log: {
        enabled: () => true,
        write: (level, event, message, fields = {}) =>
          void this.lines.push(`${level} ${event} ${JSON.stringify(fields)} ${message}`),
      },
      unixSeconds: () => 1_700_000_000 + Math.floor(net.now / 1000),
    });
    net.ends.push(this);
    this.dialer.networkUp(net.now);
  }

  get isUp(): boolean {
    return this.tunnel !== undefined;
  }

  /** Is there no more, from one moment to the other. */
  vanish(): void {
    this.net.ends.splice(this.net.ends.indexOf(this), 1);
    for (const place of this.net.places.keys()) if (place.startsWith(`${this.host}:`)) this.net.places.delete(place);
  }

  /** Somebody says that the way from the listening port to an address takes no more. */
  narrow(to: Endpoint, mtu: number): void {
    for (const [port, receiver] of this.#gates) receiver.narrowed(this.net.now, port, to, mtu);
  }

  /** A packet of so many bytes into the tunnel. */
  say(len: number): void {
    const rows = new Batch(1);
    rows.push(AT, len);
    this.tunnel?.send(this.net.now, rows);
  }

  up(_now: number, tunnel: OpenTunnel): undefined {
    this.ups++;
    this.tunnel = tunnel;
  }

  down(): void {
    this.downs++;
    this.tunnel = undefined;
  }

  deliver(_now: number, rows: Batch): void {
    for (let i = 0; i < rows.count; i++) this.delivered.push(rows.len[i]!);
  }

  refusal = () => undefined;

  open(_now: number, request: LinkRequest, receiver: LinkReceiver): Link {
    return request.protocol === "udp" ? this.#openUdp(request, receiver) : this.#openTcp(request, receiver);
  }

  listen(_now: number, config: ListenConfig, _longest: number, receiver: ListenReceiver): OpenPort | string {
    const own: Endpoint = { address: parseIp(this.host)!, port: config.port };
    const name = formatEndpoint(own);
    if (config.protocol === "tcp") {
      this.net.listeners.set(name, (now, far) => {
        let taker: StreamReceiver | undefined;
        const link = this.#peer(far.at, true, (packet) => far.take(this.net.now, packet), far.end);
        taker = receiver.accepted(now, link);
        if (taker === undefined) return undefined;
        return {
          at: own,
          take: (at, packet) => taker.handleRows(at, this.#rows(packet)),
          end: (at) => taker.ended(at, { kind: "link-closed" }),
        };
      });
      return { drops: () => ({}), close: () => this.net.listeners.delete(name) };
    }
    if (this.net.places.has(name)) return `the local port ${config.port} is in use`;
    const send = (to: Endpoint, packet: Uint8Array): void => this.net.send(own, to, packet);
    const peer = (to: Endpoint): PeerLink => this.#peer(to, false, (packet) => send(to, packet));
    const port: DatagramPort = { config, peer, answer: (_at, to, packet) => send(to, packet) };
    this.#gates.set(port, receiver);
    this.net.places.set(name, (now, from, packet) => {
      const words = wordsOf(from.address);
      receiver.handleDatagrams(now, port, this.#rows(packet), { words, port: Uint16Array.of(from.port) });
    });
    const close = (): void => {
      this.#gates.delete(port);
      this.net.places.delete(name);
    };
    return { dial: peer, drops: () => ({}), close };
  }

  #openUdp({ remote, localPort, float }: LinkRequest, receiver: LinkReceiver): Link {
    const own: Endpoint = { address: parseIp(this.host)!, port: localPort ?? this.#port++ };
    const name = formatEndpoint(own);
    const ways = [remote, remote];
    let peer = 0;
    const isPeer = (from: Endpoint): boolean => formatEndpoint(from) === formatEndpoint(ways[peer]!);
    this.net.places.set(name, (now, from, packet) => {
      if (isPeer(from)) return receiver.handleRows(now, peer, this.#rows(packet));
      if (!float) return;
      ways[1 - peer] = from;
      receiver.handleRows(now, 1 - peer, this.#rows(packet));
    });
    return {
      ...this.#facts(false),
      send: (_now, path, rows) => this.#each(rows, (packet) => this.net.send(own, ways[path]!, packet)),
      sendPacket: (_now, path, packet) => this.net.send(own, ways[path]!, packet),
      settle: (path) => {
        peer = path;
      },
      endpoint: (path) => ways[path]!,
      close: () => void this.net.places.delete(name),
    };
  }

  #openTcp({ remote }: LinkRequest, receiver: LinkReceiver): Link {
    const own: Endpoint = { address: parseIp(this.host)!, port: this.#port++ };
    let far: Stream | undefined;
    const near: Stream = {
      at: own,
      take: (_now, packet) => this.net.fly((at) => receiver.handleRows(at, 0, this.#rows(packet))),
      end: () => this.net.fly((at) => receiver.ended(at, { kind: "link-closed" })),
    };
    const link: Link & { isOpen: boolean } = {
      ...this.#facts(true),
      isOpen: false,
      send: (_now, _path, rows) => this.#each(rows, (packet) => link.sendPacket(0, 0, packet)),
      sendPacket: (_now, _path, packet) => {
        const bytes = packet.slice();
        this.net.fly((at) => far?.take(at, bytes));
      },
      settle: () => {},
      endpoint: () => remote,
      close: () => this.net.fly((at) => far?.end(at)),
    };
    this.net.fly((now) => {
      far = this.net.listeners.get(formatEndpoint(remote))?.(now, near);
      if (far === undefined) return receiver.ended(now, { kind: "link-refused" });
      link.isOpen = true;
      receiver.opened(now);
    });
    return link;
  }

  #facts(isStream: boolean) {
    return {
      ...{ overhead: isStream ? 42 : 28, isStream, mtu: 1500, isOpen: true },
      admit: (rows: Batch) => rows.count,
      sightings: () => NOTHING_SEEN,
      drops: () => ({}),
    };
  }

  #peer(to: Endpoint, isStream: boolean, send: (packet: Uint8Array) => void, end?: (now: number) => void): PeerLink {
    const { overhead, mtu, admit } = this.#facts(isStream);
    return {
      ...{ overhead, isStream, mtu, admit, endpoint: to },
      pathMtu: () => this.known.get(formatEndpoint(to)) ?? Number.POSITIVE_INFINITY,
      send: (_now, rows) => this.#each(rows, send),
      sendPacket: (_now, packet) => send(packet.slice()),
      close: () => end?.(this.net.now),
    };
  }

  #each(rows: Batch, send: (packet: Uint8Array) => void): void {
    for (let i = 0; i < rows.count; i++) send(this.#slab.bytes.slice(rows.at[i]!, rows.at[i]! + rows.len[i]!));
  }

  #rows(packet: Uint8Array): Batch {
    const rows = new Batch(1);
    this.#slab.bytes.set(packet, AT);
    rows.push(AT, packet.length);
    return rows;
  }
}

export { endpoint };
