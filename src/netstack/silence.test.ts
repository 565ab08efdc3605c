/** What is not answered, not forwarded and not believed, and how often it may be (RFC 1122 3.2.2, RFC 1812 4.3 and 5.3.4). */
import { expect, test } from "bun:test";
import { Batch, GSO_TCPV4, GSO_UDP_L4, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { seededRandom } from "../lib/random.ts";
import { Drop } from "./drop.ts";
import { ip4Check } from "./ip4/check.ts";
import { NAT_IPV4 } from "./nat/ip4.ts";
import { Nat } from "./nat/nat.ts";
import { Packet } from "./packet.ts";
import { Router } from "./router.ts";
import { addr, arp, Bed, bytesOf, cidr, frame, icmp, ip, ipv4, side, tcp, tunnelSide, udp } from "./testing/bed.ts";
import { pseudoSum } from "./wire/checksum.ts";
import { IPV4_MF } from "./wire/ipv4.ts";
import { TCP_ACK, TCP_SYN, tcpChecksumValid } from "./wire/tcp.ts";

const LAN = "192.168.50.1";
const HOST = "192.168.50.10";
const TUN = "10.8.0.2";
const SITE = "198.51.100.7";
const EVERYBODY = "ff:ff:ff:ff:ff:ff";

/** A LAN interface that knows its neighbours. */
function lanSide(gateway?: string) {
  const bed = new Bed();
  const { it, outlet } = side(bed, "lan");
  it.configure({ address: cidr(`${LAN}/24`), gateway: gateway === undefined ? undefined : addr(gateway) });
  for (const address of [HOST, ...(gateway === undefined ? [] : [gateway])]) {
    it.ingest(0, bed.receive(arp(1, address, LAN)));
    it.link.neighbors.lookup(0, Int32Array.of(ip(address)), 0);
    it.ingest(0, bed.receive(arp(2, address, LAN)));
  }
  outlet.take();
  return { bed, it, outlet };
}

function routed(nat: boolean, peers?: readonly [string, string]) {
  const { bed, it, outlet } = lanSide();
  const { it: tunnelIt, outlet: tunnel } = tunnelSide(bed);
  const translator = nat ? new Nat({ family: NAT_IPV4, slab: bed.slab, random: seededRandom(5) }) : undefined;
  const router = new Router({ slab: bed.slab, lan: it, tunnel: tunnelIt, nat: translator, random: seededRandom(7) });
  const routes = peers === undefined ? [{ network: cidr("198.51.100.0/24"), metric: 0 }] : [];
  const served = peers === undefined ? undefined : { networks: [], peerToPeer: false };
  router.openTunnel(0, { address: cidr(`${TUN}/24`), mtu: 1400, mssClamp: 0, routes, served });
  for (const [i, network] of (peers ?? []).entries()) router.join(i + 1, { networks: [cidr(network)], mssClamp: 0 });
  return { bed, lan: it, lanOutlet: outlet, tunnelIt, tunnel, router };
}

test("no error about a later fragment, an error, a packet to everybody, or one whose source is no host of the link", () => {
  const { bed, it, outlet } = lanSide("192.168.50.254");
  const p = new Packet();
  const told = (packet: Uint8Array): boolean => {
    const rx = bed.receive(packet);
    const at = rx.at[0] as number;
    expect(ip4Check(bed.slab.view, p, at, packet.length)).toBe(Drop.None);
    p.setPlain();
    const sent = it.v4.sendError(0, 3, 3, 0, p);
    expect(outlet.take().length).toBe(sent ? 1 : 0);
    return sent;
  };
  const to = (src: string, dst: string): Uint8Array => udp({ src, dst }, 5, 6, bytesOf(4));
  expect(told(to(HOST, LAN))).toBe(true);
  expect(told(ipv4({ src: HOST, dst: LAN, protocol: 17, fragment: IPV4_MF }, bytesOf(16)))).toBe(true);
  expect(told(ipv4({ src: HOST, dst: LAN, protocol: 17, fragment: 2 }, bytesOf(16)))).toBe(false);
  expect(told(icmp({ src: HOST, dst: LAN }, 8, 0, 1, bytesOf(8)))).toBe(true);
  for (const type of [3, 4, 5, 11, 12])
    expect(told(icmp({ src: HOST, dst: LAN }, type, 0, 0, bytesOf(28)))).toBe(false);
  for (const dst of ["192.168.50.255", "192.168.50.0", "255.255.255.255", "224.0.0.1", "240.0.0.1"])
    expect([dst, told(to(HOST, dst))]).toEqual([dst, false]);
  for (const src of ["192.168.50.255", "0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", SITE])
    expect([src, told(to(src, LAN))]).toEqual([src, false]);
});

test("an error is never longer than 576 bytes, however long the packet is", () => {
  const { bed, it, outlet } = lanSide();
  it.ingest(0, bed.receive(frame(udp({ src: HOST, dst: LAN }, 5, 6, bytesOf(1400)))));
  expect(outlet.take().map((s) => s.bytes.length)).toEqual([14 + 576]);
});

test("a burst of echo requests out of the tunnel is answered in bounds, one of SYNs on the LAN too", () => {
  const { bed, tunnelIt, tunnel } = routed(true);
  const echoes = Array.from({ length: 1000 }, (_, i) => icmp({ src: SITE, dst: TUN }, 8, 0, i, bytesOf(8)));
  tunnelIt.ingest(0, bed.receive(...echoes));
  const answers = tunnel.take().length;
  expect(answers).toBeGreaterThan(100);
  expect(answers).toBeLessThanOrEqual(200);
  expect(tunnelIt.drops.snapshot()).toEqual({ RateLimited: 1000 - answers });
  const lan = lanSide();
  const syns = Array.from({ length: 1000 }, (_, i) =>
    frame(tcp({ src: HOST, dst: LAN }, { srcPort: 1000 + i, flags: TCP_SYN }, bytesOf(0))),
  );
  lan.it.ingest(0, lan.bed.receive(...syns));
  const resets = lan.outlet.take().length;
  expect(resets).toBeGreaterThan(10);
  expect(resets).toBeLessThanOrEqual(25);
  expect(lan.it.drops.snapshot()).toEqual({ RateLimited: 1000 - resets });
});

test("one host that causes errors without end leaves the others their share", () => {
  const { bed, it, outlet } = lanSide();
  const other = "192.168.50.11";
  it.ingest(0, bed.receive(arp(1, other, LAN, "52:54:00:00:00:98")));
  outlet.take();
  const refused = (src: string): Uint8Array[] => [
    udp({ src, dst: LAN }, 5, 6, bytesOf(4)),
    tcp({ src, dst: LAN }, { flags: TCP_SYN }, bytesOf(0)),
  ];
  const flood = Array.from({ length: 450 }, () => refused(HOST)).flat();
  it.ingest(0, bed.receive(...flood.map((packet) => frame(packet))));
  const own = outlet.take().length;
  expect(own).toBeGreaterThan(10);
  expect(own).toBeLessThanOrEqual(25);
  const { answeredUnreachable = 0, tcpReset = 0 } = it.counters.snapshot();
  it.ingest(0, bed.receive(...refused(other).map((packet) => frame(packet, undefined, "52:54:00:00:00:98"))));
  expect(it.counters.snapshot()).toMatchObject({
    answeredUnreachable: answeredUnreachable + 1,
    tcpReset: tcpReset + 1,
  });
});

test("what was broadcast or multicast on the link is not forwarded", () => {
  const { bed, lan, tunnel } = routed(false);
  const packet = udp({ src: HOST, dst: SITE }, 5, 6, bytesOf(4));
  lan.ingest(0, bed.receive(frame(packet)));
  expect(tunnel.take().length).toBe(1);
  lan.ingest(0, bed.receive(frame(packet, EVERYBODY), frame(udp({ src: HOST, dst: "224.0.0.9" }, 5, 6, bytesOf(4)))));
  expect(tunnel.take().length).toBe(0);
  expect(lan.drops.snapshot()).toEqual({ Ipv4NotForUs: 2 });
});

test("a peer sends from the addresses that are routed to it, and from nobody else's", () => {
  const { bed, tunnelIt, lanOutlet } = routed(false, ["10.8.0.10/32", "10.8.0.11/32"]);
  const from = (peer: number, src: string): number => {
    const rx = bed.receive(udp({ src, dst: HOST }, 5, 6, bytesOf(4)));
    rx.peer[0] = peer;
    tunnelIt.ingest(0, rx);
    return lanOutlet.take().length;
  };
  expect([from(1, "10.8.0.10"), from(2, "10.8.0.11")]).toEqual([1, 1]);
  expect([from(1, "10.8.0.11"), from(2, "10.8.0.10"), from(1, SITE), from(1, HOST)]).toEqual([0, 0, 0, 0]);
  expect(tunnelIt.drops.snapshot()).toEqual({ TunnelForeignSource: 4 });
});

test("the VPN server's datagrams are those to our address: what comes to everybody is none of them", () => {
  const { bed, it } = lanSide();
  const batch = new Batch(4);
  const socket = it.bindUdp(1194, { onDatagram() {} });
  socket?.collect({ batch, drain: () => batch.clear(), stranger: () => Drop.UdpWrongPeer }, addr(HOST), 1194);
  const datagram = (dst: string): Uint8Array => udp({ src: HOST, dst }, 1194, 1194, bytesOf(4));
  it.ingest(0, bed.receive(frame(datagram(LAN)), frame(datagram("255.255.255.255"), EVERYBODY)));
  expect([batch.count, it.drops.snapshot()]).toEqual([1, { UdpWrongPeer: 1 }]);
});

test("an ICMP error that quotes less than a UDP header is about nothing", () => {
  const { bed, it } = lanSide();
  const errors: unknown[] = [];
  it.bindUdp(1194, { onDatagram() {}, onError: (_now, error) => errors.push(error) });
  const quote = udp({ src: LAN, dst: HOST }, 1194, 9, bytesOf(20));
  for (const length of [20, 22, 27, 28])
    it.ingest(0, bed.receive(frame(icmp({ src: HOST, dst: LAN }, 3, 3, 0, quote.subarray(0, length)))));
  expect([errors.length, it.drops.snapshot()]).toEqual([1, { IcmpBadQuote: 3 }]);
});

test("of a network that the tunnel claims within the LAN's the LAN's is first", () => {
  const { bed, lan, lanOutlet, tunnelIt, tunnel } = routed(false, ["192.168.50.0/25", "198.51.100.0/24"]);
  lan.ingest(0, bed.receive(frame(udp({ src: HOST, dst: SITE }, 5, 6, bytesOf(4)))));
  expect(tunnel.take().length).toBe(1);
  const rx = bed.receive(udp({ src: SITE, dst: HOST }, 5, 6, bytesOf(4)));
  rx.peer[0] = 2;
  tunnelIt.ingest(0, rx);
  expect(lanOutlet.take().length).toBe(1);
});

test("what is translated for a host goes to the LAN, and nowhere when the LAN is another one by then", () => {
  const { bed, lan, lanOutlet, tunnelIt, tunnel, router } = routed(true);
  lan.ingest(0, bed.receive(frame(udp({ src: HOST, dst: SITE }, 5000, 6, bytesOf(4)))));
  expect(tunnel.take().length).toBe(1);
  const answer = udp({ src: SITE, dst: TUN }, 6, 5000, bytesOf(4));
  tunnelIt.ingest(0, bed.receive(answer));
  expect(lanOutlet.take().length).toBe(1);
  lan.configure({ address: cidr("192.168.60.1/24") });
  lanOutlet.take();
  tunnelIt.ingest(0, bed.receive(answer));
  expect([lanOutlet.take().length, tunnel.take().length]).toEqual([0, 0]);
  expect(router.tunnel.drops.snapshot()).toEqual({ TunnelNotForLan: 1 });
});

test("behind the translator nobody outside is told what became of a packet", () => {
  const { bed, tunnelIt, tunnel, router } = routed(true);
  tunnelIt.ingest(0, bed.receive(udp({ src: SITE, dst: TUN, ttl: 1 }, 6, 5000, bytesOf(4))));
  expect([tunnel.take().length, router.tunnel.drops.snapshot()]).toEqual([0, { Ipv4TtlExpired: 1 }]);
});

test("a super-frame is of the kind that it says, with a whole transport header", () => {
  const { bed, lan, tunnel, router } = routed(false);
  const send = (packet: Uint8Array, gsoType: number): string[] => {
    const before = router.lan!.drops.snapshot() as Record<string, number>;
    const rx = bed.receive(frame(packet));
    rx.gsoType[0] = gsoType;
    rx.gsoSize[0] = 100;
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.csumStart[0] = 34;
    rx.csumOffset[0] = 6;
    lan.ingest(0, rx);
    expect(tunnel.take()).toEqual([]);
    const after = router.lan!.drops.snapshot() as Record<string, number>;
    return Object.keys(after).filter((name) => after[name] !== before[name]);
  };
  const datagram = udp({ src: HOST, dst: SITE }, 5, 6, bytesOf(300));
  const segment = tcp({ src: HOST, dst: SITE }, { flags: TCP_SYN }, bytesOf(300));
  expect(send(datagram, GSO_TCPV4)).toEqual(["GsoEncapsulated"]);
  expect(send(segment, GSO_UDP_L4)).toEqual(["GsoEncapsulated"]);
  for (const kind of [2, 4, 6, 77]) expect(send(datagram, kind)).toEqual(["GsoMalformed"]);
  const broken = segment.slice();
  broken[32] = 0x40;
  expect(send(broken, GSO_TCPV4)).toEqual(["GsoMalformed"]);
});

test("segments of a super-frame through the translator have checksums over what stands in them then", () => {
  const { bed, lan, tunnel } = routed(true);
  const packet = tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK }, bytesOf(1000));
  const rx = bed.receive(frame(packet));
  rx.gsoType[0] = GSO_TCPV4;
  rx.gsoSize[0] = 300;
  rx.flags[0] = VNET_NEEDS_CSUM;
  rx.csumStart[0] = 34;
  rx.csumOffset[0] = 16;
  lan.ingest(0, rx);
  const sent = tunnel.take();
  expect(sent.length).toBe(4);
  for (const { view, bytes } of sent)
    expect(tcpChecksumValid(view, 20, bytes.length - 20, pseudoSum(ip(TUN), ip(SITE), 6, 0))).toBe(true);
});

