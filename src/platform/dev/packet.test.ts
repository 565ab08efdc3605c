import { afterAll, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../../../test/support/veth.ts";
import { Batch, GSO_TCPV4, GSO_UDP_L4, MAX_SEGMENTS, segmentsOf, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { formatMac, parseMac } from "../../lib/mac.ts";
import { libc } from "../sys/libc.ts";
import { NativeMemory } from "../sys/memory.ts";
import { EVENT_LOOP, Poller } from "../sys/poller.ts";
import { checkInterface } from "./interface.ts";
import { PACKET_DEVICE_BYTES, PacketDevice } from "./packet.ts";

/** Programs that a test starts may wait for a processor. */
setDefaultTimeout(60_000);

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What the kernel does in its own time (a link's state, a frame's delivery) is waited for; the test's timeout bounds it. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await Bun.sleep(2);
}

const refusalsOf = (name: string): string[] =>
  checkInterface(name).dangers.map(({ text, command }) => `${text}; run: ${command}`);

describe.skipIf(!canMakeNamespaces)("PacketDevice between two kernels", () => {
  let world: VethWorld;
  let memory: NativeMemory;
  let b0: PacketDevice;
  let c0: PacketDevice;
  const batch = new Batch(64);
  let largest = 0;
  let superFrames = 0;

  /** A wire: what one device receives the other sends, until `done`. */
  async function bridge(done: () => boolean, look: (batch: Batch) => void = () => {}): Promise<void> {
    const poller = new Poller();
    poller.add(b0.fd);
    poller.add(c0.fd);
    for (let i = 0; !done(); i++) {
      for (const [from, to] of [
        [b0, c0],
        [c0, b0],
      ] as const) {
        from.receive(batch, MAX_SEGMENTS);
        for (let row = 0; row < batch.count; row++) {
          largest = Math.max(largest, batch.len[row]!);
          if (batch.gsoType[row] === GSO_TCPV4) superFrames++;
        }
        look(batch);
        to.send(batch);
      }
      if (poller.wait(20) & EVENT_LOOP || i % 16 === 0) await turn();
    }
  }

  beforeAll(() => {
    world = makeVethWorld("sys");
    memory = new NativeMemory(2 * PACKET_DEVICE_BYTES + (1 << 20));
    b0 = PacketDevice.open("b0", memory);
    c0 = PacketDevice.open("c0", memory); // it is down: the device brings it up
  });
  afterAll(() => world.remove());

  test("knows MAC, MTU and index as ip(8) does, and brought its interface up", async () => {
    const link = JSON.parse(world.run("a", "ip -j link show c0"))[0] as Record<string, unknown>;
    expect(formatMac(c0.mac)).toBe(String(link["address"]));
    expect(c0.mtu).toBe(Number(link["mtu"]));
    expect(c0.index).toBe(Number(link["ifindex"]));
    await until(() => c0.linkUp());
  });

  test("carries ping, and a TCP transfer whole, as super-frames with partial checksums", async () => {
    const server = world.spawn("c", ["python3", "-c", TCP_SERVER]);
    await until(() => world.run("c", "cat /proc/net/tcp").includes(":1388 ")); // port 5000
    const client = world.spawn("b", ["python3", "-c", TCP_CLIENT]);
    let exited = false;
    let partial = 0;
    const output = Promise.all([new Response(server.stdout).text(), client.exited, server.exited]).then((r) => {
      exited = true;
      return r;
    });
    await bridge(
      () => exited,
      (rows) => {
        for (let row = 0; row < rows.count; row++) partial += rows.flags[row]! & VNET_NEEDS_CSUM;
      },
    );
    const [digest, status] = await output;
    expect(status).toBe(0);
    expect(digest.trim()).toBe(new Bun.CryptoHasher("sha256").update("0123456789abcdef".repeat(1 << 18)).digest("hex"));
    expect(largest).toBeGreaterThan(10_000);
    expect(superFrames).toBeGreaterThan(10);
    expect(partial).toBeGreaterThan(0);
    expect(b0.counters.values.slice(2, 6)).toEqual(new Float64Array(4));
  });

  test("a UDP super-frame gathered from two rows arrives as datagrams", async () => {
    const receiver = world.spawn("b", ["python3", "-c", UDP_RECEIVER]);
    const reader = receiver.stdout.getReader();
    let text = "";
    const line = async () => {
      for (;;) {
        const end = text.indexOf("\n");
        if (end >= 0) {
          const first = text.slice(0, end);
          text = text.slice(end + 1);
          return first;
        }
        const { value, done } = await reader.read();
        if (done) throw new Error(`the receiver ended: ${text}`);
        text += new TextDecoder().decode(value);
      }
    };
    expect(await line()).toBe("ready");
    const mac = parseMac(
      String((JSON.parse(world.run("b", "ip -j link show b1")) as { address: string }[])[0]!.address),
    )!;
    const payload = 2500;
    const at = memory.take(4096).at;
    memory.view.setUint16(at, mac.hi);
    memory.view.setInt32(at + 2, mac.lo);
    memory.view.setUint16(at + 6, b0.mac.hi);
    memory.view.setInt32(at + 8, b0.mac.lo);
    memory.view.setUint16(at + 12, 0x0800);
    const ip = [0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 99, 0, 9, 10, 99, 0, 2];
    memory.bytes.set(ip, at + 14);
    memory.view.setUint16(at + 16, 28 + payload);
    memory.view.setUint16(at + 24, ~sum(at + 14, 20) & 0xffff);
    memory.view.setUint16(at + 34, 1111);
    memory.view.setUint16(at + 36, 9999);
    memory.view.setUint16(at + 38, 8 + payload);
    memory.view.setUint16(at + 40, 0);
    // the pseudo-header's sum, as a partial checksum (RFC 768; virtio 5.1.6.2)
    memory.view.setUint16(at + 40, fold(sum(at + 26, 8) + 17 + 8 + payload));
    memory.bytes.fill(0x61, at + 42, at + 42 + payload);
    batch.clear();
    const row = batch.push(at, 1000);
    batch.more[row] = 1;
    batch.flags[row] = VNET_NEEDS_CSUM;
    batch.gsoType[row] = GSO_UDP_L4;
    batch.gsoSize[row] = 1000;
    batch.hdrLen[row] = 42;
    batch.csumStart[row] = 34;
    batch.csumOffset[row] = 6;
    batch.push(at + 1000, 42 + payload - 1000);
    if (b0.udpGso) {
      expect(b0.send(batch)).toBe(1);
      // b's kernel may ask for our MAC, but the datagrams need no answer
      expect(await line()).toBe("1000 1000 500");
    } else {
      expect(b0.send(batch)).toBe(0);
    }
    receiver.kill();
    await receiver.exited;
  });

  test("frames that the interface cannot take are dropped by name, and the ones behind them still go", () => {
    const at = memory.take(4096).at;
    memory.bytes.fill(0xff, at, at + 12);
    const before = b0.counters.snapshot();
    batch.clear();
    batch.push(at, 3000); // longer than the MTU
    const wrong = batch.push(at, 100);
    batch.gsoType[wrong] = 0x55;
    batch.push(at, 60);
    expect(b0.send(batch)).toBe(1);
    const after = b0.counters.snapshot();
    expect([after.txTooLong, after.txRefused]).toEqual([(before.txTooLong ?? 0) + 1, (before.txRefused ?? 0) + 1]);
  });

  test("the kernel's statistics add up: what it received is what was handed over or dropped", async () => {
    // Between two looks a frame may come: b's kernel probes its neighbours when it likes.
    await until(() => {
      while (b0.receive(batch, MAX_SEGMENTS) > 0);
      const handed = b0.counters.values[0]! + (b0.counters.snapshot().rxErrors ?? 0);
      const [first, second] = [b0.statistics(), b0.statistics()];
      return first.received === handed && second.received === handed;
    });
    expect(b0.statistics().dropped).toBe(0);
  });

  test("super-frames are handed over in slices of a budget, in their order, none lost", async () => {
    while (c0.receive(batch, MAX_SEGMENTS) > 0);
    // 12 TCP super-frames of 20,000 bytes, as a guest with its own virtio header sends them: 40 segments each.
    world.run("c", `python3 -c '${SUPER_FRAMES}'`);
    const seen: number[] = [];
    await until(() => {
      const work = c0.receive(batch, MAX_SEGMENTS);
      let counted = 0;
      for (let row = 0; row < batch.count; row++) {
        counted += segmentsOf(batch.len[row]!, batch.gsoType[row]!, batch.gsoSize[row]!);
        if (batch.gsoType[row] !== GSO_TCPV4) continue;
        expect([batch.len[row], batch.gsoSize[row]]).toEqual([20_054, 500]);
        seen.push(memory.view.getUint16(batch.at[row]! + 18)); // the id of the IPv4 header
      }
      expect(work).toBe(counted);
      if (seen.length < 12 && work > 0) expect(c0.drained).toBe(false);
      return seen.length === 12;
    });
    expect(seen).toEqual([...Array(12).keys()]);
    world.run("c", `python3 -c '${SUPER_FRAMES}'`);
    await until(() => c0.receive(batch, 40) === 0 && !c0.drained); // a frame of 41 waits
    while (c0.receive(batch, MAX_SEGMENTS) > 0);
  });

  test("a frame of a VLAN does not pass for an untagged one and is counted; a priority tag (VLAN 0) is no VLAN", async () => {
    while (c0.receive(batch, MAX_SEGMENTS) > 0);
    const before = c0.counters.snapshot().rxVlan ?? 0;
    world.run(
      "c",
      `python3 -c '
import socket
s=socket.socket(17,3); s.bind(("c1",0))
for tag in "8100000588b5", "8100e00588b5", "8100000088b6", "8100e00088b7", "88b8":
    s.send(bytes.fromhex("ffffffffffff${SENDER.replaceAll(":", "")}" + tag)+b"x"*50)'`,
    );
    const seen: number[] = [];
    await until(() => {
      c0.receive(batch, MAX_SEGMENTS);
      for (let row = 0; row < batch.count; row++) {
        const at = batch.at[row]!;
        // c's kernel may probe its neighbours meanwhile
        if (formatMac({ hi: memory.view.getUint16(at + 6), lo: memory.view.getInt32(at + 8) }) !== SENDER) continue;
        seen.push(memory.view.getUint16(at + 12));
      }
      return seen.includes(0x88b8);
    });
    expect(seen).toEqual([0x88b6, 0x88b7, 0x88b8]);
    expect(c0.counters.snapshot().rxVlan).toBe(before + 2);
  });

  test("a bridge's device hears what is for other stations, and frames of VLANs with their tags", async () => {
    const own = new NativeMemory(PACKET_DEVICE_BYTES);
    const d0 = PacketDevice.open("c0", own, "all");
    const { view } = own;
    world.run(
      "c",
      `python3 -c '
import socket
s=socket.socket(17,3); s.bind(("c1",0))
for tag in "8100a00588b5", "81000000810000078100", "88b8":
    s.send(bytes.fromhex("020000000077${SENDER.replaceAll(":", "")}" + tag)+b"x"*50)'`,
    );
    const seen: string[] = [];
    await until(() => {
      d0.receive(batch, MAX_SEGMENTS);
      for (let row = 0; row < batch.count; row++) {
        const at = batch.at[row]!;
        if (view.getUint16(at) !== 0x0200 || view.getInt32(at + 2) !== 0x77) continue;
        seen.push(`${batch.len[row]} ${[0, 2, 4].map((n) => view.getUint16(at + 12 + n).toString(16)).join(" ")}`);
      }
      return seen.length === 3;
    });
    expect(seen).toEqual(["68 8100 a005 88b5", "72 8100 0 8100", "64 88b8 7878 7878"]);
    d0.close();
  });

  test("nothing waits in send: with an interface that takes nothing more the rest is dropped at once and counted", () => {
    world.run("a", "tc qdisc add dev c0 root tbf rate 8kbit burst 2kb limit 100mb");
    const at = memory.take(2048).at;
    memory.bytes.fill(0xff, at, at + 12);
    batch.clear();
    while (batch.room > 0) batch.push(at, 1500);
    const poll = spyOn(libc, "poll");
    const before = c0.counters.snapshot();
    let sent = 0;
    let rounds = 0;
    for (; (c0.counters.snapshot().txBusy ?? 0) === (before.txBusy ?? 0); rounds++) sent += c0.send(batch);
    expect(c0.send(batch)).toBe(0);
    expect(poll).not.toHaveBeenCalled();
    poll.mockRestore();
    expect(c0.counters.snapshot().txBusy).toBe((before.txBusy ?? 0) + (rounds + 1) * batch.count - sent);
    world.run("a", "tc qdisc del dev c0 root");
    expect(c0.send(batch)).toBe(batch.count);
  });

  test("what finds no room in the receive buffer is told as dropped by the kernel", () => {
    while (c0.receive(batch, MAX_SEGMENTS) > 0);
    const before = c0.statistics();
    world.run("c", `python3 -c '${SUPER_FRAMES.replace("range(12)", "range(1500)")}'`); // 30 MB
    let received = 0;
    while (c0.receive(batch, MAX_SEGMENTS) > 0) received += batch.count;
    const after = c0.statistics();
    expect(after.dropped - before.dropped).toBeGreaterThan(100);
    expect(received + after.dropped - before.dropped).toBeGreaterThanOrEqual(1500);
  });

  test("an interface that another one has the name of is not up, whatever that one is", async () => {
    world.run("a", "ip link add d0 type veth peer name d1; ip link set d1 up; ip link set d0 up");
    const d0 = PacketDevice.open("d0", new NativeMemory(PACKET_DEVICE_BYTES));
    await until(() => d0.linkUp());
    world.run("a", "ip link del d0; ip link add d0 type veth peer name d1; ip link set d1 up; ip link set d0 up");
    expect(d0.linkUp()).toBe(false);
    d0.close();
    world.run("a", "ip link del d0");
  });

  test("a link that goes down is seen and counted, nothing throws, and it works again afterwards", async () => {
    const at = memory.take(4096).at;
    memory.bytes.fill(0xff, at, at + 12);
    batch.clear();
    batch.push(at, 60);
    world.run("c", "ip link set c1 down");
    await until(() => !c0.linkUp());
    world.run("a", "ip link set c0 down");
    const rows = new Batch(4);
    c0.receive(rows, MAX_SEGMENTS);
    expect(c0.send(batch)).toBe(0);
    expect(c0.counters.snapshot().txLinkDown).toBe(1);
    world.run("c", "ip link set c1 up");
    world.run("a", "ip link set c0 up");
    c0.receive(rows, MAX_SEGMENTS);
    expect(c0.send(batch)).toBe(1);
    await until(() => c0.linkUp());
  });

  test("an interface with addresses or forwarding is refused, with the command to run", () => {
    expect(checkInterface("b0")).toEqual({ dangers: [], warnings: [] });
    world.run(
      "a",
      "ip addr add 192.0.2.1/24 dev b0; ip addr add 192.0.2.2/32 dev b0 label b0:x; sysctl -qw net.ipv4.conf.b0.forwarding=1",
    );
    const refusals = refusalsOf("b0");
    expect(refusals).toHaveLength(2);
    expect(refusals[0]).toMatch(/b0 .*192\.0\.2\.1, 192\.0\.2\.2 on it; run: ip addr flush dev b0$/);
    expect(refusals[1]).toEndWith("run: sysctl -w net.ipv4.conf.b0.forwarding=0");
    expect(refusalsOf("c0")).toEqual([]);
    world.run("a", "ip addr flush dev b0; sysctl -qw net.ipv4.conf.b0.forwarding=0");
    expect(refusalsOf("b0")).toEqual([]);
  });

  test("IPv6 that the kernel forwards is refused whatever the interface's own switch says, and so is a port of a bridge", () => {
    world.run("a", "sysctl -qw net.ipv6.conf.all.forwarding=1; sysctl -qw net.ipv6.conf.b0.forwarding=0");
    expect(checkInterface("b0")).toEqual({ dangers: [], warnings: [] }); // IPv6 is off
    world.run("a", "ip addr flush dev b0; sysctl -qw net.ipv6.conf.b0.disable_ipv6=0");
    const off = "sysctl -w net.ipv6.conf.b0.disable_ipv6=1";
    expect(refusalsOf("b0")).toEqual([`b0: the kernel forwards IPv6 packets from it; run: ${off}`]);
    world.run(
      "a",
      `${off}; sysctl -qw net.ipv6.conf.all.forwarding=0; ip link add br7 type bridge; ip link set b0 master br7`,
    );
    const nomaster = "ip link set dev b0 nomaster";
    expect(refusalsOf("b0")).toEqual([`b0 is a port of br7, which passes its frames on beside us; run: ${nomaster}`]);
    world.run("a", `${nomaster}; ip link del br7`);
    expect(checkInterface("b0")).toEqual({ dangers: [], warnings: [] });
  });

  test("no such interface, and one that is not Ethernet, are named", () => {
    expect(() => PacketDevice.open("nosuch0", memory)).toThrow('there is no network interface "nosuch0"');
    expect(() => PacketDevice.open("lo", memory)).toThrow("lo is not an Ethernet interface");
  });

  test("close takes down only what the device brought up", () => {
    b0.close();
    c0.close();
    expect(world.run("a", "ip -o link show b0")).toMatch(/<[^>]*\bUP\b/);
    expect(world.run("a", "ip -o link show c0")).not.toMatch(/<[^>]*\bUP\b/);
  });

  const fold = (n: number): number => (n > 0xffff ? fold((n & 0xffff) + (n >>> 16)) : n);
  const sum = (at: number, length: number): number => {
    let total = 0;
    for (let i = 0; i < length; i += 2) total += memory.view.getUint16(at + i);
    return fold(total);
  };
});

/** Source of the frames that a test sends by itself. */
const SENDER = "02:00:00:00:00:01";

const SUPER_FRAMES = `
import socket, struct
s = socket.socket(17, 3); s.setsockopt(263, 15, 1); s.bind(("c1", 0))
for i in range(12):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20040, i, 0, 64, 6, 0, bytes([10,99,0,3]), bytes([10,99,0,9]))
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 512, 0, 0)
    s.send(struct.pack("<BBHHHH", 1, 1, 54, 500, 34, 16) + b"\\xff" * 6 + bytes.fromhex("020000000001") + b"\\x08\\0" + ip + tcp + bytes(20000))`;
const TCP_SERVER = `
import socket, hashlib
s = socket.create_server(("10.99.0.3", 5000))
c, _ = s.accept(); h = hashlib.sha256()
while True:
    d = c.recv(1 << 20)
    if not d: break
    h.update(d)
print(h.hexdigest())`;
const TCP_CLIENT = `
import socket
c = socket.create_connection(("10.99.0.3", 5000))
c.sendall(b"0123456789abcdef" * (1 << 18)); c.close()`;
const UDP_RECEIVER = `
import socket
s = socket.socket(2, 2); s.bind(("10.99.0.2", 9999))
print("ready", flush=True)
print(*[len(s.recv(9000)) for i in range(3)], flush=True)`;
