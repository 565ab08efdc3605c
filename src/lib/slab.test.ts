import { expect, test } from "bun:test";
import fc from "fast-check";
import { Batch, GSO_NONE } from "./batch.ts";
import { ensureRoom } from "./outlet.ts";
import { Arena, HEADROOM, slabOver, TAILROOM } from "./slab.ts";

test("frames of an arena never overlap, with their headroom and tailroom, and stay inside it", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 50 }), (sizes) => {
      const arena = new Arena(slabOver(new ArrayBuffer(65536)), 4096, 49152);
      let end = arena.start;
      for (const size of sizes) {
        const at = arena.take(size);
        if (at < 0) continue;
        expect(at - HEADROOM).toBeGreaterThanOrEqual(end);
        end = at + size + TAILROOM;
        expect(end).toBeLessThanOrEqual(arena.end);
      }
    }),
  );
});

test("a full arena says so, and reset empties it", () => {
  const arena = new Arena(slabOver(new ArrayBuffer(8192)), 0, 8192);
  expect(arena.take(7900)).toBeGreaterThan(0);
  expect(arena.take(100)).toBe(-1);
  arena.reset();
  expect(arena.room).toBe(8192);
  expect(arena.take(100)).toBeGreaterThan(0);
});

test("ensureRoom flushes exactly when rows or bytes would not fit", () => {
  const arena = new Arena(slabOver(new ArrayBuffer(16384)), 0, 16384);
  const batch = new Batch(4);
  let flushed = 0;
  const outlet = {
    batch,
    arena,
    flush() {
      flushed++;
      batch.clear();
      arena.reset();
    },
  };
  ensureRoom(outlet, 1, 1500);
  for (let i = 0; i < 4; i++) batch.push(arena.take(1500), 1500);
  expect(flushed).toBe(0);
  ensureRoom(outlet, 1, 100);
  expect(flushed).toBe(1);
  batch.push(arena.take(12000), 12000);
  ensureRoom(outlet, 1, 8000);
  expect(flushed).toBe(2);
});

test("a pushed row has no offload left over from the row before", () => {
  const batch = new Batch(1);
  batch.flags.fill(255);
  batch.gsoType.fill(255);
  batch.more.fill(255);
  expect(batch.push(10, 20)).toBe(0);
  expect([batch.flags[0], batch.gsoType[0], batch.more[0]]).toEqual([0, GSO_NONE, 0]);
  expect(batch.push(10, 20)).toBe(-1);
});
