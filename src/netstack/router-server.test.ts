import { beforeEach, describe, expect, test } from "bun:test";
import { expectConserved } from "../../test/support/conserved.ts";
import { DROP_TEXT } from "./drop.ts";
import { bytesOf, cidr, icmp, ipv4, tcp, udp } from "./testing/bed.ts";
import { icmp6, udp6 } from "./testing/bed6.ts";
import { BRANCH_HOST, GATEWAY, GATEWAY6, HOST, HOST6, LAN, LAN6, PEER, PEER6, Served, SITE } from "./testing/served.ts";
import { IPV4_DF, IPV4_MF } from "./wire/ipv4.ts";
import { TCP_ACK, TCP_SYN } from "./wire/tcp.ts";

const data = bytesOf(9);

test("a peer sends from its own networks only, whoever else has the address", () => {
  const s = new Served();
  for (const src of [PEER[2], BRANCH_HOST, SITE, HOST, "10.8.0.200", "10.30.1.1"])
    s.fromPeer(1, udp({ src, dst: HOST }, 1, 2, data), icmp({ src, dst: GATEWAY }, 8, 0, 1, data));
  s.fromPeer(1, udp6({ src: PEER6[2], dst: HOST6 }, 1, 2, data));
  // Nor from addresses of the link alone, as hosts do that look for routers.
  s.fromPeer(
    1,
    udp6({ src: "fe80::9", dst: GATEWAY6 }, 1, 2, data),
    icmp6({ src: "fe80::9", dst: "ff02::2" }, 133, 0, 0, data),
  );
  expect([s.toLan(), s.toPeers()]).toEqual([[], []]);
  expect(s.tunnel.drops.snapshot()).toEqual({ TunnelForeignSource: 15 });
  s.fromPeer(1, udp({ src: PEER[1], dst: HOST }, 1, 2, data), udp6({ src: PEER6[1], dst: HOST6 }, 1, 2, data));
  s.fromPeer(2, udp({ src: BRANCH_HOST, dst: HOST }, 1, 2, data));
  expect(s.toLan()).toEqual([
    `${PEER[1]} > ${HOST} ttl 63 len 37 udp 1 > 2 len 9`,
    expect.stringContaining(`${PEER6[1]} > ${HOST6}`),
    `${BRANCH_HOST} > ${HOST} ttl 63 len 37 udp 1 > 2 len 9`,
  ]);
  expectConserved(s.router);
});

test("what is for a peer's networks goes to it, also as soon as it joins, and to nobody once it has left", () => {
  const s = new Served();
  const to = (dst: string): Uint8Array => udp({ src: HOST, dst }, 1, 2, data);
  s.fromLan(to(PEER[1]), to(BRANCH_HOST), to("10.30.0.9"));
  s.fromLan(udp6({ src: HOST6, dst: PEER6[2] }, 1, 2, data));
  expect(s.toPeers().map((line) => line.slice(0, 3 + HOST.length))).toEqual([
    `1: ${HOST}`,
    `2: ${HOST}`,
    `2: ${HOST6}`.slice(0, 3 + HOST.length),
  ]);
  expect(s.toLan()).toEqual([expect.stringContaining(`${LAN} > ${HOST} ttl 64 len 65 icmp type 3 code 0`)]);
  s.join(70, "10.30.0.0/16");
  s.router.leave(1);
  s.fromLan(to("10.30.0.9"), to(PEER[1]));
  expect(s.toPeers()).toEqual([`70: ${HOST} > 10.30.0.9 ttl 63 len 37 udp 1 > 2 len 9`]);
  expect(s.toLan()).toEqual([expect.stringContaining("icmp type 3 code 0")]);
  s.fromPeer(1, udp({ src: PEER[1], dst: HOST }, 1, 2, data));
  expect([s.toLan(), s.tunnel.drops.snapshot()]).toEqual([[], { TunnelForeignSource: 1 }]);
  // Another one under its number has its own networks alone.
  s.join(2, "10.8.0.99/32");
  s.fromLan(to(PEER[2]), to(BRANCH_HOST), to("10.8.0.99"));
  expect(s.toPeers()).toEqual([`2: ${HOST} > 10.8.0.99 ttl 63 len 37 udp 1 > 2 len 9`]);
  expectConserved(s.router);
});

