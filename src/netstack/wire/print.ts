/**
 * One line for one frame, for logs, assertion messages and as the fuzzer's way into every parser. It allocates; not for
 * the data path. What does not parse is printed with the name of the drop code.
 */
import { formatIpv4 } from "../../lib/ip.ts";
import { formatMac } from "../../lib/mac.ts";
import { DROP_NAMES, Drop, type DropCode } from "../drop.ts";
import {
  ARP_REQUEST,
  arpCheck,
  arpOperation,
  arpSenderIp,
  arpSenderMacHi,
  arpSenderMacLo,
  arpTargetIp,
} from "./arp.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, dhcpParse, OPTION_MESSAGE_TYPE } from "./dhcpv4.ts";
import { DNS_PORT, dnsParse } from "./dns.ts";
import {
  ETHERNET_HEADER_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherCheck,
  etherDstHi,
  etherDstLo,
  etherSrcHi,
  etherSrcLo,
  etherType,
} from "./ethernet.ts";
import {
  ICMP_HEADER_LEN,
  icmpCheck,
  icmpCode,
  icmpEchoId,
  icmpEchoSeq,
  icmpIsError,
  icmpNextHopMtu,
  icmpType,
} from "./icmpv4.ts";
import {
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_HEADER_LEN,
  icmpv6Check,
  icmpv6Code,
  icmpv6EchoId,
  icmpv6EchoSeq,
  icmpv6IsError,
  icmpv6Rest,
  icmpv6Type,
} from "./icmpv6.ts";
import {
  IPV4_HEADER_LEN,
  ipv4Check,
  ipv4DontFragment,
  ipv4Dst,
  ipv4FragmentOffset,
  ipv4HeaderLen,
  ipv4Id,
  ipv4MoreFragments,
  ipv4OptionsCheck,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLen,
  ipv4Ttl,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "./ipv4.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_SRC,
  ipv6Address,
  ipv6Check,
  ipv6HopLimit,
  ipv6NextHeader,
  ipv6TotalLen,
  PROTO_ICMPV6,
} from "./ipv6.ts";
import { EXT_FRAGMENT, ExtensionChain, fragmentId, fragmentMore, fragmentOffset } from "./ipv6-ext.ts";
import {
  NDP_ADVERT,
  NDP_OPTION_SOURCE_MAC,
  NDP_OPTION_TARGET_MAC,
  NDP_OVERRIDE,
  NDP_ROUTER,
  NDP_ROUTER_ADVERT,
  NDP_ROUTER_SOLICIT,
  NDP_SOLICITED,
  NDP_TARGET,
  ndpCheck,
  ndpFlags,
  ndpIsType,
  ndpMacHi,
  ndpMacLo,
  ndpOption,
} from "./ndp.ts";
import { tcpAck, tcpCheck, tcpDstPort, tcpFlags, tcpHeaderLen, tcpSeq, tcpSrcPort, tcpWindow } from "./tcp.ts";
import { tcpMssAt } from "./tcp-options.ts";
import { UDP_HEADER_LEN, udpCheck, udpDstPort, udpLen, udpSrcPort } from "./udp.ts";

/** The frame of `len` bytes at `at`. */
export function printFrame(d: DataView, at: number, len: number): string {
  const bad = etherCheck(d, at, len);
  if (bad !== Drop.None) return refused(bad, len);
  const from = formatMac({ hi: etherSrcHi(d, at), lo: etherSrcLo(d, at) });
  const to = formatMac({ hi: etherDstHi(d, at), lo: etherDstLo(d, at) });
  const rest = len - ETHERNET_HEADER_LEN;
  const inner = at + ETHERNET_HEADER_LEN;
  return `${from} > ${to} ${printPayload(d, inner, rest, etherType(d, at))}`;
}

function printPayload(d: DataView, at: number, len: number, type: number): string {
  switch (type) {
    case ETHERTYPE_ARP:
      return printArp(d, at, len);
    case ETHERTYPE_IPV4:
      return printIpv4(d, at, len);
    case ETHERTYPE_IPV6:
      return printIpv6(d, at, len);
    default:
      return `type 0x${type.toString(16).padStart(4, "0")} len ${len}`;
  }
}

function printArp(d: DataView, at: number, len: number): string {
  const bad = arpCheck(d, at, len);
  if (bad !== Drop.None) return refused(bad, len);
  const sender = formatIpv4(arpSenderIp(d, at));
  const mac = formatMac({ hi: arpSenderMacHi(d, at), lo: arpSenderMacLo(d, at) });
  const target = formatIpv4(arpTargetIp(d, at));
  const operation = arpOperation(d, at);
  if (operation === ARP_REQUEST) return `arp who-has ${target} tell ${sender} (${mac})`;
  return `arp op ${operation} ${sender} is-at ${mac} to ${target}`;
}

