/**
 * What the sessions over an association have in common, whatever their roles (client.ts, server.ts, p2p.ts): what they show of it, and how
 * its events are taken. A role has its states, and says what an event comes to.
 */
import type { Batch } from "../../lib/batch.ts";
import { Deadlines } from "../../lib/deadlines.ts";
import type { TunnelTraffic } from "../data/channel.ts";
import type { SessionDrops } from "../drop.ts";
import type { Association, AssociationEvent } from "./association.ts";

export abstract class RoleSession<State extends string, Event, Timer extends string> {
  protected readonly association: Association;
  protected readonly timers = new Deadlines<Timer>();
  protected readonly events: Event[] = [];

  protected constructor(association: Association) {
    this.association = association;
  }

  abstract get state(): State | "up" | "ended";

  /** Ends at once, without a word to the peer: for an owner that has no way to it any more. */
  abstract abandon(now: number): void;

  /** An event of the association, while this has not ended. */
  protected abstract take(now: number, event: AssociationEvent): void;

  /** Packets can be sealed. */
  get isUp(): boolean {
    return this.state === "up";
  }

  get drops(): SessionDrops {
    return this.association.drops;
  }

  get counters(): Association["counters"] {
    return this.association.counters;
  }

  /** An authentic packet of the peer has come. */
  get isAnswered(): boolean {
    return this.association.isAnswered;
  }

  /** Packets so far that only the peer can have made. */
  get proofs(): number {
    return this.association.proofs;
  }

  /** Whether `len` bytes at `at` of the slab, from anywhere, have the looks of the peer's first answer to us. */
  looksLikeAnswer(at: number, len: number): boolean {
    return this.association.looksLikeAnswer(at, len);
  }

  /** Bytes that sealing adds to a packet at most. Once up. */
  get dataOverhead(): number {
    return this.association.dataOverhead;
  }

  /** The largest packet of the tunnel that becomes one packet of at most `size` bytes. Once up. */
  payloadMax(size: number): number {
    return this.association.payloadMax(size);
  }

  /** Tunnel packets and bytes so far. */
  traffic(): TunnelTraffic {
    return this.association.traffic;
  }

  /** Seals IP packets in place; the rows of `sealed` are datagrams for the link and start in the headroom of `plain`'s. */
  sealBatch(now: number, plain: Batch, sealed: Batch): void {
    this.association.sealBatch(now, plain, sealed);
  }

  /** Begins a renegotiation; in another state than up it has no meaning. */
  renegotiate(now: number): void {
    if (this.isUp) this.association.renegotiate(now);
  }

  /** For a TLS engine that works between calls: it has done something. */
  handleTls(now: number): void {
    this.association.handleTls(now);
    this.settle(now);
  }

  /** The next control packet or ping for the link. */
  pollTransmit(now: number): Uint8Array | undefined {
    return this.association.pollTransmit(now);
  }

  pollEvent(): Event | undefined {
    return this.events.shift();
  }

  /** When handleTimeout or pollTransmit wants to be called; in the past when at once, Infinity when never. */
  pollAt(): number {
    return Math.min(this.timers.next(), this.association.pollAt());
  }

  /** Takes what happened on the association, in its order. */
  protected settle(now: number): void {
    for (let event = this.association.poll(); event !== undefined; event = this.association.poll()) {
      if (this.state !== "ended") this.take(now, event);
    }
  }
}
