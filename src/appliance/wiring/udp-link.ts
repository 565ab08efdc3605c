/** Links over UDP sockets of the WAN. */
import { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress } from "../../lib/ip.ts";
import { Drop } from "../../netstack/drop.ts";
import type { EthernetInterface } from "../../netstack/interface.ts";
import type { DatagramSink, UdpError, UdpSocket } from "../../netstack/socket/udp-socket.ts";
import { ICMP_UNREACHABLE } from "../../netstack/wire/icmpv4.ts";
import type { Sightings } from "../../protocol/session/sightings.ts";
import type { Link, LinkFactory, LinkReceiver, LinkRequest } from "../../tunnel/link.ts";

/** IPv4 and UDP in front of every packet. */
const OVERHEAD = 28;
/** Datagrams that are handed over at once. */
const ROWS = 1024;

/** What the codes of "destination unreachable" say (RFC 792, RFC 1812 5.2.7.1); 4 is path MTU discovery. */
const UNREACHABLE: readonly Sightings["unreachable"][] = Object.freeze([
  ...(["network", "host", undefined, "port", undefined, undefined, "network", "host"] as const),
  ...([undefined, "prohibited", "prohibited", "network", "host", "prohibited"] as const),
]);

export class UdpLinks implements LinkFactory {
  readonly #wan: EthernetInterface;
  /** Addresses of the other side of the router, where no remote can be. */
  readonly #lan: () => IpAddress | undefined;
  readonly #open = new Set<UdpLink>();

  constructor(wan: EthernetInterface, lan: () => IpAddress | undefined) {
    this.#wan = wan;
    this.#lan = lan;
  }

  open(request: LinkRequest, receiver: LinkReceiver): Link | string {
    const { protocol, localPort } = request;
    if (protocol !== "udp") return "TCP is not available yet";
    const link = new UdpLink(this.#wan, request, receiver, () => this.#open.delete(link));
    if (!link.bind(localPort ?? 0)) return `the local port ${localPort} is in use`;
    this.#open.add(link);
    return link;
  }

  refusal(address: IpAddress): string | undefined {
    const own = this.#wan.address;
    if (this.#lan()?.equals(address) === true || own?.address.equals(address) === true) return "our own address";
    if (own?.isNetworkOrBroadcast(address) === true) return "the network's or the broadcast address of the WAN";
    return undefined;
  }

  /** Hands over what was collected. Rows live until the device receives again. */
  drain(now: number): void {
    for (const link of this.#open) link.drain(now);
  }

  /** Forgets what was collected. */
  discard(): void {
    for (const link of this.#open) link.batch.clear();
  }

  closeAll(): void {
    for (const link of [...this.#open]) link.close();
  }
}

/** Paths: the peer, and the last address beside it that something came from. */
class UdpLink implements Link, DatagramSink {
  readonly overhead = OVERHEAD;
  readonly isStream = false;
  readonly batch = new Batch(ROWS);
  readonly #wan: EthernetInterface;
  readonly #receiver: LinkReceiver;
  readonly #float: boolean;
  readonly #closed: () => void;
  readonly #endpoints: [Endpoint, Endpoint];
  #socket: UdpSocket | undefined;
  /** The path of the peer: 0 or 1. */
  #peer = 0;
  /** The last stranger, as it stands in headers. */
  #strangerWord = 0;
  #strangerPort = 0;
  #unreachable: Sightings["unreachable"];
  readonly #before: { readonly damaged: number; readonly otherPort: number };

  constructor(wan: EthernetInterface, { remote, float }: LinkRequest, receiver: LinkReceiver, closed: () => void) {
    this.#wan = wan;
    this.#receiver = receiver;
    this.#float = float;
    this.#closed = closed;
    this.#endpoints = [remote, remote];
    this.#before = this.#drops();
  }

  get mtu(): number {
    return this.#wan.mtu;
  }

  /** @returns whether the port is free */
  bind(port: number): boolean {
    const onError = (_now: number, error: UdpError): void => this.#refused(error);
    this.#socket = this.#wan.bindUdp(port, { onDatagram: () => {}, onError });
    this.settle(0);
    return this.#socket !== undefined;
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
    this.#peer = path;
    const { address, port } = this.endpoint(path);
    this.#socket?.collect(this, address, port);
  }

  endpoint(path: number): Endpoint {
    return this.#endpoints[path] as Endpoint;
  }

  drain(now: number): void {
    if (this.batch.count === 0) return;
    this.#receiver.handleRows(now, this.#peer, this.batch);
    this.batch.clear();
  }

  stranger(now: number, src: number, srcPort: number, at: number, len: number): boolean {
    this.#strangerWord = src;
    this.#strangerPort = srcPort;
    if (!this.#float) return false;
    // In the order of arrival.
    this.drain(now);
    const path = 1 - this.#peer;
    const { address, port } = this.endpoint(path);
    if (address.w3 !== src || port !== srcPort)
      this.#endpoints[path] = { address: IpAddress.fromIpv4(src), port: srcPort };
    this.batch.push(at, len);
    this.#receiver.handleRows(now, path, this.batch);
    this.batch.clear();
    return true;
  }

  sightings(): Omit<Sightings, "otherKey"> {
    const { damaged, otherPort } = this.#drops();
    const address = IpAddress.fromIpv4(this.#strangerWord);
    return {
      stranger: address.isHost ? { address, port: this.#strangerPort } : undefined,
      unreachable: this.#unreachable,
      damaged: damaged - this.#before.damaged,
      otherPort: otherPort - this.#before.otherPort,
    };
  }

  close(): void {
    this.#socket?.stopCollecting();
    if (this.#socket !== undefined) this.#wan.closeUdp(this.#socket);
    this.#socket = undefined;
    this.batch.clear();
    this.#closed();
  }

  #refused({ type, code, dst, dstPort }: UdpError): void {
    const { address, port } = this.endpoint(this.#peer);
    if (type === ICMP_UNREACHABLE && dst.equals(address) && dstPort === port) this.#unreachable = UNREACHABLE[code];
  }

  #drops(): { damaged: number; otherPort: number } {
    const { drops } = this.#wan;
    return { damaged: drops.values[Drop.UdpBadChecksum]!, otherPort: drops.values[Drop.UdpNoPort]! };
  }
}
