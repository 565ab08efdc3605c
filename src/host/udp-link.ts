/** A link over a UDP socket of the kernel. */
import { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Slab } from "../lib/slab.ts";
import { DatagramSources, type Datagrams } from "../platform/net/datagrams.ts";
import { SOCKADDR_BYTES, writeSockaddr } from "../platform/net/sockaddr.ts";
import { type NetworkError, pathMtuTo, takeError } from "../platform/net/udp-socket.ts";
import { ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH } from "../platform/sys/errno.ts";
import type { NativeMemory, Piece } from "../platform/sys/memory.ts";
import { close } from "../platform/sys/syscalls.ts";
import type { Sightings } from "../protocol/session/sightings.ts";
import { type Link, type LinkReceiver, type LinkRequest, UDP_OVERHEAD } from "../tunnel/link.ts";

const ROWS = 1024;
/** The longest control packet, and some. */
const PACKET_BYTES = 4096;
/** Errors that are looked at in a turn: anybody on the way can cause more. */
const ERRORS = 16;

/** Native memory of one link: a packet of its own, and the addresses of two paths. */
export const UDP_LINK_BYTES = PACKET_BYTES + 2 * SOCKADDR_BYTES + 64;

export interface UdpLinkOptions {
  readonly request: LinkRequest;
  readonly receiver: LinkReceiver;
  readonly fd: number;
  /** Of this link while it is open. */
  readonly datagrams: Datagrams;
  readonly slab: Slab & Pick<NativeMemory, "pointer">;
  /** UDP_LINK_BYTES, of this link while it is open. */
  readonly memory: Piece;
  /** What the device on the way takes. */
  readonly mtu: number;
  readonly closed: () => void;
}

/** Paths: the peer, and the last address beside it that something came from. */
export class KernelUdpLink implements Link {
  readonly overhead: number;
  readonly isStream = false;
  readonly isOpen = true;
  readonly #options: UdpLinkOptions;
  readonly #packet: number;
  /** Where the sockaddr of path 0 and 1 lies, and its length. */
  readonly #names: readonly number[];
  #nameLength: number;
  readonly #endpoints: (Endpoint | undefined)[];
  /** The path of the peer. */
  #peer = 0;
  readonly #peerWords = new Int32Array(4);
  readonly #rows = new Batch(ROWS);
  readonly #from = new DatagramSources(ROWS);
  readonly #run = new Batch(ROWS);
  readonly #one = new Batch(1);
  #isClosed = false;
  /** Without float: what came from elsewhere. */
  #stranger: Endpoint | undefined;
  #others = 0;
  #unreachable: Sightings["unreachable"];

  constructor(options: UdpLinkOptions) {
    this.#options = options;
    const { request, memory, datagrams } = options;
    this.overhead = request.remote.address.isIpv4 ? UDP_OVERHEAD.ipv4 : UDP_OVERHEAD.ipv6;
    this.#packet = memory.at;
    this.#names = [memory.at + PACKET_BYTES, memory.at + PACKET_BYTES + SOCKADDR_BYTES + 4];
    this.#endpoints = [request.remote, undefined];
    this.#nameLength = this.#writeName(0, request.remote);
    datagrams.onError = (number) => this.#failed(number);
    this.settle(0);
  }

  get mtu(): number {
    return this.#options.mtu;
  }

