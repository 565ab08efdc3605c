import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ControlWrap, Material } from "../config/types.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import type { Side } from "../side.ts";
import type { ControlCrypto, Opened } from "./crypto.ts";
import { noblePrimitives } from "./noble-primitives.ts";
import { controlCrypto } from "./protection.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/\s/g, ""));
/** The static key of OpenVPN's test_pkt.c. */
const KEY = hex(`
  37268ea8f95d7f71f9fb8fc03770c460 daf714a483d815c013ce0a537efc18f2 8f4f172669d9e6a413bac6741d8ea054
  00f49b7fd6326470f23798c606bf53d4 de63ebc64ec59d57ce5d04d5b62e68b5 3ca6e5354351097fa370446c4d269f18
  7bb6ae54af2dc70ff7317fe2f8754b82 82aad4202f9fa42c8640245d883e2c54 a0c1c489a036cf3a8964d8d289c1583b
  9447c262b1da5fd167a5d27bd5ac5143 17bc2343a31a2efc38dd920d910375f5 1c2e27f3afd36c49269da079f7ce466e
  bb0f9ad13e9bbb4665974e6bc24b513c 5700393bf4a3e7f967e2f384069ac8a8 e78b18b15604993fd16515cce9c0f3e4
  2b4126b999005ade802797b0eeb8b9e6`);
const RESET_TLS_AUTH = hex(
  "38 de694c5c7bfba274 93537c1ded4e781529ae7cfe4b8c6d6b2b51f05a 00000001 61d3bf6c 00 00000000",
);
const RESET_TLS_CRYPT = hex(
  "38 f419cb12d1f9e48f 00000001 61d3f8e1 330206f56802be44fbed905064e3db43416bec5e526719462b7eb90c96defc9b 05c44879f7",
);
const material: Material = { label: "<tls-auth> block", origin: { file: "x", line: 1 }, bytes: KEY };
const auth = (direction: 0 | 1 | undefined): ControlCrypto =>
  controlCrypto({ kind: "tls-auth", key: KEY, direction, digest: "SHA1", material }, "client", noblePrimitives);
const crypt = (side: Side, key = KEY): ControlCrypto =>
  controlCrypto({ kind: "tls-crypt", key, material }, side, noblePrimitives);

test("tls-auth makes and takes the client's reset of test_pkt.c", () => {
  const { plain, id, time } = auth(0).open(RESET_TLS_AUTH) as Opened;
  expect([plain.toHex(), id, time]).toEqual(["38de694c5c7bfba2740000000000", 1, 0x61d3bf6c]);
  expect(auth(1).seal(plain, id, time).toHex()).toBe(RESET_TLS_AUTH.toHex());
});

test("tls-crypt makes and takes the client's reset of test_pkt.c", () => {
  const { plain, id, time } = crypt("server").open(RESET_TLS_CRYPT) as Opened;
  expect([plain.toHex(), id, time]).toEqual(["38f419cb12d1f9e48f0000000000", 1, 0x61d3f8e1]);
  expect(crypt("client").seal(plain, id, time).toHex()).toBe(RESET_TLS_CRYPT.toHex());
});

test("tls-auth without key-direction uses key 0 both ways, which is not the key of a side with a direction", () => {
  const packet = auth(undefined).seal(hex("38de694c5c7bfba2740000000000"), 1, 0);
  expect(auth(undefined).open(packet)).toMatchObject({ id: 1 });
  expect(auth(0).open(packet)).toBe(DROP_CONTROL_AUTHENTICATION);
});

test("without a wrap packets stay what they are, and prove nothing", () => {
  const none: ControlWrap = { kind: "none" };
  const crypto = controlCrypto(none, "client", noblePrimitives);
  expect([crypto.authenticates, crypto.overhead]).toEqual([false, 0]);
  expect(crypto.open(crypto.seal(KEY, 1, 0))).toMatchObject({ plain: KEY });
});

const pairs: [string, () => [ControlCrypto, ControlCrypto]][] = [
  ["tls-auth", () => [auth(1), auth(0)]],
  ["tls-crypt", () => [crypt("client"), crypt("server")]],
  ["tls-crypt, server to client", () => [crypt("server"), crypt("client")]],
];
describe.each(pairs)("%s", (_name, make) => {
  const [from, to] = make();

  test("round trip of any packet, with its replay id and time", () => {
    const uint32 = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 10, maxLength: 1500 }), uint32, uint32, (plain, id, time) => {
        const packet = from.seal(plain, id, time);
        expect(packet.length).toBe(plain.length + from.overhead);
        expect(to.open(packet)).toEqual({ plain, id, time });
      }),
      { numRuns: 30 },
    );
  });

  test("any flipped bit is refused", () => {
    const packet = from.seal(hex("20aeb9afe1f01d79c80000000001160301"), 1, 0);
    for (let bit = 0; bit < packet.length * 8; bit++) {
      const forged = packet.slice();
      forged[bit >> 3]! ^= 1 << (bit & 7);
      expect(to.open(forged)).toBe(DROP_CONTROL_AUTHENTICATION);
    }
  });

  test("any truncation is refused", () => {
    const packet = from.seal(hex("20aeb9afe1f01d79c80000000001160301"), 1, 0);
    for (let len = 1; len < packet.length; len++) {
      const drop = to.open(packet.slice(0, len)) as number;
      expect([DROP_CONTROL_TRUNCATED, DROP_CONTROL_AUTHENTICATION]).toContain(drop);
      if (len < 9 + to.overhead) expect(drop).toBe(DROP_CONTROL_TRUNCATED);
    }
  });

  test("a packet's own direction does not open it", () => {
    const packet = from.seal(hex("20aeb9afe1f01d79c80000000001"), 1, 0);
    expect(from.open(packet)).toBe(DROP_CONTROL_AUTHENTICATION);
    expect(to.open(packet)).toMatchObject({ id: 1 });
  });
});

test("tls-crypt refuses another key", () => {
  const other = KEY.map((byte) => byte ^ 0x42);
  expect(crypt("server", other).open(RESET_TLS_CRYPT)).toBe(DROP_CONTROL_AUTHENTICATION);
});
