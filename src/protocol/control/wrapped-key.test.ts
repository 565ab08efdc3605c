import { expect, test } from "bun:test";
import vectors from "../../../test/vectors/tls-crypt-v2.json";
import { concat } from "../../lib/bytes.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import { noblePrimitives } from "./noble-primitives.ts";
import { MAX_WRAPPED_LEN, MIN_WRAPPED_LEN, splitWrappedKey, unwrapKey, wrapKey } from "./wrapped-key.ts";

const SERVER_KEY = Uint8Array.from({ length: 128 }, (_, i) => i);
const KEY = Uint8Array.from({ length: 256 }, (_, i) => i);
const wrap = (metadata: Uint8Array): Uint8Array => wrapKey(SERVER_KEY, { key: KEY, metadata }, noblePrimitives);
const unwrap = (wrapped: Uint8Array, serverKey = SERVER_KEY) => unwrapKey(serverKey, wrapped, noblePrimitives);

test.each(vectors.wrapped)("the client key of test_tls_crypt.c with metadata $metadata", ({ metadata, key }) => {
  const wrapped = Uint8Array.fromHex(key);
  expect(wrap(Uint8Array.fromHex(metadata)).toHex()).toBe(key);
  expect(unwrap(wrapped)).toEqual({ key: KEY, metadata: Uint8Array.fromHex(metadata) });
});

test("without metadata, with as much as there may be, and no more", () => {
  expect(unwrap(wrap(new Uint8Array(0)))?.metadata.length).toBe(0);
  const largest = wrap(new Uint8Array(734).fill(7));
  expect(largest.length).toBe(MAX_WRAPPED_LEN);
  expect(unwrap(largest)?.metadata).toEqual(new Uint8Array(734).fill(7));
  expect(() => wrap(new Uint8Array(735))).toThrow();
});

test("another server's key, and each bit that is another one, make it nothing", () => {
  const wrapped = wrap(Uint8Array.of(0, 1, 2));
  expect(unwrap(wrapped, SERVER_KEY.toReversed())).toBeUndefined();
  for (let bit = 0; bit < wrapped.length * 8; bit++) {
    wrapped[bit >> 3]! ^= 1 << (bit & 7);
    expect(unwrap(wrapped)).toBeUndefined();
    wrapped[bit >> 3]! ^= 1 << (bit & 7);
  }
  expect(unwrap(wrapped)).toBeDefined();
  for (let length = 0; length < wrapped.length; length++) expect(unwrap(wrapped.subarray(0, length))).toBeUndefined();
});

test("a length that is not its own, though whoever has the server's key vouches for it, makes it nothing", () => {
  const plain = concat(KEY, Uint8Array.of(0));
  const length = Uint8Array.of(1, 0);
  const tag = noblePrimitives.hmac("SHA256", SERVER_KEY.subarray(64, 96), concat(length, plain));
  const body = noblePrimitives.ctr(SERVER_KEY.subarray(0, 32), tag.subarray(0, 16), plain);
  expect(unwrap(concat(tag, body, length))).toBeUndefined();
});

test("it is found from the end of a packet, whatever its length says there", () => {
  const wrapped = wrap(Uint8Array.of(0));
  const head = new Uint8Array(54).fill(9);
  const packet = (length: number, size = head.length + wrapped.length): Uint8Array => {
    const bytes = new Uint8Array(size).fill(9);
    bytes.set(wrapped, size - wrapped.length);
    new DataView(bytes.buffer).setUint16(size - 2, length);
    return bytes;
  };
  expect(splitWrappedKey(packet(wrapped.length))).toEqual({ packet: head, wrapped });
  // OpenVPN 3's own test of lengths out of bounds, and around the bounds.
  for (const length of [0, 1, 2, 4, 54, MIN_WRAPPED_LEN - 1, MAX_WRAPPED_LEN + 1, 60_000, 65_535])
    expect(splitWrappedKey(packet(length))).toBe(DROP_CONTROL_AUTHENTICATION);
  // No room for opcode and session id in front.
  expect(splitWrappedKey(packet(wrapped.length + 46))).toBe(DROP_CONTROL_TRUNCATED);
  expect(splitWrappedKey(packet(wrapped.length, wrapped.length + 8))).toBe(DROP_CONTROL_TRUNCATED);
  expect(splitWrappedKey(new Uint8Array(0))).toBe(DROP_CONTROL_TRUNCATED);
});
