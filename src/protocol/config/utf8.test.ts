import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "./material.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

test("encodes as TextEncoder does", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(encodeUtf8(text)).toEqual(new TextEncoder().encode(text));
    }),
  );
});

test("decodes valid text as TextDecoder does", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const bytes = new TextEncoder().encode(text);
      expect(decodeUtf8(bytes)).toBe(decoder.decode(bytes));
    }),
  );
});

test("malformed bytes are replaced, and what is valid around them stays", () => {
  for (const bad of [
    [0x80],
    [0xc0, 0x80],
    [0xc3],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
  ]) {
    const text = decodeUtf8(Uint8Array.from([0x61, ...bad, 0x62]));
    expect(text).toMatch(/^a\ufffd+b$/);
  }
});

test("base64 as Buffer does it", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes).toString("base64");
      expect(encodeBase64(bytes)).toBe(text);
      expect(decodeBase64(text)).toEqual(bytes);
    }),
  );
  expect(decodeBase64("abc")).toBeUndefined();
  expect(decodeBase64("ab*=")).toBeUndefined();
});
