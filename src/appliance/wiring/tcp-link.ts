/** A link over a TCP connection of the WAN: the way to it (stream-dial.ts), then packets over it (packet-stream.ts). */
import type { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { type Connection, ENDED, FINISHED } from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import { NOTHING_SEEN, type Sightings } from "../../protocol/session/sightings.ts";
import { type Link, type LinkReceiver, type LinkRequest, TCP_OVERHEAD } from "../../tunnel/link.ts";
import { PacketStream, type StreamMemory } from "./packet-stream.ts";
import { type DialOwner, endOf, StreamDial } from "./stream-dial.ts";
import type { TcpUser } from "./tcp-users.ts";

export interface TcpLinkOptions {
  readonly request: LinkRequest;
  readonly receiver: LinkReceiver;
  readonly tcp: Tcp;
  readonly stream: StreamMemory;
  readonly closed: () => void;
}

/** An open connection, and what goes over it. */
interface Open {
  readonly connection: Connection;
  readonly packets: PacketStream;
}

export class TcpLink implements Link, TcpUser, DialOwner {
  readonly isStream = true;
  readonly mtu = Number.POSITIVE_INFINITY;
  readonly overhead: number;
  readonly #dial: StreamDial;
  readonly #options: TcpLinkOptions;
  readonly #handleRows = (now: number, rows: Batch): void => this.#options.receiver.handleRows(now, 0, rows);
  #open: Open | undefined;
  #isClosed = false;
  /** There will not be more than what can be read. */
  #isOver = false;

  constructor(options: TcpLinkOptions) {
    const { request, tcp } = options;
    this.#options = options;
    this.#dial = new StreamDial(tcp, request.remote, request.proxy?.dialogue, this, request.localPort);
    this.overhead = this.isIpv6 ? TCP_OVERHEAD.ipv6 : TCP_OVERHEAD.ipv4;
  }

  /** @returns why not, in words */
  connect(now: number): string | undefined {
    return this.#dial.connect(now);
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  get isIpv6(): boolean {
    return !this.#dial.remote.address.isIpv4;
  }

  admit(rows: Batch, overhead: number): number {
    return this.#open?.packets.admit(rows, overhead) ?? 0;
  }

  send(_now: number, _path: number, rows: Batch): void {
    this.#open?.packets.send(rows);
  }

  sendPacket(_now: number, _path: number, packet: Uint8Array): void {
    this.#open?.packets.sendPacket(packet);
  }

  /** There is one path. */
  settle(): void {}

  endpoint(): Endpoint {
    return this.#dial.remote;
  }

  sightings(): Omit<Sightings, "otherKey"> {
    return NOTHING_SEEN;
  }

  drops(): Record<string, number> {
    return this.#open?.packets.drops() ?? {};
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.closed();
    this.#dial.close();
    this.#open?.packets.close();
    this.#open = undefined;
  }

  opened(now: number, connection: Connection): void {
    const { stream, request, receiver } = this.#options;
    this.#open = { connection, packets: new PacketStream(connection, stream, request.longest) };
    connection.user = this;
    receiver.opened(now);
  }

  ended(now: number, end: LinkEnd): void {
    this.#options.receiver.ended(now, end);
  }

  handleEvents(): void {
    const events = this.#open?.connection.takeEvents() ?? 0;
    if ((events & (FINISHED | ENDED)) !== 0) this.#isOver = true;
  }

  /** Hands over packets that came. @returns whether there are more, for which there is room at the next call */
  endTurn(now: number): boolean {
    const open = this.#open;
    if (open === undefined) {
      this.#dial.checkWay(now);
      return false;
    }
    const { connection, packets } = open;
    const hasMore = packets.read(now, this.#handleRows);
    if (this.#isClosed) return false;
    const { badLength } = packets;
    if (badLength !== undefined) this.ended(now, { kind: "link-garbled", length: badLength });
    // What came before the end counts.
    else if (this.#isOver && !hasMore) this.ended(now, endOf(connection));
    else return hasMore;
    return false;
  }

  discard(): void {}
}
