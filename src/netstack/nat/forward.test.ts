/** Forwards in the translator: who may begin what, what the port is to others, how a list takes the place of another one, whose sessions give way. */
import { beforeEach, describe, expect, test } from "bun:test";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { type Slab, slabOver } from "../../lib/slab.ts";
import { DROP_NAMES, Drop } from "../drop.ts";
import { ip4Read } from "../ip4/check.ts";
import { Packet } from "../packet.ts";
import { addr, bytesOf, icmp, tcp, udp } from "../testing/bed.ts";
import { ipv4Check, ipv4PseudoSum, ipv4Src, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, tcpChecksumValid } from "../wire/tcp.ts";
import { udpChecksumValid, udpDstPort, udpSrcPort } from "../wire/udp.ts";
import type { Forward } from "./bindings.ts";
import { NAT_IPV4 } from "./ip4.ts";
import { Nat } from "./nat.ts";
import { Ports } from "./ports.ts";

const OUTSIDE = "10.8.0.6";
const SERVER = "192.168.50.20";
const HOST = "192.168.50.10";
const ASKER = "198.51.100.7";
const SYN_ACK = TCP_SYN | TCP_ACK;

const to = (text: string, port: number) => ({ address: addr(text), port });
const WEB: Forward = { protocol: PROTO_TCP, port: 8080, to: to(SERVER, 80) };
const GAME: Forward = { protocol: PROTO_UDP, port: 7000, to: to(SERVER, 7007) };

let slab: Slab;
let nat: Nat;
let now = 0;

const build = (limit = 64, forwards: readonly Forward[] = [WEB, GAME]): void => {
  slab = slabOver(new ArrayBuffer(4096));
  nat = new Nat({ family: NAT_IPV4, slab, random: seededRandom(7), limit });
  nat.setAddress(addr(OUTSIDE));
  nat.setForwards(forwards);
  now = 1_000_000;
};

beforeEach(() => build());

/** Through the translator. @returns "src:port > dst:port" with all checksums right, or the name of the drop */
function pass(direction: "in" | "out", bytes: Uint8Array): string {
  const d = slab.view;
  slab.bytes.set(bytes, 256);
  const p = new Packet();
  ip4Read(d, p, 256);
  const drop = direction === "in" ? nat.inbound(now, p) : nat.outbound(now, p);
  if (drop !== Drop.None) return DROP_NAMES[drop] as string;
  expect(ipv4Check(d, 256, p.len)).toBe(Drop.None);
  const pseudo = ipv4PseudoSum(d, 256);
  if (p.proto === PROTO_TCP) expect(tcpChecksumValid(d, p.l4, p.len - 20, pseudo)).toBe(true);
  if (p.proto === PROTO_UDP) expect(udpChecksumValid(d, p.l4, pseudo)).toBe(true);
  const dst = IpAddress.fromIpv4(d.getInt32(256 + 16));
  return `${IpAddress.fromIpv4(ipv4Src(d, 256))}:${udpSrcPort(d, p.l4)} > ${dst}:${udpDstPort(d, p.l4)}`;
}

const ask = (port: number, flags: number, src = ASKER, srcPort = 4000): string =>
  pass("in", tcp({ src, dst: OUTSIDE }, { flags, srcPort, dstPort: port }, bytesOf(0)));
const answer = (flags: number, dst = ASKER, dstPort = 4000): string =>
  pass("out", tcp({ src: SERVER, dst }, { flags, srcPort: 80, dstPort }, bytesOf(0)));
const datagramIn = (port: number, src = ASKER, srcPort = 4000): string =>
  pass("in", udp({ src, dst: OUTSIDE }, srcPort, port, bytesOf(9)));
const datagramOut = (src: string, srcPort: number, dst = ASKER, dstPort = 4000): string =>
  pass("out", udp({ src, dst }, srcPort, dstPort, bytesOf(9)));

