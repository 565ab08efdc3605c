import { beforeEach, describe, expect, test } from "bun:test";
import { expectConserved } from "../../test/support/conserved.ts";
import { GSO_TCPV4, GSO_UDP_L4, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { seededRandom } from "../lib/random.ts";
import { HEADROOM, slabOver, TAILROOM } from "../lib/slab.ts";
import { DROP_TEXT, Drop } from "./drop.ts";
import type { TunnelInterface } from "./interface.ts";
import { NAT_IPV4 } from "./nat/ip4.ts";
import { Nat } from "./nat/nat.ts";
import { Router } from "./router.ts";
import type { Connection } from "./tcp/connection.ts";
import { PagePool } from "./tcp/pages.ts";
import {
  addr,
  arp,
  Bed,
  bytesOf,
  cidr,
  frame,
  HOST_MAC,
  icmp,
  ip,
  ipv4,
  type RecordingOutlet,
  type Sent,
  side,
  tcp,
  tunnelSide,
  udp,
} from "./testing/bed.ts";
import { checksum, pseudoSum } from "./wire/checksum.ts";
import { icmpNextHopMtu } from "./wire/icmpv4.ts";
import { IPV4_DF, IPV4_MF, ipv4Check, ipv4Dst, ipv4Src, ipv4Ttl, PROTO_TCP } from "./wire/ipv4.ts";
import { printFrame, printIpv4 } from "./wire/print.ts";
import { TCP_ACK, TCP_CWR, TCP_FIN, TCP_PSH, TCP_SYN, tcpChecksumValid, tcpFlags, tcpSeq } from "./wire/tcp.ts";
import { udpChecksumValid } from "./wire/udp.ts";

const LAN = "192.168.50.1";
const HOST = "192.168.50.10";
const TUN = "10.8.0.2";
const EVERYBODY = "ff:ff:ff:ff:ff:ff";
const SITE = "198.51.100.7";

let bed: Bed;
let lan: ReturnType<typeof side>;
let tunnelIt: TunnelInterface;
let tunnel: RecordingOutlet;
let router: Router;

const build = (nat: boolean): void => {
  bed = new Bed();
  lan = side(bed, "lan");
  lan.it.configure({ address: cidr(`${LAN}/24`) });
  lan.outlet.take();
  ({ it: tunnelIt, outlet: tunnel } = tunnelSide(bed));
  const translator = nat ? new Nat({ family: NAT_IPV4, slab: bed.slab, random: seededRandom(5) }) : undefined;
  router = new Router({ slab: bed.slab, lan: lan.it, tunnel: tunnelIt, nat: translator, random: seededRandom(7) });
};

const open = (mtu = 1400, mssClamp = 0): void => {
  const routes = [
    { network: cidr("198.51.100.0/24"), metric: 0 },
    { network: cidr("10.8.0.0/24"), metric: 0 },
  ];
  router.openTunnel(0, { address: cidr(`${TUN}/24`), mtu, mssClamp, routes });
};

/** The host becomes known to the gateway, as it is once it has asked for the gateway's MAC. */
const meet = (): void => {
  lan.it.ingest(0, bed.receive(arp(1, HOST, LAN)));
  lan.it.ingest(0, bed.receive(frame(icmp({ src: HOST, dst: LAN }, 8, 0, 1, bytesOf(1)))));
  lan.it.ingest(0, bed.receive(arp(2, HOST, LAN)));
  lan.outlet.take();
};

const fromLan = (...packets: Uint8Array[]): void => lan.it.ingest(10, bed.receive(...packets.map((p) => frame(p))));

const fromTunnel = (...packets: Uint8Array[]): void => tunnelIt.ingest(10, bed.receive(...packets));

const lines = (sent: Sent[]): string[] => sent.map((s) => printIpv4(s.view, 0, s.bytes.length));
const lanLines = (): string[] =>
  lan.outlet.take().map((s) => printFrame(s.view, 0, s.bytes.length).replace(/^.* > \S+? (?=\d)/, ""));

const conserved = (): void => expectConserved(router);

describe("LAN to tunnel, without NAT", () => {
  beforeEach(() => {
    build(false);
    open();
    meet();
  });

  test("a packet with a route goes in place, TTL - 1, checksum right", () => {
    const packet = udp({ src: HOST, dst: SITE }, 5000, 53, bytesOf(64));
    fromLan(packet);
    const [sent, ...more] = tunnel.take();
    expect(more).toEqual([]);
    expect(ipv4Check(sent!.view, 0, sent!.bytes.length)).toBe(Drop.None);
    expect(ipv4Ttl(sent!.view, 0)).toBe(63);
    expect(sent!.bytes.subarray(20)).toEqual(packet.subarray(20));
    expect(lanLines()).toEqual([]);
    conserved();
  });

  test("the tunnel's own subnet is routed, the rest is net unreachable from the gateway", () => {
    fromLan(udp({ src: HOST, dst: "10.8.0.1" }, 1, 2, bytesOf(1)));
    expect(tunnel.take().length).toBe(1);
    fromLan(udp({ src: HOST, dst: "192.0.2.1" }, 1, 2, bytesOf(1)));
    expect(tunnel.take()).toEqual([]);
    expect(lanLines()).toEqual([
      `${LAN} > ${HOST} ttl 64 len 57 icmp type 3 code 0 mtu 0 about ${HOST} > 192.0.2.1 proto 17`,
    ]);
    expect(router.lan!.drops.snapshot()).toEqual({ NoRoute: 1 });
    conserved();
  });

  test("a closed tunnel: net unreachable, nothing leaves", () => {
    router.closeTunnel();
    fromLan(udp({ src: HOST, dst: SITE }, 1, 2, bytesOf(1)));
    expect(lanLines()[0]).toContain("icmp type 3 code 0");
    expect(tunnel.take()).toEqual([]);
    expect(router.lan!.drops.snapshot()).toEqual({ TunnelClosed: 1 });
  });

  test("TTL 1 ends here with time exceeded that quotes the packet (RFC 1812 5.3.1)", () => {
    fromLan(icmp({ src: HOST, dst: SITE, ttl: 1 }, 8, 0, 1, bytesOf(20)));
    expect(lanLines()[0]).toContain(`${LAN} > ${HOST} ttl 64 len 76 icmp type 11 code 0`);
    expect(tunnel.take()).toEqual([]);
  });

  test("a foreign source, a LAN destination, link-local and multicast go nowhere and are counted", () => {
    fromLan(
      udp({ src: "192.0.2.77", dst: SITE }, 1, 2, bytesOf(1)),
      udp({ src: HOST, dst: "192.168.50.20" }, 1, 2, bytesOf(1)),
      udp({ src: HOST, dst: "169.254.1.1" }, 1, 2, bytesOf(1)),
      udp({ src: HOST, dst: "224.0.0.251" }, 1, 2, bytesOf(1)),
    );
    expect(tunnel.take()).toEqual([]);
    expect(lanLines()).toEqual([]);
    expect(router.lan!.drops.snapshot()).toEqual({ LanToLan: 1, Ipv4MartianDestination: 1 });
    expect(lan.it.drops.snapshot()).toMatchObject({ ForeignSource: 1, Ipv4NotForUs: 1 });
    conserved();
  });

  test("too big with DF: fragmentation needed with the tunnel's MTU; without DF: fragments that put together are the packet", () => {
    const big = udp({ src: HOST, dst: SITE, fragment: IPV4_DF }, 1, 2, bytesOf(1400));
    fromLan(big);
    const [error] = lan.outlet.take();
    expect(icmpNextHopMtu(error!.view, 34)).toBe(1400);
    expect(error!.bytes.length).toBe(14 + 576);
    expect(error!.bytes.subarray(42)).toEqual(big.subarray(0, 548)); // as the host sent it
    expect(tunnel.take()).toEqual([]);

    const loose = udp({ src: HOST, dst: SITE, id: 77 }, 1, 2, bytesOf(1400));
    fromLan(loose);
    const sent = tunnel.take();
    expect(sent.length).toBe(2);
    expect(sent.every((s) => s.bytes.length <= 1400 && ipv4Check(s.view, 0, s.bytes.length) === Drop.None)).toBe(true);
    expect(new Uint8Array(sent.flatMap((s) => [...s.bytes.subarray(20)]))).toEqual(loose.slice(20));
    expect(lines(sent)[1]).toContain("frag id 77 1376 len");
    conserved();
  });

  test("no ICMP error about an ICMP error, a later fragment, or a packet of a host that is not ours (RFC 1122 3.2.2)", () => {
    const dst = "192.0.2.1";
    fromLan(
      icmp({ src: HOST, dst }, 3, 1, 0, bytesOf(28)),
      ipv4({ src: HOST, dst, protocol: 17, fragment: 5 }, bytesOf(16)),
      udp({ src: "192.168.51.3", dst }, 1, 2, bytesOf(1)),
    );
    expect(lanLines()).toEqual([]);
  });

  test("errors are rate limited and come back with time", () => {
    for (let i = 0; i < 300; i++) fromLan(udp({ src: HOST, dst: "192.0.2.1" }, 1, 2, bytesOf(1)));
    expect(lanLines().length).toBe(25);
    expect(lan.it.outDrops.snapshot().RateLimited).toBe(275);
    // Path MTU discovery goes on, as in Linux (icmpv4_mask_allow).
    for (let i = 0; i < 3; i++) fromLan(udp({ src: HOST, dst: SITE, fragment: IPV4_DF }, 1, 2, bytesOf(1400)));
    expect(lanLines().length).toBe(3);
    lan.it.ingest(1010, bed.receive(frame(udp({ src: HOST, dst: "192.0.2.1" }, 1, 2, bytesOf(1)))));
    expect(lanLines().length).toBe(1);
  });

  test("a checksum that the sender's kernel left partial is completed", () => {
    const packet = tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK }, bytesOf(33));
    const d = new DataView(packet.buffer);
    const right = d.getUint16(36);
    d.setUint16(36, pseudoSum(ip(HOST), ip(SITE), 6, 53));
    const rx = bed.receive(frame(packet));
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.csumStart[0] = 34;
    rx.csumOffset[0] = 16;
    lan.it.ingest(10, rx);
    expect(tunnel.take()[0]!.view.getUint16(36)).toBe(right);
  });

  test("a partial checksum in a packet within a packet (VXLAN) is completed where the row says, and one outside is refused", () => {
    const inner = frame(tcp({ src: "10.1.0.1", dst: "10.1.0.2" }, { flags: TCP_ACK }, bytesOf(34)));
    const innerAt = 20 + 8 + 8;
    const packet = udp({ src: HOST, dst: SITE }, 4789, 4789, new Uint8Array([8, 0, 0, 0, 0, 0, 1, 0, ...inner]));
    const right = packet.slice();
    const d = new DataView(packet.buffer);
    // The outer checksum is right for the inner one completed: local checksum offload (Linux, checksum-offloads.rst).
    d.setUint16(innerAt + 14 + 20 + 16, pseudoSum(ip("10.1.0.1"), ip("10.1.0.2"), 6, 54));
    const rx = bed.receive(frame(packet), frame(packet), frame(packet));
    rx.flags.fill(VNET_NEEDS_CSUM);
    rx.csumStart.fill(14 + innerAt + 14 + 20);
    rx.csumOffset.set([16, packet.length, 16]);
    rx.csumStart[2] = 20;
    lan.it.ingest(10, rx);
    const sent = tunnel.take();
    expect(sent.map((s) => s.bytes.subarray(20))).toEqual([right.subarray(20)]);
    expect(router.lan!.drops.snapshot()).toEqual({ ChecksumPartialMalformed: 2 });
  });

  test("a TCP super-frame becomes segments like a NIC's: seq, ids, flags, checksums", () => {
    const payload = bytesOf(3000);
    const flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR;
    const packet = tcp({ src: HOST, dst: SITE, id: 0xffff, fragment: IPV4_DF }, { flags, seq: 0xfffffff0 }, payload);
    const rx = bed.receive(frame(packet));
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.gsoType[0] = GSO_TCPV4;
    rx.gsoSize[0] = 1300;
    lan.it.ingest(10, rx);
    const sent = tunnel.take();
    expect(sent.map((s) => s.bytes.length)).toEqual([1340, 1340, 440]);
    expect(sent.map((s) => s.view.getUint16(4))).toEqual([0xffff, 0, 1]);
    expect(sent.map((s) => tcpSeq(s.view, 20) >>> 0)).toEqual([0xfffffff0, 1284, 2584]);
    expect(sent.map((s) => tcpFlags(s.view, 20))).toEqual([TCP_ACK | TCP_CWR, TCP_ACK, TCP_ACK | TCP_PSH | TCP_FIN]);
    for (const s of sent) {
      expect(ipv4Check(s.view, 0, s.bytes.length)).toBe(Drop.None);
      expect(tcpChecksumValid(s.view, 20, s.bytes.length - 20, pseudoSum(ip(HOST), ip(SITE), 6, 0))).toBe(true);
      expect(ipv4Ttl(s.view, 0)).toBe(63);
    }
    expect(new Uint8Array(sent.flatMap((s) => [...s.bytes.subarray(40)]))).toEqual(payload);
    conserved();
  });

  test("a super-frame whose segments exceed the tunnel's MTU is one packet too big", () => {
    const packet = tcp({ src: HOST, dst: SITE, fragment: IPV4_DF }, { flags: TCP_ACK }, bytesOf(4000));
    const rx = bed.receive(frame(packet));
    rx.gsoType[0] = GSO_TCPV4;
    rx.gsoSize[0] = 1460;
    lan.it.ingest(10, rx);
    expect(tunnel.take()).toEqual([]);
    expect(lan.outlet.take().map((s) => icmpNextHopMtu(s.view, 34))).toEqual([1400]);
    expect(router.lan!.drops.snapshot()).toEqual({ TooBig: 1 });
  });

  test("a super-frame of more segments than an honest sender makes is refused: the work of a frame is bounded", () => {
    for (const gsoType of [GSO_TCPV4, GSO_UDP_L4]) {
      const packet =
        gsoType === GSO_TCPV4
          ? tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK }, bytesOf(60000))
          : udp({ src: HOST, dst: SITE }, 7, 8, bytesOf(60000));
      for (const gsoSize of [236, 234, 1]) {
        const rx = bed.receive(frame(packet));
        rx.gsoType[0] = gsoType;
        rx.gsoSize[0] = gsoSize;
        lan.it.ingest(10, rx);
        expect(tunnel.take().length).toBe(gsoSize === 236 ? 255 : 0);
      }
    }
    expect(router.lan!.drops.snapshot()).toEqual({ GsoTooManySegments: 4 });
    conserved();
  });

  test("a UDP super-frame becomes datagrams with checksums", () => {
    const rx = bed.receive(frame(udp({ src: HOST, dst: SITE }, 7, 8, bytesOf(2500))));
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.gsoType[0] = GSO_UDP_L4;
    rx.gsoSize[0] = 1200;
    lan.it.ingest(10, rx);
    const sent = tunnel.take();
    expect(sent.map((s) => s.view.getUint16(24))).toEqual([1208, 1208, 108]);
    for (const s of sent) expect(udpChecksumValid(s.view, 20, pseudoSum(ip(HOST), ip(SITE), 17, 0))).toBe(true);
  });

  test("more segments than the outlet holds are sent in several flushes, none lost", () => {
    const payload = bytesOf(60000);
    const one = frame(tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK }, payload));
    const rx = bed.receive(one, one);
    rx.gsoType.fill(GSO_TCPV4, 0, 2);
    rx.gsoSize.fill(250, 0, 2);
    lan.it.ingest(10, rx);
    const sent = tunnel.take();
    expect(tunnel.flushes).toBeGreaterThan(1);
    expect(sent.length).toBe(480);
    expect(new Uint8Array(sent.slice(240).flatMap((s) => [...s.bytes.subarray(40)]))).toEqual(payload);
  });

  test("the MSS of a SYN is clamped to the tunnel, at even and odd offsets, and a smaller one stays", () => {
    const mss = (value: number, pad: number): Uint8Array =>
      Uint8Array.of(...Array(pad).fill(1), 2, 4, value >> 8, value & 255, ...Array((4 - ((4 + pad) & 3)) & 3).fill(0));
    for (const pad of [0, 1, 2, 3]) {
      fromLan(tcp({ src: HOST, dst: SITE }, { flags: TCP_SYN, options: mss(1460, pad) }, bytesOf(0)));
      const [s] = tunnel.take();
      expect(lines([s!])[0]).toContain("mss 1360");
      expect(tcpChecksumValid(s!.view, 20, s!.bytes.length - 20, pseudoSum(ip(HOST), ip(SITE), 6, 0))).toBe(true);
    }
    fromLan(tcp({ src: HOST, dst: SITE }, { flags: TCP_SYN, options: mss(536, 0) }, bytesOf(0)));
    expect(lines(tunnel.take())[0]).toContain("mss 536");
    open(1400, 1200);
    fromLan(tcp({ src: HOST, dst: SITE }, { flags: TCP_SYN, options: mss(1460, 0) }, bytesOf(0)));
    expect(lines(tunnel.take())[0]).toContain("mss 1200");
    fromTunnel(tcp({ src: SITE, dst: HOST }, { flags: TCP_SYN | TCP_ACK, options: mss(8960, 1) }, bytesOf(0)));
    expect(lanLines()[0]).toContain("mss 1200");
  });

  test("a TCP super-frame in another packet (VXLAN, GRE) is refused under a name that says what to do", () => {
    const inner = frame(tcp({ src: "10.1.0.1", dst: "10.1.0.2" }, { flags: TCP_ACK }, bytesOf(4000)));
    const rx = bed.receive(
      frame(udp({ src: HOST, dst: SITE }, 4789, 4789, new Uint8Array([8, 0, 0, 0, 0, 0, 1, 0, ...inner]))),
      frame(ipv4({ src: HOST, dst: SITE, protocol: 47 }, new Uint8Array([0, 0, 0x65, 0x58, ...inner]))),
    );
    rx.flags.fill(VNET_NEEDS_CSUM, 0, 2);
    rx.gsoType.fill(GSO_TCPV4, 0, 2);
    rx.gsoSize.fill(1300, 0, 2);
    rx.csumStart.fill(84, 0, 2);
    rx.csumOffset.fill(16, 0, 2);
    lan.it.ingest(10, rx);
    expect(tunnel.take()).toEqual([]);
    expect(router.lan!.drops.snapshot()).toEqual({ GsoEncapsulated: 2 });
    expect(DROP_TEXT.GsoEncapsulated).toContain("tx-udp_tnl-segmentation off");
  });

  test("a super-frame whose transport header does not fit, or of a kind that nobody sends here, is refused", () => {
    const short = tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK }, bytesOf(3000));
    short[32] = 0x10; // 4 bytes of TCP header
    const long = udp({ src: HOST, dst: SITE }, 7, 8, bytesOf(3000));
    new DataView(long.buffer).setUint16(24, 4000);
    const fine = tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK }, bytesOf(3000));
    const rx = bed.receive(...[short, long, fine].map((packet) => frame(packet)));
    rx.gsoType.set([GSO_TCPV4, GSO_UDP_L4, 4]);
    rx.gsoSize.fill(1000, 0, 3);
    lan.it.ingest(10, rx);
    expect(tunnel.take()).toEqual([]);
    expect(router.lan!.drops.snapshot()).toEqual({ GsoMalformed: 3 });
  });

  test("an honest host is told although another one floods: errors are shared out by host", () => {
    router.closeTunnel();
    const told = (lines: string[]): number => lines.filter((line) => line.includes("> 192.168.50.11 ")).length;
    const honest = "192.168.50.11";
    lan.it.ingest(10, bed.receive(arp(1, honest, LAN)));
    lan.it.ingest(10, bed.receive(frame(icmp({ src: honest, dst: LAN }, 8, 0, 1, bytesOf(1)))));
    lan.it.ingest(10, bed.receive(arp(2, honest, LAN)));
    lan.outlet.take();
    let heard = 0;
    for (let now = 1000; now < 13_000; now += 10) {
      const flood = Array.from({ length: 50 }, () => frame(udp({ src: HOST, dst: SITE }, 1, 2, bytesOf(1))));
      if (now % 1000 === 500) flood.push(frame(icmp({ src: honest, dst: SITE }, 8, 0, 1, bytesOf(1))));
      lan.it.ingest(now, bed.receive(...flood));
      heard += told(lanLines());
    }
    expect(heard).toBe(12);
  });

  test("fragments pass one by one without NAT", () => {
    fromLan(ipv4({ src: HOST, dst: SITE, protocol: 17, fragment: IPV4_MF }, bytesOf(800)));
    expect(lines(tunnel.take())[0]).toContain("frag id 1 0+");
  });
});

