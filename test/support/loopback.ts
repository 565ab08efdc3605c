/**
 * The appliance's whole data path in memory: the real RouterPath, netstack, Session and libcrypto, between two devices
 * that are not there and a server that sends every packet back to its sender.
 *
 *   LanEnd -> router, NAT -> ClientSession.sealBatch -> WAN interface -> WanEnd: opens, turns round, seals
 *   LanEnd <- LAN interface <- router, NAT <- ClientSession.handleBatch <- WAN interface <- WanEnd
 *
 * Nothing in it is allocated per packet, so what is found to be allocated is the data path's.
 */

import { ROUTER_PATH_BYTES, RouterPath } from "../../src/appliance/wiring/router.ts";
import { Batch, GSO_TCPV4, GSO_UDP_L4, segmentsOf, VNET_DATA_VALID, VNET_NEEDS_CSUM } from "../../src/lib/batch.ts";
import { Counters } from "../../src/lib/counters.ts";
import { formatIpv4 } from "../../src/lib/ip.ts";
import type { Mac } from "../../src/lib/mac.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { HEADROOM, TAILROOM } from "../../src/lib/slab.ts";
import { addr, arp, bytesOf, cidr, frame, icmp, mac, tcp, udp } from "../../src/netstack/testing/bed.ts";
import { ARP_REPLY, ARP_REQUEST, arpOperation, arpSenderIp, arpTargetIp } from "../../src/netstack/wire/arp.ts";
import { ETHERNET_HEADER_LEN, ETHERTYPE_ARP, etherType } from "../../src/netstack/wire/ethernet.ts";
import { ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, icmpRefreshChecksum } from "../../src/netstack/wire/icmpv4.ts";
import { IPV4_HEADER_LEN, ipv4Protocol, ipv4SetTotalLen, PROTO_ICMP } from "../../src/netstack/wire/ipv4.ts";
import { TCP_ACK, TCP_CHECKSUM_OFFSET, TCP_HEADER_LEN, TCP_PSH } from "../../src/netstack/wire/tcp.ts";
import { UDP_CHECKSUM_OFFSET, UDP_HEADER_LEN } from "../../src/netstack/wire/udp.ts";
import { LibcryptoAead } from "../../src/platform/crypto/aead.ts";
import { LibcryptoCbc } from "../../src/platform/crypto/cbc.ts";
import type { FrameDevice } from "../../src/platform/dev/frame-device.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { type AeadName, NO_DECOMPRESSORS } from "../../src/protocol/ports.ts";
import { ClientSession } from "../../src/protocol/session/client.ts";
import { CERTIFICATE, clientConfig, PUSH, TLS_CRYPT } from "./client-config.ts";
import { fakeTlsContext } from "./fake-tls.ts";
import { join, UDP4 } from "./join.ts";
import { OpenvpnPeer } from "./openvpn-peer.ts";

const SERVER = "203.0.113.10";
const SERVER_PORT = 1194;
const HOST = "192.168.50.2";
const SITE = "198.51.100.10";

/** What the LAN host sends in one turn, as it hands it to its network card. */
const UDP_FLOWS = 40;
const TCP_FLOWS = 16;
const SUPER_FRAMES = 4;
const SEGMENTS = 4;
const SEGMENT_BYTES = 200;
const ECHOES = 4;
/** Packets that a turn puts into the tunnel, and takes out of it. */
export const PACKETS_PER_TURN = UDP_FLOWS + TCP_FLOWS + SUPER_FRAMES * SEGMENTS + ECHOES;

const WAN_MAC = "52:54:00:00:00:01";
const LAN_MAC = "52:54:00:00:00:02";
const LAN_ROWS = 64;
const WAN_ROWS = 256;
const UDP_LENGTH_OFFSET = 4;
const SLOT = 2048;
const SLOT_FRAME = HEADROOM + 2;
const FLOOD_SLOTS = 8;
const FLOOD_SLOT = SLOT_FRAME + 65_550 + TAILROOM;
/** From the start of a frame of the link to its payload. */
const DATAGRAM = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + UDP_HEADER_LEN;