describe("who comes in", () => {
  test("whoever asks the port reaches the LAN host, and its answers come from there; other ports and the other protocol lead nowhere", () => {
    expect(ask(8080, TCP_SYN)).toBe(`${ASKER}:4000 > ${SERVER}:80`);
    expect(answer(SYN_ACK)).toBe(`${OUTSIDE}:8080 > ${ASKER}:4000`);
    expect(datagramIn(7000)).toBe(`${ASKER}:4000 > ${SERVER}:7007`);
    expect(datagramOut(SERVER, 7007)).toBe(`${OUTSIDE}:7000 > ${ASKER}:4000`);
    expect([ask(80, TCP_SYN), ask(7000, TCP_SYN), ask(8081, TCP_SYN)]).toEqual(Array(3).fill("NatNoMapping"));
    expect([datagramIn(8080), datagramIn(7007)]).toEqual(Array(2).fill("NatNoMapping"));
    expect(nat.counters.snapshot()).toMatchObject({ created: 2, forwarded: 2, in: 2, out: 2 });
  });

  test("what begins with a reset begins nothing; a connection from before a restart goes on", () => {
    expect(ask(8080, TCP_RST)).toBe("NatNoMapping");
    expect(nat.size).toBe(0);
    expect(ask(8080, TCP_ACK)).toBe(`${ASKER}:4000 > ${SERVER}:80`);
  });

  test("its own datagrams from the forwarded port leave from the forward's port, to whomever", () => {
    expect(datagramOut(SERVER, 7007, "203.0.113.9")).toBe(`${OUTSIDE}:7000 > 203.0.113.9:4000`);
  });

  test("two forwards to one endpoint: each answers from its own port; one asker may use them from one port of his one at a time", () => {
    nat.setForwards([WEB, { ...WEB, port: 8081 }]);
    expect(ask(8080, TCP_SYN)).toBe(`${ASKER}:4000 > ${SERVER}:80`);
    expect(ask(8081, TCP_SYN, ASKER, 4001)).toBe(`${ASKER}:4001 > ${SERVER}:80`);
    expect(answer(SYN_ACK)).toBe(`${OUTSIDE}:8080 > ${ASKER}:4000`);
    expect(answer(SYN_ACK, ASKER, 4001)).toBe(`${OUTSIDE}:8081 > ${ASKER}:4001`);
    expect(ask(8081, TCP_SYN)).toBe("NatNoMapping");
  });

  test("errors about what came in and about what went out name the forward's port", () => {
    const asked = udp({ src: ASKER, dst: SERVER }, 4000, 7007, bytesOf(9));
    datagramIn(7000);
    const d = slab.view;
    const shows = (): string => `${udpSrcPort(d, 256 + 48)} > ${udpDstPort(d, 256 + 48)}`;
    pass("out", icmp({ src: SERVER, dst: ASKER }, 3, 3, 0, asked));
    expect(`${IpAddress.fromIpv4(ipv4Src(d, 256))} ${shows()}`).toBe(`${OUTSIDE} 4000 > 7000`);
    datagramOut(SERVER, 7007);
    pass("in", icmp({ src: "203.0.113.1", dst: OUTSIDE }, 11, 0, 0, slab.bytes.slice(256, 256 + 28 + 9)));
    expect(shows()).toBe("7007 > 4000");
    expect(nat.counters.snapshot()).toMatchObject({ "errors-in": 1, "errors-out": 1 });
  });
});

