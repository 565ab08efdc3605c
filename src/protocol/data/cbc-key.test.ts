import { describe, expect, test } from "bun:test";
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import fc from "fast-check";
import { seededRandom } from "../../lib/random.ts";
import { slabOver } from "../../lib/slab.ts";
import type { DigestName } from "../config/types.ts";
import { DIGEST_LEN } from "../control/tls-auth.ts";
import {
  DROP_DATA_AUTHENTICATION,
  DROP_DATA_PADDING,
  DROP_DATA_REPLAY,
  DROP_DATA_TRUNCATED,
  DROP_SEAL_EXHAUSTED,
} from "../drop.ts";
import { CBC_NAMES, type CbcName } from "../ports.ts";
import { dataKey, type Side } from "../side.ts";
import { CbcDataKey } from "./cbc-key.ts";
import { nobleCbc } from "./noble-cbc.ts";
import { PEER_ID_NONE } from "./packet.ts";

const AT = 256;
const slab = slabOver(new ArrayBuffer(4096));
const block = Uint8Array.from({ length: 256 }, (_, i) => (i * 11 + 5) & 0xff);
const random = seededRandom(9);

interface Kind {
  readonly cipher: CbcName;
  readonly digest: DigestName;
  readonly peerId: number;
}
const AES256: Kind = { cipher: "AES-256-CBC", digest: "SHA256", peerId: 5 };

const keyOf = (side: Side, kind: Kind, packetId?: number): CbcDataKey =>
  new CbcDataKey(block, {
    ...kind,
    slab,
    cbc: nobleCbc(slab),
    random,
    keyId: 3,
    sendKey: dataKey(side),
    replayWindow: { packets: 64, seconds: 15 },
    packetId,
  });

/** The packet that a payload becomes. */
function sealed(key: CbcDataKey, payload: Uint8Array): Uint8Array {
  slab.bytes.fill(0xa5);
  slab.bytes.set(payload, AT);
  const start = key.seal(AT, payload.length);
  return slab.bytes.slice(start, start + key.sealedLen);
}

/** The payload, or the drop code. */
function opened(key: CbcDataKey, packet: Uint8Array): Uint8Array | number {
  slab.bytes.fill(0xa5);
  slab.bytes.set(packet, AT);
  const at = key.open(0, AT, packet.length, packet[0]! >> 3 === 9);
  return at < 0 ? at : slab.bytes.slice(at, at + key.openedLen);
}

const keyLen = (cipher: CbcName): number => Number(/\d+/.exec(cipher)![0]) / 8;
const half = (number: 0 | 1, at: number, len: number): Uint8Array =>
  block.slice(128 * number + at, 128 * number + at + len);

/** A packet of openvpn's, by node's own crypto (crypto.c, openvpn_encrypt_v1); `body` is what is padded and encrypted. */
function packetOf(kind: Kind, half0: 0 | 1, header: readonly number[], body: Uint8Array, isPadded = true): Uint8Array {
  const iv = new Uint8Array(16).fill(7);
  const cipher = createCipheriv(kind.cipher.toLowerCase(), half(half0, 0, keyLen(kind.cipher)), iv);
  cipher.setAutoPadding(isPadded);
  const signed = Buffer.concat([iv, cipher.update(body), cipher.final()]);
  const mac = createHmac(kind.digest, half(half0, 64, DIGEST_LEN[kind.digest]))
    .update(signed)
    .digest();
  return Uint8Array.from([...header, ...mac, ...signed]);
}

const PAYLOAD = Uint8Array.from({ length: 50 }, (_, i) => 0x45 + i);
const HEADER_V2 = [0x4b, 0, 0, 5];

describe.each(CBC_NAMES)("%s", (cipher) => {
  test.each(["MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"] as const)(
    "with %s: another implementation's packets are opened, and it opens ours, V1 and V2",
    (digest) => {
      for (const [peerId, header] of [
        [5, HEADER_V2],
        [PEER_ID_NONE, [0x33]],
      ] as const) {
        const kind = { cipher, digest, peerId };
        const body = Uint8Array.of(0, 0, 0, 1, ...PAYLOAD);
        expect(opened(keyOf("client", kind), packetOf(kind, 1, header, body))).toEqual(PAYLOAD);
        const packet = sealed(keyOf("client", kind), PAYLOAD);
        const macAt = header.length;
        const ivAt = macAt + DIGEST_LEN[digest];
        expect([...packet.subarray(0, macAt)]).toEqual([...header]);
        const mac = createHmac(digest, half(0, 64, DIGEST_LEN[digest]))
          .update(packet.subarray(ivAt))
          .digest();
        expect(packet.subarray(macAt, ivAt)).toEqual(Uint8Array.from(mac));
        const plain = createDecipheriv(cipher.toLowerCase(), half(0, 0, keyLen(cipher)), packet.slice(ivAt, ivAt + 16));
        expect(Uint8Array.from(Buffer.concat([plain.update(packet.slice(ivAt + 16)), plain.final()]))).toEqual(body);
      }
    },
  );
});