export class Loopback {
  readonly path: RouterPath;
  readonly session: ClientSession;
  readonly lan: LanEnd;
  readonly wan: WanEnd;
  now = 1000;

  /**
   * Comes up at once.
   * @param waste what is done per packet beside the work, to prove that it is seen
   * @param udpGso whether the WAN's device takes UDP super-frames, as Linux does from 6.2 on
   * @param epoch whether data packets have the epoch format
   */
  constructor(cipher: AeadName, waste: () => void = () => {}, udpGso = false, epoch = false) {
    const memory = new NativeMemory(ROUTER_PATH_BYTES);
    const random = seededRandom(1);
    const aead = new LibcryptoAead(memory, memory.pointer);
    const peer = new OpenvpnPeer({
      wrap: TLS_CRYPT,
      tls: fakeTlsContext(true, random, CERTIFICATE),
      random,
      cipher,
      peerId: 5,
      push: PUSH,
      ekm: true,
      config: { epoch },
      memory: { slab: memory, aead, at: memory.bytes.length - 3 * SLOT },
    });
    this.lan = new LanEnd(memory, waste);
    this.wan = new WanEnd(memory, peer, udpGso);
    this.path = new RouterPath({
      memory,
      wan: this.wan,
      lan: this.lan,
      wanMtu: 1500,
      forwarding: { kind: "client", nat: true },
      random,
    });
    const { path } = this;
    path.lan.configure({ address: cidr("192.168.50.1/24") });
    path.wan.configure({ address: cidr("203.0.113.50/24"), gateway: addr("203.0.113.1") });
    const ports = {
      slab: memory,
      aead,
      control: noblePrimitives,
      tls: fakeTlsContext(false, random, CERTIFICATE),
      random,
      scratch: path.sessionScratch,
      cbc: new LibcryptoCbc(memory, memory.pointer),
      decompressors: NO_DECOMPRESSORS,
    };
    const start = { link: UDP4, unixSeconds: 1_700_000_000 } as const;
    this.session = new ClientSession(clientConfig([], TLS_CRYPT), ports, start);
    this.#handshake(memory, peer);
    join(path, this.session, { address: addr(SERVER), port: SERVER_PORT });
    const routes = [{ network: cidr("0.0.0.0/0"), metric: 0 }];
    path.router.openTunnel(0, { address: cidr("10.8.0.2/24"), mtu: 1500, mssClamp: 0, routes });
    this.turn(); // addresses are resolved
  }

  /** PACKETS_PER_TURN packets go from the LAN into the tunnel, and come back. */
  turn(): void {
    this.now += 0.05;
    this.lan.offer();
    while (this.path.receive(this.now));
    if (this.path.pollAt() <= this.now) this.path.handleTimeout(this.now);
  }

  #handshake(memory: NativeMemory, peer: OpenvpnPeer): void {
    const [datagrams, opened] = [new Batch(1), new Batch(1)];
    const at = memory.bytes.length - SLOT;
    for (let i = 0; i < 1000 && !this.session.isUp; i++) {
      this.now += 20;
      if (i === 0) this.session.start(this.now);
      this.session.handleTimeout(this.now);
      for (let p = this.session.pollTransmit(this.now); p; p = this.session.pollTransmit(this.now))
        peer.handle(this.now, p);
      for (let p = peer.poll(this.now); p; p = peer.poll(this.now)) {
        memory.bytes.set(p, at);
        datagrams.clear();
        datagrams.push(at, p.length);
        this.session.handleBatch(this.now, datagrams, opened);
      }
    }
    if (!this.session.isUp) throw new Error(`the session does not come up: ${this.session.state}`);
  }
}

/** What both ends have of a device, and the answers to ARP. */
abstract class End implements FrameDevice {
  abstract readonly name: string;
  readonly mtu = 1500;
  readonly counters = new Counters([]);
  abstract readonly udpGso: boolean;
  readonly mac: Mac;
  /** Answers no ARP. */
  silent = false;
  protected readonly memory: NativeMemory;
  protected readonly ring: number;
  readonly #own: string;
  readonly #host: string;
  readonly #answers: Uint8Array[] = [];

