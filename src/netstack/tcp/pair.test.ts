/** Two whole stacks against each other over bad links: bytes arrive once and in order, or the connection says why it ended. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { addr } from "../testing/bed.ts";
import { type LinkOptions, TcpPair } from "../testing/tcp-pair.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";

setDefaultTimeout(60_000);

const PORT = 7;

interface Outcome {
  readonly ms: number;
  readonly pair: TcpPair;
  readonly a: Connection;
  readonly b: Connection | undefined;
}

const byteAt = (seed: number, n: number): number => (seed + n * 13 + (n >> 7) * 5 + (n >> 15)) & 255;

/** One direction of a connection, for one side of it: what it writes and what it has to read. */
class Stream {
  sent = 0;
  got = 0;
  readonly #c: Connection;
  readonly #out: number;
  readonly #in: number;
  readonly #seed: number;
  readonly #buffer = new Uint8Array(70_000);

  constructor(c: Connection, out: number, into: number, seed: number) {
    this.#c = c;
    this.#out = out;
    this.#in = into;
    this.#seed = seed;
  }

  /** Writes and reads what goes; true: all is written and read. */
  go(): boolean {
    const c = this.#c;
    while (this.sent < this.#out) {
      const n = Math.min(this.#out - this.sent, this.#buffer.length);
      for (let i = 0; i < n; i++) this.#buffer[i] = byteAt(this.#seed, this.sent + i);
      const taken = c.writeBytes(this.#buffer.subarray(0, n));
      this.sent += taken;
      if (taken < n) break;
    }
    if (this.sent === this.#out) c.shutdown();
    for (let n = c.read(this.#buffer); n > 0; n = c.read(this.#buffer)) {
      for (let i = 0; i < n; i++)
        if (this.#buffer[i] !== byteAt(this.#seed ^ 1, this.got + i)) throw new Error(`byte ${this.got + i} is wrong`);
      this.got += n;
    }
    return this.sent === this.#out && this.got === this.#in && c.isFinished;
  }
}

/** Carries so many bytes each way and closes. */
function carry(link: LinkOptions, up: number, down: number, options: ConnectionOptions = {}): Outcome {
  const pair = new TcpPair(link);
  const listener = pair.b.tcp.listen(PORT, options);
  const start = pair.now;
  const a = pair.a.tcp.connect(pair.now, { address: pair.address, port: PORT }, options);
  if (typeof a === "string") throw new Error(a);
  const near = new Stream(a, up, down, 2);
  let b: Connection | undefined;
  let far: Stream | undefined;
  pair.run(() => {
    if (far === undefined) {
      b = listener?.accept();
      if (b !== undefined) far = new Stream(b, down, up, 3);
    }
    near.go();
    far?.go();
    return a.end !== undefined && (b === undefined || b.end !== undefined);
  }, 3_600_000);
  near.go();
  far?.go();
  if (a.end === "closed") {
    expect([near.sent, near.got]).toEqual([up, down]);
    expect(b?.end).toBe("closed");
  }
  if (b?.end === "closed") expect([far?.sent, far?.got]).toEqual([down, up]);
  expect(a.end).toBeDefined();
  a.close();
  b?.close();
  for (const host of [pair.a, pair.b]) {
    expect(host.pool.free).toBe(link.pages ?? 2048);
    expect(host.tcp.census.connections).toBe(0);
  }
  return { ms: pair.now - start, pair, a, b };
}

describe("every byte arrives once and in order", () => {
  const links: Record<string, LinkOptions> = {
    "a clean link": { delay: 1 },
    "super-frames handed over whole": { delay: 1, superFrames: true },
    "super-frames and loss": { delay: 5, superFrames: true, loss: 0.1 },
    "1 % loss": { delay: 20, loss: 0.01 },
    "5 % loss": { delay: 20, loss: 0.05 },
    "20 % loss": { delay: 10, loss: 0.2 },
    reordering: { delay: 20, reorder: 0.3, reorderMs: 15 },
    duplicates: { delay: 5, duplicate: 0.3 },
    damage: { delay: 5, corrupt: 0.05 },
    "all of it": { delay: 20, loss: 0.03, reorder: 0.2, duplicate: 0.1, corrupt: 0.02 },
    "all of it, marks too": { delay: 20, loss: 0.02, reorder: 0.1, duplicate: 0.1, corrupt: 0.02, mark: 0.05 },
    "an MTU of 576": { mtu: 576, delay: 5, loss: 0.02 },
    "an MTU of 9000": { mtu: 9000, delay: 5, loss: 0.02 },
    "a slow link with a short queue": { delay: 20, rate: 500, queue: 30_000 },
    "a long fat one": { delay: 100, rate: 5000, queue: 500_000 },
    IPv6: { family: 6, delay: 10, loss: 0.02, reorder: 0.1, corrupt: 0.01 },
    "IPv6 and its least MTU": { family: 6, mtu: 1280, delay: 10, loss: 0.02 },
    "IPv6, super-frames and marks": { family: 6, delay: 10, superFrames: true, loss: 0.02, mark: 0.05 },
    "pages of 512 bytes, and few": { delay: 5, loss: 0.02, pages: 64, pageSize: 512 },
  };
  for (const [name, link] of Object.entries(links))
    test(name, () => {
      const options = { ecn: link.mark !== undefined };
      const { a } = carry({ ...link, seed: 5 }, 600_000, 250_000, options);
      expect(a.end).toBe("closed");
    });

  test("any link, any seed", () => {
    const chance = (max: number) => fc.double({ min: 0, max, noNaN: true });
    const link = fc.record({
      seed: fc.integer({ min: 1, max: 1 << 20 }),
      family: fc.constantFrom(4 as const, 6 as const),
      mtu: fc.constantFrom(576, 1280, 1500, 9000),
      delay: fc.constantFrom(0, 1, 20, 150),
      loss: chance(0.15),
      duplicate: chance(0.2),
      corrupt: chance(0.05),
      reorder: chance(0.4),
      superFrames: fc.boolean(),
      pageSize: fc.constantFrom(512, 4096),
      pages: fc.constantFrom(40, 500),
    });
    const buffers = fc.record({
      receiveBuffer: fc.constantFrom(1000, 5000, 65_536, 4 << 20),
      sendBuffer: fc.constantFrom(700, 20_000, 4 << 20),
      noDelay: fc.boolean(),
      ecn: fc.boolean(),
    });
    const size = fc.integer({ min: 0, max: 60_000 });
    fc.assert(
      fc.property(link, buffers, size, size, (l, o, up, down) => {
        const { a } = carry(l, up, down, o);
        expect(["closed", "timed-out", "reset", "refused"]).toContain(a.end as string);
      }),
      { numRuns: 30 },
    );
  });
});

describe("when it cannot go on", () => {
  test("a link that is cut: both sides say so", () => {
    const pair = new TcpPair({ delay: 5, loss: 0 });
    const listener = pair.b.tcp.listen(PORT, { userTimeout: 20_000 });
    const a = pair.a.tcp.connect(pair.now, { address: pair.address, port: PORT }, { userTimeout: 20_000 });
    if (typeof a === "string" || listener === undefined) throw new Error();
    let b: Connection | undefined;
    pair.run(() => {
      b ??= listener.accept();
      return b !== undefined && a.state === "ESTABLISHED";
    });
    pair.cut = true;
    a.writeBytes(new Uint8Array(5000));
    b?.writeBytes(new Uint8Array(5000));
    pair.run(() => a.end !== undefined && b?.end !== undefined);
    expect([a.end, b?.end]).toEqual(["timed-out", "timed-out"]);
  });

  test("nobody there, and nobody listening", () => {
    const pair = new TcpPair({ delay: 5 });
    const gone = pair.a.tcp.connect(pair.now, { address: addr("10.0.0.9"), port: PORT }, { userTimeout: 10_000 });
    const closed = pair.a.tcp.connect(pair.now, { address: pair.address, port: PORT });
    if (typeof gone === "string" || typeof closed === "string") throw new Error();
    pair.run(() => gone.end !== undefined && closed.end !== undefined);
    expect([gone.end, closed.end]).toEqual(["unreachable", "refused"]);
  });

  test("a path that swallows large packets: smaller ones go through", () => {
    const { pair, a } = carry({ delay: 10, blackHole: 1300 }, 200_000, 1000);
    expect(a.end).toBe("closed");
    expect(pair.a.tcp.counters.snapshot().blackHoles).toBeGreaterThan(0);
  });
});

describe("many", () => {
  test("a reader that stops stops the writer, and nothing is lost; the memory of all is bounded", () => {
    const pair = new TcpPair({ delay: 2, pages: 64, pageSize: 4096, tcp: { connections: 64 } });
    const listener = pair.b.tcp.listen(PORT, { backlog: 64 });
    if (listener === undefined) throw new Error();
    const clients = Array.from({ length: 20 }, () => {
      const c = pair.a.tcp.connect(pair.now, { address: pair.address, port: PORT });
      if (typeof c === "string") throw new Error(c);
      return { c, stream: new Stream(c, 40_000, 0, 2) };
    });
    const servers: { readonly c: Connection; readonly stream: Stream }[] = [];
    const accept = (): void => {
      for (let c = listener.accept(); c !== undefined; c = listener.accept())
        servers.push({ c, stream: new Stream(c, 0, 40_000, 3) });
    };
    pair.run(() => {
      accept();
      for (const { stream } of clients) stream.go();
      return false;
    }, 20_000);
    expect(servers).toHaveLength(20);
    expect(pair.b.pool.free).toBeGreaterThanOrEqual(0);
    expect(clients.every(({ c }) => c.end === undefined)).toBe(true);
    pair.run(() => {
      for (const { stream } of [...clients, ...servers]) stream.go();
      return [...clients, ...servers].every(({ c }) => c.end !== undefined);
    });
    expect(servers.every(({ stream }) => stream.got === 40_000)).toBe(true);
    expect(pair.a.pool.free).toBe(64);
    expect(pair.b.pool.free).toBe(64);
  });

  test("2,000 at once, and 2,000 one after the other", () => {
    const pair = new TcpPair({ delay: 1, tcp: { connections: 2100, halfOpen: 2100, timeWait: 500 } });
    const listener = pair.b.tcp.listen(PORT, { backlog: 2100 });
    if (listener === undefined) throw new Error();
    const open = (): Connection => {
      const c = pair.a.tcp.connect(pair.now, { address: pair.address, port: PORT });
      if (typeof c === "string") throw new Error(c);
      c.writeBytes(Uint8Array.of(1, 2, 3));
      return c;
    };
    const answer = new Uint8Array(3);
    const serve = (): void => {
      for (let c = listener.accept(); c !== undefined; c = listener.accept()) pending.add(c);
      for (const c of pending)
        if (c.read(answer) === 3) {
          c.writeBytes(answer);
          c.shutdown();
          pending.delete(c);
        }
    };
    const pending = new Set<Connection>();
    const all = Array.from({ length: 2000 }, open);
    let done = 0;
    pair.run(() => {
      serve();
      for (let c = pair.a.tcp.pollReady(); c !== undefined; c = pair.a.tcp.pollReady()) {
        if (c.isFinished || c.readable < 3) continue;
        expect(c.read(answer)).toBe(3);
        c.close();
        done++;
      }
      return done === 2000 && all.every((c) => c.end !== undefined);
    });
    expect(all.every((c) => c.end === "closed")).toBe(true);
    for (let i = 0; i < 2000; i++) {
      const c = open();
      pair.run(() => {
        serve();
        if (c.readable === 3) c.close();
        return c.end !== undefined;
      });
      expect(c.end === "aborted" || c.end === "closed").toBe(true);
    }
    expect(pair.a.tcp.census.connections).toBe(0);
  });
});
