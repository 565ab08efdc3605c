/** What IP, ICMP, TCP and UDP of an interface refuse, and how often they answer (RFC 1122, RFC 1812). */
import { mutationsOf } from "../mutation.ts";

export const STACK = [
  ...mutationsOf(
    "netstack/link/ethernet.ts",
    ["if (isGroupMac(srcHi)) return Drop.EtherBadSource;", "", "the refusal of a group MAC as the sender"],
    [
      "if (!unicast && !isBroadcastMac(dstHi, dstLo) && !(type === ETHERTYPE_IPV6 && dstHi === GROUP_MAC_HI))",
      "if (false as boolean)",
      "the destination MAC of a frame",
    ],
    [
      "if (!neighbors.hasRoomFor(neighbour, p.len)) return",
      "if (false as boolean) return",
      "the bound on what waits for ARP",
    ],
  ),
  ...mutationsOf(
    "netstack/ip4/deliver.ts",
    ["if (foreign !== Drop.None) return foreign;", "", "the source check"],
    ["p.neighbour = this.output.onLink(now, p.at + IPV4_SRC);", "", "which peer is told of lost fragments"],
    ["if (dstTop === 127 || dstTop === 0) return Drop.Ipv4MartianDestination;", "", "martian destinations"],
    ["if (srcTop === 127 || srcTop >= 224 ||", "if (srcTop >= 224 ||", "loopback as the source"],
    ["if (srcTop === 127 || srcTop >= 224 ||", "if (srcTop === 127 ||", "multicast as the source"],
    [
      "if (src === own.address || own.isBroadcast(src)) return Drop.Ipv4MartianSource;",
      "",
      "our own address, or the broadcast, as the source",
    ],
    [
      "if (p.proto !== PROTO_UDP || p.isFragment) return Drop.Ipv4Unconfigured;",
      "",
      "silence of an interface without an address",
    ],
    [
      "this.forwarder === undefined || !unicast || dstTop >= 224",
      "this.forwarder === undefined || dstTop >= 224",
      "that broadcast frames are not forwarded",
    ],
    [
      "this.forwarder === undefined || !unicast || dstTop >= 224",
      "this.forwarder === undefined || !unicast",
      "that multicast is not forwarded",
    ],
    [
      "if (!unicast && !broadcast) return Drop.Ipv4NotForUs;",
      "",
      "unicast packets in broadcast frames (RFC 1122 3.3.6)",
    ],
    [
      "return (this.#policy.errors || isMapped) && this.#icmp.sendError(",
      "return this.#icmp.sendError(",
      "that the WAN sends no errors",
    ],
    ["broadcast || !this.#policy.errors, known)", "broadcast, known)", "that the WAN sends no resets"],
    [
      "if (!this.#policy.echo || broadcast) return Drop.IcmpUnwanted;",
      "if (broadcast) return Drop.IcmpUnwanted;",
      "that the WAN answers no echo",
    ],
    [
      "if (!this.#policy.echo || broadcast) return Drop.IcmpUnwanted;",
      "if (!this.#policy.echo) return Drop.IcmpUnwanted;",
      "that an echo to everybody is not answered",
    ],
    [
      "if (this.isTranslated || !this.#policy.errors) return;",
      "",
      "that nobody behind a translator is told of lost fragments",
    ],
  ),
  ...mutationsOf(
    "netstack/ip4/icmp.ts",
    [
      "if (echo !== undefined && !echo.take(now)) return Drop.RateLimited;",
      "",
      "the limit of echo replies into the tunnel",
    ],
    ["if (!unlimited && !this.#limits.errors.take(now, src)) {", "if (false as boolean) {", "the limit of ICMP errors"],
    [
      "if (own.isBroadcast(ipv4Dst(d, p.at)) || own.isBroadcast(src)) return false;",
      "if (own.isBroadcast(src)) return false;",
      "that a packet to everybody causes no error",
    ],
    ["if (!isFar && own.nextHop(src) !== src) return false;", "", "that only hosts of the link hear of errors"],
    ["if (ipv4FragmentOffset(d, p.at) !== 0) return false;", "", "no error about a later fragment (RFC 1122 3.2.2)"],
    ["&& !icmpIsError(d.getUint8(p.l4)));", ");", "no error about an error (RFC 1122 3.2.2)"],
    [
      "if (src < 0x01000000 || src >>> 24 === 127 || src >= 0xe0000000 || dst >= 0xe0000000) return false;",
      "",
      "no error to a source that is no host, or about multicast",
    ],
    [
      "Math.min(ICMP_ERROR_MAX, IPV4_HEADER_LEN + ICMP_HEADER_LEN + p.len)",
      "IPV4_HEADER_LEN + ICMP_HEADER_LEN + p.len",
      "the longest ICMP error (RFC 1812 4.3.2.3)",
    ],
  ),
  ...mutationsOf(
    "lib/rate-limit.ts",
    ["    if (this.#tokens < n) return false;\n", "", "the rate limit"],
    [
      "this.#tokens = Math.min(this.#burst, this.#tokens +",
      "this.#tokens = Math.max(this.#burst, this.#tokens +",
      "the rate of a rate limit",
    ],
    ["if (tokens < n || !this.#all.take(now, n))", "if (!this.#all.take(now, n))", "one host's share of a rate limit"],
    ["if (tokens < n || !this.#all.take(now, n))", "if (tokens < n)", "a fair limit's rate in all"],
  ),
  ...mutationsOf(
    "netstack/tcp/reset.ts",
    [
      "if (!known && !tcpChecksumValid(d, p.l4, len, pseudoOf(d, p))) return Drop.TcpBadChecksum;",
      "",
      "the checksum of a segment for us",
    ],
    [
      "if (silent || (tcpFlags(d, p.l4) & TCP_RST) !== 0) return",
      "if (silent) return",
      "that a reset is not answered by a reset (RFC 9293 3.10.7.1)",
    ],
    ["if (!this.#limit.take(now, host)) return Drop.RateLimited;", "", "the limit of resets"],
    ["const seq = acked ? tcpAck(d, tcp) : 0;", "const seq = 0;", "the sequence number of a reset"],
    ["+ ((flags & TCP_SYN) !== 0 ? 1 : 0)", "", "that a reset acknowledges the SYN"],
  ),
  ...mutationsOf(
    "netstack/socket/udp.ts",
    [
      "if (!known && gso === 0 && !udpChecksumValid(d, udp, pseudoOf(d, packet))) return Drop.UdpBadChecksum;",
      "",
      "the checksum of a datagram for us",
    ],
    [
      "if (!isV6 && this.#addressing.address === 0 && udpDstPort(d, udp) !== DHCP_CLIENT_PORT)",
      "if (false as boolean)",
      "that without an address only DHCP hears",
    ],
    [
      "(srcPort !== socket.peerPort || !this.#isPeer(packet, socket))",
      "srcPort !== socket.peerPort",
      "the address of the VPN server",
    ],
    [
      "(srcPort !== socket.peerPort || !this.#isPeer(packet, socket))",
      "!this.#isPeer(packet, socket)",
      "the port of the VPN server",
    ],
    [
      "if ((sink ?? openSink) !== undefined && broadcast) return Drop.UdpWrongPeer;",
      "",
      "that a broadcast is no packet of the VPN server",
    ],
    [
      "if (refused !== Drop.None) return refused;\n      } else {",
      "} else {",
      "that a stranger's datagram is refused where the session does not float",
    ],
    [
      "if (gso !== 0 && end - udp > gso * MAX_SEGMENTS) return Drop.GsoTooManySegments;",
      "",
      "the bound on datagrams of a super-frame for us",
    ],
    [
      "if (ipv4Src(d, quote) !== this.#addressing.address || ipv4Protocol(d, quote) !== PROTO_UDP)",
      "if (ipv4Protocol(d, quote) !== PROTO_UDP)",
      "that an error quotes a packet of ours",
    ],
    ["if (isV6 && !known && !udpHasChecksum(d, udp)) return Drop.UdpNoChecksum;", "", "the checksum of UDP over IPv6"],
    [
      "if (!this.#addressing6.isOwn(d, quote + IPV6_SRC)) return Drop.IcmpBadQuote;",
      "",
      "that an ICMPv6 error quotes a packet of ours",
    ],
    [
      "if (ipv6TotalLen(d, quote) <= mtu) return Drop.IcmpBadQuote;",
      "",
      "that what is too big is larger than what fits",
    ],
    [
      "proto !== PROTO_UDP || udp + UDP_HEADER_LEN > quote + quoted",
      "proto !== PROTO_UDP",
      "the length of what an ICMPv6 error quotes",
    ],
    ["if (fragmentOffset(d, udp) !== 0) return Drop.IcmpBadQuote;", "", "that a quoted fragment is the first one"],
    [
      "quoted < headerLen + UDP_HEADER_LEN) return Drop.IcmpBadQuote;",
      "false) return Drop.IcmpBadQuote;",
      "the length of what an error quotes",
    ],
  ),
  ...mutationsOf(
    "netstack/reassembly.ts",
    [
      "if (len === 0 || (!isLast && (len & 7) !== 0)) return",
      "if (len === 0) return",
      "the length of a fragment that is not the last",
    ],
    [
      "if (end + f.headerLen > format.maxLen) return Drop.FragmentTooLong;",
      "",
      "a packet of fragments within 65,535 bytes",
    ],
    ["if (p.dead) return Drop.FragmentOverlap;", "", "that a refused packet stays refused"],
    [
      "if (p.count >= MAX_FRAGMENTS) return this.#kill(p, Drop.FragmentLimit);",
      "",
      "the bound on fragments of a packet",
    ],
    [
      "if ((p.total >= 0 && p.total !== end) || p.end > end)",
      "if (p.total >= 0 && p.total !== end)",
      "a last fragment before the end of others",
    ],
    ["if ((p.total >= 0 && p.total !== end) || p.end > end)", "if (p.end > end)", "two last fragments that differ"],
    [
      "} else if (p.total >= 0 && end > p.total) return this.#kill(p, Drop.FragmentOverlap);",
      "}",
      "a fragment behind the last one",
    ],
    [
      "if ((i > 0 && (p.ends[i - 1] as number) > start) || (isBefore",
      "if ((isBefore",
      "overlap with the fragment before",
    ],
    ["|| (isBefore && (p.starts[i] as number) < end))", ")", "overlap with the fragment behind"],
    ['while (this.#store.room < cost) this.#evict("bytes");', "", "the bound on bytes of fragments"],
    ["if (!p.isHeld) return Drop.FragmentLimit;", "", "that a packet that gave way takes no more"],
    ['if (list.length >= MAX_PACKETS) this.#evict("packets");', "", "the bound on packets in fragments"],
    [
      "p !== undefined && p.expiresAt <= now; p",
      "p !== undefined && p.expiresAt <= now - 1e9; p",
      "the time of fragments",
    ],
    [
      "if ((p.ecn & MARKED) !== 0 && (p.ecn & (1 << ECN_NOT_ECT)) !== 0) return this.#kill(p, Drop.FragmentMixedEcn);",
      "",
      "fragments that disagree about ECN (RFC 3168 5.3)",
    ],
    ["if (victim.source.packets === most) {", "if (most > 0) {", "that the sources that hold the most give way"],
    [
      "return source.neighbour === neighbour && isAddressAt(",
      "return source.neighbour === neighbour || isAddressAt(",
      "that fragments of two sources are two packets",
    ],
    [
      "return source.neighbour === neighbour && isAddressAt(",
      "return isAddressAt(",
      "that fragments of two peers are two packets",
    ],
  ),
  ...mutationsOf(
    "netstack/offload/partial.ts",
    [
      "start < p.l4 || field + 2 > end || p.isFragment",
      "field + 2 > end || p.isFragment",
      "a partial checksum that begins in front of the transport header",
    ],
    [
      "start < p.l4 || field + 2 > end || p.isFragment",
      "start < p.l4 || p.isFragment",
      "a checksum field within the packet",
    ],
  ),
];
