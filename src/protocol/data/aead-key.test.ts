import { describe, expect, test } from "bun:test";
import { BLOCK, TEXT } from "../../../test/support/known-answer.ts";
import { slabOver } from "../../lib/slab.ts";
import { cipherPart, hmacPart } from "../control/static-key.ts";
import {
  DROP_DATA_AUTHENTICATION,
  DROP_DATA_REPLAY,
  DROP_DATA_TRUNCATED,
  DROP_NONE,
  DROP_SEAL_EXHAUSTED,
} from "../drop.ts";
import type { AeadName } from "../ports.ts";
import {
  AeadDataKey,
  type AeadDataKeyOptions,
  DATA_V1_OVERHEAD,
  DATA_V2_OVERHEAD,
  GCM_RENEGOTIATE,
  PACKET_ID_RENEGOTIATE,
} from "./aead-key.ts";
import { nobleAead } from "./noble-aead.ts";
import { dataCheck, dataPeerId, PEER_ID_NONE } from "./packet.ts";

const AT = 100;

function make(options: Partial<AeadDataKeyOptions> = {}) {
  const slab = slabOver(new ArrayBuffer(4096));
  slab.bytes.fill(0xa5);
  const base = {
    slab,
    aead: nobleAead(slab),
    cipher: "AES-256-GCM" as AeadName,
    keyId: 3,
    sendKey: 0 as const,
    peerId: 0x123456,
    replayWindow: { packets: 64, seconds: 15 },
    ...options,
  };
  return { slab, client: new AeadDataKey(BLOCK, base), server: new AeadDataKey(BLOCK, { ...base, sendKey: 1 }) };
}

test("the known answer of test_ssl.c, classic format", () => {
  const { slab, server } = make();
  const { bytes } = slab;
  const iv = new Uint8Array(12);
  iv.set(hmacPart(BLOCK, 0, 8), 4);
  const key = nobleAead(slab).create("AES-256-GCM", cipherPart(BLOCK, 0, 32), iv, "seal");
  bytes.set(Uint8Array.fromHex("0700001700000001"), AT - DATA_V2_OVERHEAD);
  bytes.set(TEXT, AT);
  key.seal(1, 0, AT - DATA_V2_OVERHEAD, 8, AT, TEXT.length, AT - 16);
  expect(bytes.slice(AT - 16, AT).toHex()).toBe("1fdd908f0e9dc25e79d832020d58e73f");
  expect(bytes.slice(AT - 20 + 30, AT - 20 + 36).toHex()).toBe("a82e6b1706d9");
  expect(server.open(0, AT - DATA_V2_OVERHEAD, DATA_V2_OVERHEAD + TEXT.length, true)).toBe(AT);
  expect(bytes.slice(AT, AT + TEXT.length)).toEqual(TEXT);
});

describe.each(["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"] as const)("%s", (cipher) => {
  test.each([0x123456, PEER_ID_NONE])("both directions, peer id %x", (peerId) => {
    const { slab, client, server } = make({ cipher, peerId });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      for (let len = 0; len < 70; len += 23) {
        slab.bytes.fill(0xa5);
        slab.bytes.set(TEXT.subarray(0, len), AT);
        const n = Math.min(len, TEXT.length);
        const start = from.seal(AT, n);
        const isV2 = peerId !== PEER_ID_NONE;
        expect(start).toBe(AT - (isV2 ? DATA_V2_OVERHEAD : DATA_V1_OVERHEAD));
        expect(slab.bytes[start]).toBe(isV2 ? 0x4b : 0x33);
        if (isV2) expect(dataPeerId(slab.view, start)).toBe(peerId);
        expect(slab.bytes[start - 1]).toBe(0xa5);
        expect(slab.bytes[AT + n]).toBe(0xa5);
        expect(to.open(0, start, from.sealedLen, isV2)).toBe(AT);
        expect(slab.bytes.slice(AT, AT + n)).toEqual(TEXT.slice(0, n));
      }
    }
  });

  test("flipped bits anywhere are refused; the packet itself still opens, once", () => {
    const { slab, client, server } = make({ cipher });
    slab.bytes.set(TEXT, AT);
    const start = client.seal(AT, TEXT.length);
    const len = client.sealedLen;
    const packet = slab.bytes.slice(start, start + len);
    for (let i = 0; i < len; i++) {
      slab.bytes.set(packet, start);
      slab.bytes[start + i]! ^= 0x10;
      expect(server.open(0, start, len, true)).toBe(DROP_DATA_AUTHENTICATION);
    }
    slab.bytes.set(packet, start);
    expect(server.open(0, start, len, true)).toBe(AT);
    slab.bytes.set(packet, start);
    expect(server.open(0, start, len, true)).toBe(DROP_DATA_REPLAY);
  });
});

