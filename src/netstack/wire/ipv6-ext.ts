/**
 * The chain of headers between the IPv6 header and the transport (RFC 8200 4). All but the fragment header are
 *   0 next header | 1 length in 8 bytes, without the first 8 | 2 content
 *   hop-by-hop and destination options: from 2 on options (type | length | data; type 0 is one byte of padding)
 *   routing:   2 type | 3 segments left | 4 by type
 *   fragment (8 bytes):   0 next header | 1 zero | 2 offset in 8 bytes (13 bits), zero (2), more (1) | 4 identification (4)
 *   authentication (RFC 4302): its length is in 4 bytes, without the first 8
 */
import { Drop, type DropCode } from "../drop.ts";
import { PROTO_TCP, PROTO_UDP } from "./ipv4.ts";
import { IPV6_HEADER_LEN, IPV6_NEXT_HEADER, ipv6NextHeader, PROTO_ICMPV6 } from "./ipv6.ts";
import { TCP_HEADER_LEN } from "./tcp.ts";

const EXT_HOP_BY_HOP = 0;
const EXT_ROUTING = 43;
export const EXT_FRAGMENT = 44;
const EXT_AUTHENTICATION = 51;
/** Nothing follows (RFC 8200 4.7). */
export const EXT_NONE = 59;
const EXT_DESTINATION = 60;
// Mobility, HIP and shim6 (RFC 7045 4) end the chain: nobody here speaks them.

export const FRAGMENT_HEADER_LEN = 8;

/**
 * Our choice, within what RFC 8504 5.3 lets a node bound: headers of one chain, and bytes of all of them. Real chains have
 * one or two; longer ones are made to keep routers busy, or to hide the transport (RFC 9098 3).
 */
const MAX_HEADERS = 8;
const MAX_CHAIN = 512;

const ROUTING_TYPE = 2;
const SEGMENTS_LEFT = 3;

/** What a walk along the chain of a checked packet found. One record, used from packet to packet. */
export class ExtensionChain {
  /** What follows the chain, and where. Of a later fragment: what the fragment header names, and where its data begins. */
  proto = 0;
  l4 = 0;
  /** The field that names `proto`. */
  protoAt = 0;
  /** The fragment header, 0: there is none; the field that names it. */
  fragmentAt = 0;
  fragmentNamedAt = 0;
  /** The first routing header, 0: there is none. */
  routingAt = 0;
  /** Whether there are options (hop-by-hop or for the destination): {@link extOptionsCheck}. */
  hasOptions = false;
  /** With a refusal: the byte that it is about, from the start of the packet (RFC 4443 3.4). */
  problem = 0;

  /** Walks the chain of the packet of `len` bytes at `at`. Options are looked at by who is the destination. */
  walk(d: DataView, at: number, len: number): DropCode {
    this.fragmentAt = 0;
    this.routingAt = 0;
    this.hasOptions = false;
    let proto = ipv6NextHeader(d, at);
    let named = at + IPV6_NEXT_HEADER;
    let p = at + IPV6_HEADER_LEN;
    const end = at + len;
    // Options for every hop are the first or none (RFC 8200 4.1); elsewhere they end the chain, as what nobody speaks.
    for (let n = 0; isExtension(proto) && !(proto === EXT_HOP_BY_HOP && n > 0); n++) {
      if (n === MAX_HEADERS) return Drop.Ipv6ChainTooLong;
      if (proto === EXT_FRAGMENT && this.fragmentAt !== 0) return Drop.Ipv6BadExtension;
      const size = p + 8 > end ? 8 : extensionLen(d, p, proto);
      if (p + size > end) return this.#isFirstOfSeveral(d) ? Drop.FragmentIncompleteChain : Drop.Ipv6BadExtension;
      if (p + size - at - IPV6_HEADER_LEN > MAX_CHAIN) return Drop.Ipv6ChainTooLong;
      if (proto === EXT_ROUTING) {
        // RFC 5095 3. One whose segments are used up could pass; nothing honest sends it any more.
        this.problem = p + ROUTING_TYPE - at;
        if (d.getUint8(p + ROUTING_TYPE) === 0) return Drop.Ipv6RoutingHeader;
        if (this.routingAt === 0) this.routingAt = p;
      } else if (proto === EXT_FRAGMENT) {
        this.fragmentAt = p;
        this.fragmentNamedAt = named;
      } else if (proto !== EXT_AUTHENTICATION) this.hasOptions = true;
      const isFragment = proto === EXT_FRAGMENT;
      proto = d.getUint8(p);
      named = p;
      p += size;
      // Behind the header of a later fragment is data.
      if (isFragment && fragmentOffset(d, this.fragmentAt) > 0) break;
    }
    // RFC 7112 5: a first fragment has the transport header, so that who looks at ports sees them.
    if (this.#isFirstOfSeveral(d) && end - p < transportLen(proto)) return Drop.FragmentIncompleteChain;
    this.proto = proto;
    this.protoAt = named;
    this.l4 = p;
    return Drop.None;
  }

  #isFirstOfSeveral(d: DataView): boolean {
    const at = this.fragmentAt;
    return at !== 0 && fragmentMore(d, at) && fragmentOffset(d, at) === 0;
  }
}

