/**
 * What the server keeps for one key id: its TLS session, the packets that it sent and that are not acknowledged yet, and
 * those that arrived ahead of their turn.
 */

import type { Direction } from "./data.ts";
import type { ClientMessage } from "./keys.ts";

/** A TLS session of the server, over records that are handed in and out. */
export interface PeerTls {
  readonly state: "handshake" | "established" | "failed" | "closed";
  receive(records: Uint8Array): void;
  pull(): Uint8Array | undefined;
  send(plain: Uint8Array): void;
  read(): Uint8Array | undefined;
  exportKeyingMaterial(label: string, length: number): Uint8Array;
}

const SEND_WINDOW = 6;
const RECEIVE_WINDOW = 12;

interface Sent {
  readonly id: number;
  readonly opcode: number;
  readonly payload: Buffer;
  dueAt: number;
  timeout: number;
}

export class Exchange {
  readonly keyId: number;
  readonly tls: PeerTls;
  client: ClientMessage | undefined;
  /** What the client said through TLS and what is not read yet. */
  plain = Buffer.alloc(0);
  keys: { readonly toClient: Direction; readonly fromClient: Direction } | undefined;
  lastDataId = 0;
  /** Data packets of the client by their id: the same id twice is the same packet twice. */
  readonly dataSeen = new Map<number, string>();
  /** Ids that are to be acknowledged. */
  readonly toAck: number[] = [];
  readonly #timeoutMs: number;
  #waiting: { readonly opcode: number; readonly payload: Buffer }[] = [];
  #flying: Sent[] = [];
  #nextId: number;
  #expected: number;
  readonly #early = new Map<number, { readonly opcode: number; readonly payload: Buffer }>();

  /** @param firstId of the packets of both sides: 1 where their resets are gone by */
  constructor(keyId: number, tls: PeerTls, timeoutMs: number, firstId = 0) {
    this.keyId = keyId;
    this.#nextId = firstId;
    this.#expected = firstId;
    this.tls = tls;
    this.#timeoutMs = timeoutMs;
  }

  queue(opcode: number, payload: Buffer): void {
    this.#waiting.push({ opcode, payload });
  }

  get isAllAcknowledged(): boolean {
    return this.#waiting.length + this.#flying.length === 0;
  }

  /** @param isForgiving the client may have been told of packets that were never sent */
  acknowledged(ids: readonly number[], isForgiving: boolean): void {
    const wrong = ids.find((id) => id >= this.#nextId);
    if (wrong !== undefined && !isForgiving) throw new Error(`packet ${wrong} is acknowledged and was never sent`);
    this.#flying = this.#flying.filter((p) => !ids.includes(p.id));
  }

  /** Takes a packet in; what is in its turn comes out, in order. */
  *arrived(id: number, opcode: number, payload: Buffer): Generator<{ opcode: number; payload: Buffer }> {
    if (id >= this.#expected + RECEIVE_WINDOW) throw new Error(`packet ${id} while ${this.#expected} is waited for`);
    this.toAck.push(id);
    if (id >= this.#expected) this.#early.set(id, { opcode, payload });
    for (let next = this.#early.get(this.#expected); next !== undefined; next = this.#early.get(this.#expected)) {
      this.#early.delete(this.#expected++);
      yield next;
    }
  }

  /** The next packet to be sent. */
  due(now: number): { id: number; opcode: number; payload: Buffer } | undefined {
    const waiting = this.#flying.length < SEND_WINDOW ? this.#waiting.shift() : undefined;
    if (waiting !== undefined) {
      const sent = { ...waiting, id: this.#nextId++, dueAt: now + this.#timeoutMs, timeout: this.#timeoutMs };
      this.#flying.push(sent);
      return sent;
    }
    const again = this.#flying.find((p) => p.dueAt <= now);
    if (again !== undefined) {
      again.timeout = Math.min(2 * again.timeout, 16_000);
      again.dueAt = now + again.timeout;
    }
    return again;
  }

  dueAt(): number {
    const isReady = this.toAck.length > 0 || (this.#waiting.length > 0 && this.#flying.length < SEND_WINDOW);
    return isReady ? Number.NEGATIVE_INFINITY : Math.min(...this.#flying.map((p) => p.dueAt), Number.POSITIVE_INFINITY);
  }
}
