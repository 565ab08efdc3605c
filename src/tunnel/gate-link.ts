/** The way to somebody who came to a gate (gate.ts), as a link: path 0 or 1 is where the peer is, the other one where something else came from. */
import type { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import { wordsOf } from "../lib/ip.ts";
import { SESSION_ID_LEN } from "../protocol/control/packet.ts";
import { NOTHING_SEEN } from "../protocol/session/sightings.ts";
import type { Link, LinkReceiver } from "./link.ts";
import type { PeerLink } from "./listen.ts";

export class GateLink implements Link {
  readonly overhead: number;
  readonly isStream: boolean;
  readonly isOpen = true;
  receiver: LinkReceiver | undefined;
  readonly #closed: (link: GateLink) => void;
  /** By path. */
  readonly #ways: (PeerLink | undefined)[];
  /** Their addresses, four words each, and ports: compared for every datagram. */
  readonly #words = new Int32Array(8);
  readonly #ports = new Int32Array(2).fill(-1);
  /** The path of the peer: 0 or 1. */
  #peer = 0;
  /** TLS over UDP: the session id of the peer, which its control packets carry. */
  #sessionId: Uint8Array | undefined;

  constructor(peer: PeerLink, closed: (link: GateLink) => void) {
    this.overhead = peer.overhead;
    this.isStream = peer.isStream;
    this.#ways = [peer, undefined];
    this.#closed = closed;
    this.#place(0, peer);
  }

  get mtu(): number {
    return this.#way(this.#peer).mtu;
  }

  pathMtu(now: number): number {
    return this.#way(this.#peer).pathMtu?.(now) ?? Number.POSITIVE_INFINITY;
  }

  /** The network has said that the way to the peer takes no more. */
  narrow(now: number, mtu: number): void {
    this.receiver?.narrowed(now, this.endpoint(this.#peer).address, mtu);
  }

  admit(rows: Batch, overhead: number): number {
    return this.#way(this.#peer).admit(rows, overhead);
  }

  send(now: number, path: number, rows: Batch): void {
    this.#way(path).send(now, rows);
  }

  sendPacket(now: number, path: number, packet: Uint8Array): void {
    this.#way(path).sendPacket(now, packet);
  }

  settle(path: number): void {
    this.#peer = path;
  }

  endpoint(path: number): Endpoint {
    return this.#way(path).endpoint;
  }

  sightings = () => NOTHING_SEEN;
  /** They are counted by the port. */
  drops = () => ({});

  close(): void {
    this.receiver = undefined;
    for (const way of this.#ways) way?.close();
    this.#closed(this);
  }

  /** Whether the peer is there. @param at where in `words` its address would be */
  isAt(words: Int32Array, at: number, port: number): boolean {
    return this.#isAt(this.#peer, words, at, port);
  }

  isOtherAt(words: Int32Array, at: number, port: number): boolean {
    return this.#isAt(1 - this.#peer, words, at, port);
  }

  /** Something that may be the peer's came from elsewhere. */
  setOther(way: PeerLink): void {
    const path = 1 - this.#peer;
    this.#ways[path] = way;
    this.#place(path, way);
  }

  /** Whether a control packet with the session id at `at` is of this session; of one that is not known yet the first one is. */
  isSession(bytes: Uint8Array, at: number): boolean {
    if (this.#sessionId === undefined) this.setSession(bytes, at);
    const own = this.#sessionId as Uint8Array | undefined;
    for (let k = 0; k < SESSION_ID_LEN; k++) if (own?.[k] !== bytes[at + k]) return false;
    return true;
  }

  setSession(bytes: Uint8Array, at: number): void {
    this.#sessionId = bytes.slice(at, at + SESSION_ID_LEN);
  }

  handOver(now: number, rows: Batch): void {
    this.receiver?.handleRows(now, this.#peer, rows);
  }

  handOverOther(now: number, rows: Batch): void {
    this.receiver?.handleRows(now, 1 - this.#peer, rows);
  }

  #way(path: number): PeerLink {
    return this.#ways[path] ?? (this.#ways[this.#peer] as PeerLink);
  }

  #place(path: number, { endpoint }: PeerLink): void {
    this.#words.set(wordsOf(endpoint.address), 4 * path);
    this.#ports[path] = endpoint.port;
  }

  #isAt(path: number, words: Int32Array, at: number, port: number): boolean {
    const own = this.#words;
    if (this.#ports[path] !== port) return false;
    for (let k = 0; k < 4; k++) if (own[4 * path + k] !== words[at + k]) return false;
    return true;
  }
}
