import { beforeEach, expect, test } from "bun:test";
import { type Batch, GSO_TCPV4, GSO_UDP_L4 } from "../../lib/batch.ts";
import { HEADROOM } from "../../lib/slab.ts";
import { Bed, bytesOf, icmp, ip, type RecordingOutlet, tcp, udp } from "../testing/bed.ts";
import { icmp6, udp6, words6 } from "../testing/bed6.ts";
import { ICMP_UNREACHABLE, icmpCheck, icmpCode, icmpNextHopMtu, icmpType } from "../wire/icmpv4.ts";
import { ICMPV6_TOO_BIG, icmpv6Check, icmpv6Rest, icmpv6Type } from "../wire/icmpv6.ts";
import { IPV4_DF, ipv4Check, ipv4Dst, ipv4Src, ipv4TotalLen } from "../wire/ipv4.ts";
import { IPV6_DST, IPV6_SRC, ipv6Check, ipv6IsWords, ipv6PseudoSum, ipv6TotalLen, PROTO_ICMPV6 } from "../wire/ipv6.ts";
import { TCP_ACK } from "../wire/tcp.ts";
import { RawIp } from "./raw-ip.ts";

const IP = { src: "10.8.0.1", dst: "10.8.0.6" };
const DF = { ...IP, fragment: IPV4_DF };
const IP6 = { src: "fd00:8::1", dst: "fd00:8::6" };

let bed: Bed;
let tunnel: RecordingOutlet;
let raw: RawIp;
/** What senders were told. */
let told: Uint8Array<ArrayBuffer>[];
let asked: [number, boolean][];

beforeEach(() => {
  bed = new Bed();
  tunnel = bed.outlet();
  raw = new RawIp(bed.slab, tunnel, bed.outlet());
  [told, asked] = [[], []];
  raw.mtuOf = (at, isV6) => {
    asked.push([bed.slab.view.getUint8(at + (isV6 ? 39 : 19)), isV6]);
    return 1300;
  };
  raw.tell = (at, len) => {
    // What seals it in place needs room in front.
    bed.slab.bytes.fill(0xee, at - HEADROOM, at);
    told.push(bed.slab.bytes.slice(at, at + len));
  };
});

/** Lengths of what goes into the tunnel of a packet, and how many were told. */
function enter(packet: Uint8Array, gso?: (rx: Batch) => void): [number[], number] {
  told = [];
  const rx = bed.receive(packet);
  gso?.(rx);
  raw.intoTunnel(rx);
  return [tunnel.take().map(({ bytes }) => bytes.length), told.length];
}

const viewOf = ({ buffer }: Uint8Array<ArrayBuffer>): DataView => new DataView(buffer);

test("a packet that nobody may fragment and that is larger than the way to whom it is for takes is dropped, and its sender told, by that address (RFC 1191 4)", () => {
  const packet = udp(DF, 1, 2, bytesOf(1301 - 28));
  expect(enter(packet)).toEqual([[], 1]);
  expect([asked, raw.drops.snapshot()]).toEqual([[[6, false]], { TooBig: 1 }]);
  const d = viewOf(told[0]!);
  expect([ipv4Check(d, 0, told[0]!.length), ipv4TotalLen(d, 0)]).toEqual([0, 576]);
  expect([ipv4Src(d, 0), ipv4Dst(d, 0)]).toEqual([ip(IP.dst), ip(IP.src)]);
  expect(icmpCheck(d, 20, told[0]!.length - 20, true)).toBe(0);
  expect([icmpType(d, 20), icmpCode(d, 20), icmpNextHopMtu(d, 20)]).toEqual([ICMP_UNREACHABLE, 4, 1300]);
  expect(told[0]!.subarray(28)).toEqual(packet.subarray(0, 576 - 28));
});

