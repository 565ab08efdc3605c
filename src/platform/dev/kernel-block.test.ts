/** The block of the kernel in namespaces of the real one: what it still hears and says, and what is left afterwards. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../../../test/support/veth.ts";
import { Batch, MAX_SEGMENTS } from "../../lib/batch.ts";
import { NativeMemory } from "../sys/memory.ts";
import { interfaceIndex } from "../sys/syscalls.ts";
import { blockKernel, unblockKernel } from "./kernel-block.ts";
import { PACKET_DEVICE_BYTES, PacketDevice } from "./packet.ts";

setDefaultTimeout(120_000);

/** Whether this machine's kernel has interfaces for VLANs, as Debian's does; where it has none, none of their frames can be lost. */
const hasVlans =
  Bun.spawnSync(["unshare", "-n", "sh", "-ec", "ip link set lo up; ip link add link lo name v type vlan id 7"])
    .exitCode === 0;

describe.skipIf(!canMakeNamespaces)("the kernel's block", () => {
  let world: VethWorld;
  let device: PacketDevice;
  let memory: NativeMemory;
  let index = 0;
  const rows = new Batch(64);

  const qdiscs = (): string => world.run("a", "tc qdisc show dev b0");
  const filters = (way: string): string => world.run("a", `tc filter show dev b0 ${way}`);
  const answers = (command: string): boolean => {
    try {
      world.run("b", command);
      return true;
    } catch {
      return false;
    }
  };
  const pings = (address: string): boolean => answers(`ip neigh flush dev b1; ping -c 1 -W 1 ${address}`);
  const received = (): number => {
    let frames = 0;
    do {
      device.receive(rows, MAX_SEGMENTS);
      frames += rows.count;
    } while (rows.count > 0);
    return frames;
  };

  beforeAll(() => {
    world = makeVethWorld("blk");
    memory = new NativeMemory(PACKET_DEVICE_BYTES + (1 << 16));
    device = PacketDevice.open("b0", memory);
    ({ index } = device);
    world.run("a", "ip addr add 10.99.0.1/24 dev b0; ip addr add 10.98.0.1/24 dev c0; ip link set c0 up");
    world.run("a", "sysctl -qw net.ipv4.conf.all.forwarding=1");
    world.run("b", "ip route add 10.98.0.0/24 via 10.99.0.1");
    world.run("c", "ip addr flush dev c1; ip addr add 10.98.0.3/24 dev c1; ip route add 10.99.0.0/24 via 10.98.0.1");
  });
  afterAll(() => {
    device?.close();
    world?.remove();
  });

  test("without it the kernel answers by an address, and forwards", () => {
    expect([pings("10.99.0.1"), pings("10.98.0.3")]).toEqual([true, true]);
  });

  test("with it neither, nor does it answer ARP; our packet socket hears all, and its own frames go out", async () => {
    received();
    expect(blockKernel(index)).toBeUndefined();
    expect([pings("10.99.0.1"), pings("10.98.0.3")]).toEqual([false, false]);
    expect(world.run("b", "ip neigh show 10.99.0.1")).not.toContain("lladdr");
    expect(received()).toBeGreaterThan(1);

    const line = linesOf(world.spawn("b", ["python3", "-c", hear("b1")]));
    expect(await line()).toBe("ready");
    // What others send first would have come before ours.
    world.run("a", "ping -c 1 -W 1 10.99.0.77 || true");
    expect(() => world.run("a", speak("b0", "other"))).toThrow("No buffer space available");
    const { at } = memory.take(128);
    const { view, bytes } = memory;
    bytes.fill(0xff, at, at + 12);
    view.setUint16(at + 12, 0x88b5);
    bytes.set(new TextEncoder().encode("ours ".repeat(12)), at + 14);
    rows.clear();
    rows.push(at, 74);
    expect(device.send(rows)).toBe(1);
    expect(await line()).toBe("ours");
  });

  test("a tagged frame passes to the kernel, but on a bridged interface, whose block takes the place of the other", async () => {
    const line = linesOf(world.spawn("a", ["python3", "-c", hear("b0")]));
    expect(await line()).toBe("ready");
    expect(blockKernel(index, true)).toBeUndefined();
    expect(filters("ingress").match(/direct-action/g)).toHaveLength(1);
    received();
    world.run("b", speak("b1", "first", TAG));
    // Our socket has no tagged ones here; what comes behind it says that it has come.
    world.run("b", speak("b1", "behind"));
    while (received() === 0) await Bun.sleep(10);
    expect(blockKernel(index)).toBeUndefined();
    expect(filters("ingress").match(/direct-action/g)).toHaveLength(1);
    world.run("b", speak("b1", "second", TAG));
    expect(await line()).toBe("second");
  });

  const withVlans = hasVlans ? test : (): void => {};
  withVlans("frames of a VLAN are not ours: the kernel has them as before", () => {
    for (const [where, dev, address] of [
      ["a", "b0", "10.97.0.1"],
      ["b", "b1", "10.97.0.2"],
    ] as const)
      world.run(
        where,
        `ip link add link ${dev} name v7 type vlan id 7; ip addr add ${address}/24 dev v7; ip link set v7 up`,
      );
    expect(answers("ping -c 1 -W 3 10.97.0.1")).toBe(true);
  });

  withVlans(
    "on a bridged interface they are ours too: the kernel hears none of them, until it is another one again",
    () => {
      expect(blockKernel(index, true)).toBeUndefined();
      expect(answers("ip neigh flush dev v7; ping -c 1 -W 1 10.97.0.1")).toBe(false);
      expect(filters("ingress").match(/direct-action/g)).toHaveLength(1);
      expect(blockKernel(index)).toBeUndefined();
      expect(answers("ip neigh flush dev v7; ping -c 1 -W 3 10.97.0.1")).toBe(true);
      expect(filters("ingress").match(/direct-action/g)).toHaveLength(1);
      world.run("a", "ip link del v7");
    },
  );

  test("setting it again changes nothing; a part that somebody took away comes back; at the end nothing is left", () => {
    const before = filters("ingress");
    expect(before).toMatch(/pref 1 bpf .*direct-action/);
    expect(blockKernel(index)).toBeUndefined();
    expect(filters("ingress")).toBe(before);
    world.run("a", "tc filter del dev b0 egress");
    expect(blockKernel(index)).toBeUndefined();
    expect(filters("egress")).toContain("bpf");
    unblockKernel(index);
    expect(qdiscs()).not.toContain("clsact");
    expect([pings("10.99.0.1"), pings("10.98.0.3")]).toEqual([true, true]);
    unblockKernel(index);
  });

  test("another's qdisc and filters stay; what was there first still comes behind ours", () => {
    world.run(
      "a",
      "tc qdisc add dev b0 clsact; tc filter add dev b0 ingress prio 9 protocol all bpf da bytecode '1,6 0 0 0,'",
    );
    expect(blockKernel(index)).toBeUndefined();
    expect(pings("10.99.0.1")).toBe(false);
    unblockKernel(index);
    expect(qdiscs()).toContain("clsact");
    expect(filters("ingress")).toContain("pref 9");
    expect([filters("ingress"), filters("egress")].join()).not.toContain("pref 1 ");
    world.run("a", "tc qdisc del dev b0 clsact");
  });

  test("where it cannot be set it says why, and leaves nothing: another kind of qdisc, no such interface", () => {
    world.run("a", "tc qdisc add dev b0 ingress");
    expect(blockKernel(index)).toBe("another ingress qdisc is in the way (tc qdisc show)");
    expect([filters("ingress"), filters("egress")].join()).not.toContain("bpf");
    world.run("a", "tc qdisc del dev b0 ingress");
    expect(blockKernel(index + 100_000)).toContain("ENODEV");
    expect(interfaceIndex("b0")).toBe(index);
  });
});

/** The program's lines, one a call, of which one can come in pieces; at its end what it said of itself is the result. */
function linesOf(program: ReturnType<VethWorld["spawn"]>): () => Promise<string> {
  const reader = program.stdout.getReader();
  let said = "";
  return async () => {
    while (!said.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) return new Response(program.stderr).text();
      said += new TextDecoder().decode(value);
    }
    const [first = "", ...rest] = said.split("\n");
    said = rest.join("\n");
    return first;
  };
}

/** Python for the header of VLAN 7. */
const TAG = String.raw`b"\x81\x00\x00\x07" + `;
/** Sends a frame of a type that nobody uses. */
const speak = (dev: string, word: string, tag = ""): string =>
  String.raw`python3 -c 'import socket; s = socket.socket(17, 3); s.bind(("${dev}", 0)); s.send(b"\xff" * 12 + ${tag}b"\x88\xb5" + b"${word} " * 12)'`;
/** Tells the first word of the first frame of that type that the kernel takes up. */
const hear = (dev: string): string => `
import socket
s = socket.socket(17, 3, socket.htons(0x88b5)); s.bind(("${dev}", 0x88b5))
print("ready", flush=True)
print(s.recv(2000)[14:].split()[0].decode(), flush=True)`;
