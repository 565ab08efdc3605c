/** Links over the WAN: which kind a request asks for, and what all of them have to do with the addresses of the router. */
import type { IpAddress } from "../../lib/ip.ts";
import type { EthernetInterface } from "../../netstack/interface.ts";
import type { OwnAddress } from "../../netstack/ip6/addressing.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { Link, LinkFactory, LinkReceiver, LinkRequest } from "../../tunnel/link.ts";
import type { StreamMemory } from "./packet-stream.ts";
import { SocksUdpLink } from "./socks-udp-link.ts";
import { TcpLink } from "./tcp-link.ts";
import { tellTcpUsers } from "./tcp-users.ts";
import { UdpLink } from "./udp-link.ts";

/** An address of the internet, which is sent to from our own that counts. */
const ELSEWHERE = Int32Array.of(0x2000_0000, 0, 0, 0);
const NEVER = Number.POSITIVE_INFINITY;

export interface WanLinksOptions {
  readonly wan: EthernetInterface;
  /** Of the WAN; drain() tells its users. */
  readonly tcp: Tcp;
  readonly stream: StreamMemory;
  /** The router's address on the other side, where no remote can be. */
  readonly lan: () => IpAddress | undefined;
}

export class WanLinks implements LinkFactory {
  readonly #options: WanLinksOptions;
  readonly #wan: EthernetInterface;
  readonly #open = new Set<UdpLink | TcpLink | SocksUdpLink>();
  /** A link has more to hand over than fitted the turn. */
  #hasMore = false;
  /** A server at an IPv6 address was refused, because there was none of ours. */
  #lacksIpv6 = false;

  constructor(options: WanLinksOptions) {
    this.#options = options;
    this.#wan = options.wan;
  }

  open(now: number, request: LinkRequest, receiver: LinkReceiver): Link | string {
    this.#lacksIpv6 = false;
    const { protocol, proxy } = request;
    if (protocol === "udp" && proxy === undefined) return this.#openUdp(request, receiver);
    const { wan, tcp, stream } = this.#options;
    const closed = (): void => void this.#open.delete(link);
    const refusal = (address: IpAddress): string | undefined => this.refusal(address);
    const link =
      protocol === "udp" && proxy !== undefined
        ? new SocksUdpLink({
            request: { ...request, proxy },
            receiver,
            wan,
            tcp,
            slab: stream.arena.slab,
            refusal,
            closed,
          })
        : new TcpLink({ request, receiver, tcp, stream, closed });
    const problem = link.connect(now);
    if (problem !== undefined) return problem;
    this.#open.add(link);
    return link;
  }

  refusal(address: IpAddress): string | undefined {
    const own = this.#wan.address;
    const { addresses, source } = this.#ipv6();
    if (address.isIpv4 && own === undefined) return "of IPv4, and the WAN has no IPv4 address";
    if (!address.isIpv4 && source === undefined) {
      this.#lacksIpv6 = true;
      return "of IPv6, and the WAN has no IPv6 address";
    }
    if (addresses.some(({ value }) => value.equals(address))) return "our own address";
    if (this.#options.lan()?.equals(address) === true || own?.address.equals(address) === true)
      return "our own address";
    if (own?.isNetworkOrBroadcast(address) === true) return "the network's or the broadcast address of the WAN";
    return undefined;
  }

  /** Whether any of them has an IPv6 address at its far end, or the last one that was wanted was to have one. */
  get useIpv6(): boolean {
    return this.#lacksIpv6 || [...this.#open].some((link) => link.isIpv6);
  }

  pollAt(): number {
    return this.#hasMore || this.#options.tcp.isReady ? Number.NEGATIVE_INFINITY : NEVER;
  }

  /** Hands over what came. Rows live until the device receives again, those of a stream until its memory is emptied. */
  drain(now: number): void {
    const { tcp } = this.#options;
    tellTcpUsers(now, tcp);
    this.#hasMore = false;
    for (const link of this.#open) if (link.endTurn(now)) this.#hasMore = true;
  }

  /** Forgets what was collected. */
  discard(): void {
    for (const link of this.#open) link.discard();
  }

  closeAll(): void {
    for (const link of [...this.#open]) link.close();
  }

  #openUdp(request: LinkRequest, receiver: LinkReceiver): Link | string {
    const { localPort } = request;
    const link = new UdpLink(this.#wan, request, receiver, () => this.#open.delete(link));
    if (!link.bind(localPort ?? 0)) return `the local port ${localPort} is in use`;
    this.#open.add(link);
    return link;
  }

  /** Our IPv6 addresses, and the one that packets to the internet come from. */
  #ipv6(): { addresses: readonly OwnAddress[]; source: OwnAddress | undefined } {
    const { addressing } = this.#wan.v6;
    const source = addressing.source(ELSEWHERE);
    // From a link-local address nobody beyond the link can be reached.
    const isGlobal = source !== undefined && !source.value.isLinkLocal;
    return { addresses: addressing.addresses, source: isGlobal ? source : undefined };
  }
}