test("a super-frame out of the tunnel goes through the translator as any packet does, or is refused as one", () => {
  const { bed, lan, lanOutlet, tunnelIt, tunnel, router } = routed(true);
  lan.ingest(0, bed.receive(frame(tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK, srcPort: 5000 }, bytesOf(8)))));
  const port = tunnel.take()[0]!.view.getUint16(20);
  const back = (dstPort: number): number[][] => {
    const rx = bed.receive(tcp({ src: SITE, dst: TUN }, { flags: TCP_ACK, srcPort: 80, dstPort }, bytesOf(1000)));
    rx.gsoType[0] = GSO_TCPV4;
    rx.gsoSize[0] = 300;
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.csumStart[0] = 20;
    rx.csumOffset[0] = 16;
    tunnelIt.ingest(0, rx);
    return lanOutlet.take().map(({ view, bytes }) => {
      expect(tcpChecksumValid(view, 34, bytes.length - 34, pseudoSum(ip(SITE), ip(HOST), 6, 0))).toBe(true);
      return [view.getInt32(30), view.getUint16(36), bytes.length - 54];
    });
  };
  const to = [ip(HOST), 5000];
  expect(back(port)).toEqual([300, 300, 300, 100].map((n) => [...to, n]));
  expect(back(port ^ 1)).toEqual([]);
  expect(router.tunnel.drops.snapshot()).toEqual({ NatNoMapping: 1 });
});

