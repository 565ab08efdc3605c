/** Whatever is sent from wherever: what the contract of a server forbids never leaves. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { expectConserved } from "../../test/support/conserved.ts";
import { type Cidr, parseCidr } from "../lib/cidr.ts";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import { bytesOf, icmp, type Sent, tcp, udp } from "./testing/bed.ts";
import { icmp6, tcp6, udp6 } from "./testing/bed6.ts";
import {
  BRANCH,
  BRANCH_HOST,
  GATEWAY,
  GATEWAY6,
  HOST,
  HOST6,
  LAN,
  LAN6,
  PEER,
  PEER6,
  printPacket,
  Served,
  SITE,
  SITE6,
  WAN,
  WAN_GATEWAY,
  WAN6,
} from "./testing/served.ts";

const ADDRESSES = [
  [HOST, LAN, "192.168.50.255", "192.168.50.77", PEER[1], PEER[2], BRANCH_HOST, "10.30.0.5", "10.8.0.99", GATEWAY],
  [SITE, WAN, WAN_GATEWAY, "203.0.113.255", "203.0.113.77", "169.254.1.1", "127.0.0.1", "224.0.0.1", "255.255.255.255"],
].flat();
const ADDRESSES6 = [HOST6, LAN6, PEER6[1], PEER6[2], "fd00:8::99", GATEWAY6, SITE6, WAN6, "fe80::1", "ff02::1", "::1"];

type From = 1 | 2 | "lan" | "wan";
const sends = fc.record({
  from: fc.constantFrom<From>(1, 2, "lan", "wan"),
  isV6: fc.boolean(),
  src: fc.nat(999),
  dst: fc.nat(999),
  kind: fc.constantFrom("udp", "tcp", "echo", "reply", "error"),
  port: fc.integer({ min: 1, max: 4 }),
  remotePort: fc.integer({ min: 1, max: 4 }),
  ttl: fc.constantFrom(1, 2, 64),
  size: fc.constantFrom(0, 9, 1450),
});
type Send = typeof sends extends fc.Arbitrary<infer T> ? T : never;

function packetOf({ isV6, src, dst, kind, port, remotePort, ttl, size }: Send): Uint8Array {
  const all = isV6 ? ADDRESSES6 : ADDRESSES;
  const ends = { src: all[src % all.length]!, dst: all[dst % all.length]! };
  const id = (port << 16) | 1;
  const data = bytesOf(size);
  if (isV6) {
    const fields = { ...ends, hops: ttl };
    if (kind === "udp") return udp6(fields, port, remotePort, data);
    if (kind === "tcp") return tcp6(fields, 2, data);
    if (kind === "error")
      return icmp6(fields, 1, 0, 0, udp6({ src: ends.dst, dst: ends.src }, remotePort, port, bytesOf(9)));
    return icmp6(fields, kind === "echo" ? 128 : 129, 0, id, data);
  }
  const fields = { ...ends, ttl };
  if (kind === "udp") return udp(fields, port, remotePort, data);
  if (kind === "tcp") return tcp(fields, { srcPort: port, dstPort: remotePort, flags: 2 }, data);
  if (kind === "error")
    return icmp(fields, 3, 1, 0, udp({ src: ends.dst, dst: ends.src }, remotePort, port, bytesOf(9)));
  return icmp(fields, kind === "echo" ? 8 : 0, 0, id, data);
}

const nets = (...texts: string[]): Cidr[] => texts.map((text) => parseCidr(text)!);
const OF_LAN = nets("192.168.50.0/24", `${LAN6}/64`);
const OF_PEER = {
  1: nets(`${PEER[1]}/32`, `${PEER6[1]}/128`),
  2: nets(`${PEER[2]}/32`, `${PEER6[2]}/128`, BRANCH),
} as const;
const OF_TUNNEL = nets("10.8.0.0/24", "fd00:8::/64", BRANCH, "10.30.0.0/16");
const OWN_WAN = [WAN, WAN6, "fe80::5"].map((text) => parseIp(text)!);
const isIn = (networks: readonly Cidr[], address: IpAddress): boolean => networks.some((n) => n.contains(address));

/** Source and destination of an IP packet. */
function endsOf(packet: Uint8Array): readonly [IpAddress, IpAddress] {
  const [src, dst] = / ?(\S+) > (\S+) /
    .exec(printPacket({ bytes: packet, view: new DataView(packet.buffer, packet.byteOffset, packet.length) } as Sent))!
    .slice(1);
  return [parseIp(src!)!, parseIp(dst!)!];
}

