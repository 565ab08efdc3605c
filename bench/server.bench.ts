/**
 * What clients cost a server, without system calls: `bun bench/server.bench.ts [most clients]`. Handshakes a second with libssl, memory
 * of a client whose tunnel is up, cost of a data packet by the number of clients, cost of a packet of nobody. Processor time of the
 * thread that does it, the collector's on it included; that of the clients, in the same process, is left out.
 */

import { dlopen, FFIType } from "bun:ffi";
import { heapStats } from "bun:jsc";
import { Batch } from "../src/lib/batch.ts";
import type { Endpoint } from "../src/lib/endpoint.ts";
import { IpAddress } from "../src/lib/ip.ts";
import { Arena } from "../src/lib/slab.ts";
import { LibcryptoAead } from "../src/platform/crypto/aead.ts";
import { LibcryptoCbc } from "../src/platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../src/platform/crypto/control-primitives.ts";
import { systemRandom } from "../src/platform/crypto/random.ts";
import { libsslTls } from "../src/platform/crypto/tls.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { NO_DECOMPRESSORS, type TlsContext } from "../src/protocol/ports.ts";
import { ClientSession } from "../src/protocol/session/client.ts";
import type { DatagramPort, ListenReceiver, PeerLink } from "../src/tunnel/listen.ts";
import { Listener } from "../src/tunnel/listener.ts";
import { allocated } from "../test/support/c-heap.ts";
import { clientConfig, TLS_CRYPT } from "../test/support/client-config.ts";
import { listenOn, wholeConfig } from "../test/support/served/config.ts";
import { FakeDesk, FakePasswords } from "../test/support/served/desk.ts";
import { makeTlsPki, TLS_DEFAULTS } from "../test/support/tls-pki.ts";

const MOST = Number(process.argv[2] ?? 5000);
const ROWS = 256;
const SLOT = 2048;
const AT = 512;
const OWN = 65_536;
const PAYLOAD = 1400;
/** Data packets for each number of clients. */
const PACKETS = 50_000;

const CLOCK_THREAD_CPUTIME_ID = 3;
const time = new NativeMemory(16);
const libc = dlopen("libc.so.6", { clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 } }).symbols;

/** us */
function threadTime(): number {
  libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time.pointer as never);
  return time.view.getUint32(0, true) * 1e6 + time.view.getUint32(8, true) / 1e3;
}

const memory = new NativeMemory(ROWS * SLOT + 2 * OWN);
const aead = new LibcryptoAead(memory, memory.pointer);
const cbc = new LibcryptoCbc(memory, memory.pointer);
const control = new LibcryptoPrimitives();
const pki = makeTlsPki();
process.on("exit", () => pki.remove());
const material = { ca: pki.material("ca.crt"), minVersion: "1.3", maxVersion: "1.3" } as const;
const scratch = new Arena(memory, ROWS * SLOT, ROWS * SLOT + OWN);
const common = { slab: memory, scratch, aead, cbc, decompressors: NO_DECOMPRESSORS, control, random: systemRandom };
const clientTls: TlsContext = libsslTls.context({
  ...{ ...TLS_DEFAULTS, ...material, isServer: false },
  ...{ cert: pki.material("client.crt"), key: pki.material("client.key") },
});
const profile = clientConfig(["hand-window 3600"], TLS_CRYPT);

/** What goes from one end to the other at once. */
interface Waiting {
  readonly endpoint: Endpoint;
  readonly bytes: Uint8Array;
}

class Bed {
  now = 1000;
  /** us of the listener. */
  spent = 0;
  readonly desk = new FakeDesk();
  readonly #toClients: Waiting[] = [];
  readonly #rows = new Batch(ROWS);
  readonly #from = { words: new Int32Array(4 * ROWS), port: new Uint16Array(ROWS) };
  readonly listener: Listener;
  #port: DatagramPort | undefined;
  #receiver: ListenReceiver | undefined;

