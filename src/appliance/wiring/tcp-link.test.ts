/** A link over TCP, against another stack over a network that may be cut: what crosses it, what it drops, and how it ends. */
import { describe, expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { Arena, HEADROOM } from "../../lib/slab.ts";
import type { Connection } from "../../netstack/tcp/connection.ts";
import type { ListenSocket } from "../../netstack/tcp/listen-socket.ts";
import { bytesOf } from "../../netstack/testing/bed.ts";
import { type LinkOptions, TcpPair } from "../../netstack/testing/tcp-pair.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import type { Link, LinkReceiver } from "../../tunnel/link.ts";
import { WanLinks } from "./wan-links.ts";

const PORT = 1194;
const STREAM = 64 << 10;
/** What sealing adds to a packet. */
const OVERHEAD = 24;

/** A client's link on host a, and what host b makes of it by itself. */
class LinkBed {
  readonly pair: TcpPair;
  readonly links: WanLinks;
  readonly link: Link;
  opened = 0;
  readonly ends: LinkEnd[] = [];
  /** First byte and length of each packet that came. */
  readonly got: [number, number][] = [];
  peer: Connection | undefined;
  readonly #listener: ListenSocket | undefined;
  readonly #arena: Arena;

  constructor(options: LinkOptions = {}, port = PORT, localPort?: number) {
    this.pair = new TcpPair({ pages: 512, ...options });
    const { a } = this.pair;
    this.#arena = new Arena(a.slab, a.scratchAt, a.scratchAt + STREAM);
    const stream = { arena: this.#arena, rows: new Batch(1024) };
    this.links = new WanLinks({ wan: a.it, tcp: a.tcp, stream, lan: () => undefined });
    this.#listener = this.pair.b.tcp.listen(PORT, { sendBuffer: 1 << 20 });
    const remote = { address: this.pair.address, port };
    const link = this.links.open(
      this.pair.now,
      { protocol: "tcp", remote, localPort, float: false, longest: 4096 },
      {
        opened: () => this.opened++,
        narrowed: () => {},
        unreachable() {},
        ended: (_now, end) => {
          this.ends.push(end);
          this.link.close();
        },
        handleRows: (_now, path, rows) => {
          expect(path).toBe(0);
          for (let i = 0; i < rows.count; i++) this.got.push([a.slab.bytes[rows.at[i]!]!, rows.len[i]!]);
        },
        looksLikeAnswer: () => false,
      },
    );
    if (typeof link === "string") throw new Error(link);
    this.link = link;
  }

  run(done: () => boolean, ms = 20_000): boolean {
    return this.pair.run(() => {
      this.links.drain(this.pair.now);
      this.#arena.reset();
      return done();
    }, ms);
  }

  pass(ms: number): void {
    const until = this.pair.now + ms;
    this.run(() => this.pair.now >= until, ms);
  }

  open(): this {
    const isOpen = (): boolean => {
      this.peer ??= this.#listener?.accept();
      return this.opened === 1 && this.peer !== undefined;
    };
    expect(this.run(isOpen)).toBe(true);
    return this;
  }

  /** Sends packets of the tunnel, sealed by nobody. @returns how many the link takes */
  send(count: number, len: number): number {
    const { a } = this.pair;
    const rows = new Batch(count);
    const at = a.scratchAt + STREAM + HEADROOM;
    for (let i = 0; i < count; i++) rows.push(at + i * 2048, len);
    const taken = this.link.admit(rows, OVERHEAD);
    rows.count = taken;
    for (let i = 0; i < taken; i++) {
      rows.len[i] = len + OVERHEAD;
      a.slab.bytes.fill(i, rows.at[i]!, rows.at[i]! + rows.len[i]!);
    }
    this.link.send(this.pair.now, 0, rows);
    return taken;
  }

  /** All that the peer can read. */
  read(): Uint8Array {
    const out = new Uint8Array(4 << 20);
    return out.slice(0, this.peer?.read(out) ?? 0);
  }
}

const QUIET: LinkReceiver = {
  opened() {},
  narrowed() {},
  unreachable() {},
  ended() {},
  handleRows() {},
  looksLikeAnswer: () => false,
};

/** A packet as it is on a stream. */
const framed = (first: number, len: number): number[] => [len >> 8, len & 255, first, ...new Array(len - 1).fill(0)];

describe.each([4, 6] as const)("over IPv%d", (family) => {
  test("the connection begins at the port that is asked for, of which there is one", () => {
    const bed = new LinkBed({ family }, PORT, 1194).open();
    expect(bed.peer?.remote.port).toBe(1194);
    const request = {
      protocol: "tcp",
      remote: bed.link.endpoint(0),
      localPort: 1194,
      float: false,
      longest: 4096,
    } as const;
    expect(bed.links.open(bed.pair.now, request, QUIET)).toBe("the local port 1194 is in use");
  });

  test("what came before the peer hung up is taken, also where it is more than a turn takes", () => {
    const bed = new LinkBed({ family }).open();
    const count = (2 * STREAM) / 1024;
    const all = Uint8Array.from(Array.from({ length: count }, (_, i) => framed(i % 256, 1022)).flat());
    expect(bed.peer?.writeBytes(all)).toBe(all.length);
    bed.peer?.close();
    // All of it has come before the link looks.
    bed.pair.pass(2000);
    expect(bed.run(() => bed.ends.length > 0)).toBe(true);
    expect(bed.got).toEqual(Array.from({ length: count }, (_, i) => [i % 256, 1022]));
  });

  test("packets go behind their lengths, in their order; headers are counted as openvpn does", () => {
    const bed = new LinkBed({ family }).open();
    expect([bed.link.isStream, bed.link.overhead, bed.links.useIpv6]).toEqual([
      true,
      family === 4 ? 42 : 62,
      family === 6,
    ]);
    bed.link.sendPacket(bed.pair.now, 0, bytesOf(14, 0x38));
    expect(bed.send(3, 100)).toBe(3);
    bed.pass(100);
    const bytes = bed.read();
    expect([...bytes.subarray(0, 3)]).toEqual([0, 14, 0x38]);
    expect([16, 142, 268].map((at) => [...bytes.subarray(at, at + 3)])).toEqual([0, 1, 2].map((i) => [0, 124, i]));
    expect(bytes.length).toBe(16 + 3 * 126);
  });

  test("packets come out of a stream that is cut anywhere, as rows of the slab", () => {
    const bed = new LinkBed({ family }).open();
    const stream = Uint8Array.from([...framed(1, 14), ...framed(2, 1500), ...framed(3, 1), ...framed(4, 4096)]);
    for (let at = 0, n = 1; at < stream.length; at += n, n = (n * 7 + 3) % 1000) {
      bed.peer?.writeBytes(stream.subarray(at, at + n));
      bed.pass(5);
    }
    expect(bed.got).toEqual([
      [1, 14],
      [2, 1500],
      [3, 1],
      [4, 4096],
    ]);
  });
});

test("more than one turn has memory for comes in several", () => {
  const bed = new LinkBed({ pageSize: 16_384 }).open();
  const one = Uint8Array.from(framed(5, 1400));
  for (let i = 0; i < 180; i++) expect(bed.peer?.writeBytes(one)).toBe(one.length);
  expect(bed.run(() => bed.got.length === 180)).toBe(true);
  expect(bed.ends).toEqual([]);
});

test("a queue that is full drops packets of the tunnel, whole and before they are sealed, and takes control packets still", () => {
  const bed = new LinkBed({ delay: 20 }).open();
  bed.pair.cut = true;
  let taken = 0;
  for (let n = 128; n === 128; taken += n) n = bed.send(128, 1400);
  expect(taken).toBeGreaterThan(100);
  expect(taken * 1426).toBeLessThan(300_000);
  const waiting = bed.link.drops();
  expect(waiting["link-queue-full"]).toBeGreaterThan(0);
  expect(bed.send(1, 1400)).toBe(0);
  for (let i = 0; i < 20; i++) bed.link.sendPacket(bed.pair.now, 0, bytesOf(1200, 0x20));
  expect(bed.link.drops()).toEqual({
    "link-queue-full": waiting["link-queue-full"]! + 1,
    "link-control-queue-full": 0,
  });
  bed.pair.cut = false;
  // Nothing of it is torn: lengths lead from packet to packet to the end.
  let bytes = new Uint8Array(0);
  const wanted = taken * 1426 + 20 * 1202;
  expect(
    bed.run(() => {
      bytes = Uint8Array.from([...bytes, ...bed.read()]);
      return bytes.length >= wanted;
    }, 60_000),
  ).toBe(true);
  let packets = 0;
  let at = 0;
  for (; at < bytes.length; packets++) at += 2 + ((bytes[at]! << 8) | bytes[at + 1]!);
  expect([packets, at]).toEqual([taken + 20, wanted]);
});

describe("it ends", () => {
  const ended = (bed: LinkBed, ms = 20_000): LinkEnd | undefined => {
    bed.run(() => bed.ends.length > 0, ms);
    expect(bed.ends.length).toBeLessThan(2);
    return bed.ends[0];
  };

  test("at once where nobody listens, and where nobody is", () => {
    const bed = new LinkBed({}, 9);
    expect([ended(bed), bed.opened]).toEqual([{ kind: "link-refused" }, 0]);
    const alone = new LinkBed({ delay: 1 });
    alone.pair.cut = true;
    const before = alone.pair.now;
    expect(ended(alone)).toEqual({ kind: "link-unreachable" });
    expect(alone.pair.now - before).toBeLessThan(6000);
  });

  test("when the peer hangs up, behind what it said before", () => {
    const bed = new LinkBed().open();
    bed.peer?.writeBytes(Uint8Array.from(framed(7, 20)));
    bed.peer?.close();
    expect([ended(bed), bed.got]).toEqual([{ kind: "link-closed" }, [[7, 20]]]);
    const other = new LinkBed().open();
    other.peer?.abort();
    expect(ended(other)).toEqual({ kind: "link-reset" });
  });

  test.each([0, 4097, 0x4854])("where a packet of %d bytes is announced: nothing behind it is believed", (len) => {
    const bed = new LinkBed().open();
    bed.peer?.writeBytes(Uint8Array.from([...framed(1, 3), len >> 8, len & 255, ...framed(2, 3)]));
    expect([ended(bed), bed.got]).toEqual([{ kind: "link-garbled", length: len }, [[1, 3]]]);
  });
});

test("closed, it says a goodbye to its end, and nothing of a queue that is left over; no connection stays", () => {
  const bed = new LinkBed().open();
  bed.link.sendPacket(bed.pair.now, 0, bytesOf(40, 1));
  bed.link.close();
  bed.pass(1000);
  expect([bed.read().length, bed.peer?.state]).toEqual([42, "CLOSE-WAIT"]);

  const stuck = new LinkBed().open();
  stuck.pair.cut = true;
  expect(stuck.send(60, 1400)).toBe(60);
  stuck.link.close();
  stuck.pair.cut = false;
  stuck.pass(10_000);
  expect(stuck.pair.a.tcp.census.connections).toBe(0);
  expect(stuck.read().length).toBe(0);
  expect(stuck.ends).toEqual([]);
});
