/** Ports of the kernel that a server listens on: datagrams with their sources, and connections as ways to one client each. */
import { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { IpAddress } from "../lib/ip.ts";
import { DATAGRAMS_BYTES, DatagramSources, Datagrams } from "../platform/net/datagrams.ts";
import { type Family, SOCKADDR_BYTES, writeSockaddr } from "../platform/net/sockaddr.ts";
import { acceptTcp, listenTcp, STREAM_SENDER_BYTES, StreamSender } from "../platform/net/stream-socket.ts";
import { openUdp, takeError } from "../platform/net/udp-socket.ts";
import { Epoll } from "../platform/sys/epoll.ts";
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOBUFS, SysError } from "../platform/sys/errno.ts";
import type { NativeMemory, Piece } from "../platform/sys/memory.ts";
import type { Poller } from "../platform/sys/poller.ts";
import { close } from "../platform/sys/syscalls.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import { StreamRows } from "../protocol/stream.ts";
import { UDP_OVERHEAD } from "../tunnel/link.ts";
import type {
  DatagramPort,
  ListenPorts,
  ListenReceiver,
  OpenPort,
  PeerLink,
  StreamReceiver,
} from "../tunnel/listen.ts";
import { KERNEL_TCP_OVERHEAD, KernelPacketStream } from "./packet-stream.ts";

/** Places that are listened on, and connections that are open, at most: the memory of each is set aside. */
const MAX_UDP = 8;
const MAX_CONNECTIONS = 256;
const QUEUE_BYTES = 128 << 10;
const RECEIVED_BYTES = 32 << 10;
const PACKET_BYTES = 4096;
/** An ordinary packet: what the way to a client takes beyond is its own. */
const MTU = 1500;
const ROWS = 1024;
/** Errors that are looked at in a turn: anybody can cause more. */
const ERRORS = 64;
/** Tag of a listening socket, above those of connections. */
const LISTENING = 1 << 16;

const UDP_BYTES = DATAGRAMS_BYTES + SOCKADDR_BYTES + PACKET_BYTES + 128;
const CONNECTION_BYTES = STREAM_SENDER_BYTES(QUEUE_BYTES) + RECEIVED_BYTES + 128;
const bytesFor = (connections: number): number => MAX_UDP * UDP_BYTES + connections * CONNECTION_BYTES;
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
  readonly #udp = new Set<KernelUdp>();
  readonly #streams: Streams;
  /** Of sockets that are closed, and of all that there were. */
  readonly #free: UdpSeat[] = [];
  readonly #seats: UdpSeat[] = [];
  #drained = true;

  constructor(options: KernelPortsOptions) {
    this.#options = options;
    this.#streams = new Streams(options);
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
            ? this.#openUdp(each, config, receiver)
            : this.#streams.listen(each, config, longest, receiver),
        );
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        problem = inWords(error, port, address);
      }
    }
    // Where the kernel has one family alone, that one serves.
    if (open.length === 0) return problem;
    const closing = {
      drops: () => sumOf(open.map((one) => one.drops())),
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
    let count = 0;
    this.#drained = true;
    for (const port of this.#udp) {
      count += port.receive(now, Math.max(1, budget - count));
      if (!port.drained) this.#drained = false;
    }
    const ofStreams = this.#streams.receive(now);
    if (ofStreams > 0) this.#drained = false;
    return count + ofStreams;
  }

  /** Nothing is known to wait. */
  get drained(): boolean {
    return this.#drained;
  }

  /** In how many runs, or pieces of streams, packets have come. */
  get runs(): number {
    let runs = this.#streams.reads;
    for (const { datagrams } of this.#seats) runs += datagrams.runs;
    return runs;
  }

  closeAll(): void {
    for (const port of [...this.#udp]) port.close();
    this.#streams.closeAll();
  }

  #openUdp(family: Family, config: ListenConfig, receiver: ListenReceiver): KernelUdp {
    if (this.#free.length === 0 && this.#seats.length === MAX_UDP)
      throw new SysError("listen", ENOBUFS, `more than ${MAX_UDP} UDP ports`);
    const fd = openUdp(family, config.port, config.address);
    const seat = this.#free.pop() ?? this.#newSeat();
    const { memory, poller } = this.#options;
    const bit = poller.add(fd);
    const port = new KernelUdp({ fd, family, config, receiver, memory, seat }, () => {
      poller.remove(bit);
      this.#udp.delete(port);
      seat.datagrams.reset();
      this.#free.push(seat);
    });
    this.#udp.add(port);
    return port;
  }

  #newSeat(): UdpSeat {
    const { memory } = this.#options;
    const datagrams = new Datagrams(memory);
    const seat = { datagrams, name: memory.take(SOCKADDR_BYTES), packet: memory.take(PACKET_BYTES, 64) };
    this.#seats.push(seat);
    return seat;
  }
}

function inWords(error: SysError, port: number, address: IpAddress | undefined): string {
  if (error.errno === EADDRINUSE) return `the local port ${port} is in use`;
  if (error.errno === EACCES) return `port ${port} needs CAP_NET_BIND_SERVICE: take one above 1023`;
  if (error.errno === EADDRNOTAVAIL && address !== undefined) return `this host does not have the address ${address}`;
  return error.message;
}

function sumOf(parts: readonly Record<string, number>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const part of parts) for (const [name, n] of Object.entries(part)) sum[name] = (sum[name] ?? 0) + n;
  return sum;
}

