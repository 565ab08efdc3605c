import { beforeEach, describe, expect, test } from "bun:test";
import { Batch, GSO_UDP_L4, VNET_DATA_VALID, VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { IpAddress } from "../lib/ip.ts";
import { formatMac } from "../lib/mac.ts";
import { Drop } from "./drop.ts";
import type { UdpError } from "./socket/udp-socket.ts";
import {
  addr,
  arp,
  Bed,
  bytesOf,
  cidr,
  ether,
  frame,
  HOST_MAC,
  icmp,
  ip,
  ipv4,
  type RecordingOutlet,
  ROUTER_MAC,
  type Sent,
  side,
  tcp,
  udp,
} from "./testing/bed.ts";
import { pseudoSum, sumBytes } from "./wire/checksum.ts";
import { IPV4_DF, IPV4_MF, ipv4Check, ipv4DontFragment, ipv4Id, ipv4TotalLen } from "./wire/ipv4.ts";
import { printFrame } from "./wire/print.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, tcpChecksumValid } from "./wire/tcp.ts";
import { udpChecksumValid, udpLen } from "./wire/udp.ts";

const GW = "192.168.50.1";
const HOST = "192.168.50.10";
const BROADCAST = "ff:ff:ff:ff:ff:ff";

let bed: Bed;
let it: ReturnType<typeof side>["it"];
let outlet: RecordingOutlet;

const start = (name: "lan" | "wan", gateway?: string): void => {
  bed = new Bed();
  ({ it, outlet } = side(bed, name));
  it.configure({ address: cidr(`${GW}/24`), gateway: gateway === undefined ? undefined : addr(gateway) });
};
/** HOST's MAC is known and confirmed. */
const meet = (address = HOST): void => {
  it.ingest(0, bed.receive(arp(1, address, GW)));
  it.link.neighbors.lookup(0, Int32Array.of(ip(address)), 0);
  it.ingest(0, bed.receive(arp(2, address, GW)));
  outlet.take();
};
const push = (...frames: Uint8Array[]): void => it.ingest(10, bed.receive(...frames));
const line = (s: Sent): string => printFrame(s.view, 0, s.bytes.length);
const out = (): string[] => outlet.take().map(line);
const drops = (): object => it.drops.snapshot();

describe("ARP", () => {
  test("a LAN interface announces itself, a WAN interface does not", () => {
    start("lan");
    expect(out()).toEqual([`${ROUTER_MAC} > ${BROADCAST} arp who-has ${GW} tell ${GW} (${ROUTER_MAC})`]);
    start("wan");
    expect(out()).toEqual([]);
  });

  test("requests for our address are answered, also probes from 0.0.0.0; others are not", () => {
    start("wan");
    push(arp(1, HOST, GW), arp(1, "0.0.0.0", GW), arp(1, HOST, "192.168.50.77"));
    expect(out()).toEqual([
      `${ROUTER_MAC} > ${HOST_MAC} arp op 2 ${GW} is-at ${ROUTER_MAC} to ${HOST}`,
      `${ROUTER_MAC} > ${HOST_MAC} arp op 2 ${GW} is-at ${ROUTER_MAC} to 0.0.0.0`,
    ]);
    expect(drops()).toEqual({ ArpNotForUs: 1 });
  });

  test("group MACs, addresses that are not of the subnet, and replies to all are not learnt", () => {
    start("lan");
    push(
      arp(1, HOST, GW, "01:00:5e:00:00:01", ROUTER_MAC),
      arp(1, "10.0.0.1", GW),
      arp(1, "192.168.50.255", GW),
      arp(2, HOST, GW, HOST_MAC, BROADCAST),
      arp(2, HOST, GW),
    );
    expect(it.link.neighbors.size).toBe(0);
  });

  test("a MAC that cannot be a host's in the body of ARP, and an answer that was sent to everybody, are not believed", () => {
    start("lan");
    it.link.neighbors.lookup(0, Int32Array.of(ip(HOST)), 0);
    outlet.take();
    const withSender = (sender: string): Uint8Array => {
      const bytes = arp(2, HOST, GW);
      bytes.set(Uint8Array.fromHex(sender), 14 + 8);
      return bytes;
    };
    push(
      withSender("01005e000001"),
      withSender("000000000000"),
      withSender(ROUTER_MAC.replaceAll(":", "")),
      arp(2, HOST, GW, HOST_MAC, BROADCAST),
    );
    expect(drops()).toEqual({ ArpBadSender: 4 });
    const known = (): boolean => it.link.neighbors.isKnown(it.link.neighbors.lookup(20, Int32Array.of(ip(HOST)), 0));
    expect(known()).toBe(false);
    push(arp(2, HOST, GW));
    expect(known()).toBe(true);
  });

  test("a neighbour that announces another MAC is asked for, and found at the new one when nobody answers from the old", () => {
    const moved = "52:54:00:00:00:98";
    const probes = (): string[] => out().filter((s) => s.includes(`who-has ${HOST}`));
    const known = (): void => {
      start("lan");
      push(arp(1, HOST, GW), frame(icmp({ src: HOST, dst: GW }, 8, 0, 1, bytesOf(1))), arp(2, HOST, GW));
      it.handleTimeout(510); // the time for other answers to a first request is over
      out();
    };
    const announcements = [
      arp(1, HOST, HOST, moved),
      arp(2, HOST, HOST, moved, BROADCAST),
      arp(1, HOST, "192.168.50.77", moved),
    ];
    for (const announcement of announcements) {
      known();
      push(announcement);
      expect(probes()).toEqual([`${ROUTER_MAC} > ${BROADCAST} arp who-has ${HOST} tell ${GW} (${ROUTER_MAC})`]);
      push(arp(2, HOST, GW, moved));
      for (let at = it.pollAt(); at < 2000; at = it.pollAt()) it.handleTimeout(at);
      push(frame(icmp({ src: HOST, dst: GW }, 8, 0, 1, bytesOf(1)), ROUTER_MAC, moved));
      expect(out()[0]).toStartWith(`${ROUTER_MAC} > ${moved} ${GW} > ${HOST}`);
    }
    known();
    push(arp(1, HOST, HOST), arp(1, "192.168.50.78", "192.168.50.78"));
    expect(out()).toEqual([]);
    expect(it.link.neighbors.size).toBe(1);
  });

  test("a claim of our own address is counted and defended, at most every 10 s (RFC 5227)", () => {
    start("lan");
    outlet.take();
    push(arp(1, GW, HOST), arp(1, GW, GW), arp(2, GW, GW));
    expect(out().length).toBe(1);
    expect(drops()).toEqual({ ArpConflict: 3 });
  });

  test("the last word on our address is ours: claims that go on are answered once more when the limit allows it", () => {
    start("lan");
    outlet.take();
    const announcement = `${ROUTER_MAC} > ${BROADCAST} arp who-has ${GW} tell ${GW} (${ROUTER_MAC})`;
    const claims = [
      arp(1, GW, GW, "52:54:00:00:00:98"),
      frame(udp({ src: GW, dst: GW }, 1, 2, bytesOf(1)), ROUTER_MAC, ROUTER_MAC),
    ];
    for (const [i, claim] of claims.entries()) {
      const from = 100_000 * i;
      for (let now = from; now <= from + 8000; now += 50) it.ingest(now, bed.receive(claim));
      expect(out()).toEqual([announcement]);
      expect(it.pollAt()).toBe(from + 10_000);
      it.handleTimeout(from + 10_000);
      expect(out()).toEqual([announcement]);
      expect(it.pollAt()).toBe(Number.POSITIVE_INFINITY);
    }
    // What comes back of our own broadcasts is no claim.
    it.ingest(300_000, bed.receive(arp(1, GW, GW, ROUTER_MAC)));
    expect(out()).toEqual([]);
  });

  test("who answers in a known neighbour's name is told with both MACs, and the neighbour stays where it is", () => {
    start("lan");
    meet();
    it.handleTimeout(510);
    const conflicts: string[] = [];
    it.link.arp.onNeighborConflict = (now, address, kept, other) =>
      void conflicts.push(`${now} ${address} ${formatMac(kept)} ${formatMac(other)}`);
    const forger = "52:54:00:00:00:98";
    it.ingest(5000, bed.receive(arp(1, HOST, GW, forger)));
    it.ingest(5001, bed.receive(arp(2, HOST, GW, forger), arp(2, HOST, GW)));
    it.handleTimeout(5500);
    expect(conflicts).toEqual([`5500 ${HOST} ${HOST_MAC} ${forger}`]);
    expect(it.drops.snapshot().ArpContradiction).toBe(1);
    expect(it.drops.snapshot().ArpUnsolicited).toBeUndefined();
    outlet.take();
    it.ingest(5501, bed.receive(frame(icmp({ src: HOST, dst: GW }, 8, 0, 1, bytesOf(1)))));
    expect(out()[0]).toStartWith(`${ROUTER_MAC} > ${HOST_MAC} ${GW} > ${HOST}`);
  });
});

test("a probe says nothing of us, its answer is a conflict, and an address that is given up at that is not defended", () => {
  start("wan");
  const conflicts: string[] = [];
  it.link.arp.onConflict = (now, { lo }) => {
    conflicts.push(`${now} ${lo & 255}`);
    it.unconfigure();
  };
  it.link.probe();
  expect(out()).toEqual([`${ROUTER_MAC} > ${BROADCAST} arp who-has ${GW} tell 0.0.0.0 (${ROUTER_MAC})`]);
  push(arp(2, GW, "0.0.0.0"));
  expect(conflicts).toEqual([`10 ${0x99}`]);
  expect(out()).toEqual([]);
  expect(drops()).toEqual({ ArpConflict: 1 });
});

test("fragments that were not completed in time: the sender is told with the first of them, without that nobody (RFC 1122 3.3.2)", () => {
  const piece = (id: number, from: number, src = HOST): Uint8Array =>
    frame(ipv4({ src, dst: GW, id, protocol: 17, fragment: (from >> 3) | IPV4_MF }, bytesOf(800)));
  for (const name of ["lan", "wan"] as const) {
    start(name);
    meet();
    push(piece(1, 0), piece(2, 800), piece(3, 0, "192.168.77.5"));
    for (let at = it.pollAt(); at <= 20_010; at = it.pollAt()) it.handleTimeout(at);
    expect(it.outDrops.snapshot()).toMatchObject({ FragmentTimeout: 3 });
    const errors = outlet.take().filter((s) => line(s).includes("icmp"));
    expect(errors.length).toBe(name === "lan" ? 1 : 0);
    if (name === "wan") continue;
    expect(line(errors[0]!)).toContain(`${GW} > ${HOST}`);
    const quoted = errors[0]!.bytes.subarray(14 + 20);
    expect([...quoted.subarray(0, 2)]).toEqual([11, 1]);
    expect(quoted.slice(8).toHex()).toBe(
      piece(1, 0)
        .slice(14, 14 + 548)
        .toHex(),
    );
  }
});

describe("what is refused", () => {
  test("frames by name", () => {
    start("lan");
    push(
      new Uint8Array(13),
      frame(udp({ src: HOST, dst: GW }, 1, 2, bytesOf(1)), "52:54:00:00:00:77"),
      frame(udp({ src: HOST, dst: GW }, 1, 2, bytesOf(1)), ROUTER_MAC, "ff:ff:ff:ff:ff:ff"),
      frame(udp({ src: HOST, dst: GW }, 1, 2, bytesOf(1)), ROUTER_MAC, ROUTER_MAC),
      ether(0x86dd, bytesOf(40)),
      ether(0x86dd, bytesOf(40), "33:33:00:00:00:01"),
      ether(0x88cc, bytesOf(40)),
    );
    expect(drops()).toEqual({ EtherTruncated: 1, EtherNotForUs: 1, EtherBadSource: 2, EtherUnknownType: 1, Ipv6: 2 });
  });

  test("martians and packets for others (RFC 1812 5.3.7)", () => {
    start("wan");
    const from = (src: string, dst = GW): Uint8Array => frame(udp({ src, dst }, 1, 2, bytesOf(1)));
    push(
      ...["127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "0.1.2.3", "0.0.0.0", GW, "192.168.50.255"].map(
        (a) => from(a),
      ),
      from(HOST, "127.0.0.1"),
      from(HOST, "0.0.0.0"),
      from(HOST, "8.8.8.8"),
      from(HOST, "224.0.0.251"),
      frame(udp({ src: HOST, dst: GW }, 1, 2, bytesOf(1)), BROADCAST), // RFC 1122 3.3.6
      frame(ipv4({ src: HOST, dst: GW, protocol: 17, options: Uint8Array.of(131, 3, 4, 0) }, bytesOf(8))),
    );
    expect(drops()).toEqual({
      Ipv4MartianSource: 8,
      Ipv4MartianDestination: 2,
      Ipv4NotForUs: 3,
      Ipv4SourceRoute: 1,
    });
    expect(out()).toEqual([]);
  });

  test("the WAN says nothing: no echo, no port unreachable, no reset", () => {
    start("wan");
    meet();
    push(
      frame(icmp({ src: HOST, dst: GW }, 8, 0, 1, bytesOf(9))),
      frame(udp({ src: HOST, dst: GW }, 1, 2, bytesOf(1))),
      frame(tcp({ src: HOST, dst: GW }, { flags: TCP_SYN }, bytesOf(0))),
      frame(ipv4({ src: HOST, dst: GW, protocol: 99 }, bytesOf(8))),
    );
    expect(out()).toEqual([]);
    expect(drops()).toEqual({ IcmpUnwanted: 1, UdpNoPort: 1, TcpNoPort: 1, Ipv4UnknownProtocol: 1 });
  });

  test("damage: checksums of ICMP, UDP and TCP for us", () => {
    start("lan");
    const broken = (packet: Uint8Array): Uint8Array => {
      packet[packet.length - 1]! ^= 0xff;
      return frame(packet);
    };
    push(
      broken(icmp({ src: HOST, dst: GW }, 8, 0, 1, bytesOf(9))),
      broken(udp({ src: HOST, dst: GW }, 1, 2, bytesOf(1))),
      broken(tcp({ src: HOST, dst: GW }, { flags: TCP_ACK }, bytesOf(3))),
    );
    expect(drops()).toEqual({ IcmpBadChecksum: 1, UdpBadChecksum: 1, TcpBadChecksum: 1 });
  });
});

describe("the gateway answers the LAN", () => {
  beforeEach(() => {
    start("lan");
    meet();
  });

  test("echo, with the data whole", () => {
    push(frame(icmp({ src: HOST, dst: GW, ttl: 1 }, 8, 0, 0x00070009, bytesOf(56))));
    const [reply] = outlet.take();
    expect(line(reply!)).toBe(
      `${ROUTER_MAC} > ${HOST_MAC} ${GW} > ${HOST} ttl 64 len 84 icmp type 0 code 0 id 7 seq 9`,
    );
    expect(reply!.bytes.slice(42)).toEqual(bytesOf(56));
    expect(sumBytes(reply!.view, 34, 64)).toBe(0xffff);
  });

  test("echo of a fragmented request is fragmented", () => {
    const whole = icmp({ src: HOST, dst: GW, id: 4 }, 8, 0, 1, bytesOf(4000));
    const piece = (from: number, to: number): Uint8Array =>
      frame(
        ipv4(
          { src: HOST, dst: GW, id: 4, protocol: 1, fragment: (from >> 3) | (to < 4008 ? IPV4_MF : 0) },
          whole.subarray(20 + from, 20 + to),
        ),
      );
    push(piece(0, 1480), piece(2960, 4008), piece(1480, 2960));
    const sent = outlet.take();
    expect(sent.map((s) => s.bytes.length)).toEqual([1514, 1514, 14 + 20 + 1048]);
    const body = new Uint8Array(sent.flatMap((s) => [...s.bytes.subarray(34)]));
    expect(body.slice(8)).toEqual(bytesOf(4000));
    expect(sumBytes(new DataView(body.buffer), 0, body.length)).toBe(0xffff);
    expect(it.counters.snapshot()).toMatchObject({ fragments: 2 });
  });

  test("no echo to a broadcast", () => {
    push(frame(icmp({ src: HOST, dst: "192.168.50.255" }, 8, 0, 1, bytesOf(9)), BROADCAST));
    expect(out()).toEqual([]);
  });

  test("a closed UDP port and an unknown protocol are unreachable, but not when broadcast", () => {
    push(
      frame(udp({ src: HOST, dst: GW }, 1000, 53, bytesOf(20))),
      frame(ipv4({ src: HOST, dst: GW, protocol: 99 }, bytesOf(8))),
      frame(udp({ src: HOST, dst: "192.168.50.255" }, 1000, 53, bytesOf(20)), BROADCAST),
    );
    expect(out().map((s) => s.replace(/.*ttl 64 /, ""))).toEqual([
      `len 76 icmp type 3 code 3 mtu 0 about ${HOST} > ${GW} proto 17`,
      `len 56 icmp type 3 code 2 mtu 0 about ${HOST} > ${GW} proto 99`,
    ]);
  });

  test("TCP is reset as RFC 9293 3.10.7.1 says, and a reset is not answered", () => {
    const segment = (flags: number, n = 0): Uint8Array =>
      frame(tcp({ src: HOST, dst: GW }, { flags, seq: 100, ack: 77, srcPort: 5, dstPort: 22 }, bytesOf(n)));
    push(segment(TCP_SYN), segment(TCP_ACK, 9), segment(TCP_FIN, 3), segment(TCP_RST));
    const sent = outlet.take();
    expect(sent.map((s) => line(s).replace(/.*tcp /, ""))).toEqual([
      "22 > 5 [RA] seq 0 ack 101 win 0 data 0",
      "22 > 5 [R] seq 77 ack 0 win 0 data 0",
      "22 > 5 [RA] seq 0 ack 104 win 0 data 0",
    ]);
    for (const s of sent) expect(tcpChecksumValid(s.view, 34, 20, pseudoSum(ip(GW), ip(HOST), 6, 0))).toBe(true);
    expect(drops()).toEqual({ TcpNoPort: 1 });
  });
});

describe("UDP sockets", () => {
  const heard: string[] = [];
  const errors: UdpError[] = [];
  const receiver = {
    onDatagram: (_now: number, src: IpAddress, port: number, at: number, len: number) =>
      void heard.push(`${src.w3 & 255}:${port} ${bed.slab.bytes.slice(at, at + len).toHex()}`),
    onError: (_now: number, error: UdpError) => void errors.push(error),
  };
  beforeEach(() => {
    start("wan", "192.168.50.254");
    heard.length = 0;
    errors.length = 0;
  });

  test("a datagram goes to the socket of its port; port 0 binds a free ephemeral one; a taken one is refused", () => {
    const a = it.bindUdp(1194, receiver)!;
    const b = it.bindUdp(0, receiver)!;
    expect(b.port).toBeGreaterThanOrEqual(32768);
    expect(it.bindUdp(1194, receiver)).toBeUndefined();
    push(
      frame(udp({ src: HOST, dst: GW }, 9, 1194, bytesOf(2))),
      frame(udp({ src: HOST, dst: GW }, 9, b.port, bytesOf(0))),
    );
    expect(heard).toEqual(["10:9 0001", "10:9 "]);
    it.closeUdp(a);
    push(frame(udp({ src: HOST, dst: GW }, 9, 1194, bytesOf(2))));
    expect(drops()).toEqual({ UdpNoPort: 1 });
  });

  test("the checksum of a row that the kernel vouches for is not verified", () => {
    it.bindUdp(1194, receiver);
    const packet = udp({ src: HOST, dst: GW }, 9, 1194, bytesOf(2));
    packet[27]! ^= 1;
    for (const flags of [VNET_NEEDS_CSUM, VNET_DATA_VALID, 0]) {
      const rx = bed.receive(frame(packet));
      rx.flags[0] = flags;
      it.ingest(0, rx);
    }
    expect(heard.length).toBe(2);
    expect(drops()).toEqual({ UdpBadChecksum: 1 });
  });

  test("the collector gets its peer's payloads as rows, super-frames split, a full batch drained; what strangers send it takes or leaves", () => {
    const batch = new Batch(2);
    const drained: number[] = [];
    const sink = {
      batch,
      drain: () => {
        drained.push(batch.count);
        batch.clear();
      },
      stranger: (src: Int32Array, port: number, at: number, len: number) => {
        strangers.push([`${IpAddress.fromIpv4(src[3]!)}`, port, bed.slab.bytes[at], len]);
        return port === 1195 ? Drop.None : Drop.UdpWrongPeer;
      },
    };
    const strangers: unknown[] = [];
    const socket = it.bindUdp(1194, receiver)!;
    socket.collect(sink, addr("203.0.113.9"), 1194);
    const rx = bed.receive(
      frame(udp({ src: "203.0.113.9", dst: GW }, 1194, 1194, bytesOf(250))),
      frame(udp({ src: "203.0.113.8", dst: GW }, 1194, 1194, bytesOf(9))),
      frame(udp({ src: "203.0.113.9", dst: GW }, 1195, 1194, bytesOf(9))),
    );
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.gsoType[0] = GSO_UDP_L4;
    rx.gsoSize[0] = 100;
    it.ingest(0, rx);
    expect(drained).toEqual([2]);
    expect([batch.count, batch.len[0]]).toEqual([1, 50]);
    expect(bed.slab.bytes[batch.at[0]!]).toBe(200);
    expect(strangers).toEqual([
      ["203.0.113.8", 1194, 0, 9],
      ["203.0.113.9", 1195, 0, 9],
    ]);
    expect(drops()).toEqual({ UdpWrongPeer: 1 });
    expect(heard).toEqual([]);
  });

  test("a super-frame of more datagrams than an honest sender makes is refused", () => {
    it.bindUdp(1194, receiver);
    const rx = bed.receive(frame(udp({ src: HOST, dst: GW }, 9, 1194, bytesOf(2000))));
    rx.gsoType[0] = GSO_UDP_L4;
    rx.gsoSize[0] = 1;
    it.ingest(0, rx);
    expect(heard).toEqual([]);
    expect(drops()).toEqual({ GsoTooManySegments: 1 });
  });

  test("unconfigured: DHCP answers are heard, broadcast or unicast, and nothing else; a broadcast leaves from 0.0.0.0", () => {
    it.unconfigure();
    const socket = it.bindUdp(68, receiver)!;
    it.bindUdp(5000, receiver);
    push(
      frame(udp({ src: "10.0.0.1", dst: "255.255.255.255" }, 67, 68, bytesOf(1)), BROADCAST),
      frame(udp({ src: "10.0.0.1", dst: "10.0.0.50" }, 67, 68, bytesOf(1))),
      frame(udp({ src: "10.0.0.1", dst: "255.255.255.255" }, 67, 5000, bytesOf(1)), BROADCAST),
      frame(icmp({ src: "10.0.0.1", dst: "10.0.0.50" }, 8, 0, 1, bytesOf(1))),
      arp(1, HOST, GW),
    );
    expect(heard).toEqual(["1:67 00", "1:67 00"]);
    expect(drops()).toEqual({ Ipv4Unconfigured: 3 });
    expect(it.sendUdp(0, socket, IpAddress.fromIpv4(-1), 67, bytesOf(4))).toBe(Drop.None);
    expect(it.sendUdp(0, socket, addr(HOST), 67, bytesOf(4))).toBe(Drop.NotConfigured);
    const [sent, ...more] = outlet.take();
    expect(more).toEqual([]);
    expect(line(sent!)).toStartWith(`${ROUTER_MAC} > ${BROADCAST} 0.0.0.0 > 255.255.255.255 ttl 64 len 32 udp 68 > 67`);
    expect(udpChecksumValid(sent!.view, 34, pseudoSum(0, -1, 17, 0))).toBe(true);
  });

  test("on-link goes to the host, else to the gateway; what waits for ARP is sent complete", () => {
    const socket = it.bindUdp(1194, receiver)!;
    it.sendUdp(0, socket, addr("203.0.113.9"), 53, bytesOf(4));
    it.sendUdp(0, socket, addr(HOST), 53, bytesOf(4));
    expect(out().map((s) => s.replace(/.*arp/, "arp"))).toEqual([
      `arp who-has 192.168.50.254 tell ${GW} (${ROUTER_MAC})`,
      `arp who-has ${HOST} tell ${GW} (${ROUTER_MAC})`,
    ]);
    push(arp(2, "192.168.50.254", GW));
    expect(out()[0]).toBe(`${ROUTER_MAC} > ${HOST_MAC} ${GW} > 203.0.113.9 ttl 64 len 32 udp 1194 > 53 len 4`);
  });

  test("a gateway outside of the subnet (a leased /32) is found by ARP", () => {
    it.configure({ address: cidr(`${GW}/32`), gateway: addr("10.0.0.1") });
    const socket = it.bindUdp(1194, receiver)!;
    it.sendUdp(0, socket, addr("203.0.113.9"), 53, bytesOf(4));
    push(arp(2, "10.0.0.1", GW));
    expect(out()[1]).toBe(`${ROUTER_MAC} > ${HOST_MAC} ${GW} > 203.0.113.9 ttl 64 len 32 udp 1194 > 53 len 4`);
  });

  test("a destination that is on the link by a route, and a gateway outside of the subnet, are found by ARP (RFC 3442)", () => {
    const routes = [
      { network: cidr("10.20.0.0/16"), gateway: undefined },
      { network: cidr("10.30.0.0/16"), gateway: addr("10.20.0.1") },
    ];
    it.configure({ address: cidr(`${GW}/24`), routes });
    const socket = it.bindUdp(1194, receiver)!;
    it.sendUdp(0, socket, addr("10.20.7.7"), 53, bytesOf(4));
    it.sendUdp(0, socket, addr("10.30.7.7"), 53, bytesOf(4));
    out();
    push(arp(2, "10.20.7.7", GW), arp(2, "10.20.0.1", GW, "52:54:00:00:00:98"), arp(2, "10.20.0.2", GW));
    expect(out().map((s) => s.replace(/ ttl.*/, ""))).toEqual([
      `${ROUTER_MAC} > ${HOST_MAC} ${GW} > 10.20.7.7`,
      `${ROUTER_MAC} > 52:54:00:00:00:98 ${GW} > 10.30.7.7`,
    ]);
    expect(drops()).toEqual({ ArpUnsolicited: 1 });
  });

  test("the longest prefix decides, also against the subnet; a default route may lead to the link (RFC 3442)", () => {
    const hops = (routes: [string, number, string][], ...to: string[]): string[] => {
      const parsed = routes.map(([network, prefix, gateway]) => ({
        network: cidr(`${network}/${prefix}`),
        gateway: gateway === "0.0.0.0" ? undefined : addr(gateway),
      }));
      it.configure({ address: cidr(`${GW}/24`), routes: parsed });
      const socket = it.bindUdp(0, receiver)!;
      for (const dst of to) it.sendUdp(0, socket, addr(dst), 53, bytesOf(4));
      it.unconfigure();
      return out().map((s) => s.replace(/.*who-has (\S+) .*/, "$1"));
    };
    const isolated: [string, number, string] = ["192.168.50.128", 25, "192.168.50.9"];
    expect(hops([["0.0.0.0", 1, HOST], isolated], "192.168.50.5", "192.168.50.200", "9.9.9.9")).toEqual([
      "192.168.50.5",
      "192.168.50.9",
      HOST,
    ]);
    expect(hops([["0.0.0.0", 0, "0.0.0.0"]], "9.9.9.9", "192.168.50.5")).toEqual(["9.9.9.9", "192.168.50.5"]);
    expect(hops([["0.0.0.0", 0, HOST]], "9.9.9.9")).toEqual([]);
  });

  test("a batch gets its headers in place, the checksum partial; what exceeds the MTU leaves in fragments", () => {
    meet("192.168.50.254");
    const socket = it.bindUdp(1194, receiver)!;
    const arena = bed.arena();
    const rows = new Batch(8);
    for (const n of [1472, 0, 1473, 3000]) {
      const at = arena.take(n);
      bed.slab.bytes.set(bytesOf(n), at);
      rows.push(at, n);
    }
    it.sendUdpBatch(5, socket, addr("203.0.113.9"), 1195, rows);
    const sent = outlet.take();
    expect(sent.map((s) => s.bytes.length)).toEqual([1514, 42, 1514, 35, 1514, 1514, 14 + 20 + 48]);
    for (const s of sent) expect(ipv4Check(s.view, 14, s.bytes.length - 14)).toBe(Drop.None);
    for (const s of sent.slice(0, 2)) {
      expect([s.flags, s.csumStart, s.csumOffset]).toEqual([VNET_NEEDS_CSUM, 34, 6]);
      s.view.setUint16(40, ~sumBytes(s.view, 34, s.bytes.length - 34) & 0xffff); // as the device does
      expect(udpChecksumValid(s.view, 34, pseudoSum(ip(GW), ip("203.0.113.9"), 17, 0))).toBe(true);
    }
    const pieces = new Uint8Array(sent.slice(4).flatMap((s) => [...s.bytes.subarray(34)]));
    expect(udpChecksumValid(new DataView(pieces.buffer), 0, pseudoSum(ip(GW), ip("203.0.113.9"), 17, 0))).toBe(true);
    expect(pieces.slice(8)).toEqual(bytesOf(3000));
    expect(new Set([0, 1, 2, 4].map((i) => sent[i]!.view.getUint16(18))).size).toBe(4); // identifications
  });

  test("payloads of one size are one super-frame where the device takes it, with the identifications of all", () => {
    meet("192.168.50.254");
    outlet.udpGso = true;
    const socket = it.bindUdp(1194, receiver)!;
    const send = (...sizes: number[]): Sent[] => {
      const arena = bed.arena();
      const rows = new Batch(256);
      for (const n of sizes) {
        const at = arena.take(n);
        bed.slab.bytes.set(bytesOf(n, rows.count), at);
        rows.push(at, n);
      }
      it.sendUdpBatch(5, socket, addr("203.0.113.9"), 1195, rows);
      return outlet.take();
    };
    const kinds = (sent: readonly Sent[]): [number, number, number][] =>
      sent.map((s) => [s.bytes.length - 42, s.gsoType, s.gsoType === 0 ? 0 : s.gsoSize]);
    const [first, second, third] = send(1000, 1000, 400, 1001, 1473) as [Sent, Sent, Sent];
    expect(kinds([first, second])).toEqual([
      [2400, GSO_UDP_L4, 1000],
      [1001, 0, 0],
    ]);
    expect([ipv4TotalLen(first.view, 14), udpLen(first.view, 34)]).toEqual([2428, 2408]);
    expect(first.view.getUint16(40)).toBe(pseudoSum(ip(GW), ip("203.0.113.9"), 17, 2408));
    expect(first.bytes.slice(42)).toEqual(
      Uint8Array.from([0, 1, 2].flatMap((i) => [...bytesOf(i < 2 ? 1000 : 400, i)])),
    );
    const ids = [first, second, third].map((s) => ipv4Id(s.view, 14));
    expect(ids.map((id) => id - ids[0]!)).toEqual([0, 3, 4]);
    expect(kinds(send(...new Array(130).fill(10)))).toEqual([
      [640, GSO_UDP_L4, 10],
      [640, GSO_UDP_L4, 10],
      [20, GSO_UDP_L4, 10],
    ]);
    expect(kinds(send(...new Array(50).fill(1472)))[0]).toEqual([44 * 1472, GSO_UDP_L4, 1472]);
    expect(kinds(send(10, 0, 0))).toEqual([
      [10, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    outlet.udpGso = false;
    expect(kinds(send(10, 10))).toEqual([
      [10, 0, 0],
      [10, 0, 0],
    ]);
  });

  test("now and then a datagram of IPv4 goes by itself and with DF, so that routers say what the way takes, of which no larger one asks again for ten minutes (RFC 1191)", () => {
    meet("192.168.50.254");
    outlet.udpGso = true;
    const to = "203.0.113.9";
    const socket = it.bindUdp(1194, receiver)!;
    const arena = bed.arena();
    const run = (size: number, times: number): [number, number][] => {
      const asking: [number, number][] = [];
      for (let i = 1; i <= times; i++) {
        const rows = new Batch(4);
        arena.reset();
        for (let k = 0; k < 4; k++) rows.push(arena.take(size), size);
        it.sendUdpBatch(5, socket, addr(to), 1195, rows);
        const sent = outlet.take();
        for (const s of sent) expect(ipv4Check(s.view, 14, s.bytes.length - 14)).toBe(Drop.None);
        const payload = sent.map((s) => s.bytes.length - 42);
        expect(payload.reduce((sum, n) => sum + n)).toBe(4 * size);
        const first = sent.findIndex((s) => ipv4DontFragment(s.view, 14));
        if (first >= 0) asking.push([i, payload[first]!]);
        expect(sent.length).toBe(first < 0 ? 1 : 2);
      }
      return asking;
    };
    // After 64 runs, then twice as many; what is left of the run that it was in is another one.
    expect(run(1400, 200)).toEqual([
      [64, 1400],
      [191, 1400],
    ]);
    expect(run(548, 300)).toEqual([]);
    const quote = udp({ src: GW, dst: to, fragment: IPV4_DF }, 1194, 1195, bytesOf(1400)).subarray(0, 28);
    push(frame(icmp({ src: HOST, dst: GW }, 3, 4, 1400, quote)));
    expect([run(1400, 300), run(1372, 300).length]).toEqual([[], 1]);
  });

  test("a batch without a next hop or neighbour is counted, and bounded while it waits", () => {
    const socket = it.bindUdp(1194, receiver)!;
    const rows = new Batch(200);
    const arena = bed.arena();
    const fill = (): void => {
      rows.clear();
      arena.reset();
      for (let i = 0; i < 200; i++) rows.push(arena.take(100), 100);
    };
    outlet.udpGso = true; // what waits is kept datagram by datagram
    fill();
    it.sendUdpBatch(5, socket, addr(HOST), 1, rows);
    expect(it.outDrops.snapshot()).toEqual({ NeighborPendingFull: 72 });
    it.unconfigure();
    fill();
    it.sendUdpBatch(5, socket, addr(HOST), 1, rows);
    expect(it.outDrops.snapshot()).toMatchObject({ NeighborUnreachable: 128, NotConfigured: 200 });
  });

  test("ICMP errors about our datagrams reach the socket; about what we did not send they are counted", () => {
    it.bindUdp(1194, receiver);
    const quote = (src: string, port: number, len = 20): Uint8Array =>
      udp({ src, dst: "203.0.113.9", fragment: IPV4_DF }, port, 1195, bytesOf(len)).subarray(0, 28);
    push(
      frame(icmp({ src: HOST, dst: GW }, 3, 4, 1280, quote(GW, 1194, 1253))),
      frame(icmp({ src: HOST, dst: GW }, 3, 4, 1280, quote(GW, 1194, 1252))),
      frame(icmp({ src: HOST, dst: GW }, 3, 3, 0, quote(GW, 999))),
      frame(icmp({ src: HOST, dst: GW }, 3, 3, 0, quote(HOST, 1194))),
      frame(icmp({ src: HOST, dst: GW }, 11, 0, 0, bytesOf(9))),
      frame(icmp({ src: HOST, dst: GW }, 13, 0, 0, bytesOf(9))),
    );
    expect(errors).toEqual([{ type: 3, code: 4, mtu: 1280, src: addr(GW), dst: addr("203.0.113.9"), dstPort: 1195 }]);
    expect(drops()).toEqual({ IcmpBadQuote: 4, IcmpBadType: 1 });
  });
});
