/**
 * Neighbour discovery of an Ethernet link (RFC 4861 7, RFC 4862 5.4): what solicitations and advertisements teach the neighbour
 * table, whom we answer, the search for a duplicate of an address of ours, and what we say to somebody who claims one. The
 * states of neighbours are those that ARP has (neighbor.ts); what is different from RFC 4861 7.2.5 is what is believed: an
 * advertisement that contradicts what is known is never taken as it is, also with the override flag; everybody is asked.
 * There is no state "delay" (RFC 4861 7.3.3): nobody above tells us that a neighbour is there, so it is asked at once.
 *
 *   an address:  tentative --asked once, 1 s without an answer--> usable      tentative --somebody has it--> taken
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { Ip6Addressing, OwnAddress } from "../ip6/addressing.ts";
import type { Packet } from "../packet.ts";
import { isGroupMac } from "../wire/ethernet.ts";
import { icmpv6Emit, icmpv6Type } from "../wire/icmpv6.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_SRC,
  ipv6Emit,
  ipv6IsUnspecified,
  ipv6PseudoSum,
  ipv6PutWords,
  ipv6ReadWords,
  PROTO_ICMPV6,
} from "../wire/ipv6.ts";
import {
  NDP_ADVERT,
  NDP_HOP_LIMIT,
  NDP_MAC_OPTION_LEN,
  NDP_NEIGHBOR_LEN,
  NDP_OPTION_NONCE,
  NDP_OPTION_SOURCE_MAC,
  NDP_OPTION_TARGET_MAC,
  NDP_OVERRIDE,
  NDP_ROUTER,
  NDP_SOLICIT,
  NDP_SOLICITED,
  NDP_TARGET,
  ndpFlags,
  ndpMacHi,
  ndpMacLo,
  ndpMacOptionEmit,
  ndpOption,
  ndpOptionLen,
  ndpPutSolicitedNode,
} from "../wire/ndp.ts";
import { type NeighborPort, NeighborTable } from "./neighbor.ts";
import type { Parked } from "./parked.ts";

/** What discovery needs of the link that it is for. */
export interface NdLink {
  readonly macHi: number;
  readonly macLo: number;
  /** Offset of `len` bytes for an IPv6 packet; `spare`: within what is kept free beside a frame that is under way. */
  frame6(len: number, spare: boolean): number;
  /** Sends the packet at `at` to a MAC. */
  send6(at: number, len: number, macHi: number, macLo: number): void;
  release(n: number, parked: readonly Parked[], table: NeighborTable, isV6: boolean): void;
  abandon(n: number, parked: readonly Parked[], now: number | undefined, isV6: boolean): void;
}

/** What became of an address of ours, and what others say of it. */
export interface NdEvents {
  /** Nobody else has it: it is used from now on. */
  onUsable(now: number, address: OwnAddress): void;
  /** Another host, with that MAC, had it before us. It is not used. */
  onTaken(now: number, address: OwnAddress, mac: Mac): void;
  /** Another host claims one that we use. */
  onConflict(now: number, address: OwnAddress, mac: Mac): void;
  /** Two MACs answered for the address of a neighbour; `kept` is what it goes on to have. */
  onNeighborConflict(now: number, address: IpAddress, kept: Mac, other: Mac): void;
  /** A neighbour does not answer; or it says that it is no router (any more). */
  onUnreachable(now: number, address: IpAddress): void;
}

/** RFC 4862 5.1 (DupAddrDetectTransmits), RFC 4861 10 (RETRANS_TIMER). */
const SEARCHES = 1;
const SEARCH_MS = 1000;
/**
 * RFC 4862 5.4.2 waits up to a second before the first question, so that hosts that are switched on together do not ask
 * together. A router is alone: less will do.
 */
const SEARCH_DELAY_MS = 100;
/** Announcements in defence of our addresses are at least this far apart, as with ARP. */
const DEFEND_MS = 10_000;
/** ff02::1 */
const ALL_NODES = Int32Array.of(0xff020000 | 0, 0, 0, 1);
const NOBODY = new Int32Array(4);
/** MAC of a group: 33:33 and its last 32 bits (RFC 2464 7). */
export const GROUP_MAC_HI = 0x3333;

