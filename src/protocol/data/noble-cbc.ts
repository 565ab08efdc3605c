/** CbcFactory in pure TypeScript over noble: the library's default, and what tests use. Slow, allocates. */
import { cbc } from "@noble/ciphers/aes.js";
import type { Slab } from "../../lib/slab.ts";
import { noblePrimitives } from "../control/noble-primitives.ts";
import { equalConstantTime } from "../equal.ts";
import type { CbcFactory } from "../ports.ts";

const IV_LEN = 16;

export function nobleCbc({ bytes }: Slab): CbcFactory {
  return {
    create({ digest, ...given }) {
      const [key, macKey] = [given.key.slice(), given.macKey.slice()];
      const cipher = (ivAt: number) => cbc(key, bytes.slice(ivAt, ivAt + IV_LEN), { disablePadding: true });
      const mac = (ivAt: number, end: number): Uint8Array =>
        noblePrimitives.hmac(digest, macKey, bytes.slice(ivAt, end));
      return {
        seal(ivAt, at, len, macAt) {
          bytes.set(cipher(ivAt).encrypt(bytes.slice(at, at + len)), at);
          bytes.set(mac(ivAt, at + len), macAt);
        },
        open(ivAt, at, len, macAt) {
          if (!equalConstantTime(mac(ivAt, at + len), bytes.subarray(macAt, macAt + macKey.length))) return false;
          bytes.set(cipher(ivAt).decrypt(bytes.slice(at, at + len)), at);
          return true;
        },
        close() {
          key.fill(0);
          macKey.fill(0);
        },
      };
    },
  };
}
