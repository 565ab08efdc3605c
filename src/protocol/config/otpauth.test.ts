import { expect, test } from "bun:test";
import { parseAnswer } from "./otpauth.ts";
import { encodeUtf8 } from "./utf8.ts";

const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const secret = encodeUtf8("12345678901234567890");

test("a text is the answer itself", () => {
  expect(parseAnswer("blue 42")).toEqual({ row: "blue 42", totp: undefined });
});

test("otpauth with what goes without saying, and with all of it", () => {
  const plain = { secret, algorithm: "SHA1", digits: 6, period: 30 } as const;
  for (const query of [
    SECRET,
    SECRET.toLowerCase(),
    "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ%3D%3D",
    `${SECRET}&issuer=Acme`,
  ]) {
    const row = `otpauth://totp/Acme:ann@example.net?secret=${query}`;
    expect(parseAnswer(row)).toEqual({ row, totp: plain });
  }
  const row = `OTPAUTH://TOTP/x?digits=8&period=60&algorithm=sha512&secret=${SECRET}`;
  expect(parseAnswer(row)).toEqual({ row, totp: { secret, algorithm: "SHA512", digits: 8, period: 60 } });
});

test("what is meant as otpauth and is not is said, without the secret", () => {
  for (const [row, problem] of [
    ["otpauth://hotp/x?secret=AAAA", "otpauth://totp/"],
    ["otpauth://totp/x", "otpauth://totp/"],
    ["otpauth://totp/x?secret=", "base32"],
    ["otpauth://totp/x?secret=A1B8", "base32"],
    [`otpauth://totp/x?secret=${SECRET}&algorithm=MD5`, "SHA512"],
    [`otpauth://totp/x?secret=${SECRET}&digits=9`, "digits"],
    [`otpauth://totp/x?secret=${SECRET}&period=0`, "period"],
  ] as const) {
    expect(parseAnswer(row)).toContain(problem);
    expect(parseAnswer(row)).not.toContain(SECRET);
  }
});
