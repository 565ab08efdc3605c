/** What every ControlPrimitives must do: published vectors, and agreement with node's crypto at any length. */
import { describe, expect, test } from "bun:test";
import { createCipheriv, createHmac } from "node:crypto";
import { seededRandom } from "../../../src/lib/random.ts";
import type { DigestName } from "../../../src/protocol/config/types.ts";
import type { ControlPrimitives } from "../../../src/protocol/ports.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/\s/g, ""));

/** Registers tests, so call it at the top level of a test file. */
export function controlPrimitivesContract(title: string, make: () => ControlPrimitives): void {
  describe(`ControlPrimitives contract: ${title}`, () => {
    const primitives = make();
    const random = seededRandom(3);
    const bytes = (n: number): Uint8Array => {
      const out = new Uint8Array(n);
      random.fill(out);
      return out;
    };

    test("HMAC-SHA256 of RFC 4231 4.3, HMAC-MD5 and HMAC-SHA1 of RFC 2202 (test case 2)", () => {
      const [key, data] = [new TextEncoder().encode("Jefe"), new TextEncoder().encode("what do ya want for nothing?")];
      expect(primitives.hmac("SHA256", key, data).toHex()).toBe(
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      );
      expect(primitives.hmac("MD5", key, data).toHex()).toBe("750c783e6ab0b503eaa86e310a5db738");
      expect(primitives.hmac("SHA1", key, data).toHex()).toBe("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    });

    test("AES-256-CTR of NIST SP 800-38A F.5.5", () => {
      const key = hex("603deb1015ca71be2b73aef0857d7781 1f352c073b6108d72d9810a30914dff4");
      const iv = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
      const plain = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51");
      const sealed = hex("601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5");
      expect(primitives.ctr(key, iv, plain)).toEqual(sealed);
      expect(primitives.ctr(key, iv, sealed)).toEqual(plain);
    });

    test("the counter runs over all of its 128 bits", () => {
      const [key, iv, data] = [bytes(32), new Uint8Array(16).fill(0xff), bytes(40)];
      const expected = createCipheriv("aes-256-ctr", key, iv).update(data);
      expect(primitives.ctr(key, iv, data).toHex()).toBe(expected.toString("hex"));
    });

    test("agrees with node's crypto at any length, and changes nothing that it is given", () => {
      for (const [digest, macLen] of [
        ["MD5", 16],
        ["SHA1", 20],
        ["SHA224", 28],
        ["SHA256", 32],
        ["SHA384", 48],
        ["SHA512", 64],
      ] as const satisfies [DigestName, number][]) {
        for (const length of [0, 1, 14, 63, 64, 65, 1200, 4096]) {
          const [macKey, key, iv, data] = [bytes(macLen), bytes(32), bytes(16), bytes(length)];
          const given = [macKey, key, iv, data].map((b) => b.toHex());
          const mac = primitives.hmac(digest, macKey, data);
          const sealed = primitives.ctr(key, iv, data);
          expect(mac.toHex()).toBe(createHmac(digest, macKey).update(data).digest("hex"));
          expect(sealed.toHex()).toBe(createCipheriv("aes-256-ctr", key, iv).update(data).toString("hex"));
          primitives.hmac(digest, key, new Uint8Array(9));
          expect([macKey, key, iv, data].map((b) => b.toHex())).toEqual(given);
          expect(mac.length).toBe(macLen);
        }
      }
    });
  });
}
