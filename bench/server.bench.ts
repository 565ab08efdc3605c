/**
 * What clients cost a server, without system calls: `bun bench/server.bench.ts [--clients N] [--no-cipher] [packets] [handshakes]`. The cost
 * of a data packet by the number of clients and of a packet of nobody; handshakes a second with libssl, the memory of a client whose
 * tunnel is up, and what clients cost that say nothing. Processor time of the thread that does it, the collector's on it included; that of
 * the clients, in the same process, is left out.
 */
import { heapStats } from "bun:jsc";
import { parseArgs } from "node:util";
import { IpAddress } from "../src/lib/ip.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { allocated } from "../test/support/c-heap.ts";
import { median } from "./report.ts";
import { Bed, type Joined, ROWS, seal, type Waiting } from "./server-bed.ts";

const PARTS = ["packets", "handshakes"];
const { values, positionals } = parseArgs({
  options: { clients: { type: "string", default: "5000" }, "no-cipher": { type: "boolean", default: false } },
  allowPositionals: true,
});
const MOST = Number(values.clients);
if (!(MOST >= 1000) || positionals.some((word) => !PARTS.includes(word))) {
  console.error("usage: bun bench/server.bench.ts [--clients N, at least 1000] [--no-cipher] [packets] [handshakes]");
  process.exit(2);
}
const PAYLOAD = 1400;
const COUNTS = [1, 10, 100, 1000];
/** Each count is measured once a round, one behind the other: what else the machine does meets all of them. */
const ROUNDS = 24;
const WARM_UP = 4;
/** Of a count in a round. */
const TURNS = 8;
/** Clients that say nothing: seconds of their life, and between two pings of one. */
const IDLE_S = 20;
const PING_S = 10;
const PING = Uint8Array.fromHex("2a187bf3641eb4cb07ed2d0a981fc748");
const PING_SLOT = 64;

const print = (title: string, value: number, unit: string, digits = 2): void =>
  console.log(`${title.padEnd(56)} ${value.toFixed(digits).padStart(10)} ${unit}`);

const bed = new Bed(MOST, !values["no-cipher"]);
const parts = positionals.length === 0 ? PARTS : positionals;
if (parts.includes("packets")) packets();
if (parts.includes("handshakes")) handshakes();
process.exit(0);

function packets(): void {
  console.log(`data packets of ${PAYLOAD} bytes, each of another client, ${ROWS} a turn`);
  const clients = Array.from({ length: COUNTS.at(-1)! }, (_, n) => bed.join(n));
  const costs = COUNTS.map((): number[] => []);
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    COUNTS.forEach((count, c) => {
      const cost = costOf(clients, count);
      if (round >= 0) costs[c]!.push(cost);
    });
  }
  const least = (of: readonly number[]): number => of.toSorted((a, b) => a - b)[of.length >> 2]!;
  COUNTS.forEach((count, c) => {
    const ratio = (of: (costs: readonly number[]) => number): string => (of(costs[c]!) / of(costs[0]!)).toFixed(2);
    const quarter = `a quarter of the rounds at most ${least(costs[c]!).toFixed(2)}, ${ratio(least)} of one's`;
    print(`  ${count} clients`, median(costs[c]!), `us, ${ratio(median)} of one's; ${quarter}`);
  });
  const dead = new Uint8Array(PAYLOAD).fill(0x48);
  const nobody = Array.from({ length: ROWS }, (_, n) => ({
    endpoint: { address: IpAddress.fromIpv4(n), port: 9 },
    bytes: dead,
  }));
  const spentOn = (turn: readonly Waiting[], turns: number): number => {
    bed.spent = 0;
    for (let n = 0; n < turns; n++) bed.arrive(turn);
    return bed.spent / (turns * ROWS);
  };
  spentOn(nobody, 200);
  print("a data packet with a number of nobody", spentOn(nobody, 500), "us", 3);
  const forged = new Uint8Array(54).fill(0x38);
  const resets = nobody.map(({ endpoint }) => ({ endpoint, bytes: forged }));
  print("a forged first packet", spentOn(resets, 100), "us");
  for (const { session } of clients) session.abandon(bed.now);
  bed.empty();
}

/** us of the server for a packet, of `count` clients in turn. */
function costOf(clients: readonly Joined[], count: number): number {
  // All of them first: the clients would take the server's place in the processor's caches.
  const turns: Waiting[][] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const rows: Waiting[] = [];
    for (let i = 0; i < ROWS; i++) {
      const { session, endpoint } = clients[(turn * ROWS + i) % count]!;
      rows.push({ endpoint, bytes: seal(session, bed.now, PAYLOAD) });
    }
    turns.push(rows);
  }
  bed.spent = 0;
  for (const turn of turns) {
    bed.now += 0.1;
    bed.arrive(turn);
  }
  return bed.spent / (TURNS * ROWS);
}

function settled(): { readonly c: number; readonly js: number } {
  Bun.gc(true);
  Bun.gc(true);
  return { c: allocated(), js: heapStats().heapSize };
}

function handshakes(): void {
  // The compiler has seen it all before it is measured.
  for (let n = 0; n < 300; n++) bed.join(1_000_000 + n).session.abandon(bed.now);
  bed.empty();
  const pings = new NativeMemory(MOST * PING_SLOT * (IDLE_S / PING_S));
  const lengths = new Uint8Array(MOST * (IDLE_S / PING_S));
  const endpoints = Array.from({ length: MOST }, (_, n) => Bed.endpointOf(n));
  const before = settled();
  bed.spent = 0;
  for (let n = 0; n < MOST; n++) {
    const { session } = bed.join(n);
    for (let k = n; k < lengths.length; k += MOST) {
      const ping = seal(session, bed.now, PING);
      lengths[k] = ping.length;
      pings.bytes.set(ping, k * PING_SLOT);
    }
    session.abandon(bed.now);
  }
  print(`handshakes (of ${MOST})`, (MOST / bed.spent) * 1e6, "a second", 0);
  bed.forget();
  const after = settled();
  const kilobytes = (bytes: number): number => bytes / MOST / 1024;
  print("memory of a client", kilobytes(after.c - before.c + after.js - before.js), "KiB", 1);
  print("  OpenSSL's", kilobytes(after.c - before.c), "KiB", 1);
  print("  JavaScript's", kilobytes(after.js - before.js), "KiB", 1);
  // Each client's ping at a time of its own, and the server's own when they are due.
  bed.spent = 0;
  let sent = 0;
  for (let k = 0; k < lengths.length; k++) {
    const at = k * PING_SLOT;
    bed.wait((PING_S * 1000) / MOST);
    bed.arrive([{ endpoint: endpoints[k % MOST]!, bytes: pings.bytes.subarray(at, at + lengths[k]!) }]);
    sent += bed.forget();
  }
  print(`${MOST} clients that only ping, every ${PING_S} s`, bed.spent / IDLE_S / 1000, "ms a second", 1);
  print("  pings of the server's own", sent / IDLE_S, "a second", 0);
  console.log(bed.listener.counters());
}