describe("the port", () => {
  test("no mapping and no socket of this host takes it", () => {
    expect(datagramOut(HOST, 7000)).toMatch(new RegExp(`^${OUTSIDE}:(?!7000 )`));
    expect(nat.reserve(PROTO_UDP, 7000)).toBe(false);
    expect(nat.reserve(PROTO_TCP, 7000)).toBe(true);
  });

  test("a new address keeps the forwards and forgets who came", () => {
    ask(8080, TCP_SYN);
    nat.setAddress(parseIp("10.8.0.7"));
    expect(nat.size).toBe(0);
    nat.setAddress(addr(OUTSIDE));
    expect(ask(8080, TCP_SYN)).toBe(`${ASKER}:4000 > ${SERVER}:80`);
    expect(nat.reserve(PROTO_TCP, 8080)).toBe(false);
  });

  test("another list: what it drops ends at once, what it keeps goes on, what it adds takes the port from whoever has it", () => {
    ask(8080, TCP_SYN);
    datagramIn(7000);
    expect(datagramOut(HOST, 5060)).toBe(`${OUTSIDE}:5060 > ${ASKER}:4000`);
    const sip: Forward = { protocol: PROTO_UDP, port: 5060, to: to(SERVER, 5060) };
    nat.setForwards([{ ...WEB }, sip]);
    expect(nat.size).toBe(1);
    expect(answer(SYN_ACK)).toBe(`${OUTSIDE}:8080 > ${ASKER}:4000`);
    expect(datagramIn(7000)).toBe("NatNoMapping");
    expect(datagramOut(HOST, 7000)).toBe(`${OUTSIDE}:7000 > ${ASKER}:4000`);
    expect(datagramIn(5060)).toBe(`${ASKER}:4000 > ${SERVER}:5060`);
    nat.setForwards([{ ...WEB, to: to(HOST, 80) }]);
    expect(ask(8080, TCP_SYN)).toBe(`${ASKER}:4000 > ${HOST}:80`);
  });

  test("a socket of this host that has the port keeps it for itself, and gives nothing of the forward away when it closes", () => {
    const ports = new Ports(seededRandom(1));
    expect(ports.reserve(PROTO_UDP, 5353)).toBe(true);
    ports.assign(PROTO_UDP, 5353, 9);
    ports.release(PROTO_UDP, 5353);
    expect(ports.binding(PROTO_UDP, 5353)).toBe(9);
  });
});

describe("how long, and who gives way", () => {
  test("a connection lasts once its beginner has answered the answer; a datagram once it was answered", () => {
    ask(8080, TCP_SYN);
    expect(nat.pollAt()).toBe(now + 241_000);
    answer(SYN_ACK);
    answer(SYN_ACK);
    answer(TCP_ACK);
    expect(nat.pollAt()).toBe(now + 241_000);
    ask(8080, TCP_ACK);
    expect(nat.pollAt()).toBe(now + 7_450_000);
    answer(TCP_FIN | TCP_ACK);
    ask(8080, TCP_FIN | TCP_ACK);
    expect(nat.pollAt()).toBe(now + 241_000);
    ask(8080, TCP_SYN);
    answer(SYN_ACK);
    ask(8080, TCP_ACK);
    expect(nat.pollAt()).toBe(now + 7_450_000);
    build();
    datagramIn(7000);
    datagramIn(7000);
    expect(nat.pollAt()).toBe(now + 30_000);
    datagramOut(SERVER, 7007);
    expect(nat.pollAt()).toBe(now + 300_000);
  });

  test("a flood of a forward pushes out what came by it, and neither the host's own sessions nor other hosts'", () => {
    build(256);
    for (let i = 0; i < 20; i++) datagramOut(SERVER, 10_000 + i);
    for (let i = 0; i < 20; i++) datagramOut(HOST, 20_000 + i);
    for (let i = 0; i < 2000; i++) ask(8080, TCP_SYN, `203.0.${i >> 8}.${i & 255}`);
    expect(nat.size).toBe(256);
    for (let i = 0; i < 20; i++) {
      expect(datagramIn(10_000 + i)).toBe(`${ASKER}:4000 > ${SERVER}:${10_000 + i}`);
      expect(datagramIn(20_000 + i)).toBe(`${ASKER}:4000 > ${HOST}:${20_000 + i}`);
    }
  });

  test("nor does one that is answered", () => {
    build(256);
    for (let i = 0; i < 20; i++) {
      datagramOut(SERVER, 10_000 + i);
      datagramIn(10_000 + i);
    }
    for (let i = 0; i < 2000; i++) {
      const src = `203.0.${i >> 8}.${i & 255}`;
      datagramIn(7000, src);
      datagramOut(SERVER, 7007, src);
    }
    for (let i = 0; i < 20; i++) expect(datagramIn(10_000 + i)).toBe(`${ASKER}:4000 > ${SERVER}:${10_000 + i}`);
  });
});