test("only a SYN's MSS is changed", () => {
  const { bed, lan, tunnel } = routed(false);
  const options = Uint8Array.of(2, 4, 0xff, 0xff);
  for (const [flags, mss] of [
    [TCP_SYN, 1360],
    [TCP_ACK, 0xffff],
  ] as const) {
    lan.ingest(0, bed.receive(frame(tcp({ src: HOST, dst: SITE }, { flags, options }, bytesOf(0)))));
    expect(tunnel.take().map((s) => s.view.getUint16(42))).toEqual([mss]);
  }
});

test("ARP is believed of a sender's MAC that can be one, and that is not ours; a reply, only when it was sent to us", () => {
  const { bed, it, outlet } = lanSide();
  const other = "192.168.50.12";
  const claim = (mac: string): Uint8Array => {
    const bytes = arp(1, other, LAN);
    bytes.set(Uint8Array.fromHex(mac.replaceAll(":", "")), 22);
    return bytes;
  };
  it.ingest(
    0,
    bed.receive(claim("01:00:5e:00:00:01"), claim(EVERYBODY), claim("00:00:00:00:00:00"), claim("52:54:00:00:00:01")),
  );
  expect([it.drops.snapshot(), outlet.take()]).toEqual([{ ArpBadSender: 4 }, []]);
  const socket = it.bindUdp(5000, { onDatagram() {} }) as NonNullable<ReturnType<typeof it.bindUdp>>;
  it.sendUdp(0, socket, addr(other), 9, bytesOf(4));
  outlet.take();
  it.ingest(0, bed.receive(arp(2, other, LAN, "52:54:00:00:00:66", EVERYBODY)));
  expect(outlet.take()).toEqual([]);
  it.ingest(0, bed.receive(arp(2, other, LAN, "52:54:00:00:00:98")));
  expect(outlet.take().map((s) => s.bytes.slice(0, 6).toHex())).toEqual(["525400000098"]);
});
