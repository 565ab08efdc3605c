/**
 * Bindings of the translator: (protocol, inside address, inside port) <-> outside port (RFC 4787 REQ-1: endpoint-independent
 * mapping). One lives as long as it has sessions. A *forward* is a binding that the operator has set: it is there without any, so
 * that sessions can begin from outside.
 */
import { assert } from "../../lib/assert.ts";
import { Buckets } from "../../lib/buckets.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { type IpAddress, wordsOf } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import { copyAddress, type Stride, sameAddress } from "../../lib/words.ts";
import { endpointHash } from "./hash.ts";
import { Ports } from "./ports.ts";

/** Forwards of one family at most. */
export const MAX_FORWARDS = 256;

/** What comes to an outside port, from whomever, goes to an endpoint of the LAN. */
export interface Forward {
  /** PROTO_TCP or PROTO_UDP. */
  readonly protocol: number;
  readonly port: number;
  readonly to: Endpoint;
}

export class Bindings {
  /** Words of the inside addresses: `stride` for each binding. */
  readonly inside: Int32Array;
  readonly insidePort: Uint16Array;
  readonly outsidePort: Uint16Array;
  /** Bindings whose outside port is not the inside one, since the start. */
  portsChanged = 0;

  readonly #stride: Stride;
  readonly #seed: number;
  readonly #ports: Ports;
  readonly #rows: Buckets;
  readonly #protocol: Uint8Array;
  /** Sessions of each, and one more for a forward. */
  readonly #uses: Int32Array;
  #forwards: readonly Forward[] = [];
  readonly #isForward: Uint8Array;

  /** @param sessions at most @param seed of the hashes */
  constructor(stride: Stride, sessions: number, seed: number, random: Random) {
    const rows = sessions + MAX_FORWARDS;
    this.inside = new Int32Array((rows + 1) * stride);
    this.insidePort = new Uint16Array(rows + 1);
    this.outsidePort = new Uint16Array(rows + 1);
    this.#stride = stride;
    this.#seed = seed;
    this.#ports = new Ports(random);
    this.#rows = new Buckets(rows);
    this.#protocol = new Uint8Array(rows + 1);
    this.#uses = new Int32Array(rows + 1);
    this.#isForward = new Uint8Array(rows + 1);
  }

  /** Keeps an outside port for this host: {@link Ports.reserve}. */
  reserve(protocol: number, port: number): boolean {
    return this.#ports.reserve(protocol, port);
  }

  /** Gives a reserved port back. */
  release(protocol: number, port: number): void {
    this.#ports.release(protocol, port);
  }

  /** The binding that has an outside port, or 0. */
  at(protocol: number, outsidePort: number): number {
    return this.#ports.binding(protocol, outsidePort);
  }

  isForward(b: number): boolean {
    return this.#isForward[b] === 1;
  }

  /** The binding of an inside endpoint, made when there is none; 0 when there is no port. Who makes one takes it with {@link use}. */
  of(protocol: number, inside: Int32Array, insidePort: number): number {
    const rows = this.#rows;
    const hash = endpointHash(this.#seed, protocol, inside, 0, this.#stride, insidePort);
    for (let b = rows.first(hash); b !== 0; b = rows.next(b)) {
      if (
        this.insidePort[b] === insidePort &&
        this.#protocol[b] === protocol &&
        sameAddress(this.inside, b * this.#stride, inside, 0, this.#stride)
      )
        return b;
    }
    const b = this.#add(hash, protocol, inside, insidePort);
    const outside = this.#ports.take(protocol, insidePort, b);
    if (outside < 0) {
      rows.remove(hash, b);
      return 0;
    }
    if (outside !== insidePort) this.portsChanged++;
    this.outsidePort[b] = outside;
    return b;
  }

  /** A session has it. */
  use(b: number): void {
    this.#uses[b] = this.#uses[b]! + 1;
  }

  /** A session has it no more. */
  unuse(b: number): void {
    const left = this.#uses[b]! - 1;
    this.#uses[b] = left;
    if (left > 0) return;
    const protocol = this.#protocol[b]!;
    this.#ports.put(protocol, this.outsidePort[b]!);
    const at = b * this.#stride;
    this.#rows.remove(endpointHash(this.#seed, protocol, this.inside, at, this.#stride, this.insidePort[b]!), b);
  }

  /** The bindings that cannot stay beside these forwards: forwards that are not among them, and what has one of their ports. */
  endedBy(forwards: readonly Forward[]): Set<number> {
    const kept = new Set(forwards.map(nameOf));
    const ended = this.#forwards.filter((f) => !kept.has(nameOf(f))).map((f) => this.at(f.protocol, f.port));
    const had = new Set(this.#forwards.map(nameOf));
    const fresh = forwards.filter((f) => !had.has(nameOf(f)));
    return new Set([...ended, ...fresh.map((f) => this.at(f.protocol, f.port))].filter((b) => b !== 0));
  }

  /** Sets the forwards; the bindings that {@link endedBy} them have no sessions any more. */
  setForwards(forwards: readonly Forward[]): void {
    assert(forwards.length <= MAX_FORWARDS, "no more forwards than MAX_FORWARDS");
    const kept = new Set(forwards.map(nameOf));
    const had = new Set(this.#forwards.map(nameOf));
    for (const forward of this.#forwards) {
      if (kept.has(nameOf(forward))) continue;
      const b = this.at(forward.protocol, forward.port);
      this.#isForward[b] = 0;
      this.unuse(b);
    }
    for (const forward of forwards) if (!had.has(nameOf(forward))) this.#addForward(forward);
    this.#forwards = forwards;
  }

  /** Forgets all but the forwards and what is reserved. */
  clear(): void {
    this.#ports.clear();
    this.#rows.clear();
    this.#uses.fill(0);
    this.#isForward.fill(0);
    for (const forward of this.#forwards) this.#addForward(forward);
  }

  #addForward({ protocol, port, to }: Forward): void {
    const inside = addressWords(to.address, this.#stride);
    const b = this.#add(
      endpointHash(this.#seed, protocol, inside, 0, this.#stride, to.port),
      protocol,
      inside,
      to.port,
    );
    this.outsidePort[b] = port;
    this.#ports.assign(protocol, port, b);
    this.#isForward[b] = 1;
    this.use(b);
  }

  #add(hash: number, protocol: number, inside: Int32Array, insidePort: number): number {
    const b = this.#rows.add(hash);
    this.#protocol[b] = protocol;
    copyAddress(inside, 0, this.inside, b * this.#stride, this.#stride);
    this.insidePort[b] = insidePort;
    this.#uses[b] = 0;
    return b;
  }
}

/** The words of an address in the tables of its family. */
export const addressWords = (address: IpAddress, stride: Stride): Int32Array =>
  stride === 1 ? Int32Array.of(address.w3) : wordsOf(address);

const nameOf = ({ protocol, port, to }: Forward): string => `${protocol} ${port} ${to.address} ${to.port}`;
