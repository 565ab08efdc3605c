import { beforeEach, expect, test } from "bun:test";
import { type Batch, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { Bed, bytesOf, type RecordingOutlet, type Sent, tcp, udp } from "../testing/bed.ts";
import { tcp6 } from "../testing/bed6.ts";
import { pseudoSum } from "../wire/checksum.ts";
import { IPV4_DF, ipv4Check, ipv4Dst, ipv4HeaderLen, ipv4RefreshChecksum, ipv4Src } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_SYN, tcpChecksumValid, tcpSetPartialChecksum } from "../wire/tcp.ts";
import { udpChecksumValid } from "../wire/udp.ts";
import { RawIp } from "./raw-ip.ts";

const IP = { src: "10.8.0.2", dst: "198.51.100.7", fragment: IPV4_DF };

let bed: Bed;
let tunnel: RecordingOutlet;
let device: RecordingOutlet;
let raw: RawIp;
beforeEach(() => {
  bed = new Bed();
  tunnel = bed.outlet();
  device = bed.outlet();
  raw = new RawIp(bed.slab, tunnel, device);
});

const data = (seq: number, len: number): Uint8Array => tcp(IP, { flags: TCP_ACK, seq }, bytesOf(len, seq));
const dropped = (): Record<string, number> =>
  Object.fromEntries(Object.entries(raw.drops.snapshot()).filter(([, count]) => count > 0));

/** One row with a virtio header. */
function row(packet: Uint8Array, gsoType: number, gsoSize: number): Batch {
  const rx = bed.receive(packet);
  rx.gsoType[0] = gsoType;
  rx.gsoSize[0] = gsoSize;
  return rx;
}

/** Whether header and transport checksum of an IPv4 packet are right. */
function isWhole({ view: d, bytes }: Sent, proto: 6 | 17): boolean {
  const at = ipv4HeaderLen(d, 0);
  const pseudo = pseudoSum(ipv4Src(d, 0), ipv4Dst(d, 0), proto, 0);
  if (ipv4Check(d, 0, bytes.length) !== 0) return false;
  return proto === 6 ? tcpChecksumValid(d, at, bytes.length - at, pseudo) : udpChecksumValid(d, at, pseudo);
}

test("a TCP super-frame leaves as packets of the tunnel's MTU, whatever segments the kernel meant", () => {
  raw.mtu = 1000;
  raw.intoTunnel(row(data(5000, 4000), GSO_TCPV4, 1460));
  const sent = tunnel.take();
  expect(sent.map(({ bytes }) => bytes.length)).toEqual([1000, 1000, 1000, 1000, 200]);
  expect(sent.every((one) => isWhole(one, 6))).toBe(true);
});

test("a UDP super-frame leaves as its datagrams; one whose datagrams do not fit is dropped", () => {
  const packet = udp(IP, 1, 2, bytesOf(2500, 1));
  raw.intoTunnel(row(packet, GSO_UDP_L4, 1000));
  const sent = tunnel.take();
  expect(sent.map(({ bytes }) => bytes.length)).toEqual([1028, 1028, 528]);
  expect(sent.every((one) => isWhole(one, 17))).toBe(true);
  raw.mtu = 1000;
  raw.intoTunnel(row(packet, GSO_UDP_L4, 1000));
  raw.intoTunnel(row(udp({ ...IP, fragment: 0 }, 1, 2, bytesOf(2500, 1)), GSO_UDP_L4, 1000));
  expect([tunnel.take(), dropped()]).toEqual([[], { TooBig: 2 }]);
});

test("a partial checksum is completed", () => {
  const packet = data(1, 100);
  const whole = packet.slice();
  packet.fill(0x55, 36, 38);
  const rx = bed.receive(packet);
  // What the kernel leaves there is the sum of the pseudo header.
  const d = bed.slab.view;
  const at = rx.at[0]!;
  tcpSetPartialChecksum(d, at + 20, 120, pseudoSum(ipv4Src(d, at), ipv4Dst(d, at), 6, 0));
  rx.flags[0] = VNET_NEEDS_CSUM;
  rx.csumStart[0] = 20;
  rx.csumOffset[0] = 16;
  raw.intoTunnel(rx);
  expect(tunnel.take()[0]!.bytes.toHex()).toBe(whole.toHex());
});