export class Nd implements NeighborPort {
  readonly neighbors: NeighborTable;
  events: NdEvents | undefined = undefined;
  /** An address of ours can be used from now on. */
  onUsable: () => void = () => {};
  readonly #slab: Slab;
  readonly #addressing: Ip6Addressing;
  readonly #link: NdLink;
  readonly #random: Random;
  readonly #words = new Int32Array(4);
  readonly #nonce = new Uint8Array(6);
  #defendedAt = Number.NEGATIVE_INFINITY;

  /** @param seed int32, random: of the neighbours' hash */
  constructor(slab: Slab, addressing: Ip6Addressing, link: NdLink, seed: number, random: Random) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#link = link;
    this.#random = random;
    this.neighbors = new NeighborTable(4, seed, this);
  }

  /** A solicitation or an advertisement that {@link ndpCheck} has passed. */
  receive(now: number, p: Packet): DropCode {
    const d = this.#slab.view;
    return icmpv6Type(d, p.l4) === NDP_SOLICIT ? this.#solicited(now, p) : this.#advertised(now, p);
  }

  /** Asks whether another host has an address that is new. */
  search(now: number, address: OwnAddress): void {
    address.state = "tentative";
    address.searches = 0;
    address.searchAt = now + randomBelow(this.#random, SEARCH_DELAY_MS);
  }

  /** Tells everybody our MAC, for each address that we use (RFC 4861 7.2.6). */
  announce(): void {
    for (const own of this.#addressing.addresses) if (own.state === "usable") this.#announce(own);
  }

  forget(): void {
    this.neighbors.clear();
    this.#defendedAt = Number.NEGATIVE_INFINITY;
  }

  pollAt(): number {
    let at = this.neighbors.pollAt();
    for (const own of this.#addressing.addresses) if (own.state === "tentative" && own.searchAt < at) at = own.searchAt;
    return at;
  }

  handleTimeout(now: number): void {
    this.neighbors.handleTimeout(now);
    for (const own of this.#addressing.addresses)
      if (own.state === "tentative" && own.searchAt <= now) this.#searchOn(now, own);
  }

  solicit(n: number, macHi: number, macLo: number): void {
    const source = this.#addressing.linkLocal ?? this.#addressing.addresses.find(({ state }) => state === "usable");
    if (source === undefined) return;
    const { words } = this.neighbors;
    const i = this.neighbors.wordsAt(n);
    const len = IPV6_HEADER_LEN + NDP_NEIGHBOR_LEN + NDP_MAC_OPTION_LEN;
    const at = this.#link.frame6(len, true);
    const d = this.#slab.view;
    const option = at + IPV6_HEADER_LEN + NDP_NEIGHBOR_LEN;
    ndpMacOptionEmit(d, option, NDP_OPTION_SOURCE_MAC, this.#link.macHi, this.#link.macLo);
    if (macHi === 0xffff) {
      this.#solicit(at, len, source.words, words, i);
      this.#link.send6(at, len, GROUP_MAC_HI, d.getInt32(at + IPV6_DST + 12));
    } else {
      ipv6PutWords(d, at + IPV6_DST, words, i);
      this.#finish(at, len, NDP_SOLICIT, 0, source.words, words, i);
      this.#link.send6(at, len, macHi, macLo);
    }
  }

  release(n: number, parked: readonly Parked[]): void {
    this.#link.release(n, parked, this.neighbors, true);
  }

  abandon(n: number, parked: readonly Parked[], now: number | undefined): void {
    this.#link.abandon(n, parked, now, true);
  }

  failed(now: number, n: number): void {
    this.events?.onUnreachable(now, this.#neighbor(n));
  }

  conflict(now: number, n: number, otherHi: number, otherLo: number): void {
    const kept = { hi: this.neighbors.macHi[n]!, lo: this.neighbors.macLo[n]! };
    this.events?.onNeighborConflict(now, this.#neighbor(n), kept, { hi: otherHi, lo: otherLo });
  }

  #neighbor(n: number): IpAddress {
    const { words } = this.neighbors;
    const i = this.neighbors.wordsAt(n);
    return new IpAddress(words[i]!, words[i + 1]!, words[i + 2]!, words[i + 3]!);
  }

  #solicited(now: number, p: Packet): DropCode {
    const d = this.#slab.view;
    const len = p.at + p.len - p.l4;
    const own = this.#addressing.find(d, p.l4 + NDP_TARGET);
    const option = ndpOption(d, p.l4, len, NDP_OPTION_SOURCE_MAC);
    const hi = option < 0 ? 0 : ndpMacHi(d, option);
    const lo = option < 0 ? 0 : ndpMacLo(d, option);
    if (option >= 0 && !this.#isHost(option, hi, lo)) return Drop.NdBadFormat;
    const asks = this.#addressing.find(d, p.at + IPV6_SRC);
    if (asks?.state === "usable") {
      this.#defend(now, asks, { hi, lo });
      return Drop.NdConflict;
    }
    if (own === undefined || own.state === "taken") return Drop.NdNotForUs;
    if (ipv6IsUnspecified(d, p.at + IPV6_SRC)) {
      if (own.state === "tentative") return this.#searchedToo(now, p, own);
      // Somebody is about to take it: everybody hears whose it is (RFC 4861 7.2.4).
      this.#announce(own);
      return Drop.None;
    }
    if (own.state === "tentative") return Drop.NdNotForUs; // RFC 4862 5.4.3
    const { neighbors } = this;
    ipv6ReadWords(d, p.at + IPV6_SRC, this.#words, 0);
    // Of a sender of another network nothing is learnt; it gets its answer.
    if (option >= 0 && this.#addressing.onLink(this.#words)) neighbors.onRequest(now, this.#words, 0, hi, lo);
    if (option >= 0) this.#answer(own, this.#words, hi, lo);
    else {
      const n = neighbors.lookup(now, this.#words, 0);
      // Who leaves out its MAC asks us by it (RFC 4861 4.3); who is unknown all the same asks again, and is asked meanwhile.
      if (n > 0 && neighbors.isKnown(n)) this.#answer(own, this.#words, neighbors.macHi[n]!, neighbors.macLo[n]!);
    }
    return Drop.None;
  }

  #advertised(now: number, p: Packet): DropCode {
    const d = this.#slab.view;
    const len = p.at + p.len - p.l4;
    const { neighbors } = this;
    const option = ndpOption(d, p.l4, len, NDP_OPTION_TARGET_MAC);
    let hi = option < 0 ? 0 : ndpMacHi(d, option);
    let lo = option < 0 ? 0 : ndpMacLo(d, option);
    if (option >= 0 && !this.#isHost(option, hi, lo)) return Drop.NdBadFormat;
    const own = this.#addressing.find(d, p.l4 + NDP_TARGET);
    if (own !== undefined) {
      if (own.state === "tentative") this.#taken(now, own, { hi, lo });
      else if (own.state === "usable") this.#defend(now, own, { hi, lo });
      return Drop.NdConflict;
    }
    ipv6ReadWords(d, p.l4 + NDP_TARGET, this.#words, 0);
    const flags = ndpFlags(d, p.l4);
    if (option < 0) {
      // Whoever is asked by its MAC need not say it again (RFC 4861 4.4).
      const n = neighbors.find(this.#words, 0);
      if (n === 0 || !neighbors.isKnown(n)) return Drop.NdUnsolicited;
      hi = neighbors.macHi[n]!;
      lo = neighbors.macLo[n]!;
    }
    if ((flags & NDP_SOLICITED) === 0) {
      neighbors.onClaim(now, this.#words, 0, hi, lo);
      return Drop.NdUnsolicited;
    }
    const claim = neighbors.onReply(now, this.#words, 0, hi, lo);
    if (claim === "conflicting") return Drop.NdContradiction;
    if (claim === "unsolicited") return Drop.NdUnsolicited;
    // RFC 4861 7.2.5: a router that says that it is none is used as one no more.
    if ((flags & NDP_ROUTER) === 0) {
      const { gateway } = this.#addressing;
      const [w0, w1, w2, w3] = this.#words;
      const says = new IpAddress(w0!, w1!, w2!, w3!);
      if (gateway?.equals(says) === true) this.events?.onUnreachable(now, says);
    }
    return Drop.None;
  }

  /** Whether the option at `option` has the MAC of another host. */
  #isHost(option: number, hi: number, lo: number): boolean {
    if (ndpOptionLen(this.#slab.view, option) !== NDP_MAC_OPTION_LEN) return false;
    if (isGroupMac(hi) || (hi === 0 && lo === 0)) return false;
    return hi !== this.#link.macHi || lo !== this.#link.macLo;
  }

  /** Somebody searches for a duplicate of what we search for: neither gets it (RFC 4862 5.4.3), unless it was our own question. */
  #searchedToo(now: number, p: Packet, own: OwnAddress): DropCode {
    const d = this.#slab.view;
    const nonce = ndpOption(d, p.l4, p.at + p.len - p.l4, NDP_OPTION_NONCE);
    const isOurs =
      nonce >= 0 && own.searches > 0 && ndpMacHi(d, nonce) === own.nonceHi && ndpMacLo(d, nonce) === own.nonceLo;
    if (isOurs) return Drop.NdNotForUs;
    this.#taken(now, own, { hi: 0, lo: 0 });
    return Drop.NdConflict;
  }

  #taken(now: number, own: OwnAddress, mac: Mac): void {
    own.state = "taken";
    this.events?.onTaken(now, own, mac);
  }

  #searchOn(now: number, own: OwnAddress): void {
    if (own.searches < SEARCHES) {
      own.searches++;
      own.searchAt = now + SEARCH_MS;
      this.#search(own);
      return;
    }
    own.state = "usable";
    own.searchAt = Number.POSITIVE_INFINITY;
    this.onUsable();
    this.events?.onUsable(now, own);
  }

  #search(own: OwnAddress): void {
    this.#random.fill(this.#nonce);
    const [a, b, c, e, f, g] = this.#nonce as unknown as [number, number, number, number, number, number];
    own.nonceHi = (a << 8) | b;
    own.nonceLo = (c << 24) | (e << 16) | (f << 8) | g;
    const len = IPV6_HEADER_LEN + NDP_NEIGHBOR_LEN + NDP_MAC_OPTION_LEN;
    const at = this.#link.frame6(len, false);
    const d = this.#slab.view;
    ndpMacOptionEmit(d, at + IPV6_HEADER_LEN + NDP_NEIGHBOR_LEN, NDP_OPTION_NONCE, own.nonceHi, own.nonceLo);
    this.#solicit(at, len, NOBODY, own.words, 0);
    this.#link.send6(at, len, GROUP_MAC_HI, d.getInt32(at + IPV6_DST + 12));
  }

  /** Somebody else says that it has an address that we use: the last word is ours, within a limit. */
  #defend(now: number, own: OwnAddress, mac: Mac): void {
    this.events?.onConflict(now, own, mac);
    if (now < this.#defendedAt + DEFEND_MS) return;
    this.#defendedAt = now;
    this.#announce(own);
  }

  #announce(own: OwnAddress): void {
    this.#advertise(own, ALL_NODES, NDP_OVERRIDE, GROUP_MAC_HI, ALL_NODES[3]!);
  }

  #answer(own: OwnAddress, to: Int32Array, macHi: number, macLo: number): void {
    this.#advertise(own, to, NDP_SOLICITED | NDP_OVERRIDE, macHi, macLo);
  }

  #advertise(own: OwnAddress, to: Int32Array, flags: number, macHi: number, macLo: number): void {
    const len = IPV6_HEADER_LEN + NDP_NEIGHBOR_LEN + NDP_MAC_OPTION_LEN;
    const at = this.#link.frame6(len, false);
    const d = this.#slab.view;
    const option = at + IPV6_HEADER_LEN + NDP_NEIGHBOR_LEN;
    ndpMacOptionEmit(d, option, NDP_OPTION_TARGET_MAC, this.#link.macHi, this.#link.macLo);
    ipv6PutWords(d, at + IPV6_DST, to, 0);
    const all = this.#addressing.isRouter ? flags | NDP_ROUTER : flags;
    this.#finish(at, len, NDP_ADVERT, all, own.words, own.words, 0);
    this.#link.send6(at, len, macHi, macLo);
  }

  /** Writes a solicitation of the address `words[i]` to the group of its node; the option is there. */
  #solicit(at: number, len: number, source: Int32Array, words: Int32Array, i: number): void {
    ndpPutSolicitedNode(this.#slab.view, at + IPV6_DST, words, i);
    this.#finish(at, len, NDP_SOLICIT, 0, source, words, i);
  }

  /** Writes what is not there yet: all but the destination and the option. */
  #finish(
    at: number,
    len: number,
    type: number,
    flags: number,
    source: Int32Array,
    target: Int32Array,
    i: number,
  ): void {
    const d = this.#slab.view;
    const message = at + IPV6_HEADER_LEN;
    ipv6Emit(d, at, len - IPV6_HEADER_LEN, PROTO_ICMPV6, NDP_HOP_LIMIT);
    ipv6PutWords(d, at + IPV6_SRC, source, 0);
    ipv6PutWords(d, message + NDP_TARGET, target, i);
    icmpv6Emit(d, message, len - IPV6_HEADER_LEN, type, 0, flags, ipv6PseudoSum(d, at, PROTO_ICMPV6));
  }
}
