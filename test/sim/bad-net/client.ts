/** A dialer of the product in a bad network, which can be killed, suspended, told of another network and started anew. */
import { Batch } from "../../../src/lib/batch.ts";
import { type Endpoint, formatEndpoint } from "../../../src/lib/endpoint.ts";
import { parseIp } from "../../../src/lib/ip.ts";
import { Arena, slabOver } from "../../../src/lib/slab.ts";
import type { ClientConfig } from "../../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../../src/protocol/data/noble-cbc.ts";
import { NO_DECOMPRESSORS } from "../../../src/protocol/ports.ts";
import { NOTHING_SEEN } from "../../../src/protocol/session/sightings.ts";
import { Dialer } from "../../../src/tunnel/dialer.ts";
import { DialHistory } from "../../../src/tunnel/history.ts";
import type { Link, LinkFactory, LinkReceiver, LinkRequest } from "../../../src/tunnel/link.ts";
import type { Resolution, Resolver } from "../../../src/tunnel/resolve.ts";
import type { OpenTunnel, TunnelSide } from "../../../src/tunnel/side.ts";
import { CERTIFICATE } from "../../support/client-config.ts";
import { fakeTls } from "../../support/fake-tls.ts";
import type { Line } from "../../support/served/world.ts";
import type { BadNet, Host } from "./net.ts";
import { framed, PACKETS_ROOM, Packets } from "./packets.ts";
import type { Pipe } from "./pipe.ts";
import { type BadServer, SERVER } from "./server.ts";

const ROOM = 16_384;
const AT = 512;

export class BadClient implements Host, TunnelSide, LinkFactory {
  stillUntil = 0;
  readonly lan = [];
  readonly lines: (Line & { readonly at: number })[] = [];
  readonly received: Uint8Array[] = [];
  tunnel: OpenTunnel | undefined;
  dialer: Dialer;
  readonly #net: BadNet;
  readonly #server: BadServer;
  readonly #config: ClientConfig;
  readonly #slab = slabOver(new ArrayBuffer(2 * ROOM + PACKETS_ROOM));
  #port = 40_000;
  /** The end of its connection. */
  #near: Packets | undefined;

  constructor(net: BadNet, server: BadServer, config: ClientConfig) {
    this.#net = net;
    this.#server = server;
    this.#config = config;
    this.dialer = this.#start();
    net.hosts.add(this);
  }

