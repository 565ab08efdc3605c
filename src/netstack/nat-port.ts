/** What the router needs from a translator (nat/nat.ts implements it). */
export interface PacketTranslator {
  /** The outside address; a change forgets every mapping. */
  setAddress(external: number): unknown;
  /**
   * Rewrites in place one whole packet of a LAN host (header checked, no fragment) so that it comes from the outside address. 0: done; else a drop code.
   */
  outbound(now: number, at: number, len: number): number;
  /** Rewrites a packet to the outside address back to the LAN host's; also what an ICMP error quotes. 0 or a drop code. */
  inbound(now: number, at: number, len: number): number;
  pollAt(): number;
  handleTimeout(now: number): void;
}