/** The least that a first fragment has of a transport header. */
function transportLen(proto: number): number {
  if (proto === PROTO_TCP) return TCP_HEADER_LEN;
  return proto === PROTO_UDP || proto === PROTO_ICMPV6 ? 8 : 1;
}

const isExtension = (proto: number): boolean =>
  proto === EXT_HOP_BY_HOP ||
  proto === EXT_DESTINATION ||
  proto === EXT_ROUTING ||
  proto === EXT_FRAGMENT ||
  proto === EXT_AUTHENTICATION;

/** Bytes of the extension header of a kind at `at`. */
export function extensionLen(d: DataView, at: number, kind: number): number {
  if (kind === EXT_FRAGMENT) return FRAGMENT_HEADER_LEN;
  const len = d.getUint8(at + 1);
  return kind === EXT_AUTHENTICATION ? (len + 2) << 2 : (len + 1) << 3;
}

/** In bytes; `at` is the fragment header's offset, here and below. */
export const fragmentOffset = (d: DataView, at: number): number => d.getUint16(at + 2) & 0xfff8;
export const fragmentMore = (d: DataView, at: number): boolean => (d.getUint16(at + 2) & 1) !== 0;
export const fragmentId = (d: DataView, at: number): number => d.getInt32(at + 4);
/** Neither a first nor a later one of several: a packet by itself (RFC 6946). */
export const fragmentIsAtomic = (d: DataView, at: number): boolean => (d.getUint16(at + 2) & 0xfff9) === 0;

/** @param offset in bytes, a multiple of 8 */
export function fragmentEmit(
  d: DataView,
  at: number,
  nextHeader: number,
  offset: number,
  more: boolean,
  id: number,
): void {
  d.setUint8(at, nextHeader);
  d.setUint8(at + 1, 0);
  d.setUint16(at + 2, offset | (more ? 1 : 0));
  d.setInt32(at + 4, id);
}

/** A routing header with segments left is for whoever knows its type (RFC 8200 4.4). */
export const routingSegmentsLeft = (d: DataView, at: number): number => d.getUint8(at + SEGMENTS_LEFT);
/** Offset of its type, which a refusal is about. */
export const ROUTING_TYPE_OFFSET = ROUTING_TYPE;

/** Options that are padding, or that we know and need not heed: router alert (RFC 2711). */
const OPTION_PAD1 = 0;
const OPTION_PADN = 1;
const OPTION_ROUTER_ALERT = 5;
/** Upper bits of a type: what to do with the packet where it is not known (RFC 8200 4.2). */
const ACTION_SKIP = 0;
const ACTION_DISCARD = 1;
const ACTION_TELL = 2;

/** What {@link extOptionsCheck} found. */
export const OPTIONS_FINE = 0;
/** Refused; the sender is told unless the packet was sent to a group; refused without a word. */
export const OPTIONS_TELL = 1;
export const OPTIONS_TELL_UNICAST = 2;
export const OPTIONS_DISCARD = 3;
/** They do not parse. */
export const OPTIONS_BROKEN = 4;

/**
 * Looks at the options of a walked chain, as the packet's destination: `chain.problem` is the offset of the one that is refused.
 * Options behind a fragment header are those of the whole packet: it is looked at when it is whole.
 */
export function extOptionsCheck(d: DataView, at: number, chain: ExtensionChain): number {
  let proto = ipv6NextHeader(d, at);
  const end = chain.fragmentAt === 0 ? chain.l4 : chain.fragmentAt;
  for (let p = at + IPV6_HEADER_LEN; p < end; ) {
    const size = extensionLen(d, p, proto);
    if (proto === EXT_HOP_BY_HOP || proto === EXT_DESTINATION) {
      const found = optionsCheck(d, at, p + 2, p + size, chain);
      if (found !== OPTIONS_FINE) return found;
    }
    proto = d.getUint8(p);
    p += size;
  }
  return OPTIONS_FINE;
}

function optionsCheck(d: DataView, at: number, from: number, end: number, chain: ExtensionChain): number {
  for (let p = from; p < end; ) {
    const type = d.getUint8(p);
    chain.problem = p - at;
    if (type === OPTION_PAD1) {
      p++;
      continue;
    }
    if (p + 2 > end || p + 2 + d.getUint8(p + 1) > end) return OPTIONS_BROKEN;
    const action = type >> 6;
    if (type !== OPTION_PADN && type !== OPTION_ROUTER_ALERT && action !== ACTION_SKIP) {
      if (action === ACTION_DISCARD) return OPTIONS_DISCARD;
      return action === ACTION_TELL ? OPTIONS_TELL : OPTIONS_TELL_UNICAST;
    }
    p += 2 + d.getUint8(p + 1);
  }
  return OPTIONS_FINE;
}
