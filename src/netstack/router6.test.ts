import { beforeEach, describe, expect, test } from "bun:test";
import { expectConserved } from "../../test/support/conserved.ts";
import { GSO_TCPV6, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { seededRandom } from "../lib/random.ts";
import { Drop } from "./drop.ts";
import type { TunnelInterface } from "./interface.ts";
import { NAT_IPV6 } from "./nat/ip6.ts";
import { Nat } from "./nat/nat.ts";
import { Router } from "./router.ts";
import { bytesOf, cidr, type RecordingOutlet, type Sent, tunnelSide } from "./testing/bed.ts";
import { addr6, advert6, fragments6, frame6, icmp6, ipv6, ROUTER_LL, tcp6, udp6, words6 } from "./testing/bed6.ts";
import { Dialogue6 } from "./testing/dialogue6.ts";
import { sumBytes } from "./wire/checksum.ts";
import { icmpv6Rest } from "./wire/icmpv6.ts";
import { PROTO_TCP, PROTO_UDP } from "./wire/ipv4.ts";
import { ipv6Address, ipv6Check, ipv6HopLimit, ipv6NextHeader, ipv6PseudoSum, PROTO_ICMPV6 } from "./wire/ipv6.ts";
import { printIpv6 } from "./wire/print.ts";
import { TCP_ACK, TCP_SYN } from "./wire/tcp.ts";

const LAN = "fd12:3456:789a:1::1";
const HOST = "fd12:3456:789a:1::10";
const TUN = "fd00:8::1000";
const SITE = "2001:db8:2::10";

let lan: Dialogue6;
let tunnelIt: TunnelInterface;
let tunnel: RecordingOutlet;
let router: Router;
let nat: Nat | undefined;

const build = (translated: boolean): void => {
  lan = new Dialogue6("lan");
  const { bed } = lan;
  ({ it: tunnelIt, outlet: tunnel } = tunnelSide(bed));
  nat = translated ? new Nat({ family: NAT_IPV6, slab: bed.slab, random: seededRandom(5), limit: 64 }) : undefined;
  router = new Router({
    slab: bed.slab,
    lan: lan.it,
    tunnel: tunnelIt,
    nat: undefined,
    nat6: nat,
    random: seededRandom(7),
  });
  lan.up(`${ROUTER_LL}/64`, `${LAN}/64`);
};

const open = (mtu = 1400, mssClamp = 0): void => {
  const routes = ["fd00:8::/64", "2001:db8:2::/48", "10.8.0.0/24"].map((text) => ({ network: cidr(text), metric: 0 }));
  router.openTunnel(0, { address: cidr("10.8.0.2/24"), address6: cidr(`${TUN}/64`), mtu, mssClamp, routes });
};

/** The host answers for its address, once it is asked. */
const meet = (): void => {
  lan.push(frame6(udp6({ src: HOST, dst: LAN }, 1, 9, bytesOf(1))));
  lan.push(advert6(HOST, { dst: LAN }));
  lan.sent();
};

const fromLan = (...packets: Uint8Array[]): string[] => lan.push(...packets.map((packet) => frame6(packet)));
const fromTunnel = (...packets: Uint8Array[]): void => tunnelIt.ingest(lan.now, lan.bed.receive(...packets));

/** Whether a packet's transport checksum is right. */
function isSound({ view: d, bytes }: Sent): boolean {
  expect(ipv6Check(d, 0, bytes.length)).toBe(Drop.None);
  const proto = ipv6NextHeader(d, 0);
  expect([PROTO_TCP, PROTO_UDP, PROTO_ICMPV6]).toContain(proto);
  const len = bytes.length - 40;
  return sumBytes(d, 40, len, ipv6PseudoSum(d, 0, proto) + len) === 0xffff;
}

const inTunnel = (): string[] =>
  tunnel.take().map((sent) => {
    expect(isSound(sent)).toBe(true);
    return printIpv6(sent.view, 0, sent.bytes.length);
  });

/** What the LAN got, as IPv6 packets. */
const onLan = (): Sent[] =>
  lan.frames().map((sent) => {
    const bytes = sent.bytes.slice(14);
    return { ...sent, bytes, view: new DataView(bytes.buffer) };
  });

const conserved = (): void => expectConserved(router);

describe("without a translator", () => {
  beforeEach(() => {
    build(false);
    open();
    meet();
  });

  test("a packet with a route goes in place, its hop limit less by one", () => {
    const packet = udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(64));
    expect(fromLan(packet)).toEqual([]);
    const [sent, ...more] = tunnel.take();
    expect(more).toEqual([]);
    expect([isSound(sent!), ipv6HopLimit(sent!.view, 0)]).toEqual([true, 63]);
    expect(sent!.bytes.subarray(8)).toEqual(packet.subarray(8));
    conserved();
  });

  test("what has no route is told so, from the gateway (RFC 4443 3.1, code 0)", () => {
    const [line] = fromLan(udp6({ src: HOST, dst: "2001:db8:ffff::1" }, 1, 2, bytesOf(9)));
    expect(line).toContain(`${LAN} > ${HOST}`);
    expect(line).toContain("icmp6 type 1 code 0");
    expect(router.lan!.drops.snapshot()).toEqual({ NoRoute: 1 });
    expect(tunnel.take()).toEqual([]);
  });

  test("a hop limit of 1 ends here, and the sender is told (RFC 4443 3.3)", () => {
    const [line] = fromLan(udp6({ src: HOST, dst: SITE, hops: 1 }, 1, 2, bytesOf(9)));
    expect(line).toContain("icmp6 type 3 code 0");
    expect(router.lan!.drops.snapshot()).toEqual({ Ipv6HopLimitExpired: 1 });
  });

  test("what is larger than the tunnel's MTU is told of with the MTU, fragments of its host's own making pass", () => {
    fromLan(udp6({ src: HOST, dst: SITE }, 1, 2, bytesOf(1400)));
    const whole = udp6({ src: HOST, dst: SITE }, 1, 2, bytesOf(2000));
    expect(tunnel.take()).toEqual([]);
    fromLan(...fragments6(whole, 1200));
    expect(tunnel.take().map(({ bytes }) => bytes.length)).toEqual([1248, 856]);
    conserved();
    fromLan(udp6({ src: HOST, dst: SITE }, 1, 2, bytesOf(1352)));
    expect(tunnel.take().map(({ bytes }) => bytes.length)).toEqual([1400]);
  });

  test("the third word of packet too big is the MTU", () => {
    lan.ingest(lan.bed.receive(frame6(udp6({ src: HOST, dst: SITE }, 1, 2, bytesOf(1400)))));
    const [told] = onLan();
    expect([told!.bytes[40], icmpv6Rest(told!.view, 40)]).toEqual([2, 1400]);
    expect(router.lan!.drops.snapshot()).toEqual({ TooBig: 1 });
  });

  test("a source that is not of the LAN goes nowhere, and nobody is told", () => {
    expect(fromLan(udp6({ src: "2001:db8:9::9", dst: SITE }, 1, 2, bytesOf(9)))).toEqual([]);
    expect(tunnel.take()).toEqual([]);
    expect(lan.drops()).toEqual({ ForeignSource: 1 });
  });

  test("from the tunnel to a LAN host, not to the gateway's addresses there, and not from a source of the LAN", () => {
    fromTunnel(udp6({ src: SITE, dst: HOST }, 53, 5000, bytesOf(9)));
    const [sent] = onLan();
    expect(`${ipv6Address(sent!.view, 8)} ${ipv6Address(sent!.view, 24)}`).toBe(`${SITE} ${HOST}`);
    fromTunnel(udp6({ src: SITE, dst: "fd12:3456:789a:1::" }, 53, 5000, bytesOf(9)));
    fromTunnel(udp6({ src: HOST, dst: SITE }, 53, 5000, bytesOf(9)));
    expect(onLan()).toEqual([]);
    expect(router.tunnel.drops.snapshot()).toEqual({ TunnelNotForLan: 1 });
    expect(tunnelIt.drops.snapshot()).toEqual({ TunnelForeignSource: 1 });
  });

  test("a SYN announces what fits the tunnel, IPv6's header counted", () => {
    const syn = tcp6({ src: HOST, dst: SITE }, TCP_SYN, new Uint8Array(0));
    const withMss = new Uint8Array([...syn.subarray(0, 60), 2, 4, 0x05, 0xa0]);
    withMss[5] = 24;
    withMss[52] = 0x60;
    const d = new DataView(withMss.buffer);
    d.setUint16(56, 0);
    d.setUint16(56, ~sumBytes(d, 40, 24, ipv6PseudoSum(d, 0, PROTO_TCP) + 24) & 0xffff);
    fromLan(withMss);
    const [sent] = tunnel.take();
    expect([isSound(sent!), sent!.view.getUint16(62)]).toEqual([true, 1340]);
    open(1400, 1200); // mssfix, which is about IPv4
    fromLan(withMss);
    expect(tunnel.take()[0]!.view.getUint16(62)).toBe(1180);
  });

  test("a TCP super-frame leaves in segments with sums of their own, and a flow comes back as one", () => {
    const rx = lan.bed.receive(frame6(tcp6({ src: HOST, dst: SITE }, TCP_ACK, bytesOf(3000))));
    rx.gsoType[0] = GSO_TCPV6;
    rx.gsoSize[0] = 1300;
    rx.hdrLen[0] = 74;
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.csumStart[0] = 54;
    rx.csumOffset[0] = 16;
    lan.ingest(rx);
    const sent = tunnel.take();
    expect(sent.map(({ bytes }) => bytes.length)).toEqual([1360, 1360, 460]);
    expect(sent.map(isSound)).toEqual([true, true, true]);
    expect(sent.map(({ view }) => view.getUint32(44) - 1000)).toEqual([0, 1300, 2600]);
    // The far end's answer, as if it sent the same.
    const back = sent.map(({ bytes, view }) => {
      for (let k = 0; k < 16; k += 4) {
        const own = view.getInt32(8 + k);
        view.setInt32(8 + k, view.getInt32(24 + k));
        view.setInt32(24 + k, own);
      }
      return bytes;
    });
    fromTunnel(...back);
    const [joined, ...more] = onLan();
    expect(more).toEqual([]);
    expect([joined!.gsoType, joined!.gsoSize, joined!.bytes.length]).toEqual([GSO_TCPV6, 1300, 60 + 3000]);
    conserved();
  });

  test("a closed tunnel, and one without IPv6: no route", () => {
    router.closeTunnel();
    expect(fromLan(udp6({ src: HOST, dst: SITE }, 1, 2, bytesOf(9)))).toHaveLength(1);
    router.openTunnel(0, { address: cidr("10.8.0.2/24"), address6: undefined, mtu: 1400, mssClamp: 0, routes: [] });
    expect(fromLan(udp6({ src: HOST, dst: SITE }, 1, 2, bytesOf(9)))).toHaveLength(1);
    expect(router.lan!.drops.snapshot()).toEqual({ TunnelClosed: 1, NoRoute: 1 });
    expect(tunnel.take()).toEqual([]);
  });

  test("a LAN host that does not answer: its peer behind the tunnel is told (RFC 4443 3.1, code 3)", () => {
    fromTunnel(udp6({ src: SITE, dst: "fd12:3456:789a:1::77" }, 53, 5000, bytesOf(9)));
    lan.advance(3200);
    tunnel.take();
    fromTunnel(udp6({ src: SITE, dst: "fd12:3456:789a:1::77" }, 53, 5000, bytesOf(9)));
    expect(router.tunnel.drops.snapshot()).toEqual({ NeighborUnreachable: 1 });
    expect(tunnel.take().map(({ bytes }) => [bytes[40], bytes[41]])).toEqual([[1, 3]]);
  });
});

