/** Links over sockets of the kernel: which kind a request asks for, and what the loop has to do with them. */
import type { IpAddress } from "../lib/ip.ts";
import { DATAGRAMS_BYTES, Datagrams } from "../platform/net/datagrams.ts";
import { STREAM_SENDER_BYTES, StreamSender } from "../platform/net/stream-socket.ts";
import { openUdp } from "../platform/net/udp-socket.ts";
import { EADDRINUSE, SysError } from "../platform/sys/errno.ts";
import type { NativeMemory, Piece } from "../platform/sys/memory.ts";
import type { Poller } from "../platform/sys/poller.ts";
import type { Link, LinkFactory, LinkReceiver, LinkRequest } from "../tunnel/link.ts";
import { KernelSocksLink, type KernelSocksLinkOptions } from "./kernel-socks-link.ts";
import { KernelTcpLink } from "./tcp-link.ts";
import { KernelUdpLink, UDP_LINK_BYTES } from "./udp-link.ts";

/** Where packets of a stream are opened. */
const STREAM_BYTES = 512 << 10;
/** What may wait to be sent over a stream: a turn of packets, and control packets. */
const QUEUE_BYTES = 512 << 10;

/** Native memory of all links: there is one at a time. */
export const HOST_LINKS_BYTES =
  DATAGRAMS_BYTES + UDP_LINK_BYTES + STREAM_SENDER_BYTES(QUEUE_BYTES) + STREAM_BYTES + 1024;
/** An ordinary packet: what the way takes beyond is found out (RFC 1191). */
const ORDINARY_MTU = 1500;

export interface HostLinksOptions {
  readonly memory: NativeMemory;
  readonly poller: Poller;
  /** A link to this address is about to be opened: the way there must not lead through the tunnel. @returns the device's MTU */
  readonly prepare: (address: IpAddress) => number | undefined;
  /** The same for an address beside that: of a proxy's relay. */
  readonly prepareBeside: (address: IpAddress) => number | undefined;
}

export class HostLinks implements LinkFactory {
  readonly hasLoopback = true;
  readonly #options: HostLinksOptions;
  readonly #datagrams: Datagrams;
  readonly #linkMemory: Piece;
  readonly #sender: StreamSender;
  readonly #stream: Piece;
  #open: KernelUdpLink | KernelTcpLink | KernelSocksLink | undefined;
  /** Reads of streams that brought packets. */
  #reads = 0;
  #drained = true;

  constructor(options: HostLinksOptions) {
    this.#options = options;
    this.#datagrams = new Datagrams(options.memory);
    this.#linkMemory = options.memory.take(UDP_LINK_BYTES, 64);
    this.#sender = new StreamSender(options.memory, QUEUE_BYTES);
    this.#stream = options.memory.take(STREAM_BYTES, 64);
  }

  open(_now: number, request: LinkRequest, receiver: LinkReceiver): Link | string {
    this.closeAll();
    const mtu = this.#options.prepare(request.remote.address) ?? ORDINARY_MTU;
    const { proxy } = request;
    const link =
      request.protocol === "tcp"
        ? connected(this.#tcp(request, receiver, this.#closed))
        : proxy === undefined
          ? this.#udp(request, receiver, mtu, this.#closed)
          : connected(this.#socks({ ...request, proxy }, receiver, mtu));
    if (typeof link !== "string") this.#open = link;
    return link;
  }

  refusal(): string | undefined {
    return undefined;
  }

  /** Hands over what has come, at most `budget` packets. @returns how many there were */
  receive(now: number, budget: number): number {
    const link = this.#open;
    const count = link?.receive(now, budget) ?? 0;
    if (link?.isStream === true && count > 0) this.#reads++;
    this.#drained = link?.isStream === true ? count === 0 : this.#datagrams.drained;
    return count;
  }

  /** Nothing is known to wait. */
  get drained(): boolean {
    return this.#drained;
  }

  /** In how many runs, or pieces of a stream, packets have come. */
  get runs(): number {
    return this.#datagrams.runs + this.#reads;
  }

  /** What was sent over a stream waits for the kernel to take it. */
  get isFull(): boolean {
    return this.#open?.isStream === true && this.#sender.queued > 0;
  }

  closeAll(): void {
    this.#open?.close();
  }

  readonly #closed = (): void => {
    this.#open = undefined;
  };

  #tcp(request: LinkRequest, receiver: LinkReceiver, closed: () => void): KernelTcpLink {
    const { poller, memory } = this.#options;
    return new KernelTcpLink({
      request,
      receiver,
      poller,
      memory,
      sender: this.#sender,
      received: this.#stream,
      closed,
    });
  }

  #socks(request: KernelSocksLinkOptions["request"], receiver: LinkReceiver, mtu: number): KernelSocksLink {
    const { memory, prepareBeside } = this.#options;
    // Both end with the link itself.
    const closed = (): void => {};
    return new KernelSocksLink({
      ...{ request, receiver, slab: memory, mtu, closed: this.#closed },
      ask: (asked, hears) => this.#tcp(asked, hears, closed),
      open: (relayed, hears) => {
        const ofDevice = prepareBeside(relayed.remote.address) ?? ORDINARY_MTU;
        return this.#udp(relayed, hears, ofDevice, closed);
      },
    });
  }

  #udp(request: LinkRequest, receiver: LinkReceiver, mtu: number, ended: () => void): KernelUdpLink | string {
    const { poller, memory } = this.#options;
    const { localPort, remote } = request;
    let fd: number;
    try {
      fd = openUdp(remote.address.isIpv4 ? "ipv4" : "ipv6", localPort ?? 0);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      if (error.errno === EADDRINUSE) return `the local port ${localPort} is in use`;
      return `no UDP socket can be opened: ${error.message}`;
    }
    const bit = poller.add(fd);
    const closed = (): void => {
      poller.remove(bit);
      ended();
    };
    const own = { fd, datagrams: this.#datagrams, slab: memory, memory: this.#linkMemory };
    return new KernelUdpLink({ request, receiver, ...own, mtu, closed });
  }
}

/** @returns why it cannot be begun, in words */
function connected<L extends { connect(): string | undefined }>(link: L): L | string {
  return link.connect() ?? link;
}
