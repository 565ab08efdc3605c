/**
 * Client and server on the kernels of two hosts, in one process that gives each its turns, and one TCP connection through their tunnel, which
 * the same process writes and reads. It prints processor seconds per gigabyte of everything together (both ends, their kernels, the copies of
 * the one that writes and reads), system calls, and what was lost. Nothing runs at the same time, so that a busy machine changes how long
 * it takes, and nothing else: `npm run bench -- kernel-path`, or `bun bench/kernel-path.bench.ts [--megabytes N] [--way up|down] [--proto tcp]`.
 */
import { commandLine } from "../scripts/command-line.ts";
import { HOST_CLIENT_BYTES, HostClient } from "../src/host/client.ts";
import { ServiceNotify } from "../src/host/notify.ts";
import type { HostParts } from "../src/host/process.ts";
import { loadHostProfile } from "../src/host/profile.ts";
import { HOST_SERVER_BYTES, HostServer } from "../src/host/server.ts";
import { loadServerProfile } from "../src/host/server-profile.ts";
import { HostTurns } from "../src/host/turns.ts";
import { parseIp } from "../src/lib/ip.ts";
import type { Log } from "../src/lib/log.ts";
import { TunDevice } from "../src/platform/dev/tun.ts";
import { ConsoleLog } from "../src/platform/log/console-log.ts";
import { LineSink } from "../src/platform/log/line-sink.ts";
import { monotonic } from "../src/platform/loop.ts";
import { acceptTcp, connectTcp, listenTcp } from "../src/platform/net/stream-socket.ts";
import { EAGAIN } from "../src/platform/sys/errno.ts";
import { errno, libc } from "../src/platform/sys/libc.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { Poller } from "../src/platform/sys/poller.ts";
import { enterNetworkNamespace } from "../src/platform/sys/syscalls.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { type Part, TUNNEL } from "../test/support/world/world.ts";
import { twoHosts, writeEnds } from "./unix-ends.ts";

const USAGE = `usage: npm run bench -- kernel-path

  --megabytes N     that are measured: 500
  --way NAME        up (client to server), or down
  --proto NAME      what OpenVPN goes over: udp, or tcp
`;
const { values, number } = commandLine(USAGE, {
  megabytes: { type: "string" },
  way: { type: "string", default: "up" },
  proto: { type: "string", default: "udp" },
});
const bytes = (number("megabytes", 1) ?? 500) * 1e6;
/** Until the just-in-time compiler has seen everything. */
const WARM_UP_BYTES = 400e6;
const PORT = 5201;
const CHUNK = 128 << 10;
await becomePrivileged();

const world = await twoHosts();
const memory = new NativeMemory(2 * CHUNK);
const calls = countCalls();
try {
  const files = writeEnds(world, values.proto === "tcp" ? "tcp" : "udp");
  at("net");
  const server = startServer(files.server);
  at("rt");
  const client = await startClient(files.client, server);
  const { from, to } = await connection(client, server);
  await transfer(from, to, WARM_UP_BYTES, [client, server]);
  calls.clear();
  const before = process.cpuUsage();
  const idle = await transfer(from, to, bytes, [client, server]);
  const { user, system } = process.cpuUsage(before);
  const perGb = (us: number): string => (us / 1e6 / (bytes / 1e9)).toFixed(2);
  console.log(`${values.way}: ${perGb(user + system)} CPU s/GB, ${perGb(user)} of them user, ${perGb(system)} system`);
  const counts = [...calls].sort().map(([name, n]) => `${name} ${n}`);
  console.log(`system calls of ${bytes / 1e6} MB: ${counts.join(", ")}; ${idle} turns of all found nothing`);
  for (const end of [client, server]) {
    end.askForStatistics();
    end.control(monotonic());
  }
} finally {
  await world.close();
}
process.exit(0);

function at(part: Part): void {
  enterNetworkNamespace(`/run/netns/${world.ns(part)}`);
}

