/** Contexts of each kind of material, made and closed: every object that OpenSSL made for one is freed with it. */
import { afterAll, expect, test } from "bun:test";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import type { TlsParameters } from "../../src/protocol/ports.ts";
import { allocated } from "../support/c-heap.ts";
import { makeTlsPki, TLS_DEFAULTS } from "../support/tls-pki.ts";

const TIMES = 500;
const ROUNDS = 4;
/** Our choice: far below 500 of the smallest object, a key of P-256 (a few hundred bytes). */
const MAY_GROW = 48 << 10;

const pki = makeTlsPki();
afterAll(() => pki.remove());
const file = pki.material;

const CLIENT: TlsParameters = {
  ...TLS_DEFAULTS,
  isServer: false,
  ca: file("ca.crt"),
  cert: file("client.crt"),
  key: file("client.key"),
};
const PKCS12 = { cert: undefined, key: undefined, passphrase: "secret", pkcs12: file("client.p12") };

const KINDS: readonly (readonly [kind: string, Partial<TlsParameters>, problem: RegExp | undefined])[] = [
  ["a certificate, its key and an authority", {}, undefined],
  ["a chain", { extraCerts: file("sub.crt") }, undefined],
  ["a revocation list", { crl: file("nobody.crl") }, undefined],
  ["a locked key", { key: file("client-locked.key"), passphrase: "secret" }, undefined],
  ["a PKCS #12 file with an authority in it", { ...PKCS12, ca: undefined }, undefined],
  ["a PKCS #12 file beside a ca", { ...PKCS12, pkcs12: file("foreign.p12") }, undefined],
  ["a server", { isServer: true, cert: file("server.crt"), key: file("server.key") }, undefined],
  ["a key of another certificate", { key: file("server.key") }, /does not belong/],
  ["a wrong pass phrase", { ...PKCS12, passphrase: "x" }, /pass phrase/],
];

test.skipIf(process.arch !== "x64").each(KINDS)(
  "%s",
  (_kind, change, problem) => {
    const once = (): void => {
      if (problem === undefined) libsslTls.context({ ...CLIENT, ...change }).close();
      else expect(() => libsslTls.context({ ...CLIENT, ...change })).toThrow(problem);
    };
    const grown = (): number => {
      const before = allocated();
      for (let i = 0; i < TIMES; i++) once();
      return allocated() - before;
    };
    // What is not freed grows in every round; what the program itself takes for good, in the first ones.
    const rounds: number[] = [];
    while (rounds.length < ROUNDS && !rounds.some((bytes) => bytes < MAY_GROW)) rounds.push(grown());
    expect(Math.min(...rounds)).toBeLessThan(MAY_GROW);
  },
  120_000,
);
