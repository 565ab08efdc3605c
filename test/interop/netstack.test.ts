/**
 * The router between two Linux kernels: b is the LAN host, c stands at the other end of a "tunnel" that is a plain wire.
 *
 *     b 10.99.0.2 ---- b0 [LAN 10.99.0.1 | router, NAT | tunnel 10.77.0.2, MTU 1400] c0 ---- c 10.77.0.3
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Batch, GSO_TCPV4, MAX_SEGMENTS, VNET_NEEDS_CSUM } from "../../src/lib/batch.ts";
import type { Outlet } from "../../src/lib/outlet.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena } from "../../src/lib/slab.ts";
import { type EthernetInterface, ethernetInterface, tunnelInterface } from "../../src/netstack/interface.ts";
import { ip4Read } from "../../src/netstack/ip4/check.ts";
import { NAT_IPV4 } from "../../src/netstack/nat/ip4.ts";
import { Nat } from "../../src/netstack/nat/nat.ts";
import { segmentCount, tcpSegmentCopy, tcpSuperHeaderLen } from "../../src/netstack/offload/split.ts";
import { Packet } from "../../src/netstack/packet.ts";
import { Router } from "../../src/netstack/router.ts";
import { cidr, ip } from "../../src/netstack/testing/bed.ts";
import { ETHERTYPE_IPV4, etherType } from "../../src/netstack/wire/ethernet.ts";
import { ipv4TotalLen } from "../../src/netstack/wire/ipv4.ts";
import { PACKET_DEVICE_BYTES, PacketDevice } from "../../src/platform/dev/packet.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { Poller } from "../../src/platform/sys/poller.ts";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../support/veth.ts";
import { answered } from "../support/world/ping.ts";

/** Whether this machine's kernel has VXLAN, as Debian's does. */
const hasVxlan =
  canMakeNamespaces &&
  Bun.spawnSync(["unshare", "-n", "ip", "link", "add", "vx0", "type", "vxlan", "id", "7", "dstport", "4789"]).success;
