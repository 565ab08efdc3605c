import { beforeEach, describe, expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { type Slab, slabOver } from "../../lib/slab.ts";
import { Demux, EMPTY, FLOAT, STRANGER, UNKNOWN_PEER } from "./demux.ts";
import type { Sources } from "./peer-link.ts";

const CAPACITY = 8;
const SOCKET = 1;
const ANN = Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1);
const BOB = Uint8Array.of(2, 2, 2, 2, 2, 2, 2, 2);

let slab: Slab;
let demux: Demux;
beforeEach(() => {
  slab = slabOver(new ArrayBuffer(4096));
  demux = new Demux(slab, CAPACITY, 5);
});

const from = (host: number, port = 1194): Sources => ({
  words: Int32Array.of(0, 0, 0xffff, host),
  port: Uint16Array.of(port),
});

function match(bytes: readonly number[], sources: Sources, socket = SOCKET): number {
  const rows = new Batch(1);
  slab.bytes.set(bytes, 100);
  rows.push(100, bytes.length);
  return demux.match(rows, 0, sources, socket);
}

const data = (peer: number): number[] => [9 << 3, peer >> 16, peer >> 8, peer & 255, 0, 0, 0, 1];
const control = (sessionId: Uint8Array): number[] => [4 << 3, ...sessionId, 0];

test("a data packet is of whose number it carries, where that one is; elsewhere it may have moved", () => {
  demux.arrive(3, ANN, from(7), 0, SOCKET);
  expect(match(data(3), from(7))).toBe(3);
  expect([match(data(3), from(8)), match(data(3), from(7, 9)), match(data(3), from(7), 0)]).toEqual(
    new Array(3).fill(FLOAT - 3),
  );
  demux.move(3, from(8), 0, SOCKET);
  expect([match(data(3), from(8)), match(data(3), from(7))]).toEqual([3, FLOAT - 3]);
});

test("a number of nobody is nobody's, whatever else is at the address: who is not here, has left, or cannot be", () => {
  demux.arrive(3, ANN, from(7), 0, SOCKET);
  for (const number of [0, 4, CAPACITY, 0xfffffe]) expect(match(data(number), from(7))).toBe(UNKNOWN_PEER);
  demux.leave(3);
  expect([match(data(3), from(7)), match(data(3), from(8)), match(control(ANN), from(7))]).toEqual([
    UNKNOWN_PEER,
    UNKNOWN_PEER,
    STRANGER,
  ]);
  // A second time it has no meaning, also where somebody else is there by now.
  demux.arrive(4, BOB, from(7), 0, SOCKET);
  demux.leave(3);
  expect(match(data(4), from(7))).toBe(4);
});

test("a data packet without a number is of who is at its address", () => {
  demux.arrive(3, ANN, from(7), 0, SOCKET);
  for (const bytes of [data(0xffffff), [6 << 3, 1, 2, 3], [9 << 3, 1]]) {
    expect([match(bytes, from(7)), match(bytes, from(8))]).toEqual([3, UNKNOWN_PEER]);
  }
});

test("a control packet is of who is at its address, if it is of that session", () => {
  demux.arrive(3, ANN, from(7), 0, SOCKET);
  expect([match(control(ANN), from(7)), match(control(BOB), from(7)), match(control(ANN), from(8))]).toEqual([
    3,
    STRANGER,
    STRANGER,
  ]);
  expect([match([4 << 3, 1, 1], from(7)), match([], from(7))]).toEqual([STRANGER, EMPTY]);
});

describe("two at one address", () => {
  beforeEach(() => {
    demux.arrive(3, ANN, from(7), 0, SOCKET);
    demux.arrive(5, BOB, from(7), 0, SOCKET);
  });

  test("each has its control packets and its number; what has no number is the first one's", () => {
    expect([match(control(ANN), from(7)), match(control(BOB), from(7))]).toEqual([3, 5]);
    expect([match(data(3), from(7)), match(data(5), from(7)), match([6 << 3, 1, 2, 3], from(7))]).toEqual([3, 5, 3]);
    expect([demux.rivalOf(3), demux.ownerOf(5), demux.find(from(7), 0, SOCKET)]).toEqual([5, 3, 3]);
  });

  test("the first one leaves: the other one is there alone", () => {
    demux.leave(3);
    expect([match(control(ANN), from(7)), match(control(BOB), from(7)), match(data(5), from(7))]).toEqual([
      STRANGER,
      5,
      5,
    ]);
    expect([demux.rivalOf(5), demux.ownerOf(5), demux.find(from(7), 0, SOCKET)]).toEqual([-1, -1, 5]);
  });

  test("the other one leaves: all is as it was", () => {
    demux.leave(5);
    expect([match(control(ANN), from(7)), match(control(BOB), from(7)), match(data(5), from(7))]).toEqual([
      3,
      STRANGER,
      UNKNOWN_PEER,
    ]);
    expect(demux.rivalOf(3)).toBe(-1);
  });
});
