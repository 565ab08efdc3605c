/**
 * A link over a TCP connection of the WAN: packets behind their lengths (protocol/stream.ts), in both directions by batches.
 * What is sent is copied into the connection's ring, from where segments of many packets leave as one super-frame; what comes
 * is copied out of its ring into one piece of memory, where packets lie in one piece and are opened in place.
 *
 * The queue is the connection's: as much as is under way may wait (Connection.writable), so that a fast path is kept busy and
 * a slow one is not loaded with seconds of old packets. What finds no room is dropped before it is sealed, as a router on the
 * way would, and TCP in the tunnel slows down. Control packets have room that packets of the tunnel never take.
 */
import { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import { type Connection, ENDED, FINISHED } from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import { NOTHING_SEEN, type Sightings } from "../../protocol/session/sightings.ts";
import { framePacket, frameRows, STREAM_HEADER_LEN, StreamRows } from "../../protocol/stream.ts";
import type { Link, LinkReceiver, LinkRequest } from "../../tunnel/link.ts";
import { type DialOwner, endOf, StreamDial } from "./stream-dial.ts";
import type { TcpUser } from "./tcp-users.ts";

/** IP, TCP and the length in front of every packet, as openvpn counts them (mtu.c, datagram_overhead; mss.c). */
const OVERHEAD = { ipv4: 42, ipv6: 62 };
/** Packets that are handed over at once. */
const ROWS = 1024;
/** Our choice: of what may wait, so much is for control packets and pings alone; a handshake has no more under way. */
const CONTROL_ROOM = 32 << 10;
/** Our choice: no more than that waits to be said when the link is closed: a goodbye, and not the packets of a session that is over. */
const GOODBYE = 4 << 10;
const GOODBYE_MS = 5000;
/** Where packets of the open stream are collected. */
export interface StreamMemory {
  readonly slab: Slab;
  readonly start: number;
  readonly end: number;
}

export interface TcpLinkOptions {
  readonly request: LinkRequest;
  readonly receiver: LinkReceiver;
  readonly tcp: Tcp;
  /** Of this link while it is open. */
  readonly stream: StreamMemory;
  readonly closed: () => void;
}

export class TcpLink implements Link, TcpUser, DialOwner {
  readonly isStream = true;
  readonly mtu = Number.POSITIVE_INFINITY;
  readonly overhead: number;
  readonly #dial: StreamDial;
  readonly #options: TcpLinkOptions;
  readonly #slab: Slab;
  readonly #received: StreamRows;
  readonly #rows = new Batch(ROWS);
  /** Undefined until it is open. */
  #connection: Connection | undefined;
  #isClosed = false;
  /** Packets of the tunnel that found the queue full, and control packets that did. */
  #queueFull = 0;
  #controlQueueFull = 0;

  constructor(options: TcpLinkOptions) {
    const { stream, request, tcp } = options;
    this.#options = options;
    this.#dial = new StreamDial(tcp, request.remote, request.proxy?.dialogue, this);
    this.#slab = stream.slab;
    this.#received = new StreamRows(stream.slab, stream.start, stream.end, request.longest);
    this.overhead = this.isIpv6 ? OVERHEAD.ipv6 : OVERHEAD.ipv4;
  }

  /** @returns why not, in words */
  connect(now: number): string | undefined {
    return this.#dial.connect(now);
  }

  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  get isIpv6(): boolean {
    return !this.#dial.remote.address.isIpv4;
  }

  admit(rows: Batch, overhead: number): number {
    const { count, len } = rows;
    let room = (this.#connection?.writable ?? 0) - CONTROL_ROOM;
    for (let i = 0; i < count; i++) {
      room -= len[i]! + overhead + STREAM_HEADER_LEN;
      if (room >= 0) continue;
      this.#queueFull += count - i;
      return i;
    }
    return count;
  }

  send(_now: number, _path: number, rows: Batch): void {
    const c = this.#connection;
    if (c === undefined) return;
    frameRows(this.#slab.view, rows);
    const { count, at, len } = rows;
    for (let i = 0; i < count; i++) c.write(at[i]!, len[i]!);
  }

  sendPacket(_now: number, _path: number, packet: Uint8Array): void {
    const framed = framePacket(packet);
    if (this.#connection === undefined || this.#connection.writable < framed.length) this.#controlQueueFull++;
    else this.#connection.writeBytes(framed);
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
    return { "link-queue-full": this.#queueFull, "link-control-queue-full": this.#controlQueueFull };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.closed();
    this.#dial.close();
    const c = this.#connection;
    this.#connection = undefined;
    if (c === undefined) return;
    if (c.queued > GOODBYE) return c.abort();
    c.userTimeout = GOODBYE_MS;
    c.close();
  }

  opened(now: number, connection: Connection): void {
    this.#connection = connection;
    connection.user = this;
    this.#options.receiver.opened(now);
  }

  ended(now: number, end: LinkEnd): void {
    this.#options.receiver.ended(now, end);
  }

  handleEvents(now: number): void {
    const c = this.#connection;
    if (c === undefined || (c.takeEvents() & (FINISHED | ENDED)) === 0) return;
    // What came before it counts.
    while (this.endTurn(now));
    if (!this.#isClosed) this.ended(now, endOf(c));
  }

  /** Hands over packets that came. @returns whether there are more, for which there is room at the next call */
  endTurn(now: number): boolean {
    const c = this.#connection;
    if (c === undefined) {
      this.#dial.checkWay(now);
      return false;
    }
    if (c.readable === 0) return false;
    const received = this.#received;
    const rows = this.#rows;
    received.reserve();
    this.#collect(c);
    for (;;) {
      rows.clear();
      received.take(rows);
      if (rows.count === 0) break;
      this.#options.receiver.handleRows(now, 0, rows);
      if (this.#isClosed) return false;
    }
    if (received.badLength !== undefined) {
      this.ended(now, { kind: "link-garbled", length: received.badLength });
      return false;
    }
    return c.readable > 0;
  }

  discard(): void {
    this.#rows.clear();
  }

  /** Copies what can be read out of the connection. */
  #collect(c: Connection): void {
    const received = this.#received;
    const n = Math.min(c.readable, received.room);
    for (let done = 0; done < n; ) {
      const piece = Math.min(n - done, c.peekRun(done));
      const at = c.peekAt(done);
      this.#slab.bytes.copyWithin(received.at, at, at + piece);
      received.filled(piece);
      done += piece;
    }
    c.consume(n);
  }
}
