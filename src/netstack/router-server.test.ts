import { describe, expect, test } from "bun:test";
import { expectConserved } from "../../test/support/conserved.ts";
import { DROP_TEXT } from "./drop.ts";
import { bytesOf, cidr, icmp, tcp, udp } from "./testing/bed.ts";
import { icmp6, udp6 } from "./testing/bed6.ts";
import { BRANCH_HOST, GATEWAY, HOST, HOST6, LAN, PEER, PEER6, Served, SITE } from "./testing/served.ts";
import { TCP_SYN } from "./wire/tcp.ts";

const data = bytesOf(9);

test("a peer sends from its own networks only, whoever else has the address", () => {
  const s = new Served();
  for (const src of [PEER[2], BRANCH_HOST, SITE, HOST, "10.8.0.200", "10.30.1.1"])
    s.fromPeer(1, udp({ src, dst: HOST }, 1, 2, data), icmp({ src, dst: GATEWAY }, 8, 0, 1, data));
  s.fromPeer(1, udp6({ src: PEER6[2], dst: HOST6 }, 1, 2, data));
  expect([s.toLan(), s.toPeers()]).toEqual([[], []]);
  expect(s.tunnel.drops.snapshot()).toEqual({ TunnelForeignSource: 13 });
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
  test("closed: neither side reaches the other and both are told; the gateway's own addresses answer", () => {
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
    expect(s.toPeers().length).toBe(2);
    expectConserved(s.router);
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
