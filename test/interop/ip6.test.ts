/**
 * IPv6 of an interface beside the Linux kernel, on one wire, through the product's own packet device:
 *
 *     b 2001:db8::2 ---- b0 [2001:db8::1]
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Batch, MAX_SEGMENTS } from "../../src/lib/batch.ts";
import type { Outlet } from "../../src/lib/outlet.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena } from "../../src/lib/slab.ts";
import { type EthernetInterface, ethernetInterface } from "../../src/netstack/interface.ts";
import type { Connection } from "../../src/netstack/tcp/connection.ts";
import { PagePool } from "../../src/netstack/tcp/pages.ts";
import type { Tcp } from "../../src/netstack/tcp/tcp.ts";
import { cidr } from "../../src/netstack/testing/bed.ts";
import { addr6 } from "../../src/netstack/testing/bed6.ts";
import { PACKET_DEVICE_BYTES, PacketDevice } from "../../src/platform/dev/packet.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { Poller } from "../../src/platform/sys/poller.ts";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../support/veth.ts";
import { answered } from "../support/world/ping.ts";

const OWN = "2001:db8::1";
const HOST = "2001:db8::2";
const OWN_LL = "fe80::1:1";
const REGION = 1 << 20;
const PAGES = 1024;
const PAGE = 4096;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe.skipIf(!canMakeNamespaces)("IPv6 beside the Linux kernel", () => {
  let world: VethWorld;
  let it: EthernetInterface;
  let tcp: Tcp;
  let step: () => void;
  let now = 1;
  const events: string[] = [];
  const poller = new Poller();

  beforeAll(() => {
    world = makeVethWorld("ip6");
    world.run("b", `sysctl -qw net.ipv6.conf.b1.disable_ipv6=0; ip -6 addr add ${HOST}/64 dev b1 nodad`);
    const memory = new NativeMemory(PACKET_DEVICE_BYTES + 3 * REGION + PAGES * PAGE);
    const device = PacketDevice.open("b0", memory);
    poller.add(device.fd);
    const arena = (): Arena => {
      const piece = memory.take(REGION - 64, 64);
      return new Arena(memory, piece.at, piece.at + piece.length);
    };
    const outlet: Outlet = {
      batch: new Batch(512),
      arena: arena(),
      flush() {
        device.send(outlet.batch);
        outlet.batch.clear();
        outlet.arena.reset();
      },
    };
    it = ethernetInterface({
      slab: memory,
      outlet,
      arena: outlet.arena,
      scratch: arena(),
      name: "lan",
      mac: device.mac,
      mtu: 1500,
      random: seededRandom(1),
      policy: { echo: true, errors: true, announce: true },
    });
    tcp = it.openTcp({ pool: new PagePool(memory, memory.take(PAGES * PAGE, 64).at, PAGE, PAGES) });
    it.link.nd.events = {
      onUsable: (_now, { value }) => events.push(`usable ${value}`),
      onTaken: (_now, { value }) => events.push(`taken ${value}`),
      onConflict: (_now, { value }) => events.push(`conflict ${value}`),
      onNeighborConflict: () => {},
      onUnreachable: (_now, address) => events.push(`unreachable ${address}`),
    };
    const rx = new Batch(64);
    step = () => {
      now = performance.now();
      device.receive(rx, MAX_SEGMENTS);
      it.ingest(now, rx);
      it.handleTimeout(now);
      outlet.flush();
    };
  });
  afterAll(() => world.remove());

  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) {
      step();
      poller.wait(5);
      await turn();
    }
  };
  const inB = async (command: string): Promise<string> => {
    const child = world.spawn("b", ["sh", "-c", command]);
    let text: string | undefined;
    void Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]).then((all) => {
      text = all.join("");
    });
    await until(() => text !== undefined);
    return text!;
  };
  const pings = async (count: number, to: string, more = ""): Promise<number> =>
    answered(await inB(`ping -6 -n -c ${count} -i 0.05 -w 20 ${more} ${to}`), count);
  const configure = (...addresses: string[]): void =>
    it.configure6(performance.now(), {
      addresses: addresses.map((address) => ({ address: cidr(`${address}/64`) })),
      onLink: [cidr("2001:db8::/64")],
    });

  test("what is sent to groups comes in, although our kernel has joined none (IFF_ALLMULTI)", () => {
    expect(Number(world.run("a", "cat /sys/class/net/b0/flags")) & 0x200).toBe(0x200);
  });

  test("an address that the kernel has is not taken; one that nobody has is ours after a second (RFC 4862 5.4)", async () => {
    configure(OWN_LL, OWN, HOST);
    await until(() => events.length >= 3);
    expect(events.toSorted()).toEqual([`taken ${HOST}`, `usable ${OWN}`, `usable ${OWN_LL}`]);
    configure(OWN_LL, OWN);
  });

  test("the kernel does not take an address of ours", async () => {
    world.run("b", `ip -6 addr add ${OWN}/64 dev b1`);
    await until(() => world.run("b", "ip -6 addr show dev b1").includes("dadfailed"));
    world.run("b", `ip -6 addr del ${OWN}/64 dev b1`);
    expect(it.v6.addressing.addresses.map(({ state }) => state)).toEqual(["usable", "usable"]);
  });

  test("the kernel's ping is answered, to all our addresses and to all nodes, also in 45 fragments", async () => {
    expect(await pings(3, OWN)).toBe(3);
    expect(await pings(3, `${OWN_LL}%b1`)).toBe(3);
    expect(await pings(2, OWN, "-s 65000")).toBe(2);
    expect(await pings(2, "ff02::1%b1")).toBe(2);
  });

  test("the kernel's table has us as reachable by what we answered", async () => {
    world.run("b", "ip -6 neigh flush dev b1");
    expect(await pings(1, OWN)).toBe(1);
    expect(world.run("b", `ip -6 neigh show ${OWN} dev b1`)).toContain("REACHABLE");
    // Its probes go to our MAC alone.
    world.run(
      "b",
      `ip -6 neigh change ${OWN} lladdr ${world.run("a", "cat /sys/class/net/b0/address").trim()} nud probe dev b1`,
    );
    const { neighborDiscovery = 0 } = it.counters.snapshot();
    await until(() => world.run("b", `ip -6 neigh show ${OWN} dev b1`).includes("REACHABLE"));
    expect(it.counters.snapshot().neighborDiscovery).toBeGreaterThan(neighborDiscovery);
  });

  test("datagrams of ours reach the kernel's sockets and come back, whole and in fragments both ways", async () => {
    const echo = world.spawn("b", ["python3", "-c", ECHO]);
    const ready = () => world.run("b", "cat /proc/net/udp6").includes(":1389 ");
    await until(ready);
    const heard: string[] = [];
    const socket = it.bindUdp(0, { onDatagram: (_now, src, port, _at, len) => heard.push(`${src} ${port} ${len}`) })!;
    for (const n of [0, 4, 1452, 1453, 5000, 60_000]) {
      it.sendUdp(now, socket, addr6(HOST), 5001, new Uint8Array(n).fill(n));
      await until(() => heard.length > 0);
      expect(heard.splice(0)).toEqual([`${HOST} 5001 ${n}`]);
    }
    echo.kill();
  });

  test("closed ports are told: a datagram's by ICMPv6, a connection's by a reset", async () => {
    expect(await inB(`python3 -c '${REFUSED}'`)).toBe("udp Connection refused\ntcp Connection refused\n");
  });

  test("a megabyte each way over connections that either side begins", async () => {
    const sent = new Uint8Array(1 << 20).map((_, i) => (i * 7 + (i >> 8)) & 0xff);
    const server = world.spawn("b", ["python3", "-c", TCP_ECHO]);
    await until(() => world.run("b", "cat /proc/net/tcp6").includes(":138A "));
    const ours = tcp.connect(now, { address: addr6(HOST), port: 5002 }) as Connection;
    const back = new Uint8Array(sent.length);
    let [out, got] = [0, 0];
    await until(() => {
      if (ours.state === "ESTABLISHED") out += ours.writeBytes(sent.subarray(out));
      got += ours.read(back.subarray(got));
      return got === sent.length || ours.end !== undefined;
    });
    expect([ours.end, Buffer.compare(back, sent)]).toEqual([undefined, 0]);
    ours.close();
    server.kill();
    const listener = tcp.listen(5003)!;
    const client = inB(`python3 -c '${TCP_CLIENT}'`);
    let text: string | undefined;
    void client.then((all) => {
      text = all;
    });
    let theirs: Connection | undefined;
    const buffer = new Uint8Array(65536);
    let waiting = new Uint8Array(0);
    await until(() => {
      theirs ??= listener.accept();
      if (theirs === undefined) return false;
      if (waiting.length === 0) waiting = buffer.slice(0, theirs.read(buffer));
      waiting = waiting.slice(theirs.writeBytes(waiting));
      if (theirs.isFinished) theirs.close();
      return text !== undefined;
    });
    expect(text).toBe(`same True ${OWN}\n`);
  });

  test("the kernel tells us of its closed port", async () => {
    const told: string[] = [];
    const onError = (_now: number, { type, code, dst }: { type: number; code: number; dst: unknown }) =>
      told.push(`${type} ${code} ${dst}`);
    const socket = it.bindUdp(0, { onDatagram: () => {}, onError })!;
    it.sendUdp(now, socket, addr6(HOST), 9, new Uint8Array(1));
    await until(() => told.length > 0);
    expect(told).toEqual([`1 4 ${HOST}`]);
  });

  test("a question of a multicast router is answered with all that we listen to", async () => {
    const before = it.counters.snapshot().listeners ?? 0;
    const text = await inB(`python3 -c '${QUERIER}'`);
    expect(text.trim().split("\n").toSorted()).toEqual(["ff02::1:ff00:1", "ff02::1:ff01:1"]);
    expect(it.counters.snapshot().listeners).toBe(before + 1);
  });

  test("a neighbour that is gone is unreachable", async () => {
    events.length = 0;
    const socket = it.bindUdp(0, { onDatagram: () => {} })!;
    it.sendUdp(now, socket, addr6("2001:db8::77"), 9, new Uint8Array(1));
    await until(() => events.length > 0);
    expect(events).toEqual(["unreachable 2001:db8::77"]);
  }, 20_000);
});

const ECHO = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 5001))
while True:
    data, peer = s.recvfrom(65535)
    assert all(b == len(data) % 256 for b in data)
    s.sendto(data, peer)
`;

const REFUSED = `
import socket
for name, kind in ("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM):
    s = socket.socket(socket.AF_INET6, kind); s.settimeout(10)
    try:
        s.connect(("${OWN}", 9)); s.send(b"x"); s.recv(1)
    except OSError as e: print(name, e.strerror)
`;

const TCP_ECHO = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); s.bind(("::", 5002)); s.listen(); c, a = s.accept()
while True:
    data = c.recv(65536)
    if not data: break
    c.sendall(data)
`;

const TCP_CLIENT = `
import socket, threading, os
c = socket.create_connection(("${OWN}", 5003), 10)
data = os.urandom(1 << 20); got = b""
threading.Thread(target=lambda: c.sendall(data)).start()
while len(got) < len(data):
    more = c.recv(65536)
    if not more: break
    got += more
print("same", got == data, c.getpeername()[0])
`;

/** Sends a general query (RFC 3810 5.1) and prints the groups of the report that comes. */
const QUERIER = `
import socket, struct
link = socket.if_nametoindex("b1")
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58); s.settimeout(10)
s.setsockopt(41, 18, 1); s.setsockopt(41, 17, link); s.setsockopt(41, 67, 1)
r = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86dd)); r.settimeout(10); r.bind(("b1", 0x86dd))
s.setsockopt(41, 54, bytes([0, 0, 5, 2, 0, 0, 1, 0]))
s.sendto(struct.pack("!BBHHH16sBBH", 130, 0, 0, 100, 0, bytes(16), 2, 125, 0), ("ff02::1%b1", 0))
while True:
    f, a = r.recvfrom(2000)
    if a[2] != 4 and f[20] == 0 and len(f) > 62 and f[62] == 143:
        for i in range(struct.unpack("!H", f[68:70])[0]):
            print(socket.inet_ntop(socket.AF_INET6, f[74 + 20 * i:90 + 20 * i]))
        break
`;
