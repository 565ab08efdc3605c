import { expect, test } from "bun:test";
import { earlyNegotiationRead, RESEND_WRAPPED_KEY, readsEarlyNegotiation } from "./early-negotiation.ts";

const read = (...payload: number[]) => earlyNegotiationRead(Uint8Array.from(payload))?.resendWrappedKey;

test("a reset without payload asks for nothing, one with the flag for the wrapped key", () => {
  expect(read()).toBe(false);
  expect(read(...RESEND_WRAPPED_KEY)).toBe(true);
  expect(RESEND_WRAPPED_KEY.toHex()).toBe("000100020001");
});

test("flags are bits, other types are passed over, and one that asks is enough", () => {
  expect(read(0, 1, 0, 2, 0xff, 0xfe)).toBe(false);
  expect(read(0, 1, 0, 2, 0x80, 0x03)).toBe(true);
  expect(read(0x12, 0x34, 0, 3, 1, 2, 3, ...RESEND_WRAPPED_KEY)).toBe(true);
  expect(read(...RESEND_WRAPPED_KEY, 0, 1, 0, 2, 0, 0)).toBe(true);
});

test("what ends within a value or has another length is no payload of a reset", () => {
  for (const bad of [
    [0],
    [0, 1, 0],
    [0, 1, 0, 2],
    [0, 1, 0, 2, 0],
    [0, 1, 0, 1, 1],
    [0, 1, 0, 3, 0, 0, 1],
    [9, 9, 0xff, 0xff],
  ])
    expect(read(...bad)).toBeUndefined();
});

test("the first replay id says whether the client reads it", () => {
  expect([0x0f000001, 0x0fffffff, 1, 0x0e000001, 0x8f000001, 0].map(readsEarlyNegotiation)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});
