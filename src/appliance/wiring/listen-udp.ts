/**
 * A UDP port of the WAN that is listened on: everybody's datagrams of a turn, as rows with their sources. What comes to one address
 * of ours is a port of its own to the receiver, so that who asked there is answered from there.
 */
import { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { wordsOf } from "../../lib/ip.ts";
import { Drop, type DropCode } from "../../netstack/drop.ts";
import type { EthernetInterface } from "../../netstack/interface.ts";
import { MAX_ADDRESSES } from "../../netstack/ip6/addressing.ts";
import { MtuProbe } from "../../netstack/socket/mtu-probe.ts";
import type { OpenSink, UdpError, UdpSocket } from "../../netstack/socket/udp-socket.ts";
import type { ListenConfig } from "../../protocol/config/server-types.ts";
import { UDP_OVERHEAD } from "../../tunnel/link.ts";
import type { DatagramPort, ListenReceiver, OpenPort, PeerLink, Sources } from "../../tunnel/listen.ts";
import { type Listening, takes } from "./listening.ts";
import { pathMtuTo } from "./udp-link.ts";

/** Datagrams to one address that are handed over at once; a turn has no more. */
const ROWS = 1024;
/** IPv4's and those of IPv6. */
const MAX_OWN = 1 + MAX_ADDRESSES;

export interface UdpListenerOptions {
  readonly wan: EthernetInterface;
  readonly port: number;
  /** Nobody listens there any more. */
  readonly closed: () => void;
}

export class UdpListener implements Listening, OpenSink {
  readonly #options: UdpListenerOptions;
  readonly #places: Place[] = [];
  #socket: UdpSocket | undefined;

  constructor(options: UdpListenerOptions) {
    this.#options = options;
  }

  /** @returns whether the port is free */
  bind(): boolean {
    const onError = (now: number, error: UdpError): void => this.#refused(now, error);
    this.#socket = this.#options.wan.bindUdp(this.#options.port, { onDatagram: () => {}, onError });
    this.#socket?.collectAll(this);
    return this.#socket !== undefined;
  }

  add(config: ListenConfig, _longest: number, receiver: ListenReceiver): OpenPort {
    const place = new Place(config, receiver);
    this.#places.push(place);
    return {
      dial: (endpoint) => {
        const own = config.address && Int32Array.from(wordsOf(config.address));
        return new UdpPeer(this.#options.wan, this.#socket as UdpSocket, endpoint, own);
      },
      drops: () => ({}),
      close: () => {
        const i = this.#places.indexOf(place);
        if (i >= 0) this.#places.splice(i, 1);
        if (this.#places.length > 0 || this.#socket === undefined) return;
        this.#options.wan.closeUdp(this.#socket);
        this.#socket = undefined;
        this.#options.closed();
      },
    };
  }

  datagram(src: Int32Array, srcPort: number, dst: Int32Array, at: number, len: number): DropCode {
    for (const place of this.#places)
      if (takes(place.config, dst))
        return (place.find(dst) ?? this.#open(place, dst))?.collect(src, srcPort, at, len) ?? Drop.UdpQueueFull;
    return Drop.UdpNoPort;
  }

  /** Hands over what was collected. @returns whether there is more: there never is */
  endTurn(now: number): boolean {
    for (const { receiver, ports } of this.#places) for (const port of ports) port.handOver(now, receiver);
    return false;
  }

  discard(): void {
    for (const { ports } of this.#places) for (const port of ports) port.rows.clear();
  }

  /** What is too big for the way to a client is told whoever listens at the address of ours that it was sent from. */
  #refused(now: number, { mtu, src, dst, dstPort }: UdpError): void {
    if (mtu === 0) return;
    const own = Int32Array.from(wordsOf(src));
    for (const place of this.#places) {
      const port = place.find(own);
      if (port === undefined) continue;
      place.receiver.narrowed(now, port, { address: dst, port: dstPort }, mtu);
      return;
    }
  }

  /**
   * Addresses come and go: the oldest port of which nothing waits is the new one's then, so that a receiver knows of no more ports than
   * there can be addresses. Ways to clients go on from where they were. @returns undefined: something waits at each
   */
  #open({ config, ports }: Place, own: Int32Array): UdpPort | undefined {
    const i = ports.length < MAX_OWN ? -1 : ports.findIndex(({ rows }) => rows.count === 0);
    if (i < 0 && ports.length === MAX_OWN) return undefined;
    const port = ports.splice(i, i < 0 ? 0 : 1)[0] ?? new UdpPort(this.#options.wan, this.#socket as UdpSocket, config);
    port.own = Int32Array.from(own);
    ports.push(port);
    return port;
  }
}

class Place {
  readonly config: ListenConfig;
  readonly receiver: ListenReceiver;
  /** By address of ours. */
  readonly ports: UdpPort[] = [];

  constructor(config: ListenConfig, receiver: ListenReceiver) {
    this.config = config;
    this.receiver = receiver;
  }

  find(own: Int32Array): UdpPort | undefined {
    for (const port of this.ports) {
      const { own: words } = port;
      if (words[3] === own[3] && words[2] === own[2] && words[1] === own[1] && words[0] === own[0]) return port;
    }
    return undefined;
  }
}

/** What comes to one of our addresses, and what goes from it. */
class UdpPort implements DatagramPort {
  readonly config: ListenConfig;
  /** One of ours; none yet. */
  own = new Int32Array(4);
  readonly rows = new Batch(ROWS);
  readonly #sources: Sources = { words: new Int32Array(4 * ROWS), port: new Uint16Array(ROWS) };
  readonly #wan: EthernetInterface;
  readonly #socket: UdpSocket;

  constructor(wan: EthernetInterface, socket: UdpSocket, config: ListenConfig) {
    this.#wan = wan;
    this.#socket = socket;
    this.config = config;
  }

  collect(src: Int32Array, srcPort: number, at: number, len: number): DropCode {
    const row = this.rows.push(at, len);
    if (row < 0) return Drop.UdpQueueFull;
    this.#sources.words.set(src, 4 * row);
    this.#sources.port[row] = srcPort;
    return Drop.None;
  }

  handOver(now: number, receiver: ListenReceiver): void {
    if (this.rows.count > 0) receiver.handleDatagrams(now, this, this.rows, this.#sources);
    this.rows.clear();
  }

  answer(now: number, { address, port }: Endpoint, packet: Uint8Array): void {
    this.#wan.sendUdp(now, this.#socket, address, port, packet, undefined, this.own);
  }

  peer(endpoint: Endpoint): PeerLink {
    return new UdpPeer(this.#wan, this.#socket, endpoint, this.own);
  }
}

class UdpPeer implements PeerLink {
  readonly isStream = false;
  readonly endpoint: Endpoint;
  readonly overhead: number;
  readonly #wan: EthernetInterface;
  readonly #socket: UdpSocket;
  /** Which of our addresses is sent from; undefined: the one that leads there. */
  readonly #own: Int32Array | undefined;
  readonly #probe = new MtuProbe();

  constructor(wan: EthernetInterface, socket: UdpSocket, endpoint: Endpoint, own: Int32Array | undefined) {
    this.#wan = wan;
    this.#socket = socket;
    this.endpoint = endpoint;
    this.#own = own;
    this.overhead = endpoint.address.isIpv4 ? UDP_OVERHEAD.ipv4 : UDP_OVERHEAD.ipv6;
  }

  get mtu(): number {
    const { link, v6 } = this.#wan;
    return Math.min(link.mtu, this.endpoint.address.isIpv4 ? link.mtu : v6.addressing.mtu);
  }

  pathMtu(now: number): number {
    return pathMtuTo(this.#wan, now, this.endpoint.address);
  }

  admit(rows: Batch): number {
    return rows.count;
  }

  send(now: number, rows: Batch): void {
    const { address, port } = this.endpoint;
    this.#wan.sendUdpBatch(now, this.#socket, address, port, rows, this.#own, this.#probe);
  }

  sendPacket(now: number, packet: Uint8Array): void {
    const { address, port } = this.endpoint;
    this.#wan.sendUdp(now, this.#socket, address, port, packet, undefined, this.#own);
  }

  close(): void {}
}
