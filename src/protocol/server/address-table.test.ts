import { expect, test } from "bun:test";
import fc from "fast-check";
import { AddressTable } from "./address-table.ts";

const CAPACITY = 24;
/** Few addresses, so that peers meet and places collide. */
const address = fc.record({
  low: fc.integer({ min: 0, max: 5 }),
  port: fc.constantFrom(1194, 65535),
  socket: fc.nat(2),
});
const step = fc.record({ peer: fc.nat(CAPACITY - 1), address, leaves: fc.boolean() });
const words = (low: number): Int32Array => Int32Array.of(9, 0, 0, 0xffff, low << 24);

test("finds what a map finds, whatever comes and goes (model)", () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { maxLength: 300 }), (seed, steps) => {
      const table = new AddressTable(CAPACITY, seed);
      const at = new Map<number, string>();
      const name = (a: { low: number; port: number; socket: number }) => `${a.low} ${a.port} ${a.socket}`;
      for (const { peer, address: a, leaves } of steps) {
        const was = at.get(peer);
        expect(table.remove(peer)).toBe(was !== undefined);
        at.delete(peer);
        if (leaves || [...at.values()].includes(name(a))) continue;
        table.place(peer, words(a.low), 1, a.port, a.socket);
        table.enter(peer);
        at.set(peer, name(a));
        for (let low = 0; low <= 5; low++)
          for (const port of [1194, 65535])
            for (let socket = 0; socket <= 2; socket++) {
              const found = [...at].find(([, where]) => where === name({ low, port, socket }))?.[0] ?? -1;
              expect(table.find(words(low), 1, port, socket)).toBe(found);
            }
      }
    }),
    { numRuns: 60 },
  );
});

test("all of an address counts: each word, the port, the socket", () => {
  const table = new AddressTable(4, 7);
  const here = Int32Array.of(1, 2, 3, 4);
  table.place(2, here, 0, 1194, 1);
  expect(table.find(here, 0, 1194, 1)).toBe(-1);
  table.enter(2);
  expect(table.find(here, 0, 1194, 1)).toBe(2);
  for (let i = 0; i < 4; i++) expect(table.find(here.with(i, 9), 0, 1194, 1)).toBe(-1);
  expect([table.find(here, 0, 1195, 1), table.find(here, 0, 1194, 0)]).toEqual([-1, -1]);
  expect([table.isAt(2, here, 0, 1194, 1), table.isAt(2, here, 0, 1194, 0)]).toEqual([true, false]);
});
