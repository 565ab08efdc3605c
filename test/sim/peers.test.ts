/**
 * Two sessions in one router: each is a peer of the tunnel (Batch.peer). The real RouterPath, netstack and sessions; the two
 * far ends are scripted servers.
 *
 *   LAN host 192.168.50.2 -- gateway -- peer 0: 10.8.0.2              (through 203.0.113.10)
 *                                    \- peer 1: 10.8.0.3, 10.20.0.0/16 (through 203.0.113.11)
 */
import { beforeAll, beforeEach, expect, test } from "bun:test";
import { ROUTER_PATH_BYTES, RouterPath } from "../../src/appliance/wiring/router.ts";
import { Batch } from "../../src/lib/batch.ts";
import { Counters } from "../../src/lib/counters.ts";
import { formatIpv4 } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { HEADROOM, TAILROOM } from "../../src/lib/slab.ts";
import { addr, arp, bytesOf, cidr, frame, icmp, mac, udp } from "../../src/netstack/testing/bed.ts";
import { ARP_REPLY, arpSenderIp, arpTargetIp } from "../../src/netstack/wire/arp.ts";
import { ETHERTYPE_ARP, etherType } from "../../src/netstack/wire/ethernet.ts";
import { ipv4Dst } from "../../src/netstack/wire/ipv4.ts";
import { printIpv4 } from "../../src/netstack/wire/print.ts";
import type { FrameDevice } from "../../src/platform/dev/frame-device.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../src/protocol/data/noble-cbc.ts";
import { NO_DECOMPRESSORS } from "../../src/protocol/ports.ts";
import { ClientSession } from "../../src/protocol/session/client.ts";
import { CERTIFICATE, clientConfig, PUSH, TLS_CRYPT } from "../support/client-config.ts";
import { fakeTlsContext } from "../support/fake-tls.ts";
import { join, UDP4 } from "../support/join.ts";
import { OpenvpnPeer } from "../support/openvpn-peer.ts";

const HOST = "192.168.50.2";
const GATEWAY = "10.8.0.1";
const SERVERS = ["203.0.113.10", "203.0.113.11"] as const;
const WAN = "203.0.113.50";
const MACS = { wan: "52:54:00:00:00:01", lan: "52:54:00:00:00:02", other: "52:54:00:00:00:99" };
const SLOT = HEADROOM + 2048 + TAILROOM;
const ROWS = 32;
const ETHERNET_AND_IP = 34;

/** A network card: frames that were put on it are received, what is sent is kept, ARP is answered for everybody. */
class Wire implements FrameDevice {
  readonly name: string;
  readonly mac: { hi: number; lo: number };
  readonly mtu = 1500;
  readonly udpGso = false;
  readonly counters = new Counters([]);
  readonly sent: Uint8Array<ArrayBuffer>[] = [];
  readonly #own: string;
  readonly #memory: NativeMemory;
  readonly #ring: number;
  #waiting: Uint8Array[] = [];

  constructor(name: string, own: string, memory: NativeMemory) {
    this.name = name;
    this.#own = own;
    this.mac = mac(own);
    this.#memory = memory;
    this.#ring = memory.take(ROWS * SLOT, 64).at;
  }

  put(...packets: Uint8Array[]): void {
    this.#waiting.push(...packets.map((packet) => frame(packet, this.#own, MACS.other)));
  }

  get drained(): boolean {
    return this.#waiting.length === 0;
  }

  receive(batch: Batch): number {
    batch.clear();
    for (const bytes of this.#waiting.splice(0, ROWS)) {
      const at = this.#ring + batch.count * SLOT + HEADROOM + 2;
      this.#memory.bytes.set(bytes, at);
      batch.push(at, bytes.length);
    }
    return batch.count;
  }

  send(batch: Batch): void {
    for (let i = 0; i < batch.count; i++) {
      const bytes = this.#memory.bytes.slice(batch.at[i]!, batch.at[i]! + batch.len[i]!);
      const d = new DataView(bytes.buffer);
      if (etherType(d, 0) !== ETHERTYPE_ARP) this.sent.push(bytes);
      else if (arpSenderIp(d, 14) !== arpTargetIp(d, 14))
        this.#waiting.push(
          arp(ARP_REPLY, formatIpv4(arpTargetIp(d, 14)), formatIpv4(arpSenderIp(d, 14)), MACS.other, this.#own),
        );
    }
  }

  linkUp = () => true;
  mtuNow = (): number => this.mtu;
  statistics = () => ({ received: 0, dropped: 0 });
}

let memory: NativeMemory;
let lan: Wire;
let wan: Wire;
let path: RouterPath;
let servers: OpenvpnPeer[];
let ports: number[];
let now = 1000;

