/**
 * A link over the UDP relay of a SOCKS proxy (RFC 1928 7): datagrams go to the relay, and the connection over which the proxy was asked
 * stays open beside them; with it the relay ends.
 */
import type { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import type { EthernetInterface } from "../../netstack/interface.ts";
import { type Connection, ENDED, FINISHED } from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import { NOTHING_SEEN, type Sightings } from "../../protocol/session/sightings.ts";
import type { Link, LinkReceiver, LinkRequest } from "../../tunnel/link.ts";
import { SocksDatagrams } from "../../tunnel/proxy/socks-datagrams.ts";
import { type DialOwner, endOf, StreamDial } from "./stream-dial.ts";
import type { TcpUser } from "./tcp-users.ts";
import { UDP_OVERHEAD, UdpLink } from "./udp-link.ts";

export interface SocksUdpLinkOptions {
  readonly request: LinkRequest & { readonly proxy: NonNullable<LinkRequest["proxy"]> };
  readonly receiver: LinkReceiver;
  readonly wan: EthernetInterface;
  readonly tcp: Tcp;
  readonly slab: Slab;
  /** Why nothing can be sent to a relay, in words that follow "is". */
  readonly refusal: (address: Endpoint["address"]) => string | undefined;
  readonly closed: () => void;
}

export class SocksUdpLink implements Link, TcpUser, DialOwner {
  readonly isStream = false;
  readonly #options: SocksUdpLinkOptions;
  readonly #dial: StreamDial;
  readonly #framing: SocksDatagrams;
  #connection: Connection | undefined;
  #udp: UdpLink | undefined;
  #isClosed = false;

  constructor(options: SocksUdpLinkOptions) {
    const { request, tcp, slab } = options;
    const { dialogue, server } = request.proxy;
    this.#options = options;
    this.#dial = new StreamDial(tcp, request.remote, dialogue, this, undefined);
    this.#framing = new SocksDatagrams(slab, server);
  }

  /** @returns why not, in words */
  connect(now: number): string | undefined {
    return this.#dial.connect(now);
  }

  get isOpen(): boolean {
    return this.#udp !== undefined;
  }

  /** Of the relay, once it is known: it may have an address of another family than the proxy. */
  get isIpv6(): boolean {
    return !(this.#udp?.endpoint(0) ?? this.#dial.remote).address.isIpv4;
  }

  get overhead(): number {
    return (this.isIpv6 ? UDP_OVERHEAD.ipv6 : UDP_OVERHEAD.ipv4) + this.#framing.overhead;
  }

  get mtu(): number {
    return this.#udp?.mtu ?? this.#options.wan.mtu;
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
    return { "socks-malformed": this.#framing.malformed };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.closed();
    this.#dial.close();
    this.#udp?.close();
    this.#connection?.close();
    this.#udp = undefined;
    this.#connection = undefined;
  }

  opened(now: number, connection: Connection, relay: Endpoint | undefined): void {
    const { request, receiver, wan, refusal } = this.#options;
    this.#connection = connection;
    connection.user = this;
    const problem = relay === undefined || !relay.address.isHost ? "no address of a host" : refusal(relay.address);
    if (relay === undefined || problem !== undefined)
      return this.ended(now, { kind: "proxy-failed", text: `names a relay that is ${problem}` });
    const udp = new UdpLink(
      wan,
      { ...request, remote: relay, float: false },
      {
        opened: () => {},
        narrowed: (at) => receiver.narrowed(at),
        unreachable: (at) => receiver.unreachable(at),
        ended: () => {},
        handleRows: (at, _path, rows) => this.#unwrap(at, rows),
        looksLikeAnswer: () => false,
      },
      () => {},
    );
    if (!udp.bind(request.localPort ?? 0))
      return this.ended(now, {
        kind: "proxy-failed",
        text: `leads to a relay, but the local port ${request.localPort} is in use`,
      });
    this.#udp = udp;
    receiver.opened(now);
  }

  ended(now: number, end: LinkEnd): void {
    this.#options.receiver.ended(now, end);
  }

  handleEvents(now: number): void {
    const c = this.#connection;
    if (c === undefined) return;
    const events = c.takeEvents();
    // There is nothing left to be said.
    if (c.readable > 0) c.consume(c.readable);
    if ((events & (FINISHED | ENDED)) !== 0) this.ended(now, endOf(c));
  }

  endTurn(now: number): boolean {
    if (this.#udp === undefined) this.#dial.checkWay(now);
    return this.#udp?.endTurn(now) ?? false;
  }

  discard(): void {
    this.#udp?.discard();
  }

  #unwrap(now: number, rows: Batch): void {
    this.#framing.unwrap(rows);
    if (rows.count > 0) this.#options.receiver.handleRows(now, 0, rows);
  }
}
