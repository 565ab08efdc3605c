/** The way of a server's peers to the internet: what of it passes, what belongs to whom, and how silent the WAN is otherwise. */
import { beforeEach, describe, expect, test } from "bun:test";
import { expectConserved } from "../../test/support/conserved.ts";
import { GSO_TCPV4, GSO_UDP_L4, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { slabOver } from "../lib/slab.ts";
import { PagePool } from "./tcp/pages.ts";
import { addr, arp, bytesOf, cidr, icmp, ip, ipv4, tcp, udp } from "./testing/bed.ts";
import { fragments6, icmp6, tcp6, udp6 } from "./testing/bed6.ts";
import {
  BRANCH_HOST,
  GATEWAY,
  HOST,
  HOST6,
  PEER,
  PEER6,
  Served,
  SITE,
  SITE6,
  WAN,
  WAN_GATEWAY,
  WAN_MAC,
  WAN6,
} from "./testing/served.ts";
import { pseudoSum } from "./wire/checksum.ts";
import { IPV4_DF, IPV4_MF } from "./wire/ipv4.ts";
import { TCP_ACK, TCP_SYN, tcpChecksumValid } from "./wire/tcp.ts";
import { udpChecksumValid } from "./wire/udp.ts";

const data = bytesOf(9);
/** A router of the internet on the way to the site. */
const ROUTER = "192.0.2.99";
const ROUTER6 = "2001:db8:99::1";

let s: Served;
beforeEach(() => {
  s = new Served({ internet: true });
});

/** A peer speaks to a site by UDP from its port to port 53. */
const asks = (peer: 1 | 2, port: number): Uint8Array => udp({ src: PEER[peer], dst: SITE }, port, 53, data);
const answers = (port: number): Uint8Array => udp({ src: SITE, dst: WAN }, 53, port, data);

describe("out and back", () => {
  test("a peer's packet leaves with the WAN's address by the WAN's gateway, and the answer goes to that peer", () => {
    s.fromPeer(1, asks(1, 5000));
    s.fromPeer(2, udp({ src: BRANCH_HOST, dst: SITE }, 5000, 53, data));
    const frames = s.wan!.outlet.take();
    expect(frames.map(({ view }) => [view.getUint16(0), view.getInt32(2)])).toEqual(frames.map(() => [0x5254, 0x77]));
    s.fromPeer(1, asks(1, 5000));
    expect(s.toWan()).toEqual([`${WAN} > ${SITE} ttl 63 len 37 udp 5000 > 53 len 9`]);
    const other = frames[1]!.view.getUint16(34);
    expect(other).not.toBe(5000);
    s.fromWan([answers(other), answers(5000)]);
    expect(s.toPeers()).toEqual([
      `2: ${SITE} > ${BRANCH_HOST} ttl 63 len 37 udp 53 > 5000 len 9 dns truncated`,
      `1: ${SITE} > ${PEER[1]} ttl 63 len 37 udp 53 > 5000 len 9 dns truncated`,
    ]);
    expectConserved(s.router);
  });

  test("the same of IPv6, with the WAN's global address", () => {
    s.fromPeer(
      1,
      udp6({ src: PEER6[1], dst: SITE6 }, 5000, 53, data),
      icmp6({ src: PEER6[1], dst: SITE6 }, 128, 0, 0x70001, data),
    );
    expect(s.toWan()).toEqual([
      expect.stringContaining(`${WAN6} > ${SITE6} hops 63 len 57 udp 5000 > 53 len 9`),
      expect.stringContaining(`${WAN6} > ${SITE6} hops 63`),
    ]);
    s.fromWan([
      udp6({ src: SITE6, dst: WAN6 }, 53, 5000, data),
      icmp6({ src: SITE6, dst: WAN6 }, 129, 0, 0x70001, data),
    ]);
    expect(s.toPeers()).toEqual([
      expect.stringContaining(`1: ${SITE6} > ${PEER6[1]} hops 63 len 57 udp 53 > 5000 len 9`),
      expect.stringContaining(`1: ${SITE6} > ${PEER6[1]}`),
    ]);
    expectConserved(s.router);
  });

  test("an echo and its answer", () => {
    s.fromPeer(1, icmp({ src: PEER[1], dst: SITE }, 8, 0, 0x70001, data));
    expect(s.toWan()).toEqual([expect.stringContaining(`${WAN} > ${SITE} ttl 63`)]);
    s.fromWan([icmp({ src: SITE, dst: WAN }, 0, 0, 0x70001, data)]);
    expect(s.toPeers()).toEqual([expect.stringContaining(`1: ${SITE} > ${PEER[1]} ttl 63`)]);
  });

  test("hosts of the WAN's own network are reached without the gateway; this router's address there, and everybody, are not", () => {
    const near = "203.0.113.77";
    s.fromPeer(1, udp({ src: PEER[1], dst: near }, 1, 2, data));
    expect(s.wan!.outlet.take().length).toBe(1); // asks for it
    s.wan!.it.ingest(s.now, s.bed.receive(arp(2, near, WAN, "52:54:00:00:00:88")));
    expect(s.toWan()).toEqual([`${WAN} > ${near} ttl 63 len 37 udp 1 > 2 len 9`]);
    for (const dst of [WAN, "203.0.113.255", "203.0.113.0"]) s.fromPeer(1, udp({ src: PEER[1], dst }, 1, 2, data));
    s.fromPeer(1, udp6({ src: PEER6[1], dst: WAN6 }, 1, 2, data));
    expect([s.toWan(), s.router.tunnel.drops.snapshot()]).toEqual([[], { WanAddress: 4 }]);
    expect(s.toPeers()).toEqual([
      expect.stringContaining(`1: ${GATEWAY} > ${PEER[1]} ttl 64 len 65 icmp type 3 code 13`),
      expect.stringContaining("icmp type 3 code 13"),
      expect.stringContaining("icmp type 3 code 13"),
      expect.stringContaining("icmp6 type 1 code 1"),
    ]);
  });

  test("what is a peer's or may be one's is not the internet's, though nobody has it", () => {
    s.fromPeer(
      1,
      udp({ src: PEER[1], dst: "10.8.0.77" }, 1, 2, data),
      udp({ src: PEER[1], dst: "10.30.0.9" }, 1, 2, data),
    );
    s.fromPeer(
      1,
      udp({ src: PEER[1], dst: "169.254.9.9" }, 1, 2, data),
      udp6({ src: PEER6[1], dst: "fd00:8::77" }, 1, 2, data),
    );
    expect(s.toWan()).toEqual([]);
    expect(s.router.tunnel.drops.snapshot()).toEqual({ NoRoute: 3, Ipv4MartianDestination: 1 });
    expect(s.toPeers().length).toBe(3);
  });

  test("the LAN has no way there, and the WAN none to the LAN or to a peer", () => {
    s.fromLan(udp({ src: HOST, dst: SITE }, 1, 2, data), udp({ src: HOST, dst: WAN }, 1, 2, data));
    s.fromLan(udp({ src: HOST, dst: WAN_GATEWAY }, 1, 2, data), udp6({ src: HOST6, dst: SITE6 }, 1, 2, data));
    expect([s.toWan(), s.toPeers()]).toEqual([[], []]);
    expect(s.router.lan!.drops.snapshot()).toEqual({ NoRoute: 4 });
    expect(s.toLan().length).toBe(4);
    for (const dst of [HOST, PEER[1], BRANCH_HOST, "10.30.0.1", SITE])
      s.fromWan([udp({ src: ROUTER, dst, ttl: 1 }, 1, 2, data)]);
    for (const dst of [HOST6, PEER6[1], SITE6]) s.fromWan([udp6({ src: ROUTER6, dst }, 1, 2, data)]);
    expect([s.toLan(), s.toPeers(), s.toWan()]).toEqual([[], [], []]);
    expect(s.router.wan!.drops.snapshot()).toEqual({ WanNotAsked: 8 });
    expectConserved(s.router);
  });

  test("fragments are put together, translated and made again, both ways and in both families", () => {
    const pieces = (whole: Uint8Array, src: string, dst: string): Uint8Array[] =>
      [0, 1376].map((from) =>
        ipv4(
          { src, dst, id: 9, protocol: 17, fragment: (from >> 3) | (from === 0 ? IPV4_MF : 0) },
          whole.subarray(20 + from, 20 + Math.min(from + 1376, whole.length - 20)),
        ),
      );
    s.fromPeer(1, ...pieces(udp({ src: PEER[1], dst: SITE }, 5000, 53, bytesOf(2000)), PEER[1], SITE));
    const out = s.wan!.outlet.take();
    const body = new Uint8Array(out.flatMap(({ bytes }) => [...bytes.subarray(34)]));
    expect([out.length, body.slice(8)]).toEqual([2, bytesOf(2000)]);
    expect(udpChecksumValid(new DataView(body.buffer), 0, pseudoSum(ip(WAN), ip(SITE), 17, 0))).toBe(true);
    s.fromWan(pieces(udp({ src: SITE, dst: WAN }, 53, 5000, bytesOf(2000)), SITE, WAN));
    const back = s.tunnelOut.take();
    expect(back.map(({ peer }) => peer)).toEqual([1, 1]);
    expect(new Uint8Array(back.flatMap(({ bytes }) => [...bytes.subarray(20)])).slice(8)).toEqual(bytesOf(2000));
    s.fromPeer(1, ...fragments6(udp6({ src: PEER6[1], dst: SITE6 }, 5000, 53, bytesOf(2000)), 1232));
    expect(s.toWan().length).toBe(2);
    s.fromWan(fragments6(udp6({ src: SITE6, dst: WAN6 }, 53, 5000, bytesOf(2000)), 1232));
    expect(s.toPeers().map((line) => line.slice(0, 2))).toEqual(["1:", "1:"]);
    expectConserved(s.router);
  });

  test("a super-frame from the WAN becomes segments for the peer, and a peer's segments one frame on the WAN", () => {
    for (let i = 0; i < 4; i++)
      s.fromPeer(
        1,
        tcp(
          { src: PEER[1], dst: SITE, id: i, fragment: IPV4_DF },
          { flags: TCP_ACK, seq: 1000 + i * 500 },
          bytesOf(500),
        ),
      );
    s.wan!.outlet.take();
    const segments = Array.from({ length: 4 }, (_, i) =>
      tcp({ src: PEER[1], dst: SITE, id: i, fragment: IPV4_DF }, { flags: TCP_ACK, seq: 3000 + i * 500 }, bytesOf(500)),
    );
    s.fromPeer(1, ...segments);
    expect(s.wan!.outlet.take().map(({ bytes, gsoType, gsoSize }) => [bytes.length, gsoType, gsoSize])).toEqual([
      [54 + 2000, GSO_TCPV4, 500],
    ]);
    const whole = tcp({ src: SITE, dst: WAN }, { srcPort: 80, dstPort: 40_000, flags: TCP_ACK }, bytesOf(5000));
    s.fromWan([whole], (rx) => {
      rx.flags[0] = VNET_NEEDS_CSUM;
      rx.gsoType[0] = GSO_TCPV4;
      rx.gsoSize[0] = 1300;
    });
    const parts = s.tunnelOut.take();
    expect(parts.map(({ peer, bytes }) => [peer, bytes.length])).toEqual([1340, 1340, 1340, 1140].map((n) => [1, n]));
    for (const { view, bytes } of parts)
      expect(tcpChecksumValid(view, 20, bytes.length - 20, pseudoSum(ip(SITE), ip(PEER[1]), 6, 0))).toBe(true);
    s.fromPeer(1, asks(1, 5000));
    s.fromWan([udp({ src: SITE, dst: WAN }, 53, 5000, bytesOf(2500))], (rx) => {
      rx.flags[0] = VNET_NEEDS_CSUM;
      rx.gsoType[0] = GSO_UDP_L4;
      rx.gsoSize[0] = 1200;
    });
    const datagrams = s.tunnelOut.take();
    expect(datagrams.map(({ bytes }) => bytes.length)).toEqual([1228, 1228, 128]);
    for (const { view } of datagrams)
      expect(udpChecksumValid(view, 20, pseudoSum(ip(SITE), ip(PEER[1]), 17, 0))).toBe(true);
    expectConserved(s.router);
  });

  test("the MSS of a SYN is clamped out and back", () => {
    const options = Uint8Array.of(2, 4, 1460 >> 8, 1460 & 255);
    s.router.join(1, { networks: [cidr(`${PEER[1]}/32`)], mssClamp: 1250 });
    s.fromPeer(1, tcp({ src: PEER[1], dst: SITE }, { flags: TCP_SYN, options }, bytesOf(0)));
    s.fromWan([
      tcp({ src: SITE, dst: WAN }, { srcPort: 80, dstPort: 40_000, flags: TCP_SYN | TCP_ACK, options }, bytesOf(0)),
    ]);
    expect([...s.toWan(), ...s.toPeers()].map((line) => /mss (\d+)/.exec(line)?.[1])).toEqual(["1250", "1250"]);
  });
});

describe("the WAN is silent", () => {
  test("no answer to what nobody asked for: echo, closed ports, other remotes, TTLs that end, packets too big", () => {
    s.fromPeer(1, asks(1, 5000));
    s.toWan();
    s.fromWan([
      icmp({ src: SITE, dst: WAN }, 8, 0, 1, data),
      udp({ src: SITE, dst: WAN }, 1, 9999, data),
      udp({ src: SITE, dst: WAN, ttl: 1 }, 1, 9999, data),
      udp({ src: ROUTER, dst: WAN }, 53, 5000, data),
      udp({ src: ROUTER, dst: WAN, ttl: 1 }, 53, 5000, data),
      udp({ src: ROUTER, dst: WAN, fragment: IPV4_DF }, 53, 5000, bytesOf(1450)),
      udp({ src: SITE, dst: WAN }, 54, 5000, data),
      tcp({ src: SITE, dst: WAN }, { flags: TCP_SYN, dstPort: 22 }, bytesOf(0)),
      icmp({ src: SITE, dst: WAN }, 0, 0, 7, data),
      ipv4({ src: SITE, dst: WAN, protocol: 47 }, data),
      icmp6({ src: SITE6, dst: WAN6 }, 128, 0, 1, data),
      udp6({ src: SITE6, dst: WAN6 }, 1, 9999, data),
      tcp6({ src: SITE6, dst: WAN6 }, TCP_SYN, bytesOf(0)),
    ]);
    expect([s.toWan(), s.toPeers(), s.toLan()]).toEqual([[], [], []]);
    // Fragments that are never completed.
    s.fromWan([ipv4({ src: SITE, dst: WAN, protocol: 17, fragment: IPV4_MF }, bytesOf(64))]);
    for (let i = 0; i < 3; i++) s.wan!.it.handleTimeout(s.now + 40_000 * (i + 1));
    expect(s.toWan().filter((line) => line.includes("icmp"))).toEqual([]);
    expectConserved(s.router);
  });

  test("who sends to a mapping from where its peer has sent to is told of TTL and MTU, and nobody else", () => {
    s.fromPeer(1, asks(1, 5000), udp6({ src: PEER6[1], dst: SITE6 }, 5000, 53, data));
    s.toWan();
    s.fromWan([
      udp({ src: SITE, dst: WAN, ttl: 1 }, 53, 5000, data),
      udp({ src: SITE, dst: WAN, fragment: IPV4_DF }, 53, 5000, bytesOf(1450)),
      udp6({ src: SITE6, dst: WAN6 }, 53, 5000, bytesOf(1450)),
    ]);
    expect(s.toPeers()).toEqual([]);
    expect(s.toWan()).toEqual([
      `${WAN} > ${SITE} ttl 64 len 65 icmp type 11 code 0 mtu 0 about ${SITE} > ${WAN} proto 17`,
      `${WAN} > ${SITE} ttl 64 len 576 icmp type 3 code 4 mtu 1400 about ${SITE} > ${WAN} proto 17`,
      expect.stringContaining("icmp6 type 2 code 0"),
    ]);
    expect(s.router.wan!.drops.snapshot()).toEqual({ Ipv4TtlExpired: 1, TooBig: 2 });
  });

  test("so is who sends more than the way to the peer takes, of the packet as it came", () => {
    s.router.join(1, { networks: [cidr(`${PEER[1]}/32`), cidr(`${PEER6[1]}/128`)], mtu: 1300, mssClamp: 0 });
    s.fromPeer(1, asks(1, 5000), udp6({ src: PEER6[1], dst: SITE6 }, 5000, 53, data));
    s.toWan();
    s.fromWan([
      udp({ src: SITE, dst: WAN, fragment: IPV4_DF }, 53, 5000, bytesOf(1300 - 27)),
      udp6({ src: SITE6, dst: WAN6 }, 53, 5000, bytesOf(1300 - 47)),
      udp({ src: SITE, dst: WAN, fragment: IPV4_DF }, 53, 5000, bytesOf(1300 - 28)),
    ]);
    expect(s.toPeers()).toEqual([expect.stringMatching(/^1: .* len 1300 udp/)]);
    expect(s.toWan()).toEqual([
      `${WAN} > ${SITE} ttl 64 len 576 icmp type 3 code 4 mtu 1300 about ${SITE} > ${WAN} proto 17`,
      expect.stringContaining("icmp6 type 2 code 0"),
    ]);
    expect(s.router.wan!.drops.snapshot()).toEqual({ TooBig: 2 });
    expectConserved(s.router);
  });

  test("an answer for a peer that has left, or lost the address, is dropped", () => {
    s.fromPeer(1, asks(1, 5000));
    s.toWan();
    s.router.leave(1);
    s.fromWan([answers(5000)]);
    s.join(1, "10.8.0.99/32");
    s.fromWan([answers(5000)]);
    expect([s.toPeers(), s.toWan(), s.router.wan!.drops.snapshot()]).toEqual([[], [], { PeerGone: 2 }]);
  });
});

describe("errors", () => {
  test("of a router of the internet go to the peer that they are about, and quote what it sent", () => {
    const sent = udp({ src: PEER[1], dst: SITE, fragment: IPV4_DF }, 5000, 53, bytesOf(1300));
    s.fromPeer(1, sent, udp6({ src: PEER6[1], dst: SITE6 }, 5000, 53, bytesOf(1300)));
    const [out, out6] = s.wan!.outlet.take().map(({ bytes }) => bytes.slice(14));
    s.fromWan([
      icmp({ src: ROUTER, dst: WAN }, 3, 4, 1280, out!.slice(0, 28)),
      icmp({ src: ROUTER, dst: WAN }, 11, 0, 0, out!.slice(0, 28)),
      icmp({ src: SITE, dst: WAN }, 3, 3, 0, out!.slice(0, 28)),
      icmp6({ src: ROUTER6, dst: WAN6 }, 2, 0, 1280, out6!.slice(0, 100)),
    ]);
    expect(s.toPeers()).toEqual([
      `1: ${ROUTER} > ${PEER[1]} ttl 63 len 56 icmp type 3 code 4 mtu 1280 about ${PEER[1]} > ${SITE} proto 17`,
      `1: ${ROUTER} > ${PEER[1]} ttl 63 len 56 icmp type 11 code 0 mtu 0 about ${PEER[1]} > ${SITE} proto 17`,
      `1: ${SITE} > ${PEER[1]} ttl 63 len 56 icmp type 3 code 3 mtu 0 about ${PEER[1]} > ${SITE} proto 17`,
      expect.stringMatching(new RegExp(`^1: ${ROUTER6} > ${PEER6[1]} .*icmp6 type 2 code 0`)),
    ]);
    expectConserved(s.router);
  });

  test("that claim to come from the LAN or from a peer are dropped", () => {
    s.fromPeer(1, asks(1, 5000));
    const out = s.wan!.outlet.take()[0]!.bytes.slice(14, 42);
    for (const src of [HOST, PEER[2], BRANCH_HOST, "10.30.1.1"]) s.fromWan([icmp({ src, dst: WAN }, 3, 1, 0, out)]);
    expect([s.toPeers(), s.router.wan!.drops.snapshot()]).toEqual([[], { WanForeignSource: 4 }]);
  });

  test("a peer is told of a TTL that ends here, by the gateway's address in the tunnel: the first hop of its traceroute", () => {
    s.fromPeer(
      1,
      udp({ src: PEER[1], dst: SITE, ttl: 1 }, 5000, 33_434, data),
      udp6({ src: PEER6[1], dst: SITE6, hops: 1 }, 5000, 33_434, data),
    );
    expect([s.toWan(), s.toPeers()]).toEqual([
      [],
      [
        `1: ${GATEWAY} > ${PEER[1]} ttl 64 len 65 icmp type 11 code 0 mtu 0 about ${PEER[1]} > ${SITE} proto 17`,
        expect.stringContaining("icmp6 type 3 code 0"),
      ],
    ]);
  });

  test("a peer is told what of its packets the WAN does not take", () => {
    s.wan!.it.link.setMtu(1000);
    s.fromPeer(1, udp({ src: PEER[1], dst: SITE, fragment: IPV4_DF }, 5000, 53, bytesOf(1100)));
    expect([s.toWan(), s.toPeers()]).toEqual([[], [expect.stringContaining("icmp type 3 code 4 mtu 1000")]]);
    s.fromPeer(1, udp({ src: PEER[1], dst: SITE }, 5000, 53, bytesOf(1100)));
    expect(s.toWan().length).toBe(2);
  });

  test("a peer is told, about what it sent, that the WAN's gateway does not answer", () => {
    s.wan!.it.link.forget();
    const came = udp({ src: PEER[1], dst: SITE, ttl: 64 }, 5000, 53, data);
    s.fromPeer(1, came);
    const until = s.now + 5000;
    for (let at = s.wan!.it.pollAt(); at <= until; at = s.wan!.it.pollAt()) {
      s.wan!.it.handleTimeout(at);
      s.now = at;
    }
    const [told, ...more] = s.tunnelOut.take();
    expect([more, told!.peer, told!.bytes[20], told!.bytes[21]]).toEqual([[], 1, 3, 1]);
    // As it was sent, but for the hop that it was counted.
    expect(told!.bytes.subarray(28)).toEqual(udp({ src: PEER[1], dst: SITE, ttl: 63 }, 5000, 53, data));
    s.fromPeer(1, came);
    expect(s.toPeers()).toEqual([
      expect.stringContaining(`1: ${GATEWAY} > ${PEER[1]} ttl 64 len 65 icmp type 3 code 1`),
    ]);
    expectConserved(s.router);
  });
});

describe("this host's own ports on the WAN", () => {
  const receiver = (heard: string[]) => ({
    onDatagram: (_now: number, src: unknown, port: number) => void heard.push(`${src}:${port}`),
    onError: (_now: number, error: { readonly mtu: number }) => void heard.push(`error ${error.mtu}`),
  });

  test("are given to no peer, datagrams to them stay here, and so do errors about what was sent from them", () => {
    const heard: string[] = [];
    const socket = s.wan!.it.bindUdp(1194, receiver(heard))!;
    s.fromPeer(1, asks(1, 1194));
    expect(s.toWan()[0]).not.toContain("udp 1194 >");
    s.wan!.it.sendUdp(s.now, socket, addr(SITE), 53, bytesOf(1300));
    const out = s.wan!.outlet.take()[0]!.bytes.slice(14, 42);
    // As if it had been sent with DF: else no router would say so.
    out[6] = 0x40;
    s.fromWan([udp({ src: ROUTER, dst: WAN }, 7, 1194, data), icmp({ src: ROUTER, dst: WAN }, 3, 4, 1200, out)]);
    expect([heard, s.toPeers()]).toEqual([[`${ROUTER}:7`, "error 1200"], []]);
  });

  test("are taken from a peer that has one already, and are free again afterwards", () => {
    s.fromPeer(1, asks(1, 1194), tcp({ src: PEER[1], dst: SITE }, { srcPort: 443, flags: TCP_SYN }, bytesOf(0)));
    expect(s.toWan().map((line) => /(udp|tcp) \d+/.exec(line)?.[0])).toEqual(["udp 1194", "tcp 443"]);
    const heard: string[] = [];
    const socket = s.wan!.it.bindUdp(1194, receiver(heard))!;
    s.fromWan([answers(1194)]);
    expect([heard, s.toPeers()]).toEqual([[`${SITE}:53`], []]);
    s.wan!.it.closeUdp(socket);
    s.fromPeer(1, asks(1, 1194));
    expect(s.toWan()[0]).toContain("udp 1194 >");
  });
});

test("a port on which connections are accepted is given to no peer, and taken from one that has it", () => {
  const pool = new PagePool(slabOver(new ArrayBuffer(1 << 16)), 0, 4096, 16);
  const connections = s.wan!.it.openTcp({ pool });
  const syn = (srcPort: number): Uint8Array =>
    tcp({ src: PEER[1], dst: SITE }, { srcPort, dstPort: 80, flags: TCP_SYN }, bytesOf(0));
  const portsOut = (): number[] => s.wan!.outlet.take().map(({ view }) => view.getUint16(34));
  s.fromPeer(1, syn(1194));
  expect(portsOut()).toEqual([1194]);
  const listener = connections.listen(1194)!;
  s.fromPeer(1, syn(1194));
  expect(portsOut()).not.toContain(1194);
  s.fromWan([tcp({ src: SITE, dst: WAN }, { srcPort: 80, dstPort: 1194, flags: TCP_SYN }, bytesOf(0))]);
  expect([connections.census.halfOpen, s.toPeers()]).toEqual([1, []]);
  s.wan!.outlet.take();
  connections.unlisten(listener);
  s.fromPeer(2, tcp({ src: PEER[2], dst: SITE }, { srcPort: 1194, dstPort: 80, flags: TCP_SYN }, bytesOf(0)));
  expect(portsOut()).toEqual([1194]);
});

describe("the WAN's address", () => {
  test("none of a family: a peer is told that there is no way; the same one again keeps the sessions, another one does not", () => {
    s.fromPeer(1, asks(1, 5000));
    s.toWan();
    s.wan!.it.unconfigure();
    s.wan!.it.unconfigure6();
    s.fromPeer(1, asks(1, 5000), udp6({ src: PEER6[1], dst: SITE6 }, 5000, 53, data));
    expect([s.toWan(), s.toPeers()]).toEqual([
      [],
      [expect.stringContaining("icmp type 3 code 0"), expect.stringContaining("icmp6 type 1 code 0")],
    ]);
    s.wan!.it.configure({ address: cidr(`${WAN}/24`), gateway: addr(WAN_GATEWAY) });
    s.wan!.outlet.take();
    s.fromWan([answers(5000)]);
    expect(s.toPeers().length).toBe(1);
    s.wan!.it.configure({ address: cidr("203.0.113.9/24"), gateway: addr(WAN_GATEWAY) });
    s.wan!.outlet.take();
    s.fromWan([answers(5000), udp({ src: SITE, dst: "203.0.113.9" }, 53, 5000, data)]);
    expect(s.toPeers()).toEqual([]);
    s.wan!.it.ingest(s.now, s.bed.receive(arp(1, WAN_GATEWAY, "203.0.113.9", WAN_MAC)));
    s.wan!.outlet.take();
    s.fromPeer(1, asks(1, 5000));
    expect(s.toWan().at(-1)).toContain(`203.0.113.9 > ${SITE}`);
  });

  test("without a gateway what is beyond the WAN's network has no way", () => {
    s.wan!.it.configure({ address: cidr(`${WAN}/24`) });
    s.fromPeer(1, asks(1, 5000));
    expect(s.toPeers()).toEqual([expect.stringContaining("icmp type 3 code 0")]);
    expect(s.router.tunnel.drops.snapshot()).toEqual({ NoRoute: 1 });
  });
});

test("a peer with many addresses and endless connections leaves the others theirs", () => {
  s = new Served({ internet: true, sessions: 64 });
  s.fromPeer(1, ...[1, 2, 3, 4].map((port) => asks(1, port)));
  s.fromWan([1, 2, 3, 4].map(answers));
  s.toPeers();
  for (let i = 0; i < 300; i++) {
    s.fromPeer(2, udp({ src: `10.20.${i & 255}.${1 + (i >> 8)}`, dst: SITE }, 1000 + i, 53, data));
    const port = s.wan!.outlet.take()[0]!.view.getUint16(34);
    s.fromWan([answers(port)]);
  }
  s.toPeers();
  s.fromWan([1, 2, 3, 4].map(answers));
  expect(s.toPeers().map((line) => line.slice(0, 1))).toEqual(["1", "1", "1", "1"]);
});