const REGION = 1 << 20;
const PIECES = 8 << 20;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe.skipIf(!canMakeNamespaces)("the router between two kernels", () => {
  let world: VethWorld;
  let step: () => void;
  let router: Router;
  const poller = new Poller();

  beforeAll(() => {
    world = makeVethWorld("net");
    world.run("b", "ip route add default via 10.99.0.1");
    world.run("c", "ip addr flush dev c1; ip addr add 10.77.0.3/24 dev c1");
    const memory = new NativeMemory(2 * PACKET_DEVICE_BYTES + 7 * REGION + PIECES);
    const near = PacketDevice.open("b0", memory);
    const wire = PacketDevice.open("c0", memory);
    poller.add(near.fd);
    poller.add(wire.fd);
    const arena = (bytes = REGION): Arena => {
      const piece = memory.take(bytes - 64, 64);
      return new Arena(memory, piece.at, piece.at + piece.length);
    };
    const outletTo = (device: PacketDevice): Outlet => {
      const outlet = {
        batch: new Batch(512),
        arena: arena(),
        flush() {
          device.send(outlet.batch);
          outlet.batch.clear();
          outlet.arena.reset();
        },
      };
      return outlet;
    };
    const random = seededRandom(1);
    const make = (name: "lan" | "wan", device: PacketDevice, outlet: Outlet): EthernetInterface => {
      const open = name === "lan";
      const policy = { echo: open, errors: open, announce: open };
      const own = { arena: outlet.arena, scratch: arena() };
      return ethernetInterface({ slab: memory, outlet, ...own, name, mac: device.mac, mtu: 1500, random, policy });
    };
    const lanOut = outletTo(near);
    const farOut = outletTo(wire);
    const lan = make("lan", near, lanOut);
    const far = make("wan", wire, farOut);
    const p = new Packet();
    let now = 1;
    const plain = new Batch(4096);
    const tunnel: Outlet = {
      batch: new Batch(512),
      arena: arena(),
      flush() {
        const { batch } = tunnel;
        for (let i = 0; i < batch.count; i++) {
          ip4Read(memory.view, p, batch.at[i]!);
          far.v4.output.send(p, far.v4.output.route(now, ip("10.77.0.3")));
        }
        farOut.flush();
        batch.clear();
        tunnel.arena.reset();
      },
    };
    const nat = new Nat({ family: NAT_IPV4, slab: memory, random, limit: 1000 });
    const side = tunnelInterface({
      slab: memory,
      outlet: tunnel,
      scratch: arena(),
      name: "tunnel",
      random,
      policy: { echo: true, errors: true, announce: false },
    });
    router = new Router({ slab: memory, lan, tunnel: side, nat, random: seededRandom(7) });
    far.configure({ address: cidr("10.77.0.2/24") });
    lan.configure({ address: cidr("10.99.0.1/24") });
    const routes = [{ network: cidr("10.77.0.0/24"), metric: 0 }];
    router.openTunnel(0, { address: cidr("10.77.0.2/24"), mtu: 1400, mssClamp: 0, routes });
    const rx = new Batch(64);
    const arps = new Batch(64);
    // every frame of a receive may be a super-frame
    const pieces = arena(PIECES);
    step = () => {
      now = performance.now();
      near.receive(rx, MAX_SEGMENTS);
      lan.ingest(now, rx);
      tunnel.flush();
      lanOut.flush();
      wire.receive(rx, MAX_SEGMENTS);
      plain.clear();
      arps.clear();
      pieces.reset();
      const d = memory.view;
      for (let i = 0; i < rx.count; i++) {
        const at = rx.at[i]! + 14;
        if (etherType(d, rx.at[i]!) !== ETHERTYPE_IPV4) arps.push(rx.at[i]!, rx.len[i]!);
        else if (rx.gsoType[i] === GSO_TCPV4) {
          ip4Read(d, p, at);
          const headerLen = tcpSuperHeaderLen(d, p);
          for (let k = 0; k < segmentCount(p.len, headerLen, rx.gsoSize[i]!); k++) {
            const to = pieces.take(1500);
            plain.push(to, tcpSegmentCopy(memory, p, headerLen, rx.gsoSize[i]!, k, to));
          }
        } else {
          if ((rx.flags[i]! & VNET_NEEDS_CSUM) !== 0) completeAsTheTunnelSawIt(i, at);
          plain.push(at, rx.len[i]! - 14);
        }
      }
      far.ingest(now, arps);
      side.ingest(now, plain);
      tunnel.flush();
      farOut.flush();
      lanOut.flush();
      if (Math.min(lan.pollAt(), far.pollAt()) <= now) {
        lan.handleTimeout(now);
        far.handleTimeout(now);
      }
    };
    const completeAsTheTunnelSawIt = (row: number, at: number): void => {
      const start = rx.at[row]! + rx.csumStart[row]!;
      const end = at + ipv4TotalLen(memory.view, at);
      let sum = 0;
      for (let p = start; p < end; p++) sum += memory.view.getUint8(p) << ((p - start) & 1 ? 0 : 8);
      while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
      memory.view.setUint16(start + rx.csumOffset[row]!, ~sum & 0xffff || 0xffff);
    };
  });
  afterAll(() => world.remove());

  const drive = async (...programs: Bun.Subprocess<"pipe", "pipe", "pipe">[]): Promise<string> => {
    let done = false;
    const all = Promise.all(
      programs.map(async (p) => (await new Response(p.stdout).text()) + (await new Response(p.stderr).text())),
    ).then((texts) => {
      done = true;
      return texts.join("");
    });
    while (!done) {
      step();
      poller.wait(5);
      await turn();
    }
    return all;
  };
  /** How many of `count` pings are answered, late ones included. */
  const pings = async (count: number, to: string, more = ""): Promise<number> =>
    answered(await inB(`ping -n -c ${count} -i 0.05 -w 20 ${more} ${to}`), count);
  const inB = (command: string) => drive(world.spawn("b", ["sh", "-c", command]));

  test("the gateway answers ping, also in 45 fragments", async () => {
    expect(await pings(3, "10.99.0.1")).toBe(3);
    expect(await pings(2, "10.99.0.1", "-s 65000")).toBe(2);
  });

  test("ping through the translator, whole and in fragments; TTL 1 ends at the gateway", async () => {
    expect(await pings(3, "10.77.0.3")).toBe(3);
    expect(await pings(2, "10.77.0.3", "-s 20000")).toBe(2);
    expect(await inB("ping -c 1 -W 20 -t 1 10.77.0.3")).toMatch(/From 10\.99\.0\.1.*Time to live exceeded/);
  });

  test("too big with DF: the sender's kernel learns the tunnel's MTU; no route: net unreachable", async () => {
    expect(await inB("ping -c 1 -W 20 -M do -s 1472 10.77.0.3")).toMatch(/mtu = 1400/);
    expect(await inB("ping -c 1 -W 20 -M do -s 1372 10.77.0.3")).toContain(" 1 received");
    expect(await inB("ping -c 1 -W 20 192.0.2.1")).toMatch(/From 10\.99\.0\.1.*Net Unreachable/);
  });

  test("4 MiB each way over TCP arrive whole (super-frames split, MSS clamped)", async () => {
    const server = world.spawn("c", ["python3", "-c", ECHO_SERVER]);
    while (!world.run("c", "cat /proc/net/tcp").includes(":1388 ")) await Bun.sleep(10); // port 5000
    const text = await drive(server, world.spawn("b", ["python3", "-c", CLIENT]));
    expect(text).toContain("same True mss 1348");
    expect(router.lan!.drops.snapshot()["GsoMalformed"]).toBeUndefined();
  });

  test.skipIf(!hasVxlan)(
    "UDP and TCP in a VXLAN of the LAN host: checksums that its kernel left partial within arrive complete",
    async () => {
      const vxlan = (remote: string, address: string): string =>
        `ip link add vx0 type vxlan id 7 remote ${remote} srcport 4789 4790 dstport 4789 && ip addr add ${address}/24 dev vx0 && ip link set vx0 mtu 1300 up`;
      world.run("b", vxlan("10.77.0.3", "10.1.0.1"));
      world.run("c", vxlan("10.77.0.2", "10.1.0.2"));
      const server = world.spawn("c", ["python3", "-c", VXLAN_SERVER]);
      expect(await drive(server, world.spawn("b", ["python3", "-c", VXLAN_CLIENT]))).toContain("udp hello tcp hello");
    },
    20_000,
  );

  test("closed ports of the gateway and beyond the translator refuse at once", async () => {
    const text = await inB(`python3 -c '${REFUSED}'`);
    expect(text.split("\n").filter((l) => l === "ConnectionRefusedError").length).toBe(4);
  });
});

