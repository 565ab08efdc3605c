/** A server without a network, and clients of it in the same process: what the parts of server.bench.ts are measured with. */
import { dlopen, FFIType } from "bun:ffi";
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
import { type AeadFactory, NO_DECOMPRESSORS, type TlsContext } from "../src/protocol/ports.ts";
import { Entrance } from "../src/protocol/server/entrance.ts";
import { ClientSession } from "../src/protocol/session/client.ts";
import type { DatagramPort, ListenReceiver, PeerLink } from "../src/tunnel/listen.ts";
import { Listener } from "../src/tunnel/listener.ts";
import { clientConfig, TLS_CRYPT } from "../test/support/client-config.ts";
import { listenOn, wholeConfig } from "../test/support/served/config.ts";
import { FakePasswords } from "../test/support/served/desk.ts";
import { makeTlsPki, TLS_DEFAULTS } from "../test/support/tls-pki.ts";

/** Datagrams of a turn. */
export const ROWS = 256;
const SLOT = 2048;
const AT = 512;
const OWN = 65_536;
/** What all clients are called: they have one certificate. */
const NAME = "client";

const CLOCK_THREAD_CPUTIME_ID = 3;
const time = new NativeMemory(16);
const libc = dlopen("libc.so.6", { clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 } }).symbols;

/** Processor time of this thread in us, the collector's on it included. */
export function threadTime(): number {
  libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time.pointer as never);
  return time.view.getUint32(0, true) * 1e6 + time.view.getUint32(8, true) / 1e3;
}

const memory = new NativeMemory(ROWS * SLOT + 2 * OWN);
const realAead = new LibcryptoAead(memory, memory.pointer);
const cbc = new LibcryptoCbc(memory, memory.pointer);
const control = new LibcryptoPrimitives();
const pki = makeTlsPki();
process.on("exit", () => pki.remove());
const material = { ca: pki.material("ca.crt"), minVersion: "1.3", maxVersion: "1.3" } as const;
const scratch = new Arena(memory, ROWS * SLOT, ROWS * SLOT + OWN);
const common = { slab: memory, scratch, cbc, decompressors: NO_DECOMPRESSORS, control, random: systemRandom };
const clientTls: TlsContext = libsslTls.context({
  ...{ ...TLS_DEFAULTS, ...material, isServer: false },
  ...{ cert: pki.material("client.crt"), key: pki.material("client.key") },
});
const profile = clientConfig(["hand-window 3600"], TLS_CRYPT);

/** What goes from one end to the other at once. */
export interface Waiting {
  readonly endpoint: Endpoint;
  readonly bytes: Uint8Array;
}

/** A cipher that does nothing, in the place of the real one: what everything else costs. */
const noCipher: AeadFactory = {
  create: () => ({ seal: () => {}, open: () => true, touch: () => 0, close: () => {} }),
};

/** A client whose tunnel is up. */
export interface Joined {
  readonly session: ClientSession;
  readonly endpoint: Endpoint;
}

export class Bed {
  now = 1000;
  /** us of the listener. */
  spent = 0;
  readonly #aead: AeadFactory;
  readonly #toClients: Waiting[] = [];
  readonly #rows = new Batch(ROWS);
  readonly #from = { words: new Int32Array(4 * ROWS), port: new Uint16Array(ROWS) };
  readonly listener: Listener;
  #port: DatagramPort | undefined;
  #receiver: ListenReceiver | undefined;

  /** @param most clients */
  constructor(most: number, hasCipher = true) {
    this.#aead = hasCipher ? realAead : noCipher;
    const base = wholeConfig(TLS_CRYPT);
    const listen = [listenOn()];
    const entry = { ...base.entry, usernameAsCommonName: false, duplicateNames: true };
    const push = ["topology subnet", "route-gateway 10.8.0.1", "ping 10", "ping-restart 120"];
    const config = {
      ...{ ...base, listen, entry, push, limits: { ...base.limits, maxClients: most + 10 } },
      tls: { ...base.tls, ...material, cert: pki.material("server.crt"), key: pki.material("server.key") },
    };
    const entrance = new Entrance(
      { config, clients: new Map(), users: undefined, lan: [] },
      { primitives: control, random: systemRandom, tokenKey: new Uint8Array(32) },
    );
    this.listener = new Listener({
      ...{ ...common, aead: this.#aead, config, entrance, passwords: new FakePasswords(), tls: libsslTls },
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

  /** Where client n is. */
  static endpointOf(n: number): Endpoint {
    return { address: IpAddress.fromIpv4(0x0b000000 + n), port: 1194 };
  }

  /** @returns its session, up */
  join(n: number): Joined {
    const endpoint = Bed.endpointOf(n);
    const start = { link: { overhead: 28, isStream: false }, unixSeconds: 1_700_000_000, login: {} } as const;
    const session = new ClientSession(profile, { ...common, aead: this.#aead, tls: clientTls }, start);
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

  /** Everybody is gone, and so is what is left of them. */
  empty(): void {
    const there = this.listener.kill(this.now, NAME);
    this.now += 10_000;
    for (let turn = 0; turn < 10 || turn * ROWS < 4 * there; turn++) this.arrive([]);
    this.#toClients.length = 0;
  }

  /** Lets so many ms pass, in which the server does what is due. */
  wait(ms: number): void {
    const until = this.now + ms;
    const start = threadTime();
    for (let at = this.listener.pollAt(); at <= until; at = this.listener.pollAt()) {
      this.now = Math.max(this.now, at);
      this.listener.poll(this.now);
    }
    this.spent += threadTime() - start;
    this.now = until;
  }

  /** What the server has sent since, which nobody is told. */
  forget(): number {
    return this.#toClients.splice(0).length;
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

/** A data packet of a client. @param content a number: of so many bytes */
export function seal(session: ClientSession, now: number, content: number | Uint8Array): Uint8Array {
  const [plain, sealed] = [new Batch(1), new Batch(1)];
  const at = ROWS * SLOT + OWN + AT;
  const length = typeof content === "number" ? content : content.length;
  if (typeof content === "number") memory.bytes.fill(0x45, at, at + length);
  else memory.bytes.set(content, at);
  plain.push(at, length);
  session.sealBatch(now, plain, sealed);
  return memory.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!);
}