test("what is too large for the way to one peer is told its sender, in pieces or not; others' are not smaller for it", () => {
  const s = new Served();
  const join = (mtu: number | undefined): void =>
    void s.router.join(2, { networks: [cidr(`${PEER[2]}/32`), cidr(`${PEER6[2]}/128`)], mtu, mssClamp: 0 });
  join(1300);
  const long = (peer: 1 | 2, len: number, fragment = IPV4_DF): Uint8Array =>
    udp({ src: HOST, dst: PEER[peer], fragment }, 1, 2, bytesOf(len - 28));
  const long6 = (peer: 1 | 2, len: number): Uint8Array =>
    udp6({ src: HOST6, dst: PEER6[peer] }, 1, 2, bytesOf(len - 48));
  s.fromLan(long(2, 1301), long6(2, 1301));
  expect(s.toPeers()).toEqual([]);
  expect(s.toLan()).toEqual([
    expect.stringContaining("icmp type 3 code 4 mtu 1300"),
    expect.stringContaining("icmp6 type 2 code 0"),
  ]);
  // What its sender lets be cut is whole here: the way itself cuts.
  s.fromLan(long(2, 1300), long6(2, 1300), long(2, 1301, 0), long(1, 1301), long6(1, 1301));
  expect(s.toPeers().map((line) => [line.slice(0, 1), Number(/len (\d+)/.exec(line)?.[1])])).toEqual([
    ["2", 1300],
    ["2", 1300],
    ["2", 1301],
    ["1", 1301],
    ["1", 1301],
  ]);
  const syn = (peer: 1 | 2): Uint8Array =>
    tcp({ src: HOST, dst: PEER[peer] }, { flags: TCP_SYN, options: Uint8Array.of(2, 4, 5, 180) }, bytesOf(0));
  s.fromLan(syn(2), syn(1));
  expect(s.toPeers()).toEqual([expect.stringContaining("mss 1260"), expect.stringContaining("mss 1360")]);
  join(undefined);
  s.fromLan(long(2, 1400));
  expect([s.toPeers().length, s.toLan()]).toEqual([1, []]);
  expectConserved(s.router);
});

test("networks that the LAN or another peer has are told, and stay theirs; the other's becomes free when it leaves", () => {
  const s = new Served();
  const refused = s.join(3, "10.8.0.8/32", "10.20.0.0/16", "192.168.50.128/25", "192.168.0.0/16", "10.20.3.0/24");
  expect(refused).toEqual([
    { network: cidr("10.20.0.0/16"), of: 2 },
    { network: cidr("192.168.50.128/25"), of: "lan" },
  ]);
  const to = (dst: string): Uint8Array => udp({ src: HOST, dst }, 1, 2, data);
  const peersOf = (...dst: string[]): string[] => {
    s.fromLan(...dst.map(to));
    return s.toPeers().map((line) => line.slice(0, 1));
  };
  expect(peersOf("10.20.1.1", "10.20.3.3", "192.168.7.7", "10.8.0.8")).toEqual(["2", "3", "3", "3"]);
  s.fromPeer(
    3,
    udp({ src: "10.20.1.1", dst: HOST }, 1, 2, data),
    udp({ src: "192.168.50.130", dst: HOST }, 1, 2, data),
  );
  expect([s.toLan(), s.tunnel.drops.snapshot()]).toEqual([[], { TunnelForeignSource: 2 }]);
  // Who had it first keeps it when the other one leaves.
  s.router.leave(3);
  expect(peersOf("10.20.1.1", "10.20.3.3")).toEqual(["2", "2"]);
  s.join(3, "10.20.0.0/16", "10.20.3.0/24");
  s.router.leave(2);
  expect(peersOf("10.20.1.1", "10.20.3.3")).toEqual(["3", "3"]);
  s.router.leave(3);
  expect(peersOf("10.20.1.1", "10.20.3.3", "192.168.7.7")).toEqual([]);
});

