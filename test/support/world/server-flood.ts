/**
 * What strangers do to a server that listens:
 *   `bun server-flood.ts packets DEVICE OWN-MAC SERVER-MAC SERVER-IP PORT FILE COUNT RATE SEED [IP:PORT]`: datagrams from addresses and ports
 *   that are made up (100.64.0.0/10), or from a given one, each with a line of FILE (hex) as its payload; RATE a second: {sent, bytes, seconds}
 *   `bun server-flood.ts connections HOST PORT COUNT SECONDS`: connections that say nothing, or the beginning of a packet, and stay for so long
 *   after the last one began: {opened, most, open}
 * One line of JSON at the end.
 */
import { readFileSync } from "node:fs";
import { Xorshift } from "./rng.ts";
import { FrameSocket } from "./sockets.ts";

const ETHERNET = 14;
const IP = 20;
const UDP = 8;
const MADE_UP = (100 << 24) | (64 << 16);
/** At once in the midst of opening. */
const OPENING = 200;

export interface SpoofedEnds {
  readonly ownMac: readonly number[];
  readonly serverMac: readonly number[];
  readonly serverIp: readonly number[];
  readonly port: number;
  /** undefined: made up */
  readonly from: { readonly ip: number; readonly port: number } | undefined;
}

/** Writes a frame with this payload from anybody into `bytes` and returns its length. */
export function spoofedFrame(random: Xorshift, ends: SpoofedEnds, payload: Uint8Array, bytes: Uint8Array): number {
  const { ownMac, serverMac, serverIp, port } = ends;
  const source = ends.from?.ip ?? (MADE_UP + random.below(1 << 22)) >>> 0;
  const length = IP + UDP + payload.length;
  const own = [source >>> 24, (source >>> 16) & 255, (source >>> 8) & 255, source & 255];
  bytes.set([...serverMac, ...ownMac, 8, 0], 0);
  bytes.set([0x45, 0, length >> 8, length & 255, 0, 1, 0, 0, 64, 17, 0, 0, ...own, ...serverIp], ETHERNET);
  let sum = 0;
  for (let i = ETHERNET; i < ETHERNET + IP; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
  bytes[ETHERNET + 10] = sum >> 8;
  bytes[ETHERNET + 11] = sum & 255;
  const from = ends.from?.port ?? 1024 + random.below(60_000);
  const udp = UDP + payload.length;
  // Without a checksum, which IPv4 allows (RFC 768).
  bytes.set([from >> 8, from & 255, port >> 8, port & 255, udp >> 8, udp & 255, 0, 0], ETHERNET + IP);
  bytes.set(payload, ETHERNET + IP + UDP);
  return ETHERNET + length;
}

function packets(args: readonly string[]): object {
  const [device = "", ownMac = "", serverMac = "", serverIp = "", port, file = "", count, rate, seed, from] = args;
  const mac = (text: string): number[] => text.split(":").map((part) => Number.parseInt(part, 16));
  const [, ip = "", fromPort] = /^(.*):(\d+)$/.exec(from ?? "") ?? [];
  const ends: SpoofedEnds = {
    ownMac: mac(ownMac),
    serverMac: mac(serverMac),
    serverIp: serverIp.split(".").map(Number),
    port: Number(port),
    from:
      fromPort === undefined
        ? undefined
        : { ip: ip.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0), port: Number(fromPort) },
  };
  const payloads = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => Uint8Array.fromHex(line));
  const random = new Xorshift(Number(seed));
  const socket = new FrameSocket(device);
  const start = performance.now();
  let [sent, bytes] = [0, 0];
  while (sent < Number(count)) {
    const due = Math.min(Number(count), ((performance.now() - start) / 1000) * Number(rate));
    if (sent >= due) Bun.sleepSync(1);
    for (; sent < due; sent++) {
      const length = spoofedFrame(random, ends, random.pick(payloads), socket.out);
      while (socket.sendOut(length) < 0) Bun.sleepSync(1);
      bytes += length;
    }
  }
  return { sent, bytes, seconds: (performance.now() - start) / 1000 };
}

async function connections([hostname = "", port, count, seconds]: readonly string[]): Promise<object> {
  /** A length, and a part of what should follow; nothing; half a length. */
  const beginnings = [Uint8Array.of(0, 54, 0x38, 1, 2), new Uint8Array(0), Uint8Array.of(0)];
  let [opened, open, most] = [0, 0, 0];
  const open1 = async (n: number): Promise<void> => {
    try {
      const socket = await Bun.connect({
        hostname,
        port: Number(port),
        socket: {
          data() {},
          error() {},
          close() {
            open--;
          },
        },
      });
      opened++;
      most = Math.max(most, ++open);
      socket.write(beginnings[n % beginnings.length]!);
    } catch {
      // It is not let in: that is the server's right.
    }
  };
  for (let n = 0; n < Number(count); n += OPENING)
    await Promise.all(Array.from({ length: OPENING }, (_, k) => open1(n + k)));
  await Bun.sleep(Number(seconds) * 1000);
  return { opened, most, open };
}

if (import.meta.main) {
  const [verb, ...args] = process.argv.slice(2);
  console.log(JSON.stringify(verb === "packets" ? packets(args) : await connections(args)));
  process.exit(0);
}
