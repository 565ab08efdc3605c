import { expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../lib/random.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import type { Side } from "../side.ts";
import { type KeyMethodMessage, keyMethodEmit, keyMethodRead, makeKeySource } from "./key-method.ts";

const message = (side: Side): KeyMethodMessage => ({
  source: makeKeySource(seededRandom(1), side),
  options: "V4,dev-type tun",
  user: side === "server" ? undefined : "anna",
  password: side === "server" ? undefined : "secret",
  peerInfo: side === "server" ? undefined : "IV_VER=1\n",
});

test.each(["client", "server"] as const)("round trip and every prefix, from a %s", (side) => {
  const sent = message(side);
  const bytes = keyMethodEmit(sent);
  const [secret, rest] = side === "server" ? [0, 6] : [48, 7 + 9 + 12];
  expect(bytes.length).toBe(5 + secret + 64 + 2 + 16 + rest);
  expect(keyMethodRead(bytes, side)).toEqual({ kind: "message", length: bytes.length, message: sent });
  // a server's is complete with the options
  const whole = side === "server" ? 5 + 64 + 2 + 16 : bytes.length;
  for (let len = 0; len < whole; len++) expect(keyMethodRead(bytes.slice(0, len), side).kind).toBe("incomplete");
});

test("old servers end after the options, and a control message behind is left alone", () => {
  const bytes = keyMethodEmit(message("server"));
  const old = bytes.slice(0, bytes.length - 6);
  expect(keyMethodRead(old, "server")).toMatchObject({ kind: "message", length: old.length });
  const more = new Uint8Array([...old, ...encodeUtf8("PUSH_REPLY,ping 10\0")]);
  expect(keyMethodRead(more, "server")).toMatchObject({ kind: "message", length: old.length });
});

test("a client that ends after the options is done when it asks for more, and has no login", () => {
  const bytes = keyMethodEmit(message("client"));
  const old = bytes.slice(0, bytes.length - 28);
  expect(keyMethodRead(old, "client")).toEqual({ kind: "incomplete" });
  const more = new Uint8Array([...old, ...encodeUtf8("PUSH_REQUEST\0")]);
  const login = { user: undefined, password: undefined, peerInfo: undefined };
  expect(keyMethodRead(more, "client")).toMatchObject({ kind: "message", length: old.length, message: login });
});

test("user and password are UTF-8", () => {
  const sent = { ...message("client"), user: "Zoë", password: "pässwörd€" };
  expect(keyMethodRead(keyMethodEmit(sent), "client")).toMatchObject({
    message: { user: "Zoë", password: "pässwörd€" },
  });
});

test("another key method is malformed", () => {
  const bytes = keyMethodEmit(message("server"));
  bytes[4] = 1;
  expect(keyMethodRead(bytes, "server").kind).toBe("malformed");
});

test("any bytes are read without a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom("client", "server"), (bytes, side) => {
      const body = new Uint8Array([0, 0, 0, 0, 2, ...bytes]);
      const result = keyMethodRead(body, side);
      if (result.kind === "message") expect(result.length).toBeLessThanOrEqual(body.length);
    }),
  );
});
