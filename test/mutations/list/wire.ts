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
    ["sumBytes(d, at, headerLen) === 0xffff ?", "true ?", "the IPv4 header checksum"],
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
];