describe("with a translator", () => {
  beforeEach(() => {
    build(true);
    open();
    meet();
  });

  test("UDP, TCP and echo leave from the tunnel's address, and the answers come back", () => {
    const request = icmp6({ src: HOST, dst: SITE }, 128, 0, 0x00070001, bytesOf(8));
    const syn = tcp6({ src: HOST, dst: SITE }, TCP_SYN, new Uint8Array(0));
    fromLan(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(11)), syn, request);
    for (const line of inTunnel()) expect(line).toContain(`${TUN} > ${SITE}`);
    const reply = icmp6({ src: SITE, dst: TUN }, 129, 0, 0x00070001, bytesOf(8));
    fromTunnel(udp6({ src: SITE, dst: TUN }, 53, 5000, bytesOf(11)), reply);
    const back = onLan();
    expect(back.map(isSound)).toEqual([true, true]);
    for (const { view } of back) expect(`${ipv6Address(view, 24)}`).toBe(HOST);
    conserved();
  });

  test("nothing comes in that no LAN host began, and the LAN's own addresses are not known there", () => {
    fromTunnel(udp6({ src: SITE, dst: TUN }, 53, 5000, bytesOf(9)));
    fromTunnel(udp6({ src: SITE, dst: HOST }, 53, 5000, bytesOf(9)));
    fromTunnel(tcp6({ src: SITE, dst: TUN }, TCP_SYN, new Uint8Array(0)));
    expect(onLan()).toEqual([]);
    expect(router.tunnel.drops.snapshot()).toEqual({ NatNoMapping: 2, TunnelNotForLan: 1 });
    expect(tunnel.take()).toEqual([]);
  });

  test("an error about a packet that went out reaches its host, with what it sent inside (RFC 5508 4)", () => {
    const packet = udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(600));
    fromLan(packet);
    const [sent] = tunnel.take();
    fromTunnel(icmp6({ src: "2001:db8:2::fe", dst: TUN }, 2, 0, 1280, sent!.bytes.slice(0, 200)));
    const [told] = onLan();
    expect(isSound(told!)).toBe(true);
    expect(`${ipv6Address(told!.view, 8)} ${ipv6Address(told!.view, 24)}`).toBe(`2001:db8:2::fe ${HOST}`);
    const quoted = told!.bytes.slice(48);
    const own = packet.slice(0, 200);
    own[7] = quoted[7]!; // the hop limit, as it was on the way
    expect(quoted).toEqual(own);
  });

  test("an error that quotes what was never sent, or another's packet, is refused", () => {
    fromLan(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(60)));
    const { bytes } = tunnel.take()[0]!;
    const forged = (change: (quote: Uint8Array) => void, len = 80): void => {
      const quote = bytes.slice(0, len);
      change(quote);
      fromTunnel(icmp6({ src: SITE, dst: TUN }, 1, 4, 0, quote));
    };
    forged((quote) => quote.set([1, 2], 40)); // another port
    forged((quote) => quote.set(new Uint8Array(new Uint8Array(words6("fd00:8::77").buffer)), 8));
    forged((quote) => quote.set([0x40], 0));
    forged(() => {}, 44);
    expect(onLan()).toEqual([]);
    expect(router.tunnel.drops.snapshot()).toEqual({ IcmpBadQuote: 4 });
  });

  test("a quote that is cut before the ports, is of a later fragment, or of an echo the other way round is refused (RFC 5508 4.2)", () => {
    const echo = icmp6({ src: HOST, dst: SITE }, 128, 0, 0x00070001, bytesOf(8));
    fromLan(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(60)), echo);
    const [datagram, request] = tunnel.take() as [Sent, Sent];
    const ext = [[60, Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0)]] as const;
    const cut = ipv6({ src: TUN, dst: SITE, ext }, PROTO_UDP, datagram.bytes.slice(40)).slice(0, 52);
    const later = fragments6(
      ipv6({ src: TUN, dst: SITE }, PROTO_UDP, new Uint8Array([...bytesOf(8), ...datagram.bytes.slice(40)])),
      8,
    )[1]!;
    const reply = request.bytes.slice();
    reply[40] = 129;
    for (const quote of [cut, later, reply]) fromTunnel(icmp6({ src: SITE, dst: TUN }, 1, 4, 0, quote));
    expect(onLan()).toEqual([]);
    expect(router.tunnel.drops.snapshot()).toEqual({ IcmpBadQuote: 3 });
    fromTunnel(icmp6({ src: SITE, dst: TUN }, 1, 4, 0, request.bytes));
    expect(onLan()).toHaveLength(1);
  });

  test("an error of a LAN host about an answer leaves from the tunnel's address", () => {
    fromLan(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(11)));
    tunnel.take();
    const answer = udp6({ src: SITE, dst: HOST }, 53, 5000, bytesOf(30));
    fromLan(icmp6({ src: HOST, dst: SITE }, 1, 4, 0, answer));
    const [sent] = tunnel.take();
    expect(isSound(sent!)).toBe(true);
    expect([`${ipv6Address(sent!.view, 8)}`, `${ipv6Address(sent!.view, 48 + 24)}`]).toEqual([TUN, TUN]);
  });

  test("fragments of a LAN host are put together, translated, and leave in fragments no larger than they were", () => {
    const whole = udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(3000));
    const pieces = fragments6(whole, 1232);
    fromLan(pieces[0]!);
    expect(tunnel.take()).toEqual([]);
    fromLan(...pieces.slice(1));
    const sent = tunnel.take();
    expect(sent.map(({ bytes }) => bytes.length)).toEqual([1280, 1280, 592]);
    for (const { view } of sent) expect(`${ipv6Address(view, 8)}`).toBe(TUN);
    conserved();
    // And back, where the LAN would take more.
    fromTunnel(...fragments6(udp6({ src: SITE, dst: TUN }, 53, 5000, bytesOf(3000)), 1232));
    const back = onLan();
    expect(back.map(({ bytes }) => bytes.length)).toEqual([1280, 1280, 592]);
    for (const { view } of back) expect(`${ipv6Address(view, 24)}`).toBe(HOST);
  });

  test("a small packet that came in fragments is whole afterwards, and fragments that the tunnel does not take are told of", () => {
    fromLan(...fragments6(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(900)), 512));
    expect(inTunnel()).toHaveLength(1);
    const large = fragments6(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(2000)), 1440, 2);
    lan.ingest(lan.bed.receive(...large.map((packet) => frame6(packet))));
    const [told] = onLan();
    expect([told!.bytes[40], icmpv6Rest(told!.view, 40)]).toEqual([2, 1400]);
    expect(tunnel.take()).toEqual([]);
  });

  test("another tunnel address forgets the sessions, the same one keeps them; a protocol that is not known is refused", () => {
    fromLan(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(11)));
    router.closeTunnel();
    open();
    expect([nat!.size, nat!.sessionsOf(addr6(HOST))]).toEqual([1, 1]);
    router.openTunnel(0, { address: undefined, address6: cidr("fd00:8::7/64"), mtu: 1400, mssClamp: 0, routes: [] });
    expect(nat!.size).toBe(0);
    open();
    fromLan(ipv6({ src: HOST, dst: SITE }, 47, bytesOf(40)));
    expect(router.lan!.drops.snapshot()).toEqual({ NatUnsupported: 1 });
  });

  test("many hosts that begin what nobody answers push out their own", () => {
    fromLan(udp6({ src: HOST, dst: SITE }, 5000, 53, bytesOf(11)));
    fromTunnel(udp6({ src: SITE, dst: TUN }, 53, 5000, bytesOf(11)));
    tunnel.take();
    for (let i = 0; i < 500; i++)
      fromLan(
        udp6({ src: `fd12:3456:789a:1::${(0x100 + (i % 50)).toString(16)}`, dst: SITE }, 1000 + i, 53, bytesOf(1)),
      );
    expect(nat!.size).toBeLessThanOrEqual(64);
    expect(nat!.sessionsOf(addr6(HOST))).toBe(1);
  });
});
