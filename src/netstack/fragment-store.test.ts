import { expect, test } from "bun:test";
import fc from "fast-check";
import { costOf, FragmentStore } from "./fragment-store.ts";
import { bytesOf } from "./testing/bed.ts";

test("what is put there is there as long as it is kept, whatever else comes and goes", () => {
  const step = fc.record({ len: fc.integer({ min: 1, max: 3000 }), drop: fc.option(fc.nat()) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new FragmentStore(16 * 1024);
      const kept: { chain: number; bytes: Uint8Array }[] = [];
      for (const { len, drop } of steps) {
        if (drop !== null && kept.length > 0) store.drop(kept.splice(drop % kept.length, 1)[0]!.chain);
        if (store.room >= costOf(len)) {
          const bytes = bytesOf(len + 7, len);
          kept.push({ chain: store.put(bytes, 7, len), bytes: bytes.slice(7) });
        }
        expect(store.used).toBe(kept.reduce((sum, { bytes }) => sum + costOf(bytes.length), 0));
        expect(store.room + store.used).toBe(16 * 1024);
        for (const { chain, bytes } of kept) {
          const out = new Uint8Array(bytes.length + 2).fill(0xa5);
          store.get(chain, bytes.length, out, 1);
          expect(out).toEqual(Uint8Array.of(0xa5, ...bytes, 0xa5));
        }
      }
    }),
  );
});

test("all of it can be taken, and again when it was given back", () => {
  const store = new FragmentStore(4096);
  for (let round = 0; round < 3; round++) {
    const chains = Array.from({ length: 8 }, () => store.put(bytesOf(512), 0, 512));
    expect([store.room, new Set(chains).size]).toEqual([0, 8]);
    for (const chain of chains) store.drop(chain);
    expect(store.room).toBe(4096);
  }
});
