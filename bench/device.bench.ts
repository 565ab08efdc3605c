/**
 * Cost of forwarding frames between two packet devices, with iperf3 TCP through them, then with single frames only:
 * `bun bench/device.bench.ts [seconds]`. Root; makes network namespaces and removes them.
 */

import { Batch, MAX_SEGMENTS } from "../src/lib/batch.ts";
import { PACKET_DEVICE_BYTES, PacketDevice } from "../src/platform/dev/packet.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { EVENT_LOOP, Poller } from "../src/platform/sys/poller.ts";
import { canMakeNamespaces, makeVethWorld } from "../test/support/veth.ts";

if (!canMakeNamespaces || Bun.which("iperf3") === null) throw new Error("needs root, iproute2 and iperf3");
const seconds = process.argv[2] ?? "3";
const world = makeVethWorld("sysbench");
try {
  const memory = new NativeMemory(2 * PACKET_DEVICE_BYTES);
  const b0 = PacketDevice.open("b0", memory);
  const c0 = PacketDevice.open("c0", memory);
  const batch = new Batch(64);
  const poller = new Poller();
  poller.add(b0.fd);
  poller.add(c0.fd);
  const server = world.spawn("c", ["iperf3", "-s", "-1", "--forceflush"]);
  const reader = server.stdout.getReader();
  for (let seen = ""; !seen.includes("listening"); ) seen += new TextDecoder().decode((await reader.read()).value);
  for (const [title, setup] of [
    ["super-frames", "true"],
    ["single frames", "ethtool -K b1 tso off gso off >/dev/null"],
  ] as const) {
    if (Bun.which("ethtool") === null && setup !== "true") continue;
    world.run("b", setup);
    const listener = title === "super-frames" ? server : world.spawn("c", ["iperf3", "-s", "-1", "--forceflush"]);
    if (listener !== server) await Bun.sleep(300);
    const client = world.spawn("b", ["iperf3", "-c", "10.99.0.3", "-t", seconds, "-J"]);
    let done = false;
    const report = new Response(client.stdout).json().finally(() => (done = true));
    const before = b0.counters.values.slice();
    const cpu = process.cpuUsage();
    let inCalls = 0;
    for (let i = 0; !done; i++) {
      const start = Bun.nanoseconds();
      let rows = 0;
      for (const [from, to] of [
        [b0, c0],
        [c0, b0],
      ] as const) {
        from.receive(batch, MAX_SEGMENTS);
        rows += batch.count;
        to.send(batch);
      }
      if (rows > 0) inCalls += Bun.nanoseconds() - start;
      if ((rows === 0 && poller.wait(10) & EVENT_LOOP) || i % 256 === 0) await new Promise((r) => setImmediate(r));
    }
    const used = process.cpuUsage(cpu);
    const result = (await report) as { end: { sum_received: { bits_per_second: number; bytes: number } } };
    const frames = b0.counters.values[0]! - before[0]! + (b0.counters.values[6]! - before[6]!);
    const { bits_per_second, bytes } = result.end.sum_received;
    console.log(
      `${title.padEnd(14)} ${(bits_per_second / 1e9).toFixed(2)} Gbit/s  ${(inCalls / frames).toFixed(0)} ns/frame (receive and send)  ` +
        `${((used.user + used.system) / 1e6 / (bytes / 1e9)).toFixed(2)} CPU s/GB  drops ${JSON.stringify(c0.statistics())} ${JSON.stringify(b0.statistics())}`,
    );
  }
  console.log(JSON.stringify({ b0: b0.counters.snapshot(), c0: c0.counters.snapshot() }));
} finally {
  world.remove();
}
process.exit(0);
