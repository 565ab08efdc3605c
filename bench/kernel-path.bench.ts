/**
 * Client and server on the kernels of two hosts, in one process that gives each its turns, and one TCP connection through their tunnel, which
 * the same process writes and reads: `bun bench/kernel-path.bench.ts [--megabytes N] [--way up|down] [--proto tcp]`. It prints processor seconds
 * per gigabyte of everything together (both ends, their kernels, the copies of the one that writes and reads), system calls, and what was lost.
 * Nothing runs at the same time, so that a busy machine changes nothing but how long it takes.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
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
import { monotonic } from "../src/platform/loop.ts";
import { acceptTcp, connectTcp, listenTcp } from "../src/platform/net/stream-socket.ts";
import { errno, libc } from "../src/platform/sys/libc.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { Poller } from "../src/platform/sys/poller.ts";
import { enterNetworkNamespace } from "../src/platform/sys/syscalls.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { asHost } from "../test/support/world/unix-client.ts";
import { type Part, SERVER, TUNNEL, World } from "../test/support/world/world.ts";

const { values, number } = commandLine("usage: npm run bench -- kernel-path", {
  megabytes: { type: "string" },
  way: { type: "string", default: "up" },
  proto: { type: "string", default: "udp" },
  log: { type: "boolean", default: false },
});
const megabytes = number("megabytes", 1) ?? 500;
await becomePrivileged();

const PORT = 5201;
const CHUNK = 128 << 10;
const world = await World.create({ wan: "cable" });
const log = (name: string): Log => ({
  enabled: () => true,
  write: (level, event, message, fields = {}) => {
    if (values.log || level === "error" || level === "warn" || event.startsWith("statistics"))
      console.log(name, level, event, message, JSON.stringify(fields));
  },
});
const at = (part: Part): void => enterNetworkNamespace(`/run/netns/${world.ns(part)}`);
const calls = new Map<string, number>();
for (const name of ["recvmmsg", "sendmmsg", "read", "writev", "poll"] as const) {
  const call = libc[name] as (...words: number[]) => number;
  (libc as unknown as Record<string, unknown>)[name] = (...words: number[]): number => {
    const result = call(...words);
    const key = `${name}${result < 0 ? " failed" : ""}`;
    calls.set(key, (calls.get(key) ?? 0) + 1);
    return result;
  };
}

try {
  await asHost(world);
  const proto = values.proto;
  writeFileSync(
    join(world.dir, "server.conf"),
    `dev tun-s\ndev-type tun\nproto ${proto === "tcp" ? "tcp-server" : "udp"}\nport 1194\nlocal ${SERVER}\nserver 10.8.0.0 255.255.255.0\ntopology subnet
ca ca.crt\ncert server.crt\nkey server.key\ndh none\ntls-crypt static.key\nkeepalive 10 60\ndata-ciphers AES-256-GCM\n`,
  );
  const text = world.profile({
    remotes: [SERVER],
    password: false,
    lines: [`proto ${proto === "tcp" ? "tcp-client" : "udp"}`],
  });
  writeFileSync(join(world.dir, "client.conf"), text.replace("dev tun\r", "dev tun-c\r\ndev-type tun\r"));

  at("net");
  const served = loadServerProfile(join(world.dir, "server.conf"), undefined);
  if (typeof served === "string" || !served.ok) throw new Error(JSON.stringify(served));
  const serverParts = parts("server", HOST_SERVER_BYTES, "tun-s");
  const server = new HostTurns(
    serverParts,
    new HostServer({ ...serverParts, profile: served, reload: () => undefined, listening: () => {} }),
  );
  server.start(monotonic());
  at("rt");
  const profile = loadHostProfile(join(world.dir, "client.conf"));
  if (typeof profile === "string" || !profile.ok) throw new Error(JSON.stringify(profile));
  let isUp = false;
  const clientParts = parts("client", HOST_CLIENT_BYTES, "tun-c");
  const client = new HostTurns(
    clientParts,
    new HostClient({
      ...{ ...clientParts, config: profile.config, reload: () => undefined },
      ...{ withRoutes: true, withDns: false, killSwitch: false },
      changed: (tunnel) => {
        isUp = tunnel !== undefined;
      },
    }),
  );
  client.start(monotonic());
  const turn = (end: HostTurns): boolean => {
    const now = monotonic();
    const isActive = end.receive(now);
    if (isActive || end.pollAt() <= now) end.control(now);
    return isActive;
  };
  while (!isUp) {
    at("rt");
    turn(client);
    at("net");
    turn(server);
    await new Promise((done) => setImmediate(done));
  }
  const listening = listenTcp("ipv4", PORT, undefined);
  at("rt");
  const connecting = connectTcp({ address: parseIp(TUNNEL)!, port: PORT }, undefined);
  let accepted: number | undefined;
  for (; accepted === undefined; accepted = acceptTcp(listening)?.fd) {
    turn(client);
    turn(server);
  }
  const memory = new NativeMemory(2 * CHUNK);
  const [from, to] = values.way === "up" ? [connecting, accepted] : [accepted, connecting];
  await transfer(from, to, 300e6);
  calls.clear();
  const before = process.cpuUsage();
  const started = performance.now();
  const bytes = megabytes * 1e6;
  const turns = await transfer(from, to, bytes);
  const { user, system } = process.cpuUsage(before);
  const perGb = (us: number): string => (us / 1e6 / (bytes / 1e9)).toFixed(2);
  console.log(
    `${values.way} ${proto}: ${perGb(user + system)} s/GB (user ${perGb(user)}, system ${perGb(system)}), ${Math.round(performance.now() - started)} ms, ` +
      `${Math.round((bytes * 8) / (user + system))} Mbit/s of one processor; turns ${JSON.stringify(turns)}`,
  );
  console.log(JSON.stringify(Object.fromEntries([...calls].sort())));
  for (const end of [client, server]) {
    end.askForStatistics();
    end.control(monotonic());
  }
  for (const part of ["rt", "net"] as const) {
    at(part);
    console.log(
      (
        await world.in(part, [
          "sh",
          "-c",
          "ip -s -s link show dev $(ls /sys/class/net | grep tun); nstat -as 2>/dev/null | egrep 'Retrans|RcvbufErr|SndbufErr|TCPLost|OFOQueue'; ss -uanem; ss -tin",
        ])
      ).out,
    );
  }

  async function transfer(from: number, to: number, bytes: number): Promise<Record<string, number>> {
    let [written, read, idle, active] = [0, 0, 0, 0];
    let yieldedAt = performance.now();
    while (read < bytes) {
      let moved = false;
      while (written < bytes) {
        const n = libc.write(from, memory.pointer, CHUNK);
        if (n < 0) break;
        written += n;
        moved = true;
      }
      moved = turn(client) || moved;
      moved = turn(server) || moved;
      for (;;) {
        const n = libc.read(to, memory.pointer + CHUNK, CHUNK);
        if (n <= 0) {
          if (n < 0 && errno() !== 11) throw new Error(`read: ${errno()}`);
          break;
        }
        read += n;
        moved = true;
      }
      moved = turn(server) || moved;
      moved = turn(client) || moved;
      if (moved) active++;
      else {
        idle++;
        await Bun.sleep(0.2);
      }
      if (performance.now() - yieldedAt > 100) {
        await new Promise((done) => setImmediate(done));
        yieldedAt = performance.now();
      }
    }
    return { idle, active };
  }
} finally {
  await world.close();
}
process.exit(0);

function parts(name: string, bytes: number, device: string): HostParts {
  const memory = new NativeMemory(bytes);
  return {
    ...{ log: log(name) as never, sink: undefined as never, notify: new ServiceNotify(undefined), left: [] },
    ...{ memory, poller: new Poller(), device: new TunDevice(memory, device), journal: undefined },
  };
}
