/**
 * ARP that comes in (RFC 826, RFC 5227): what it teaches the neighbour cache, whom we answer, and what we say to somebody
 * who claims our address. Requests of our own are the cache's (neighbor.ts); egress.ts writes the frames.
 */
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

/** Answers to somebody else's claim of our address (RFC 5227 2.4 (b)). */
const DEFEND_MS = 10_000;

/** Another host, with that MAC, claims our address. May take the address away. */
export type ConflictHandler = (now: number, mac: Mac) => void;

export class Arp {
  onConflict: ConflictHandler | undefined = undefined;
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #egress: EthernetLink;
  #defendAt = Number.NEGATIVE_INFINITY;

  constructor(slab: Slab, addressing: Addressing, egress: EthernetLink) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#egress = egress;
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
    const e = this.#egress;
    const ip = arpSenderIp(d, at);
    const macHi = arpSenderMacHi(d, at);
    const macLo = arpSenderMacLo(d, at);
    if (isGroupMac(macHi) || (macHi === 0 && macLo === 0)) return Drop.ArpBadSender;
    if (macHi === e.macHi && macLo === e.macLo) return Drop.ArpBadSender;
    if (ip === own.address) {
      this.onConflict?.(now, { hi: macHi, lo: macLo });
      if (own.address !== 0 && now >= this.#defendAt) {
        this.#defendAt = now + DEFEND_MS;
        e.announce();
      }
      return Drop.ArpConflict;
    }
    const { neighbors } = e;
    if (arpTargetIp(d, at) !== own.address) {
      neighbors.onClaim(now, ip, macHi, macLo);
      return Drop.ArpNotForUs;
    }
    if (operation === ARP_REPLY) {
      // Whom we asked, of the subnet or not (a route's gateway or destination may lie outside: RFC 3442), we had reason to.
      if (!unicast) return Drop.ArpBadSender;
      const claim = neighbors.onReply(now, ip, macHi, macLo);
      return claim === "learnt" || claim === "confirmed" ? Drop.None : Drop.ArpUnsolicited;
    }
    // A gateway may lie outside of the subnet (providers that lease a /32).
    const believable = ip !== 0 && (ip === own.gateway || (own.onLink(ip) && !own.isBroadcast(ip)));
    // A probe (sender 0.0.0.0, RFC 5227) and a sender of another subnet get their answer, and nothing is learnt.
    if (believable) neighbors.onRequest(now, ip, macHi, macLo);
    e.answerArp(macHi, macLo, ip);
    return Drop.None;
  }
}
