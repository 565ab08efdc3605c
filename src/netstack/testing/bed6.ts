/** For tests: IPv6 packets and frames built from fields, beside bed.ts. */
import { type IpAddress, parseIpv6 } from "../../lib/ip.ts";
import { ETHERTYPE_IPV6 } from "../wire/ethernet.ts";
import { icmpv6Emit } from "../wire/icmpv6.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_SRC,
  ipv6Emit,
  ipv6PseudoSum,
  ipv6PutWords,
  PROTO_ICMPV6,
} from "../wire/ipv6.ts";
import { EXT_FRAGMENT, fragmentEmit } from "../wire/ipv6-ext.ts";
import { NDP_ADVERT, NDP_OPTION_SOURCE_MAC, NDP_OPTION_TARGET_MAC, NDP_SOLICIT } from "../wire/ndp.ts";
import { TCP_HEADER_LEN, tcpEmit, tcpSetChecksum } from "../wire/tcp.ts";
import { UDP_HEADER_LEN, udpEmit, udpSetChecksum } from "../wire/udp.ts";
import { ether, HOST_MAC, mac, ROUTER_MAC } from "./bed.ts";

export const addr6 = (text: string): IpAddress => parseIpv6(text) as IpAddress;
export const words6 = (text: string): Int32Array => {
  const { w0, w1, w2, w3 } = addr6(text);
  return Int32Array.of(w0, w1, w2, w3);
};

/** The link-local addresses that follow from ROUTER_MAC and HOST_MAC (RFC 4291 A). */
export const ROUTER_LL = "fe80::5054:ff:fe00:1";
export const HOST_LL = "fe80::5054:ff:fe00:99";

export interface Ip6Fields {
  readonly src: string;
  readonly dst: string;
  readonly hops?: number;
  /** Extension headers between the header and the transport: kind, and bytes whose first is overwritten. */
  readonly ext?: readonly (readonly [number, Uint8Array])[];
}

export function ipv6(fields: Ip6Fields, proto: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const ext = fields.ext ?? [];
  const chain = ext.flatMap(([, bytes], i) => [ext[i + 1]?.[0] ?? proto, ...bytes.slice(1)]);
  const out = new Uint8Array(IPV6_HEADER_LEN + chain.length + body.length);
  const d = new DataView(out.buffer);
  ipv6Emit(d, 0, chain.length + body.length, ext[0]?.[0] ?? proto, fields.hops ?? 64);
  ipv6PutWords(d, IPV6_SRC, words6(fields.src), 0);
  ipv6PutWords(d, IPV6_DST, words6(fields.dst), 0);
  out.set(chain, IPV6_HEADER_LEN);
  out.set(body, IPV6_HEADER_LEN + chain.length);
  return out;
}

const pseudoOf = (fields: Ip6Fields, proto: number): number => {
  const header = ipv6({ src: fields.src, dst: fields.dst }, proto, new Uint8Array(0));
  return ipv6PseudoSum(new DataView(header.buffer), 0, proto);
};

export function udp6(
  fields: Ip6Fields,
  srcPort: number,
  dstPort: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(UDP_HEADER_LEN + payload.length);
  const d = new DataView(body.buffer);
  body.set(payload, UDP_HEADER_LEN);
  udpEmit(d, 0, srcPort, dstPort, payload.length);
  udpSetChecksum(d, 0, pseudoOf(fields, PROTO_UDP));
  return ipv6(fields, PROTO_UDP, body);
}

export function tcp6(fields: Ip6Fields, flags: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(TCP_HEADER_LEN + payload.length);
  const d = new DataView(body.buffer);
  body.set(payload, TCP_HEADER_LEN);
  tcpEmit(d, 0, 40000, 80, 1000, 2000, TCP_HEADER_LEN, flags, 512);
  tcpSetChecksum(d, 0, body.length, pseudoOf(fields, PROTO_TCP));
  return ipv6(fields, PROTO_TCP, body);
}

/** @param rest second word of the message */
export function icmp6(
  fields: Ip6Fields,
  type: number,
  code: number,
  rest: number,
  data: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(8 + data.length);
  body.set(data, 8);
  icmpv6Emit(new DataView(body.buffer), 0, body.length, type, code, rest, pseudoOf(fields, PROTO_ICMPV6));
  return ipv6(fields, PROTO_ICMPV6, body);
}

