import { expect, test } from "bun:test";
import { cipherPart, hmacPart, STATIC_KEY_LEN } from "../control/static-key.ts";
import { deriveByPrf, type KeySource, tls1Prf } from "./key-derive.ts";

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

test("the TLS 1.0 PRF of test_crypto.c", () => {
  const secret = ascii(
    "Lorem ipsum dolor sit amet, consectetur adipisici elit, sed eiusmod tempor incidunt ut labore et dolore magna aliqua.",
  );
  const seed = ascii("Quis aute iure reprehenderit in voluptate velit esse cillum dolore");
  const expected = "d98c8518c85e946927916acfc2d592fbb1567e4b4b1459e6a904ac2ddab72d67";
  expect(tls1Prf(secret, "", [seed], 32).toHex()).toBe(expected);
  expect(tls1Prf(secret, "Quis ", [seed.slice(5, 20), seed.slice(20)], 32).toHex()).toBe(expected);
  expect(tls1Prf(secret, "", [seed], 13).toHex()).toBe(expected.slice(0, 26));
});

test("every input of the derivation counts", () => {
  const source = (n: number): KeySource => ({
    preMaster: new Uint8Array(48).fill(n),
    random1: new Uint8Array(32).fill(n + 1),
    random2: new Uint8Array(32).fill(n + 2),
  });
  const id = (n: number): Uint8Array => new Uint8Array(8).fill(n);
  const base = deriveByPrf([source(1), source(10)], [id(20), id(30)]);
  expect(base.length).toBe(STATIC_KEY_LEN);
  const others = [
    deriveByPrf([{ ...source(1), preMaster: new Uint8Array(48) }, source(10)], [id(20), id(30)]),
    deriveByPrf([{ ...source(1), random1: id(1) }, source(10)], [id(20), id(30)]),
    deriveByPrf([{ ...source(1), random2: id(1) }, source(10)], [id(20), id(30)]),
    deriveByPrf([source(1), { ...source(10), random1: id(1) }], [id(20), id(30)]),
    deriveByPrf([source(1), { ...source(10), random2: id(1) }], [id(20), id(30)]),
    deriveByPrf([source(1), source(10)], [id(21), id(30)]),
    deriveByPrf([source(1), source(10)], [id(20), id(31)]),
  ];
  expect(new Set([base, ...others].map((block) => block.toHex())).size).toBe(8);
});

test("parts of a key block (notes of the static key file: cipher 0, HMAC 0, cipher 1, HMAC 1)", () => {
  const block = Uint8Array.from({ length: 256 }, (_, i) => i);
  expect(
    [cipherPart(block, 0, 2), hmacPart(block, 0, 2), cipherPart(block, 1, 2), hmacPart(block, 1, 2)].map((p) => p[0]),
  ).toEqual([0, 64, 128, 192]);
});