  /** @param own,host MAC of the device, and of whoever is at the other end of its cable */
  constructor(memory: NativeMemory, slots: number, own: string, host: string) {
    this.memory = memory;
    this.ring = memory.take(slots * SLOT, 64).at;
    this.mac = mac(own);
    this.#own = own;
    this.#host = host;
  }

  abstract readonly drained: boolean;
  abstract receive(batch: Batch, budget: number): number;
  abstract send(batch: Batch): void;

  linkUp(): boolean {
    return true;
  }

  mtuNow(): number {
    return this.mtu;
  }

  statistics(): { received: number; dropped: number } {
    return { received: 0, dropped: 0 };
  }

  protected answer(at: number): void {
    const { view } = this.memory;
    const body = at + ETHERNET_HEADER_LEN;
    if (arpOperation(view, body) !== ARP_REQUEST) return;
    const [asked, asker] = [arpTargetIp(view, body), arpSenderIp(view, body)];
    // Probes and announcements (RFC 5227) want no answer.
    if (this.silent || asker === 0 || asker === asked) return;
    this.#answers.push(arp(ARP_REPLY, formatIpv4(asked), formatIpv4(asker), this.#host, this.#own));
  }

  /** An answer that waits, as a row. True when there was one. */
  protected takeAnswer(batch: Batch): boolean {
    const frame = this.#answers.shift();
    if (frame === undefined) return false;
    this.memory.bytes.set(frame, this.ring + SLOT_FRAME);
    batch.push(this.ring + SLOT_FRAME, frame.length);
    return true;
  }

  protected get answersWait(): boolean {
    return this.#answers.length > 0;
  }
}

/** A LAN host that sends the same frames in each turn, and counts what comes. */
class LanEnd extends End {
  readonly name = "lan";
  readonly udpGso = false;
  /** Packets that came; a super-frame of n segments is n. */
  received = 0;
  #offered = false;
  readonly #frames = new Batch(LAN_ROWS);
  readonly #waste: () => void;
  #flood: { readonly frame: Uint8Array; readonly gsoSize: number; readonly slots: number } | undefined;

  constructor(memory: NativeMemory, waste: () => void) {
    super(memory, LAN_ROWS, LAN_MAC, "52:54:00:00:00:99");
    this.#waste = waste;
    const templates = memory.take(LAN_ROWS * SLOT, 64).at;
    const ends = { src: HOST, dst: SITE };
    const add = (bytes: Uint8Array): number => {
      const at = templates + this.#frames.count * SLOT;
      memory.bytes.set(bytes, at);
      return this.#frames.push(at, bytes.length);
    };
    for (let i = 0; i < UDP_FLOWS; i++) add(frame(udp(ends, 20_000 + i, 443, bytesOf(60 + i)), LAN_MAC));
    for (let i = 0; i < TCP_FLOWS; i++)
      add(frame(tcp(ends, { srcPort: 30_000 + i, flags: TCP_ACK }, bytesOf(i)), LAN_MAC));
    for (let i = 0; i < SUPER_FRAMES; i++) {
      const segment = { srcPort: 31_000 + i, flags: TCP_ACK | TCP_PSH };
      const row = add(frame(tcp(ends, segment, bytesOf(SEGMENTS * SEGMENT_BYTES)), LAN_MAC));
      this.#frames.flags[row] = VNET_NEEDS_CSUM;
      this.#frames.gsoType[row] = GSO_TCPV4;
      this.#frames.gsoSize[row] = SEGMENT_BYTES;
      this.#frames.hdrLen[row] = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + TCP_HEADER_LEN;
      this.#frames.csumStart[row] = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN;
      this.#frames.csumOffset[row] = TCP_CHECKSUM_OFFSET;
    }
    for (let i = 0; i < ECHOES; i++) add(frame(icmp(ends, ICMP_ECHO_REQUEST, 0, (i << 16) | 1, bytesOf(56)), LAN_MAC));
  }

  /** The host's frames wait to be received. */
  offer(): void {
    this.#offered = true;
  }

