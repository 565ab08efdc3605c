/**
 * What a packet costs the server by the number of clients whose packets take turns: `morgana appliance`, native, with its interfaces and all
 * system calls, processor time of the whole program. The clients are sessions of this program, each with a socket of its own; UDP datagrams go
 * from them to a host of the LAN, and from that host to them. The numbers of clients alternate, so that what else the machine does meets
 * all of them. `npm run bench -- peers`, or `bun bench/peers.bench.ts [--rounds N] [--seconds N] [--rate N]`.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BINARY, build } from "../scripts/build-binary.ts";
import { commandLine } from "../scripts/command-line.ts";
import { Batch } from "../src/lib/batch.ts";
import { parseIp } from "../src/lib/ip.ts";
import { Arena } from "../src/lib/slab.ts";
import { IPV4_HEADER_LEN, ipv4Emit, PROTO_UDP } from "../src/netstack/wire/ipv4.ts";
import { UDP_HEADER_LEN, udpEmit } from "../src/netstack/wire/udp.ts";
import { LibcryptoAead } from "../src/platform/crypto/aead.ts";
import { LibcryptoCbc } from "../src/platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../src/platform/crypto/control-primitives.ts";
import { systemRandom } from "../src/platform/crypto/random.ts";
import { libsslTls } from "../src/platform/crypto/tls.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { enterNetworkNamespace } from "../src/platform/sys/syscalls.ts";
import { unixSeconds } from "../src/platform/wall-clock.ts";
import { parseConfig } from "../src/protocol/config/parse.ts";
import { tlsParameters } from "../src/protocol/exchange/tls-parameters.ts";
import { NO_DECOMPRESSORS } from "../src/protocol/ports.ts";
import { ClientSession } from "../src/protocol/session/client.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { cpuTimes } from "../test/support/world/router.ts";
import { LAN_HOST, ServedWorld, WAN } from "../test/support/world/served-world.ts";
import { DONT_WAIT, inet, PMTUDISC_DONT, UdpSocket } from "../test/support/world/sockets.ts";
import { median } from "./report.ts";

const USAGE = `usage: npm run bench -- peers

  --rounds N        5
  --seconds N       of each measurement: 3
  --rate N          packets a second: 30000
`;
const { number } = commandLine(USAGE, {
  rounds: { type: "string" },
  seconds: { type: "string" },
  rate: { type: "string" },
});
const [rounds, seconds, rate] = [number("rounds", 1) ?? 5, number("seconds", 1) ?? 3, number("rate", 1000) ?? 30_000];
const COUNTS = [1, 10, 100, 1000];
const MOST = COUNTS.at(-1)!;
const WAYS = ["up", "down"] as const;
const PAYLOAD = 1300;
/** Nobody answers there. */
const DISCARD_PORT = 9;
const SLOT = 4096;
const AT = 512;
const BURST_MS = 1;
/** Clients whose sockets are emptied between two bursts. */
const DRAINED = 20;
let [drained, counted] = [0, 0];
await becomePrivileged();
await build();
process.env["MORGANA"] ??= BINARY;

const memory = new NativeMemory(3 * SLOT + (64 << 10));
const scratch = new Arena(memory, 3 * SLOT, 3 * SLOT + (64 << 10));
const ports = {
  ...{ slab: memory, scratch, cbc: new LibcryptoCbc(memory, memory.pointer), decompressors: NO_DECOMPRESSORS },
  ...{ aead: new LibcryptoAead(memory, memory.pointer), control: new LibcryptoPrimitives(), random: systemRandom },
};

/** A client of the bench whose tunnel is up. */
interface Peer {
  readonly session: ClientSession;
  readonly socket: UdpSocket;
  /** In the tunnel. */
  readonly address: string;
}

const world = await ServedWorld.create();
try {
  // The host of the LAN takes them and says nothing.
  await world.sh("lan", `iptables -A INPUT -p udp --dport ${DISCARD_PORT} -j DROP`);
  const server = await world.serve([
    ...["server 10.8.0.0 255.255.248.0", "max-clients 2000", "duplicate-cn", "keepalive 300 1200"],
  ]);
  const peers = await joinAll(MOST);
  at("lan");
  const fan = new UdpSocket(PMTUDISC_DONT);
  console.log(`UDP of ${PAYLOAD} bytes, ${rate} packets a second, medians of ${rounds} rounds of ${seconds} s`);
  console.log("way  clients  arrived  us a packet  of one client's  of the kernel's part");
  const costs = WAYS.map(() => COUNTS.map((): { all: number; kernel: number; arrived: number }[] => []));
  for (let round = -1; round < rounds; round++)
    for (const [w, way] of WAYS.entries())
      for (const [c, count] of COUNTS.entries()) {
        const cost = await measure(way, peers.slice(0, count), fan, server.pid);
        if (round >= 0) costs[w]![c]!.push(cost);
      }
  for (const [w, way] of WAYS.entries())
    for (const [c, count] of COUNTS.entries()) {
      const of = (key: "all" | "kernel" | "arrived", column = c): number =>
        median(costs[w]![column]!.map((cost) => cost[key]));
      console.log(
        `${way.padEnd(4)} ${`${count}`.padStart(7)}  ${(100 * of("arrived")).toFixed(1).padStart(6)}%  ${of("all").toFixed(2).padStart(11)}` +
          `  ${(of("all") / of("all", 0)).toFixed(2).padStart(15)}  ${of("kernel").toFixed(2).padStart(20)}`,
      );
    }
} finally {
  await world.close();
}
process.exit(0);

