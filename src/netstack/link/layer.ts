/** What an interface needs from the link below it. A link has neighbours: over Ethernet MACs, in the tunnel peers. */
import type { Batch } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import type { DropCode, DropName } from "../drop.ts";
import type { Packet } from "../packet.ts";
import type { Nd } from "./nd.ts";

export interface LinkLayer {
  /** Largest IP packet. */
  readonly mtu: number;
  /** Packets are no larger than `mtu` from now on; undefined: than what the link itself takes. */
  limitMtu(mtu: number | undefined): void;
  /** The neighbour that is everybody on the link, and with IPv6 every group; -1 where there is no such thing. */
  readonly everybody: number;
  /** Neighbour discovery; undefined where neighbours are known without. */
  readonly nd: Nd | undefined;
  /** What was lost on the way out. */
  readonly drops: Counters<DropName>;
  /** Handles a received row; the IP packet in it goes up. */
  receive(now: number, rx: Batch, row: number, up: NetworkLayer): DropCode;
  /**
   * Offset of `len` bytes for an IP packet of our own, with the outlet ready to take it. When the memory or the outlet's batch
   * is full, everything is sent first: the offset is good until the next call.
   */
  frame(len: number): number;
  /** The neighbour with the address `hop` (1 word of IPv4, 4 of IPv6), for `output` of that family; -1: it does not answer. */
  resolve(now: number, hop: Int32Array): number;
  /** The neighbour to answer `request` through: the one that has the address `hop`, or the one that it came from. */
  answerVia(now: number, request: Packet, hop: Int32Array): number;
  /**
   * Sends a packet, in place (HEADROOM bytes in front of it are free), to a neighbour that resolve or answerVia gave. What
   * has to wait for the neighbour's answer is copied. Refusals: NeighborPendingFull.
   */
  output(p: Packet, neighbour: number): DropCode;
  /** Whether a packet to the neighbour leaves at once, and waits for nobody's answer. */
  isKnown(neighbour: number, isV6: boolean): boolean;
  /** Whether a UDP super-frame (GSO_UDP_L4) of so many rows can be sent to the neighbour now. */
  takesUdpGso(neighbour: number, rows: number, isV6: boolean): boolean;
  /**
   * Whether a packet of so many rows can be sent to the neighbour now: gathered from its pieces, and, where it is a TCP super-frame,
   * split by the device.
   */
  gathers(neighbour: number, rows: number, isV6: boolean): boolean;
  /** Continues the packet that was output last; before that one {@link takesUdpGso} or {@link gathers} has said that there is room. */
  extend(at: number, len: number): void;
  /** The interface has another address of IPv4, or none: what was known of those neighbours is forgotten. */
  forget(): void;
  /** Tells the neighbours of the interface's IPv4 address, where that is done. */
  announce(): void;
  pollAt(): number;
  handleTimeout(now: number): void;
}

/** Where a link hands packets up to. */
export interface NetworkLayer {
  /** @param unicast whether it was sent to us alone */
  ip4(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode;
  ip6(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode;
  /** ARP was handled. */
  arp(): void;
}
