/** A side of the router: an interface, and what became of the packets that came from it. */
import { Counters } from "../../lib/counters.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "../drop.ts";
import type { Forwarder } from "../forwarder.ts";
import type { Interface } from "../interface.ts";
import type { Ip4 } from "../ip4/deliver.ts";
import type { Ip6 } from "../ip6/deliver.ts";
import type { Packet } from "../packet.ts";

/** Indexes of the sides. */
export const LAN = 0;
export const TUNNEL = 1;
export const WAN = 2;
export const SIDES = 3;
/** The side of routes that lead nowhere. */
export const NOWHERE = -1;

/** Indexes of a side's counters. */
const RECEIVED = 0;
export const HELD = 1;
export const ARRIVED = 2;
export const BACK = 3;
export const SENT = 4;

/** What a side's interface has for the packet's family. */
export const ipOf = ({ face }: Side, p: Packet): Ip4 | Ip6 => (p.isV6 ? face.v6 : face.v4);

/** What a side asks the router. */
export interface Passage {
  /** Whether the source of a packet is where its side's answers to it would go. */
  sourceAllowed(from: Side, p: Packet): boolean;
  /** Whether a packet to an address of this host is for somebody behind a translator. */
  leadsInside(from: Side, p: Packet): boolean;
  /** Sends on a packet that came from a side: None, or why not. */
  pass(now: number, from: Side, p: Packet): DropCode;
}

export class Side implements Forwarder {
  readonly index: number;
  readonly face: Interface;
  /**
   * Received from there; of those kept until the rest of their packet comes; sent there by others; of those received sent back to
   * where they came from, and sent to other sides.
   */
  readonly counters: Counters;
  readonly drops: Counters<DropName> = dropCounters();
  /** Senders must be in a network that is routed back to them; else not in one of another side. */
  ownSourcesOnly = false;
  /** Where a packet goes whose destination is in no route; undefined: nowhere. */
  exit: Side | undefined = undefined;
  /** The code of packets whose source is not theirs. */
  readonly foreignSource: DropCode;
  /** The code of a packet from there whose destination nobody has. */
  noRoute: DropCode;
  readonly #passage: Passage;

  constructor(passage: Passage, index: number, face: Interface, foreignSource: DropCode, noRoute: DropCode) {
    const { name } = face;
    this.#passage = passage;
    this.index = index;
    this.face = face;
    this.foreignSource = foreignSource;
    this.noRoute = noRoute;
    const to = `to${name[0]?.toUpperCase()}${name.slice(1)}`;
    this.counters = new Counters([`${name}Received`, `${name}Held`, to, `${name}Back`, `${name}Sent`]);
    face.v4.forwarder = this;
    face.v6.forwarder = this;
  }

  checkSource(p: Packet): DropCode {
    // What comes from the WAN is for sockets, which know their peers, or has a mapping, which knows its own.
    if (this.index === WAN) return Drop.None;
    return this.#passage.sourceAllowed(this, p) ? Drop.None : this.foreignSource;
  }

  isForwarded(p: Packet): boolean {
    return this.#passage.leadsInside(this, p);
  }

  forward(now: number, p: Packet): void {
    this.counters.bump(RECEIVED);
    const drop = this.#passage.pass(now, this, p);
    if (drop !== Drop.None) this.drops.bump(drop);
  }

  /** Counts a packet that came from here and went on. */
  countSent(to: Side): void {
    if (to === this) this.counters.bump(BACK);
    else {
      this.counters.bump(SENT);
      to.counters.bump(ARRIVED);
    }
  }
}