  constructor() {
    const base = wholeConfig(TLS_CRYPT);
    const listen = [listenOn()];
    const config = {
      ...{ ...base, listen, limits: { ...base.limits, maxClients: MOST + 10 } },
      tls: { ...base.tls, ...material, cert: pki.material("server.crt"), key: pki.material("server.key") },
    };
    this.listener = new Listener({
      ...{ ...common, config, entrance: this.desk, passwords: new FakePasswords(), tls: libsslTls },
      side: { open: () => undefined, close: () => {}, join: () => {}, leave: () => {}, deliver: () => {} },
      ports: {
        listen: (_now, listened, _longest, receiver) => {
          this.#receiver = receiver;
          this.#port = {
            config: listened,
            answer: (_at, endpoint, bytes) => void this.#toClients.push({ endpoint, bytes }),
            peer: (endpoint) => this.#link(endpoint),
          };
          return { drops: () => ({}), close: () => {} };
        },
      },
      cookieKey: new Uint8Array(32).fill(7),
      log: { enabled: () => false, write: () => {} },
      unixSeconds: () => 1_700_000_000,
    });
    this.listener.networkUp(this.now);
  }

  /** @returns its session, up */
  join(n: number): { readonly session: ClientSession; readonly endpoint: Endpoint } {
    const endpoint = { address: IpAddress.fromIpv4(0x0b000000 + n), port: 1194 };
    const login = profile.login && { ...profile.login, user: `c${n}` };
    const start = { link: { overhead: 28, isStream: false }, unixSeconds: 1_700_000_000, login: {} } as const;
    const session = new ClientSession({ ...profile, login }, { ...common, tls: clientTls }, start);
    session.start(this.now);
    for (let turns = 0; !session.isUp; turns++) {
      if (turns > 100) throw new Error(`client ${n} does not come up: ${session.state}`);
      this.now += 1;
      for (let p = session.pollTransmit(this.now); p !== undefined; p = session.pollTransmit(this.now))
        this.arrive([{ endpoint, bytes: p }]);
      for (const { bytes } of this.#toClients.splice(0)) {
        const [datagrams, plain] = [new Batch(1), new Batch(1)];
        const at = ROWS * SLOT + OWN + AT;
        memory.bytes.set(bytes, at);
        datagrams.push(at, bytes.length);
        session.handleBatch(this.now, datagrams, plain);
      }
      session.handleTimeout(this.now);
      while (session.pollEvent() !== undefined);
    }
    // What is still acknowledged.
    for (let p = session.pollTransmit(this.now); p !== undefined; p = session.pollTransmit(this.now))
      this.arrive([{ endpoint, bytes: p }]);
    this.#toClients.length = 0;
    return { session, endpoint };
  }

  /** Up to ROWS datagrams, as one turn hands them over. */
  arrive(packets: readonly Waiting[]): void {
    const rows = this.#rows;
    rows.clear();
    for (const { endpoint, bytes } of packets) {
      const row = rows.push(rows.count * SLOT + AT, bytes.length);
      memory.bytes.set(bytes, rows.at[row]!);
      const { w0, w1, w2, w3 } = endpoint.address;
      this.#from.words.set([w0, w1, w2, w3], 4 * row);
      this.#from.port[row] = endpoint.port;
    }
    const start = threadTime();
    this.#receiver?.handleDatagrams(this.now, this.#port!, rows, this.#from);
    this.listener.poll(this.now);
    this.spent += threadTime() - start;
  }

  #link(endpoint: Endpoint): PeerLink {
    return {
      ...{ overhead: 28, isStream: false, mtu: 1500, endpoint },
      admit: (rows) => rows.count,
      send: () => {},
      sendPacket: (_now, bytes) => void this.#toClients.push({ endpoint, bytes }),
      close: () => {},
    };
  }
}

