/** IPv4 fragments (RFC 791 3.2): how they are read, and pieces of a packet copied elsewhere, one call a piece. */
import type { Slab } from "../../lib/slab.ts";
import type { FragmentFormat } from "../reassembly.ts";
import {
  ECN_CE,
  IPV4_DF,
  IPV4_DST,
  IPV4_HEADER_LEN,
  IPV4_MAX_LEN,
  IPV4_MF,
  IPV4_OPTION_END,
  IPV4_OPTION_NOP,
  IPV4_SRC,
  IPV4_TOS,
  ipv4Ecn,
  ipv4FragmentField,
  ipv4FragmentOffset,
  ipv4HeaderLen,
  ipv4Id,
  ipv4MoreFragments,
  ipv4Protocol,
  ipv4RefreshChecksum,
  ipv4TotalLen,
} from "../wire/ipv4.ts";

/** Fragments of one packet agree in the protocol as well (RFC 791 2.3). */
export const IPV4_FRAGMENTS: FragmentFormat = {
  stride: 1,
  src: IPV4_SRC,
  dst: IPV4_DST,
  maxLen: IPV4_MAX_LEN,
  read(d, at, f) {
    f.headerLen = ipv4HeaderLen(d, at);
    f.dataAt = at + f.headerLen;
    f.len = ipv4TotalLen(d, at) - f.headerLen;
    f.start = ipv4FragmentOffset(d, at);
    f.isLast = !ipv4MoreFragments(d, at);
    f.id = (ipv4Id(d, at) << 8) | ipv4Protocol(d, at);
    f.ecn = ipv4Ecn(d, at);
  },
  strip() {}, // the fields of a fragment stand in the header
  mark: (d, at) => d.setUint8(at + IPV4_TOS, d.getUint8(at + IPV4_TOS) | ECN_CE),
  finish(d, at, len) {
    d.setUint16(at + 2, len);
    d.setUint16(at + 6, 0);
    ipv4RefreshChecksum(d, at);
  },
};

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
