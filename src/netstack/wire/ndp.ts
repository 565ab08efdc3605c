/**
 * Neighbour discovery (RFC 4861 4), messages of ICMPv6 (wire/icmpv6.ts) with options behind:
 *   solicitation (135), advertisement (136):  4 flags: router, solicited, override (3 bits), zero | 8 target (16) | 24 options
 *   redirect (137):  8 target (16) | 24 destination (16) | 40 options
 *   router solicitation (133):  8 options          router advertisement (134), see router-advert.ts:  16 options
 *   an option:  0 type | 1 length in 8 bytes | 2 value          link-layer address: 2 MAC (6)          nonce (RFC 3971 5.3.2)
 */
import { Drop, type DropCode } from "../drop.ts";
import { icmpv6Code, icmpv6Type } from "./icmpv6.ts";
import { IPV6_DST, IPV6_SRC, ipv6HopLimit, ipv6IsLinkLocal, ipv6IsMulticast, ipv6IsUnspecified } from "./ipv6.ts";

export const NDP_ROUTER_SOLICIT = 133;
export const NDP_ROUTER_ADVERT = 134;
export const NDP_SOLICIT = 135;
export const NDP_ADVERT = 136;
export const NDP_REDIRECT = 137;

export const NDP_OPTION_SOURCE_MAC = 1;
export const NDP_OPTION_TARGET_MAC = 2;
export const NDP_OPTION_NONCE = 14;

/** Offset of the target of a solicitation, an advertisement, a redirect; of a redirect's destination. */
export const NDP_TARGET = 8;
export const NDP_DESTINATION = 24;
/** Bytes of a solicitation or an advertisement without options. */
export const NDP_NEIGHBOR_LEN = 24;
/** Bytes of an option with a MAC, and of a nonce of 6 bytes. */
export const NDP_MAC_OPTION_LEN = 8;

/** Flags of an advertisement, as the second word of the header. */
export const NDP_ROUTER = 0x80000000 | 0;
export const NDP_SOLICITED = 0x40000000;
export const NDP_OVERRIDE = 0x20000000;

/** All of them have it, so that it cannot come from beyond the link (RFC 4861 11.2). */
export const NDP_HOP_LIMIT = 255;

const isNeighborMessage = (type: number): boolean => type === NDP_SOLICIT || type === NDP_ADVERT;

/** Whether a type of ICMPv6 is neighbour discovery. */
export const ndpIsType = (type: number): boolean => type >= NDP_ROUTER_SOLICIT && type <= NDP_REDIRECT;

/** Bytes of a message in front of its options. */
export function ndpFixedLen(type: number): number {
  if (type === NDP_ROUTER_SOLICIT) return 8;
  if (type === NDP_ROUTER_ADVERT) return 16;
  return type === NDP_REDIRECT ? 40 : NDP_NEIGHBOR_LEN;
}

/**
 * What RFC 4861 6.1, 7.1 and 8.1 demand of a message whose ICMPv6 header and checksum have been checked: hop limit, code,
 * length, sender, target, options that fit. A redirect also has to come from the router in use, and a router's messages be its
 * own: whoever handles them sees to it.
 * @param ip the IPv6 header
 * @param at the message, of `len` bytes
 */
export function ndpCheck(d: DataView, ip: number, at: number, len: number): DropCode {
  if (ipv6HopLimit(d, ip) !== NDP_HOP_LIMIT) return Drop.NdNotLocal;
  const type = icmpv6Type(d, at);
  const fixed = ndpFixedLen(type);
  if (icmpv6Code(d, at) !== 0 || len < fixed) return Drop.NdBadFormat;
  const nobody = ipv6IsUnspecified(d, ip + IPV6_SRC);
  if (isNeighborMessage(type) || type === NDP_REDIRECT) {
    if (ipv6IsMulticast(d, at + NDP_TARGET)) return Drop.NdBadFormat;
  }
  switch (type) {
    case NDP_SOLICIT:
      // One in search of a duplicate goes to the group of its target.
      if (nobody && !ndpIsSolicitedNode(d, ip + IPV6_DST)) return Drop.NdBadFormat;
      break;
    case NDP_ADVERT:
      if (ipv6IsMulticast(d, ip + IPV6_DST) && (ndpFlags(d, at) & NDP_SOLICITED) !== 0) return Drop.NdBadFormat;
      break;
    case NDP_ROUTER_ADVERT:
      if (!ipv6IsLinkLocal(d, ip + IPV6_SRC)) return Drop.NdBadFormat;
      break;
    case NDP_REDIRECT:
      if (!ipv6IsLinkLocal(d, ip + IPV6_SRC) || ipv6IsMulticast(d, at + NDP_DESTINATION)) return Drop.NdBadFormat;
      break;
  }
  for (let p = at + fixed; p < at + len; ) {
    const size = p + 2 <= at + len ? d.getUint8(p + 1) << 3 : 0;
    if (size === 0 || p + size > at + len) return Drop.NdBadFormat;
    const kind = d.getUint8(p);
    // Who has no address yet has none to be answered at.
    if (kind === NDP_OPTION_SOURCE_MAC && nobody) return Drop.NdBadFormat;
    p += size;
  }
  return Drop.None;
}

export const ndpFlags = (d: DataView, at: number): number => d.getInt32(at + 4);

/** ff02::1:ff00:0/104 (RFC 4291 2.7.1). */
export const ndpIsSolicitedNode = (d: DataView, at: number): boolean =>
  d.getInt32(at) === SOLICITED_NODE_0 &&
  d.getInt32(at + 4) === 0 &&
  d.getInt32(at + 8) === 1 &&
  d.getUint8(at + 12) === 0xff;

const SOLICITED_NODE_0 = 0xff020000 | 0;

/** Writes the solicited-node group of the address `words[i]` to `to`. */
export function ndpPutSolicitedNode(d: DataView, to: number, words: Int32Array, i: number): void {
  d.setInt32(to, SOLICITED_NODE_0);
  d.setInt32(to + 4, 0);
  d.setInt32(to + 8, 1);
  d.setInt32(to + 12, 0xff000000 | (words[i + 3]! & 0xffffff));
}

/** The first option of a kind in a checked message, and its offset; -1: there is none. */
export function ndpOption(d: DataView, at: number, len: number, kind: number): number {
  for (let p = at + ndpFixedLen(icmpv6Type(d, at)); p < at + len; p += d.getUint8(p + 1) << 3)
    if (d.getUint8(p) === kind) return p;
  return -1;
}

/** Bytes of the option at `at`. */
export const ndpOptionLen = (d: DataView, at: number): number => d.getUint8(at + 1) << 3;

/** The MAC in an option of {@link NDP_MAC_OPTION_LEN} bytes at `at`. */
export const ndpMacHi = (d: DataView, at: number): number => d.getUint16(at + 2);
export const ndpMacLo = (d: DataView, at: number): number => d.getInt32(at + 4);

/** Writes an option with a MAC, or a nonce, of 6 bytes. */
export function ndpMacOptionEmit(d: DataView, at: number, kind: number, hi: number, lo: number): void {
  d.setUint8(at, kind);
  d.setUint8(at + 1, 1);
  d.setUint16(at + 2, hi);
  d.setInt32(at + 4, lo);
}