const ECHO_SERVER = `
import socket
s = socket.create_server(("10.77.0.3", 5000))
c, _ = s.accept(); data = b""
while len(data) < 1 << 22: data += c.recv(1 << 20)
c.sendall(data); c.close()`;
const CLIENT = `
import socket, os
data = os.urandom(1 << 22)
c = socket.create_connection(("10.77.0.3", 5000))
mss = c.getsockopt(6, 2)
c.sendall(data); back = b""
while len(back) < len(data):
    d = c.recv(1 << 20)
    if not d: break
    back += d
print("same", back == data, "mss", mss)`;
const REFUSED = `
import socket
for host in ("10.99.0.1", "10.77.0.3"):
    for kind in (1, 2):
        s = socket.socket(2, kind); s.settimeout(20)
        try:
            s.connect((host, 9)); s.send(b"x"); s.recv(9)
        except OSError as e: print(type(e).__name__)`;

const VXLAN_SERVER = `
import socket
u = socket.socket(2, 2); u.bind(("10.1.0.2", 5000)); u.settimeout(10)
s = socket.create_server(("10.1.0.2", 5000)); s.settimeout(10)
data, peer = u.recvfrom(99); u.sendto(data, peer)
c, _ = s.accept(); c.settimeout(10); c.sendall(c.recv(99)); c.recv(1)`;
const VXLAN_CLIENT = `
import socket, time
u = socket.socket(2, 2); u.settimeout(0.3)
for i in range(40):
    try:
        u.sendto(b"hello", ("10.1.0.2", 5000)); udp = u.recv(99); break
    except OSError: time.sleep(0.1)
c = socket.create_connection(("10.1.0.2", 5000), 5); c.settimeout(5); c.sendall(b"hello")
print("udp", udp.decode(), "tcp", c.recv(99).decode())`;