test("packet ids do not wrap, and a key asks to be replaced long before", () => {
  const near = make({ used: { packetId: PACKET_ID_RENEGOTIATE - 1 } }).client;
  near.seal(AT, 10);
  expect(near.isWorn).toBe(false);
  near.seal(AT, 10);
  expect(near.isWorn).toBe(true);
  const last = make({ used: { packetId: 0xffffffff } }).client;
  expect(last.seal(AT, 10)).toBe(AT - DATA_V2_OVERHEAD);
  expect(last.seal(AT, 10)).toBe(DROP_SEAL_EXHAUSTED);
});

test("a peer's packet id near the end asks for another key as well", () => {
  const { client, server } = make({ used: { packetId: PACKET_ID_RENEGOTIATE } });
  const start = server.seal(AT, 10);
  expect(client.open(0, start, 10 + DATA_V2_OVERHEAD, true)).toBe(AT);
  expect(client.isWorn).toBe(true);
});

describe("what AES-GCM may encrypt under one key (packets and blocks of 16 bytes)", () => {
  test.each(["AES-256-GCM", "AES-128-GCM"] as const)(
    "%s: seven eighths of the limit ask for another, each way",
    (cipher) => {
      // 100 bytes are 7 blocks and a packet
      const sending = make({ cipher, used: { sent: GCM_RENEGOTIATE - 9 } }).client;
      sending.seal(AT, 100);
      expect(sending.isWorn).toBe(false);
      sending.seal(AT, 0);
      expect(sending.isWorn).toBe(true);
      const receiving = make({ cipher, used: { received: GCM_RENEGOTIATE - 8 } });
      const start = receiving.server.seal(AT, 100);
      expect(receiving.client.isWorn).toBe(false);
      receiving.client.open(0, start, 100 + DATA_V2_OVERHEAD, true);
      expect(receiving.client.isWorn).toBe(true);
    },
  );

  test("ChaCha20-Poly1305 has no such limit", () => {
    const { client } = make({ cipher: "CHACHA20-POLY1305", used: { sent: 2 ** 40, received: 2 ** 40 } });
    expect(client.isWorn).toBe(false);
  });

  test("the limit is OpenVPN's: 2^36 - 1", () => expect(GCM_RENEGOTIATE).toBe(60_129_542_143));
});

test("dataCheck takes exactly the packets that have a whole header, a key those with packet id and tag", () => {
  expect([dataCheck(3, true) === DROP_NONE, dataCheck(4, true) === DROP_NONE]).toEqual([false, true]);
  expect(dataCheck(1, false)).toBe(DROP_NONE);
  const { slab, server } = make();
  slab.bytes.fill(0); // packet id 0 is never valid
  expect([server.open(0, AT, 23, true), server.open(0, AT, 24, true)]).toEqual([DROP_DATA_TRUNCATED, DROP_DATA_REPLAY]);
  expect([server.open(0, AT, 20, false), server.open(0, AT, 21, false)]).toEqual([
    DROP_DATA_TRUNCATED,
    DROP_DATA_REPLAY,
  ]);
});
