/**
 * A link over the UDP relay of a SOCKS proxy (RFC 1928 7): datagrams go to the relay, each behind a header that says where to, and
 * the connection over which the proxy was asked stays open beside them; with it the relay ends.
 *
 *     0 (2)  fragment: 0 (1)  kind of address (1)  address (4, 16)  port (2)  packet
 */
import type { Batch } from "../../lib/batch.ts";
import { concat } from "../../lib/bytes.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import type { EthernetInterface } from "../../netstack/interface.ts";
import { type Connection, ENDED, FINISHED } from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import { NOTHING_SEEN, type Sightings } from "../../protocol/session/sightings.ts";
import type { Link, LinkReceiver, LinkRequest } from "../../tunnel/link.ts";
import { ATYP_IPV4, ATYP_IPV6, addressLen, writeAddress } from "../../tunnel/proxy/socks-address.ts";
import { type DialOwner, endOf, StreamDial } from "./stream-dial.ts";
import type { TcpUser } from "./tcp-users.ts";
import { UDP_OVERHEAD, UdpLink } from "./udp-link.ts";

/** In front of the address: two zeros, fragment, kind. */
const FIXED = 4;
const FRAGMENT_AT = 2;
const PORT_LEN = 2;

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
  /** What is put in front of each packet. */
  readonly #header: Uint8Array;
  #connection: Connection | undefined;
  #udp: UdpLink | undefined;
  #isClosed = false;
  /** Datagrams of the relay without a header that can be right. */
  #malformed = 0;

  constructor(options: SocksUdpLinkOptions) {
    const { request, tcp } = options;
    const { dialogue, server } = request.proxy;
    this.#options = options;
    this.#dial = new StreamDial(tcp, request.remote, dialogue, this, undefined);
    this.#header = Uint8Array.of(0, 0, 0, ...writeAddress(server));
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
    return (this.isIpv6 ? UDP_OVERHEAD.ipv6 : UDP_OVERHEAD.ipv4) + this.#header.length;
  }

  get mtu(): number {
    return this.#udp?.mtu ?? this.#options.wan.mtu;
  }

  admit(rows: Batch): number {
    return rows.count;
  }

  send(now: number, _path: number, rows: Batch): void {
    const header = this.#header;
    const { bytes } = this.#options.slab;
    for (let i = 0; i < rows.count; i++) {
      rows.at[i]! -= header.length;
      rows.len[i]! += header.length;
      bytes.set(header, rows.at[i]!);
    }
    this.#udp?.send(now, 0, rows);
  }

  sendPacket(now: number, _path: number, packet: Uint8Array): void {
    this.#udp?.sendPacket(now, 0, concat(this.#header, packet));
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
    return { "socks-malformed": this.#malformed };
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

  /** Takes the headers off the rows; those without leave. */
  #unwrap(now: number, rows: Batch): void {
    const { bytes } = this.#options.slab;
    const { at, len, count } = rows;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const kind = bytes[at[i]! + FIXED - 1]!;
      const headerLen = FIXED + addressLen(kind) + PORT_LEN;
      const isKnown = kind === ATYP_IPV4 || kind === ATYP_IPV6;
      if (!isKnown || len[i]! < headerLen || bytes[at[i]! + FRAGMENT_AT] !== 0) {
        this.#malformed++;
        continue;
      }
      at[kept] = at[i]! + headerLen;
      len[kept] = len[i]! - headerLen;
      kept++;
    }
    rows.count = kept;
    if (kept > 0) this.#options.receiver.handleRows(now, 0, rows);
  }
}
