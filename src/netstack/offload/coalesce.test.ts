import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GSO_TCPV4, MAX_PIECES, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { slabOver } from "../../lib/slab.ts";
import { ip4Read } from "../ip4/check.ts";
import { Packet } from "../packet.ts";
import { Bed, bytesOf, type RecordingOutlet, type Sent, type TcpFields, tcp, udp } from "../testing/bed.ts";
import { checksum, pseudoSum } from "../wire/checksum.ts";
import { ETHERNET_HEADER_LEN } from "../wire/ethernet.ts";
import { IPV4_DF, ipv4Check, ipv4TotalLen } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_SYN } from "../wire/tcp.ts";
import { TcpCoalescer } from "./coalesce.ts";
import { segmentCount, tcpSegmentCopy, tcpSuperHeaderLen } from "./split.ts";

const SITE = "198.51.100.7";
const HOST = "192.168.50.10";
const IP = { src: SITE, dst: HOST, fragment: IPV4_DF };

let bed: Bed;
let outlet: RecordingOutlet;
let coalescer: TcpCoalescer;
beforeEach(() => {
  bed = new Bed();
  outlet = bed.outlet(1024);
  coalescer = new TcpCoalescer(bed.slab, outlet.batch);
});

/** Sends packets as a link does. */
function send(...packets: Uint8Array[]): void {
  const p = new Packet();
  const rx = bed.receive(...packets.map((p) => new Uint8Array([...new Uint8Array(ETHERNET_HEADER_LEN), ...p])));
  packets.forEach((packet, i) => {
    const at = rx.at[i]! + ETHERNET_HEADER_LEN;
    ip4Read(bed.slab.view, p, at);
    if (coalescer.join(p)) return;
    outlet.batch.push(at - ETHERNET_HEADER_LEN, packet.length + ETHERNET_HEADER_LEN);
    coalescer.start(p);
  });
}

const data = (seq: number, len: number, more: Partial<TcpFields> = {}): Uint8Array =>
  tcp(IP, { flags: TCP_ACK, seq, ...more }, bytesOf(len, seq));

/** What a device makes of a frame. */
function packetsOf(sent: Sent): Uint8Array[] {
  const packet = sent.bytes.slice(ETHERNET_HEADER_LEN);
  if (sent.gsoType !== GSO_TCPV4) return [packet];
  const slab = slabOver(new ArrayBuffer(2 * 65536));
  slab.bytes.set(packet);
  const p = new Packet();
  ip4Read(slab.view, p, 0);
  const headerLen = tcpSuperHeaderLen(slab.view, p);
  return Array.from({ length: segmentCount(packet.length, headerLen, sent.gsoSize) }, (_, i) => {
    const len = tcpSegmentCopy(slab, p, headerLen, sent.gsoSize, i, 65536);
    return slab.bytes.slice(65536, 65536 + len);
  });
}

/** Without identification and header checksum, which the device gives anew. */
function comparable(packet: Uint8Array): string {
  const copy = packet.slice();
  copy.fill(0, 4, 6);
  copy.fill(0, 10, 12);
  return copy.toHex();
}

test("a run of segments is one frame with a partial checksum, which the payloads continue in place", () => {
  const packets = Array.from({ length: 44 }, (_, i) => data(1000 + i * 1448, 1448));
  send(...packets);
  expect(outlet.batch.count).toBe(44);
  const [sent, ...others] = outlet.take();
  expect(others).toEqual([]);
  expect(sent).toMatchObject({
    flags: VNET_NEEDS_CSUM,
    gsoType: GSO_TCPV4,
    gsoSize: 1448,
    csumStart: 34,
    csumOffset: 16,
  });
  const d = sent!.view;
  const len = 40 + 44 * 1448;
  expect([ipv4Check(d, 14, len), ipv4TotalLen(d, 14)]).toEqual([0, len]);
  expect(d.getUint16(34 + 16)).toBe(pseudoSum(d.getInt32(26), d.getInt32(30), 6, len - 20));
  expect(packetsOf(sent!).map(comparable)).toEqual(packets.map(comparable));
});

test("64 KiB end a frame", () => {
  send(...Array.from({ length: 50 }, (_, i) => data(i * 1400, 1400)));
  expect(outlet.take().map((s) => s.bytes.length)).toEqual([14 + 40 + 46 * 1400, 14 + 40 + 4 * 1400]);
});

test("as many pieces as a device takes end a frame (segments of a few bytes)", () => {
  send(...Array.from({ length: 600 }, (_, i) => data(i * 10, 10)));
  expect(outlet.take().map((s) => s.bytes.length)).toEqual([
    14 + 40 + MAX_PIECES * 10,
    14 + 40 + (600 - MAX_PIECES) * 10,
  ]);
});

