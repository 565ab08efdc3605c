/** IPv4 fragmentation (RFC 791 3.2): pieces of a packet copied elsewhere, one call a piece. */
import type { Slab } from "../../lib/slab.ts";
import {
  IPV4_DF,
  IPV4_HEADER_LEN,
  IPV4_MF,
  IPV4_OPTION_END,
  IPV4_OPTION_NOP,
  ipv4FragmentField,
  ipv4HeaderLen,
  ipv4RefreshChecksum,
  ipv4TotalLen,
} from "../wire/ipv4.ts";

/** Data bytes of each fragment but the last. */
const dataPerFragment = (headerLen: number, mtu: number): number => (mtu - headerLen) & ~7;

/** How many fragments a checked packet makes at an MTU (at least 68, RFC 791). */
export function fragmentCount(d: DataView, at: number, mtu: number): number {
  const headerLen = ipv4HeaderLen(d, at);
  return Math.ceil((ipv4TotalLen(d, at) - headerLen) / dataPerFragment(headerLen, mtu));
}

/**
 * Copies fragment `index` of the checked packet at `at` to `to` (room for `mtu` bytes) and returns its length. The first
 * has all options, the others those with the copied flag. A packet that is a fragment itself can be split further.
 */
export function fragmentCopy(slab: Slab, at: number, index: number, mtu: number, to: number): number {
  const d = slab.view;
  const headerLen = ipv4HeaderLen(d, at);
  const data = ipv4TotalLen(d, at) - headerLen;
  const per = dataPerFragment(headerLen, mtu);
  const start = index * per;
  const len = Math.min(per, data - start);
  const last = start + len === data;
  const toHeaderLen = copyHeader(slab, at, headerLen, index === 0, to);
  const from = at + headerLen + start;
  slab.bytes.copyWithin(to + toHeaderLen, from, from + len);
  const field = ipv4FragmentField(d, at) & ~IPV4_DF;
  d.setUint8(to, 0x40 | (toHeaderLen >> 2));
  d.setUint16(to + 2, toHeaderLen + len);
  d.setUint16(to + 6, (last ? field : field | IPV4_MF) + (start >> 3));
  ipv4RefreshChecksum(d, to);
  return toHeaderLen + len;
}

/** Copies the header, with all options or with those that every fragment has; returns its length there. */
function copyHeader(slab: Slab, at: number, headerLen: number, all: boolean, to: number): number {
  const bytes = slab.bytes;
  const d = slab.view;
  if (all || headerLen === IPV4_HEADER_LEN) {
    bytes.copyWithin(to, at, at + headerLen);
    return headerLen;
  }
  bytes.copyWithin(to, at, at + IPV4_HEADER_LEN);
  let q = to + IPV4_HEADER_LEN;
  const end = at + headerLen;
  for (let p = at + IPV4_HEADER_LEN; p < end; ) {
    const kind = d.getUint8(p);
    if (kind === IPV4_OPTION_END) break;
    if (kind === IPV4_OPTION_NOP) {
      p++;
      continue;
    }
    const len = p + 1 < end ? d.getUint8(p + 1) : 0;
    if (len < 2 || p + len > end) break;
    if ((kind & 0x80) !== 0) {
      bytes.copyWithin(q, p, p + len);
      q += len;
    }
    p += len;
  }
  while (((q - to) & 3) !== 0) d.setUint8(q++, IPV4_OPTION_END);
  return q - to;
}
