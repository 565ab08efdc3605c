import { expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../lib/random.ts";
import { type KeyMethodMessage, keyMethodEmit, keyMethodRead, makeKeySource, utf8Encode } from "./key-method.ts";

const message = (isServer: boolean): KeyMethodMessage => ({
  source: makeKeySource(seededRandom(1), isServer),
  options: "V4,dev-type tun",
  user: isServer ? undefined : "anna",
  password: isServer ? undefined : "secret",
  peerInfo: isServer ? undefined : "IV_VER=1\n",
});

test.each([true, false])("round trip and every prefix, from the server: %p", (isServer) => {
  const sent = message(isServer);
  const bytes = keyMethodEmit(sent);
  expect(bytes.length).toBe(5 + (isServer ? 0 : 48) + 64 + 2 + 16 + (isServer ? 6 : 7 + 9 + 12));
  expect(keyMethodRead(bytes, !isServer)).toEqual({ kind: "message", length: bytes.length, message: sent });
  for (let len = 0; len < 69 + 18; len++) expect(keyMethodRead(bytes.slice(0, len), !isServer).kind).toBe("incomplete");
});

test("old peers end after the options, and a control message behind is left alone", () => {
  const bytes = keyMethodEmit(message(true));
  const old = bytes.slice(0, bytes.length - 6);
  expect(keyMethodRead(old, false)).toMatchObject({ kind: "message", length: old.length });
  const more = new Uint8Array([...old, ...utf8Encode("PUSH_REPLY,ping 10\0")]);
  expect(keyMethodRead(more, false)).toMatchObject({ kind: "message", length: old.length });
});

test("another key method is malformed", () => {
  const bytes = keyMethodEmit(message(true));
  bytes[4] = 1;
  expect(keyMethodRead(bytes, false).kind).toBe("malformed");
});

test("any bytes are read without a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, fromClient) => {
      const body = new Uint8Array([0, 0, 0, 0, 2, ...bytes]);
      const result = keyMethodRead(body, fromClient);
      if (result.kind === "message") expect(result.length).toBeLessThanOrEqual(body.length);
    }),
  );
});

test("UTF-8 as TextEncoder makes it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(utf8Encode(text)).toEqual(new TextEncoder().encode(text));
    }),
  );
});