  /** It is no more, from one moment to the other, and is started again. */
  restart(): void {
    this.#server.places.clear();
    if (this.#near !== undefined) this.#near.isOver = true;
    this.#server.cut();
    this.tunnel = undefined;
    this.dialer = this.#start();
  }

  pollAt(): number {
    return this.dialer.pollAt();
  }

  poll(now: number): void {
    this.dialer.poll(now);
  }

  /** A packet into the tunnel. */
  say(payload: Uint8Array): void {
    const rows = new Batch(1);
    this.#slab.bytes.set(payload, AT);
    rows.push(AT, payload.length);
    this.tunnel?.send(this.#net.now, rows);
  }

  up(_now: number, tunnel: OpenTunnel): undefined {
    this.tunnel = tunnel;
  }

  down(): void {
    this.tunnel = undefined;
  }

  deliver(_now: number, rows: Batch): void {
    for (let i = 0; i < rows.count; i++)
      this.received.push(this.#slab.bytes.slice(rows.at[i]!, rows.at[i]! + rows.len[i]!));
  }

  refusal = () => undefined;

  open(_now: number, request: LinkRequest, receiver: LinkReceiver): Link {
    const own: Endpoint = { address: parseIp("198.51.100.7")!, port: this.#port++ };
    return request.protocol === "udp" ? this.#openUdp(own, receiver) : this.#openTcp(own, receiver);
  }

  #start(): Dialer {
    const net = this.#net;
    const { random } = net;
    const dialer = new Dialer({
      ...{ config: this.#config, side: this, links: this, slab: this.#slab, random, control: noblePrimitives },
      history: new DialHistory(this.#config, random),
      resolver: new BadResolver(net),
      scratch: new Arena(this.#slab, ROOM, 2 * ROOM),
      ...{ aead: nobleAead(this.#slab), cbc: nobleCbc(this.#slab), decompressors: NO_DECOMPRESSORS },
      tls: fakeTls(random, CERTIFICATE),
      log: {
        enabled: () => true,
        write: (level, event, message, fields = {}) =>
          void this.lines.push({ level, event, message, fields, at: net.now }),
      },
      unixSeconds: () => net.unixSeconds,
    });
    dialer.networkUp(net.now);
    return dialer;
  }

  #openUdp(own: Endpoint, receiver: LinkReceiver): Link {
    const { places } = this.#server;
    const name = formatEndpoint(own);
    places.set(name, { host: this, take: (now, _from, bytes) => receiver.handleRows(now, 0, this.#rows(bytes)) });
    const write = (packet: Uint8Array): void =>
      this.#net.datagram(packet, this.#server, (now, bytes) => this.#server.handle(now, own, bytes));
    const { bytes } = this.#slab;
    return {
      ...FACTS,
      ...{ overhead: 28, isStream: false, isOpen: true },
      send: (_now, _path, rows) => {
        for (let i = 0; i < rows.count; i++) write(bytes.subarray(rows.at[i]!, rows.at[i]! + rows.len[i]!));
      },
      sendPacket: (_now, _path, packet) => write(packet),
      close: () => void places.delete(name),
    };
  }

  #openTcp(own: Endpoint, receiver: LinkReceiver): Link {
    const net = this.#net;
    let pipe: Pipe | undefined;
    const near = new Packets(this.#slab, 2 * ROOM, {
      handleRows: (now, rows) => receiver.handleRows(now, 0, rows),
      ended: (now, end) => {
        link.isOpen = false;
        receiver.ended(now, end);
      },
    });
    this.#near = near;
    const link: Link & { isOpen: boolean } = {
      ...FACTS,
      ...{ overhead: 42, isStream: true, isOpen: false },
      send: (_now, _path, rows) => pipe?.write(0, framed(this.#slab, rows)),
      sendPacket: (_now, _path, packet) =>
        pipe?.write(0, Uint8Array.from([packet.length >> 8, packet.length, ...packet])),
      close: () => {
        near.isOver = true;
        pipe?.close(0);
      },
    };
    net.later(net.delay(), (now) => {
      if (net.isDown || net.isStill(this.#server) || near.isOver) return;
      pipe = this.#server.accept(now, this, own, near);
      net.later(net.delay(), (at) => {
        if (near.isOver || net.isDown) return;
        if (pipe === undefined) return near.ended(at, { kind: "link-refused" });
        link.isOpen = true;
        receiver.opened(at);
      });
    });
    return link;
  }

  #rows(packet: Uint8Array): Batch {
    const rows = new Batch(1);
    this.#slab.bytes.set(packet, AT);
    rows.push(AT, packet.length);
    return rows;
  }
}

const FACTS = {
  ...{ mtu: 1500, admit: (rows: Batch) => rows.count, settle: () => {}, endpoint: () => SERVER },
  ...{ sightings: () => NOTHING_SEEN, drops: () => ({}) },
};

/** Answers at once, or, when nothing gets through, after the time of a resolver that gives up. */
class BadResolver implements Resolver {
  readonly #net: BadNet;
  #waiting: { readonly at: number; readonly done: (now: number, result: Resolution) => void } | undefined;

  constructor(net: BadNet) {
    this.#net = net;
  }

  resolve(now: number, _name: string, _family: unknown, done: (now: number, result: Resolution) => void): void {
    this.#waiting = { at: now + (this.#net.isDown ? 5000 : 5), done };
  }

  cancel(): void {
    this.#waiting = undefined;
  }

  pollAt(): number {
    return this.#waiting?.at ?? Number.POSITIVE_INFINITY;
  }

  poll(now: number): void {
    const waiting = this.#waiting;
    if (waiting === undefined || waiting.at > now) return;
    this.#waiting = undefined;
    const { isDown } = this.#net;
    waiting.done(
      now,
      isDown
        ? { ok: false, text: "no name server answers" }
        : { ok: true, addresses: [SERVER.address], note: undefined },
    );
  }
}
