/**
 * The packet in hand. Functions of the stack pass one record of this class, reused from packet to packet: the check of the
 * IP header fills it, and whoever comes behind reads it instead of the header. A record is its owner's until the call that it
 * was passed to returns; who keeps a packet copies it.
 */
import { type Batch, GSO_NONE, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { ipv4PseudoSum } from "./wire/ipv4.ts";
import { ipv6PseudoSum } from "./wire/ipv6.ts";

export class Packet {
  /** Of IPv6, else of IPv4. Who fills a record sets it; a record of one family alone has it from the start. */
  isV6: boolean;
  /** Offset of the IP header in the slab; bytes of the packet from there, as the header says. */
  at = 0;
  len = 0;
  /** Offset of the transport header; in a later fragment, of its data. */
  l4 = 0;
  /** Transport protocol; ICMP is another one in each family. */
  proto = 0;
  isFragment = false;
  /** IPv6: offset of the fragment header, 0: there is none. */
  fragmentAt = 0;
  /** It was put together from fragments, and lies in a scratch: who sends it on copies it. */
  isReassembled = false;
  /** IPv6, of a packet that was put together: no fragment of it, on the way further, may be larger. */
  fragmentLen = 0;
  /** Index of the neighbour on its link that it came from; 0 where the link does not say. */
  neighbour = 0;

  // As in a row of a batch (lib/batch.ts), csumStart and hdrLen from `at`; the last two mean something with VNET_NEEDS_CSUM, the two
  // before them where it is a super-frame.
  flags = 0;
  gsoType = GSO_NONE;
  gsoSize = 0;
  hdrLen = 0;
  csumStart = 0;
  csumOffset = 0;

  constructor(isV6 = false) {
    this.isV6 = isV6;
  }

  /** Nothing is left to a device: checksums are complete, and it is no super-frame. */
  setPlain(): void {
    this.flags = 0;
    this.gsoType = GSO_NONE;
  }

  /** What row `row` says beside its bytes; the packet is at `at`. */
  setRow(rx: Batch, row: number, at: number): void {
    const flags = rx.flags[row]!;
    const gsoType = rx.gsoType[row]!;
    this.neighbour = rx.peer[row]!;
    this.flags = flags;
    this.gsoType = gsoType;
    if (gsoType !== GSO_NONE) {
      this.gsoSize = rx.gsoSize[row]!;
      this.hdrLen = rx.hdrLen[row]! - (at - rx.at[row]!);
    }
    if ((flags & VNET_NEEDS_CSUM) !== 0) {
      this.csumStart = rx.csumStart[row]! - (at - rx.at[row]!);
      this.csumOffset = rx.csumOffset[row]!;
    }
  }
}

/** What a transport checksum knows of IP: the sum of the addresses in the header and of the protocol, without the length. */
export const pseudoOf = (d: DataView, { isV6, at, proto }: Packet): number =>
  isV6 ? ipv6PseudoSum(d, at, proto) : ipv4PseudoSum(d, at);
