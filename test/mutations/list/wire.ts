/** Checks of lengths, versions and checksums where bytes come in. */
import { mutationsOf } from "../mutation.ts";

export const WIRE = [
  ...mutationsOf(
    "netstack/wire/ipv4.ts",
    ["if (versionIhl >> 4 !== 4) return Drop.Ipv4BadVersion;", "", "the IP version of a packet"],
    ["headerLen < IPV4_HEADER_LEN || headerLen > avail", "headerLen > avail", "the least length of an IPv4 header"],
    [
      "headerLen < IPV4_HEADER_LEN || headerLen > avail",
      "headerLen < IPV4_HEADER_LEN",
      "an IPv4 header within the frame",
    ],
    ["totalLen < headerLen || totalLen > avail", "totalLen > avail", "a total length that covers the header"],
    ["totalLen < headerLen || totalLen > avail", "totalLen < headerLen", "a total length within the frame"],
    ["sum === 0xffff ?", "true ?", "the IPv4 header checksum"],
    ["if (len < 2 || p + len > end) return", "if (len < 2) return", "an IPv4 option within the header"],
    [
      "if (kind === IPV4_OPTION_LSRR || kind === IPV4_OPTION_SSRR) return Drop.Ipv4SourceRoute;",
      "",
      "the refusal of source routes",
    ],
  ),
  ...mutationsOf(
    "netstack/wire/udp.ts",
    ["len < UDP_HEADER_LEN || len > avail", "len < UDP_HEADER_LEN", "a UDP length within the packet"],
    ["len < UDP_HEADER_LEN || len > avail", "len > avail", "the least UDP length"],
    ["return sumBytes(d, at, len, pseudo + len) === 0xffff;", "return true;", "the UDP checksum"],
  ),
  ...mutationsOf(
    "netstack/wire/tcp.ts",
    ["headerLen < TCP_HEADER_LEN || headerLen > avail", "headerLen < TCP_HEADER_LEN", "a TCP header within the packet"],
    ["headerLen < TCP_HEADER_LEN || headerLen > avail", "headerLen > avail", "the least length of a TCP header"],
    ["sumBytes(d, at, len, pseudo + len) === 0xffff", "true", "the TCP checksum"],
  ),
  ...mutationsOf(
    "netstack/wire/icmpv4.ts",
    ["if (len < ICMP_HEADER_LEN) return Drop.IcmpTruncated;", "", "the length of an ICMP message"],
    ["verify && sumBytes(d, at, len) !== 0xffff", "false", "the ICMP checksum"],
  ),
  ...mutationsOf(
    "netstack/wire/arp.ts",
    ["if (avail < ARP_LEN) return Drop.ArpTruncated;", "", "the length of an ARP message"],
    ["return good ? Drop.None : Drop.ArpBadFormat;", "return Drop.None;", "the address types of an ARP message"],
  ),
  ...mutationsOf(
    "netstack/wire/ipv6.ts",
    ["if (d.getUint8(at) >> 4 !== 6) return Drop.Ipv6BadVersion;", "", "the IP version of an IPv6 packet"],
    [
      "d.getUint16(at + PAYLOAD_LEN) > avail - IPV6_HEADER_LEN ? Drop.Ipv6BadLength",
      "false ? Drop.Ipv6BadLength",
      "an IPv6 payload within the frame",
    ],
  ),
  ...mutationsOf(
    "netstack/wire/ipv6-ext.ts",
    ["if (n === MAX_HEADERS) return Drop.Ipv6ChainTooLong;", "", "a bound of extension headers"],
    [
      "if (p + size - at - IPV6_HEADER_LEN > MAX_CHAIN) return Drop.Ipv6ChainTooLong;",
      "",
      "a bound of the bytes of extension headers",
    ],
    [
      "if (proto === EXT_FRAGMENT && this.fragmentAt !== 0) return Drop.Ipv6BadExtension;",
      "",
      "the refusal of a fragment's fragment",
    ],
    ["if (p + size > end)", "if (p + 8 > end)", "an extension header within the packet"],
    [
      "if (d.getUint8(p + ROUTING_TYPE) === 0) return Drop.Ipv6RoutingHeader;",
      "",
      "the refusal of routing header type 0",
    ],
    [
      "if (isFragment && fragmentOffset(d, this.fragmentAt) > 0) break;",
      "",
      "that the data of a later fragment is no header",
    ],
    [
      "if (this.#isFirstOfSeveral(d) && end - p < transportLen(proto)) return Drop.FragmentIncompleteChain;",
      "",
      "the transport header in a first fragment",
    ],
    ["&& !(proto === EXT_HOP_BY_HOP && n > 0)", "", "that options for every hop come first"],
    [
      "if (p + 2 > end || p + 2 + d.getUint8(p + 1) > end) return OPTIONS_BROKEN;",
      "",
      "an IPv6 option within its header",
    ],
  ),
  ...mutationsOf(
    "netstack/wire/icmpv6.ts",
    ["if (len < ICMPV6_HEADER_LEN) return Drop.IcmpTruncated;", "", "the least length of ICMPv6"],
    ["sumBytes(d, at, len, pseudo + len) !== 0xffff ?", "false ?", "the checksum of ICMPv6"],
    ["type < 128 || type === ICMPV6_REDIRECT", "type < 128", "that a redirect is not answered by an error"],
  ),
  ...mutationsOf(
    "netstack/wire/ndp.ts",
    [
      "if (ipv6HopLimit(d, ip) !== NDP_HOP_LIMIT) return Drop.NdNotLocal;",
      "",
      "that neighbour discovery comes from the link",
    ],
    ["icmpv6Code(d, at) !== 0 || len < fixed", "len < fixed", "the code of neighbour discovery"],
    ["icmpv6Code(d, at) !== 0 || len < fixed", "icmpv6Code(d, at) !== 0", "the length of neighbour discovery"],
    ["if (ipv6IsMulticast(d, at + NDP_TARGET)) return Drop.NdBadFormat;", "", "a target that is no group"],
    [
      "if (nobody && !ndpIsSolicitedNode(d, ip + IPV6_DST)) return Drop.NdBadFormat;",
      "",
      "that who has no address asks the target's group",
    ],
    [
      "if (ipv6IsMulticast(d, ip + IPV6_DST) && (ndpFlags(d, at) & NDP_SOLICITED) !== 0) return Drop.NdBadFormat;",
      "",
      "that an answer to us is sent to us",
    ],
    ["if (size === 0 || p + size > at + len)", "if (size === 0)", "an option within its message"],
    [
      "if (kind === NDP_OPTION_SOURCE_MAC && nobody) return Drop.NdBadFormat;",
      "",
      "that who has no address has no MAC to be answered at",
    ],
  ),
];
