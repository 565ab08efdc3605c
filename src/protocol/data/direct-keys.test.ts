import { expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { slabOver } from "../../lib/slab.ts";
import { DATA_V1, DATA_V2, firstByte } from "../control/opcode.ts";
import { DROP_DATA_AUTHENTICATION, SessionDrops } from "../drop.ts";
import { Traffic } from "./channel.ts";
import { DirectKeys } from "./direct-keys.ts";
import type { DataKey } from "./key.ts";
import { EXIT_LEN, exitEmit, PING_LEN, pingEmit } from "./magic.ts";

const PEER = 5;
const KEY_ID = 3;
const HEADER_LEN = 8;
const SLOT = 64;
const FORGED = 0xff;

/** Opens what stands behind 8 bytes of header, but for what is forged. */
class PlainKey implements DataKey {
  readonly keyId = KEY_ID;
  readonly cipher = "none";
  readonly overhead = HEADER_LEN;
  readonly sealedLen = 0;
  readonly bytes = 0;
  readonly packets = 0;
  isWorn = false;
  openedLen = 0;
  touched = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  open(_now: number, at: number, len: number, isV2: boolean): number {
    expect(isV2).toBe(true);
    this.openedLen = len - HEADER_LEN;
    return this.#bytes[at + HEADER_LEN] === FORGED ? DROP_DATA_AUTHENTICATION : at + HEADER_LEN;
  }

  touch(): number {
    return ++this.touched;
  }

  payloadMax = (size: number): number => size;
  seal = (at: number): number => at;
  close(): void {}
}

function bed() {
  const slab = slabOver(new ArrayBuffer(16 * SLOT));
  const rows = new Batch(16);
  const plain = new Batch(16);
  const key = new PlainKey(slab.bytes);
  const traffic = new Traffic();
  const drops = new SessionDrops();
  const direct = new DirectKeys(slab, 8);
  direct.set(PEER, { key, traffic, drops });
  const push = (payload: readonly number[], header = (firstByte(DATA_V2, KEY_ID) << 24) | PEER): void => {
    const at = rows.count * SLOT;
    slab.view.setInt32(at, header);
    slab.bytes.set(payload, at + HEADER_LEN);
    rows.push(at, HEADER_LEN + payload.length);
  };
  const made = (length: number, emit: (bytes: Uint8Array, at: number) => void): number[] => {
    const bytes = new Uint8Array(length);
    emit(bytes, 0);
    return [...bytes];
  };
  return {
    slab,
    rows,
    plain,
    key,
    traffic,
    drops,
    direct,
    push,
    ping: made(PING_LEN, pingEmit),
    exit: made(EXIT_LEN, exitEmit),
  };
}

test("packets become rows, pings are counted, what is forged is a drop, and all of them have come", () => {
  const { rows, plain, traffic, drops, direct, push, ping } = bed();
  push([0x45, 1]);
  push(ping);
  push([FORGED]);
  push([0x46]);
  expect(direct.open(7, PEER, rows, 0, 4, plain)).toBe(4);
  expect([...plain.at.subarray(0, plain.count)]).toEqual([HEADER_LEN, 3 * SLOT + HEADER_LEN]);
  expect([...plain.len.subarray(0, plain.count)]).toEqual([2, 1]);
  expect(traffic).toMatchObject({ opened: 2, openedBytes: 3, pings: 1, openedAt: 7, datagrams: 4 });
  expect(drops.snapshot()).toEqual({ "data-authentication": 1 });
});

test("only what is forged says nothing of when the peer was heard", () => {
  const { rows, plain, traffic, direct, push } = bed();
  push([FORGED]);
  direct.open(7, PEER, rows, 0, 1, plain);
  expect(traffic.openedAt).toBe(Number.NEGATIVE_INFINITY);
});

test.each([
  ["of another key id", (firstByte(DATA_V2, 4) << 24) | PEER],
  ["of version 1", (firstByte(DATA_V1, KEY_ID) << 24) | PEER],
  ["with no number of a peer", (firstByte(DATA_V2, KEY_ID) << 24) | 0xffffff],
] as const)("a packet %s goes the long way, and so does what comes behind it", (_what, header) => {
  const { rows, plain, traffic, direct, push } = bed();
  push([0x45]);
  push([0x45], header);
  push([0x45]);
  expect(direct.open(7, PEER, rows, 0, 3, plain)).toBe(1);
  expect([plain.count, traffic.datagrams]).toEqual([1, 1]);
});

test("a packet without a whole header, and all packets of a key that nears its end, go the long way", () => {
  const { rows, plain, key, direct, push } = bed();
  push([0x45]);
  rows.len[0] = 3;
  expect(direct.open(7, PEER, rows, 0, 1, plain)).toBe(0);
  rows.len[0] = 9;
  key.isWorn = true;
  expect(direct.open(7, PEER, rows, 0, 1, plain)).toBe(0);
});

test("behind the message that the peer leaves it stops, and says so until it is asked again", () => {
  const { rows, plain, direct, push, exit } = bed();
  push(exit);
  push([0x45]);
  expect([direct.open(7, PEER, rows, 0, 2, plain), direct.hasExit, plain.count]).toEqual([1, true, 0]);
  expect([direct.open(7, PEER, rows, 1, 2, plain), direct.hasExit, plain.count]).toEqual([2, false, 1]);
});

test("whose key is not there any more goes the long way, and is not touched", () => {
  const { rows, plain, key, direct, push } = bed();
  push([0x45]);
  direct.touch(Int32Array.of(PEER, 2, PEER), 2);
  expect(key.touched).toBe(1);
  direct.clear(PEER);
  direct.touch(Int32Array.of(PEER), 1);
  expect([direct.open(7, PEER, rows, 0, 1, plain), key.touched]).toEqual([0, 1]);
});
