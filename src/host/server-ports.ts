/** Ports of the kernel that a server listens on: datagrams with their sources, and connections as ways to one client each. */
import { addCounts } from "../lib/counters.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { Family } from "../platform/net/sockaddr.ts";
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, SysError } from "../platform/sys/errno.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { Poller } from "../platform/sys/poller.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import type { ListenPorts, ListenReceiver, OpenPort, PeerLink } from "../tunnel/listen.ts";
import { CONNECTION_BYTES, TcpPorts } from "./listen-tcp.ts";
import { UDP_PORTS_BYTES, UdpPorts } from "./listen-udp.ts";

/** Connections that are open, at most: the memory of each is set aside. */
const MAX_CONNECTIONS = 256;

const bytesFor = (connections: number): number => UDP_PORTS_BYTES + connections * CONNECTION_BYTES;
export const SERVER_PORTS_BYTES = bytesFor(MAX_CONNECTIONS);
/** One end of a tunnel of two, which waits for its peer: those who may become it, and one that is. */
export const END_CONNECTIONS = 16;
export const END_PORTS_BYTES = bytesFor(END_CONNECTIONS);

export interface KernelPortsOptions {
  readonly memory: NativeMemory;
  readonly poller: Poller;
  /** Connections at most, for which there has to be room in memory; default: those of a server. */
  readonly connections?: number;
  /** Somebody is about to be sent to who has not been heard of: the way there must not lead through the tunnel. */
  readonly prepare?: (address: IpAddress) => void;
}

export class KernelPorts implements ListenPorts {
  readonly #options: KernelPortsOptions;
  readonly #udp: UdpPorts;
  readonly #tcp: TcpPorts;
  #drained = true;

  constructor(options: KernelPortsOptions) {
    const { memory, poller, connections = MAX_CONNECTIONS } = options;
    this.#options = options;
    this.#udp = new UdpPorts(memory, poller);
    this.#tcp = new TcpPorts({ memory, poller, connections });
  }

  listen(_now: number, config: ListenConfig, longest: number, receiver: ListenReceiver): OpenPort | string {
    const { address, family, port, protocol } = config;
    const own = address === undefined ? undefined : address.isIpv4 ? "ipv4" : "ipv6";
    const families: Family[] = own !== undefined ? [own] : family === "any" ? ["ipv4", "ipv6"] : [family];
    const open: (OpenPort & { readonly family?: Family })[] = [];
    let problem = "";
    for (const each of families) {
      try {
        open.push(
          protocol === "udp"
            ? this.#udp.listen(each, config, receiver)
            : this.#tcp.listen(each, config, longest, receiver),
        );
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        problem = inWords(error, port, address);
      }
    }
    // Where the kernel has one family alone, that one serves.
    if (open.length === 0) return problem;
    const closing = {
      drops: () => {
        const sum: Record<string, number> = {};
        for (const one of open) addCounts(sum, one.drops());
        return sum;
      },
      close: () => {
        for (const one of open) one.close();
      },
    };
    if (protocol === "tcp") return closing;
    const dial = (endpoint: Endpoint): PeerLink => {
      this.#options.prepare?.(endpoint.address);
      const wanted = endpoint.address.isIpv4 ? "ipv4" : "ipv6";
      const port = open.find(({ family }) => family === wanted) ?? open[0]!;
      return port.dial!(endpoint);
    };
    return { ...closing, dial };
  }

  /** Hands over what has come, about `budget` packets. @returns how many there were */
  receive(now: number, budget: number): number {
    const datagrams = this.#udp.receive(now, budget);
    const ofStreams = this.#tcp.receive(now);
    this.#drained = this.#udp.drained && ofStreams === 0;
    return datagrams + ofStreams;
  }

  /** Nothing is known to wait. */
  get drained(): boolean {
    return this.#drained;
  }

  /** Nobody is here but by connections. */
  get areStreams(): boolean {
    return this.#udp.areNone;
  }

  /** Of those that packets went to lately nobody can be sent more now: all are here by connections, on which what was sent waits. */
  areFull(now: number): boolean {
    return this.#udp.areNone && this.#tcp.areFull(now);
  }

  /** In how many runs, or pieces of streams, packets have come. */
  get runs(): number {
    return this.#udp.runs + this.#tcp.reads;
  }

  closeAll(): void {
    this.#udp.closeAll();
    this.#tcp.closeAll();
  }
}

function inWords(error: SysError, port: number, address: IpAddress | undefined): string {
  if (error.errno === EADDRINUSE) return `the local port ${port} is in use`;
  if (error.errno === EACCES) return `port ${port} needs CAP_NET_BIND_SERVICE: take one above 1023`;
  if (error.errno === EADDRNOTAVAIL && address !== undefined) return `this host does not have the address ${address}`;
  return error.message;
}
