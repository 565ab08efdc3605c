/** IPv6 fragments (RFC 8200 4.5): how they are read, and pieces of a packet of our own copied elsewhere, one call a piece. */
import type { Slab } from "../../lib/slab.ts";
import type { FragmentFormat } from "../reassembly.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_MAX_PAYLOAD,
  IPV6_NEXT_HEADER,
  IPV6_SRC,
  ipv6Ecn,
  ipv6NextHeader,
  ipv6SetCongestion,
  ipv6SetPayloadLen,
  ipv6TotalLen,
} from "../wire/ipv6.ts";
import {
  EXT_FRAGMENT,
  extensionLen,
  FRAGMENT_HEADER_LEN,
  fragmentEmit,
  fragmentId,
  fragmentMore,
  fragmentOffset,
} from "../wire/ipv6-ext.ts";

/** Where the fragment header of a packet is that has one. */
function fragmentHeaderAt(d: DataView, at: number): number {
  let p = at + IPV6_HEADER_LEN;
  let kind = ipv6NextHeader(d, at);
  while (kind !== EXT_FRAGMENT) {
    const size = extensionLen(d, p, kind);
    kind = d.getUint8(p);
    p += size;
  }
  return p;
}

/** The field that names the header at `header`. */
function namedAt(d: DataView, at: number, header: number): number {
  let named = at + IPV6_NEXT_HEADER;
  for (let p = at + IPV6_HEADER_LEN; p < header; ) {
    const size = extensionLen(d, p, d.getUint8(named));
    named = p;
    p += size;
  }
  return named;
}

/** Without the fragment header, which goes when a packet is whole. */
export const IPV6_FRAGMENTS: FragmentFormat = {
  stride: 4,
  src: IPV6_SRC,
  dst: IPV6_DST,
  maxLen: IPV6_HEADER_LEN + IPV6_MAX_PAYLOAD,
  read(d, at, f) {
    const header = fragmentHeaderAt(d, at);
    f.headerLen = header - at;
    f.dataAt = header + FRAGMENT_HEADER_LEN;
    f.len = at + ipv6TotalLen(d, at) - f.dataAt;
    f.start = fragmentOffset(d, header);
    f.isLast = !fragmentMore(d, header);
    f.id = fragmentId(d, header);
    f.ecn = ipv6Ecn(d, at);
  },
  /** The fragment header goes, and the field that named it names what follows. */
  strip: (d, at, headerLen) => d.setUint8(namedAt(d, at, at + headerLen), d.getUint8(at + headerLen)),
  mark: ipv6SetCongestion,
  finish: (d, at, len) => ipv6SetPayloadLen(d, at, len - IPV6_HEADER_LEN),
};

/** Data bytes of each fragment but the last. */
const dataPerFragment = (mtu: number): number => (mtu - IPV6_HEADER_LEN - FRAGMENT_HEADER_LEN) & ~7;

/** How many fragments a packet of `len` bytes without extension headers makes at an MTU (at least 1280). */
export const fragmentCount = (len: number, mtu: number): number =>
  Math.ceil((len - IPV6_HEADER_LEN) / dataPerFragment(mtu));

/**
 * Copies fragment `index` of the packet of ours at `at`, which has no extension headers, to `to` (room for `mtu` bytes), and
 * returns its length.
 */
export function fragmentCopy(slab: Slab, at: number, index: number, mtu: number, id: number, to: number): number {
  const d = slab.view;
  const data = ipv6TotalLen(d, at) - IPV6_HEADER_LEN;
  const per = dataPerFragment(mtu);
  const start = index * per;
  const len = Math.min(per, data - start);
  const header = to + IPV6_HEADER_LEN;
  const from = at + IPV6_HEADER_LEN + start;
  slab.bytes.copyWithin(to, at, at + IPV6_HEADER_LEN);
  slab.bytes.copyWithin(header + FRAGMENT_HEADER_LEN, from, from + len);
  fragmentEmit(d, header, ipv6NextHeader(d, at), start, start + len < data, id);
  d.setUint8(to + IPV6_NEXT_HEADER, EXT_FRAGMENT);
  ipv6SetPayloadLen(d, to, FRAGMENT_HEADER_LEN + len);
  return IPV6_HEADER_LEN + FRAGMENT_HEADER_LEN + len;
}
