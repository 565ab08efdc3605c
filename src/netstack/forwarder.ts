/** Where an interface hands packets that are not for this host. Of either family: {@link Packet.isV6}. */
import type { DropCode } from "./drop.ts";
import type { Packet } from "./packet.ts";

export interface Forwarder {
  /**
   * Why the source of `p` cannot be where it came from, or None: asked of every packet, whoever it is for, but over Ethernet not
   * of those whose source is link-local or none (IPv6), which are never forwarded.
   */
  checkSource(p: Packet): DropCode;
  /** Whether `p`, which is for an address of this host on another side, is for the forwarder all the same. */
  isForwarded(p: Packet): boolean;
  /**
   * `p` is checked (headers, options of IPv4, no martian; TTL and hop limit not looked at). The forwarder counts what becomes of
   * it. What it sends on in place are received bytes; what it had put together ({@link Ip4.reassemble}) it copies.
   */
  forward(now: number, p: Packet): void;
}