test("a foreign source gets nothing from the gateway itself either: no datagram to a socket, no answer (RFC 1812 5.3.8)", () => {
  build(false);
  open();
  meet();
  const heard: string[] = [];
  for (const it of [lan.it, tunnelIt]) it.bindUdp(53, { onDatagram: (_now, src) => heard.push(`${src}`) });
  for (const src of ["192.0.2.77", TUN, SITE])
    fromLan(udp({ src, dst: LAN }, 1, 53, bytesOf(1)), icmp({ src, dst: LAN }, 8, 0, 1, bytesOf(1)));
  fromTunnel(udp({ src: HOST, dst: TUN }, 1, 53, bytesOf(1)), icmp({ src: HOST, dst: TUN }, 8, 0, 1, bytesOf(1)));
  expect([heard, lanLines(), tunnel.take()]).toEqual([[], [], []]);
  expect(lan.it.drops.snapshot()).toMatchObject({ ForeignSource: 6 });
  expect(tunnelIt.drops.snapshot()).toEqual({ TunnelForeignSource: 2 });
  fromLan(udp({ src: HOST, dst: LAN }, 1, 53, bytesOf(1)));
  // Who asks for an address has none.
  lan.it.ingest(10, bed.receive(frame(udp({ src: "0.0.0.0", dst: "255.255.255.255" }, 1, 53, bytesOf(1)), EVERYBODY)));
  expect(heard).toEqual([HOST, "0.0.0.0"]);
});

