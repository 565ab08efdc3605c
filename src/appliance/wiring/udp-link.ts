/** A link over a UDP socket of the WAN. */
import { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress, wordsOf } from "../../lib/ip.ts";
import { Drop, type DropCode } from "../../netstack/drop.ts";
import type { EthernetInterface } from "../../netstack/interface.ts";
import type { DatagramSink, UdpError, UdpSocket } from "../../netstack/socket/udp-socket.ts";
import { ICMP_UNREACHABLE } from "../../netstack/wire/icmpv4.ts";
import { ICMPV6_UNREACHABLE } from "../../netstack/wire/icmpv6.ts";
import type { Sightings } from "../../protocol/session/sightings.ts";
import { type Link, type LinkReceiver, type LinkRequest, UDP_OVERHEAD } from "../../tunnel/link.ts";

/** Datagrams that are handed over at once. */
const ROWS = 1024;
/** With float: datagrams from elsewhere than the peer in one turn, whose keys have to be tried. */
const STRANGERS = 256;

/** What the codes of "destination unreachable" say (RFC 792, RFC 1812 5.2.7.1); 4 is path MTU discovery. */
const UNREACHABLE: readonly Sightings["unreachable"][] = Object.freeze([
  ...(["network", "host", undefined, "port", undefined, undefined, "network", "host"] as const),
  ...([undefined, "prohibited", "prohibited", "network", "host", "prohibited"] as const),
]);

/** The same of ICMPv6 (RFC 4443 3.1). */
const UNREACHABLE6: readonly Sightings["unreachable"][] = Object.freeze([
  ...(["network", "prohibited", undefined, "host", "port", "prohibited", "prohibited"] as const),
]);

/**
 * Paths: the peer, and the last address beside it that something came from. That one is the words of an address while packets
 * come; an endpoint is made of them when somebody asks.
 */
export class UdpLink implements Link, DatagramSink {
  readonly overhead: number;
  readonly isStream = false;
  readonly isOpen = true;
  readonly batch = new Batch(ROWS);
  readonly #wan: EthernetInterface;
  readonly #receiver: LinkReceiver;
  readonly #float: boolean;
  readonly #closed: () => void;
  #remote: Endpoint;
  #socket: UdpSocket | undefined;
  /** The path of the peer: 0 or 1. */
  #peer = 0;
  /** The other path. */
  readonly #other = new Int32Array(4);
  #otherPort = 0;
  /** With float: what came from elsewhere in this turn, and from where. */
  readonly #strangers = new Batch(STRANGERS);
  readonly #words = new Int32Array(4 * STRANGERS);
  readonly #ports = new Uint16Array(STRANGERS);
  /** Rows of one of them. */
  readonly #run = new Batch(STRANGERS);
  #strangersOfTurn = 0;
  /** Without float: whether the other path is where an answer came from, and how many datagrams were none. */
  #isAnsweredThence = false;
  #others = 0;
  #unreachable: Sightings["unreachable"];
  readonly #before: { readonly damaged: number; readonly otherPort: number };

  constructor(wan: EthernetInterface, { remote, float }: LinkRequest, receiver: LinkReceiver, closed: () => void) {
    this.#wan = wan;
    this.#receiver = receiver;
    this.#float = float;
    this.#closed = closed;
    this.#remote = remote;
    this.overhead = remote.address.isIpv4 ? UDP_OVERHEAD.ipv4 : UDP_OVERHEAD.ipv6;
    this.#before = this.#drops();
  }