function connect(index: number): ClientSession {
  const random = seededRandom(10 + index);
  const server = new OpenvpnPeer({
    wrap: TLS_CRYPT,
    tls: fakeTlsContext(true, random, CERTIFICATE),
    random,
    cipher: "AES-256-GCM",
    peerId: 5 + index,
    push: PUSH,
    ekm: true,
  });
  const session = new ClientSession(
    clientConfig([], TLS_CRYPT),
    {
      slab: memory,
      aead: nobleAead(memory),
      control: noblePrimitives,
      tls: fakeTlsContext(false, random, CERTIFICATE),
      random,
      scratch: path.sessionScratch,
      cbc: nobleCbc(memory),
      decompressors: NO_DECOMPRESSORS,
    },
    { link: UDP4, unixSeconds: 1_700_000_000 },
  );
  const [datagrams, opened] = [new Batch(1), new Batch(1)];
  const at = memory.take(SLOT, 64).at + HEADROOM;
  session.start(now);
  for (let i = 0; i < 1000 && !session.isUp; i++) {
    now += 20;
    session.handleTimeout(now);
    for (let p = session.pollTransmit(now); p; p = session.pollTransmit(now)) server.handle(now, p);
    for (let p = server.poll(now); p; p = server.poll(now)) {
      memory.bytes.set(p, at);
      datagrams.clear();
      datagrams.push(at, p.length);
      session.handleBatch(now, datagrams, opened);
    }
  }
  servers.push(server);
  ports.push(40_000 + index);
  join(path, session, { address: addr(SERVERS[index]!), port: 1194 }, index, ports[index]);
  return session;
}

const open = (peerToPeer = false): void => {
  const served = { networks: [], peerToPeer };
  path.router.openTunnel(0, { address: cidr(`${GATEWAY}/24`), mtu: 1400, mssClamp: 0, routes: [], served });
  path.router.join(0, { networks: [cidr("10.8.0.2/32")], mssClamp: 0 });
  path.router.join(1, { networks: [cidr("10.8.0.3/32"), cidr("10.20.0.0/16")], mssClamp: 0 });
  path.router.leave(2);
};

beforeAll(() => {
  memory = new NativeMemory(ROUTER_PATH_BYTES + 2 * ROWS * SLOT + 4 * SLOT);
  [lan, wan] = [new Wire("lan", MACS.lan, memory), new Wire("wan", MACS.wan, memory)];
  path = new RouterPath({
    memory,
    wan,
    lan,
    wanMtu: 1500,
    forwarding: { kind: "client", nat: false },
    random: seededRandom(1),
  });
  [servers, ports] = [[], []];
  path.lan.configure({ address: cidr("192.168.50.1/24") });
  path.wan.configure({ address: cidr(`${WAN}/24`) });
  expect([connect(0).isUp, connect(1).isUp]).toEqual([true, true]);
});

/** Lets everything arrive: frames at the router, and datagrams at the servers. */
const run = (): void => {
  for (let i = 0; i < 6; i++) {
    now += 1;
    path.receive(now);
    path.flush(now);
    for (const bytes of wan.sent.splice(0)) {
      const to = SERVERS.findIndex((s) => addr(s).w3 === ipv4Dst(new DataView(bytes.buffer), 14));
      servers[to]!.handle(now, bytes.slice(ETHERNET_AND_IP + 8));
    }
  }
};

/** Packets of the far end of a peer. */
const fromPeer = (index: number, ...packets: Uint8Array[]): void => {
  for (const packet of packets) {
    const sealed = servers[index]!.seal(now, packet)!;
    wan.put(udp({ src: SERVERS[index]!, dst: WAN }, 1194, ports[index]!, sealed));
  }
};

const show = (packet: Uint8Array<ArrayBuffer>, at = 0): string =>
  printIpv4(new DataView(packet.buffer), at, packet.length - at).replace(/ ttl.*(udp|icmp)/, " $1");
/** What the peers got since the last call. */
const got = (): string[][] => servers.map((s) => s.received.splice(0).map((p) => show(Uint8Array.from(p))));
const onLan = (): string[] => lan.sent.splice(0).map((f) => show(f, 14));

beforeEach(() => {
  open();
  lan.put(udp({ src: HOST, dst: "10.8.0.2" }, 1, 1, bytesOf(1)), udp({ src: HOST, dst: "10.8.0.3" }, 1, 1, bytesOf(1)));
  run(); // addresses are resolved
  got();
  onLan();
  path.router.tunnel.drops.values.fill(0);
});