test("super-frames that are not what they say are dropped: another protocol, no segment size, a header beyond the end", () => {
  raw.intoTunnel(row(data(1, 3000), GSO_UDP_L4, 1000));
  raw.intoTunnel(row(udp(IP, 1, 2, bytesOf(3000, 1)), GSO_TCPV4, 1000));
  raw.intoTunnel(row(data(1, 3000), GSO_TCPV4, 0));
  raw.intoTunnel(row(data(1, 0), GSO_TCPV4, 1000));
  expect([tunnel.take(), dropped()]).toEqual([[], { GsoMalformed: 4 }]);
});

test("one that would be more packets than anybody means is dropped", () => {
  raw.intoTunnel(row(data(1, 30_000), GSO_TCPV4, 100));
  expect([tunnel.take(), dropped()]).toEqual([[], { GsoTooManySegments: 1 }]);
});

test("what is larger than the tunnel takes is dropped", () => {
  raw.mtu = 500;
  raw.intoTunnel(bed.receive(data(1, 600)));
  expect([tunnel.take(), dropped()]).toEqual([[], { TooBig: 1 }]);
});

test("segments out of the tunnel reach the kernel as one super-frame without a link header", () => {
  raw.outOfTunnel(bed.receive(data(1000, 1400), data(2400, 1400), data(3800, 1400)));
  const [sent, ...others] = device.take();
  expect(others).toEqual([]);
  expect(sent).toMatchObject({
    flags: VNET_NEEDS_CSUM,
    gsoType: GSO_TCPV4,
    gsoSize: 1400,
    csumStart: 20,
    csumOffset: 16,
  });
  expect(sent!.bytes.length).toBe(40 + 3 * 1400);
});

test("segments of IPv6 are joined as well", () => {
  const fields = { src: "fd00::2", dst: "fd00::1" };
  const first = tcp6(fields, TCP_ACK, bytesOf(1000, 1));
  const second = first.slice();
  const d = new DataView(second.buffer);
  d.setUint32(44, d.getUint32(44) + 1000);
  d.setUint16(56, (d.getUint16(56) - 1000) & 0xffff);
  raw.outOfTunnel(bed.receive(first, second));
  expect(device.take().map(({ gsoType }) => gsoType)).toEqual([GSO_TCPV6]);
});

test("a SYN announces no more than mssfix allows, in both directions and families", () => {
  const options = Uint8Array.of(2, 4, 0x05, 0xb4);
  const syn = tcp(IP, { flags: TCP_SYN, options }, new Uint8Array(0));
  raw.mssClamp = 1200;
  raw.intoTunnel(bed.receive(syn));
  raw.outOfTunnel(bed.receive(syn));
  for (const outlet of [tunnel, device]) {
    const sent = outlet.take()[0]!;
    expect([sent.view.getUint16(42), isWhole(sent, 6)]).toEqual([1200, true]);
  }
});

test("what is no whole SYN stays as it is, whatever it says", () => {
  const options = Uint8Array.of(2, 4, 0x05, 0xb4);
  const spoiled: [string, (d: DataView) => void][] = [
    ["UDP", (d) => d.setUint8(9, 17)],
    ["a later fragment", (d) => d.setUint16(6, 1)],
    ["a TCP header of 16 bytes", (d) => d.setUint8(32, 0x40)],
    ["a TCP header of 28 bytes", (d) => d.setUint8(32, 0x70)],
  ];
  raw.mssClamp = 1200;
  for (const [name, spoil] of spoiled) {
    const packet = tcp(IP, { flags: TCP_SYN, options }, new Uint8Array(0));
    spoil(new DataView(packet.buffer));
    ipv4RefreshChecksum(new DataView(packet.buffer), 0);
    raw.intoTunnel(bed.receive(packet));
    expect([name, tunnel.take()[0]!.view.getUint16(42)]).toEqual([name, 1460]);
  }
});

test("what is no IP packet goes nowhere, either way", () => {
  for (const take of [raw.intoTunnel, raw.outOfTunnel])
    take.call(raw, bed.receive(Uint8Array.of(0x45, 0, 0, 20), new Uint8Array(0)));
  expect([tunnel.take(), device.take()]).toEqual([[], []]);
  expect(Object.values(dropped()).reduce((sum, count) => sum + count, 0)).toBe(4);
});