  get mtu(): number {
    return this.isIpv6 ? Math.min(this.#wan.link.mtu, this.#wan.v6.addressing.mtu) : this.#wan.mtu;
  }

  pathMtu(now: number): number {
    return pathMtuTo(this.#wan, now, this.#remote.address);
  }

  get isIpv6(): boolean {
    return !this.#remote.address.isIpv4;
  }

  /** @returns whether the port is free */
  bind(port: number): boolean {
    const onError = (now: number, error: UdpError): void => this.#refused(now, error);
    this.#socket = this.#wan.bindUdp(port, { onDatagram: () => {}, onError });
    this.settle(0);
    return this.#socket !== undefined;
  }

  admit(rows: Batch): number {
    return rows.count;
  }

  send(now: number, path: number, rows: Batch): void {
    const { address, port } = this.endpoint(path);
    if (this.#socket !== undefined) this.#wan.sendUdpBatch(now, this.#socket, address, port, rows);
  }

  sendPacket(now: number, path: number, packet: Uint8Array): void {
    const { address, port } = this.endpoint(path);
    if (this.#socket !== undefined) this.#wan.sendUdp(now, this.#socket, address, port, packet);
  }

  settle(path: number): void {
    const before = this.#remote;
    this.#remote = this.endpoint(path);
    if (path !== this.#peer) {
      this.#peer = path;
      this.#other.set(wordsOf(before.address));
      this.#otherPort = before.port;
    }
    this.#socket?.collect(this, this.#remote.address, this.#remote.port);
  }

  endpoint(path: number): Endpoint {
    if (path === this.#peer) return this.#remote;
    const [w0, w1, w2, w3] = this.#other;
    return { address: new IpAddress(w0!, w1!, w2!, w3!), port: this.#otherPort };
  }

  /** Hands over what was collected: the peer's rows, then those of each other address that follow each other. */
  drain(now: number): void {
    if (this.batch.count > 0) this.#receiver.handleRows(now, this.#peer, this.batch);
    this.batch.clear();
    for (let i = 0; i < this.#strangers.count; ) i = this.#handOver(now, i);
    this.#strangers.clear();
  }

  /** @returns whether there is more: there never is */
  endTurn(now: number): boolean {
    this.drain(now);
    this.#strangersOfTurn = 0;
    return false;
  }

  discard(): void {
    this.batch.clear();
    this.#strangers.clear();
    this.#strangersOfTurn = 0;
  }

  stranger(src: Int32Array, srcPort: number, at: number, len: number): DropCode {
    if (!this.#float) {
      this.#see(src, srcPort, at, len);
      return Drop.UdpWrongPeer;
    }
    if (this.#strangersOfTurn === STRANGERS) return Drop.UdpStrangerLimit;
    this.#strangersOfTurn++;
    const row = this.#strangers.push(at, len);
    this.#words.set(src, 4 * row);
    this.#ports[row] = srcPort;
    return Drop.None;
  }

  sightings(): Omit<Sightings, "otherKey"> {
    const { damaged, otherPort } = this.#drops();
    return {
      stranger: this.#isAnsweredThence ? this.endpoint(1 - this.#peer) : undefined,
      others: this.#others,
      unreachable: this.#unreachable,
      damaged: damaged - this.#before.damaged,
      otherPort: otherPort - this.#before.otherPort,
    };
  }

  drops(): Record<string, number> {
    return {};
  }

  close(): void {
    this.#socket?.stopCollecting();
    if (this.#socket !== undefined) this.#wan.closeUdp(this.#socket);
    this.#socket = undefined;
    this.discard();
    this.#closed();
  }

  /** Rows of one stranger, from row `first` on. @returns the row behind them */
  #handOver(now: number, first: number): number {
    const words = this.#words;
    const from = 4 * first;
    const port = this.#ports[first]!;
    const { at, len, count } = this.#strangers;
    const run = this.#run;
    let i = first;
    run.clear();
    for (; i < count && same(words, 4 * i, from) && this.#ports[i] === port; i++) run.push(at[i]!, len[i]!);
    // Rows before these may have made it the peer.
    const { address, port: remotePort } = this.#remote;
    const isPeer = port === remotePort && wordsOf(address).every((word, k) => word === words[from + k]);
    if (!isPeer) {
      for (let k = 0; k < 4; k++) this.#other[k] = words[from + k]!;
      this.#otherPort = port;
    }
    this.#receiver.handleRows(now, isPeer ? this.#peer : 1 - this.#peer, run);
    return i;
  }

  #see(src: Int32Array, srcPort: number, at: number, len: number): void {
    if (this.#isAnsweredThence) return;
    if (this.#receiver.looksLikeAnswer(at, len)) {
      this.#isAnsweredThence = true;
      this.#other.set(src);
      this.#otherPort = srcPort;
    } else this.#others++;
  }

  #refused(now: number, { type, code, mtu, dst, dstPort }: UdpError): void {
    const { address, port } = this.endpoint(this.#peer);
    if (!dst.equals(address) || dstPort !== port) return;
    if (mtu > 0) return this.#receiver.narrowed(now, dst, mtu);
    if (dst.isIpv4 && type === ICMP_UNREACHABLE) this.#unreachable = UNREACHABLE[code];
    if (!dst.isIpv4 && type === ICMPV6_UNREACHABLE) this.#unreachable = UNREACHABLE6[code];
    if (this.#unreachable !== undefined) this.#receiver.unreachable(now);
  }

  #drops(): { damaged: number; otherPort: number } {
    const { drops } = this.#wan;
    return { damaged: drops.values[Drop.UdpBadChecksum]!, otherPort: drops.values[Drop.UdpNoPort]! };
  }
}

/** What the WAN's IP knows of the way to an address: it asks no more there with larger packets, and sends those of IPv6 in fragments. */
export const pathMtuTo = ({ v6 }: EthernetInterface, now: number, address: IpAddress): number =>
  v6.output.pathMtu.get(now, wordsOf(address));

/** Whether the addresses at two places of the words are the same. */
const same = (words: Int32Array, a: number, b: number): boolean =>
  words[a + 3] === words[b + 3] &&
  words[a + 2] === words[b + 2] &&
  words[a + 1] === words[b + 1] &&
  words[a] === words[b];
