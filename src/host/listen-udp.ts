/**
 * UDP ports of the kernel that are listened on: everybody's datagrams of a turn, as rows with their sources. What comes to one
 * address of ours is a port of its own to the receiver, so that who asked there is answered from there.
 */
import { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import { DATAGRAMS_BYTES, DatagramSources, Datagrams } from "../platform/net/datagrams.ts";
import { type Family, SOCKADDR_BYTES, writeSockaddr } from "../platform/net/sockaddr.ts";
import { type NetworkError, openUdp, pathMtuTo, takeError } from "../platform/net/udp-socket.ts";
import { EMSGSIZE, ENOBUFS, SysError } from "../platform/sys/errno.ts";
import type { NativeMemory, Piece } from "../platform/sys/memory.ts";
import type { Poller } from "../platform/sys/poller.ts";
import { close } from "../platform/sys/syscalls.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import { UDP_OVERHEAD } from "../tunnel/link.ts";
import type { DatagramPort, ListenReceiver, OpenPort, PeerLink } from "../tunnel/listen.ts";

/** Places that are listened on, at most: the memory of each is set aside. */
const MAX_UDP = 8;
const PACKET_BYTES = 4096;
/** An ordinary packet: what the way to a client takes beyond is its own. */
const MTU = 1500;
const ROWS = 1024;
/** Errors that are looked at in a turn: anybody can cause more. */
const ERRORS = 64;
/** Addresses of ours that are told apart: of those that come and go the oldest is forgotten. */
const MAX_OWN = 64;

export const UDP_PORTS_BYTES = MAX_UDP * (DATAGRAMS_BYTES + SOCKADDR_BYTES + PACKET_BYTES + 128);

/** All UDP ports, and their memory. */
export class UdpPorts {
  readonly #memory: NativeMemory;
  readonly #poller: Poller;
  readonly #open = new Set<KernelUdp>();
  /** Of sockets that are closed, and of all that there were. */
  readonly #free: UdpSeat[] = [];
  readonly #seats: UdpSeat[] = [];
  #drained = true;

  constructor(memory: NativeMemory, poller: Poller) {
    this.#memory = memory;
    this.#poller = poller;
  }

  /** @throws SysError */
  listen(family: Family, config: ListenConfig, receiver: ListenReceiver): KernelUdp {
    if (this.#free.length === 0 && this.#seats.length === MAX_UDP)
      throw new SysError("listen", ENOBUFS, `more than ${MAX_UDP} UDP ports`);
    const fd = openUdp(family, config.port, config.address);
    const seat = this.#free.pop() ?? this.#newSeat();
    const bit = this.#poller.add(fd);
    const port = new KernelUdp({ fd, family, config, receiver, memory: this.#memory, seat }, () => {
      this.#poller.remove(bit);
      this.#open.delete(port);
      seat.datagrams.reset();
      this.#free.push(seat);
    });
    this.#open.add(port);
    return port;
  }

  /** Hands over what has come, about `budget` packets. @returns how many there were */
  receive(now: number, budget: number): number {
    let count = 0;
    this.#drained = true;
    for (const port of this.#open) {
      count += port.receive(now, Math.max(1, budget - count));
      if (!port.drained) this.#drained = false;
    }
    return count;
  }

  /** None is listened on. */
  get areNone(): boolean {
    return this.#open.size === 0;
  }

  /** Nothing is known to wait. */
  get drained(): boolean {
    return this.#drained;
  }

  /** In how many runs packets have come. */
  get runs(): number {
    return this.#seats.reduce((sum, { datagrams }) => sum + datagrams.runs, 0);
  }

  closeAll(): void {
    for (const port of [...this.#open]) port.close();
  }

  #newSeat(): UdpSeat {
    const memory = this.#memory;
    const datagrams = new Datagrams(memory);
    const seat = { datagrams, name: memory.take(SOCKADDR_BYTES), packet: memory.take(PACKET_BYTES, 64) };
    this.#seats.push(seat);
    return seat;
  }
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

/** A socket; what comes to one address of ours is a port of its own to the receiver, so that who asked there is answered from there. */
export class KernelUdp implements OpenPort {
  readonly #options: KernelUdpOptions;
  readonly #closed: () => void;
  readonly #datagrams: Datagrams;
  readonly #rows = new Batch(ROWS);
  readonly #from = new DatagramSources(ROWS);
  readonly #run = new Batch(ROWS);
  readonly #runFrom = new DatagramSources(ROWS);
  readonly #one = new Batch(1);
  readonly #ports: KernelUdpPort[] = [];
  /** Told in the next turn: not within a call of the receiver. */
  readonly #heard: NetworkError[] = [];
  #isClosed = false;

  constructor(options: KernelUdpOptions, closed: () => void) {
    const { fd, seat } = options;
    this.#options = options;
    this.#closed = closed;
    this.#datagrams = seat.datagrams;
    // They have to be taken, or the socket is ready for ever; of those that say how large packets may be the receiver is told.
    this.#datagrams.onError = () => {
      for (let i = 0; i < ERRORS; i++) {
        const error = takeError(fd);
        if (error === undefined) return;
        if (error.errno === EMSGSIZE && this.#heard.length < ERRORS) this.#heard.push(error);
      }
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
      const port = this.#portAt(this.#from.own, 4 * first);
      if (first === 0 && end === count) receiver.handleDatagrams(now, port, rows, from);
      else receiver.handleDatagrams(now, port, this.#part(first, end), this.#runFrom);
      first = end;
    }
    this.#tell(now);
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
    return this.#portAt(new Int32Array(4), 0).peer(endpoint);
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

  /** Tells what the network has said of ways to clients: whichever address of ours they are sent to from, the way is the same. */
  #tell(now: number): void {
    const { receiver } = this.#options;
    for (const { address, port, mtu } of this.#heard.splice(0))
      for (const own of this.#ports) if (!this.#isClosed) receiver.narrowed(now, own, { address, port }, mtu);
  }

  /**
   * Where there are too many the oldest becomes this one's, so that a receiver knows of no more. Ways to clients go on from where they were.
   * @param w where in `own` its words are; zeros: the socket is bound to it, or the kernel takes one
   */
  #portAt(own: Int32Array, w: number): KernelUdpPort {
    for (const port of this.#ports) if (port.isAt(own, w)) return port;
    const oldest = this.#ports.length === MAX_OWN ? this.#ports.shift() : undefined;
    const port = oldest ?? new KernelUdpPort(this, this.#options.config);
    port.moveTo(own.slice(w, w + 4));
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
  #words: Int32Array = new Int32Array(4);
  /** undefined: the socket is bound to it. */
  #own: Int32Array | undefined;

  constructor(socket: KernelUdp, config: ListenConfig) {
    this.#socket = socket;
    this.config = config;
  }

  /** It is that address's from now on. */
  moveTo(words: Int32Array): void {
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
    const own = this.#own;
    return {
      isStream: false,
      overhead: endpoint.address.isIpv4 ? UDP_OVERHEAD.ipv4 : UDP_OVERHEAD.ipv6,
      mtu: MTU,
      pathMtu: () => pathMtuTo(endpoint),
      endpoint,
      admit: (rows) => rows.count,
      send: (_now, rows) => this.#socket.send(endpoint, rows, own),
      sendPacket: (_now, packet) => this.#socket.sendPacket(endpoint, packet, own),
      close: () => {},
    };
  }
}

const sameWords = (words: Int32Array, a: number, b: number): boolean =>
  words[a + 3] === words[b + 3] &&
  words[a + 2] === words[b + 2] &&
  words[a + 1] === words[b + 1] &&
  words[a] === words[b];