test("a peer whose fragments were not completed is told, and no other", () => {
  build(false);
  const served = { networks: [], peerToPeer: false };
  router.openTunnel(0, { address: cidr(`${TUN}/24`), mtu: 1400, mssClamp: 0, routes: [], served });
  router.join(1, { networks: [cidr("10.8.0.10/32")], mssClamp: 0 });
  router.join(2, { networks: [cidr("10.8.0.11/32")], mssClamp: 0 });
  const rx = bed.receive(ipv4({ src: "10.8.0.11", dst: TUN, protocol: 17, fragment: IPV4_MF }, bytesOf(64)));
  rx.peer[0] = 2;
  tunnelIt.ingest(0, rx);
  tunnelIt.handleTimeout(tunnelIt.pollAt());
  expect(tunnel.take().map(({ peer, view, bytes }) => [peer, printIpv4(view, 0, bytes.length)])).toEqual([
    [2, expect.stringContaining(`${TUN} > 10.8.0.11 ttl 64 len 112 icmp type 11 code 1`)],
  ]);
});

test("a super-frame that needs room for fragments is a drop where packets that were put together have taken it", () => {
  build(true);
  open(1400);
  meet();
  const last: Uint8Array[] = [];
  /** Of a packet in the scratch, beside its data. */
  const around = HEADROOM + TAILROOM + 8 + 28;
  // The scratch of 512 KiB is full but for a few hundred bytes.
  const left = 512 * 1024 - 7 * (65_472 + around) - around - 300;
  for (let id = 1; id <= 8; id++) {
    const whole = icmp({ src: SITE, dst: TUN, id }, 8, 0, 1, bytesOf(id < 8 ? 65_472 : left)).slice(20);
    for (let at = 0; at < whole.length; at += 1376) {
      const piece = whole.slice(at, at + 1376);
      const more = at + 1376 < whole.length;
      const packet = ipv4({ src: SITE, dst: TUN, id, protocol: 1, fragment: (more ? IPV4_MF : 0) | (at >> 3) }, piece);
      if (more) fromTunnel(packet);
      else last.push(packet);
    }
  }
  fromTunnel(...last);
  tunnel.take();
  const rx = bed.receive(frame(udp({ src: HOST, dst: SITE }, 1, 2, bytesOf(15_000))));
  rx.gsoType[0] = GSO_UDP_L4;
  rx.gsoSize[0] = 1472;
  lan.it.ingest(10, rx);
  expect(router.lan!.drops.snapshot()).toEqual({ FragmentLimit: 1 });
});

