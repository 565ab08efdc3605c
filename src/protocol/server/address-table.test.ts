import { expect, test } from "bun:test";
import fc from "fast-check";
import { AddressTable } from "./address-table.ts";

const CAPACITY = 32;
const SOCKETS = [0, 1, 2];
const address = fc.record({ low: fc.nat(20), port: fc.constantFrom(1194, 65535), socket: fc.constantFrom(...SOCKETS) });
/** Rather in than out, so that the table is as full as it gets and places collide. */
const step = fc.record({ peer: fc.nat(CAPACITY - 1), address, leaves: fc.nat(4) });
const words = (low: number): Int32Array => Int32Array.of(9, 0, 0, 0xffff, low << 24);

test("finds what a map finds, whatever comes and goes (model)", () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { minLength: 200, maxLength: 400 }), (seed, steps) => {
      const table = new AddressTable(CAPACITY, seed);
      const at = new Map<number, (typeof steps)[number]["address"]>();
      const name = ({ low, port, socket }: (typeof steps)[number]["address"]) => `${low} ${port} ${socket}`;
      for (const { peer, address: a, leaves } of steps) {
        expect(table.remove(peer)).toBe(at.delete(peer));
        const isTaken = [...at.values()].some((other) => name(other) === name(a));
        expect(table.find(words(a.low), 1, a.port, a.socket) >= 0).toBe(isTaken);
        if (leaves > 0 && !isTaken) {
          table.place(peer, words(a.low), 1, a.port, a.socket);
          table.enter(peer);
          at.set(peer, a);
        }
        for (const [other, { low, port, socket }] of at) expect(table.find(words(low), 1, port, socket)).toBe(other);
      }
    }),
    { numRuns: 40 },
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