function at(part: "a" | "lan"): void {
  enterNetworkNamespace(`/run/netns/${world.ns(part)}`);
}

/** So many clients, in. */
async function joinAll(count: number): Promise<Peer[]> {
  at("a");
  const text = [
    ...["client", "dev tun", "proto udp", `remote ${WAN}`, "nobind", "remote-cert-tls server", "ca ca.crt"],
    ...["cert client-a.crt", "key client-a.key", "tls-crypt static.key", "hand-window 3600", "reneg-sec 0"],
  ].join("\n");
  const read = (name: string): Uint8Array => readFileSync(join(world.dir, name));
  const parsed = parseConfig({ file: "client.ovpn", text }, read, { roles: ["client"] });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const { config } = parsed;
  const tls = libsslTls.context(tlsParameters(config.tls, config.verify));
  const peers: Peer[] = [];
  const link = { overhead: 28, isStream: false } as const;
  for (let n = 0; n < count; n++) {
    const session = new ClientSession(config, { ...ports, tls }, { link, unixSeconds: unixSeconds(), login: {} });
    const socket = new UdpSocket(PMTUDISC_DONT);
    socket.connect(WAN, 1194);
    session.start(performance.now());
    let address: string | undefined;
    for (const start = performance.now(); address === undefined; ) {
      const now = performance.now();
      if (now - start > 20_000) throw new Error(`client ${n} does not come in:\n${world.serverLog().slice(-1500)}`);
      address = step(session, socket, now);
      if (address === undefined) await Bun.sleep(0.1);
    }
    peers.push({ session, socket, address });
  }
  return peers;
}

/** What has come is handled, and what is to go goes. @returns the tunnel's address, when it is there */
function step(session: ClientSession, socket: UdpSocket, now: number): string | undefined {
  for (let got = socket.receive(DONT_WAIT); typeof got !== "number"; got = socket.receive(DONT_WAIT)) {
    const [datagrams, plain] = [new Batch(1), new Batch(1)];
    memory.bytes.set(got.data, AT);
    datagrams.push(AT, got.length);
    session.handleBatch(now, datagrams, plain);
  }
  session.handleTimeout(now);
  let address: string | undefined;
  for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
    if (event.kind === "up") address = event.options.find((option) => option.startsWith("ifconfig "))?.split(" ")[1];
    if (event.kind === "ended") throw new Error(`a client has ended: ${JSON.stringify(event.end)}`);
  }
  for (let packet = session.pollTransmit(now); packet !== undefined; packet = session.pollTransmit(now))
    socket.send(packet);
  return address;
}

/** Sends for some seconds, clients in turn. @returns us of the server for each packet that has arrived */
async function measure(
  way: (typeof WAYS)[number],
  peers: readonly Peer[],
  fan: UdpSocket,
  pid: number,
): Promise<{ readonly all: number; readonly kernel: number; readonly arrived: number }> {
  const payload = new Uint8Array(PAYLOAD);
  const [before, arrivedBefore] = [cpuTimes(pid), await arrived(way, peers)];
  const start = performance.now();
  let sent = 0;
  while (performance.now() - start < seconds * 1000) {
    const due = Math.min(((performance.now() - start) * rate) / 1000, seconds * rate);
    for (; sent < due; sent++) {
      const { session, socket, address } = peers[sent % peers.length]!;
      if (way === "down") fan.send(payload, inet(address, DISCARD_PORT));
      else socket.send(sealed(session, datagram(address)));
    }
    // Before there is no room for more; each is looked at in its turn.
    for (let n = 0; way === "down" && n < Math.min(DRAINED, peers.length); n++) drain(peers[drained++ % peers.length]!);
    await Bun.sleep(BURST_MS);
  }
  await Bun.sleep(100);
  const [after, got] = [cpuTimes(pid), (await arrived(way, peers)) - arrivedBefore];
  const us = (seconds: number): number => (seconds * 1e6) / got;
  return {
    all: us(after.user + after.kernel - before.user - before.kernel),
    kernel: us(after.kernel - before.kernel),
    arrived: got / sent,
  };
}

/** Datagrams so far that have come to where they were sent. */
async function arrived(way: (typeof WAYS)[number], peers: readonly Peer[]): Promise<number> {
  if (way === "up") {
    const { out } = await world.in("lan", ["iptables", "-L", "INPUT", "-v", "-x", "-n"]);
    return Number(/^\s*(\d+)\s+\d+\s+DROP/m.exec(out)?.[1]);
  }
  for (const peer of peers) drain(peer);
  return counted;
}

function drain({ socket }: Peer): void {
  while (typeof socket.receive(DONT_WAIT) !== "number") counted++;
}

/** The packet of a client with its datagram, in the memory: where, and how long. */
function datagram(source: string): number {
  const length = UDP_HEADER_LEN + PAYLOAD;
  ipv4Emit(memory.view, AT, IPV4_HEADER_LEN + length, 0, 0, 64, PROTO_UDP, wordOf(source), wordOf(LAN_HOST));
  udpEmit(memory.view, AT + IPV4_HEADER_LEN, DISCARD_PORT, DISCARD_PORT, PAYLOAD);
  return IPV4_HEADER_LEN + length;
}

function wordOf(address: string): number {
  return parseIp(address)!.w3;
}

/** A data packet of a client. */
function sealed(session: ClientSession, length: number): Uint8Array {
  const [plain, out] = [new Batch(1), new Batch(1)];
  plain.push(AT, length);
  session.sealBatch(performance.now(), plain, out);
  return memory.bytes.subarray(out.at[0]!, out.at[0]! + out.len[0]!);
}