/** The IPv4 packet at `at`, of which `avail` bytes are there. */
export function printIpv4(d: DataView, at: number, avail: number): string {
  const bad = ipv4Check(d, at, avail);
  if (bad !== Drop.None) return refused(bad, avail);
  const headerLen = ipv4HeaderLen(d, at);
  const total = ipv4TotalLen(d, at);
  const options = headerLen > IPV4_HEADER_LEN ? ` options ${DROP_NAMES[ipv4OptionsCheck(d, at)]}` : "";
  const offset = ipv4FragmentOffset(d, at);
  const more = ipv4MoreFragments(d, at);
  const fragment = offset > 0 || more ? ` frag id ${ipv4Id(d, at)} ${offset}${more ? "+" : ""}` : "";
  const df = ipv4DontFragment(d, at) ? " DF" : "";
  const head = `${formatIpv4(ipv4Src(d, at))} > ${formatIpv4(ipv4Dst(d, at))} ttl ${ipv4Ttl(d, at)}${df}${fragment}${options} len ${total}`;
  if (offset > 0) return head;
  const inner = at + headerLen;
  const len = total - headerLen;
  switch (ipv4Protocol(d, at)) {
    case PROTO_UDP:
      return `${head} ${printUdp(d, inner, len, more)}`;
    case PROTO_TCP:
      return `${head} ${printTcp(d, inner, len)}`;
    case PROTO_ICMP:
      return `${head} ${printIcmp(d, inner, len)}`;
    default:
      return `${head} proto ${ipv4Protocol(d, at)}`;
  }
}

/** The IPv6 packet at `at`, of which `avail` bytes are there. */
export function printIpv6(d: DataView, at: number, avail: number): string {
  const bad = ipv6Check(d, at, avail);
  if (bad !== Drop.None) return refused(bad, avail);
  const total = ipv6TotalLen(d, at);
  const head = `${ipv6Address(d, at + IPV6_SRC)} > ${ipv6Address(d, at + IPV6_DST)} hops ${ipv6HopLimit(d, at)}`;
  const chain = new ExtensionChain();
  const broken = chain.walk(d, at, total);
  if (broken !== Drop.None) return `${head} len ${total} ${DROP_NAMES[broken]}`;
  const { l4, proto, fragmentAt } = chain;
  const offset = fragmentAt === 0 ? 0 : fragmentOffset(d, fragmentAt);
  const more = fragmentAt !== 0 && fragmentMore(d, fragmentAt);
  const fragment =
    fragmentAt === 0 ? "" : ` frag id ${(fragmentId(d, fragmentAt) >>> 0).toString(16)} ${offset}${more ? "+" : ""}`;
  const first = ipv6NextHeader(d, at);
  const options = first === proto || (fragmentAt !== 0 && first === EXT_FRAGMENT) ? "" : ` ext ${first}`;
  const line = `${head}${fragment}${options} len ${total}`;
  if (offset > 0) return line;
  const len = at + total - l4;
  switch (proto) {
    case PROTO_UDP:
      return `${line} ${printUdp(d, l4, len, more)}`;
    case PROTO_TCP:
      return `${line} ${printTcp(d, l4, len)}`;
    case PROTO_ICMPV6:
      return `${line} ${printIcmpv6(d, at, l4, len)}`;
    default:
      return `${line} proto ${proto}`;
  }
}

function printIcmpv6(d: DataView, ip: number, at: number, len: number): string {
  const bad = icmpv6Check(d, at, len, 0, false);
  if (bad !== Drop.None) return `icmp6 ${refused(bad, len)}`;
  const type = icmpv6Type(d, at);
  if (ndpIsType(type)) return printNdp(d, ip, at, len);
  const head = `icmp6 type ${type} code ${icmpv6Code(d, at)}`;
  if (type === ICMPV6_ECHO_REQUEST || type === ICMPV6_ECHO_REPLY)
    return `${head} id ${icmpv6EchoId(d, at)} seq ${icmpv6EchoSeq(d, at)}`;
  if (!icmpv6IsError(type)) return head;
  const quote = at + ICMPV6_HEADER_LEN;
  if (len - ICMPV6_HEADER_LEN < IPV6_HEADER_LEN) return `${head} no quote`;
  return `${head} rest ${icmpv6Rest(d, at)} about ${ipv6Address(d, quote + IPV6_SRC)} > ${ipv6Address(d, quote + IPV6_DST)} next ${ipv6NextHeader(d, quote)}`;
}

