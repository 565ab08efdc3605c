/** A turn is bounded by its work, whatever the frames are made of: counted in packets, without a clock. */
import { beforeEach, expect, test } from "bun:test";
import { type Batch, GSO_NONE, GSO_TCPV4, GSO_UDP_L4, MAX_SEGMENTS, segmentsOf } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import { IpAddress } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { HEADROOM, TAILROOM } from "../../lib/slab.ts";
import { addr, arp, bytesOf, cidr, frame, HOST_MAC, mac, ROUTER_MAC, tcp, udp } from "../../netstack/testing/bed.ts";
import { ARP_REQUEST } from "../../netstack/wire/arp.ts";
import { IPV4_DST } from "../../netstack/wire/ipv4.ts";
import { TCP_ACK } from "../../netstack/wire/tcp.ts";
import type { FrameDevice } from "../../platform/dev/frame-device.ts";
import { NativeMemory } from "../../platform/sys/memory.ts";
import { ROUTER_PATH_BYTES, RouterPath } from "./router.ts";

const HOST = "192.168.50.2";
const SITE = "198.51.100.10";
const SERVER = "203.0.113.10";
const SLOT = (HEADROOM + 65_550 + TAILROOM + 63) & ~63;

/** A device with one frame that comes again and again. */
class Tap implements FrameDevice {
  readonly name: string;
  readonly mac = mac(ROUTER_MAC);
  readonly mtu = 1500;
  readonly udpGso = false;
  readonly counters = new Counters([]);
  readonly #memory: NativeMemory;
  readonly #at: number;
  /** How often the frame is still there. */
  waiting = 0;
  #frame: { readonly bytes: Uint8Array; readonly gsoType: number; readonly gsoSize: number } = {
    bytes: new Uint8Array(0),
    gsoType: GSO_NONE,
    gsoSize: 0,
  };

  constructor(name: string, memory: NativeMemory) {
    this.name = name;
    this.#memory = memory;
    this.#at = memory.take(64 * SLOT, 64).at + HEADROOM + 2;
  }

  offer(count: number, bytes: Uint8Array, gsoType: number = GSO_NONE, gsoSize = 0): void {
    this.#frame = { bytes, gsoType, gsoSize };
    this.waiting = count;
  }

  get drained(): boolean {
    return this.waiting === 0;
  }

  receive(batch: Batch, budget: number): number {
    batch.clear();
    const { bytes, gsoType, gsoSize } = this.#frame;
    const segments = segmentsOf(bytes.length, gsoType, gsoSize);
    let work = 0;
    for (; this.waiting > 0 && batch.room > 0 && work + segments <= budget; this.waiting--) {
      const at = this.#at + batch.count * SLOT;
      this.#memory.bytes.set(bytes, at);
      const row = batch.push(at, bytes.length);
      batch.gsoType[row] = gsoType;
      batch.gsoSize[row] = gsoSize;
      work += segments;
    }
    return work;
  }

  send(): void {}
  linkUp = () => true;
  mtuNow = (): number => this.mtu;
  statistics = () => ({ received: 0, dropped: 0 });
}

let memory: NativeMemory;
let lan: Tap;
let wan: Tap;
let path: RouterPath;
/** Packets that went into the tunnel, and that came out of it. */
let [sealed, opened] = [0, 0];

beforeEach(() => {
  memory = new NativeMemory(ROUTER_PATH_BYTES + 128 * SLOT);
  [lan, wan] = [new Tap("l1", memory), new Tap("w0", memory)];
  path = new RouterPath({
    memory,
    wan,
    lan,
    wanMtu: 1500,
    forwarding: { kind: "client", nat: true },
    random: seededRandom(1),
  });
  path.lan.configure({ address: cidr("192.168.50.1/24") });
  path.wan.configure({ address: cidr("203.0.113.50/24"), gateway: addr("203.0.113.1") });
  const request = {
    protocol: "udp",
    remote: { address: addr(SERVER), port: 1194 },
    localPort: 1194,
    float: false,
    longest: 4096,
  } as const;
  path.links.open(0, request, {
    opened() {},
    narrowed() {},
    unreachable() {},
    ended() {},
    handleRows: (_now, _path, rows) => {
      opened += rows.count;
    },
    looksLikeAnswer: () => false,
  });
  path.setCarrier({
    send: (_now, rows) => {
      sealed += rows.count;
    },
  });
  const routes = [{ network: cidr("0.0.0.0/0"), metric: 0 }];
  path.router.openTunnel(0, { address: cidr("10.8.0.2/24"), mtu: 1500, mssClamp: 0, routes });
  lan.offer(1, arp(ARP_REQUEST, HOST, "192.168.50.1", HOST_MAC));
  path.receive(0);
  [sealed, opened] = [0, 0];
});

const superFrame = frame(tcp({ src: HOST, dst: SITE }, { flags: TCP_ACK }, bytesOf(65_000)));
const datagram = frame(udp({ src: SERVER, dst: "203.0.113.50" }, 1194, 1194, bytesOf(1400)));

