/**
 * ARP that comes in (RFC 826, RFC 5227): what it teaches the neighbour table, whom we answer, and what we say to somebody
 * who claims our address. Requests of our own are the table's (neighbor.ts); ethernet.ts writes the frames.
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Addressing } from "../ip4/addressing.ts";
import {
  ARP_REPLY,
  ARP_REQUEST,
  arpCheck,
  arpOperation,
  arpSenderIp,
  arpSenderMacHi,
  arpSenderMacLo,
  arpTargetIp,
} from "../wire/arp.ts";
import { isGroupMac } from "../wire/ethernet.ts";
import type { EthernetLink } from "./ethernet.ts";

/** Announcements in defence of our address are at least this far apart (RFC 5227 2.4 (c), DEFEND_INTERVAL). */
const DEFEND_MS = 10_000;

/** Another host, with that MAC, claims our address. May take the address away. */
export type ConflictHandler = (now: number, mac: Mac) => void;

/** A host with that MAC says that it has the address (an IPv4 header's word). Anybody can say so. */
export type HeardHandler = (now: number, address: number, macHi: number, macLo: number) => void;

/** Two MACs answered for the address of a neighbour; `kept` is what it has, and goes on to have. */
export type NeighborConflictHandler = (now: number, address: IpAddress, kept: Mac, other: Mac) => void;

export class Arp {
  onConflict: ConflictHandler | undefined = undefined;
  onNeighborConflict: NeighborConflictHandler | undefined = undefined;
  /** Told of what every request and answer says of its sender, whomever it is for. */
  onHeard: HeardHandler | undefined = undefined;
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #link: EthernetLink;
  readonly #sender = new Int32Array(1);
  #defendedAt = Number.NEGATIVE_INFINITY;
  /** When a claim that came too soon after the last announcement is answered. */
  #defendAt = Number.POSITIVE_INFINITY;

  constructor(slab: Slab, addressing: Addressing, link: EthernetLink) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#link = link;
  }

  /** @param unicast whether the frame was sent to our MAC alone */
  receive(now: number, at: number, avail: number, unicast: boolean): DropCode {
    const d = this.#slab.view;
    const bad = arpCheck(d, at, avail);
    if (bad !== Drop.None) return bad;
    const own = this.#addressing;
    if (own.address === 0) return Drop.Ipv4Unconfigured;
    const operation = arpOperation(d, at);
    if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return Drop.ArpBadFormat;
    const link = this.#link;
    const ip = arpSenderIp(d, at);
    const macHi = arpSenderMacHi(d, at);
    const macLo = arpSenderMacLo(d, at);
    if (isGroupMac(macHi) || (macHi === 0 && macLo === 0)) return Drop.ArpBadSender;
    if (macHi === link.macHi && macLo === link.macLo) return Drop.ArpBadSender;
    if (ip === own.address) {
      this.onConflict?.(now, { hi: macHi, lo: macLo });
      this.defend(now);
      return Drop.ArpConflict;
    }
    // The sender of a probe (RFC 5227 2.1.1) has no address.
    if (ip !== 0) this.onHeard?.(now, ip, macHi, macLo);
    const { neighbors } = link;
    this.#sender[0] = ip;
    if (arpTargetIp(d, at) !== own.address) {
      neighbors.onClaim(now, this.#sender, 0, macHi, macLo);
      return Drop.ArpNotForUs;
    }
    if (operation === ARP_REPLY) {
      // Whom we asked, of the subnet or not (a route's gateway or destination may lie outside: RFC 3442), we had reason to.
      if (!unicast) return Drop.ArpBadSender;
      const claim = neighbors.onReply(now, this.#sender, 0, macHi, macLo);
      if (claim === "conflicting") return Drop.ArpContradiction;
      return claim === "unsolicited" ? Drop.ArpUnsolicited : Drop.None;
    }
    // A gateway may lie outside of the subnet (providers that lease a /32).
    const believable = ip !== 0 && (ip === own.gateway || (own.onLink(ip) && !own.isBroadcast(ip)));
    // A probe (sender 0.0.0.0, RFC 5227) and a sender of another subnet get their answer, and nothing is learnt.
    if (believable) neighbors.onRequest(now, this.#sender, 0, macHi, macLo);
    link.answerArp(macHi, macLo, ip);
    return Drop.None;
  }

  /**
   * Somebody claims our address, or our MAC: everybody is told anew whose it is, now or, within the limit, as soon as it
   * may be. So hosts find us again although the last word was a claim.
   */
  defend(now: number): void {
    if (this.#addressing.address === 0) return;
    const at = this.#defendedAt + DEFEND_MS;
    if (now < at) {
      this.#defendAt = at;
      return;
    }
    this.#defendedAt = now;
    this.#defendAt = Number.POSITIVE_INFINITY;
    this.#link.announce();
  }

  /** Neighbour `n` and another MAC answered for its address. */
  neighborConflict(now: number, n: number, otherHi: number, otherLo: number): void {
    const { words, macHi, macLo } = this.#link.neighbors;
    const kept = { hi: macHi[n]!, lo: macLo[n]! };
    this.onNeighborConflict?.(now, IpAddress.fromIpv4(words[n]!), kept, { hi: otherHi, lo: otherLo });
  }

  /** There is another address to defend, or none. */
  reset(): void {
    this.#defendedAt = Number.NEGATIVE_INFINITY;
    this.#defendAt = Number.POSITIVE_INFINITY;
  }

  pollAt(): number {
    return this.#defendAt;
  }

  handleTimeout(now: number): void {
    if (now >= this.#defendAt) this.defend(now);
  }
}