function countCalls(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of ["recvmmsg", "sendmmsg", "read", "write", "writev"] as const) {
    const call = libc[name] as (...words: number[]) => number;
    const counted = (...words: number[]): number => {
      const result = call(...words);
      const key = result < 0 ? `${name} in vain` : name;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return result;
    };
    Object.assign(libc, { [name]: counted });
  }
  return counts;
}

function startServer(file: string): HostTurns {
  const profile = loadServerProfile(file, undefined);
  if (typeof profile === "string" || !profile.ok) throw new Error(JSON.stringify(profile));
  const own = parts(HOST_SERVER_BYTES, "tun-s");
  const reload = (): undefined => undefined;
  const server = new HostTurns(own, new HostServer({ ...own, profile, reload, listening: () => {} }));
  server.start(monotonic());
  return server;
}

async function startClient(file: string, server: HostTurns): Promise<HostTurns> {
  const profile = loadHostProfile(file);
  if (typeof profile === "string" || !profile.ok) throw new Error(JSON.stringify(profile));
  let isUp = false;
  const own = parts(HOST_CLIENT_BYTES, "tun-c");
  const end = new HostClient({
    ...{ ...own, config: profile.config, reload: () => undefined },
    ...{ withRoutes: true, withDns: false, killSwitch: false },
    changed: (tunnel) => {
      isUp = tunnel !== undefined;
    },
  });
  const client = new HostTurns(own, end);
  client.start(monotonic());
  while (!isUp) {
    at("net");
    turn(server);
    // Here its addresses and routes are set.
    at("rt");
    turn(client);
    await eventLoop();
  }
  return client;
}

function parts(size: number, device: string): HostParts {
  const own = new NativeMemory(size);
  const sink = new LineSink({ fd: 2, onLost: () => {} });
  const level = "info";
  const log: Log = new ConsoleLog({
    level,
    format: "text",
    clock: Date.now,
    write: (line) => console.log(line.trimEnd()),
  });
  return {
    ...{ log: log as ConsoleLog, sink, notify: new ServiceNotify(undefined), left: [], journal: undefined },
    ...{ memory: own, poller: new Poller(), device: new TunDevice(own, device) },
  };
}

/** A turn as the loop takes it, but for the rest. */
function turn(end: HostTurns): boolean {
  const now = monotonic();
  const isActive = end.receive(now);
  if (end.pollAt() <= now) end.control(now);
  return isActive;
}

/** A TCP connection through the tunnel: where is written, and where is read. */
async function connection(
  client: HostTurns,
  server: HostTurns,
): Promise<{ readonly from: number; readonly to: number }> {
  at("net");
  const listening = listenTcp("ipv4", PORT, undefined);
  at("rt");
  const one = connectTcp({ address: parseIp(TUNNEL)!, port: PORT }, undefined);
  let other: number | undefined;
  for (; other === undefined; other = acceptTcp(listening)?.fd) {
    turn(client);
    turn(server);
    await eventLoop();
  }
  return values.way === "down" ? { from: other, to: one } : { from: one, to: other };
}

/** Writes and reads so much. @returns how often nobody had anything to do */
async function transfer(from: number, to: number, size: number, ends: readonly HostTurns[]): Promise<number> {
  let [written, read, idle, yieldedAt] = [0, 0, 0, performance.now()];
  while (read < size) {
    const before = written + read;
    for (let n = 1; written < size && n > 0; written += Math.max(0, n)) n = libc.write(from, memory.pointer, CHUNK);
    let isActive = false;
    for (const end of ends) isActive = turn(end) || isActive;
    for (let n = 1; n > 0; read += Math.max(0, n)) {
      n = libc.read(to, memory.pointer + CHUNK, CHUNK);
      if (n < 0 && errno() !== EAGAIN) throw new Error(`the connection is lost: error ${errno()}`);
    }
    if (!isActive && written + read === before) {
      idle++;
      // TCP paces what it sends by the clock.
      await Bun.sleep(0.2);
    } else if (performance.now() - yieldedAt > 50) {
      await eventLoop();
      yieldedAt = performance.now();
    }
  }
  return idle;
}

function eventLoop(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}