/** Work of one turn in packets, each way. */
function turn(): { up: number; down: number } {
  [sealed, opened] = [0, 0];
  path.receive(1);
  return { up: sealed, down: opened };
}

test("a saturated upload of super-frames and a download share a turn alike, and it has an end", () => {
  lan.offer(1000, superFrame, GSO_TCPV4, 1400);
  wan.offer(100_000, datagram);
  for (let i = 0; i < 10; i++) {
    const { up, down } = turn();
    expect(up).toBeGreaterThan(MAX_SEGMENTS / 2);
    expect(up).toBeLessThanOrEqual(MAX_SEGMENTS);
    expect(down).toBe(MAX_SEGMENTS);
  }
});

test("super-frames of tiny segments make no turn longer, and are dropped by name where nobody honest sends them", () => {
  for (const gsoSize of [1400, 536, 257, 200, 36, 1, 0]) {
    lan.offer(200, superFrame, GSO_TCPV4, gsoSize);
    wan.offer(100_000, datagram);
    for (let turns = 0; lan.waiting > 0; turns++) {
      expect(turns).toBeLessThanOrEqual(200);
      const { up, down } = turn();
      expect(up).toBeLessThanOrEqual(MAX_SEGMENTS);
      expect(down).toBe(MAX_SEGMENTS);
    }
  }
  expect(path.router.lan!.drops.snapshot()).toEqual({ GsoTooManySegments: 3 * 200, GsoMalformed: 200 });
});

test("so do UDP super-frames on the WAN", () => {
  const large = frame(udp({ src: SERVER, dst: "203.0.113.50" }, 1194, 1194, bytesOf(60_000)));
  for (const gsoSize of [1400, 240, 1]) {
    wan.offer(100, large, GSO_UDP_L4, gsoSize);
    while (wan.waiting > 0) expect(turn().down).toBeLessThanOrEqual(MAX_SEGMENTS);
  }
  expect(path.wan.drops.snapshot()).toEqual({ GsoTooManySegments: 100 });
});

test("a side that is quiet leaves the turn to the other, within its own bound", () => {
  lan.offer(1000, superFrame, GSO_TCPV4, 1400);
  expect(turn()).toEqual({ up: 5 * 47, down: 0 });
  lan.offer(0, superFrame);
  wan.offer(100, datagram);
  expect(turn()).toEqual({ up: 0, down: 100 });
  expect(path.receive(2)).toBe(false);
});

test("the work of a frame: its segments, or what an ordinary MTU makes of it", () => {
  expect(segmentsOf(60, GSO_NONE, 0)).toBe(1);
  expect(segmentsOf(1514, GSO_NONE, 0)).toBe(1);
  expect(segmentsOf(3000, GSO_NONE, 0)).toBe(2);
  expect(segmentsOf(65_550, GSO_NONE, 0)).toBe(44);
  expect(segmentsOf(65_550, GSO_TCPV4, 1448)).toBe(46);
  expect(segmentsOf(65_550, GSO_TCPV4, 60_000)).toBe(44);
  expect(segmentsOf(1000, GSO_TCPV4, 100)).toBe(10);
  expect(segmentsOf(65_550, GSO_TCPV4, 1)).toBe(MAX_SEGMENTS);
  expect(segmentsOf(65_550, GSO_UDP_L4, 0)).toBe(MAX_SEGMENTS);
});

test("another MTU of a device is the interface's from then on, on the WAN never more than settings and lease say", () => {
  path.setMtu("lan", 1000);
  path.setMtu("wan", 1300);
  expect([path.lan.mtu, path.wan.mtu]).toEqual([1000, 1300]);
  path.wan.link.limitMtu(1400);
  expect(path.wan.mtu).toBe(1300);
  path.setMtu("wan", 9000);
  expect(path.wan.mtu).toBe(1400);
  path.wan.link.limitMtu(undefined);
  expect(path.wan.mtu).toBe(1500);
  path.setMtu("lan", 9000);
  expect(path.lan.mtu).toBe(9000);
});

test("with client-nat packets pass the tunnel with the addresses by which its far end knows them, both ways", () => {
  const known: string[] = [];
  path.setNetmap([
    { kind: "dnat", network: addr("10.65.0.0").w3, mask: addr("255.255.0.0").w3, alias: addr("198.51.0.0").w3 },
  ]);
  path.setCarrier({
    send: (_now, rows) => {
      for (let row = 0; row < rows.count; row++) known.push(String(destination(rows.at[row]!)));
    },
  });
  const outgoing = frame(udp({ src: HOST, dst: "10.65.100.10" }, 5000, 53, bytesOf(20)));
  lan.offer(1, outgoing);
  turn();
  expect(known).toEqual([SITE]);
  path.setNetmap([]);
  lan.offer(1, outgoing);
  turn();
  expect(known).toEqual([SITE, "10.65.100.10"]);
});

const destination = (at: number): IpAddress => IpAddress.fromIpv4(memory.view.getInt32(at + IPV4_DST));