test("a packet goes to the peer that has its destination, in the order of the batch", () => {
  const to = (dst: string, port: number): Uint8Array => udp({ src: HOST, dst }, 7, port, bytesOf(9));
  lan.put(to("10.8.0.2", 1), to("10.20.7.7", 2), to("10.8.0.3", 3), to("10.8.0.2", 4), to("10.8.0.9", 5));
  run();
  expect(got()).toEqual([
    [`${HOST} > 10.8.0.2 udp 7 > 1 len 9`, `${HOST} > 10.8.0.2 udp 7 > 4 len 9`],
    [`${HOST} > 10.20.7.7 udp 7 > 2 len 9`, `${HOST} > 10.8.0.3 udp 7 > 3 len 9`],
  ]);
  expect(onLan()).toEqual([expect.stringContaining(`192.168.50.1 > ${HOST} icmp type 3 code 0`)]);
});

test("packets of both peers reach the LAN, and its answers the peer that asked", () => {
  fromPeer(0, udp({ src: "10.8.0.2", dst: HOST }, 5, 6, bytesOf(3)));
  fromPeer(1, udp({ src: "10.20.1.1", dst: HOST }, 5, 6, bytesOf(3)));
  run();
  expect(onLan()).toEqual([`10.8.0.2 > ${HOST} udp 5 > 6 len 3`, `10.20.1.1 > ${HOST} udp 5 > 6 len 3`]);
  lan.put(udp({ src: HOST, dst: "10.20.1.1" }, 6, 5, bytesOf(4)));
  run();
  expect(got()).toEqual([[], [`${HOST} > 10.20.1.1 udp 6 > 5 len 4`]]);
});

test("what the gateway says goes to the peer that it answers", () => {
  fromPeer(1, icmp({ src: "10.20.9.9", dst: GATEWAY }, 8, 0, 3, bytesOf(8)));
  fromPeer(0, icmp({ src: "10.8.0.2", dst: HOST, ttl: 1 }, 8, 0, 3, bytesOf(8)));
  run();
  expect(got()).toEqual([
    [expect.stringContaining(`${GATEWAY} > 10.8.0.2 icmp type 11 code 0`)],
    [`${GATEWAY} > 10.20.9.9 icmp type 0 code 0 id 0 seq 3`],
  ]);
});

test("a source that the peer has not is dropped and counted, whoever else has it", () => {
  const from = (src: string): Uint8Array => udp({ src, dst: HOST }, 5, 6, bytesOf(3));
  fromPeer(0, from("10.8.0.3"), from("10.20.1.1"), from("198.51.100.7"), from("192.168.50.9"));
  fromPeer(1, from("10.8.0.2"));
  run();
  expect(onLan()).toEqual([]);
  expect(path.tunnel.drops.snapshot()).toEqual({ TunnelForeignSource: 5 });
});

test("peers reach each other where policy says so, and only then", () => {
  const packet = udp({ src: "10.8.0.2", dst: "10.20.4.4" }, 5, 6, bytesOf(3));
  fromPeer(0, packet);
  run();
  expect(got()).toEqual([[expect.stringContaining(`${GATEWAY} > 10.8.0.2 icmp type 3 code 13`)], []]);
  expect(path.router.tunnel.drops.snapshot()).toEqual({ PeerToPeer: 1 });
  open(true);
  fromPeer(0, packet);
  run();
  expect(got()).toEqual([[], ["10.8.0.2 > 10.20.4.4 udp 5 > 6 len 3"]]);
});

test("a socket of the tunnel's side reaches peers by their routes, and hears them", () => {
  const heard: string[] = [];
  const socket = path.tunnel.bindUdp(4000, {
    onDatagram: (_now, src, port, _at, len) => void heard.push(`${src}:${port} ${len}`),
  })!;
  path.tunnel.sendUdp(now, socket, addr("10.20.3.3"), 53, bytesOf(5));
  path.tunnel.sendUdp(now, socket, addr("10.8.0.2"), 53, bytesOf(6));
  path.flush(now);
  fromPeer(1, udp({ src: "10.20.3.3", dst: GATEWAY }, 53, 4000, bytesOf(7)));
  run();
  expect(got()).toEqual([
    [`${GATEWAY} > 10.8.0.2 udp 4000 > 53 len 6`],
    [`${GATEWAY} > 10.20.3.3 udp 4000 > 53 len 5`],
  ]);
  expect(heard).toEqual(["10.20.3.3:53 7"]);
  path.tunnel.closeUdp(socket);
});

test("a peer whose link is gone is not spoken to; the others are", () => {
  path.setCarrier(undefined, 2);
  path.router.join(2, { networks: [cidr("10.8.0.4/32")], mssClamp: 0 });
  const before = path.unsent;
  lan.put(udp({ src: HOST, dst: "10.8.0.4" }, 7, 1, bytesOf(9)), udp({ src: HOST, dst: "10.8.0.2" }, 7, 1, bytesOf(9)));
  run();
  expect(got()).toEqual([[`${HOST} > 10.8.0.2 udp 7 > 1 len 9`], []]);
  expect(path.unsent - before).toBe(1);
});