describe("tunnel to LAN", () => {
  test("without NAT only LAN addresses pass; TTL - 1, Ethernet of host and gateway", () => {
    build(false);
    open();
    meet();
    fromTunnel(
      udp({ src: SITE, dst: HOST }, 1, 2, bytesOf(9)),
      udp({ src: SITE, dst: "192.0.2.9" }, 1, 2, bytesOf(9)),
      udp({ src: SITE, dst: "192.168.50.255" }, 1, 2, bytesOf(9)),
      udp({ src: HOST, dst: "192.168.50.11" }, 1, 2, bytesOf(9)),
      udp({ src: SITE, dst: LAN }, 1, 2, bytesOf(9)),
    );
    const sent = lan.outlet.take();
    expect(sent.map((s) => printFrame(s.view, 0, s.bytes.length))).toEqual([
      `52:54:00:00:00:01 > ${HOST_MAC} ${SITE} > ${HOST} ttl 63 len 37 udp 1 > 2 len 9`,
    ]);
    expect(router.tunnel.drops.snapshot()).toEqual({ TunnelNotForLan: 2 });
    expect(tunnelIt.drops.snapshot()).toEqual({ TunnelForeignSource: 1 });
    expect(lines(tunnel.take())[0]).toContain(`${TUN} > ${SITE} ttl 64 len 65 icmp type 3 code 3`);
    conserved();
  });

  test("with NAT: mappings pass, others are counted, and nothing is answered but echo to the tunnel's address", () => {
    build(true);
    open();
    meet();
    fromLan(udp({ src: HOST, dst: SITE }, 2, 1, bytesOf(9)));
    tunnel.take();
    fromTunnel(
      udp({ src: SITE, dst: TUN }, 1, 2, bytesOf(9)),
      udp({ src: "192.0.2.5", dst: TUN }, 1, 2, bytesOf(9)),
      udp({ src: SITE, dst: HOST }, 1, 2, bytesOf(9)),
      icmp({ src: SITE, dst: HOST }, 8, 0, 5, bytesOf(9)),
      icmp({ src: SITE, dst: TUN }, 8, 0, 5, bytesOf(9)),
    );
    expect(lanLines()).toEqual([`${SITE} > ${HOST} ttl 63 len 37 udp 1 > 2 len 9`]);
    expect(router.tunnel.drops.snapshot()).toEqual({ NatNoMapping: 1, TunnelNotForLan: 2 });
    expect(lines(tunnel.take())).toEqual([`${TUN} > ${SITE} ttl 64 len 37 icmp type 0 code 0 id 0 seq 5`]);
    conserved();
  });

  test("with NAT: a socket of the tunnel has a port that the translator gives to nobody, whoever comes first; the tunnel's other ports are not ours", () => {
    build(true);
    open();
    meet();
    const heard: string[] = [];
    const receiver = { onDatagram: (_now: number, src: unknown, port: number) => void heard.push(`${src}:${port}`) };
    const socket = tunnelIt.bindUdp(5000, receiver)!;
    const at = (sent: Sent | undefined): number => sent!.view.getUint16(20);
    fromLan(udp({ src: HOST, dst: SITE }, 5000, 53, bytesOf(8)));
    const lanPort = at(tunnel.take()[0]);
    expect(lanPort).not.toBe(5000);
    fromLan(udp({ src: HOST, dst: SITE }, 6000, 53, bytesOf(8)));
    tunnel.take();
    expect(tunnelIt.sendUdp(1, socket, addr(SITE), 53, bytesOf(8))).toBe(Drop.None);
    expect(at(tunnel.take()[0])).toBe(5000);
    fromTunnel(
      udp({ src: SITE, dst: TUN }, 53, 5000, bytesOf(8)),
      udp({ src: SITE, dst: TUN }, 53, lanPort, bytesOf(8)),
    );
    expect(heard).toEqual([`${SITE}:53`]);
    expect(lanLines()).toEqual([expect.stringContaining(`${SITE} > ${HOST} ttl 63 len 36 udp 53 > 5000 len 8`)]);
    // Another address makes the translator forget, but not what is the host's.
    router.openTunnel(0, {
      address: cidr("10.8.0.9/24"),
      mtu: 1400,
      mssClamp: 0,
      routes: [{ network: cidr("0.0.0.0/0"), metric: 0 }],
    });
    fromLan(udp({ src: HOST, dst: SITE }, 5000, 53, bytesOf(8)));
    expect(at(tunnel.take()[0])).not.toBe(5000);
    tunnelIt.closeUdp(socket);
    fromTunnel(udp({ src: SITE, dst: "10.8.0.9" }, 53, 5000, bytesOf(8)));
    expect([heard.length, tunnel.take(), lanLines()]).toEqual([1, [], []]);
    fromLan(udp({ src: "192.168.50.11", dst: SITE }, 5000, 53, bytesOf(8)));
    expect(at(tunnel.take()[0])).toBe(5000);
  });

  test("with NAT: a TCP connection of our own into the tunnel has a port that the translator gives to nobody, until it has ended", () => {
    bed = new Bed();
    lan = side(bed, "lan");
    lan.it.configure({ address: cidr(`${LAN}/24`) });
    ({ it: tunnelIt, outlet: tunnel } = tunnelSide(bed));
    const nat = new Nat({ slab: bed.slab, family: NAT_IPV4, random: seededRandom(5) });
    router = new Router({ slab: bed.slab, lan: lan.it, tunnel: tunnelIt, nat, random: seededRandom(7) });
    const pool = new PagePool(slabOver(new ArrayBuffer(1 << 16)), 0, 4096, 16);
    const connections = tunnelIt.openTcp({ pool });
    connections.owners = [nat];
    open();
    meet();
    const c = connections.connect(10, { address: addr(SITE), port: 53 }) as Connection;
    tunnelIt.handleTimeout(10);
    const syn = tunnel.take()[0]!;
    const port = syn.view.getUint16(20);
    fromLan(udp({ src: HOST, dst: SITE }, port, 53, bytesOf(8)));
    expect(tunnel.take()[0]!.view.getUint16(20)).toBe(port);
    fromLan(tcp({ src: HOST, dst: SITE }, { srcPort: port, dstPort: 53, seq: 1, flags: TCP_SYN }, bytesOf(0)));
    expect(tunnel.take()[0]!.view.getUint16(20)).not.toBe(port);
    const seq = tcpSeq(syn.view, 20);
    const answer = { srcPort: 53, dstPort: port, seq: 9, ack: seq + 1, flags: TCP_SYN | TCP_ACK };
    fromTunnel(tcp({ src: SITE, dst: TUN }, answer, bytesOf(0)));
    expect([c.state, router.tunnel.drops.snapshot()]).toEqual(["ESTABLISHED", {}]);
    c.abort();
    tunnelIt.handleTimeout(10);
    tunnel.take();
    fromLan(
      tcp({ src: "192.168.50.11", dst: SITE }, { srcPort: port, dstPort: 53, seq: 1, flags: TCP_SYN }, bytesOf(0)),
    );
    expect(tunnel.take()[0]!.view.getUint16(20)).toBe(port);
    for (let taken = 32_768; taken < 61_000; taken++) nat.reserve(PROTO_TCP, taken);
    expect(connections.connect(10, { address: addr(SITE), port: 53 })).toBe("no-port");
  });

  test("behind the translator the sender of what belongs to a mapping is told of a TTL that ended and a host that is not there, as he knows it; nobody else", () => {
    build(true);
    open();
    const silent = "192.168.50.77";
    fromLan(udp({ src: silent, dst: SITE }, 2, 1, bytesOf(9)));
    tunnel.take();
    fromTunnel(udp({ src: SITE, dst: TUN, ttl: 1 }, 1, 3, bytesOf(9)), udp({ src: SITE, dst: TUN }, 1, 2, bytesOf(9)));
    expect(tunnel.take()).toEqual([]);
    fromTunnel(udp({ src: SITE, dst: TUN, ttl: 1 }, 1, 2, bytesOf(9)));
    for (let at = lan.it.pollAt(); at <= 4000; at = lan.it.pollAt()) lan.it.handleTimeout(at);
    tunnelIt.ingest(3500, bed.receive(udp({ src: SITE, dst: TUN }, 1, 2, bytesOf(9))));
    expect(router.tunnel.drops.snapshot()).toMatchObject({ Ipv4TtlExpired: 2, NeighborUnreachable: 1 });
    const sent = tunnel.take();
    // Of the one that has waited for the host in vain, and of the one that came afterwards.
    const unreachable = `${TUN} > ${SITE} ttl 64 len 65 icmp type 3 code 1 mtu 0 about ${SITE} > ${TUN} proto 17`;
    expect(lines(sent)).toEqual([
      `${TUN} > ${SITE} ttl 64 len 65 icmp type 11 code 0 mtu 0 about ${SITE} > ${TUN} proto 17`,
      unreachable,
      unreachable,
    ]);
    expect(sent[2]!.bytes.subarray(28)).toEqual(sent[1]!.bytes.subarray(28));
    // The packet that was translated is quoted as it came, but for the hop that it was counted here.
    const came = udp({ src: SITE, dst: TUN, ttl: 63 }, 1, 2, bytesOf(9));
    expect(sent[1]!.bytes.subarray(28)).toEqual(came);
  });

  test("IPv6, damage, and packets of a closed tunnel are counted", () => {
    build(false);
    open();
    const broken = udp({ src: SITE, dst: HOST }, 1, 2, bytesOf(9));
    broken[10]! ^= 1;
    fromTunnel(Uint8Array.of(0x60, 0, 0, 0), broken, new Uint8Array(0), bytesOf(10));
    router.closeTunnel();
    fromTunnel(udp({ src: SITE, dst: HOST }, 1, 2, bytesOf(9)));
    expect(tunnelIt.drops.snapshot()).toEqual({ Ipv6: 1, Ipv4BadChecksum: 1, Ipv4Truncated: 2, TunnelClosed: 1 });
    conserved();
  });

  test("too big for the LAN with DF: fragmentation needed goes back into the tunnel", () => {
    build(false);
    open(9000);
    meet();
    fromTunnel(udp({ src: SITE, dst: HOST, fragment: IPV4_DF }, 1, 2, bytesOf(3000)));
    const [error] = tunnel.take();
    expect(ipv4Src(error!.view, 0)).toBe(ip(TUN));
    expect(ipv4Dst(error!.view, 0)).toBe(ip(SITE));
    expect(icmpNextHopMtu(error!.view, 20)).toBe(1500);
    fromTunnel(udp({ src: SITE, dst: HOST }, 1, 2, bytesOf(3000)));
    expect(lan.outlet.take().map((s) => s.bytes.length)).toEqual([1514, 1514, 14 + 20 + 48]);
  });

  test("an echo request to the tunnel's address comes from the LAN too", () => {
    build(true);
    open();
    meet();
    fromLan(icmp({ src: HOST, dst: TUN }, 8, 0, 9, bytesOf(3)));
    expect(lanLines()).toEqual([`${TUN} > ${HOST} ttl 64 len 31 icmp type 0 code 0 id 0 seq 9`]);
  });

  test("a packet for a host that ARP does not know waits, is sent when it answers, and is not altered", () => {
    build(false);
    open();
    const packet = udp({ src: SITE, dst: "192.168.50.33", ttl: 9 }, 1, 2, bytesOf(700));
    fromTunnel(packet, packet);
    expect(lan.outlet.take().map((s) => printFrame(s.view, 0, s.bytes.length))).toEqual([
      "52:54:00:00:00:01 > ff:ff:ff:ff:ff:ff arp who-has 192.168.50.33 tell 192.168.50.1 (52:54:00:00:00:01)",
    ]);
    lan.it.ingest(20, bed.receive(arp(2, "192.168.50.33", LAN)));
    const sent = lan.outlet.take();
    expect(sent.length).toBe(2);
    expect(sent[1]!.bytes.subarray(34)).toEqual(packet.subarray(20));
    conserved();
  });
});