test("a new LAN address, and a tunnel that opens again, keep the peers that are there", () => {
  const s = new Served();
  s.lan!.it.configure({ address: cidr("192.168.50.1/25") });
  s.router.closeTunnel();
  s.fromLan(udp({ src: HOST, dst: PEER[1] }, 1, 2, data));
  expect([s.toPeers(), s.router.lan!.drops.snapshot()]).toEqual([[], { TunnelClosed: 1 }]);
  s.router.leave(2);
  const served = { networks: [], peerToPeer: false };
  s.router.openTunnel(s.now, { address: cidr(`${GATEWAY}/24`), mtu: 1400, mssClamp: 0, routes: [], served });
  s.fromLan(udp({ src: HOST, dst: PEER[1] }, 1, 2, data), udp({ src: HOST, dst: PEER[2] }, 1, 2, data));
  expect(s.toPeers()).toEqual([`1: ${HOST} > ${PEER[1]} ttl 63 len 37 udp 1 > 2 len 9`]);
});

describe("the LAN", () => {
  test("closed: neither side reaches the other and both are told; the gateway answers under its address of the tunnel alone", () => {
    const s = new Served({ lan: "closed" });
    s.fromPeer(1, udp({ src: PEER[1], dst: HOST }, 1, 2, data), udp6({ src: PEER6[1], dst: HOST6 }, 1, 2, data));
    s.fromLan(udp({ src: HOST, dst: PEER[1] }, 1, 2, data));
    expect(s.toPeers()).toEqual([
      expect.stringContaining(`1: ${GATEWAY} > ${PEER[1]} ttl 64 len 65 icmp type 3 code 13`),
      expect.stringContaining("icmp6 type 1 code 1"),
    ]);
    expect(s.toLan()).toEqual([expect.stringContaining(`${LAN} > ${HOST} ttl 64 len 65 icmp type 3 code 13`)]);
    expect(s.router.tunnel.drops.snapshot()).toEqual({ LanClosed: 2 });
    expect(s.router.lan!.drops.snapshot()).toEqual({ LanClosed: 1 });
    expect(DROP_TEXT.LanClosed).toContain('[server] lan = "closed"');
    s.fromPeer(1, icmp({ src: PEER[1], dst: GATEWAY }, 8, 0, 1, data), icmp({ src: PEER[1], dst: LAN }, 8, 0, 1, data));
    s.fromPeer(1, icmp6({ src: PEER6[1], dst: LAN6 }, 128, 0, 1, data));
    expect(s.toPeers().filter((text) => !text.includes("code 13") && !text.includes("type 1 code 1"))).toEqual([
      expect.stringContaining(`1: ${GATEWAY} > ${PEER[1]}`),
    ]);
    expectConserved(s.router);
  });

  describe("translated", () => {
    let s: Served;
    beforeEach(() => {
      s = new Served({ lan: "translated" });
    });

    test("peers reach it by the gateway's addresses, and the answers are theirs; the gateway's own ports stay its own", () => {
      s.fromPeer(
        1,
        udp({ src: PEER[1], dst: HOST }, 5000, 7, data),
        icmp({ src: PEER[1], dst: HOST }, 8, 0, 0x70001, data),
      );
      s.fromPeer(1, udp6({ src: PEER6[1], dst: HOST6 }, 5000, 7, data));
      expect(s.toLan().map((line) => line.replace(/ (ttl|hops).*/, ""))).toEqual([
        `${LAN} > ${HOST}`,
        `${LAN} > ${HOST}`,
        `${LAN6} > ${HOST6}`,
      ]);
      const heard: string[] = [];
      s.lan!.it.bindUdp(53, { onDatagram: (_now, src, port) => void heard.push(`${src}:${port}`) });
      s.fromLan(
        udp({ src: HOST, dst: LAN }, 7, 5000, data),
        icmp({ src: HOST, dst: LAN }, 0, 0, 0x70001, data),
        udp6({ src: HOST6, dst: LAN6 }, 7, 5000, data),
        udp({ src: HOST, dst: LAN }, 99, 53, data),
        icmp({ src: HOST, dst: LAN }, 8, 0, 5, data),
        udp({ src: HOST, dst: LAN }, 7, 5001, data),
      );
      expect(s.toPeers()).toEqual([
        `1: ${HOST} > ${PEER[1]} ttl 63 len 37 udp 7 > 5000 len 9`,
        `1: ${HOST} > ${PEER[1]} ttl 63 len 37 icmp type 0 code 0 id 7 seq 1`,
        expect.stringContaining(`1: ${HOST6} > ${PEER6[1]}`),
      ]);
      expect(heard).toEqual([`${HOST}:99`]);
      // The gateway answers for itself as ever: echo, and ports that nobody has.
      expect(s.toLan().map((line) => /icmp type \d+/.exec(line)?.[0])).toEqual(["icmp type 0", "icmp type 3"]);
      expectConserved(s.router);
    });

    test("a LAN host reaches a peer by its own address, and the answer has the peer's; nobody else's has", () => {
      s.fromLan(
        udp({ src: HOST, dst: PEER[1] }, 7, 22, data),
        icmp({ src: HOST, dst: PEER[1] }, 8, 0, 0x70001, data),
        tcp({ src: HOST, dst: PEER[1] }, { srcPort: 9000, dstPort: 80, flags: TCP_SYN }, bytesOf(0)),
        udp6({ src: HOST6, dst: PEER6[1] }, 7, 22, data),
      );
      expect(s.toPeers().map((line) => line.replace(/ (ttl|hops).*/, ""))).toEqual([
        `1: ${HOST} > ${PEER[1]}`,
        `1: ${HOST} > ${PEER[1]}`,
        `1: ${HOST} > ${PEER[1]}`,
        `1: ${HOST6} > ${PEER6[1]}`,
      ]);
      const quoted = udp({ src: HOST, dst: PEER[1] }, 7, 22, data);
      s.fromPeer(
        1,
        udp({ src: PEER[1], dst: HOST }, 22, 7, data),
        icmp({ src: PEER[1], dst: HOST }, 0, 0, 0x70001, data),
        tcp({ src: PEER[1], dst: HOST }, { srcPort: 80, dstPort: 9000, flags: TCP_SYN | TCP_ACK }, bytesOf(0)),
        udp6({ src: PEER6[1], dst: HOST6 }, 22, 7, data),
        icmp({ src: PEER[1], dst: HOST }, 3, 3, 0, quoted),
        udp({ src: PEER[1], dst: HOST }, 22, 8, data),
        icmp({ src: PEER[1], dst: HOST }, 0, 0, 0x80001, data),
      );
      expect(s.toLan().map((line) => line.replace(/ (ttl|hops).*?(?= udp| icmp| tcp)/, ""))).toEqual([
        `${PEER[1]} > ${HOST} udp 22 > 7 len 9`,
        expect.stringContaining(`${PEER[1]} > ${HOST} icmp type 0`),
        expect.stringContaining(`${PEER[1]} > ${HOST} tcp 80 > 9000`),
        `${PEER6[1]} > ${HOST6} udp 22 > 7 len 9`,
        expect.stringContaining(`${PEER[1]} > ${HOST} icmp type 3 code 3 mtu 0 about ${HOST} > ${PEER[1]}`),
        `${LAN} > ${HOST} udp 22 > 8 len 9`,
      ]);
      expect(s.router.tunnel.drops.snapshot()).toEqual({ NatNoMapping: 1 });
      expectConserved(s.router);
    });

    test("what a LAN host begins ends with its time, and with the table: then a peer's packet is translated again", () => {
      s.fromLan(udp({ src: HOST, dst: PEER[1] }, 7, 22, data));
      s.now += 31_000;
      s.router.handleTimeout(s.now);
      expect(s.lanNats!.nat!.size).toBe(0);
      s.fromPeer(1, udp({ src: PEER[1], dst: HOST }, 22, 7, data));
      expect(s.toLan().at(-1)).toContain(`${LAN} > ${HOST}`);
      for (let i = 0; i < 200; i++) s.fromLan(udp({ src: HOST, dst: PEER[1] }, 100 + i, 22, data));
      expect(s.lanNats!.nat!.size).toBe(64);
      s.lan!.it.configure({ address: cidr("192.168.50.2/24") });
      expect(s.lanNats!.nat!.size).toBe(0);
    });

    test("fragments, both ways", () => {
      const pieces = (whole: Uint8Array, src: string, dst: string): Uint8Array[] =>
        [0, 1376].map((from) =>
          ipv4(
            { src, dst, id: 9, protocol: 17, fragment: (from >> 3) | (from === 0 ? IPV4_MF : 0) },
            whole.subarray(20 + from, 20 + Math.min(from + 1376, whole.length - 20)),
          ),
        );
      s.fromLan(...pieces(udp({ src: HOST, dst: PEER[1] }, 7, 22, bytesOf(2000)), HOST, PEER[1]));
      expect(s.toPeers().length).toBe(2);
      s.fromPeer(1, ...pieces(udp({ src: PEER[1], dst: HOST }, 22, 7, bytesOf(2000)), PEER[1], HOST));
      expect(s.toLan().map((line) => line.startsWith(`${PEER[1]} > ${HOST}`))).toEqual([true, true]);
      expectConserved(s.router);
    });

    test("a peer is told that a LAN host is not there, about the packet that it sent", () => {
      const silent = "192.168.50.77";
      s.fromPeer(1, udp({ src: PEER[1], dst: silent }, 5000, 7, data));
      const until = s.now + 4000;
      for (let at = s.lan!.it.pollAt(); at <= until; at = s.lan!.it.pollAt()) s.lan!.it.handleTimeout(at);
      const [told] = s.tunnelOut.take();
      expect([told!.peer, told!.bytes[20], told!.bytes[21]]).toEqual([1, 3, 1]);
      expect(told!.bytes.subarray(28)).toEqual(udp({ src: PEER[1], dst: silent, ttl: 63 }, 5000, 7, data));
    });
  });

  test("none: peers reach the gateway, and each other where they may", () => {
    const s = new Served({ lan: "none", peerToPeer: true });
    expect(s.router.lan).toBeUndefined();
    s.fromPeer(
      1,
      udp({ src: PEER[1], dst: BRANCH_HOST }, 1, 2, data),
      icmp({ src: PEER[1], dst: GATEWAY }, 8, 0, 1, data),
    );
    s.fromPeer(1, udp({ src: PEER[1], dst: HOST }, 1, 2, data), udp({ src: PEER[1], dst: SITE }, 1, 2, data));
    expect(s.toPeers()).toEqual([
      `2: ${PEER[1]} > ${BRANCH_HOST} ttl 63 len 37 udp 1 > 2 len 9`,
      `1: ${GATEWAY} > ${PEER[1]} ttl 64 len 37 icmp type 0 code 0 id 0 seq 1`,
      expect.stringContaining(`1: ${GATEWAY} > ${PEER[1]} ttl 64 len 65 icmp type 3 code 0`),
      expect.stringContaining("icmp type 3 code 0"),
    ]);
    expect(s.router.tunnel.drops.snapshot()).toEqual({ NoRoute: 2 });
    expectConserved(s.router);
  });
});

