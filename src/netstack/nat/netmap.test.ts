import { expect, test } from "bun:test";
import fc from "fast-check";
import { Batch } from "../../lib/batch.ts";
import { bytesOf, icmp, ip, ipv4, tcp, udp } from "../testing/bed.ts";
import { ICMP_ECHO_REQUEST } from "../wire/icmpv4.ts";
import { TCP_ACK } from "../wire/tcp.ts";
import { Netmap, type NetmapRule } from "./netmap.ts";

const memory = new ArrayBuffer(4096);
const slab = { bytes: new Uint8Array(memory), view: new DataView(memory) };
const rule = (kind: NetmapRule["kind"], network: string, mask: string, alias: string): NetmapRule => ({
  kind,
  network: ip(network),
  mask: ip(mask),
  alias: ip(alias),
});
/** The LAN is 10.64.7.0/24 to the far end, and the far end's 192.168.50.0/24 is 10.65.0.0/24 here, as both have the same network. */
const BOTH = [
  rule("snat", "192.168.50.0", "255.255.255.0", "10.64.7.0"),
  rule("dnat", "10.65.0.0", "255.255.255.0", "192.168.50.0"),
];

function through(rules: readonly NetmapRule[], way: "outgoing" | "incoming", packet: Uint8Array): Uint8Array {
  const at = 100;
  slab.bytes.fill(0xa5);
  slab.bytes.set(packet, at);
  const rows = new Batch(1);
  rows.push(at, packet.length);
  new Netmap(slab, rules)[way](rows);
  expect(slab.bytes.subarray(0, at).every((byte) => byte === 0xa5)).toBe(true);
  expect(slab.bytes.subarray(at + packet.length).every((byte) => byte === 0xa5)).toBe(true);
  return slab.bytes.slice(at, at + packet.length);
}

type Make = (fields: { src: string; dst: string }) => Uint8Array;
const KINDS: Record<string, Make> = {
  tcp: (fields) => tcp(fields, { flags: TCP_ACK }, bytesOf(99)),
  udp: (fields) => udp(fields, 5000, 53, bytesOf(50)),
  ping: (fields) => icmp(fields, ICMP_ECHO_REQUEST, 0, 7, bytesOf(20)),
  "another protocol": (fields) => ipv4({ ...fields, protocol: 47 }, bytesOf(30)),
  "a later fragment": (fields) => ipv4({ ...fields, protocol: 17, fragment: 0x2001 }, bytesOf(32)),
};

test("what goes out and comes back is what a packet with the other addresses would be, checksums and all", () => {
  for (const make of Object.values(KINDS)) {
    const here = make({ src: "192.168.50.9", dst: "10.65.0.4" });
    const there = make({ src: "10.64.7.9", dst: "192.168.50.4" });
    expect(through(BOTH, "outgoing", here)).toEqual(there);
    const answer = make({ src: "192.168.50.4", dst: "10.64.7.9" });
    expect(through(BOTH, "incoming", answer)).toEqual(make({ src: "10.65.0.4", dst: "192.168.50.9" }));
  }
});

test("what no rule is about passes as it is; of several rules for an address the first counts", () => {
  for (const make of Object.values(KINDS)) {
    const packet = make({ src: "192.0.2.1", dst: "192.168.50.4" });
    expect(through(BOTH, "outgoing", packet)).toEqual(packet);
  }
  const rules = [
    rule("snat", "10.0.0.0", "255.0.0.0", "11.0.0.0"),
    rule("snat", "10.1.0.0", "255.255.0.0", "12.1.0.0"),
  ];
  const packet = udp({ src: "10.1.2.3", dst: "192.0.2.1" }, 1, 2, bytesOf(3));
  expect(through(rules, "outgoing", packet)).toEqual(udp({ src: "11.1.2.3", dst: "192.0.2.1" }, 1, 2, bytesOf(3)));
});

test("a UDP datagram without a checksum stays without one", () => {
  const bare = (fields: { src: string; dst: string }): Uint8Array => {
    const packet = udp(fields, 5000, 53, bytesOf(8));
    packet.fill(0, 26, 28);
    return packet;
  };
  expect(through(BOTH, "outgoing", bare({ src: "192.168.50.9", dst: "192.0.2.1" }))).toEqual(
    bare({ src: "10.64.7.9", dst: "192.0.2.1" }),
  );
});

test("what is shorter than a header is left alone, whatever lies behind it", () => {
  // Memory that no packet has taken is full of 0xa5.
  const rules = [
    rule("snat", "11.0.0.0", "255.0.0.0", "165.0.0.0"),
    rule("dnat", "10.0.0.0", "255.0.0.0", "165.0.0.0"),
  ];
  const packet = udp({ src: "165.0.0.1", dst: "165.0.0.2" }, 1, 2, bytesOf(3));
  for (let len = 0; len < 20; len++) through(rules, "incoming", packet.slice(0, len));
  expect(through(rules, "incoming", packet)).toEqual(udp({ src: "10.0.0.1", dst: "11.0.0.2" }, 1, 2, bytesOf(3)));
});

test("anything out of the tunnel, cut anywhere: nothing beside it is touched", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(64), (noise, cut) => {
      through(BOTH, "incoming", noise);
      const packet = tcp({ src: "192.168.50.4", dst: "10.64.7.9" }, { flags: TCP_ACK }, noise);
      through(BOTH, "incoming", packet.slice(0, cut));
    }),
  );
});
