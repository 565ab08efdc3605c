import { expect, test } from "bun:test";
import fc from "fast-check";
import { Batch } from "../../lib/batch.ts";
import { Arena, slabOver } from "../../lib/slab.ts";
import { DROP_DATA_FRAGMENT, DROP_DATA_NO_ROOM, DROP_NONE, DROP_SEAL_TOO_LARGE, SessionDrops } from "../drop.ts";
import { Fragments, PIECE_KEPT } from "./fragment.ts";
import type { DataKey } from "./key.ts";

const AT = 256;
const LARGEST = 1602;
const SCRATCH = 8192;
const slab = slabOver(new ArrayBuffer(SCRATCH + 65_536));
const scratch = new Arena(slab, SCRATCH, SCRATCH + 65_536);

/** Seals by doing nothing. */
const bare: DataKey = {
  keyId: 0,
  cipher: "none",
  overhead: 0,
  payloadMax: (size) => size,
  sealedLen: 0,
  openedLen: 0,
  seal(at, len) {
    (this as { sealedLen: number }).sealedLen = len;
    return at;
  },
  open: (_now, at) => at,
  bytes: 0,
  packets: 0,
  isWorn: false,
  touch: () => 0,
  close: () => {},
};

function end(datagram = 500) {
  const drops = new SessionDrops();
  const fragments = new Fragments(scratch, drops, datagram, LARGEST, 255);
  return { drops, fragments };
}

const packetOf = (len: number): Uint8Array => Uint8Array.from({ length: len }, (_, i) => (i * 7 + len) & 0xff);

/** The payloads that a packet becomes, or the drop code. */
function cut(fragments: Fragments, packet: Uint8Array, rows = 64): Uint8Array[] | number {
  scratch.reset();
  slab.bytes.set(packet, AT);
  const sealed = new Batch(rows);
  const drop = fragments.seal(bare, AT, packet.length, sealed);
  if (drop !== DROP_NONE) return drop;
  return Array.from({ length: sealed.count }, (_, i) =>
    slab.bytes.slice(sealed.at[i]!, sealed.at[i]! + sealed.len[i]!),
  );
}

function pieces(fragments: Fragments, packet: Uint8Array): Uint8Array[] {
  const made = cut(fragments, packet);
  if (typeof made === "number") throw new Error(`${made}`);
  return made;
}

/** The packet, or what open says. */
function take(fragments: Fragments, payload: Uint8Array, now = 0): Uint8Array | number {
  scratch.reset();
  slab.bytes.set(payload, AT);
  const at = fragments.open(now, AT, payload.length);
  return at > 0 ? slab.bytes.slice(at, at + fragments.len) : at;
}

const header = (type: number, sequence: number, piece: number, size = 0): number[] => {
  const flags = type | (sequence << 2) | (piece << 10) | ((size / 4) << 15);
  return [24, 16, 8, 0].map((shift) => (flags >> shift) & 0xff);
};

test("a packet that fits has a header of zeros; a larger one goes in pieces of one size, of which the last one names it (fragment.h)", () => {
  const { fragments } = end();
  expect(pieces(fragments, packetOf(496))).toEqual([Uint8Array.of(0, 0, 0, 0, ...packetOf(496))]);
  const large = packetOf(1000);
  expect(pieces(fragments, large)).toEqual([
    Uint8Array.of(...header(1, 0, 0), ...large.subarray(0, 336)),
    Uint8Array.of(...header(1, 0, 1), ...large.subarray(336, 672)),
    Uint8Array.of(...header(2, 0, 2, 336), ...large.subarray(672)),
  ]);
});

