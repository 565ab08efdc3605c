import { expect, test } from "bun:test";
import { slabOver } from "../../lib/slab.ts";
import { AeadDataKey } from "./aead-key.ts";
import { KeySlots } from "./key-slots.ts";
import { nobleAead } from "./noble-aead.ts";

const slab = slabOver(new ArrayBuffer(64));
const key = (keyId: number): AeadDataKey =>
  new AeadDataKey(new Uint8Array(256), {
    slab,
    aead: nobleAead(slab),
    cipher: "AES-256-GCM",
    keyId,
    sendKey: 0,
    peerId: 1,
    replayWindow: { packets: 64, seconds: 15 },
  });

test("the first key is sent with at once; the next one after the peer used it", () => {
  const slots = new KeySlots(3600_000, 3000);
  const [first, second] = [key(0), key(1)];
  slots.install(first, 0, 0);
  expect(slots.sending).toBe(first);
  slots.install(second, 10, 10);
  expect([slots.sending, slots.newest, slots.opener(0), slots.opener(1)]).toEqual([first, second, first, second]);
  slots.opened(first, 11);
  expect(slots.sending).toBe(first);
  slots.opened(second, 12);
  expect(slots.sending).toBe(second);
  expect(slots.opener(0)).toBe(first);
  expect(slots.pollAt()).toBe(12 + 3600_000);
  slots.handleTimeout(12 + 3600_000);
  expect([slots.opener(0), slots.opener(1)]).toEqual([undefined, second]);
});

test("without traffic the next key takes over after the delay", () => {
  const slots = new KeySlots(60_000, 3000);
  slots.install(key(0), 0, 0);
  const second = key(1);
  slots.install(second, 100, 100);
  slots.handleTimeout(100 + 3000 - 1);
  expect(slots.sending).not.toBe(second);
  expect(slots.pollAt()).toBe(100 + 3000);
  slots.handleTimeout(100 + 3000);
  expect(slots.sending).toBe(second);
});

test("the delay counts from when the renegotiation began, and a long one leaves nothing to wait for", () => {
  const slots = new KeySlots(60_000, 3000);
  slots.install(key(0), 0, 0);
  const [second, third] = [key(1), key(2)];
  slots.install(second, 5000, 3000);
  expect(slots.pollAt()).toBe(6000);
  slots.handleTimeout(6000);
  expect(slots.sending).toBe(second);
  slots.install(third, 20_000, 10_000);
  expect([slots.sending, slots.pollAt()]).toEqual([second, 20_000]);
  slots.handleTimeout(20_000);
  expect(slots.sending).toBe(third);
});

test("a key that waits takes over when another renegotiation begins", () => {
  const slots = new KeySlots(60_000, 3000);
  const second = key(1);
  slots.takeOver(0);
  slots.install(key(0), 0, 0);
  slots.install(second, 100, 100);
  slots.takeOver(200);
  expect(slots.sending).toBe(second);
  expect(slots.pollAt()).toBe(200 + 60_000);
});

test("renegotiations in a row, through the reuse of key ids, keep at most three keys", () => {
  const slots = new KeySlots(3600_000, 3000);
  for (let i = 0; i < 20; i++) {
    slots.install(key(i === 0 ? 0 : ((i - 1) % 7) + 1), i, i);
    const open = [0, 1, 2, 3, 4, 5, 6, 7].filter((id) => slots.opener(id) !== undefined);
    expect(open.length).toBeLessThanOrEqual(3);
  }
  slots.closeAll();
  expect([slots.sending, slots.newest, slots.pollAt()]).toEqual([undefined, undefined, Number.POSITIVE_INFINITY]);
});
