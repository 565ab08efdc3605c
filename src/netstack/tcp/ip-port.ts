/** What TCP needs of IP below it, the same for both families: ip4/tcp-port.ts, ip6/tcp-port.ts. Addresses are words of a tuple (flows.ts). */
import type { DropCode } from "../drop.ts";
import type { LinkLayer } from "../link/layer.ts";
import type { Packet } from "../packet.ts";

export interface IpPort {
  readonly link: LinkLayer;
  readonly isV6: boolean;
  /** Largest packet on the link. */
  readonly mtu: number;
  /** Bytes of the header that `emit` writes. */
  readonly headerLen: number;
  /** GSO_TCPV4 or GSO_TCPV6. */
  readonly gsoType: number;
  /** Every network takes packets of this size (RFC 791, RFC 8200 5): no path MTU below it is believed. */
  readonly leastMtu: number;
  /** MSS of a peer that says none (RFC 9293 3.7.1). */
  readonly defaultMss: number;
  /** Writes both addresses of a received packet into a tuple: ours, then the peer's. */
  addresses(p: Packet, tuple: Int32Array): void;
  /** Writes the address that we would send to the tuple's peer from; false: there is none. */
  source(tuple: Int32Array): boolean;
  /** Whether the tuple at `words[at]` begins with an address of ours. */
  isOwn(words: Int32Array, at: number): boolean;
  /** Whether the packet was marked for congestion (RFC 3168 5). */
  isMarked(p: Packet): boolean;
  /** The neighbour that leads to the peer of the tuple at `words[at]`, or minus a drop code. */
  route(now: number, words: Int32Array, at: number): number;
  /** The neighbour to answer a packet through, or minus a drop code. */
  routeBack(now: number, p: Packet): number;
  /**
   * Writes the header at `to` of a packet of `len` bytes in all that becomes `packets` ones, and describes it in `out` as a plain packet.
   * @param ecn codepoint of RFC 3168 5
   */
  emit(out: Packet, to: number, len: number, ecn: number, words: Int32Array, at: number, packets: number): void;
  /** Sends what `emit` described, and counts it where it is lost. */
  send(out: Packet, neighbour: number): DropCode;
}
