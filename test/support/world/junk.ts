/**
 * Sends hostile frames on one interface: random, cut off and bit-flipped versions of plausible ones, the same for the same seed.
 * `bun junk.ts DEVICE SIDE COUNT SEED OWN-MAC ROUTER-MAC OWN-IP ROUTER-IP`, SIDE is "lan" or "wan". On the WAN the source MAC always is our own,
 * so that a capture can tell these frames from the router's. One line of JSON at the end: how many frames the kernel took.
 */
import { Xorshift } from "./rng.ts";
import { FrameSocket } from "./sockets.ts";

/** The far host that plausible LAN frames want to reach. */
const SITE = [198, 51, 100, 10];
const PORTS = [7, 53, 67, 68, 1194, 8080];
const OPCODES = [0x20, 0x28, 0x38, 0x40, 0x48, 0x50, 0x58];

export interface JunkSource {
  readonly side: "lan" | "wan";
  readonly ownMac: readonly number[];
  readonly routerMac: readonly number[];
  readonly ownIp: readonly number[];
  readonly routerIp: readonly number[];
}

/** One frame of 14 to about 400 bytes. */
export function junkFrame(random: Xorshift, source: JunkSource): Uint8Array {
  const destination = random.unit() < 0.85 ? source.routerMac : [255, 255, 255, 255, 255, 255];
  let frame = Uint8Array.from([...destination, ...source.ownMac, ...plausible(random, source)]);
  const fate = random.unit();
  if (fate < 0.1) frame = Uint8Array.from([...frame.subarray(0, 12), ...random.bytes(2 + random.below(300))]);
  else if (fate < 0.4) frame = frame.slice(0, 14 + random.below(frame.length - 13));
  else if (fate < 0.9) {
    for (let n = 1 + random.below(6); n > 0; n--) frame[12 + random.below(frame.length - 12)]! ^= 1 << random.below(8);
  }
  // Half of them get their checksums mended, or the first check would stop nearly all.
  if (random.unit() < 0.5) mend(frame);
  return frame;
}

function plausible(random: Xorshift, source: JunkSource): number[] {
  const to = source.side === "lan" && random.unit() < 0.5 ? SITE : source.routerIp;
  const ip = (protocol: number, body: readonly number[]): number[] => [
    8,
    0,
    ...ipv4(random, protocol, source.ownIp, to, body),
  ];
  switch (random.below(8)) {
    case 0:
      return [
        8,
        6,
        0,
        1,
        8,
        0,
        6,
        4,
        0,
        1 + random.below(2),
        ...source.ownMac,
        ...source.ownIp,
        ...source.routerMac,
        ...source.routerIp,
      ];
    case 1: {
      const quoted =
        random.unit() < 0.5 ? ipv4(random, 17, to, SITE, udp(random, 1194, 1194, [])) : random.bytes(random.below(64));
      return ip(1, [random.pick([0, 3, 5, 8, 11, 12]), random.below(16), 0, 0, ...random.bytes(4), ...quoted]);
    }
    case 2:
    case 3: {
      const port = random.pick(PORTS);
      return ip(
        17,
        udp(
          random,
          port,
          random.unit() < 0.7 ? random.pick(PORTS) : random.below(65536),
          opening(random, port, source),
        ),
      );
    }
    case 4:
      return ip(6, [...random.bytes(12), 0x50, random.below(256), 4, 0, 0, 0, 0, 0]);
    case 5:
      return [0x86, 0xdd, ...random.bytes(40 + random.below(80))];
    case 6: {
      // A fragment: random offset, more of them to come or not.
      const packet = ipv4(random, 17, source.ownIp, to, [...random.bytes(8 * (1 + random.below(20)))]);
      packet[6] = random.below(64);
      packet[7] = random.below(256);
      return [8, 0, ...packet];
    }
    default:
      return ip(random.below(256), [...random.bytes(random.below(100))]);
  }
}

