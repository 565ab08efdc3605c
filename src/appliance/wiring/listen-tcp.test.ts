/** Connections that are accepted over the WAN, against other stacks over a network: what crosses them, how they end, and that none is in another's way. */
import { describe, expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { Arena, HEADROOM } from "../../lib/slab.ts";
import type { Connection } from "../../netstack/tcp/connection.ts";
import { bytesOf } from "../../netstack/testing/bed.ts";
import { type LinkOptions, TcpPair } from "../../netstack/testing/tcp-pair.ts";
import type { ListenConfig } from "../../protocol/config/server-types.ts";
import { framePacket } from "../../protocol/stream.ts";
import type { OpenPort, PeerLink } from "../../tunnel/listen.ts";
import { WanLinks } from "./wan-links.ts";
import { WanPorts } from "./wan-ports.ts";

const STREAM = 64 << 10;
const LONGEST = 4096;

interface Accepted {
  readonly link: PeerLink;
  /** First byte and length of each packet that came. */
  readonly got: [number, number][];
  readonly ends: string[];
}

/** A server on host b, whose clients are connections of host a. */
class ListenBed {
  readonly pair: TcpPair;
  readonly accepted: Accepted[] = [];
  readonly open: OpenPort;
  readonly ports: WanPorts;
  wanted = true;
  turns = 0;
  readonly #links: WanLinks;
  readonly #arena: Arena;

  constructor(options: LinkOptions = {}, own: Partial<ListenConfig> = {}) {
    this.pair = new TcpPair({ pages: 512, ...options });
    const { b } = this.pair;
    this.#arena = new Arena(b.slab, b.scratchAt, b.scratchAt + STREAM);
    const stream = { arena: this.#arena, rows: new Batch(64) };
    this.#links = new WanLinks({ wan: b.it, tcp: b.tcp, stream, lan: () => undefined });
    this.ports = new WanPorts({ wan: b.it, tcp: b.tcp, stream });
    const origin = { file: "server.conf", line: 1 };
    const config: ListenConfig = { address: undefined, port: 1194, protocol: "tcp", family: "any", origin, ...own };
    const open = this.ports.listen(0, config, LONGEST, {
      handleDatagrams: () => {},
      narrowed: () => {},
      accepted: (_now, link) => {
        if (!this.wanted) return undefined;
        const one: Accepted = { link, got: [], ends: [] };
        this.accepted.push(one);
        return {
          handleRows: (_at, rows) => {
            for (let i = 0; i < rows.count; i++) one.got.push([b.slab.bytes[rows.at[i]!]!, rows.len[i]!]);
          },
          ended: (_at, end) => void one.ends.push(end.kind),
        };
      },
    });
    if (typeof open === "string") throw new Error(open);
    this.open = open;
  }

  run(done: () => boolean, ms = 20_000): boolean {
    return this.pair.run(() => {
      do {
        this.#links.drain(this.pair.now);
        this.ports.drain(this.pair.now);
        this.#arena.reset();
        this.turns++;
      } while (this.ports.pollAt() < this.pair.now);
      return done();
    }, ms);
  }

  pass(ms: number): void {
    const until = this.pair.now + ms;
    this.run(() => this.pair.now >= until, ms);
  }

  dial(): Connection {
    const c = this.pair.a.tcp.connect(this.pair.now, { address: this.pair.address, port: 1194 });
    if (typeof c === "string") throw new Error(c);
    return c;
  }

  /** Clients that are connected, and what the server knows of them, in the same order. */
  connect(n = 1): Connection[] {
    return Array.from({ length: n }, () => {
      const c = this.dial();
      const before = this.accepted.length;
      expect(this.run(() => this.accepted.length > before)).toBe(true);
      return c;
    });
  }

  /** Sends packets to a client, sealed by nobody. @returns how many the link takes */
  send(link: PeerLink, count: number, len: number): number {
    const rows = new Batch(count);
    for (let i = 0; i < count; i++) rows.push(this.pair.b.scratchAt + STREAM + HEADROOM + i * 2048, len);
    rows.count = link.admit(rows, 0);
    link.send(this.pair.now, rows);
    return rows.count;
  }
}

const read = (c: Connection): Uint8Array => {
  const out = new Uint8Array(4 << 20);
  return out.slice(0, c.read(out));
};

describe.each([4, 6] as const)("over IPv%d", (family) => {
  test("packets of several clients cross whole, wherever their streams are cut, and each client has its own", () => {
    const bed = new ListenBed({ family });
    const clients = bed.connect(3);
    const streams = clients.map((_, k) =>
      Uint8Array.from(
        [1, 1400, 1, LONGEST].flatMap((len, i) => [...framePacket(new Uint8Array(len).fill(10 * k + i))]),
      ),
    );
    for (let at = 0; at < streams[0]!.length; at += 997) {
      clients.forEach((c, k) => void c.writeBytes(streams[k]!.subarray(at, at + 997)));
      bed.pass(5);
    }
    bed.pass(100);
    const wanted = clients.map((_, k) => [1, 1400, 1, LONGEST].map((len, i) => [10 * k + i, len]));
    expect(bed.accepted.map(({ got }) => got) as unknown).toEqual(wanted);
    bed.accepted[1]!.link.sendPacket(bed.pair.now, bytesOf(14, 0x38));
    expect(bed.send(bed.accepted[1]!.link, 2, 100)).toBe(2);
    bed.pass(100);
    expect(clients.map((c) => c.readable)).toEqual([0, 16 + 2 * 102, 0]);
    const { link } = bed.accepted[0]!;
    expect([link.isStream, link.overhead, `${link.endpoint.address}`.includes(":")]).toEqual([
      true,
      family === 4 ? 42 : 62,
      family === 6,
    ]);
  });
});

test("more than one turn has memory for comes in several, and nobody's packets are kept back for good", () => {
  const bed = new ListenBed({ pageSize: 16_384, pages: 1024 });
  const clients = bed.connect(4);
  const one = framePacket(new Uint8Array(1400).fill(5));
  for (const c of clients) for (let i = 0; i < 120; i++) expect(c.writeBytes(one)).toBe(one.length);
  expect(bed.run(() => bed.accepted.every(({ got }) => got.length === 120))).toBe(true);
  expect(bed.turns).toBeGreaterThan((4 * 120 * 1402) / STREAM);
});

test("a client that reads nothing loses its own packets only, before they are sealed", () => {
  const bed = new ListenBed({ delay: 5 });
  const [slow, good] = bed.connect(2);
  let taken = 0;
  for (let n = 128; n === 128 && taken < 10_000; taken += n) {
    n = bed.send(bed.accepted[0]!.link, 128, 1400);
    bed.pass(20);
  }
  expect(taken * 1402).toBeLessThan(2 << 20);
  expect(bed.open.drops()["link-queue-full"]).toBeGreaterThan(0);
  expect(bed.send(bed.accepted[1]!.link, 100, 1400)).toBe(100);
  bed.pass(200);
  expect(read(good!).length).toBe(100 * 1402);
  expect(slow!.readable).toBeGreaterThan(0);
});

test("an end is told behind what came before it; a length that cannot be one ends that connection alone", () => {
  const bed = new ListenBed();
  const [gone, garbled, good] = bed.connect(3);
  gone!.writeBytes(framePacket(new Uint8Array(20).fill(7)));
  gone!.close();
  garbled!.writeBytes(Uint8Array.of(...framePacket(Uint8Array.of(1)), 0, 0, 1, 2));
  good!.writeBytes(framePacket(Uint8Array.of(3)));
  bed.pass(200);
  expect(bed.accepted.map(({ got, ends }) => [got, ends])).toEqual([
    [[[7, 20]], ["link-closed"]],
    [[[1, 1]], ["link-garbled"]],
    [[[3, 1]], []],
  ]);
});

test("closed, a connection says its goodbye, and its end is not told; a closed place has none left, and accepts none", () => {
  const bed = new ListenBed();
  const [first, second] = bed.connect(2);
  bed.accepted[0]!.link.sendPacket(bed.pair.now, bytesOf(40, 1));
  bed.accepted[0]!.link.close();
  bed.pass(500);
  expect([read(first!).length, first!.state]).toEqual([42, "CLOSE-WAIT"]);
  bed.open.close();
  bed.pass(500);
  expect(second!.state).toBe("CLOSE-WAIT");
  expect(bed.accepted.map(({ ends }) => ends)).toEqual([[], []]);
  const late = bed.dial();
  bed.pass(500);
  expect(late.end).toBe("refused");
});

test("who is not wanted is broken off, and an address that is not listened at has no port there", () => {
  const bed = new ListenBed();
  bed.wanted = false;
  const c = bed.dial();
  expect(bed.run(() => c.end !== undefined)).toBe(true);
  expect(c.end).toBe("reset");
  const other = new ListenBed({ family: 6 }, { family: "ipv4" });
  const refused = other.dial();
  other.pass(500);
  expect([refused.end, other.accepted.length]).toEqual(["refused", 0]);
});