describe("what does not join", () => {
  const first = data(1000, 100);
  test.each<[string, Uint8Array]>([
    ["a gap", data(1101, 100)],
    ["a repetition", data(1000, 100)],
    ["a longer segment", data(1100, 101)],
    ["no data", data(1100, 0)],
    ["another port", data(1100, 100, { dstPort: 81 })],
    ["another acknowledgement", data(1100, 100, { ack: 2001 })],
    ["other options", data(1100, 100, { options: Uint8Array.of(1, 1, 1, 1) })],
    ["FIN", data(1100, 100, { flags: TCP_ACK | TCP_FIN })],
    ["SYN", data(1100, 100, { flags: TCP_ACK | TCP_SYN })],
    ["another TTL", tcp({ ...IP, ttl: 63 }, { flags: TCP_ACK, seq: 1100 }, bytesOf(100))],
    ["without DF", tcp({ ...IP, fragment: 0 }, { flags: TCP_ACK, seq: 1100 }, bytesOf(100))],
    ["another host", tcp({ ...IP, dst: "192.168.50.11" }, { flags: TCP_ACK, seq: 1100 }, bytesOf(100))],
    ["UDP", udp(IP, 40000, 80, bytesOf(100))],
  ])("%s", (_what, packet) => {
    send(first, packet);
    const sent = outlet.take();
    expect(sent.map((s) => s.bytes.slice(14))).toEqual([first, packet] as Uint8Array<ArrayBuffer>[]);
    expect(sent.map((s) => s.gsoType)).toEqual([0, 0]);
  });

  test("a wrong checksum, of the first or of the second: it reaches the host as it is", () => {
    const broken = data(1100, 100);
    broken[60]! ^= 1;
    const brokenFirst = first.slice();
    brokenFirst[60]! ^= 1;
    send(first, broken, data(1200, 100));
    expect(outlet.take().map((s) => s.bytes.slice(14).toHex())).toEqual(
      [first, broken, data(1200, 100)].map((p) => p.toHex()),
    );
    send(brokenFirst, data(1100, 100));
    expect(outlet.take().map((s) => s.bytes.slice(14).toHex())).toEqual(
      [brokenFirst, data(1100, 100)].map((p) => p.toHex()),
    );
  });

  test("a flow without DF, whose identifications somebody may need", () => {
    const packets = [0, 100, 200].map((from) =>
      tcp({ ...IP, fragment: 0, id: 7 * from }, { flags: TCP_ACK, seq: from }, bytesOf(100)),
    );
    send(...packets);
    expect(outlet.take().map((s) => s.bytes.slice(14))).toEqual(packets);
  });

  test("a frame that something else came behind, or that has left", () => {
    send(first);
    outlet.batch.push(0, 60);
    send(data(1100, 100));
    expect(outlet.take()).toHaveLength(3);
    send(first);
    outlet.take();
    send(data(1100, 100));
    expect(outlet.take().map((s) => s.gsoType)).toEqual([0]);
  });
});

test("whatever comes, the device makes of it what was sent, in order, byte for byte", () => {
  const segment = fc.record({
    flow: fc.constantFrom(80, 80, 80, 81),
    len: fc.constantFrom(0, 1, 99, 100, 100, 100, 100, 101),
    flags: fc.constantFrom(TCP_ACK, TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN),
    jump: fc.constantFrom(0, 0, 0, 0, 0, 1, -100),
    stamp: fc.constantFrom(1, 1, 1, 2),
    broken: fc.constantFrom(false, false, false, false, true),
    leaves: fc.constantFrom(false, false, false, true),
  });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 60 }), (segments) => {
      const seqs = new Map<number, number>();
      const sent: string[] = [];
      const seen: string[] = [];
      let turn: Uint8Array[] = [];
      const flush = (): void => {
        send(...turn);
        turn = [];
        for (const frame of outlet.take()) {
          expect(checksum(frame.view, ETHERNET_HEADER_LEN, 20)).toBe(0);
          seen.push(...packetsOf(frame).map(comparable));
        }
      };
      for (const { flow, len, flags, jump, stamp, broken, leaves } of segments) {
        const seq = ((seqs.get(flow) ?? 0xffffff00) + jump) | 0;
        seqs.set(flow, seq + len);
        const packet = data(seq, len, { dstPort: flow, flags, options: Uint8Array.of(1, 1, 1, stamp) });
        if (broken) packet[packet.length - 1]! ^= 0x10;
        sent.push(comparable(packet));
        turn.push(packet);
        if (leaves) flush();
      }
      flush();
      expect(seen).toEqual(sent);
    }),
    { numRuns: 500 },
  );
});
