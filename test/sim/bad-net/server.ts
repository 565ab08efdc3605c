/** A listener of the product in a bad network, which can be killed, left, suspended and started anew. */
import { Batch } from "../../../src/lib/batch.ts";
import { type Endpoint, formatEndpoint } from "../../../src/lib/endpoint.ts";
import { parseIp, wordsOf } from "../../../src/lib/ip.ts";
import { Arena, slabOver } from "../../../src/lib/slab.ts";
import type { ListenConfig } from "../../../src/protocol/config/server-types.ts";
import type { ControlWrap } from "../../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../../src/protocol/data/noble-cbc.ts";
import { NO_DECOMPRESSORS } from "../../../src/protocol/ports.ts";
import type { DatagramPort, ListenPorts, ListenReceiver, OpenPort, PeerLink } from "../../../src/tunnel/listen.ts";
import { Listener } from "../../../src/tunnel/listener.ts";
import { CERTIFICATE } from "../../support/client-config.ts";
import { fakeTls } from "../../support/fake-tls.ts";
import { listenOn, type WholeConfig, wholeConfig } from "../../support/served/config.ts";
import { FakeDesk, FakePasswords } from "../../support/served/desk.ts";
import { FakeSide, type Line } from "../../support/served/world.ts";
import type { BadNet, Host } from "./net.ts";
import { framed, PACKETS_ROOM, Packets, type PacketsReceiver } from "./packets.ts";
import { Pipe } from "./pipe.ts";

export const SERVER: Endpoint = { address: parseIp("203.0.113.1")!, port: 1194 };
const ROOM = 16_384;
const AT = 512;
/** More than that are never open at once. */
const PIPES = 12;

/** Who is at an address that datagrams are sent to. */
export type Place = { readonly host: Host; readonly take: (now: number, from: Endpoint, bytes: Uint8Array) => void };

export class BadServer implements Host, ListenPorts {
  stillUntil = 0;
  readonly lines: Line[] = [];
  readonly desk = new FakeDesk();
  side: FakeSide;
  listener: Listener | undefined;
  /** Clients by their addresses. */
  readonly places = new Map<string, Place>();
  /** Connections, and how this end of one is forgotten. */
  readonly pipes: { readonly pipe: Pipe; readonly forget: () => void }[] = [];
  readonly #net: BadNet;
  readonly #config: WholeConfig;
  readonly #slab = slabOver(new ArrayBuffer(2 * ROOM + PIPES * PACKETS_ROOM));
  readonly #regions = Array.from({ length: PIPES }, (_, i) => 2 * ROOM + i * PACKETS_ROOM);
  readonly #ports = new Map<"udp" | "tcp", { readonly port: DatagramPort; readonly receiver: ListenReceiver }>();

