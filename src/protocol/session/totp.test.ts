import { expect, test } from "bun:test";
import { encodeUtf8 } from "../config/utf8.ts";
import { totpCode } from "./totp.ts";

/** RFC 6238, appendix B. */
const SECRETS = {
  SHA1: encodeUtf8("12345678901234567890"),
  SHA256: encodeUtf8("12345678901234567890123456789012"),
  SHA512: encodeUtf8("1234567890123456789012345678901234567890123456789012345678901234"),
};
const VECTORS = [
  [59, "94287082", "46119246", "90693936"],
  [1111111109, "07081804", "68084774", "25091201"],
  [1111111111, "14050471", "67062674", "99943326"],
  [1234567890, "89005924", "91819424", "93441116"],
  [2000000000, "69279037", "90698825", "38618901"],
  [20000000000, "65353130", "77737706", "47863826"],
] as const;

test.each(VECTORS)("RFC 6238 at %d", (time, ...rest) => {
  const codes = rest as unknown as readonly string[];
  (["SHA1", "SHA256", "SHA512"] as const).forEach((algorithm, i) => {
    const totp = { secret: SECRETS[algorithm], algorithm, digits: 8, period: 30 };
    expect(totpCode(totp, time)).toBe(codes[i]!);
    expect(totpCode({ ...totp, digits: 6 }, time)).toBe(codes[i]!.slice(2));
  });
});

test("a code is the same for its period, and another one behind it", () => {
  const totp = { secret: SECRETS.SHA1, algorithm: "SHA1", digits: 6, period: 60 } as const;
  expect(totpCode(totp, 119.9)).toBe(totpCode(totp, 60));
  expect(totpCode(totp, 120)).not.toBe(totpCode(totp, 119));
});