const isIp = ({ view }: Sent): boolean => [0x0800, 0x86dd].includes(view.getUint16(12));
const isNd = ({ bytes }: Sent): boolean =>
  bytes[12] === 0x86 && bytes[20] === 58 && bytes[54]! >= 130 && bytes[54]! < 150;
const packets = (sent: readonly Sent[]): Uint8Array[] =>
  sent.filter((one) => isIp(one) && !isNd(one)).map(({ bytes }) => bytes.slice(14));

const modes = fc.record({
  lan: fc.constantFrom("routed" as const, "translated" as const, "closed" as const),
  peerToPeer: fc.boolean(),
  internet: fc.constant(true),
});

test("LAN and WAN never meet, sources are their senders' own, and between peers and the LAN passes what the mode says", () => {
  fc.assert(
    fc.property(modes, fc.array(sends, { minLength: 1, maxLength: 150 }), (mode, all) => {
      const s = new Served(mode);
      /** Whom a peer has sent to through the WAN. */
      const asked = new Set<string>();
      for (const send of all) {
        s.now += 10;
        const packet = packetOf(send);
        if (send.from === "lan") s.fromLan(packet);
        else if (send.from === "wan") s.fromWan([packet]);
        else s.fromPeer(send.from, packet);
        const [src, dst] = endsOf(packet);
        const isFromPeer = typeof send.from === "number";
        for (const left of packets(s.wan!.outlet.take())) {
          const [from, to] = endsOf(left);
          expect(OWN_WAN.some((own) => own.equals(from))).toBe(true);
          expect(isIn(OF_LAN, to) || isIn(OF_TUNNEL, to) || to.isMulticast || to.isLinkLocal).toBe(false);
          // A peer's, translated, or an error for somebody whom a peer has sent to.
          if (send.from === "wan") expect(asked.has(`${to}`)).toBe(true);
          else expect([isFromPeer, isIn(OF_PEER[send.from as 1 | 2], src), to.equals(dst)]).toEqual([true, true, true]);
          asked.add(`${to}`);
        }
        for (const left of packets(s.lan!.outlet.take())) {
          const [from, to] = endsOf(left);
          expect(isIn(OF_LAN, to)).toBe(true);
          if (isIn(OF_LAN, from)) continue; // the gateway's own, or translated
          // The gateway answers for its address in the tunnel too.
          if (send.from === "lan") expect([GATEWAY, GATEWAY6]).toContain(`${from}`);
          else {
            expect([isFromPeer, mode.lan]).toEqual([true, mode.lan === "translated" ? "translated" : "routed"]);
            expect([isIn(OF_PEER[send.from as 1 | 2], from), from.equals(src)]).toEqual([true, true]);
          }
        }
        for (const { peer, bytes } of s.tunnelOut.take()) {
          const [from, to] = endsOf(bytes);
          expect(isIn(OF_PEER[peer as 1 | 2], to)).toBe(true);
          const isGateway = [GATEWAY, GATEWAY6, LAN, LAN6].includes(`${from}`);
          if (isGateway) continue;
          if (send.from === "lan") expect([isIn(OF_LAN, from), mode.lan === "closed"]).toEqual([true, false]);
          else if (send.from === "wan") expect([isIn(OF_LAN, from), isIn(OF_TUNNEL, from)]).toEqual([false, false]);
          else
            expect([mode.peerToPeer, peer === send.from, isIn(OF_PEER[send.from], from)]).toEqual([true, false, true]);
        }
      }
      expectConserved(s.router);
    }),
    { numRuns: 25 },
  );
});
