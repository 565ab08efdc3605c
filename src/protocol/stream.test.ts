import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import recorded from "../../test/vectors/openvpn-tcp.json";
import { Batch } from "../lib/batch.ts";
import { HEADROOM, slabOver, TAILROOM } from "../lib/slab.ts";
import { ACK_V1, CONTROL_V1, DATA_V2, keyIdOf, opcodeOf, SOFT_RESET_V1 } from "./control/opcode.ts";
import { controlCheck } from "./control/packet.ts";
import { DROP_NONE } from "./drop.ts";
import { framePacket, frameRows, StreamRows } from "./stream.ts";

const MAX_PACKET = 1600;

/** A receiver over dirty memory that gets the bytes in pieces and hands out copies of the packets. */
class Receiver {
  readonly packets: Uint8Array[] = [];
  readonly rows: StreamRows;
  readonly #slab = slabOver(new ArrayBuffer(HEADROOM + 2 * (MAX_PACKET + 2) + TAILROOM));
  readonly #batch: Batch;

  constructor(batch = 64) {
    this.#slab.bytes.fill(0xa5);
    this.#batch = new Batch(batch);
    this.rows = new StreamRows(this.#slab, 0, this.#slab.bytes.length, MAX_PACKET);
  }

  /** Takes all of `bytes`, as much at a time as there is room. */
  receive(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.rows.badLength === undefined; ) {
      this.rows.reserve();
      const piece = bytes.subarray(at, at + this.rows.room);
      expect(piece.length).toBeGreaterThan(0);
      this.#slab.bytes.set(piece, this.rows.at);
      this.rows.filled(piece.length);
      at += piece.length;
      this.#takeAll();
    }
  }

  #takeAll(): void {
    const batch = this.#batch;
    do {
      batch.clear();
      this.rows.take(batch);
      for (let i = 0; i < batch.count; i++) {
        const at = batch.at[i]!;
        this.packets.push(this.#slab.bytes.slice(at, at + batch.len[i]!));
        // What is put in front of an opened packet goes over its length and header.
        this.#slab.bytes.fill(0xee, at - 2, at + Math.min(batch.len[i]!, 24));
      }
    } while (batch.count > 0);
  }
}

/** The bytes in pieces that end at these places (0 to 1 of the whole). */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => Math.floor(place * bytes.length)), bytes.length].toSorted((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

const joined = (packets: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(packets.flatMap((packet) => [...framePacket(packet)]));

describe.each(["client", "server"] as const)("what openvpn's %s sends over TCP", (side) => {
  const bytes = Uint8Array.fromHex(recorded[side].join(""));

  test.each([1, 2, 3, 7, 64, 1000, 1e6])("is read in pieces of %i bytes, and written as the same bytes", (size) => {
    const receiver = new Receiver();
    for (let at = 0; at < bytes.length; at += size) receiver.receive(bytes.subarray(at, at + size));
    expect(receiver.rows.badLength).toBeUndefined();
    expect(receiver.packets.length).toBe(side === "client" ? 26 : 22);
    for (const packet of receiver.packets) {
      const opcode = opcodeOf(packet[0]!);
      // The control packets of a renegotiation are wrapped (dynamic tls-crypt).
      if (opcode === DATA_V2) expect(packet.length).toBe(40);
      else if (keyIdOf(packet[0]!) === 0) expect(controlCheck(packet)).toBe(DROP_NONE);
      else expect(opcode).toBeOneOf([SOFT_RESET_V1, CONTROL_V1, ACK_V1]);
    }
    expect(joined(receiver.packets)).toEqual(bytes);
  });
});

const packet = fc.uint8Array({ minLength: 1, maxLength: MAX_PACKET, size: "max" });
const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });

test("packets come out as they went in, wherever the stream is cut and however few rows there are", () => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 12 }), places, fc.integer({ min: 1, max: 5 }), (packets, ends, batch) => {
      const receiver = new Receiver(batch);
      for (const piece of cut(joined(packets), ends)) receiver.receive(piece);
      expect(receiver.packets).toEqual(packets);
    }),
  );
});

test("rows get their length in place, in the headroom", () => {
  const slab = slabOver(new ArrayBuffer(256));
  slab.bytes.fill(0xa5);
  const rows = new Batch(2);
  rows.push(10, 100);
  rows.push(150, 1);
  frameRows(slab.view, rows);
  expect([...rows.at.subarray(0, 2)]).toEqual([8, 148]);
  expect([...rows.len.subarray(0, 2)]).toEqual([102, 3]);
  expect([...slab.bytes.subarray(7, 11)]).toEqual([0xa5, 0, 100, 0xa5]);
  expect([...slab.bytes.subarray(147, 151)]).toEqual([0xa5, 0, 1, 0xa5]);
});

test.each([0, MAX_PACKET + 1, 0xffff])("a length of %i is the end of the stream; what came before counts", (length) => {
  const receiver = new Receiver();
  receiver.receive(Uint8Array.of(...framePacket(Uint8Array.of(1, 2, 3)), length >> 8, length & 0xff, 9, 9, 9));
  expect(receiver.packets).toEqual([Uint8Array.of(1, 2, 3)]);
  expect(receiver.rows.badLength).toBe(length);
});

test("arbitrary bytes never throw, and nothing is written outside of the memory", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000, size: "max" }), places, (bytes, ends) => {
      const receiver = new Receiver();
      for (const piece of cut(bytes, ends)) receiver.receive(piece);
      const whole = receiver.packets.reduce((sum, { length }) => sum + 2 + length, 0);
      expect(whole).toBeLessThanOrEqual(bytes.length);
    }),
  );
});