test("the same of IPv6 (RFC 4443 3.2)", () => {
  const packet = udp6(IP6, 1, 2, bytesOf(1301 - 48));
  expect(enter(packet)).toEqual([[], 1]);
  expect(asked).toEqual([[6, true]]);
  const d = viewOf(told[0]!);
  expect([ipv6Check(d, 0, told[0]!.length), ipv6TotalLen(d, 0), told[0]!.length]).toEqual([0, 1280, 1280]);
  expect(ipv6IsWords(d, IPV6_SRC, words6(IP6.dst), 0) && ipv6IsWords(d, IPV6_DST, words6(IP6.src), 0)).toBe(true);
  expect(icmpv6Check(d, 40, 1240, ipv6PseudoSum(d, 0, PROTO_ICMPV6), true)).toBe(0);
  expect([icmpv6Type(d, 40), icmpv6Rest(d, 40)]).toEqual([ICMPV6_TOO_BIG, 1300]);
  expect(told[0]!.subarray(48)).toEqual(packet.subarray(0, 1280 - 48));
});

test("what fits goes, and so does what may be fragmented, outside the tunnel; but nothing larger than the tunnel itself", () => {
  expect(enter(udp(DF, 1, 2, bytesOf(1300 - 28)))).toEqual([[1300], 0]);
  expect(enter(udp6(IP6, 1, 2, bytesOf(1300 - 48)))).toEqual([[1300], 0]);
  expect(enter(udp(IP, 1, 2, bytesOf(1500 - 28)))).toEqual([[1500], 0]);
  expect(enter(udp(IP, 1, 2, bytesOf(1501 - 28)))).toEqual([[], 0]);
  raw.mtuOf = undefined;
  expect(enter(udp(DF, 1, 2, bytesOf(1500 - 28)))).toEqual([[1500], 0]);
});

test("super-frames of TCP become segments that fit that way; datagrams of one are as any datagrams", () => {
  const gso =
    (type: number, size: number) =>
    (rx: Batch): void => {
      rx.gsoType[0] = type;
      rx.gsoSize[0] = size;
    };
  expect(enter(tcp(DF, { flags: TCP_ACK }, bytesOf(3000)), gso(GSO_TCPV4, 1460))).toEqual([[1300, 1300, 520], 0]);
  const datagrams = gso(GSO_UDP_L4, 1400);
  expect(enter(udp(DF, 1, 2, bytesOf(2800)), datagrams)).toEqual([[], 1]);
  expect(enter(udp(IP, 1, 2, bytesOf(2800)), datagrams)).toEqual([[1428, 1428], 0]);
});

test("nobody is told about an error, a later fragment, or what is for everybody (RFC 1122 3.2.2, RFC 4443 2.4)", () => {
  const long = bytesOf(1400);
  expect(enter(icmp(DF, 3, 1, 0, long))).toEqual([[], 0]);
  expect(enter(udp({ ...DF, fragment: IPV4_DF | 100 }, 1, 2, long))).toEqual([[], 0]);
  expect(enter(udp({ ...DF, dst: "224.0.0.5" }, 1, 2, long))).toEqual([[], 0]);
  expect(enter(icmp6(IP6, 1, 0, 0, long))).toEqual([[], 0]);
  expect(enter(udp6({ ...IP6, dst: "ff02::5" }, 1, 2, long))).toEqual([[], 0]);
});

test("a SYN announces what those take between whom it goes", () => {
  const options = Uint8Array.of(2, 4, 0x05, 0xb4);
  raw.mtuOf = undefined;
  raw.mssClamp = 1400;
  const mss = (of: number): number => {
    raw.mssOf = (at) => (bed.slab.view.getUint8(at + 19) === 6 ? of : 0);
    raw.intoTunnel(bed.receive(tcp(IP, { flags: 2, options }, new Uint8Array(0))));
    return tunnel.take()[0]!.view.getUint16(42);
  };
  expect([mss(1200), mss(0), mss(1460)]).toEqual([1200, 1460, 1460]);
  raw.mssOf = () => expect.unreachable("asked of what is no SYN");
  raw.intoTunnel(bed.receive(tcp(IP, { flags: TCP_ACK }, bytesOf(5))));
  expect(tunnel.take().length).toBe(1);
});