/** A data packet of a client. */
function seal(session: ClientSession, now: number): Uint8Array {
  const [plain, sealed] = [new Batch(1), new Batch(1)];
  const at = ROWS * SLOT + OWN + AT;
  memory.bytes.fill(0x45, at, at + PAYLOAD);
  plain.push(at, PAYLOAD);
  session.sealBatch(now, plain, sealed);
  return memory.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!);
}

const print = (title: string, value: number, unit: string, digits = 2): void =>
  console.log(`${title.padEnd(56)} ${value.toFixed(digits).padStart(10)} ${unit}`);

function settled(): { readonly c: number; readonly js: number } {
  Bun.gc(true);
  Bun.gc(true);
  return { c: allocated(), js: heapStats().heapSize };
}

const bed = new Bed();
for (let n = 0; n < 200; n++) bed.join(1_000_000 + n).session.abandon(bed.now);
for (let n = 0; n < 200; n++) bed.listener.kill(bed.now, `c${1_000_000 + n}`);
bed.now += 10_000;
for (let turn = 0; turn < 500; turn++) bed.arrive([]);

console.log("data packets of 1,400 bytes, each of another client, 256 a turn");
{
  const clients: ReturnType<Bed["join"]>[] = [];
  let first = 0;
  for (const count of [1, 10, 100, 1000]) {
    while (clients.length < Math.min(count, MOST)) clients.push(bed.join(clients.length));
    const run = (packets: number): number => {
      // All of them first: the clients would take the server's place in the processor's caches.
      const turns: Waiting[][] = [];
      for (let done = 0; done < packets; done += ROWS) {
        const turn: Waiting[] = [];
        for (let i = 0; i < ROWS; i++) {
          const { session, endpoint } = clients[(done + i) % clients.length]!;
          turn.push({ endpoint, bytes: seal(session, bed.now) });
        }
        turns.push(turn);
      }
      bed.spent = 0;
      for (const turn of turns) {
        bed.now += 0.1;
        bed.arrive(turn);
      }
      return bed.spent / packets;
    };
    run(PACKETS);
    const cost = run(PACKETS);
    first ||= cost;
    print(`  ${clients.length} clients`, cost, `us, ${(cost / first).toFixed(2)} of one's`);
  }
  for (const { session } of clients) session.abandon(bed.now);
  const dead = new Uint8Array(PAYLOAD).fill(0x48);
  const nobody = Array.from({ length: ROWS }, (_, n) => ({
    endpoint: { address: IpAddress.fromIpv4(n), port: 9 },
    bytes: dead,
  }));
  const cost = (): number => {
    bed.spent = 0;
    for (let n = 0; n < 1000; n++) bed.arrive(nobody);
    return bed.spent / (1000 * ROWS);
  };
  cost();
  print("a data packet with a number of nobody", cost(), "us", 3);
  const forged = new Uint8Array(54).fill(0x38);
  const resets = nobody.map(({ endpoint }) => ({ endpoint, bytes: forged }));
  bed.spent = 0;
  for (let n = 0; n < 200; n++) bed.arrive(resets);
  print("a forged first packet", bed.spent / (200 * ROWS), "us");
  for (let n = 0; n < clients.length; n++) bed.listener.kill(bed.now, `c${n}`);
  bed.now += 10_000;
  for (let turn = 0; turn < 2000; turn++) bed.arrive([]);
}

{
  const before = settled();
  bed.spent = 0;
  for (let n = 0; n < MOST; n++) bed.join(n).session.abandon(bed.now);
  print(`handshakes (of ${MOST})`, (MOST / bed.spent) * 1e6, "a second", 0);
  const after = settled();
  const kilobytes = (bytes: number): number => bytes / MOST / 1024;
  print("memory of a client", kilobytes(after.c - before.c + after.js - before.js), "KiB", 1);
  print("  OpenSSL's", kilobytes(after.c - before.c), "KiB", 1);
  print("  JavaScript's", kilobytes(after.js - before.js), "KiB", 1);
  console.log(bed.listener.counters());
}
process.exit(0);
