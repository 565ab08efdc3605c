/**
 * TCP ports of the kernel that are listened on: each connection is the way to one client. All connections are watched by one epoll
 * descriptor, so that the loop's poll() has one for them, however many there are.
 */

import type { Batch } from "../lib/batch.ts";
import { addCounts } from "../lib/counters.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { Family } from "../platform/net/sockaddr.ts";
import { acceptTcp, listenTcp, STREAM_SENDER_BYTES, StreamSender } from "../platform/net/stream-socket.ts";
import { Epoll } from "../platform/sys/epoll.ts";
import type { NativeMemory, Piece } from "../platform/sys/memory.ts";
import type { Poller } from "../platform/sys/poller.ts";
import { close } from "../platform/sys/syscalls.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import { StreamRows } from "../protocol/stream.ts";
import { TCP_OVERHEAD } from "../tunnel/link.ts";
import type { ListenReceiver, OpenPort, PeerLink, StreamReceiver } from "../tunnel/listen.ts";
import { KernelPacketStream } from "./packet-stream.ts";

/** What may wait for a client, where it does not wait for long. Memory is taken for what has ever waited. */
const QUEUE_BYTES = 512 << 10;
const RECEIVED_BYTES = 32 << 10;
/** Our choice: who was sent nothing for so long does not wait for anything. */
const LATELY_MS = 100;
/** Tag of a listening socket, above those of connections. */
const LISTENING = 1 << 16;

/** What each connection takes of the memory. */
export const CONNECTION_BYTES = STREAM_SENDER_BYTES(QUEUE_BYTES) + RECEIVED_BYTES + 128;

/** What a connection has while it is open. */
interface Seat {
  readonly sender: StreamSender;
  readonly received: Piece;
}

interface Listening {
  readonly fd: number;
  readonly family: Family;
  readonly longest: number;
  readonly receiver: ListenReceiver;
  /** Of connections that are over. */
  readonly drops: Record<string, number>;
}

export interface TcpPortsOptions {
  readonly memory: NativeMemory;
  readonly poller: Poller;
  /** Connections at most, for which there has to be room in memory. */
  readonly connections: number;
}

/** All connections, and the sockets that they come by. */
export class TcpPorts {
  /** Reads that brought packets. */
  reads = 0;
  readonly #options: TcpPortsOptions;
  #epoll: Epoll | undefined;
  readonly #tags: number[] = [];
  readonly #listening: (Listening | undefined)[] = [];
  readonly #seats: Seat[] = [];
  readonly #open = new Map<number, AcceptedStream>();
  readonly #free: number[] = [];

  constructor(options: TcpPortsOptions) {
    this.#options = options;
  }