/** The first bytes that the port's protocol expects, then noise. */
function opening(random: Xorshift, port: number, source: JunkSource): number[] {
  const noise = random.bytes(1 + random.below(200));
  if (port === 53)
    return [
      ...random.bytes(2),
      0x81,
      0x80,
      0,
      1,
      0,
      random.below(4),
      0,
      0,
      0,
      0,
      3,
      118,
      112,
      110,
      7,
      101,
      120,
      97,
      109,
      112,
      108,
      101,
      0,
      0,
      1,
      0,
      1,
      0xc0,
      12,
      0,
      1,
      0,
      1,
      ...noise,
    ];
  if (port === 67)
    return [
      2,
      1,
      6,
      0,
      ...random.bytes(4),
      ...new Array(8).fill(0),
      ...random.bytes(8),
      ...source.ownMac,
      ...new Array(202).fill(0),
      0x63,
      0x82,
      0x53,
      0x63,
      0x35,
      1,
      ...noise,
    ];
  if (port === 1194) return [random.pick(OPCODES), ...random.bytes(8), ...noise];
  return [...noise];
}

function udp(_random: Xorshift, from: number, to: number, payload: readonly number[]): number[] {
  const length = 8 + payload.length;
  return [from >> 8, from & 255, to >> 8, to & 255, length >> 8, length & 255, 0, 0, ...payload];
}

function ipv4(
  random: Xorshift,
  protocol: number,
  from: readonly number[],
  to: readonly number[],
  body: ArrayLike<number>,
): number[] {
  const length = 20 + body.length;
  const bytes = [
    0x45,
    0,
    length >> 8,
    length & 255,
    ...random.bytes(2),
    0,
    0,
    64,
    protocol,
    0,
    0,
    ...from,
    ...to,
    ...Array.from(body),
  ];
  put(bytes, 10, sum(bytes, 0, 20, 0));
  return bytes;
}

/** The checksums that the frame's own fields call for, where they fit. */
function mend(frame: Uint8Array): void {
  if (frame.length < 34 || frame[12] !== 8 || frame[13] !== 0) return;
  const header = (frame[14]! & 15) * 4;
  const l4 = 14 + header;
  if (header < 20 || l4 > frame.length) return;
  const end = Math.min(frame.length, 14 + ((frame[16]! << 8) | frame[17]!));
  const at = l4 + ({ 1: 2, 6: 16, 17: 6 }[frame[23]!] ?? Number.NaN);
  if (at + 2 <= end) {
    put(frame, at, 0);
    let pseudo = 0;
    if (frame[23] !== 1) {
      for (let i = 26; i < 34; i += 2) pseudo += (frame[i]! << 8) | frame[i + 1]!;
      pseudo += frame[23]! + end - l4;
    }
    put(frame, at, sum(frame, l4, end, pseudo));
  }
  put(frame, 24, 0);
  put(frame, 24, sum(frame, 14, l4, 0));
}

/** RFC 1071 over [start, end). */
function sum(bytes: ArrayLike<number>, start: number, end: number, initial: number): number {
  let total = initial;
  for (let i = start; i < end; i += 2) total += (bytes[i]! << 8) | (i + 1 < end ? bytes[i + 1]! : 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

function put(bytes: number[] | Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 255;
}

if (import.meta.main) {
  const [device = "", side = "", count = "", seed = "", ownMac = "", routerMac = "", ownIp = "", routerIp = ""] =
    process.argv.slice(2);
  const mac = (text: string): number[] => text.split(":").map((part) => Number.parseInt(part, 16));
  const ip = (text: string): number[] => text.split(".").map(Number);
  const source: JunkSource = {
    side: side as JunkSource["side"],
    ownMac: mac(ownMac),
    routerMac: mac(routerMac),
    ownIp: ip(ownIp),
    routerIp: ip(routerIp),
  };
  const random = new Xorshift(Number(seed));
  const socket = new FrameSocket(device);
  let sent = 0;
  for (let i = 0; i < Number(count); i++) if (socket.send(junkFrame(random, source)) >= 0) sent++;
  console.log(JSON.stringify({ sent }));
  process.exit(0);
}