  constructor(net: BadNet, wrap: ControlWrap, change: (base: WholeConfig) => Partial<WholeConfig>) {
    this.#net = net;
    const base = wholeConfig(wrap, { listen: [listenOn("udp"), listenOn("tcp")] });
    this.#config = { ...base, ...change(base) };
    this.side = new FakeSide(this.#slab);
    net.hosts.add(this);
    this.start();
  }

  get isRunning(): boolean {
    return this.listener !== undefined;
  }

  start(): void {
    const { random } = this.#net;
    const cookieKey = new Uint8Array(32);
    random.fill(cookieKey);
    this.desk.guests.clear();
    this.side = new FakeSide(this.#slab);
    this.listener = new Listener({
      ...{
        config: this.#config,
        entrance: this.desk,
        side: this.side,
        ports: this,
        slab: this.#slab,
        random,
        cookieKey,
      },
      passwords: new FakePasswords(),
      log: {
        enabled: () => true,
        write: (level, event, message, fields = {}) => void this.lines.push({ level, event, message, fields }),
      },
      scratch: new Arena(this.#slab, ROOM, 2 * ROOM),
      ...{ aead: nobleAead(this.#slab), cbc: nobleCbc(this.#slab), decompressors: NO_DECOMPRESSORS },
      control: noblePrimitives,
      tls: fakeTls(random, CERTIFICATE),
      unixSeconds: () => this.#net.unixSeconds,
    });
    this.listener.networkUp(this.#net.now);
  }

  /** It is no more, from one moment to the other; the kernel breaks off its connections. */
  kill(): void {
    this.listener = undefined;
    this.#ports.clear();
    for (const { forget } of this.pipes) forget();
    this.cut();
  }

  /** It says goodbye, and is no more. @returns whether it came to that */
  leave(): boolean {
    this.listener?.leave(this.#net.now);
    const left = this.#net.run(10_000, () => this.listener?.left ?? true);
    this.kill();
    return left;
  }

  /** All connections, wherever they are. */
  cut(): void {
    for (const { pipe } of this.pipes.splice(0)) pipe.cut();
  }

  pollAt(): number {
    return this.listener?.pollAt() ?? Number.POSITIVE_INFINITY;
  }

  poll(now: number): void {
    this.listener?.poll(now);
  }

  /** A packet of the tunnel to each client that is in. */
  say(payload: Uint8Array): void {
    for (const client of [...this.side.joined.values()]) {
      const rows = new Batch(1);
      this.#slab.bytes.set(payload, AT);
      rows.push(AT, payload.length);
      client.send(this.#net.now, rows);
    }
  }

  /** From a client. */
  handle(now: number, from: Endpoint, bytes: Uint8Array): void {
    const udp = this.#ports.get("udp");
    if (udp === undefined) return;
    const rows = this.#rows(bytes);
    udp.receiver.handleDatagrams(now, udp.port, rows, {
      words: wordsOf(from.address),
      port: Uint16Array.of(from.port),
    });
  }

  /** A client connects. @returns undefined: nobody listens */
  accept(now: number, host: Host, from: Endpoint, near: Packets): Pipe | undefined {
    const tcp = this.#ports.get("tcp");
    const region = tcp && this.#regions.pop();
    if (tcp === undefined || region === undefined) return undefined;
    let receiver: PacketsReceiver | undefined;
    const forget = (): void => {
      if (far.isOver) return;
      far.isOver = true;
      this.#regions.push(region);
    };
    const far = new Packets(this.#slab, region, {
      handleRows: (at, rows) => receiver?.handleRows(at, rows),
      ended: (at, end) => {
        this.#regions.push(region);
        receiver?.ended(at, end);
      },
    });
    const pipe = new Pipe(this.#net, [host, near], [this, far]);
    const close = (): void => {
      forget();
      pipe.close(1);
    };
    const write = (bytes: Uint8Array): void => pipe.write(1, bytes);
    receiver = tcp.receiver.accepted(now, { ...this.#link(from, true, write), close });
    if (receiver === undefined) close();
    this.pipes.push({ pipe, forget });
    return pipe;
  }

  listen(_now: number, config: ListenConfig, _longest: number, receiver: ListenReceiver): OpenPort {
    const peer = (to: Endpoint): PeerLink => this.#link(to, false, (bytes) => this.#answer(to, bytes));
    const port: DatagramPort = { config, peer, answer: (_at, to, bytes) => this.#answer(to, bytes) };
    this.#ports.set(config.protocol, { port, receiver });
    return { drops: () => ({}), close: () => void this.#ports.delete(config.protocol) };
  }

  #answer(to: Endpoint, bytes: Uint8Array): void {
    const place = this.places.get(formatEndpoint(to));
    if (place !== undefined) this.#net.datagram(bytes, place.host, (now, sent) => place.take(now, SERVER, sent));
  }

  #link(endpoint: Endpoint, isStream: boolean, write: (bytes: Uint8Array) => void): PeerLink {
    const slab = this.#slab;
    return {
      ...{ overhead: isStream ? 42 : 28, isStream, mtu: 1500, endpoint, admit: (rows) => rows.count, close: () => {} },
      send: (_now, rows) => {
        if (isStream) return write(framed(slab, rows));
        for (let i = 0; i < rows.count; i++) write(slab.bytes.subarray(rows.at[i]!, rows.at[i]! + rows.len[i]!));
      },
      sendPacket: (_now, bytes) =>
        write(isStream ? Uint8Array.from([bytes.length >> 8, bytes.length, ...bytes]) : bytes),
    };
  }

  #rows(bytes: Uint8Array): Batch {
    const rows = new Batch(1);
    this.#slab.bytes.set(bytes, AT);
    rows.push(AT, bytes.length);
    return rows;
  }
}