test("a LAN host that has the tunnel's address keeps it: the gateway does not answer for it", () => {
  build(false);
  router.openTunnel(0, { address: cidr(`${HOST}/32`), mtu: 1400, mssClamp: 0, routes: [] });
  meet();
  fromLan(icmp({ src: "192.168.50.11", dst: HOST }, 8, 0, 1, bytesOf(8)));
  expect(lan.outlet.take()).toEqual([]);
  expect(router.lan!.drops.snapshot()).toEqual({ LanToLan: 1 });
});

describe("fragments through the translator", () => {
  test("LAN fragments are put together, translated, and fragmented again", () => {
    build(true);
    open();
    meet();
    const whole = udp({ src: HOST, dst: SITE, id: 9 }, 5, 6, bytesOf(3000));
    const piece = (from: number, to: number, more: boolean): Uint8Array =>
      ipv4(
        { src: HOST, dst: SITE, id: 9, protocol: 17, fragment: (from >> 3) | (more ? IPV4_MF : 0) },
        whole.subarray(20 + from, 20 + to),
      );
    fromLan(piece(1480, 2960, true), piece(2960, 3008, false));
    expect(tunnel.take()).toEqual([]);
    fromLan(piece(0, 1480, true));
    const sent = tunnel.take();
    expect(sent.length).toBe(3);
    expect(sent.every((s) => ipv4Src(s.view, 0) === ip(TUN) && s.bytes.length <= 1400)).toBe(true);
    const data = new Uint8Array(sent.flatMap((s) => [...s.bytes.subarray(20)]));
    expect(data.slice(8)).toEqual(whole.slice(28));
    expect(udpChecksumValid(new DataView(data.buffer), 0, pseudoSum(ip(TUN), ip(SITE), 17, 0))).toBe(true);
    conserved();
  });

  test("tunnel fragments are put together, translated, and fragmented for the LAN", () => {
    build(true);
    open();
    meet();
    fromLan(udp({ src: HOST, dst: SITE }, 6, 5, bytesOf(9)));
    tunnel.take();
    const whole = udp({ src: SITE, dst: TUN, id: 9 }, 5, 6, bytesOf(2000));
    const piece = (from: number, to: number, more: boolean): Uint8Array =>
      ipv4(
        { src: SITE, dst: TUN, id: 9, protocol: 17, fragment: (from >> 3) | (more ? IPV4_MF : 0) },
        whole.subarray(20 + from, 20 + to),
      );
    fromTunnel(piece(0, 1376, true), piece(1376, 2008, false));
    const sent = lan.outlet.take();
    expect(sent.map((s) => ipv4Dst(s.view, 14))).toEqual([ip(HOST), ip(HOST)]);
    const data = new Uint8Array(sent.flatMap((s) => [...s.bytes.subarray(34)]));
    expect(data.slice(8)).toEqual(whole.slice(28));
    fromTunnel(piece(0, 400, true), piece(400, 2008, false));
    conserved();
  });
});

test("fragments to the gateway from the tunnel that run out: the sender is told, but not behind a translator", () => {
  for (const nat of [false, true]) {
    build(nat);
    open();
    fromTunnel(ipv4({ src: SITE, dst: TUN, id: 9, protocol: 1, fragment: IPV4_MF }, bytesOf(400)));
    tunnelIt.handleTimeout(tunnelIt.pollAt());
    // They are the tunnel's loss, not the LAN's.
    expect(tunnelIt.outDrops.snapshot()).toEqual({ FragmentTimeout: 1 });
    expect(lan.it.outDrops.snapshot()).toEqual({});
    const sent = tunnel.take();
    expect(sent.length).toBe(nat ? 0 : 1);
    if (!nat) expect([...sent[0]!.bytes.subarray(20, 22)]).toEqual([11, 1]);
  }
});

test("a full checksum of what leaves is right even when the quoted packet is odd in length", () => {
  build(false);
  open();
  meet();
  fromLan(udp({ src: HOST, dst: "192.0.2.1" }, 1, 2, bytesOf(3)));
  const [error] = lan.outlet.take();
  expect(checksum(error!.view, 34, error!.bytes.length - 34)).toBe(0);
});