test("any payload comes out as it went in, and what payloadMax promises holds to the byte", () => {
  const kinds = fc.record({
    cipher: fc.constantFrom(...CBC_NAMES),
    digest: fc.constantFrom<DigestName>("SHA1", "SHA256", "SHA512"),
    peerId: fc.constantFrom(5, PEER_ID_NONE),
  });
  fc.assert(
    fc.property(kinds, fc.uint8Array({ minLength: 1, maxLength: 300 }), (kind, payload) => {
      const [from, to] = [keyOf("client", kind), keyOf("server", kind)];
      const packet = sealed(from, payload);
      expect(opened(to, packet)).toEqual(payload);
      expect(packet.length - payload.length).toBeLessThanOrEqual(from.overhead);
      const most = from.payloadMax(packet.length);
      expect([most >= payload.length, most < payload.length + 16]).toEqual([true, true]);
      expect(sealed(from, new Uint8Array(most)).length).toBe(packet.length);
      expect(sealed(from, new Uint8Array(most + 1)).length).toBe(packet.length + 16);
    }),
  );
});

test("a bit that differs anywhere behind the header is seen before anything is decrypted", () => {
  const packet = sealed(keyOf("client", AES256), PAYLOAD);
  for (let i = HEADER_V2.length; i < packet.length; i++) {
    const forged = packet.slice();
    forged[i]! ^= 1;
    expect([i, opened(keyOf("server", AES256), forged)]).toEqual([i, DROP_DATA_AUTHENTICATION]);
    expect(slab.bytes.slice(AT, AT + forged.length)).toEqual(forged);
  }
});

test("packets that end early, and payloads that are no id and padding, are drops", () => {
  const packet = sealed(keyOf("client", AES256), PAYLOAD);
  for (const len of [4, 36, 52, 60, packet.length - 1])
    expect([len, opened(keyOf("server", AES256), packet.slice(0, len))]).toEqual([len, DROP_DATA_TRUNCATED]);
  const open = (isPadded: boolean, ...body: number[]): Uint8Array | number =>
    opened(keyOf("client", AES256), packetOf(AES256, 1, HEADER_V2, Uint8Array.from(body), isPadded));
  const id = [0, 0, 0, 1, 0x45, 1, 2, 3, 4, 5, 6, 7];
  expect(open(false, ...id, 8, 9, 10, 0)).toBe(DROP_DATA_PADDING);
  expect(open(false, ...id, 17, 17, 17, 17)).toBe(DROP_DATA_PADDING);
  expect(open(false, ...id, 3, 2, 3, 3)).toBe(DROP_DATA_PADDING);
  expect(open(false, ...id, 9, 3, 3, 3)).toHaveLength(9);
  expect(open(true, 0, 0, 1)).toBe(DROP_DATA_TRUNCATED);
});

test("no id is taken twice, and the last one is the last", () => {
  const [from, to] = [keyOf("client", AES256, 0xfffffffe), keyOf("server", AES256)];
  expect(from.isWorn).toBe(true);
  const packet = sealed(from, PAYLOAD);
  expect(opened(to, packet)).toEqual(PAYLOAD);
  expect(opened(to, packet)).toBe(DROP_DATA_REPLAY);
  expect(opened(to, sealed(from, PAYLOAD))).toEqual(PAYLOAD);
  expect(from.seal(AT, 1)).toBe(DROP_SEAL_EXHAUSTED);
  expect([to.isWorn, from.packets, to.bytes]).toEqual([true, 0xffffffff, 100]);
});

test("no two packets have one IV", () => {
  const from = keyOf("client", AES256);
  const ivs = new Set(Array.from({ length: 200 }, () => sealed(from, PAYLOAD).slice(36, 52).toHex()));
  expect(ivs.size).toBe(200);
});
