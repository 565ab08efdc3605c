import { expect, test } from "bun:test";
import fc from "fast-check";
import { slabOver } from "../../lib/slab.ts";
import { PagePool, Ring } from "./pages.ts";

const PAGE = 64;
const START = 128;
const SOURCE = START + 64 * PAGE;
const poolOf = (count: number): PagePool => {
  const slab = slabOver(new ArrayBuffer(SOURCE + 4096));
  slab.bytes.fill(0xa5);
  return new PagePool(slab, START, PAGE, count);
};
/** What lies in [offset, offset + len), read piece by piece. */
const read = (pool: PagePool, ring: Ring, offset: number, len: number): number[] => {
  const out: number[] = [];
  while (out.length < len) {
    const piece = Math.min(len - out.length, ring.run(offset + out.length));
    const at = ring.at(offset + out.length);
    expect(piece).toBeGreaterThan(0);
    out.push(...pool.slab.bytes.subarray(at, at + piece));
  }
  return out;
};
const pattern = (n: number, first = 0): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (first + i) & 0xff);

test("an empty ring holds no page, and one that was emptied gives all of them back", () => {
  const pool = poolOf(8);
  const ring = new Ring(pool, 1000);
  expect([ring.pages, pool.free]).toEqual([0, 8]);
  expect(ring.writeBytes(0, pattern(200))).toBe(200);
  expect([ring.pages, pool.free, ring.extent]).toEqual([4, 4, 200]);
  ring.consume(63);
  expect(ring.pages).toBe(4);
  ring.consume(1);
  expect([ring.pages, ring.extent]).toEqual([3, 136]);
  ring.consume(136);
  expect([ring.pages, pool.free, ring.extent]).toEqual([0, 8, 0]);
});

test("a ring alone gets half of the pool, and those that begin later get their share all the same", () => {
  const pool = poolOf(60);
  const greedy = new Ring(pool, 1e6);
  expect(greedy.room).toBe(30 * PAGE);
  expect(greedy.writeBytes(0, new Uint8Array(1e5))).toBe(30 * PAGE);
  const others = Array.from({ length: 5 }, () => new Ring(pool, 1e6));
  for (let i = 0; i < 100; i++) for (const ring of others) ring.writeBytes(ring.extent, new Uint8Array(PAGE));
  for (const ring of others) expect(ring.pages).toBeGreaterThanOrEqual(4);
  expect(pool.free).toBeGreaterThan(0);
  expect(greedy.room).toBe(0);
});

test("the last page goes to a ring that holds none", () => {
  const pool = poolOf(3);
  const rings = Array.from({ length: 4 }, () => new Ring(pool, 1e6));
  expect(rings.map((ring) => ring.writeBytes(0, new Uint8Array(PAGE)))).toEqual([PAGE, PAGE, PAGE, 0]);
  expect(rings.map((ring) => ring.room)).toEqual([0, 0, 0, 0]);
});

test("what room promises can be written", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.nat(900), { maxLength: 4 }),
      fc.nat(3000),
      (count, held, capacity) => {
        const pool = poolOf(count);
        for (const n of held) new Ring(pool, 1e6).writeBytes(0, new Uint8Array(n));
        const ring = new Ring(pool, capacity);
        ring.writeBytes(0, new Uint8Array(100));
        if (ring.extent > 30) ring.consume(30);
        const { room, extent } = ring;
        expect(ring.writeBytes(extent, new Uint8Array(5000))).toBe(room);
        expect(ring.room).toBe(0);
      },
    ),
  );
});

test("data beyond a hole that finds no page leaves no pages behind", () => {
  const pool = poolOf(8);
  const ring = new Ring(pool, 1e6);
  expect(ring.writeBytes(PAGE * 6, pattern(10))).toBe(0);
  expect([ring.pages, ring.extent, pool.free]).toEqual([0, 0, 8]);
  ring.writeBytes(0, pattern(10));
  expect(ring.writeBytes(PAGE * 6, pattern(10))).toBe(0);
  expect([ring.pages, ring.extent, pool.free]).toEqual([1, 10, 7]);
  expect(read(pool, ring, 0, 10)).toEqual([...pattern(10)]);
});

type Op = {
  readonly kind: "write" | "copy" | "consume" | "cut" | "clear";
  readonly ring: number;
  readonly a: number;
  readonly b: number;
};
const op: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom("write", "write", "copy", "copy", "consume", "consume", "cut", "clear"),
  ring: fc.nat(2),
  a: fc.nat(700),
  b: fc.nat(400),
});

test("three rings of one pool keep what an array keeps, whatever is done in whatever order", () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
      const pool = poolOf(24);
      const rings = Array.from({ length: 3 }, () => new Ring(pool, 1000));
      const models: number[][] = [[], [], []]; // -1: in a hole, anything
      let stamp = 0;
      for (const { kind, ring: i, a, b } of ops) {
        const ring = rings[i]!;
        const model = models[i]!;
        if (kind === "write" || kind === "copy") {
          const bytes = pattern(b, stamp++);
          pool.slab.bytes.set(bytes, SOURCE);
          const n = kind === "write" ? ring.writeBytes(a, bytes) : ring.write(a, SOURCE, b);
          expect(n).toBeLessThanOrEqual(b);
          if (n > 0) while (model.length < a) model.push(-1);
          for (let k = 0; k < n; k++) model[a + k] = bytes[k]!;
        } else if (kind === "consume") {
          const n = Math.min(a, ring.extent);
          ring.consume(n);
          model.splice(0, n);
        } else if (kind === "cut") {
          ring.cut(a);
          model.length = Math.min(model.length, a);
        } else {
          ring.clear();
          model.length = 0;
        }
        rings.forEach((each, j) => {
          expect(each.extent).toBe(models[j]!.length);
          expect(each.pages).toBeLessThanOrEqual(Math.ceil(each.extent / PAGE) + 1);
          read(pool, each, 0, each.extent).forEach((byte, k) => {
            if (models[j]![k] !== -1 && models[j]![k] !== byte) throw new Error(`ring ${j}, byte ${k}: ${byte}`);
          });
        });
        expect(rings.reduce((sum, each) => sum + each.pages, pool.free)).toBe(24);
      }
      expect(pool.slab.bytes.subarray(0, START).every((byte) => byte === 0xa5)).toBe(true);
    }),
    { numRuns: 300 },
  );
});