  /** From now on it sends TCP super-frames without end, and nothing else. @param bytes of payload of each */
  floodWith(bytes: number, gsoSize: number): void {
    const frames = frame(tcp({ src: HOST, dst: SITE }, { srcPort: 32_000, flags: TCP_ACK }, bytesOf(bytes)), LAN_MAC);
    const slots = this.#flood?.slots ?? this.memory.take(FLOOD_SLOTS * FLOOD_SLOT, 64).at;
    this.#flood = { frame: frames, gsoSize, slots };
  }

  get drained(): boolean {
    return this.#flood === undefined && !this.#offered && !this.answersWait;
  }

  /** What it offers in a turn, but for a flood, is within any budget. */
  receive(batch: Batch, budget: number): number {
    batch.clear();
    if (this.takeAnswer(batch)) return 1;
    if (this.#flood !== undefined) return this.#takeFlood(batch, budget, this.#flood.frame, this.#flood.gsoSize);
    if (!this.#offered) return 0;
    this.#offered = false;
    const from = this.#frames;
    for (let i = 0; i < from.count; i++) {
      const at = this.ring + i * SLOT + SLOT_FRAME;
      const start = from.at[i]!;
      const len = from.len[i]!;
      this.memory.bytes.copyWithin(at, start, start + len);
      const row = batch.push(at, len);
      batch.flags[row] = from.flags[i]!;
      batch.gsoType[row] = from.gsoType[i]!;
      batch.gsoSize[row] = from.gsoSize[i]!;
      batch.hdrLen[row] = from.hdrLen[i]!;
      batch.csumStart[row] = from.csumStart[i]!;
      batch.csumOffset[row] = from.csumOffset[i]!;
      this.#waste();
    }
    return batch.count;
  }

  #takeFlood(batch: Batch, budget: number, bytes: Uint8Array, gsoSize: number): number {
    const segments = segmentsOf(bytes.length, GSO_TCPV4, gsoSize);
    let work = 0;
    for (; batch.count < FLOOD_SLOTS && work + segments <= budget; work += segments) {
      const at = this.#flood!.slots + batch.count * FLOOD_SLOT + SLOT_FRAME;
      this.memory.bytes.set(bytes, at);
      const row = batch.push(at, bytes.length);
      batch.gsoType[row] = GSO_TCPV4;
      batch.gsoSize[row] = gsoSize;
    }
    return work;
  }

  send(batch: Batch): void {
    for (let i = 0; i < batch.count; i++) {
      const at = batch.at[i]!;
      const continues = i > 0 && batch.more[i - 1] === 1;
      if (!continues && etherType(this.memory.view, at) === ETHERTYPE_ARP) this.answer(at);
      else {
        // What continues a super-frame is the payload of one more segment.
        const size = continues ? 0 : batch.gsoSize[i]!;
        this.received += size === 0 ? 1 : Math.ceil((batch.len[i]! - batch.hdrLen[i]!) / size);
      }
    }
  }
}

/** The WAN's gateway and, behind it, the server: each packet of the tunnel goes back to whom it came from. */
class WanEnd extends End {
  readonly name = "wan";
  readonly udpGso: boolean;
  /** Frames with a packet of the tunnel. */
  returned = 0;
  /** Datagrams that came as a part of a super-frame. */
  gathered = 0;
  /** Takes no notice of what comes. */
  deaf = false;
  readonly #peer: OpenvpnPeer;
  readonly #datagrams = new Batch(WAN_ROWS);
  readonly #waiting = new Batch(WAN_ROWS);
  readonly #plain = new Batch(WAN_ROWS);
  readonly #sealed = new Batch(WAN_ROWS);
  #next = 0;
  #taken = 0;
  #now = 1000;

  constructor(memory: NativeMemory, peer: OpenvpnPeer, udpGso: boolean) {
    super(memory, WAN_ROWS, WAN_MAC, "52:54:00:00:00:98");
    this.#peer = peer;
    this.udpGso = udpGso;
    if (HEADROOM + TAILROOM + 1514 > SLOT) throw new Error("a slot is too small for a frame");
  }

  get drained(): boolean {
    return this.#taken === this.#waiting.count && !this.answersWait;
  }

