/** Checksums that the sender's kernel left to a device (VNET_NEEDS_CSUM, virtio 1.2 5.1.6.2.1). */
import { Drop, type DropCode } from "../drop.ts";
import type { Packet } from "../packet.ts";
import { checksum } from "../wire/checksum.ts";

/**
 * Completes the checksum of a whole packet that nothing behind us would complete. It is where the row says, which may be in a
 * packet within the packet (VXLAN), over all that follows.
 */
export function completeChecksum(d: DataView, p: Packet): DropCode {
  const start = p.at + p.csumStart;
  const field = start + p.csumOffset;
  const end = p.at + p.len;
  if (start < p.l4 || field + 2 > end || p.isFragment) return Drop.ChecksumPartialMalformed;
  d.setUint16(field, checksum(d, start, end - start) || 0xffff); // 0 would mean none with UDP (RFC 768); both say the same
  return Drop.None;
}
