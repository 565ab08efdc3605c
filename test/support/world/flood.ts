/**
 * Floods one interface from the router's neighbour: `bun flood.ts DEVICE KIND SECONDS RATE SEED OWN-MAC ROUTER-MAC OWN-IP ROUTER-IP SOURCE-PORT PORT`.
 * KIND is "giants" (odd and giant super-frames with a virtio header, as any guest or container on the same host can send
 * them) or "resets" (forged OpenVPN hard resets of a server). RATE is frames a second. One line of JSON at the end.
 */
import { Xorshift } from "./rng.ts";
import { FrameSocket } from "./sockets.ts";

export type FloodKind = "giants" | "resets";

const VNET_HEADER = 10;
const HEADERS = 54;
const SITE = [198, 51, 100, 10];
const VNET_TCPV4 = 1;
const VNET_UDP = 3;
const VNET_UDP_L4 = 5;
const VNET_TCPV4_ECN = 0x81;
/** A tap passes TCPv4 on as it is, with any segment size; what it does not know the host's kernel has to split. */
const GSO_TYPES = [...Array(12).fill(VNET_TCPV4), VNET_UDP, VNET_UDP_L4, VNET_TCPV4_ECN, 0] as readonly number[];
const GSO_SIZES = [1448, 1448, 1400, 536, 256, 100, 36, 1, 65_535];
const LENGTHS = [65_535, 65_535, 65_000, 40_000, 9000, 1500, 600];
const HARD_RESETS = [0x38, 0x40, 0x50];

export interface FloodEnds {
  readonly ownMac: readonly number[];
  readonly routerMac: readonly number[];
  readonly ownIp: readonly number[];
  readonly routerIp: readonly number[];
  readonly sourcePort: number;
  readonly port: number;
}

/** Writes a frame behind its virtio header into `bytes`, and returns the length of both. */
export function giantFrame(random: Xorshift, ends: FloodEnds, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const gsoType = random.pick(GSO_TYPES);
  const udp = gsoType === VNET_UDP || gsoType === VNET_UDP_L4;
  const length = random.pick(LENGTHS);
  view.setUint8(0, 1);
  view.setUint8(1, gsoType);
  view.setUint16(2, HEADERS, true);
  view.setUint16(4, gsoType === VNET_TCPV4 ? random.pick(GSO_SIZES) : 1448, true);
  view.setUint16(6, 34, true);
  view.setUint16(8, udp ? 6 : 16, true);
  const to = random.unit() < 0.7 ? SITE : ends.routerIp;
  const at = ethernetAndIp(bytes, VNET_HEADER, ends, to, udp ? 17 : 6, length);
  view.setUint16(at, ends.sourcePort);
  view.setUint16(at + 2, random.unit() < 0.5 ? ends.port : random.below(65_536));
  view.setUint16(at + 4, length - 20); // UDP's length, and the first half of TCP's sequence number
  view.setUint16(at + 12, 0x5010);
  return VNET_HEADER + 14 + length;
}

/** The same for a forged OpenVPN control packet of 14 to about 60 bytes. */
export function resetFrame(random: Xorshift, ends: FloodEnds, bytes: Uint8Array): number {
  const payload = [random.pick(HARD_RESETS), ...random.bytes(13 + random.below(48))];
  const at = ethernetAndIp(bytes, VNET_HEADER, ends, ends.routerIp, 17, 28 + payload.length);
  bytes.fill(0, 0, VNET_HEADER);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint16(at, ends.sourcePort);
  view.setUint16(at + 2, ends.port);
  view.setUint16(at + 4, 8 + payload.length);
  view.setUint16(at + 6, 0);
  bytes.set(payload, at + 8);
  return at + 8 + payload.length;
}

function ethernetAndIp(
  bytes: Uint8Array,
  start: number,
  ends: FloodEnds,
  to: readonly number[],
  protocol: number,
  length: number,
): number {
  bytes.set([...ends.routerMac, ...ends.ownMac, 8, 0], start);
  const ip = start + 14;
  bytes.set([0x45, 0, length >> 8, length & 255, 0, 1, 0, 0, 64, protocol, 0, 0, ...ends.ownIp, ...to], ip);
  let sum = 0;
  for (let i = ip; i < ip + 20; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
  bytes[ip + 10] = sum >> 8;
  bytes[ip + 11] = sum & 255;
  return ip + 20;
}

if (import.meta.main) {
  const [device, kind, seconds, rate, seed, ownMac, routerMac, ownIp, routerIp, sourcePort, port] =
    process.argv.slice(2);
  const mac = (text = ""): number[] => text.split(":").map((part) => Number.parseInt(part, 16));
  const ip = (text = ""): number[] => text.split(".").map(Number);
  const ends: FloodEnds = {
    ownMac: mac(ownMac),
    routerMac: mac(routerMac),
    ownIp: ip(ownIp),
    routerIp: ip(routerIp),
    sourcePort: Number(sourcePort),
    port: Number(port),
  };
  const random = new Xorshift(Number(seed));
  const socket = new FrameSocket(device as string, true);
  const frame = kind === "giants" ? giantFrame : resetFrame;
  let [sent, refused] = [0, 0];
  const start = performance.now();
  for (let elapsed = 0; elapsed < Number(seconds) * 1000; elapsed = performance.now() - start) {
    const due = (elapsed / 1000) * Number(rate);
    if (sent + refused >= due) Bun.sleepSync(1);
    for (; sent + refused < due; ) {
      const length = frame(random, ends, socket.out);
      if (socket.sendOut(length) >= 0) sent++;
      else refused++;
    }
  }
  console.log(JSON.stringify({ sent, refused }));
  process.exit(0);
}