describe("peer to peer", () => {
  test("without it a peer is told that it is forbidden", () => {
    const s = new Served();
    s.fromPeer(
      1,
      udp({ src: PEER[1], dst: PEER[2] }, 1, 2, data),
      icmp6({ src: PEER6[1], dst: PEER6[2] }, 128, 0, 1, data),
    );
    expect(s.toPeers()).toEqual([
      expect.stringContaining(`1: ${GATEWAY} > ${PEER[1]} ttl 64 len 65 icmp type 3 code 13`),
      expect.stringContaining("icmp6 type 1 code 1"),
    ]);
    expect(s.router.tunnel.drops.snapshot()).toEqual({ PeerToPeer: 2 });
  });

  test("what a peer sends to itself does not come back, and an address that nobody has is no route", () => {
    const s = new Served({ peerToPeer: true });
    s.fromPeer(
      2,
      udp({ src: PEER[2], dst: BRANCH_HOST }, 1, 2, data),
      udp({ src: PEER[2], dst: "10.8.0.77" }, 1, 2, data),
    );
    expect(s.toPeers()).toEqual([
      expect.stringContaining(`2: ${GATEWAY} > ${PEER[2]} ttl 64 len 65 icmp type 3 code 0`),
    ]);
    expect(s.router.tunnel.drops.snapshot()).toEqual({ PeerToItself: 1, NoRoute: 1 });
    expectConserved(s.router);
  });

  test("TTL and MTU are told to the peer that sent, and to no other", () => {
    const s = new Served({ peerToPeer: true });
    s.fromPeer(
      1,
      udp({ src: PEER[1], dst: PEER[2], ttl: 1 }, 1, 2, data),
      udp({ src: PEER[1], dst: PEER[2], fragment: 0x4000 }, 1, 2, bytesOf(1400)),
      udp6({ src: PEER6[1], dst: PEER6[2] }, 1, 2, bytesOf(1400)),
    );
    expect(s.toPeers()).toEqual([
      expect.stringContaining(`1: ${GATEWAY} > ${PEER[1]} ttl 64 len 65 icmp type 11 code 0`),
      expect.stringContaining("icmp type 3 code 4 mtu 1400"),
      expect.stringContaining("icmp6 type 2 code 0"),
    ]);
    expectConserved(s.router);
  });
});

