/** A link over the UDP relay of a SOCKS proxy, by the appliance's own stack. */
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import type { EthernetInterface } from "../../netstack/interface.ts";
import { type Connection, ENDED, FINISHED } from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import type { LinkReceiver } from "../../tunnel/link.ts";
import { type RelayRequest, SocksRelayLink } from "../../tunnel/proxy/socks-relay-link.ts";
import { type DialOwner, endOf, StreamDial } from "./stream-dial.ts";
import type { TcpUser } from "./tcp-users.ts";
import { UdpLink } from "./udp-link.ts";

export interface SocksUdpLinkOptions {
  readonly request: RelayRequest;
  readonly receiver: LinkReceiver;
  readonly wan: EthernetInterface;
  readonly tcp: Tcp;
  readonly slab: Slab;
  /** Why nothing can be sent to a relay, in words that follow "is". */
  readonly refusal: (address: Endpoint["address"]) => string | undefined;
  readonly closed: () => void;
}

export class SocksUdpLink extends SocksRelayLink<UdpLink> implements TcpUser, DialOwner {
  readonly #options: SocksUdpLinkOptions;
  readonly #dial: StreamDial;
  #connection: Connection | undefined;
  #isClosed = false;

  constructor(options: SocksUdpLinkOptions) {
    const { request, receiver, tcp, slab } = options;
    super(request, receiver, slab);
    this.#options = options;
    this.#dial = new StreamDial(tcp, request.remote, request.proxy.dialogue, this, undefined);
  }

  /** @returns why not, in words */
  connect(now: number): string | undefined {
    return this.#dial.connect(now);
  }

  protected override get wayMtu(): number {
    return this.#options.wan.mtu;
  }

  override close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.closed();
    this.#dial.close();
    this.udp?.close();
    this.#connection?.close();
    this.udp = undefined;
    this.#connection = undefined;
  }

  opened(now: number, connection: Connection, relay: Endpoint | undefined): void {
    const { request, receiver } = this;
    const { wan, refusal } = this.#options;
    this.#connection = connection;
    connection.user = this;
    const problem = relay === undefined || !relay.address.isHost ? "no address of a host" : refusal(relay.address);
    if (relay === undefined || problem !== undefined)
      return this.ended(now, { kind: "proxy-failed", text: `names a relay that is ${problem}` });
    const datagrams = this.relayReceiver(() => {});
    const udp = new UdpLink(wan, this.relayRequest(relay), datagrams, () => {});
    if (!udp.bind(request.localPort ?? 0))
      return this.ended(now, {
        kind: "proxy-failed",
        text: `leads to a relay, but the local port ${request.localPort} is in use`,
      });
    this.udp = udp;
    receiver.opened(now);
  }

  ended(now: number, end: LinkEnd): void {
    this.receiver.ended(now, end);
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
    if (this.udp === undefined) this.#dial.checkWay(now);
    return this.udp?.endTurn(now) ?? false;
  }

  discard(): void {
    this.udp?.discard();
  }
}
