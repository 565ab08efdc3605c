/** A link over the UDP relay of a SOCKS proxy, by sockets of the kernel. */
import type { Endpoint } from "../lib/endpoint.ts";
import type { Slab } from "../lib/slab.ts";
import type { LinkReceiver, LinkRequest } from "../tunnel/link.ts";
import type { ProxyDialogue } from "../tunnel/proxy/dialogue.ts";
import { type RelayRequest, SocksRelayLink } from "../tunnel/proxy/socks-relay-link.ts";
import type { KernelTcpLink } from "./tcp-link.ts";
import type { KernelUdpLink } from "./udp-link.ts";

export interface KernelSocksLinkOptions {
  readonly request: RelayRequest;
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

export class KernelSocksLink extends SocksRelayLink<KernelUdpLink> {
  readonly #options: KernelSocksLinkOptions;
  readonly #connection: KernelTcpLink;
  #isClosed = false;

  constructor(options: KernelSocksLinkOptions) {
    const { request, receiver, slab, ask } = options;
    super(request, receiver, slab);
    this.#options = options;
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

  protected override get wayMtu(): number {
    return this.#options.mtu;
  }

  override close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.udp?.close();
    this.udp = undefined;
    this.#connection.close();
    this.#options.closed();
  }

  /** Goes on with what has come, about `budget` packets. @returns how many there were */
  receive(now: number, budget: number): number {
    this.#connection.receive(now);
    return this.udp?.receive(now, budget) ?? 0;
  }

  #opened(now: number, relay: Endpoint | undefined): void {
    const { receiver } = this;
    const isPlace = relay !== undefined && (relay.address.isHost || relay.address.isLoopback);
    if (!isPlace)
      return receiver.ended(now, { kind: "proxy-failed", text: "names a relay that is no address of a host" });
    const datagrams = this.relayReceiver((at, end) => receiver.ended(at, end));
    const udp = this.#options.open(this.relayRequest(relay), datagrams);
    if (typeof udp === "string")
      return receiver.ended(now, { kind: "proxy-failed", text: `leads to a relay, but ${udp}` });
    this.udp = udp;
    receiver.opened(now);
  }
}