const NDP_NAMES = ["router-solicit", "router-advert", "solicit", "advert", "redirect"];

function printNdp(d: DataView, ip: number, at: number, len: number): string {
  const type = icmpv6Type(d, at);
  const name = `nd ${NDP_NAMES[type - NDP_ROUTER_SOLICIT]}`;
  const bad = ndpCheck(d, ip, at, len);
  if (bad !== Drop.None) return `${name} ${refused(bad, len)}`;
  const macs = [NDP_OPTION_SOURCE_MAC, NDP_OPTION_TARGET_MAC].map((kind) => ndpOption(d, at, len, kind));
  const from = macs.map((p) => (p < 0 ? "" : ` mac ${formatMac({ hi: ndpMacHi(d, p), lo: ndpMacLo(d, p) })}`)).join("");
  if (type === NDP_ROUTER_SOLICIT || type === NDP_ROUTER_ADVERT) return `${name}${from}`;
  const flags = ndpFlags(d, at);
  const letter = (bit: number, text: string): string => ((flags & bit) !== 0 ? text : "");
  const said =
    type === NDP_ADVERT ? ` ${letter(NDP_ROUTER, "R")}${letter(NDP_SOLICITED, "S")}${letter(NDP_OVERRIDE, "O")}` : "";
  return `${name} ${ipv6Address(d, at + NDP_TARGET)}${said}${from}`;
}

function printUdp(d: DataView, at: number, len: number, fragment: boolean): string {
  const bad = udpCheck(d, at, fragment && len >= UDP_HEADER_LEN ? 65535 : len);
  if (bad !== Drop.None) return `udp ${refused(bad, len)}`;
  const src = udpSrcPort(d, at);
  const dst = udpDstPort(d, at);
  const head = `udp ${src} > ${dst} len ${udpLen(d, at) - UDP_HEADER_LEN}`;
  if (fragment) return head;
  const payload = new Uint8Array(d.buffer, d.byteOffset + at + UDP_HEADER_LEN, udpLen(d, at) - UDP_HEADER_LEN);
  if (dst === DHCP_CLIENT_PORT || dst === DHCP_SERVER_PORT) {
    const message = dhcpParse(payload);
    if (typeof message === "string") return `${head} dhcp ${message}`;
    return `${head} dhcp op ${message.op} type ${message.options.get(OPTION_MESSAGE_TYPE)?.[0] ?? "?"}`;
  }
  if (src === DNS_PORT) {
    const message = dnsParse(payload);
    return `${head} dns ${typeof message === "string" ? message : "response"}`;
  }
  return head;
}

const FLAG_LETTERS = "FSRPAUEC";

function printTcp(d: DataView, at: number, len: number): string {
  const bad = tcpCheck(d, at, len);
  if (bad !== Drop.None) return `tcp ${refused(bad, len)}`;
  const flags = [...FLAG_LETTERS].filter((_, bit) => (tcpFlags(d, at) >> bit) & 1).join("");
  const headerLen = tcpHeaderLen(d, at);
  const mssAt = tcpMssAt(d, at, headerLen);
  const mss = mssAt < 0 ? "" : ` mss ${d.getUint16(mssAt)}`;
  const seq = tcpSeq(d, at) >>> 0;
  const ack = tcpAck(d, at) >>> 0;
  return `tcp ${tcpSrcPort(d, at)} > ${tcpDstPort(d, at)} [${flags}] seq ${seq} ack ${ack} win ${tcpWindow(d, at)}${mss} data ${len - headerLen}`;
}

function printIcmp(d: DataView, at: number, len: number): string {
  const bad = icmpCheck(d, at, len, false);
  if (bad !== Drop.None) return `icmp ${refused(bad, len)}`;
  const type = icmpType(d, at);
  const head = `icmp type ${type} code ${icmpCode(d, at)}`;
  if (!icmpIsError(type)) return `${head} id ${icmpEchoId(d, at)} seq ${icmpEchoSeq(d, at)}`;
  const quote = at + ICMP_HEADER_LEN;
  const quoted = len - ICMP_HEADER_LEN;
  if (quoted < IPV4_HEADER_LEN) return `${head} no quote`;
  return `${head} mtu ${icmpNextHopMtu(d, at)} about ${formatIpv4(ipv4Src(d, quote))} > ${formatIpv4(ipv4Dst(d, quote))} proto ${ipv4Protocol(d, quote)}`;
}

const refused = (drop: DropCode, len: number): string => `${DROP_NAMES[drop]} len ${len}`;
