/** Forwards through the router: from the tunnel to a LAN host, from the LAN back into it (RFC 4787 REQ-9), and errors on the way; both families. */
import { beforeEach, describe, expect, test } from "bun:test";
import { expectConserved } from "../../test/support/conserved.ts";
import { GSO_TCPV4, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { seededRandom } from "../lib/random.ts";
import type { TunnelInterface } from "./interface.ts";
import { NAT_IPV4 } from "./nat/ip4.ts";
import { NAT_IPV6 } from "./nat/ip6.ts";
import { Nat } from "./nat/nat.ts";
import { Router } from "./router.ts";
import {
  addr,
  arp,
  Bed,
  bytesOf,
  cidr,
  frame,
  icmp,
  ipv4,
  type RecordingOutlet,
  type Sent,
  side,
  tcp,
  tunnelSide,
  udp,
} from "./testing/bed.ts";
import { addr6, advert6, frame6, icmp6, ROUTER_LL, tcp6, udp6 } from "./testing/bed6.ts";
import { Dialogue6 } from "./testing/dialogue6.ts";
import { pseudoSum, sumBytes } from "./wire/checksum.ts";
import { IPV4_MF, ipv4Dst, ipv4Src, PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "./wire/ipv4.ts";
import { printIpv4, printIpv6 } from "./wire/print.ts";
import { TCP_ACK, TCP_SYN } from "./wire/tcp.ts";

describe("IPv4", () => {
  const LAN = "192.168.50.1";
  const HOST = "192.168.50.10";
  const SERVER = "192.168.50.20";
  const TUN = "10.8.0.2";
  const SITE = "198.51.100.7";

  let bed: Bed;
  let lan: ReturnType<typeof side>;
  let tunnelIt: TunnelInterface;
  let tunnel: RecordingOutlet;
  let router: Router;
  let nat: Nat;

  const fromLan = (...packets: Uint8Array[]): void => lan.it.ingest(10, bed.receive(...packets.map((p) => frame(p))));
  const fromTunnel = (...packets: Uint8Array[]): void => tunnelIt.ingest(10, bed.receive(...packets));

  /** A packet as a line; its checksums are right. */
  const line = ({ view: d, bytes }: Sent, at: number): string => {
    const proto = bytes[at + 9]!;
    const len = bytes.length - at - 20;
    const pseudo = proto === PROTO_ICMP ? 0 : pseudoSum(ipv4Src(d, at), ipv4Dst(d, at), proto, len);
    if ((d.getUint16(at + 6) & 0x3fff) === 0) expect(sumBytes(d, at + 20, len, pseudo)).toBe(0xffff);
    return printIpv4(d, at, bytes.length - at).replace(/ ttl \d+ len \d+/, "");
  };
  const onLan = (): string[] => lan.outlet.take().map((sent) => line(sent, 14));
  const inTunnel = (): string[] => tunnel.take().map((sent) => line(sent, 0));

  const conserved = (): void => expectConserved(router);

  beforeEach(() => {
    bed = new Bed();
    lan = side(bed, "lan");
    lan.it.configure({ address: cidr(`${LAN}/24`) });
    ({ it: tunnelIt, outlet: tunnel } = tunnelSide(bed));
    nat = new Nat({ family: NAT_IPV4, slab: bed.slab, random: seededRandom(5) });
    nat.setForwards([
      { protocol: PROTO_TCP, port: 8080, to: { address: addr(SERVER), port: 80 } },
      { protocol: PROTO_UDP, port: 7000, to: { address: addr(SERVER), port: 7007 } },
      { protocol: PROTO_UDP, port: 7001, to: { address: addr("192.168.50.99"), port: 7007 } },
    ]);
    router = new Router({ slab: bed.slab, lan: lan.it, tunnel: tunnelIt, nat, random: seededRandom(7) });
    open();
    for (const host of [HOST, SERVER]) {
      lan.it.ingest(0, bed.receive(arp(1, host, LAN)));
      lan.it.ingest(0, bed.receive(frame(icmp({ src: host, dst: LAN }, 8, 0, 1, bytesOf(1)))));
      lan.it.ingest(0, bed.receive(arp(2, host, LAN)));
    }
    lan.outlet.take();
  });

  const open = (): void => {
    const routes = [{ network: cidr("0.0.0.0/0"), metric: 0 }];
    router.openTunnel(0, { address: cidr(`${TUN}/24`), mtu: 1400, mssClamp: 0, routes });
  };

  test("whoever is in the tunnel reaches the LAN host by the port, and nothing else of it", () => {
    fromTunnel(
      udp({ src: SITE, dst: TUN }, 4000, 7000, bytesOf(9)),
      udp({ src: SITE, dst: TUN }, 4000, 7007, bytesOf(9)),
    );
    expect(onLan()).toEqual([`${SITE} > ${SERVER} udp 4000 > 7007 len 9`]);
    fromLan(udp({ src: SERVER, dst: SITE }, 7007, 4000, bytesOf(20)));
    expect(inTunnel()).toEqual([`${TUN} > ${SITE} udp 7000 > 4000 len 20`]);
    expect(router.tunnel.drops.snapshot()).toEqual({ NatNoMapping: 1 });
    conserved();
  });

  test("a LAN host asks the tunnel's address and reaches the other one, whose answers come from there", () => {
    fromLan(tcp({ src: HOST, dst: TUN }, { flags: TCP_SYN, srcPort: 5000, dstPort: 8080 }, bytesOf(0)));
    const [asked] = onLan();
    expect(asked).toContain(`${TUN} > ${SERVER} tcp 5000 > 80 [S]`);
    fromLan(tcp({ src: SERVER, dst: TUN }, { flags: TCP_SYN | TCP_ACK, srcPort: 80, dstPort: 5000 }, bytesOf(0)));
    const [answered] = onLan();
    expect(answered).toContain(`${TUN} > ${HOST} tcp 8080 > 5000 [S`);
    expect(inTunnel()).toEqual([]);
    expect(router.lan!.counters.snapshot()).toMatchObject({ lanBack: 2 });
    conserved();
  });

  test("the LAN host may ask itself so; other ports of the tunnel's address are refused as before, and echo is answered", () => {
    fromLan(udp({ src: SERVER, dst: TUN }, 5000, 7000, bytesOf(9)));
    expect(onLan()).toEqual([`${TUN} > ${SERVER} udp 5000 > 7007 len 9`]);
    fromLan(udp({ src: HOST, dst: TUN }, 5000, 7007, bytesOf(9)), icmp({ src: HOST, dst: TUN }, 8, 0, 1, bytesOf(4)));
    const [refused, echo] = onLan();
    expect(refused).toContain(`${LAN} > ${HOST} icmp type 3 code 3`);
    expect(echo).toContain(`${TUN} > ${HOST} icmp type 0`);
  });

  test("two hosts of the LAN that know each other's outside endpoints speak through them", () => {
    fromLan(
      udp({ src: HOST, dst: SITE }, 5000, 3478, bytesOf(1)),
      udp({ src: SERVER, dst: SITE }, 6000, 3478, bytesOf(1)),
    );
    expect(inTunnel()).toHaveLength(2);
    fromLan(udp({ src: HOST, dst: TUN }, 5000, 6000, bytesOf(9)));
    expect(onLan()).toEqual([]); // the other one has not spoken to it yet
    expect(router.lan!.drops.snapshot()).toEqual({ NatNoMapping: 1 });
    fromLan(
      udp({ src: SERVER, dst: TUN }, 6000, 5000, bytesOf(9)),
      udp({ src: HOST, dst: TUN }, 5000, 6000, bytesOf(9)),
    );
    expect(onLan()).toEqual([`${TUN} > ${HOST} udp 6000 > 5000 len 9`, `${TUN} > ${SERVER} udp 5000 > 6000 len 9`]);
  });

  test("an error of the LAN host reaches whoever asked, with what he sent inside", () => {
    fromLan(udp({ src: HOST, dst: TUN }, 5000, 7000, bytesOf(9)));
    const asked = lan.outlet.take()[0]!.bytes.slice(14);
    fromLan(icmp({ src: SERVER, dst: TUN }, 3, 3, 0, asked));
    expect(onLan()).toEqual([`${TUN} > ${HOST} icmp type 3 code 3 mtu 0 about ${HOST} > ${TUN} proto 17`]);
    conserved();
  });

  test("a LAN host that is not there: the asker is told that it is unreachable, about what he sent, from either side", () => {
    const ask = udp({ src: HOST, dst: TUN }, 5000, 7001, bytesOf(9));
    fromLan(ask);
    fromTunnel(udp({ src: SITE, dst: TUN }, 4000, 7001, bytesOf(9)));
    for (let at = lan.it.pollAt(); at <= 4000; at = lan.it.pollAt()) lan.it.handleTimeout(at);
    const mine = udp({ src: HOST, dst: TUN, ttl: 63 }, 5000, 7001, bytesOf(9));
    // Those that have waited for it in vain...
    const [waited] = lan.outlet.take().filter(({ bytes }) => bytes[12] === 8 && bytes[13] === 0);
    expect(line(waited!, 14)).toContain(`${LAN} > ${HOST} icmp type 3 code 1`);
    expect(waited!.bytes.slice(14 + 28)).toEqual(mine);
    expect(inTunnel()).toEqual([expect.stringContaining(`${TUN} > ${SITE} icmp type 3 code 1`)]);
    // ... and those that come afterwards.
    lan.it.ingest(3500, bed.receive(frame(ask)));
    tunnelIt.ingest(3500, bed.receive(udp({ src: SITE, dst: TUN }, 4000, 7001, bytesOf(9))));
    const [toHost] = lan.outlet.take();
    expect(line(toHost!, 14)).toContain(`${LAN} > ${HOST} icmp type 3 code 1`);
    expect(toHost!.bytes.slice(14 + 28)).toEqual(mine);
    const [toSite] = inTunnel();
    expect(toSite).toContain(`${TUN} > ${SITE} icmp type 3 code 1`);
    conserved();
  });

  test("fragments are put together for it, and a super-frame is split for the LAN", () => {
    const body = udp({ src: HOST, dst: TUN }, 5000, 7000, bytesOf(2000)).slice(20);
    const piece = (at: number, end: number): Uint8Array => {
      const flags = (end < body.length ? IPV4_MF : 0) | (at / 8);
      return ipv4({ src: HOST, dst: TUN, protocol: PROTO_UDP, fragment: flags, id: 7 }, body.slice(at, end));
    };
    fromLan(piece(0, 1400), piece(1400, body.length));
    const sent = lan.outlet.take();
    expect(sent.map(({ bytes }) => bytes.length - 34)).toEqual([1480, 528]);
    expect(`${printIpv4(sent[0]!.view, 14, 1500)}`).toContain(`${TUN} > ${SERVER}`);

    const superFrame = frame(
      tcp({ src: HOST, dst: TUN }, { flags: TCP_ACK, srcPort: 5000, dstPort: 8080 }, bytesOf(4000)),
    );
    const rx = bed.receive(superFrame);
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.gsoType[0] = GSO_TCPV4;
    rx.gsoSize[0] = 1460;
    rx.hdrLen[0] = 54;
    rx.csumStart[0] = 34;
    rx.csumOffset[0] = 16;
    lan.it.ingest(20, rx);
    expect(router.lan!.drops.snapshot()).toEqual({});
    const joined = lan.outlet.take();
    expect(joined.reduce((n, { bytes }) => n + bytes.length, 0)).toBeGreaterThanOrEqual(4054);
    for (const { view } of joined.slice(0, 1)) expect(printIpv4(view, 14, 1500)).toContain(`${TUN} > ${SERVER}`);
    conserved();
  });

  test("a closed tunnel: no route, as for everything behind it", () => {
    router.closeTunnel();
    fromLan(udp({ src: HOST, dst: TUN }, 5000, 7000, bytesOf(9)));
    expect(onLan()[0]).toContain(`${LAN} > ${HOST} icmp type 3 code 0`);
    open();
    fromLan(udp({ src: HOST, dst: TUN }, 5000, 7000, bytesOf(9)));
    expect(onLan()).toEqual([`${TUN} > ${SERVER} udp 5000 > 7007 len 9`]);
  });

  test("a forward to an address that is not of the LAN leads nowhere", () => {
    nat.setForwards([{ protocol: PROTO_UDP, port: 7000, to: { address: addr("192.0.2.1"), port: 9 } }]);
    fromTunnel(udp({ src: SITE, dst: TUN }, 4000, 7000, bytesOf(9)));
    fromLan(udp({ src: HOST, dst: TUN }, 5000, 7000, bytesOf(9)));
    expect([onLan(), inTunnel()]).toEqual([[], []]);
    expect([router.tunnel.drops.snapshot(), router.lan!.drops.snapshot()]).toEqual([
      { TunnelNotForLan: 1 },
      { TunnelNotForLan: 1 },
    ]);
  });
});

describe("IPv6", () => {
  const LAN = "fd12:3456:789a:1::1";
  const HOST = "fd12:3456:789a:1::10";
  const SERVER = "fd12:3456:789a:1::20";
  const TUN = "fd00:8::1000";
  const SITE = "2001:db8:2::10";

  test("in from the tunnel, and from the LAN back into it, with errors that name what the asker knows", () => {
    const lan = new Dialogue6("lan");
    const { bed } = lan;
    const { it: tunnelIt, outlet: tunnel } = tunnelSide(bed);
    const nat6 = new Nat({ family: NAT_IPV6, slab: bed.slab, random: seededRandom(5), limit: 64 });
    nat6.setForwards([
      { protocol: PROTO_TCP, port: 80, to: { address: addr6(SERVER), port: 80 } },
      { protocol: PROTO_UDP, port: 7000, to: { address: addr6(SERVER), port: 7007 } },
    ]);
    const router = new Router({
      slab: bed.slab,
      lan: lan.it,
      tunnel: tunnelIt,
      nat: undefined,
      nat6,
      random: seededRandom(7),
    });
    lan.up(`${ROUTER_LL}/64`, `${LAN}/64`);
    const routes = [{ network: cidr("2000::/3"), metric: 0 }];
    router.openTunnel(0, { address: undefined, address6: cidr(`${TUN}/64`), mtu: 1400, mssClamp: 0, routes });
    for (const host of [HOST, SERVER]) {
      lan.push(frame6(udp6({ src: host, dst: LAN }, 1, 9, bytesOf(1))));
      lan.push(advert6(host, { dst: LAN }));
    }
    lan.sent();
    const show = ({ view: d, bytes }: Sent, at: number): string => printIpv6(d, at, bytes.length - at);
    const fromLan = (packet: Uint8Array): Sent => {
      lan.it.ingest(lan.now, bed.receive(frame6(packet)));
      return lan.frames()[0]!;
    };
    tunnelIt.ingest(lan.now, bed.receive(udp6({ src: SITE, dst: TUN }, 4000, 7000, bytesOf(9))));
    expect(show(lan.frames()[0]!, 14)).toContain(`${SITE} > ${SERVER}`);
    expect(show(fromLan(tcp6({ src: HOST, dst: TUN }, TCP_SYN, bytesOf(0))), 14)).toContain(`${TUN} > ${SERVER}`);
    const asked = fromLan(udp6({ src: HOST, dst: TUN }, 5000, 7000, bytesOf(9))).bytes.slice(14);
    const told = fromLan(icmp6({ src: SERVER, dst: TUN }, 1, 4, 0, asked));
    expect(show(told, 14)).toContain(`${TUN} > ${HOST}`);
    expect(told.bytes.slice(14 + 48 + 40)).toEqual(udp6({ src: HOST, dst: TUN }, 5000, 7000, bytesOf(9)).slice(40));
    expect(tunnel.take()).toEqual([]);
    expect([router.lan!.drops.snapshot(), router.tunnel.drops.snapshot()]).toEqual([{}, {}]);
    // A host that is not there: who asked for it is told, from either side (RFC 4861 7.2.2).
    const silent = { address: addr6("fd12:3456:789a:1::99"), port: 9 };
    nat6.setForwards([{ protocol: PROTO_UDP, port: 7001, to: silent }]);
    lan.it.ingest(lan.now, bed.receive(frame6(udp6({ src: HOST, dst: TUN }, 5000, 7001, bytesOf(9)))));
    tunnelIt.ingest(lan.now, bed.receive(udp6({ src: SITE, dst: TUN }, 4000, 7001, bytesOf(9))));
    for (let at = lan.it.pollAt(); at <= lan.now + 4000; at = lan.it.pollAt()) lan.it.handleTimeout(at);
    const toHost = lan
      .frames()
      .map((sent) => show(sent, 14))
      .filter((text) => text.includes("icmp6 type 1 code 3"));
    expect(toHost).toEqual([expect.stringContaining(`${TUN} > ${HOST}`)]);
    expect(tunnel.take().map((sent) => show(sent, 0))).toEqual([expect.stringContaining(`${TUN} > ${SITE}`)]);
  });
});
