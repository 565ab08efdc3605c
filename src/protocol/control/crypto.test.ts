import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ControlWrap, Material } from "../config/types.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_REPLAY, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import { type ControlWrapper, controlWrapper } from "./crypto.ts";

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
const options = { unixSeconds: 0, replayWindow: { packets: 64, seconds: 15 } };
const auth = (direction: 0 | 1 | undefined, unixSeconds = 0): ControlWrapper =>
  controlWrapper({ kind: "tls-auth", key: KEY, direction, digest: "SHA1", material }, { ...options, unixSeconds });
const crypt = (isServer: boolean, unixSeconds = 0, key = KEY): ControlWrapper =>
  controlWrapper({ kind: "tls-crypt", key, material }, { ...options, unixSeconds, isServer });

test("tls-auth makes and takes the client's reset of test_pkt.c", () => {
  const plain = auth(0).unwrap(RESET_TLS_AUTH, 0) as Uint8Array;
  expect(plain.toHex()).toBe("38de694c5c7bfba2740000000000");
  expect(auth(1, 0x61d3bf6c).wrap(plain).toHex()).toBe(RESET_TLS_AUTH.toHex());
});

test("tls-crypt makes and takes the client's reset of test_pkt.c", () => {
  const plain = crypt(true).unwrap(RESET_TLS_CRYPT, 0) as Uint8Array;
  expect(plain.toHex()).toBe("38f419cb12d1f9e48f0000000000");
  expect(crypt(false, 0x61d3f8e1).wrap(plain).toHex()).toBe(RESET_TLS_CRYPT.toHex());
});

test("tls-auth without key-direction uses key 0 both ways, which is not the key of a side with a direction", () => {
  const packet = auth(undefined).wrap(hex("38de694c5c7bfba2740000000000"));
  expect(auth(undefined).unwrap(packet, 0)).toBeInstanceOf(Uint8Array);
  expect(auth(0).unwrap(packet, 0)).toBe(DROP_CONTROL_AUTHENTICATION);
});

test("no wrap: packets stay what they are, and prove nothing", () => {
  const none: ControlWrap = { kind: "none" };
  const wrapper = controlWrapper(none, options);
  expect(wrapper.authenticates).toBe(false);
  expect(wrapper.unwrap(wrapper.wrap(KEY), 0)).toEqual(KEY);
});

const pairs: [string, () => [ControlWrapper, ControlWrapper]][] = [
  ["tls-auth", () => [auth(1), auth(0)]],
  ["tls-crypt", () => [crypt(false), crypt(true)]],
  ["tls-crypt, server to client", () => [crypt(true), crypt(false)]],
];
describe.each(pairs)("%s", (_name, make) => {
  test("round trip of any packet, once", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 10, maxLength: 1500 }), (plain) => {
        const [from, to] = make();
        const packet = from.wrap(plain);
        expect(packet.length).toBe(plain.length + from.overhead);
        expect(to.unwrap(packet, 0)).toEqual(plain);
        to.mark(0);
        expect(to.unwrap(packet, 0)).toBe(DROP_CONTROL_REPLAY);
      }),
      { numRuns: 30 },
    );
  });

  test("any flipped bit is refused and does not use up the replay id", () => {
    const [from, to] = make();
    const packet = from.wrap(hex("20aeb9afe1f01d79c80000000001160301"));
    for (let bit = 0; bit < packet.length * 8; bit++) {
      const forged = packet.slice();
      forged[bit >> 3]! ^= 1 << (bit & 7);
      expect(to.unwrap(forged, 0)).toBe(DROP_CONTROL_AUTHENTICATION);
    }
    expect(to.unwrap(packet, 0)).toBeInstanceOf(Uint8Array);
  });

  test("any truncation is refused", () => {
    const [from, to] = make();
    const packet = from.wrap(hex("20aeb9afe1f01d79c80000000001160301"));
    for (let len = 1; len < packet.length; len++) {
      expect([DROP_CONTROL_TRUNCATED, DROP_CONTROL_AUTHENTICATION]).toContain(
        to.unwrap(packet.slice(0, len), 0) as number,
      );
    }
  });

  test("packets may overtake each other, and a packet's own direction does not open it", () => {
    const [from, to] = make();
    const plain = hex("20aeb9afe1f01d79c80000000001");
    const [first, second] = [from.wrap(plain), from.wrap(plain)];
    expect(from.unwrap(second, 0)).toBe(DROP_CONTROL_AUTHENTICATION);
    expect(to.unwrap(second, 0)).toEqual(plain);
    expect(to.unwrap(first, 0)).toEqual(plain);
  });
});

test("tls-crypt refuses another key", () => {
  const other = KEY.map((byte) => byte ^ 0x42);
  expect(crypt(true, 0, other).unwrap(RESET_TLS_CRYPT, 0)).toBe(DROP_CONTROL_AUTHENTICATION);
});