  pathMtu(): number {
    return pathMtuTo(this.endpoint(this.#peer));
  }

  admit(rows: Batch): number {
    return rows.count;
  }

  send(_now: number, path: number, rows: Batch): void {
    const { datagrams, fd, slab } = this.#options;
    if (!this.#isClosed) datagrams.send(fd, slab.pointer + this.#names[path]!, this.#nameLength, rows);
  }

  sendPacket(now: number, path: number, packet: Uint8Array): void {
    const one = this.#one;
    one.clear();
    one.push(this.#packet, packet.length);
    this.#options.slab.bytes.set(packet, this.#packet);
    this.send(now, path, one);
  }

  settle(path: number): void {
    this.#peer = path;
    const { w0, w1, w2, w3 } = this.endpoint(path).address;
    this.#peerWords.set([w0, w1, w2, w3]);
  }

  endpoint(path: number): Endpoint {
    return this.#endpoints[path] ?? this.#options.request.remote;
  }

  sightings(): Omit<Sightings, "otherKey"> {
    const seen = { stranger: this.#stranger, others: this.#others, unreachable: this.#unreachable };
    return { ...seen, damaged: 0, otherPort: 0 };
  }

  drops(): Record<string, number> {
    return this.#options.datagrams.drops.snapshot();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.closed();
    close(this.#options.fd);
    this.#options.datagrams.reset();
  }

  /** Hands over what has come, at most `budget` packets. @returns how many there were */
  receive(now: number, budget: number): number {
    const { datagrams, fd, receiver } = this.#options;
    const rows = this.#rows;
    const count = datagrams.receive(fd, rows, this.#from, budget);
    for (let first = 0; first < count && !this.#isClosed; ) {
      const isPeer = this.#isFromPeer(first);
      let end = first + 1;
      while (end < count && isPeer && this.#isFromPeer(end)) end++;
      if (!isPeer) this.#takeStranger(now, first);
      else if (first === 0 && end === count) receiver.handleRows(now, this.#peer, rows);
      else receiver.handleRows(now, this.#peer, this.#part(first, end));
      first = end;
    }
    this.#tell(now);
    return count;
  }

  #isFromPeer(row: number): boolean {
    const { words, port } = this.#from;
    const peer = this.#peerWords;
    return (
      words[4 * row + 3] === peer[3] &&
      port[row] === this.endpoint(this.#peer).port &&
      words[4 * row + 2] === peer[2] &&
      words[4 * row + 1] === peer[1] &&
      words[4 * row] === peer[0]
    );
  }

  #part(first: number, end: number): Batch {
    const run = this.#run;
    run.clear();
    for (let i = first; i < end; i++) run.push(this.#rows.at[i]!, this.#rows.len[i]!);
    return run;
  }

  /** What is not from the peer: with float another path, else a hint. */
  #takeStranger(now: number, row: number): void {
    const { request, receiver } = this.#options;
    const { words, port } = this.#from;
    const w = 4 * row;
    const from = {
      address: new IpAddress(words[w]!, words[w + 1]!, words[w + 2]!, words[w + 3]!),
      port: port[row]!,
    };
    if (request.float) {
      const path = 1 - this.#peer;
      this.#endpoints[path] = from;
      this.#nameLength = this.#writeName(path, from);
      return receiver.handleRows(now, path, this.#part(row, row + 1));
    }
    if (this.#stranger !== undefined) return;
    if (receiver.looksLikeAnswer(this.#rows.at[row]!, this.#rows.len[row]!)) this.#stranger = from;
    else this.#others++;
  }

  #writeName(path: number, endpoint: Endpoint): number {
    return writeSockaddr(this.#options.slab.view, this.#names[path]!, endpoint);
  }

  /** A call failed, most often because of an earlier packet: what waits says which, and why. */
  #failed(number: number): void {
    if (number === ENETUNREACH) this.#unreachable = "network";
    for (let i = 0; i < ERRORS; i++) {
      const error = takeError(this.#options.fd);
      if (error === undefined) return;
      this.#heard.push(error);
    }
  }

  /** Told in the next turn: not within a call of the receiver. */
  readonly #heard: NetworkError[] = [];

  /** Tells the receiver what the network has said. */
  #tell(now: number): void {
    for (const { address, port, errno, mtu } of this.#heard.splice(0)) {
      const peer = this.endpoint(this.#peer);
      if (this.#isClosed || !address.equals(peer.address) || port !== peer.port) continue;
      if (errno === EMSGSIZE) this.#options.receiver.narrowed(now, address, mtu);
      else {
        this.#unreachable = WORDS[errno] ?? this.#unreachable;
        if (WORDS[errno] !== undefined) this.#options.receiver.unreachable(now);
      }
    }
  }
}

/** As the kernel translates what routers say (net/ipv4/icmp.c, icmp_err_convert). */
const WORDS: Readonly<Record<number, NonNullable<Sightings["unreachable"]>>> = Object.freeze({
  [ENETUNREACH]: "network",
  [EHOSTUNREACH]: "host",
  [ECONNREFUSED]: "port",
  13: "prohibited",
});