test("whatever the size, no payload is larger than asked for, and in any order the packet comes out once", () => {
  const sizes = fc.record({ datagram: fc.integer({ min: 68, max: 1500 }), len: fc.integer({ min: 1, max: LARGEST }) });
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.nat()), ({ datagram, len }, order) => {
      const [from, to] = [end(datagram), end(datagram)];
      const packet = packetOf(len);
      const made = pieces(from.fragments, packet);
      expect(Math.max(...made.map(({ length }) => length))).toBeLessThanOrEqual(datagram);
      expect(made.length).toBeLessThanOrEqual(32);
      const outcomes: (Uint8Array | number)[] = [];
      while (made.length > 0) {
        const next = made.splice(order.next().value! % made.length, 1)[0]!;
        outcomes.push(take(to.fragments, next));
      }
      expect(outcomes.pop()).toEqual(packet);
      expect(outcomes.every((outcome) => outcome === PIECE_KEPT)).toBe(true);
    }),
  );
});

test("pieces of 25 packets may be mixed; of one more the oldest is given up", () => {
  for (const [packets, lost] of [
    [25, 0],
    [26, 1],
  ] as const) {
    const [from, to] = [end(), end()];
    const made = Array.from({ length: packets }, (_, i) => pieces(from.fragments, packetOf(600 + i)));
    for (const [first] of made) expect(take(to.fragments, first!)).toBe(PIECE_KEPT);
    expect(to.drops.snapshot()["data-fragment-lost"] ?? 0).toBe(lost);
    for (let i = lost; i < packets; i++) expect(take(to.fragments, made[i]![1]!)).toEqual(packetOf(600 + i));
  }
});

test("what is not complete after 10 s is given up, and a jump of the sequence ids gives up all", () => {
  const [from, to] = [end(), end()];
  const [first, last] = pieces(from.fragments, packetOf(600));
  take(to.fragments, first!, 0);
  expect(take(to.fragments, last!, 10_000)).toBe(PIECE_KEPT);
  expect(take(to.fragments, first!, 19_999)).toEqual(packetOf(600));
  take(to.fragments, first!, 20_000);
  take(to.fragments, Uint8Array.of(...header(1, 100, 0), 1, 2, 3, 4), 20_001);
  expect(to.drops.snapshot()).toEqual({ "data-fragment-lost": 2 });
  // A peer that was started anew may be anywhere.
  expect(take(to.fragments, Uint8Array.of(...header(1, 20, 0), 1, 2, 3, 4), 20_002)).toBe(PIECE_KEPT);
  expect(take(to.fragments, Uint8Array.of(...header(2, 20, 1, 4), 5), 20_002)).toEqual(Uint8Array.of(1, 2, 3, 4, 5));
});

test("headers that cannot be, and pieces beyond the largest packet, are drops", () => {
  const { fragments } = end();
  const four = [1, 2, 3, 4];
  for (const payload of [
    [],
    header(0, 0, 0),
    [...header(0, 1, 0), ...four],
    [...header(0, 0, 1), ...four],
    [...header(3, 0, 0), ...four],
    [...header(1, 0, 0), 1, 2, 3],
    [...header(2, 0, 1, 0), ...four],
    [...header(2, 0, 1, 4), ...four, 5],
    [...header(2, 0, 1, 1600), ...four],
  ])
    expect([payload, take(fragments, Uint8Array.from(payload))]).toEqual([payload, DROP_DATA_FRAGMENT]);
});

test("anything at all is kept, dropped, or a packet within the bounds", () => {
  const { fragments } = end();
  const payload = fc.tuple(fc.nat(3), fc.nat(40), fc.nat(31), fc.nat(400), fc.uint8Array({ maxLength: 100 }));
  fc.assert(
    fc.property(payload, fc.nat(30_000), ([type, id, piece, size, data], now) => {
      const got = take(fragments, Uint8Array.of(...header(type, id, piece, type === 2 ? size * 4 : 0), ...data), now);
      expect(typeof got === "number" ? got <= 0 : got.length <= LARGEST).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test("more than 32 pieces, and pieces without room, are not sent in part", () => {
  expect(cut(end(68).fragments, packetOf(3000))).toBe(DROP_SEAL_TOO_LARGE);
  expect(cut(end(4).fragments, packetOf(100))).toBe(DROP_SEAL_TOO_LARGE);
  expect(cut(end().fragments, packetOf(1000), 2)).toBe(DROP_DATA_NO_ROOM);
});
