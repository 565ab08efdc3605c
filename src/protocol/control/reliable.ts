/**
 * The control channel's reliability layer for one key id: packet ids from 0, a send window with retransmission, a
 * receive window that puts packets in order, and the ids to acknowledge. Pure book-keeping; the packets are built and
 * wrapped (afresh for each transmission) by the session.
 *
 * As OpenVPN: send window 6, receive window 12, up to 8 ids in an ACK packet, 4 on others, recently acknowledged ids
 * repeated where there is room, retransmission with doubling timeout and at once after 3 later packets were
 * acknowledged. Source: OpenVPN's reliable.h.
 */
import { CONTROL_WKC_V1 } from "./opcode.ts";
import { MAX_ACKS } from "./packet.ts";

export const SEND_WINDOW = 6;
export const RECEIVE_WINDOW = 12;
/** Our choice: no packet waits longer than this for its next transmission. */
export const MAX_RETRANSMIT_MS = 8000;
const FAST_RETRANSMIT_ACKS = 3;

interface Outgoing {
  readonly id: number;
  readonly opcode: number;
  readonly payload: Uint8Array;
  nextAt: number;
  timeout: number;
  /** Later packets that were acknowledged since the last transmission. */
  overtaken: number;
  /** Time of the first transmission; Infinity: not sent yet. */
  sentAt: number;
}

export interface Incoming {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

export class Reliable {
  readonly #initialTimeout: number;
  #nextSendId: number;
  readonly #outgoing: Outgoing[] = [];
  #nextReceiveId: number;
  readonly #incoming = new Map<number, Incoming>();
  #toAck: number[] = [];
  /** Acknowledged lately, latest first. */
  #acked: number[] = [];

  /** @param initialTimeout ms until the first retransmission @param firstId of the packets of both sides */
  constructor(initialTimeout: number, firstId = 0) {
    this.#initialTimeout = initialTimeout;
    this.#nextSendId = firstId;
    this.#nextReceiveId = firstId;
  }

  get sendRoom(): number {
    return this.#introducesItself ? 0 : SEND_WINDOW - this.#outgoing.length;
  }

  /**
   * The packet that lets the server begin to keep anything is on its way. Until it is known to have arrived, another one would
   * come to somebody who cannot read it; so there is none, nor an acknowledgement alone.
   */
  get #introducesItself(): boolean {
    return this.#outgoing[0]?.opcode === CONTROL_WKC_V1;
  }

  /** Everything that was queued is acknowledged. */
  get allAcked(): boolean {
    return this.#outgoing.length === 0;
  }

  /** When the oldest packet that waits for its acknowledgement was sent for the first time; Infinity: none waits. */
  get waitingSince(): number {
    return this.#outgoing.reduce((min, p) => Math.min(min, p.sentAt), Number.POSITIVE_INFINITY);
  }

  /** Queues a packet, due at once. Only while there is sendRoom. */
  queue(opcode: number, payload: Uint8Array): void {
    this.#outgoing.push({
      id: this.#nextSendId++,
      opcode,
      payload,
      nextAt: Number.NEGATIVE_INFINITY,
      timeout: this.#initialTimeout,
      overtaken: 0,
      sentAt: Number.POSITIVE_INFINITY,
    });
  }

  /** The next packet that is due; it counts as sent now. */
  pollSend(now: number): { readonly id: number; readonly opcode: number; readonly payload: Uint8Array } | undefined {
    const due = this.#outgoing.find((p) => p.nextAt <= now);
    if (due === undefined) return undefined;
    if (isSent(due)) {
      due.timeout = Math.max(this.#initialTimeout, Math.min(due.timeout * 2, MAX_RETRANSMIT_MS));
    }
    due.sentAt = Math.min(due.sentAt, now);
    due.overtaken = 0;
    due.nextAt = now + due.timeout;
    return due;
  }

  /** When a packet is due next. */
  pollAt(): number {
    return this.#outgoing.reduce((min, p) => Math.min(min, p.nextAt), Number.POSITIVE_INFINITY);
  }

  /** The peer acknowledges these ids; unknown ones are repetitions and mean nothing. */
  acknowledge(ids: readonly number[]): void {
    for (const id of ids) {
      const index = this.#outgoing.findIndex((p) => p.id === id && isSent(p));
      if (index < 0) continue;
      this.#outgoing.splice(index, 1);
      for (const earlier of this.#outgoing) {
        if (earlier.id < id && isSent(earlier) && ++earlier.overtaken === FAST_RETRANSMIT_ACKS) {
          earlier.nextAt = Number.NEGATIVE_INFINITY;
        }
      }
    }
  }

  /** A packet from the peer. False: ahead of the window, it is not acknowledged. Duplicates are acknowledged again. */
  receive(id: number, opcode: number, payload: Uint8Array): boolean {
    if (id >= this.#nextReceiveId + RECEIVE_WINDOW) return false;
    if (!this.#toAck.includes(id)) this.#toAck.push(id);
    if (id >= this.#nextReceiveId && !this.#incoming.has(id)) this.#incoming.set(id, { opcode, payload });
    return true;
  }

  /** The next packet in order. */
  take(): Incoming | undefined {
    const packet = this.#incoming.get(this.#nextReceiveId);
    if (packet !== undefined) this.#incoming.delete(this.#nextReceiveId++);
    return packet;
  }

  get acksPending(): boolean {
    return this.#toAck.length > 0 && !this.#introducesItself;
  }

  /** Up to `max` ids to put into a packet that goes out now; repeats recent ones when there is room. */
  takeAcks(max: number): number[] {
    const fresh = this.#toAck.splice(0, max);
    const acks = [...fresh, ...this.#acked.filter((id) => !fresh.includes(id))];
    this.#acked = acks.slice(0, MAX_ACKS);
    return acks.slice(0, max);
  }
}

const isSent = (packet: Outgoing): boolean => packet.sentAt !== Number.POSITIVE_INFINITY;