test("the MSS of a SYN is clamped by the mssfix of the peer that it is for, of the one that it is from, and the least of both", () => {
  const s = new Served({ peerToPeer: true });
  const mss = Uint8Array.of(2, 4, 1460 >> 8, 1460 & 255);
  const syn = (src: string, dst: string): Uint8Array => tcp({ src, dst }, { flags: TCP_SYN, options: mss }, bytesOf(0));
  const clamped = (lines: string[]): number[] => lines.map((line) => Number(/mss (\d+)/.exec(line)?.[1]));
  s.router.join(1, { networks: [cidr(`${PEER[1]}/32`)], mssClamp: 1300 });
  s.router.join(2, { networks: [cidr(`${PEER[2]}/32`)], mssClamp: 1200 });
  s.join(100, "10.8.0.100/32");
  s.fromLan(syn(HOST, PEER[1]), syn(HOST, PEER[2]), syn(HOST, "10.8.0.100"));
  expect(clamped(s.toPeers())).toEqual([1300, 1200, 1360]);
  s.fromPeer(1, syn(PEER[1], HOST), syn(PEER[1], PEER[2]));
  s.fromPeer(2, syn(PEER[2], HOST), syn(PEER[2], PEER[1]));
  s.fromPeer(100, syn("10.8.0.100", HOST));
  expect(clamped(s.toLan())).toEqual([1300, 1200, 1360]);
  expect(clamped(s.toPeers())).toEqual([1200, 1200]);
  // A number that is taken again knows nothing of who had it before.
  s.router.leave(1);
  s.join(1, `${PEER[1]}/32`);
  s.fromLan(syn(HOST, PEER[1]));
  expect(clamped(s.toPeers())).toEqual([1360]);
});