  /** @throws SysError */
  listen(family: Family, config: ListenConfig, longest: number, receiver: ListenReceiver): OpenPort {
    const epoll = this.#watching();
    const fd = listenTcp(family, config.port, config.address);
    const listening: Listening = { fd, family, longest, receiver, drops: {} };
    const tag = this.#listening.push(listening) - 1;
    epoll.add(fd, LISTENING + tag);
    return {
      drops: () => {
        const sum = { ...listening.drops };
        for (const stream of this.#open.values()) if (stream.listening === listening) addCounts(sum, stream.drops());
        return sum;
      },
      close: () => {
        if (this.#listening[tag] === undefined) return;
        this.#listening[tag] = undefined;
        for (const stream of [...this.#open.values()]) if (stream.listening === listening) stream.close();
        epoll.remove(fd);
        close(fd);
      },
    };
  }

  receive(now: number): number {
    if (this.#epoll === undefined) return 0;
    let count = 0;
    for (const tag of this.#epoll.ready(this.#tags)) {
      if (tag >= LISTENING) this.#accept(now, this.#listening[tag - LISTENING]);
      else {
        const read = this.#open.get(tag)?.receive(now) ?? 0;
        if (read > 0) this.reads++;
        count += read;
      }
    }
    return count;
  }

  /** On each connection that packets went to lately what was sent waits for the kernel to take it; there is one. */
  areFull(now: number): boolean {
    let areFull = false;
    for (const stream of this.#open.values()) {
      if (stream.waits) areFull = true;
      else if (now < stream.sentAt + LATELY_MS) return false;
    }
    return areFull;
  }

  closeAll(): void {
    for (const stream of [...this.#open.values()]) stream.close();
  }

  #accept(now: number, listening: Listening | undefined): void {
    if (listening === undefined) return;
    for (let next = acceptTcp(listening.fd); next !== undefined; next = acceptTcp(listening.fd)) {
      const { fd, from } = next;
      const tag = this.#free.pop() ?? this.#newSeat();
      if (tag === undefined) {
        addCounts(listening.drops, { "connections-full": 1 });
        close(fd);
        continue;
      }
      const stream = this.#stream(fd, from, tag, listening);
      this.#watching().add(fd, tag);
      this.#open.set(tag, stream);
      stream.receiver = listening.receiver.accepted(now, stream);
      if (stream.receiver === undefined) stream.close();
    }
  }

  #stream(fd: number, from: Endpoint, tag: number, listening: Listening): AcceptedStream {
    const { memory } = this.#options;
    const { sender, received } = this.#seats[tag]!;
    const epoll = this.#watching();
    sender.reset();
    let wanted = false;
    const watch = (wantsRoom: boolean): void => {
      if (wantsRoom !== wanted) epoll.modify(fd, tag, wantsRoom);
      wanted = wantsRoom;
    };
    const rows = new StreamRows(memory, received.at, received.at + received.length, listening.longest);
    const packets = new KernelPacketStream({ fd, memory, sender, received: rows, watch });
    const stream = new AcceptedStream(from, packets, listening, () => {
      addCounts(listening.drops, packets.drops());
      this.#open.delete(tag);
      this.#free.push(tag);
      epoll.remove(fd);
      close(fd);
    });
    return stream;
  }

  #newSeat(): number | undefined {
    if (this.#seats.length === this.#options.connections) return undefined;
    const { memory } = this.#options;
    const seat = { sender: new StreamSender(memory, QUEUE_BYTES), received: memory.take(RECEIVED_BYTES, 64) };
    return this.#seats.push(seat) - 1;
  }

  #watching(): Epoll {
    if (this.#epoll === undefined) {
      this.#epoll = new Epoll();
      this.#options.poller.add(this.#epoll.fd);
    }
    return this.#epoll;
  }
}

class AcceptedStream implements PeerLink {
  readonly isStream = true;
  readonly mtu = Number.POSITIVE_INFINITY;
  readonly overhead: number;
  readonly endpoint: Endpoint;
  readonly listening: Listening;
  receiver: StreamReceiver | undefined;
  /** When packets of the tunnel went there last. */
  sentAt = Number.NEGATIVE_INFINITY;
  readonly #packets: KernelPacketStream;
  readonly #closed: () => void;
  #isClosed = false;
  readonly #handleRows = (now: number, rows: Batch): void => this.receiver?.handleRows(now, rows);

  constructor(endpoint: Endpoint, packets: KernelPacketStream, listening: Listening, closed: () => void) {
    this.endpoint = endpoint;
    this.listening = listening;
    this.#packets = packets;
    this.#closed = closed;
    this.overhead = listening.family === "ipv4" ? TCP_OVERHEAD.ipv4 : TCP_OVERHEAD.ipv6;
  }

  admit(rows: Batch, overhead: number): number {
    return this.#packets.admit(rows, overhead);
  }

  send(now: number, rows: Batch): void {
    this.sentAt = now;
    this.#packets.send(now, rows);
  }

  sendPacket(_now: number, packet: Uint8Array): void {
    this.#packets.sendPacket(packet);
  }

  get waits(): boolean {
    return this.#packets.waits;
  }

  drops(): Record<string, number> {
    return this.#packets.drops();
  }

  /** @returns how many packets came */
  receive(now: number): number {
    const got = this.#packets.read(now, this.#handleRows);
    if (typeof got === "number") return got;
    if (this.#isClosed) return 0;
    const { receiver } = this;
    this.receiver = undefined;
    this.close();
    receiver?.ended(now, got);
    return 0;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#packets.close();
    this.#closed();
  }
}