/** What a UDP socket has while it is open. */
interface UdpSeat {
  readonly datagrams: Datagrams;
  /** A sockaddr, and a packet of our own. */
  readonly name: Piece;
  readonly packet: Piece;
}

interface KernelUdpOptions {
  readonly fd: number;
  readonly family: Family;
  readonly config: ListenConfig;
  readonly receiver: ListenReceiver;
  readonly memory: NativeMemory;
  readonly seat: UdpSeat;
}

/** Addresses of ours that are told apart: of those that come and go the oldest is forgotten. */
const MAX_OWN = 64;

/** A socket; what comes to one address of ours is a port of its own to the receiver, so that who asked there is answered from there. */
class KernelUdp implements OpenPort {
  readonly #options: KernelUdpOptions;
  readonly #closed: () => void;
  readonly #datagrams: Datagrams;
  readonly #rows = new Batch(ROWS);
  readonly #from = new DatagramSources(ROWS);
  readonly #run = new Batch(ROWS);
  readonly #runFrom = new DatagramSources(ROWS);
  readonly #one = new Batch(1);
  readonly #ports: KernelUdpPort[] = [];
  #isClosed = false;

  constructor(options: KernelUdpOptions, closed: () => void) {
    const { fd, seat } = options;
    this.#options = options;
    this.#closed = closed;
    this.#datagrams = seat.datagrams;
    // What routers say of one client is no reason to do anything; but it has to be taken, or the socket is ready for ever.
    this.#datagrams.onError = () => {
      for (let i = 0; i < ERRORS && takeError(fd) !== undefined; i++);
    };
  }

  /** Hands over what has come, rows to one address of ours that follow each other at once. @returns how many there were */
  receive(now: number, budget: number): number {
    const { fd, receiver } = this.#options;
    const [rows, from] = [this.#rows, this.#from];
    const count = this.#datagrams.receive(fd, rows, from, budget);
    for (let first = 0; first < count && !this.#isClosed; ) {
      let end = first + 1;
      while (end < count && sameWords(from.own, 4 * end, 4 * first)) end++;
      const port = this.#portAt(4 * first);
      if (first === 0 && end === count) receiver.handleDatagrams(now, port, rows, from);
      else receiver.handleDatagrams(now, port, this.#part(first, end), this.#runFrom);
      first = end;
    }
    return count;
  }

  get drained(): boolean {
    return this.#datagrams.drained;
  }

  send(to: Endpoint, rows: Batch, own: Int32Array | undefined): void {
    if (this.#isClosed) return;
    const { fd, memory, seat } = this.#options;
    const length = writeSockaddr(memory.view, seat.name.at, to);
    this.#datagrams.send(fd, seat.name.pointer, length, rows, own);
  }

  sendPacket(to: Endpoint, packet: Uint8Array, own: Int32Array | undefined): void {
    const one = this.#one;
    one.clear();
    const { memory, seat } = this.#options;
    one.push(seat.packet.at, packet.length);
    memory.bytes.set(packet, seat.packet.at);
    this.send(to, one, own);
  }

  get family(): Family {
    return this.#options.family;
  }

  /** From whichever address of ours the kernel takes. */
  dial(endpoint: Endpoint): PeerLink {
    return new KernelUdpPort(this, this.#options.config, new Int32Array(4)).peer(endpoint);
  }

  drops(): Record<string, number> {
    return this.#datagrams.drops.snapshot();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed();
    close(this.#options.fd);
  }

  #portAt(w: number): KernelUdpPort {
    const { own } = this.#from;
    for (const port of this.#ports) if (port.isAt(own, w)) return port;
    const port = new KernelUdpPort(this, this.#options.config, own.slice(w, w + 4));
    if (this.#ports.length === MAX_OWN) this.#ports.shift();
    this.#ports.push(port);
    return port;
  }

  #part(first: number, end: number): Batch {
    const run = this.#run;
    run.clear();
    for (let i = first; i < end; i++) run.push(this.#rows.at[i]!, this.#rows.len[i]!);
    this.#runFrom.words.set(this.#from.words.subarray(4 * first, 4 * end));
    this.#runFrom.port.set(this.#from.port.subarray(first, end));
    return run;
  }
}

/** What comes to one of our addresses, and what goes from it. */
class KernelUdpPort implements DatagramPort {
  readonly config: ListenConfig;
  readonly #socket: KernelUdp;
  readonly #words: Int32Array;
  /** undefined: the socket is bound to it. */
  readonly #own: Int32Array | undefined;

  constructor(socket: KernelUdp, config: ListenConfig, words: Int32Array) {
    this.#socket = socket;
    this.config = config;
    this.#words = words;
    this.#own = words.some((word) => word !== 0) ? words : undefined;
  }

  isAt(own: Int32Array, w: number): boolean {
    const words = this.#words;
    return own[w + 3] === words[3] && own[w + 2] === words[2] && own[w + 1] === words[1] && own[w] === words[0];
  }

  answer(_now: number, to: Endpoint, packet: Uint8Array): void {
    this.#socket.sendPacket(to, packet, this.#own);
  }

  peer(endpoint: Endpoint): PeerLink {
    return {
      isStream: false,
      overhead: endpoint.address.isIpv4 ? UDP_OVERHEAD.ipv4 : UDP_OVERHEAD.ipv6,
      mtu: MTU,
      endpoint,
      admit: (rows) => rows.count,
      send: (_now, rows) => this.#socket.send(endpoint, rows, this.#own),
      sendPacket: (_now, packet) => this.#socket.sendPacket(endpoint, packet, this.#own),
      close: () => {},
    };
  }
}

const sameWords = (words: Int32Array, a: number, b: number): boolean =>
  words[a + 3] === words[b + 3] &&
  words[a + 2] === words[b + 2] &&
  words[a + 1] === words[b + 1] &&
  words[a] === words[b];

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

/** All connections, and the sockets that they come by. */
class Streams {
  /** Reads that brought packets. */
  reads = 0;
  readonly #options: KernelPortsOptions;
  #epoll: Epoll | undefined;
  readonly #tags: number[] = [];
  readonly #listening: (Listening | undefined)[] = [];
  readonly #seats: Seat[] = [];
  readonly #open = new Map<number, AcceptedStream>();
  readonly #free: number[] = [];

  constructor(options: KernelPortsOptions) {
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
      drops: () =>
        sumOf([
          listening.drops,
          ...[...this.#open.values()].filter((s) => s.listening === listening).map((s) => s.drops()),
        ]),
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

  closeAll(): void {
    for (const stream of [...this.#open.values()]) stream.close();
  }

  #accept(now: number, listening: Listening | undefined): void {
    if (listening === undefined) return;
    for (let next = acceptTcp(listening.fd); next !== undefined; next = acceptTcp(listening.fd)) {
      const { fd, from } = next;
      const tag = this.#free.pop() ?? this.#newSeat();
      if (tag === undefined) {
        listening.drops["connections-full"] = (listening.drops["connections-full"] ?? 0) + 1;
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
      for (const [name, n] of Object.entries(packets.drops())) listening.drops[name] = (listening.drops[name] ?? 0) + n;
      this.#open.delete(tag);
      this.#free.push(tag);
      epoll.remove(fd);
      close(fd);
    });
    return stream;
  }

  #newSeat(): number | undefined {
    if (this.#seats.length === (this.#options.connections ?? MAX_CONNECTIONS)) return undefined;
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
  readonly #packets: KernelPacketStream;
  readonly #closed: () => void;
  #isClosed = false;
  readonly #handleRows = (now: number, rows: Batch): void => this.receiver?.handleRows(now, rows);

  constructor(endpoint: Endpoint, packets: KernelPacketStream, listening: Listening, closed: () => void) {
    this.endpoint = endpoint;
    this.listening = listening;
    this.#packets = packets;
    this.#closed = closed;
    this.overhead = listening.family === "ipv4" ? KERNEL_TCP_OVERHEAD.ipv4 : KERNEL_TCP_OVERHEAD.ipv6;
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