  receive(batch: Batch, budget: number): number {
    batch.clear();
    if (budget > 0 && this.takeAnswer(batch)) return 1;
    const from = this.#waiting;
    while (this.#taken < from.count && batch.room > 0 && batch.count < budget) {
      const row = batch.push(from.at[this.#taken]!, from.len[this.#taken]!);
      batch.flags[row] = VNET_DATA_VALID;
      this.#taken++;
    }
    return batch.count;
  }

  send(batch: Batch): void {
    if (this.deaf) return;
    const { bytes, view } = this.memory;
    const waiting = this.#waiting;
    if (this.#taken === waiting.count) {
      waiting.clear();
      this.#taken = 0;
    }
    this.#now += 0.05;
    const plain = this.#plain;
    const sealed = this.#sealed;
    const datagrams = this.#datagrams;
    datagrams.clear();
    plain.clear();
    sealed.clear();
    let headers = 0;
    for (let i = 0; i < batch.count; i++) {
      const start = batch.at[i]!;
      let len = batch.len[i]!;
      const continues = i > 0 && batch.more[i - 1] === 1;
      if (!continues && etherType(view, start) === ETHERTYPE_ARP) {
        this.answer(start);
        continue;
      }
      const at = this.ring + this.#next * SLOT + SLOT_FRAME;
      this.#next = (this.#next + 1) % WAN_ROWS;
      if (continues) {
        // Each row of a super-frame is a datagram; the first one's headers are for all.
        bytes.copyWithin(at, headers, headers + DATAGRAM);
        bytes.copyWithin(at + DATAGRAM, start, start + len);
        len += DATAGRAM;
      } else {
        headers = start;
        bytes.copyWithin(at, start, start + len);
      }
      if (continues || batch.gsoType[i] === GSO_UDP_L4) this.#ungather(at, len);
      datagrams.push(at + DATAGRAM, len - DATAGRAM);
      swap16(view, at, at + 6);
      swap32(view, at + 2, at + 8);
      swap32(view, at + ETHERNET_HEADER_LEN + 12, at + ETHERNET_HEADER_LEN + 16);
      const ports = at + ETHERNET_HEADER_LEN + IPV4_HEADER_LEN;
      swap16(view, ports, ports + 2);
      view.setUint16(ports + UDP_CHECKSUM_OFFSET, 0);
      waiting.push(at, len);
    }
    this.#peer.session.handleRows(this.#now, datagrams, 0, datagrams.count, plain);
    for (let i = 0; i < plain.count; i++) turnRound(view, plain.at[i]!, plain.len[i]!);
    this.#peer.session.sealBatch(this.#now, plain, sealed);
    this.returned += sealed.count;
  }

  /** Lengths as a card writes them into each datagram that it makes of a super-frame. */
  #ungather(at: number, len: number): void {
    const { view } = this.memory;
    ipv4SetTotalLen(view, at + ETHERNET_HEADER_LEN, len - ETHERNET_HEADER_LEN);
    view.setUint16(at + DATAGRAM - UDP_HEADER_LEN + UDP_LENGTH_OFFSET, len - DATAGRAM + UDP_HEADER_LEN);
    this.gathered++;
  }
}

/** Source and destination change places, which leaves every sum as it is; an echo request becomes its answer. */
function turnRound(d: DataView, at: number, len: number): void {
  swap32(d, at + 12, at + 16);
  const body = at + IPV4_HEADER_LEN;
  if (ipv4Protocol(d, at) !== PROTO_ICMP) return swap16(d, body, body + 2);
  d.setUint8(body, ICMP_ECHO_REPLY);
  icmpRefreshChecksum(d, body, len - IPV4_HEADER_LEN);
}

function swap16(d: DataView, a: number, b: number): void {
  const kept = d.getUint16(a);
  d.setUint16(a, d.getUint16(b));
  d.setUint16(b, kept);
}

function swap32(d: DataView, a: number, b: number): void {
  const kept = d.getInt32(a);
  d.setInt32(a, d.getInt32(b));
  d.setInt32(b, kept);
}
