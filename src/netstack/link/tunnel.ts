/**
 * The tunnel as a link: rows are IP packets, neighbours are peers (Batch.peer), and what encrypts and sends is behind the
 * outlet. A row made in place points to where the packet was received; what is made here lies in the tunnel's arena, and the
 * outlet is flushed when that or its batch is full.
 */
import type { Batch } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import { ensureRoom, type Outlet } from "../../lib/outlet.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "../drop.ts";
import type { Packet } from "../packet.ts";
import { IPV4_MAX_LEN } from "../wire/ipv4.ts";
import type { LinkLayer, NetworkLayer } from "./layer.ts";

export class TunnelLink implements LinkLayer {
  /** Of every peer. */
  mtu = IPV4_MAX_LEN;
  /** Whether anybody is at the other end. */
  isOpen = false;
  readonly everybody = -1;
  readonly nd = undefined;
  readonly drops: Counters<DropName> = dropCounters();
  /** Which peer has an address, -1: none. The router's table knows. */
  peerOf: (hop: Int32Array) => number = () => -1;

  readonly #slab: Slab;
  readonly #outlet: Outlet;

  constructor(slab: Slab, outlet: Outlet) {
    this.#slab = slab;
    this.#outlet = outlet;
  }

  receive(now: number, rx: Batch, row: number, up: NetworkLayer): DropCode {
    const at = rx.at[row]!;
    const len = rx.len[row]!;
    if (!this.isOpen) return Drop.TunnelClosed;
    const isV6 = len > 0 && this.#slab.view.getUint8(at) >> 4 === 6;
    return isV6 ? up.ip6(now, rx, row, at, len, true) : up.ip4(now, rx, row, at, len, true);
  }

  limitMtu(mtu = IPV4_MAX_LEN): void {
    this.mtu = mtu;
  }

  frame(len: number): number {
    ensureRoom(this.#outlet, 1, len);
    return this.#outlet.arena.take(len);
  }

  resolve(_now: number, hop: Int32Array): number {
    return this.peerOf(hop);
  }

  answerVia(_now: number, request: Packet): number {
    return request.neighbour;
  }

  output(p: Packet, neighbour: number): DropCode {
    const { batch } = this.#outlet;
    if (batch.room === 0) this.#outlet.flush();
    batch.peer[batch.push(p.at, p.len)] = neighbour;
    return Drop.None;
  }

  isKnown(): boolean {
    return true;
  }

  takesUdpGso(): boolean {
    return false;
  }

  gathers(): boolean {
    return false;
  }

  extend(): void {}

  forget(): void {}

  announce(): void {}

  pollAt(): number {
    return Number.POSITIVE_INFINITY;
  }

  handleTimeout(): void {}
}
