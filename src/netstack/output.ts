/**
 * The way out of an interface, of both families: what a transport of our own needs to send without a look at the family. A
 * path is from us to one address; its addresses are words, as they stand in a header.
 */
import type { IpAddress } from "../lib/ip.ts";
import type { Slab } from "../lib/slab.ts";
import { Drop, type DropCode } from "./drop.ts";
import type { Addressing } from "./ip4/addressing.ts";
import type { Ip4Output } from "./ip4/output.ts";
import type { Ip6Addressing } from "./ip6/addressing.ts";
import type { Ip6Output } from "./ip6/output.ts";
import type { LinkLayer } from "./link/layer.ts";
import type { Packet } from "./packet.ts";
import { pseudoSum } from "./wire/checksum.ts";
import { IPV4_HEADER_LEN, ipv4Emit } from "./wire/ipv4.ts";
import { IPV6_DST, IPV6_HEADER_LEN, IPV6_SRC, ipv6Emit, ipv6PutWords, ipv6WordsPseudoSum } from "./wire/ipv6.ts";

/** From us to one address. A record that is reused, or kept as long as a connection. */
export class IpPath {
  isV6 = false;
  /** Of IPv4 the first word alone. */
  readonly src = new Int32Array(4);
  readonly dst = new Int32Array(4);

  get headerLen(): number {
    return this.isV6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN;
  }

  /** What a transport checksum knows of IP, but for the length. */
  pseudo(proto: number): number {
    return this.isV6
      ? ipv6WordsPseudoSum(this.src, 0, this.dst, 0, proto)
      : pseudoSum(this.src[0]!, this.dst[0]!, proto, 0);
  }
}

export interface IpOutputOptions {
  readonly slab: Slab;
  readonly addressing: Addressing;
  readonly v4: Ip4Output;
  readonly addressing6: Ip6Addressing;
  readonly v6: Ip6Output;
}

export class IpOutput {
  readonly link: LinkLayer;
  readonly #slab: Slab;
  readonly #addressing: Addressing;
  readonly #v4: Ip4Output;
  readonly #addressing6: Ip6Addressing;
  readonly #v6: Ip6Output;

  constructor({ slab, addressing, v4, addressing6, v6 }: IpOutputOptions) {
    this.link = v4.link;
    this.#slab = slab;
    this.#addressing = addressing;
    this.#v4 = v4;
    this.#addressing6 = addressing6;
    this.#v6 = v6;
  }

  /**
   * Makes `path` one to `to`: None; NotConfigured: there is no address to send from.
   * @param from the words of the address of ours that it is from, as long as we have it; else the one that is the best for `to`
   */
  open(path: IpPath, to: IpAddress, from?: Int32Array): DropCode {
    const { src, dst } = path;
    path.isV6 = !to.isIpv4;
    if (!path.isV6) {
      src[0] = this.#addressing.address;
      dst[0] = to.w3;
      return Drop.None;
    }
    dst[0] = to.w0;
    dst[1] = to.w1;
    dst[2] = to.w2;
    dst[3] = to.w3;
    if (from !== undefined && this.#addressing6.isOwnWords(from, 0)) {
      src.set(from);
      return Drop.None;
    }
    const source = this.#addressing6.source(dst);
    if (source === undefined) return Drop.NotConfigured;
    src.set(source.words);
    return Drop.None;
  }

  /** The neighbour that a path leads through, or minus a drop code (NoRoute, NotConfigured, NeighborUnreachable). */
  route(now: number, path: IpPath): number {
    return path.isV6 ? this.#v6.route(now, path.dst) : this.#v4.route(now, path.dst[0]!);
  }

  /** Whether a packet to `to` would leave now. Where it would wait, or go nowhere, whoever is on the way is asked for. */
  reaches(now: number, to: IpAddress): boolean {
    const path = new IpPath();
    if (this.open(path, to) !== Drop.None) return false;
    const neighbour = this.route(now, path);
    return neighbour >= 0 && this.link.isKnown(neighbour, path.isV6);
  }

  /** Largest packet that leaves whole. */
  mtu(now: number, path: IpPath): number {
    return path.isV6 ? this.#v6.mtuTo(now, path.dst) : this.link.mtu;
  }

  /**
   * Writes the IP header at `at`, in front of `len` bytes of transport.
   * @param ids identifications that it takes: one a packet of a super-frame @param fragment of IPv4, the field with flags
   */
  header(path: IpPath, at: number, len: number, proto: number, ids = 1, fragment = 0): void {
    const d = this.#slab.view;
    if (!path.isV6) {
      const id = this.#v4.nextId(ids);
      ipv4Emit(d, at, IPV4_HEADER_LEN + len, id, fragment, 64, proto, path.src[0]!, path.dst[0]!);
      return;
    }
    ipv6Emit(d, at, len, proto, this.#addressing6.hopLimit);
    ipv6PutWords(d, at + IPV6_SRC, path.src, 0);
    ipv6PutWords(d, at + IPV6_DST, path.dst, 0);
  }

  /** Sends a packet of our own that was just written to `at`, in fragments where it has to be, and counts it where it is lost. */
  sendOwn(now: number, p: Packet, path: IpPath, at: number, neighbour: number): DropCode {
    p.isV6 = path.isV6;
    return path.isV6 ? this.#v6.sendOwn(now, p, at, neighbour) : this.#v4.sendOwn(p, at, neighbour);
  }

  /** Counts a packet that was refused on the way out (None counts nothing), and hands the code back. */
  countDrop(drop: DropCode): DropCode {
    return this.#v4.countDrop(drop);
  }
}