/** Address of a message, and an option with a MAC where there is one. */
function ndBody(target: string, option: number, from: string | undefined): Uint8Array {
  const body = new Uint8Array(16 + (from === undefined ? 0 : 8));
  const d = new DataView(body.buffer);
  ipv6PutWords(d, 0, words6(target), 0);
  if (from === undefined) return body;
  const { hi, lo } = mac(from);
  d.setUint8(16, option);
  d.setUint8(17, 1);
  d.setUint16(18, hi);
  d.setInt32(20, lo);
  return body;
}

/** ff02::1:ffxx:xxxx of an address, and the MAC of a group. */
export const groupOf = (text: string): string =>
  `ff02::1:ff${(addr6(text).w3 & 0xffffff)
    .toString(16)
    .padStart(6, "0")
    .replace(/(..)(....)/, "$1:$2")}`;
export const groupMac = (text: string): string =>
  `33:33:${((addr6(text).w3 >>> 0).toString(16).padStart(8, "0").match(/../g) as string[]).join(":")}`;

export const frame6 = (packet: Uint8Array, dst = ROUTER_MAC, src = HOST_MAC): Uint8Array<ArrayBuffer> =>
  ether(ETHERTYPE_IPV6, packet, dst, src);

export interface NdFields {
  readonly src?: string;
  readonly dst?: string;
  readonly hops?: number;
  readonly ext?: Ip6Fields["ext"];
  /** In the option; "none": there is no option. */
  readonly mac?: string;
  /** Of the frame. */
  readonly from?: string;
  readonly to?: string;
  readonly flags?: number;
}

/** A solicitation of `target`, to its group unless `dst` says otherwise. */
export function solicit6(target: string, fields: NdFields = {}): Uint8Array<ArrayBuffer> {
  const { src = HOST_LL, dst = groupOf(target), hops = 255, from = HOST_MAC } = fields;
  const to = fields.to ?? (dst.startsWith("ff") ? groupMac(dst) : ROUTER_MAC);
  const option = fields.mac === "none" || src === "::" ? undefined : (fields.mac ?? from);
  const body = ndBody(target, NDP_OPTION_SOURCE_MAC, option);
  const ip = { src, dst, hops, ...(fields.ext === undefined ? {} : { ext: fields.ext }) };
  return frame6(icmp6(ip, NDP_SOLICIT, 0, 0, body), to, from);
}

export const SOLICITED = 0x60000000;
export const UNSOLICITED = 0x20000000;

/** An advertisement of `target`; solicited and override unless `flags` say otherwise. */
export function advert6(target: string, fields: NdFields = {}): Uint8Array<ArrayBuffer> {
  const { src = target, dst = ROUTER_LL, hops = 255, from = HOST_MAC, flags = SOLICITED } = fields;
  const to = fields.to ?? (dst.startsWith("ff") ? groupMac(dst) : ROUTER_MAC);
  const option = fields.mac === "none" ? undefined : (fields.mac ?? from);
  return frame6(
    icmp6({ src, dst, hops }, NDP_ADVERT, 0, flags, ndBody(target, NDP_OPTION_TARGET_MAC, option)),
    to,
    from,
  );
}

/** Fragments of a packet without extension headers, of `size` data bytes (a multiple of 8) each. */
export function fragments6(packet: Uint8Array, size: number, id = 1): Uint8Array<ArrayBuffer>[] {
  const data = packet.subarray(IPV6_HEADER_LEN);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < data.length; at += size) {
    const piece = data.subarray(at, at + size);
    const out = new Uint8Array(IPV6_HEADER_LEN + 8 + piece.length);
    const d = new DataView(out.buffer);
    out.set(packet.subarray(0, IPV6_HEADER_LEN));
    d.setUint8(6, EXT_FRAGMENT);
    d.setUint16(4, 8 + piece.length);
    fragmentEmit(d, IPV6_HEADER_LEN, packet[6]!, at, at + size < data.length, id);
    out.set(piece, IPV6_HEADER_LEN + 8);
    pieces.push(out);
  }
  return pieces;
}
