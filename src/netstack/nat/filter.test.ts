/** The translator lets in what was asked for and nothing else, also where two sessions fall into one bucket. */
import { expect, test } from "bun:test";
import { IpAddress } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { slabOver } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import { ip4Check } from "../ip4/check.ts";
import { Packet } from "../packet.ts";
import { bytesOf, icmp, ip, tcp, udp } from "../testing/bed.ts";
import { ipv4Src } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_SYN, tcpSrcPort } from "../wire/tcp.ts";
import { NAT_IPV4 } from "./ip4.ts";
import { Nat } from "./nat.ts";

const HOST = "192.168.50.10";
const TUN = "10.8.0.2";
const SITE = "198.51.100.7";
const AT = 256;

function translator(seed: number, limit: number) {
  const slab = slabOver(new ArrayBuffer(4096));
  const nat = new Nat({ family: NAT_IPV4, slab, random: seededRandom(seed), limit });
  nat.setAddress(IpAddress.fromIpv4(ip(TUN)));
  const p = new Packet();
  const read = (packet: Uint8Array): Packet => {
    slab.bytes.set(packet, AT);
    expect(ip4Check(slab.view, p, AT, packet.length)).toBe(Drop.None);
    p.setPlain();
    return p;
  };
  return {
    slab,
    out: (packet: Uint8Array, now = 0): DropCode => nat.outbound(now, read(packet)),
    in: (packet: Uint8Array, now = 0): DropCode => nat.inbound(now, read(packet)),
  };
}

test("another port of the site, and another protocol, find no session (RFC 4787 REQ-8), whatever the hash says", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const nat = translator(seed, 2);
    expect(nat.out(tcp({ src: HOST, dst: SITE }, { srcPort: 5000, dstPort: 80, flags: TCP_SYN }, bytesOf(0)))).toBe(0);
    expect(nat.out(udp({ src: HOST, dst: "198.51.100.8" }, 5000, 80, bytesOf(4)))).toBe(0);
    expect(nat.in(udp({ src: SITE, dst: TUN }, 80, 5000, bytesOf(4)))).toBe(Drop.NatNoMapping);
    for (let port = 81; port < 90; port++) {
      const answer = tcp(
        { src: SITE, dst: TUN },
        { srcPort: port, dstPort: 5000, flags: TCP_SYN | TCP_ACK },
        bytesOf(0),
      );
      expect([seed, port, nat.in(answer)]).toEqual([seed, port, Drop.NatNoMapping]);
    }
    expect(nat.in(tcp({ src: SITE, dst: TUN }, { srcPort: 80, dstPort: 5000, flags: TCP_ACK }, bytesOf(0)))).toBe(0);
  }
});

test("a connection that the site has not taken is not kept for hours by a forged segment", () => {
  const nat = translator(1, 16);
  const segment = (flags: number) => ({ srcPort: 5000, dstPort: 80, flags });
  const back = (flags: number) => ({ srcPort: 80, dstPort: 5000, flags });
  nat.out(tcp({ src: HOST, dst: SITE }, segment(TCP_SYN), bytesOf(0)));
  expect(nat.in(tcp({ src: SITE, dst: TUN }, back(TCP_ACK), bytesOf(0)), 1000)).toBe(Drop.None);
  nat.out(tcp({ src: HOST, dst: SITE }, segment(TCP_ACK), bytesOf(0)), 2000);
  expect(nat.in(tcp({ src: SITE, dst: TUN }, back(TCP_ACK), bytesOf(0)), 250_000)).toBe(Drop.NatNoMapping);
  // one that has answered is kept
  nat.out(tcp({ src: HOST, dst: SITE }, segment(TCP_SYN), bytesOf(0)), 300_000);
  nat.in(tcp({ src: SITE, dst: TUN }, back(TCP_SYN | TCP_ACK), bytesOf(0)), 300_100);
  nat.out(tcp({ src: HOST, dst: SITE }, segment(TCP_ACK), bytesOf(0)), 300_200);
  expect(nat.in(tcp({ src: SITE, dst: TUN }, back(TCP_ACK), bytesOf(0)), 600_000)).toBe(Drop.None);
});

test("an error from outside quotes an echo request of ours, not a reply", () => {
  const nat = translator(1, 16);
  nat.out(icmp({ src: HOST, dst: SITE }, 8, 0, 0x1234_0001 | 0, bytesOf(8)));
  const quoted = (type: number): Uint8Array =>
    icmp({ src: "198.51.100.1", dst: TUN }, 11, 0, 0, icmp({ src: TUN, dst: SITE }, type, 0, 0x1234_0001, bytesOf(8)));
  expect(nat.in(quoted(0))).toBe(Drop.IcmpBadQuote);
  expect(nat.in(quoted(8))).toBe(Drop.None);
});

test("a port that is taken is replaced by one that nobody can guess (RFC 6056)", () => {
  const ports = new Set<number>();
  for (let seed = 1; seed <= 8; seed++) {
    const nat = translator(seed, 16);
    for (const src of [HOST, "192.168.50.11"]) {
      nat.out(tcp({ src, dst: SITE }, { srcPort: 5000, dstPort: 80, flags: TCP_SYN }, bytesOf(0)));
      expect(ipv4Src(nat.slab.view, AT)).toBe(ip(TUN));
    }
    const port = tcpSrcPort(nat.slab.view, AT + 20);
    expect(port).not.toBe(5000);
    ports.add(port);
  }
  expect(ports.size).toBeGreaterThan(6);
});
