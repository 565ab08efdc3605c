/** What translation does differently in each family: ip4.ts, ip6.ts. Addresses are places in a header, or `stride` words. */
import type { Stride } from "../../lib/words.ts";
import type { DropCode } from "../drop.ts";

/** The packet that an ICMP error quotes, as far as the translator reads it. A record that is reused. */
export class Quote {
  proto = 0;
  /** Offset of its IP header, and of its transport header. */
  at = 0;
  l4 = 0;
  /** Ports, or the identifier of an echo in both. */
  srcPort = 0;
  dstPort = 0;
}

export interface NatFamily {
  readonly stride: Stride;
  /** Offsets of the addresses in an IP header. */
  readonly srcAt: number;
  readonly dstAt: number;
  /** Protocol number of its ICMP, types of echo. */
  readonly icmp: number;
  readonly echoRequest: number;
  readonly echoReply: number;
  /** Errors that are translated; redirect and its like end here: they would only be of use to an attacker (RFC 5508 10). */
  isTranslatedError(type: number): boolean;
  /**
   * Gives the packet at `at`, with its transport header at `l4`, another source or another destination: the address of
   * `words[i]`, and a port or echo identifier. Checksums follow incrementally (RFC 1624; RFC 3022 4.2): wrong ones stay wrong.
   */
  rewriteEndpoint(
    d: DataView,
    at: number,
    l4: number,
    proto: number,
    isSource: boolean,
    words: Int32Array,
    i: number,
    port: number,
  ): void;
  /** The same for the address alone, of an ICMP error. */
  rewriteAddress(d: DataView, at: number, l4: number, isSource: boolean, words: Int32Array, i: number): void;
  /**
   * Reads the quote of the error of `len` bytes at `icmp`: header, first fragment, 8 bytes of TCP, UDP or echo. Its total length
   * may be more than what is there, and its checksum is not believed either way (routers quote what they have already altered).
   * @param echo the type that a quoted echo must have
   */
  readQuote(d: DataView, icmp: number, len: number, echo: number, quote: Quote): DropCode;
  /**
   * Rewrites the quoted source or destination and every checksum that covers it: the quoted header's, the quoted transport's
   * where it was not cut off, and the error's own.
   */
  rewriteQuote(
    d: DataView,
    icmp: number,
    len: number,
    quote: Quote,
    isSource: boolean,
    words: Int32Array,
    i: number,
    port: number,
  ): void;
}
