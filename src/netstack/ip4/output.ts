/** The way out of an interface for IPv4: next hop, neighbour, fragments, segments of super-frames. */
import type { Arena, Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { LinkLayer } from "../link/layer.ts";
import { segmentCount, tcpSegmentCopy, udpSegmentCopy } from "../offload/split.ts";
import { Packet } from "../packet.ts";
import { ipv4DontFragment, ipv4Src, PROTO_TCP } from "../wire/ipv4.ts";
import type { Addressing } from "./addressing.ts";
import { ip4Read } from "./check.ts";
import { fragmentCopy, fragmentCount } from "./fragment.ts";

export class Ip4Output {
  readonly link: LinkLayer;
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #scratch: Arena;
  readonly #hop = new Int32Array(1);
  readonly #piece = new Packet();
  readonly #whole = new Packet();
  #id: number;

  /**
   * @param scratch for a datagram of a super-frame that has to be fragmented
   * @param firstId of the identifications
   */
  constructor(slab: Slab, addressing: Addressing, link: LinkLayer, scratch: Arena, firstId: number) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.link = link;
    this.#scratch = scratch;
    this.#id = firstId & 0xffff;
  }

  /** The next identification, or the first of so many. */
  nextId(count = 1): number {
    const id = (this.#id + 1) & 0xffff;
    this.#id = (this.#id + count) & 0xffff;
    return id;
  }

  /** Where a packet of ours for `dst` goes: a neighbour, or minus a drop code (NoRoute, NotConfigured, NeighborUnreachable). */
  route(now: number, dst: number): number {
    const own = this.#addressing;
    if (dst === -1 || (own.address !== 0 && dst === own.broadcast))
      return this.link.everybody < 0 ? -Drop.NoRoute : this.link.everybody;
    const hop = own.nextHop(dst);
    if (hop === 0) return own.address === 0 ? -Drop.NotConfigured : -Drop.NoRoute;
    this.#hop[0] = hop;
    return reachable(this.link.resolve(now, this.#hop));
  }

  /** The same for a packet that answers `request`, whose source it goes to. */
  routeBack(now: number, request: Packet): number {
    const hop = this.#addressing.nextHop(ipv4Src(this.#slab.view, request.at));
    if (hop === 0) return -Drop.NoRoute;
    this.#hop[0] = hop;
    return reachable(this.link.answerVia(now, request, this.#hop));
  }

  get mtu(): number {
    return this.link.mtu;
  }

  /** Largest packet that leaves whole. */
  mtuFor(_p: Packet): number {
    return this.link.mtu;
  }

  /** The neighbour on the link that has the address at that place, or minus a drop code (NeighborUnreachable). */
  onLink(now: number, at: number): number {
    this.#hop[0] = this.#slab.view.getInt32(at);
    return reachable(this.link.resolve(now, this.#hop));
  }

  /**
   * The neighbour through which a packet of somebody else leaves for the address at that place, by the interface's own routes; or
   * minus a drop code (WanAddress: it is this host's, or everybody's; NoRoute, NotConfigured, NeighborUnreachable).
   */
  onward(now: number, at: number): number {
    const own = this.#addressing;
    const dst = this.#slab.view.getInt32(at);
    if (own.address === 0) return -Drop.NotConfigured;
    if (own.isOwn(dst) || own.isBroadcast(dst)) return -Drop.WanAddress;
    const hop = own.nextHop(dst);
    if (hop === 0) return -Drop.NoRoute;
    this.#hop[0] = hop;
    return reachable(this.link.resolve(now, this.#hop));
  }

  /** Sends a packet: in place, or in fragments where it exceeds the MTU; TooBig where that is forbidden. */
  send(p: Packet, neighbour: number): DropCode {
    const { link } = this;
    if (p.len <= link.mtu) return link.output(p, neighbour);
    const d = this.#slab.view;
    if (ipv4DontFragment(d, p.at)) return Drop.TooBig;
    const n = fragmentCount(d, p.at, link.mtu);
    const piece = this.#piece;
    piece.setPlain();
    for (let i = 0; i < n; i++) {
      const to = link.frame(link.mtu);
      fragmentCopy(this.#slab, p.at, i, link.mtu, to);
      ip4Read(d, piece, to);
      const drop = link.output(piece, neighbour);
      if (drop !== Drop.None) return drop;
    }
    return Drop.None;
  }

  /** Sends a packet of our own that was just written to `at`, and counts it where it is lost. */
  sendOwn(p: Packet, at: number, neighbour: number): DropCode {
    p.setPlain();
    ip4Read(this.#slab.view, p, at);
    return this.countDrop(neighbour < 0 ? (-neighbour as DropCode) : this.send(p, neighbour));
  }

  /**
   * Sends a TCP or UDP super-packet as packets of `size` payload bytes, copied, with complete checksums. `size` and the
   * headers fit the MTU with TCP; datagrams that do not leave in fragments.
   */
  sendSegments(p: Packet, headerLen: number, size: number, neighbour: number): DropCode {
    const { link } = this;
    const slab = this.#slab;
    const n = segmentCount(p.len, headerLen, size);
    const fits = headerLen + size <= link.mtu;
    const whole = this.#whole;
    whole.setPlain();
    whole.proto = p.proto;
    whole.isFragment = false;
    const { mark } = this.#scratch;
    for (let i = 0; i < n; i++) {
      if (!fits) this.#scratch.reset(mark);
      const to = fits ? link.frame(headerLen + size) : this.#scratch.take(headerLen + size);
      if (to < 0) return Drop.FragmentLimit;
      whole.at = to;
      whole.l4 = to + p.l4 - p.at;
      whole.len =
        p.proto === PROTO_TCP
          ? tcpSegmentCopy(slab, p, headerLen, size, i, to)
          : udpSegmentCopy(slab, p, headerLen, size, i, to);
      const drop = this.send(whole, neighbour);
      if (drop !== Drop.None) return drop;
    }
    return Drop.None;
  }

  /** Counts a packet that was refused on the way out (None counts nothing), and hands the code back. */
  countDrop(drop: DropCode): DropCode {
    if (drop !== Drop.None) this.link.drops.bump(drop);
    return drop;
  }
}

/** Above the link a neighbour that does not answer is minus its drop code, as every packet that goes no further. */
const reachable = (neighbour: number): number => (neighbour < 0 ? -Drop.NeighborUnreachable : neighbour);
