/** A TCP port of the WAN that is listened on: each connection is the way to one client, its packets go as over a client's link. */

import type { Batch } from "../../lib/batch.ts";
import { addCounts } from "../../lib/counters.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { type Connection, type ConnectionOptions, ENDED, FINISHED, READABLE } from "../../netstack/tcp/connection.ts";
import type { ListenSocket } from "../../netstack/tcp/listen-socket.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { ListenConfig } from "../../protocol/config/server-types.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import { TCP_OVERHEAD } from "../../tunnel/link.ts";
import type { ListenReceiver, OpenPort, PeerLink, StreamReceiver } from "../../tunnel/listen.ts";
import { type Listening, takes } from "./listening.ts";
import { PacketStream, type StreamMemory } from "./packet-stream.ts";
import { endOf } from "./stream-dial.ts";
import type { TcpUser } from "./tcp-users.ts";

/**
 * As of a client's connection (stream-dial.ts), but for what may wait of one of many; whether a client is there is for ping-restart
 * to say, and whoever never becomes one has no longer than the handshake of a session.
 */
const OPTIONS: ConnectionOptions = {
  noDelay: true,
  receiveBuffer: 1 << 20,
  sendBuffer: 1 << 20,
  userTimeout: 5 * 60_000,
};
/** Handshakes that are over in one turn. */
const BACKLOG = 256;

export interface TcpListenerOptions {
  readonly tcp: Tcp;
  readonly port: number;
  readonly stream: StreamMemory;
  readonly closed: () => void;
}

interface Place {
  readonly config: ListenConfig;
  readonly longest: number;
  readonly receiver: ListenReceiver;
  readonly links: Set<AcceptedLink>;
  /** Of connections that are over. */
  readonly drops: Record<string, number>;
}

export class TcpListener implements Listening {
  readonly #options: TcpListenerOptions;
  readonly #places: Place[] = [];
  /** Those that may have something to read, or are over. */
  readonly #due = new Set<AcceptedLink>();
  #listener: ListenSocket | undefined;

  constructor(options: TcpListenerOptions) {
    this.#options = options;
  }

  /** @returns whether the port is free */
  bind(): boolean {
    const listensAt = (own: Int32Array): boolean => this.#places.some(({ config }) => takes(config, own));
    this.#listener = this.#options.tcp.listen(this.#options.port, { ...OPTIONS, backlog: BACKLOG, listensAt });
    return this.#listener !== undefined;
  }

  add(config: ListenConfig, longest: number, receiver: ListenReceiver): OpenPort {
    const place: Place = { config, longest, receiver, links: new Set(), drops: {} };
    this.#places.push(place);
    return {
      drops: () => sumOf(place),
      close: () => this.#close(place),
    };
  }

  endTurn(now: number): boolean {
    this.#accept(now);
    let hasMore = false;
    for (const link of this.#due) {
      // One that waits for memory goes behind those that have not had their turn.
      this.#due.delete(link);
      if (!link.endTurn(now)) continue;
      this.#due.add(link);
      hasMore = true;
      break;
    }
    return hasMore;
  }

  discard(): void {}

  #accept(now: number): void {
    const { tcp, stream } = this.#options;
    for (let c = this.#listener?.accept(); c !== undefined; c = this.#listener?.accept()) {
      const own = tcp.ownAddress(c);
      const place = own && this.#places.find(({ config }) => takes(config, own));
      if (place === undefined) {
        c.abort();
        continue;
      }
      const link = new AcceptedLink(c, stream, place.longest, {
        due: () => this.#due.add(link),
        closed: () => {
          this.#due.delete(link);
          place.links.delete(link);
          addCounts(place.drops, link.drops());
        },
      });
      link.receiver = place.receiver.accepted(now, link);
      if (link.receiver === undefined) {
        c.abort();
        continue;
      }
      place.links.add(link);
      link.handleEvents();
    }
  }

  #close(place: Place): void {
    const i = this.#places.indexOf(place);
    if (i < 0) return;
    this.#places.splice(i, 1);
    for (const link of [...place.links]) link.close();
    if (this.#places.length > 0 || this.#listener === undefined) return;
    this.#options.tcp.unlisten(this.#listener);
    this.#listener = undefined;
    this.#options.closed();
  }
}

interface LinkEvents {
  /** There may be something to read, or it is over. */
  due(): void;
  closed(): void;
}

class AcceptedLink implements PeerLink, TcpUser {
  readonly isStream = true;
  readonly mtu = Number.POSITIVE_INFINITY;
  readonly overhead: number;
  readonly endpoint: Endpoint;
  receiver: StreamReceiver | undefined;
  readonly #connection: Connection;
  readonly #packets: PacketStream;
  readonly #events: LinkEvents;
  readonly #handleRows = (now: number, rows: Batch): void => this.receiver?.handleRows(now, rows);
  #isClosed = false;
  /** There will not be more than what can be read. */
  #isOver = false;

  constructor(connection: Connection, stream: StreamMemory, longest: number, events: LinkEvents) {
    this.#connection = connection;
    this.#packets = new PacketStream(connection, stream, longest);
    this.#events = events;
    this.endpoint = connection.remote;
    this.overhead = connection.remote.address.isIpv4 ? TCP_OVERHEAD.ipv4 : TCP_OVERHEAD.ipv6;
    connection.user = this;
  }

  admit(rows: Batch, overhead: number): number {
    return this.#packets.admit(rows, overhead);
  }

  send(_now: number, rows: Batch): void {
    this.#packets.send(rows);
  }

  sendPacket(_now: number, packet: Uint8Array): void {
    this.#packets.sendPacket(packet);
  }

  drops(): Record<string, number> {
    return this.#packets.drops();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#packets.close();
    this.#events.closed();
  }

  handleEvents(): void {
    const events = this.#connection.takeEvents();
    if ((events & (FINISHED | ENDED)) !== 0) this.#isOver = true;
    if ((events & (READABLE | FINISHED | ENDED)) !== 0) this.#events.due();
  }

  /** Hands over packets that came. @returns whether there are more, for which there is room at the next call */
  endTurn(now: number): boolean {
    const hasMore = this.#packets.read(now, this.#handleRows);
    if (this.#isClosed) return false;
    const { badLength } = this.#packets;
    if (badLength !== undefined) this.#end(now, { kind: "link-garbled", length: badLength });
    else if (hasMore) return true;
    // What came before the end counts.
    else if (this.#isOver) this.#end(now, endOf(this.#connection));
    return false;
  }

  #end(now: number, end: LinkEnd): void {
    const { receiver } = this;
    this.close();
    receiver?.ended(now, end);
  }
}

/** What all connections of a place dropped. */
function sumOf({ links, drops }: Place): Record<string, number> {
  const sum = { ...drops };
  for (const link of links) addCounts(sum, link.drops());
  return sum;
}
