/** For tests: one slab with regions, interfaces whose outlets keep what was sent, frames built from fields. */

import { Batch } from "../../lib/batch.ts";
import { type Cidr, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { parseMac } from "../../lib/mac.ts";
import type { Outlet } from "../../lib/outlet.ts";
import { seededRandom } from "../../lib/random.ts";
import { Arena, HEADROOM, type Slab, slabOver } from "../../lib/slab.ts";
import { type EthernetInterface, ethernetInterface, type TunnelInterface, tunnelInterface } from "../interface.ts";
import { ARP_LEN, arpEmit } from "../wire/arp.ts";
import { pseudoSum } from "../wire/checksum.ts";
import { ETHERNET_HEADER_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, etherEmit } from "../wire/ethernet.ts";
import { icmpEmit } from "../wire/icmpv4.ts";
import { IPV4_HEADER_LEN, ipv4Emit, ipv4RefreshChecksum, PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_HEADER_LEN, tcpEmit, tcpSetChecksum } from "../wire/tcp.ts";
import { UDP_HEADER_LEN, udpEmit, udpSetChecksum } from "../wire/udp.ts";

/** An IPv4 address as the word that stands in a header, and as a value. */
export const ip = (text: string): number => addr(text).w3;
export const addr = (text: string): IpAddress => parseIpv4(text) as IpAddress;
export const cidr = (text: string): Cidr => parseCidr(text) as Cidr;
export const mac = (text: string): { hi: number; lo: number } => parseMac(text) as { hi: number; lo: number };

export interface Sent {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly flags: number;
  readonly peer: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

/** An outlet that keeps copies of what it sent. */
export class RecordingOutlet implements Outlet {
  readonly batch: Batch;
  readonly arena: Arena;
  readonly sent: Sent[] = [];
  udpGso = false;
  flushes = 0;

  readonly #record: (bytes: Uint8Array) => void;

  constructor(arena: Arena, rows: number, record: (bytes: Uint8Array) => void) {
    this.arena = arena;
    this.batch = new Batch(rows);
    this.#record = record;
  }

  flush(): void {
    const b = this.batch;
    this.flushes++;
    for (let i = 0; i < b.count; i++) {
      const first = i;
      while (b.more[i] === 1) i++;
      const bytes = gather(this.arena.slab, b, first, i + 1);
      this.#record(bytes);
      this.sent.push({
        bytes,
        view: new DataView(bytes.buffer),
        flags: b.flags[first] as number,
        peer: b.peer[first] as number,
        gsoType: b.gsoType[first] as number,
        gsoSize: b.gsoSize[first] as number,
        csumStart: b.csumStart[first] as number,
        csumOffset: b.csumOffset[first] as number,
      });
    }
    b.clear();
    this.arena.reset();
  }

  /** Everything that was sent since the last call. */
  take(): Sent[] {
    this.flush();
    return this.sent.splice(0);
  }
}

/** The frame of rows [from, to). */
function gather(slab: Slab, batch: Batch, from: number, to: number): Uint8Array<ArrayBuffer> {
  const rows = Array.from({ length: to - from }, (_, i) => {
    const at = batch.at[from + i] as number;
    return slab.bytes.subarray(at, at + (batch.len[from + i] as number));
  });
  return Uint8Array.from(rows.flatMap((row) => [...row]));
}

const REGION = 512 * 1024;

/** What makes a recorder for each bed (test/support/pcap-tap.ts); it is given every frame and packet that goes in or out. */
export const bedTaps: { make: () => (bytes: Uint8Array) => void } = { make: () => () => {} };

/** A slab of regions, and a receive batch whose frames lie in one of them. */
export class Bed {
  readonly slab: Slab;
  readonly rx = new Batch(1024);
  readonly #rxArena: Arena;
  readonly #record = bedTaps.make();
  #region = 0;

  constructor(regions = 12) {
    this.slab = slabOver(new ArrayBuffer(regions * REGION));
    this.slab.bytes.fill(0xa5);
    this.#rxArena = this.arena(4);
  }

  arena(regions = 1): Arena {
    const start = this.#region * REGION;
    this.#region += regions;
    return new Arena(this.slab, start, start + regions * REGION);
  }

  outlet(rows = 256): RecordingOutlet {
    return new RecordingOutlet(this.arena(), rows, this.#record);
  }

  /** Puts frames where a device would and fills `rx` with them. */
  receive(...frames: Uint8Array[]): Batch {
    this.rx.clear();
    this.#rxArena.reset();
    for (const frame of frames) {
      this.#record(frame);
      const at = this.#rxArena.take(frame.length);
      this.slab.bytes.fill(0xa5, at - HEADROOM, at);
      this.slab.bytes.set(frame, at);
      this.rx.push(at, frame.length);
    }
    return this.rx;
  }
}

export const ROUTER_MAC = "52:54:00:00:00:01";
export const HOST_MAC = "52:54:00:00:00:99";

export function side(
  bed: Bed,
  name: "lan" | "wan",
  mtu = 1500,
): { readonly it: EthernetInterface; readonly outlet: RecordingOutlet } {
  const outlet = bed.outlet();
  const open = name === "lan";
  const it = ethernetInterface({
    slab: bed.slab,
    outlet,
    arena: outlet.arena,
    scratch: bed.arena(),
    name,
    mac: mac(ROUTER_MAC),
    mtu,
    random: seededRandom(1),
    policy: { echo: open, errors: open, announce: open },
  });
  return { it, outlet };
}

/** The tunnel's side; `outlet` has what goes into the tunnel. */
export function tunnelSide(bed: Bed): { readonly it: TunnelInterface; readonly outlet: RecordingOutlet } {
  const outlet = bed.outlet();
  const policy = { echo: true, errors: true, announce: false };
  const options = { slab: bed.slab, outlet, scratch: bed.arena(), name: "tunnel", random: seededRandom(2), policy };
  return { it: tunnelInterface(options), outlet };
}

/** An Ethernet frame around a payload. */
export function ether(type: number, payload: Uint8Array, dst = ROUTER_MAC, src = HOST_MAC): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(ETHERNET_HEADER_LEN + payload.length);
  const to = mac(dst);
  const from = mac(src);
  etherEmit(new DataView(out.buffer), 0, to.hi, to.lo, from.hi, from.lo, type);
  out.set(payload, ETHERNET_HEADER_LEN);
  return out;
}

export const frame = (packet: Uint8Array, dst = ROUTER_MAC, src = HOST_MAC): Uint8Array<ArrayBuffer> =>
  ether(ETHERTYPE_IPV4, packet, dst, src);

export function arp(
  operation: number,
  senderIp: string,
  targetIp: string,
  senderMac = HOST_MAC,
  dst = operation === 1 ? "ff:ff:ff:ff:ff:ff" : ROUTER_MAC,
): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(ARP_LEN);
  const from = mac(senderMac);
  const to = operation === 1 ? { hi: 0, lo: 0 } : mac(ROUTER_MAC);
  arpEmit(new DataView(body.buffer), 0, operation, from.hi, from.lo, ip(senderIp), to.hi, to.lo, ip(targetIp));
  return ether(ETHERTYPE_ARP, body, dst, senderMac);
}

export interface IpFields {
  readonly src: string;
  readonly dst: string;
  readonly protocol: number;
  readonly ttl?: number;
  readonly id?: number;
  readonly fragment?: number;
  /** A multiple of 4 bytes. */
  readonly options?: Uint8Array;
}

export function ipv4(fields: IpFields, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const options = fields.options ?? new Uint8Array(0);
  const headerLen = IPV4_HEADER_LEN + options.length;
  const out = new Uint8Array(headerLen + body.length);
  const d = new DataView(out.buffer);
  ipv4Emit(
    d,
    0,
    out.length,
    fields.id ?? 1,
    fields.fragment ?? 0,
    fields.ttl ?? 64,
    fields.protocol,
    ip(fields.src),
    ip(fields.dst),
  );
  out.set(options, IPV4_HEADER_LEN);
  out.set(body, headerLen);
  d.setUint8(0, 0x40 | (headerLen >> 2));
  ipv4RefreshChecksum(d, 0);
  return out;
}

export type Packet = Omit<IpFields, "protocol">;

export function udp(fields: Packet, srcPort: number, dstPort: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(UDP_HEADER_LEN + payload.length);
  const d = new DataView(body.buffer);
  body.set(payload, UDP_HEADER_LEN);
  udpEmit(d, 0, srcPort, dstPort, payload.length);
  udpSetChecksum(d, 0, pseudoSum(ip(fields.src), ip(fields.dst), 17, 0));
  return ipv4({ ...fields, protocol: PROTO_UDP }, body);
}

export function icmp(
  fields: Packet,
  type: number,
  code: number,
  rest: number,
  data: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(8 + data.length);
  body.set(data, 8);
  icmpEmit(new DataView(body.buffer), 0, body.length, type, code, rest);
  return ipv4({ ...fields, protocol: PROTO_ICMP }, body);
}

export interface TcpFields {
  readonly srcPort?: number;
  readonly dstPort?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly flags: number;
  /** A multiple of 4 bytes. */
  readonly options?: Uint8Array;
}

export function tcp(fields: Packet, segment: TcpFields, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const options = segment.options ?? new Uint8Array(0);
  const headerLen = TCP_HEADER_LEN + options.length;
  const body = new Uint8Array(headerLen + payload.length);
  const d = new DataView(body.buffer);
  const { srcPort = 40000, dstPort = 80, seq = 1000, ack = 2000 } = segment;
  tcpEmit(d, 0, srcPort, dstPort, seq, ack, headerLen, segment.flags, 512);
  body.set(options, TCP_HEADER_LEN);
  body.set(payload, headerLen);
  tcpSetChecksum(d, 0, body.length, pseudoSum(ip(fields.src), ip(fields.dst), 6, 0));
  return ipv4({ ...fields, protocol: PROTO_TCP }, body);
}

export const bytesOf = (n: number, start = 0): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: n }, (_, i) => (i + start) & 0xff);
