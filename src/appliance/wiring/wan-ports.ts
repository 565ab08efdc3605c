/** What is listened on over the WAN: places at UDP and TCP ports, several at one where each has addresses of its own. */
import type { EthernetInterface } from "../../netstack/interface.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { ListenConfig } from "../../protocol/config/server-types.ts";
import type { ListenPorts, ListenReceiver, OpenPort } from "../../tunnel/listen.ts";
import { TcpListener } from "./listen-tcp.ts";
import { UdpListener } from "./listen-udp.ts";
import type { Listening } from "./listening.ts";
import type { StreamMemory } from "./packet-stream.ts";

const NEVER = Number.POSITIVE_INFINITY;

export interface WanPortsOptions {
  readonly wan: EthernetInterface;
  /** Of the WAN. Its users are told by somebody else, before {@link WanPorts.drain}. */
  readonly tcp: Tcp;
  readonly stream: StreamMemory;
}

export class WanPorts implements ListenPorts {
  readonly #options: WanPortsOptions;
  /** By protocol and port. */
  readonly #listening = new Map<string, Listening>();
  readonly #open = new Set<OpenPort>();
  /** There is more to hand over than fitted the turn. */
  #hasMore = false;

  constructor(options: WanPortsOptions) {
    this.#options = options;
  }

  listen(_now: number, config: ListenConfig, longest: number, receiver: ListenReceiver): OpenPort | string {
    const { protocol, port } = config;
    const key = `${protocol} ${port}`;
    let listening = this.#listening.get(key);
    if (listening === undefined) {
      const { wan, tcp, stream } = this.#options;
      const closed = (): void => void this.#listening.delete(key);
      const made =
        protocol === "udp" ? new UdpListener({ wan, port, closed }) : new TcpListener({ tcp, port, stream, closed });
      if (!made.bind()) return `the local port ${port} is in use`;
      this.#listening.set(key, made);
      listening = made;
    }
    const place = listening.add(config, longest, receiver);
    const open: OpenPort = {
      ...(place.dial && { dial: place.dial }),
      drops: () => place.drops(),
      close: () => {
        this.#open.delete(open);
        place.close();
      },
    };
    this.#open.add(open);
    return open;
  }

  pollAt(): number {
    return this.#hasMore ? Number.NEGATIVE_INFINITY : NEVER;
  }

  /** Hands over what came: rows live until the device receives again, those of a stream until its memory is emptied. */
  drain(now: number): void {
    this.#hasMore = false;
    for (const listening of this.#listening.values()) if (listening.endTurn(now)) this.#hasMore = true;
  }

  /** Forgets what was collected. */
  discard(): void {
    for (const listening of this.#listening.values()) listening.discard();
  }

  closeAll(): void {
    for (const open of [...this.#open]) open.close();
  }
}
