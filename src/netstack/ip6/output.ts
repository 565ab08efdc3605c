/** The way out of an interface for IPv6: next hop, neighbour, path MTU, fragments of our own packets. */
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { LinkLayer } from "../link/layer.ts";
import { segmentCount, tcpSegmentCopy, udpSegmentCopy } from "../offload/split.ts";
import { Packet } from "../packet.ts";
import { PathMtus } from "../path-mtus.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { IPV6_DST, IPV6_HEADER_LEN, IPV6_MIN_MTU, IPV6_SRC, ipv6ReadWords } from "../wire/ipv6.ts";
import { ExtensionChain } from "../wire/ipv6-ext.ts";
import type { Ip6Addressing } from "./addressing.ts";
import { ip6Read } from "./check.ts";
import { fragmentCopy, fragmentCount } from "./fragment.ts";

export class Ip6Output {
  readonly link: LinkLayer;
  readonly pathMtu = new PathMtus();
  readonly #slab: Slab;
  readonly #addressing: Ip6Addressing;
  readonly #hop = new Int32Array(4);
  readonly #dst = new Int32Array(4);
  readonly #piece = new Packet(true);
  readonly #chain = new ExtensionChain();
  #id: number;

  /** @param firstId int32, of the identifications of fragments */
  constructor(slab: Slab, addressing: Ip6Addressing, link: LinkLayer, firstId: number) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.link = link;
    this.#id = firstId;
  }

  /** Largest IPv6 packet on the link; a link that takes less than every link must is given what it must (RFC 8200 5). */
  get mtu(): number {
    return Math.max(IPV6_MIN_MTU, Math.min(this.link.mtu, this.#addressing.mtu));
  }

  /** Where a packet of ours for `dst` goes: a neighbour, or minus a drop code (NoRoute, NotConfigured, NeighborUnreachable). */
  route(now: number, dst: Int32Array): number {
    if (dst[0]! >>> 24 === 0xff) return this.link.everybody < 0 ? -Drop.NoRoute : this.link.everybody;
    const own = this.#addressing;
    if (!own.nextHop(dst, this.#hop)) return own.isOn ? -Drop.NoRoute : -Drop.NotConfigured;
    return reachable(this.link.resolve(now, this.#hop));
  }

  /** The same for a packet that answers `request`, whose source it goes to. */
  routeBack(now: number, request: Packet): number {
    ipv6ReadWords(this.#slab.view, request.at + IPV6_SRC, this.#hop, 0);
    if (!this.#addressing.nextHop(this.#hop, this.#hop)) return -Drop.NoRoute;
    return reachable(this.link.answerVia(now, request, this.#hop));
  }

  /** The neighbour on the link that has the address at that place, or minus a drop code (NeighborUnreachable). */
  onLink(now: number, at: number): number {
    ipv6ReadWords(this.#slab.view, at, this.#hop, 0);
    return reachable(this.link.resolve(now, this.#hop));
  }

  /**
   * The neighbour through which a packet of somebody else leaves for the address at that place, by the interface's own routes; or
   * minus a drop code (WanAddress: it is this host's; NoRoute, NotConfigured, NeighborUnreachable).
   */
  onward(now: number, at: number): number {
    const own = this.#addressing;
    const d = this.#slab.view;
    if (!own.isOn) return -Drop.NotConfigured;
    if (own.find(d, at) !== undefined) return -Drop.WanAddress;
    ipv6ReadWords(d, at, this.#hop, 0);
    if (!own.nextHop(this.#hop, this.#hop)) return -Drop.NoRoute;
    return reachable(this.link.resolve(now, this.#hop));
  }

  /** Largest packet that leaves whole. One that came in fragments leaves in fragments no larger than those: they fit its path. */
  mtuFor(p: Packet): number {
    return p.isReassembled ? Math.min(this.mtu, p.fragmentLen) : this.mtu;
  }

  /**
   * Sends on a packet in place. Nobody fragments on the way (RFC 8200 5), but what came in fragments, and was put together for the
   * translator, leaves in fragments again; else TooBig.
   */
  send(p: Packet, neighbour: number): DropCode {
    const mtu = this.mtuFor(p);
    if (p.len <= mtu) return this.link.output(p, neighbour);
    const isAlone = p.l4 === p.at + IPV6_HEADER_LEN;
    return p.isReassembled && isAlone ? this.#fragment(p, neighbour, mtu) : Drop.TooBig;
  }

  /** Sends a TCP or UDP super-packet as packets of `size` payload bytes that fit the MTU, copied, with complete checksums. */
  sendSegments(p: Packet, headerLen: number, size: number, neighbour: number): DropCode {
    const { link } = this;
    const segment = this.#piece;
    const n = segmentCount(p.len, headerLen, size);
    segment.setPlain();
    segment.proto = p.proto;
    segment.isFragment = false;
    for (let i = 0; i < n; i++) {
      const to = link.frame(headerLen + size);
      segment.at = to;
      segment.l4 = to + p.l4 - p.at;
      segment.len = (p.proto === PROTO_TCP ? tcpSegmentCopy : udpSegmentCopy)(this.#slab, p, headerLen, size, i, to);
      const drop = link.output(segment, neighbour);
      if (drop !== Drop.None) return drop;
    }
    return Drop.None;
  }

  /** Largest packet of ours to `dst`. */
  mtuTo(now: number, dst: Int32Array): number {
    return Math.min(this.mtu, this.pathMtu.get(now, dst));
  }

  /**
   * Sends a packet of our own that was just written to `at`, in fragments where its path takes no packet of its length, and
   * counts it where it is lost.
   */
  sendOwn(now: number, p: Packet, at: number, neighbour: number): DropCode {
    p.setPlain();
    const drop = ip6Read(this.#slab.view, p, this.#chain, at);
    if (drop !== Drop.None) return this.countDrop(drop);
    if (neighbour < 0) return this.countDrop(-neighbour as DropCode);
    ipv6ReadWords(this.#slab.view, at + IPV6_DST, this.#dst, 0);
    const mtu = this.mtuTo(now, this.#dst);
    return this.countDrop(p.len <= mtu ? this.link.output(p, neighbour) : this.#fragment(p, neighbour, mtu));
  }

  /** Counts a packet that was refused on the way out (None counts nothing), and hands the code back. */
  countDrop(drop: DropCode): DropCode {
    if (drop !== Drop.None) this.link.drops.bump(drop);
    return drop;
  }

  #fragment(p: Packet, neighbour: number, mtu: number): DropCode {
    const { link } = this;
    const piece = this.#piece;
    const n = fragmentCount(p.len, mtu);
    this.#id = (this.#id + 1) | 0;
    piece.setPlain();
    for (let i = 0; i < n; i++) {
      const to = link.frame(mtu);
      fragmentCopy(this.#slab, p.at, i, mtu, this.#id, to);
      ip6Read(this.#slab.view, piece, this.#chain, to);
      const drop = link.output(piece, neighbour);
      if (drop !== Drop.None) return drop;
    }
    return Drop.None;
  }
}

/** Above the link a neighbour that does not answer is minus its drop code. */
const reachable = (neighbour: number): number => (neighbour < 0 ? -Drop.NeighborUnreachable : neighbour);
