/**
 * A link over the UDP relay of a SOCKS proxy (RFC 1928 7), whoever's sockets these are: datagrams go to the relay, and the connection over
 * which the proxy was asked stays open beside them; with it the relay ends.
 */
import type { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import { NOTHING_SEEN, type Sightings } from "../../protocol/session/sightings.ts";
import { type Link, type LinkReceiver, type LinkRequest, UDP_OVERHEAD } from "../link.ts";
import { SocksDatagrams } from "./socks-datagrams.ts";

/** What a relay is asked for by. */
export type RelayRequest = LinkRequest & { readonly proxy: NonNullable<LinkRequest["proxy"]> };

export abstract class SocksRelayLink<Udp extends Link> implements Link {
  readonly isStream = false;
  /** Datagrams to and from the relay, once it is known. */
  protected udp: Udp | undefined;
  protected readonly request: RelayRequest;
  protected readonly receiver: LinkReceiver;
  readonly #framing: SocksDatagrams;

  constructor(request: RelayRequest, receiver: LinkReceiver, slab: Slab) {
    this.request = request;
    this.receiver = receiver;
    this.#framing = new SocksDatagrams(slab, request.proxy.server);
  }

  /** What the way to the proxy takes, while the relay is not known. */
  protected abstract get wayMtu(): number;

  abstract close(): void;

  get isOpen(): boolean {
    return this.udp !== undefined;
  }

  /** Of the relay, once it is known: it may have an address of another family than the proxy. */
  get isIpv6(): boolean {
    return !(this.udp?.endpoint(0) ?? this.request.remote).address.isIpv4;
  }

  get overhead(): number {
    return (this.isIpv6 ? UDP_OVERHEAD.ipv6 : UDP_OVERHEAD.ipv4) + this.#framing.overhead;
  }

  get mtu(): number {
    return this.udp?.mtu ?? this.wayMtu;
  }

  pathMtu(now: number): number {
    return this.udp?.pathMtu?.(now) ?? Number.POSITIVE_INFINITY;
  }

  admit(rows: Batch): number {
    return rows.count;
  }

  send(now: number, _path: number, rows: Batch): void {
    this.#framing.wrap(rows);
    this.udp?.send(now, 0, rows);
  }

  sendPacket(now: number, _path: number, packet: Uint8Array): void {
    this.udp?.sendPacket(now, 0, this.#framing.wrapPacket(packet));
  }

  /** There is one path. */
  settle(): void {}

  endpoint(): Endpoint {
    return this.request.proxy.server;
  }

  sightings(): Omit<Sightings, "otherKey"> {
    return this.udp?.sightings() ?? NOTHING_SEEN;
  }

  drops(): Record<string, number> {
    return { ...this.udp?.drops(), "socks-malformed": this.#framing.malformed };
  }

  /** The request of the datagrams to the relay. */
  protected relayRequest(relay: Endpoint): LinkRequest {
    return { ...this.request, proxy: undefined, remote: relay, float: false };
  }

  /** Gets the relay's datagrams. @param ended told of the end of their socket */
  protected relayReceiver(ended: LinkReceiver["ended"]): LinkReceiver {
    const { receiver } = this;
    return {
      opened: () => {},
      narrowed: (now, to, mtu) => receiver.narrowed(now, to, mtu),
      unreachable: (now) => receiver.unreachable(now),
      ended,
      handleRows: (now, _path, rows) => {
        this.#framing.unwrap(rows);
        if (rows.count > 0) receiver.handleRows(now, 0, rows);
      },
      looksLikeAnswer: () => false,
    };
  }
}
