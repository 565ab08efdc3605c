/**
 * A link over the UDP relay of a SOCKS proxy: datagrams go to the relay, and the connection over which the proxy was asked stays open
 * beside them; with it the relay ends.
 */
import type { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { Slab } from "../lib/slab.ts";
import { NOTHING_SEEN, type Sightings } from "../protocol/session/sightings.ts";
import type { Link, LinkReceiver, LinkRequest } from "../tunnel/link.ts";
import type { ProxyDialogue } from "../tunnel/proxy/dialogue.ts";
import { SocksDatagrams } from "../tunnel/proxy/socks-datagrams.ts";
import type { KernelTcpLink } from "./tcp-link.ts";
import { KERNEL_UDP_OVERHEAD, type KernelUdpLink } from "./udp-link.ts";

export interface KernelSocksLinkOptions {
  readonly request: LinkRequest & { readonly proxy: NonNullable<LinkRequest["proxy"]> };
  readonly receiver: LinkReceiver;
  readonly slab: Slab;
  /** What the device on the way to the proxy takes. */
  readonly mtu: number;
  /** Makes the connection to the proxy, over which `request` is asked. */
  readonly ask: (request: LinkRequest, receiver: LinkReceiver) => KernelTcpLink;
  /** Opens a socket to the relay. @returns a string: why there is none */
  readonly open: (request: LinkRequest, receiver: LinkReceiver) => KernelUdpLink | string;
  readonly closed: () => void;
}

export class KernelSocksLink implements Link {
  readonly isStream = false;
  readonly #options: KernelSocksLinkOptions;
  readonly #framing: SocksDatagrams;
  readonly #connection: KernelTcpLink;
  #udp: KernelUdpLink | undefined;
  #isClosed = false;

  constructor(options: KernelSocksLinkOptions) {
    this.#options = options;
    const { request, receiver, slab, ask } = options;
    this.#framing = new SocksDatagrams(slab, request.proxy.server);
    let relay: Endpoint | undefined;
    const { dialogue, server } = request.proxy;
    const listening: ProxyDialogue = {
      isForDatagrams: true,
      begin: () => dialogue.begin(),
      feed: (bytes) => {
        const step = dialogue.feed(bytes);
        if (step.kind === "open") relay = step.relay;
        return step;
      },
    };
    this.#connection = ask(
      { ...request, protocol: "tcp", localPort: undefined, proxy: { dialogue: listening, server } },
      {
        opened: (now) => this.#opened(now, relay),
        narrowed: () => {},
        unreachable: () => {},
        ended: (now, end) => receiver.ended(now, end),
        // There is nothing left to be said.
        handleRows: () => {},
        looksLikeAnswer: () => false,
      },
    );
  }

  /** @returns why not, in words */
  connect(): string | undefined {
    return this.#connection.connect();
  }

  get isOpen(): boolean {
    return this.#udp !== undefined;
  }

  /** Of the relay, once it is known: it may have an address of another family than the proxy. */
  get overhead(): number {
    const { address } = this.#udp?.endpoint(0) ?? this.#options.request.remote;
    return (address.isIpv4 ? KERNEL_UDP_OVERHEAD.ipv4 : KERNEL_UDP_OVERHEAD.ipv6) + this.#framing.overhead;
  }

  get mtu(): number {
    return this.#udp?.mtu ?? this.#options.mtu;
  }

  admit(rows: Batch): number {
    return rows.count;
  }

  send(now: number, _path: number, rows: Batch): void {
    this.#framing.wrap(rows);
    this.#udp?.send(now, 0, rows);
  }

  sendPacket(now: number, _path: number, packet: Uint8Array): void {
    this.#udp?.sendPacket(now, 0, this.#framing.wrapPacket(packet));
  }

  /** There is one path. */
  settle(): void {}

  endpoint(): Endpoint {
    return this.#options.request.proxy.server;
  }

  sightings(): Omit<Sightings, "otherKey"> {
    return this.#udp?.sightings() ?? NOTHING_SEEN;
  }

  drops(): Record<string, number> {
    return { ...this.#udp?.drops(), "socks-malformed": this.#framing.malformed };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#udp?.close();
    this.#udp = undefined;
    this.#connection.close();
    this.#options.closed();
  }

  /** Goes on with what has come, about `budget` packets. @returns how many there were */
  receive(now: number, budget: number): number {
    this.#connection.receive(now);
    return this.#udp?.receive(now, budget) ?? 0;
  }

  #opened(now: number, relay: Endpoint | undefined): void {
    const { request, receiver, open } = this.#options;
    const isPlace = relay !== undefined && (relay.address.isHost || relay.address.isLoopback);
    if (!isPlace)
      return receiver.ended(now, { kind: "proxy-failed", text: "names a relay that is no address of a host" });
    const udp = open(
      { ...request, proxy: undefined, remote: relay, float: false },
      {
        opened: () => {},
        narrowed: (at) => receiver.narrowed(at),
        unreachable: (at) => receiver.unreachable(at),
        ended: (at, end) => receiver.ended(at, end),
        handleRows: (at, _path, rows) => this.#deliver(at, rows),
        looksLikeAnswer: () => false,
      },
    );
    if (typeof udp === "string")
      return receiver.ended(now, { kind: "proxy-failed", text: `leads to a relay, but ${udp}` });
    this.#udp = udp;
    receiver.opened(now);
  }

  #deliver(now: number, rows: Batch): void {
    this.#framing.unwrap(rows);
    if (rows.count > 0) this.#options.receiver.handleRows(now, 0, rows);
  }
}
